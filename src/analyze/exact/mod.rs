//! Networks of two inputs without approximation: the image of a point's ε box under every layer, polygon by polygon, beside what
//! interval bounds, the attack and SABR's small box make of it.
//!
//! A ReLU network is affine on each of finitely many polygons of its inputs, see [`Regions`]. Their images fill the image of the box,
//! least and greatest values lie at their corners, and where a wrong class wins is a polygon again: nothing is sampled.

mod attacked;
mod decide;
mod figures;
mod polygon;
mod regions;
mod study;
mod survey;
mod words;

use std::sync::Arc;

use serde::Serialize;

pub use attacked::{Attacked, attacked};
pub use decide::{Decided, Least, decisions, least_margin, ranges};
pub use polygon::{Line, Point, Polygon};
pub use regions::{Cell, Regions, check};
pub use study::{BoxNumbers, Image, Inputs, LayerNumbers, Study, ball};
pub use survey::{Known, Survey};

use crate::certify::network::ReluNetwork;
use crate::certify::proof::Prover;
use crate::error::{Error, Result};
use crate::train::SmallBox;

/// A network and what the attack does to it.
pub struct Subject {
    /// Its name in tables and figures.
    pub name: String,
    /// The network.
    pub network: ReluNetwork,
    /// For each of the question's points.
    pub attacked: Vec<Attacked>,
}

/// Which points are asked about.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Dataset and split, in words.
    pub points_of: String,
    /// The points.
    pub points: Vec<Place>,
    /// How many of them, from the first on, are counted; what comes behind is asked about alone.
    pub counted: usize,
    /// The one that is drawn; `None`: see [`Chosen`].
    pub drawn: Option<usize>,
    /// Radius ε.
    pub epsilon: f64,
    /// The small boxes.
    pub small: SmallBox,
}

/// A point with its class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Its number in the split, if it is one of the dataset's.
    pub index: Option<usize>,
    /// Where it is, in the unit square.
    pub point: Point,
    /// Its class.
    pub label: usize,
}

/// Why a point is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chosen {
    /// It was asked for.
    Given,
    /// The first that all networks classify correctly, with a tenth of its ε box or more adversarial for the first network and none of it
    /// for the last.
    Telling,
    /// The first that all networks classify correctly, with a tenth of its ε box or more adversarial for the first network.
    Clear,
    /// The first that all networks classify correctly, with adversarial examples for the first network.
    Vulnerable,
    /// The first with adversarial examples that the first network classifies correctly.
    VulnerableFirst,
    /// The first point: none has adversarial examples but misclassified ones.
    First,
}

/// The outcome.
#[derive(Clone, Debug, Serialize)]
pub struct Exact {
    /// Dataset and split, in words.
    pub points_of: String,
    /// Radius ε.
    pub epsilon: f64,
    /// Subselection ratio λ.
    pub lambda: f64,
    /// Number of the point that is drawn, if it is one of the dataset's.
    pub index: Option<usize>,
    /// The point.
    pub point: Point,
    /// Its class.
    pub label: usize,
    /// Why it is drawn.
    pub chosen: Chosen,
    /// Each network.
    pub models: Vec<Model>,
    /// The first points, for the pictures.
    #[serde(skip)]
    pub dotted: Vec<Place>,
}

/// The outcome for a network.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
    /// Its name.
    pub model: String,
    /// Of all points counted.
    pub survey: Survey,
    /// The point drawn.
    pub study: Study,
}

/// Share of a box that can be seen.
const CLEAR: f64 = 0.1;
/// Points of the dataset that are drawn.
const DOTTED: usize = 300;

