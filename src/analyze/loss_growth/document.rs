//! The outcome in words, tables and figures.

use serde_json::json;

use super::{Bound, Curve, LossGrowth, Setting};
use crate::analyze::{Document, Sheet, Table};
use crate::figure::{Axis, Chart, Dot, Figure, Mark, Series, number};
use crate::numbers::{count, radius};

/// Look of the dots at each network's own λ.
const OWN: usize = 6;

/// Box sizes that the table shows.
const SHOWN: [f64; 4] = [0.0, 0.5, 1.0, 1.25];

impl LossGrowth {
    /// The outcome for people.
    pub fn document(&self) -> Document {
        let title = "Robust loss against the size of the box";
        let mut document = Document::new("loss-growth", title, json!(self));
        document.explanation = vec![
            format!(
                "The robust loss bounds the cross-entropy that a network can have anywhere in a box around an image. Here the boxes are centered at {} {} images of {} and \
                 have the radius λ·ε with ε = {}, cut with [0, 1]: λ = 0 is the image itself, whose loss is the natural one, λ = 1 the whole ball that is to be \
                 certified, and beyond it the box is larger than the threat.",
                count(self.images as u64),
                self.split,
                self.dataset,
                radius(self.epsilon)
            ),
            "The axis of the loss is logarithmic: where a curve bends upward, the loss grows by more than a constant factor for each step of the radius. Intervals (IBP) \
             lose more in every layer the larger the box is; linear relaxation (CROWN) keeps how neurons depend on each other, and so shows how much of the loss is the \
             network's own and how much the intervals'. Dots stand where a network's own training took its boxes: λ = 1 for IBP training, the small λ of SABR. That \
             training puts its small boxes around attacked points; here all boxes are around the images."
                .into(),
        ];
        document.findings = self.findings();
        document.tables.push(self.table());
        document.figures.push(self.figure());
        document
    }

    /// All points: model, bound, lambda, loss, certified share.
    pub fn sheet(&self) -> Sheet {
        let mut sheet = Sheet::new(&["model", "bound", "lambda", "loss", "certified"]);
        for curve in &self.curves {
            for point in &curve.points {
                sheet.rows.push(vec![
                    curve.model.clone(),
                    curve.bound.name().into(),
                    point.lambda.to_string(),
                    point.loss.to_string(),
                    (point.certified as f64 / self.images as f64).to_string(),
                ]);
            }
        }
        sheet
    }

    fn of(&self, bound: Bound) -> impl Iterator<Item = &Curve> {
        self.curves.iter().filter(move |curve| curve.bound == bound)
    }

    /// Names of the networks, in the order given.
    fn models(&self) -> Vec<&str> {
        let mut models: Vec<&str> = Vec::new();
        for curve in &self.curves {
            if !models.contains(&curve.model.as_str()) {
                models.push(&curve.model);
            }
        }
        models
    }

    fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for curve in self.of(Bound::Ibp) {
            let losses = [0.0, 0.5, 1.0].map(|lambda| curve.at(lambda).map(|point| point.loss));
            let [Some(natural), Some(half), Some(whole)] = losses else { continue };
            let (first, both) = (half - natural, whole - natural);
            let (model, [natural, half, whole]) = (&curve.model, [natural, half, whole].map(number));
            let rises = format!("{model}: the IBP loss is {natural} at λ = 0, {half} at 0.5 and {whole} at 1");
            findings.push(match first > 0.0 {
                true if both > 2.0 * first => {
                    format!(
                        "{rises}; twice the radius adds {} times as much, more than in proportion.",
                        number(both / first)
                    )
                }
                true => {
                    format!(
                        "{rises}; twice the radius adds {} times as much, no more than in proportion.",
                        number(both / first)
                    )
                }
                false => format!("{rises}; it does not rise on the first half."),
            });
        }
        for crown in self.of(Bound::Crown) {
            let ibp = self.of(Bound::Ibp).find(|curve| curve.model == crown.model);
            let losses = ibp.and_then(|ibp| Some((ibp.at(1.0)?, crown.at(1.0)?)));
            let Some((ibp, crown_point)) = losses else { continue };
            let (model, a, b) = (&crown.model, number(ibp.loss), number(crown_point.loss));
            findings.push(match ibp.loss > crown_point.loss {
                true => format!("{model}: at λ = 1 CROWN takes the loss from {a} down to {b}."),
                false => format!("{model}: at λ = 1 CROWN's loss, {b}, is not below that of intervals, {a}."),
            });
        }
        let own = self.of(Bound::Ibp).filter_map(|curve| {
            let lambda = curve.own_lambda?;
            Some(format!("{} {} at λ = {}", curve.model, number(curve.at(lambda)?.loss), number(lambda)))
        });
        let own: Vec<String> = own.collect();
        if !own.is_empty() {
            findings.push(format!("IBP loss on boxes of the size that each was trained on: {}.", own.join(", ")));
        }
        findings
    }

    fn table(&self) -> Table {
        let caption = format!(
            "Mean robust loss at some box sizes, and images certified at λ = 1, of {}",
            count(self.images as u64)
        );
        let mut table = Table::new(&caption, &["network", "bounds", "own λ"]);
        table.head.extend(SHOWN.map(|lambda| format!("λ = {lambda}")));
        table.head.extend(["at own λ".into(), "certified".into()]);
        for curve in &self.curves {
            let text = |value: Option<f64>| value.map_or("–".into(), number);
            let loss = |lambda: f64| curve.at(lambda).map(|point| point.loss);
            let mut row = vec![curve.model.clone(), curve.bound.name().into(), text(curve.own_lambda)];
            row.extend(SHOWN.map(|lambda| text(loss(lambda))));
            row.push(text(curve.own_lambda.and_then(loss)));
            let share = |point: &super::Point| format!("{:.1} %", 100.0 * point.certified as f64 / self.images as f64);
            row.push(curve.at(1.0).map_or("–".into(), share));
            table.rows.push(row);
        }
        table
    }

    fn figure(&self) -> Figure {
        let models = self.models();
        let bounds: Vec<Bound> =
            [Bound::Ibp, Bound::Crown].into_iter().filter(|&b| self.of(b).next().is_some()).collect();
        let chart = |&bound: &Bound| {
            let line = |curve: &Curve| {
                let style = models.iter().position(|model| *model == curve.model).unwrap_or(0);
                let points = curve.points.iter().map(|point| (point.lambda, point.loss)).collect();
                Series::new(&curve.model, style, Mark::Line(points))
            };
            let own = |curve: &Curve| {
                let at = curve.at(curve.own_lambda?).filter(|point| point.loss > 0.0)?;
                let note = format!("{}, λ of its training", curve.model);
                Some(Dot { note, ..Dot::at(at.lambda, at.loss) })
            };
            let mut series: Vec<Series> = self.of(bound).map(line).collect();
            let dots: Vec<Dot> = self.of(bound).filter_map(own).collect();
            if !dots.is_empty() {
                series.push(Series::new("λ of its own training", OWN, Mark::Dots(dots)));
            }
            Chart {
                title: format!("{} bounds", bound.name()),
                x: Axis::linear("λ, radius of the box relative to ε", "").within(0.0, Setting::GREATEST),
                y: Axis::logarithmic("robust loss", "nats"),
                equal_axes: false,
                series,
            }
        };
        let names: Vec<&str> = bounds.iter().map(|bound| bound.name()).collect();
        Figure {
            name: String::new(),
            caption: format!(
                "Mean robust loss over boxes of radius λ·ε around {} images of {}, ε = {}, bounded by {}; dots: the boxes of each network's own training.",
                count(self.images as u64),
                self.dataset,
                radius(self.epsilon),
                names.join(" and by ")
            ),
            columns: bounds.len(),
            charts: bounds.iter().map(chart).collect(),
        }
    }
}