/// The point to draw, of those that are counted.
fn choose(known: &[Vec<Known>]) -> (usize, Chosen) {
    let points = || 0..known[0].len();
    let all_right = |i: usize| known.iter().all(|of| of[i].correct());
    let vulnerable = |i: usize| known[0][i].correct() && !known[0][i].robust();
    let clear = |i: usize| all_right(i) && known[0][i].adversarial >= CLEAR;
    let telling = |i: usize| clear(i) && known[known.len() - 1][i].robust();
    let found = None
        .or_else(|| points().find(|&i| telling(i)).map(|i| (i, Chosen::Telling)))
        .or_else(|| points().find(|&i| clear(i)).map(|i| (i, Chosen::Clear)))
        .or_else(|| points().find(|&i| all_right(i) && vulnerable(i)).map(|i| (i, Chosen::Vulnerable)))
        .or_else(|| points().find(|&i| vulnerable(i)).map(|i| (i, Chosen::VulnerableFirst)));
    found.unwrap_or((0, Chosen::First))
}

impl Exact {
    /// Looks at each network; `progress` hears (networks done, networks in all).
    ///
    /// # Errors
    /// [`Error::Config`] for a network of other than two inputs or of one class, or of more than 100 000 linear regions in a box, and for
    /// an ε of 0, whose box has no inside.
    ///
    /// # Panics
    /// If there is no network or no point, or a network was not attacked at each point.
    pub fn new(subjects: &[Subject], question: &Question, progress: &mut dyn FnMut(usize, usize)) -> Result<Exact> {
        let epsilon = question.epsilon;
        if epsilon <= 0.0 {
            return Err(Error::Config(format!("epsilon = {epsilon}: expected a box with an inside, such as 0.1")));
        }
        let mut provers = Vec::with_capacity(subjects.len());
        for Subject { name, network, .. } in subjects {
            let named = |error: Error| Error::Config(format!("{name}: {error}"));
            check(network).map_err(named)?;
            provers.push(Arc::new(Prover::new(network)?));
        }
        let mut known = Vec::with_capacity(subjects.len());
        for (i, (subject, prover)) in subjects.iter().zip(&provers).enumerate() {
            let counted = &question.points[..question.counted];
            known.push(survey::survey(&subject.network, prover, counted, epsilon, &subject.attacked)?);
            progress(i + 1, subjects.len());
        }
        let (drawn, chosen) = question.drawn.map_or_else(|| choose(&known), |drawn| (drawn, Chosen::Given));
        let Place { index, point, label } = question.points[drawn];
        let models = subjects.iter().zip(&provers).zip(&known).map(|((subject, prover), known)| {
            let attacked = &subject.attacked[drawn];
            let study = Study::new(&subject.network, prover, (point, label), epsilon, attacked)?;
            Ok(Model { model: subject.name.clone(), survey: Survey::of(known), study })
        });
        Ok(Exact {
            points_of: question.points_of.clone(),
            epsilon,
            lambda: question.small.lambda,
            index,
            point,
            label,
            chosen,
            models: models.collect::<Result<Vec<Model>>>()?,
            dotted: question.points[..question.counted.min(DOTTED)].to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A point that is right and robust, or of which `adversarial` is turned.
    fn known(natural: f64, adversarial: f64) -> Known {
        let exact = if adversarial > 0.0 { -1.0 } else { natural };
        Known { natural, attacked: exact, exact, adversarial, interval: -2.0, small: -2.0 }
    }

    #[test]
    fn the_point_drawn_is_the_most_telling_one() {
        let (robust, hardly, clearly, wrong) = (known(1.0, 0.0), known(1.0, 0.05), known(1.0, 0.5), known(-1.0, 1.0));
        let first = vec![robust, wrong, hardly, hardly, clearly, clearly, clearly];
        let last = [robust, robust, wrong, robust, wrong, clearly, robust];
        let chosen = |points: usize| choose(&[first[..points].to_vec(), last[..points].to_vec()]);
        assert_eq!(chosen(7), (6, Chosen::Telling));
        assert_eq!(chosen(6), (5, Chosen::Clear));
        assert_eq!(chosen(5), (3, Chosen::Vulnerable));
        assert_eq!(chosen(3), (2, Chosen::VulnerableFirst));
        assert_eq!(chosen(2), (0, Chosen::First));
        assert_eq!(choose(&[first]), (4, Chosen::Clear));
    }
}
