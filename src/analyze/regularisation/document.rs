//! Traces of training in words, tables and figures.

use serde_json::to_value;

use super::{Alignment, LayerNorm, ModelRegularisation, Region, RegionStates, Regularisation, States};
use crate::analyze::{Document, Sheet, Table};
use crate::error::{Error, Result};
use crate::figure::{Axis, Chart, Figure, Mark, Point, Scale, Series, number};
use crate::numbers::radius;

/// A part of the states.
type Share = fn(&States) -> f64;
/// A size of a weight.
type Size = fn(&LayerNorm) -> f64;

const EXPLANATION: [&str; 3] = [
    "A ReLU is active where its input is positive and inactive where it is not. Over a box of images it is one or the other throughout, or \
     unstable: by interval bounds its input may have either sign. Unstable ReLUs are what makes bounds loose and verification hard. \
     Training that looks at points alone leaves many of them; training on boxes (IBP on the whole ε box, SABR on a box of radius λ·ε \
     around an attacked point, slid into the ε ball) removes them, the more the larger the boxes, mostly by making neurons inactive. \
     A network with few active neurons computes little, which costs accuracy: this is the regularisation that small boxes reduce.",
    "The cosine says how far two losses pull the weights the same way: 1 for the same direction, 0 for unrelated ones, −1 for opposite ones. \
     The robust losses are the worst-case cross-entropies, by interval bounds, over the box of λ·ε and over the ε box; they are held \
     against the cross-entropy at the image (natural) and at the attacked point (adversarial). Gradients are those with respect to all \
     parameters, of single images, with batch norms by their running statistics; boxes and points are held fixed. A curve further \
     right means that the robust loss disturbs the other one less.",
    "The sizes of weights: their sum of absolute values (ℓ1), their Euclidean length (ℓ2), and the greatest sum of absolute values \
     of a row, that is, of the weights of one output, with the batch norm behind it taken in. The last is the largest factor by which \
     the layer can increase the radius of a box; the product over all layers bounds the Lipschitz constant of the network for the \
     largest change of a pixel.",
];

/// Traces of training as a document.
///
/// # Errors
/// [`Error::Config`] if there is no network, which leaves nothing to say.
pub fn document(of: &Regularisation) -> Result<Document> {
    if of.models.is_empty() {
        return Err(Error::Config("traces of training in no network: expected one".into()));
    }
    let data = to_value(of).map_err(|e| Error::Config(format!("regularisation as JSON: {e}")))?;
    let mut document = Document::new("regularisation", "What training does to ReLUs, gradients and weights", data);
    document.explanation = EXPLANATION.map(String::from).to_vec();
    document.explanation.push(format!(
        "Here: {} {} images of {}, ε = {}, λ = {}; gradients of the first {}.",
        of.images,
        of.split,
        of.dataset,
        radius(of.epsilon),
        number(of.lambda),
        of.gradient_images
    ));
    document.tables = vec![table(of)];
    document.tables.extend(of.models.iter().map(layer_table));
    document.findings = findings(of);
    document.figures = vec![states_figure(of), gradients_figure(of), norms_figure(of)];
    Ok(document)
}

/// All numbers, one a row: a share of a ReLU layer, the cosine of an image (nothing where there is none), the size of a weight. Layers are
/// counted from 1, images from 0.
pub fn sheet(of: &Regularisation) -> Sheet {
    let mut sheet = Sheet::new(&["model", "what", "where", "index", "value"]);
    for model in &of.models {
        let mut row = |what: &str, place: &str, index: usize, value: Option<f64>| {
            let value = value.map_or(String::new(), |value| value.to_string());
            sheet.rows.push(vec![model.model.clone(), what.into(), place.into(), index.to_string(), value]);
        };
        for region in &model.states {
            for (layer, states) in region.layers.iter().enumerate() {
                for (what, share) in
                    [("active", states.active), ("inactive", states.inactive), ("unstable", states.unstable)]
                {
                    row(what, region.region.name(), layer + 1, Some(share));
                }
            }
        }
        for alignment in &model.alignments {
            for (image, cosine) in alignment.cosines.iter().enumerate() {
                row("cosine", &alignment.pair(), image, *cosine);
            }
        }
        for (index, layer) in model.norms.layers.iter().enumerate() {
            for (what, size) in [("l1", layer.l1), ("l2", layer.l2), ("row l1", layer.row_l1)] {
                row(what, &layer.layer, index + 1, Some(size));
            }
        }
    }
    sheet
}

impl Alignment {
    /// `ε box, natural`.
    fn pair(&self) -> String {
        let point = if self.point == Region::Natural { "natural" } else { "adversarial" };
        format!("{}, {point}", self.robust.name())
    }
}

fn percent(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

/// The states in one region; all models have the same ones.
fn states(model: &ModelRegularisation, region: Region) -> Option<&RegionStates> {
    model.states.iter().find(|of| of.region == region)
}

fn mean(model: &ModelRegularisation, region: Region) -> Option<States> {
    states(model, region).map(|of| of.mean)
}

/// Side by side.
fn table(of: &Regularisation) -> Table {
    let mut head = vec![""];
    head.extend(of.models.iter().map(|model| model.model.as_str()));
    let mut table =
        Table::new("ReLUs (mean of the layers), gradients (mean of the images, 95 % interval) and weights", &head);
    let mut row = |name: String, cell: &dyn Fn(&ModelRegularisation) -> String| {
        table.rows.push(std::iter::once(name).chain(of.models.iter().map(cell)).collect());
    };
    for region in Region::ALL {
        let boxes = matches!(region, Region::SmallBox | Region::EpsilonBox);
        let parts: [(&str, Share); 3] =
            [("active", |s| s.active), ("inactive", |s| s.inactive), ("unstable", |s| s.unstable)];
        for (what, part) in parts.into_iter().take(if boxes { 3 } else { 1 }) {
            let cell = |model: &ModelRegularisation| {
                mean(model, region).map_or(String::new(), |states| percent(part(&states)))
            };
            row(format!("{}: {what} [%]", region.name()), &cell);
        }
    }
    for pair in 0..of.models[0].alignments.len() {
        let cell = |model: &ModelRegularisation| {
            let alignment = &model.alignments[pair];
            match alignment.half_width.is_nan() {
                true => format!("{:.3}", alignment.mean),
                false => format!("{:.3} ± {:.3}", alignment.mean, alignment.half_width),
            }
        };
        row(format!("cosine of gradients: {}", of.models[0].alignments[pair].pair()), &cell);
    }
    row("weights: ℓ1".into(), &|model| number(model.norms.l1));
    row("weights: ℓ2".into(), &|model| number(model.norms.l2));
    row("product of largest row sums".into(), &|model| number(model.norms.lipschitz));
    table
}

fn layer_table(model: &ModelRegularisation) -> Table {
    let caption = format!("Weights of {}", model.model);
    let mut table = Table::new(&caption, &["layer", "ℓ1", "ℓ2", "largest row sum"]);
    let sizes = |layer: &LayerNorm| [layer.l1, layer.l2, layer.row_l1].map(number);
    let row = |layer: &LayerNorm| std::iter::once(layer.layer.clone()).chain(sizes(layer)).collect();
    table.rows = model.norms.layers.iter().map(row).collect();
    table
}

/// `a 1, b 2`, rising, of those models that have a number.
fn ranked(
    of: &Regularisation,
    value: impl Fn(&ModelRegularisation) -> Option<f64>,
    text: impl Fn(f64) -> String,
) -> String {
    let known = of.models.iter().filter_map(|model| Some((model, value(model).filter(|v| v.is_finite())?)));
    let mut known: Vec<(&ModelRegularisation, f64)> = known.collect();
    known.sort_by(|a, b| a.1.total_cmp(&b.1));
    let texts: Vec<String> = known.iter().map(|(model, value)| format!("{} {}", model.model, text(*value))).collect();
    if texts.is_empty() { "none".into() } else { texts.join(", ") }
}

fn findings(of: &Regularisation) -> Vec<String> {
    let share = |value: f64| format!("{} %", percent(value));
    let order = if of.models.len() > 1 { ", rising" } else { "" };
    let part = |region: Region, part: Share| ranked(of, |model| mean(model, region).map(|states| part(&states)), share);
    let mut findings = vec![
        format!("Unstable ReLUs over the ε box{order}: {}.", part(Region::EpsilonBox, |s| s.unstable)),
        format!("Unstable ReLUs over the box of λ·ε{order}: {}.", part(Region::SmallBox, |s| s.unstable)),
        format!("Active ReLUs at the images{order}: {}.", part(Region::Natural, |s| s.active)),
    ];
    for model in &of.models {
        findings.extend([Region::Natural, Region::Pgd].iter().filter_map(|&point| nearer(model, point)));
        let none = model.alignments.iter().flat_map(|a| &a.cosines).filter(|cosine| cosine.is_none()).count();
        if none > 0 {
            findings.push(format!("{}: {none} cosines are left out: a gradient is 0 in f32.", model.model));
        }
    }
    findings.push(format!(
        "Product of the largest row sums of the layers{order}: {}.",
        ranked(of, |model| Some(model.norms.lipschitz), number)
    ));
    findings
}

/// Which of the two robust losses pulls nearer to the loss at a point.
fn nearer(model: &ModelRegularisation, point: Region) -> Option<String> {
    let cosine = |robust: Region| {
        let found = model.alignments.iter().find(|a| a.robust == robust && a.point == point)?;
        found.mean.is_finite().then_some(found.mean)
    };
    let (small, whole) = (cosine(Region::SmallBox)?, cosine(Region::EpsilonBox)?);
    let verdict = match small.total_cmp(&whole) {
        std::cmp::Ordering::Greater => "nearer to it than",
        std::cmp::Ordering::Less => "further from it than",
        std::cmp::Ordering::Equal => "as near to it as",
    };
    let loss = if point == Region::Natural { "natural" } else { "adversarial" };
    Some(format!(
        "{}: gradient of the {loss} loss: the robust loss over the box of λ·ε points {verdict} the one over the ε box (mean cosine {small:.3} \
         and {whole:.3}).",
        model.model
    ))
}

fn chart(title: &str, x: Axis, y: Axis, series: Vec<Series>) -> Chart {
    Chart { title: title.into(), x, y, equal_axes: false, series }
}

/// A line for each model, over numbered layers.
fn by_layer(of: &Regularisation, values: impl Fn(&ModelRegularisation) -> Vec<f64>) -> Vec<Series> {
    let line = |(index, model): (usize, &ModelRegularisation)| {
        let points = values(model).into_iter().enumerate().map(|(i, v)| (i as f64 + 1.0, v));
        Series::new(&model.model, index, Mark::Line(points.collect()))
    };
    of.models.iter().enumerate().map(line).collect()
}

fn numbered(name: &str) -> Axis {
    Axis { scale: Scale::Whole, ..Axis::linear(name, "") }
}

fn states_figure(of: &Regularisation) -> Figure {
    let shares: [(&str, Region, Share); 6] = [
        ("Images: active", Region::Natural, |s| s.active),
        ("PGD points: active", Region::Pgd, |s| s.active),
        ("Boxes of λ·ε: unstable", Region::SmallBox, |s| s.unstable),
        ("ε boxes: active", Region::EpsilonBox, |s| s.active),
        ("ε boxes: inactive", Region::EpsilonBox, |s| s.inactive),
        ("ε boxes: unstable", Region::EpsilonBox, |s| s.unstable),
    ];
    let charts = shares.map(|(title, region, part)| {
        let values = |model: &ModelRegularisation| {
            let layers = states(model, region).map_or(&[][..], |of| &of.layers);
            layers.iter().map(|states| 100.0 * part(states)).collect()
        };
        chart(title, numbered("ReLU layer"), Axis::linear("neurons", "%").within(0.0, 100.0), by_layer(of, values))
    });
    Figure {
        name: "states".into(),
        caption: "Share of ReLUs that are active, inactive or unstable in each layer: at images, at attacked points, over small boxes around \
                  those, over whole ε boxes."
            .into(),
        columns: 3,
        charts: charts.to_vec(),
    }
}

fn gradients_figure(of: &Regularisation) -> Figure {
    let charts = (0..of.models[0].alignments.len()).map(|pair| {
        let first = &of.models[0].alignments[pair];
        let loss = if first.point == Region::Natural { "natural" } else { "adversarial" };
        let lines = of.models.iter().enumerate();
        let series = lines.map(|(index, model)| {
            Series::new(&model.model, index, Mark::Line(distribution(&model.alignments[pair].cosines)))
        });
        chart(
            &format!("Loss over the {} and {loss} loss", first.robust.name()),
            Axis::linear("cosine of gradients", "").within(-1.0, 1.0),
            Axis::linear("images below", "%").within(0.0, 100.0),
            series.collect(),
        )
    });
    Figure {
        name: "gradients".into(),
        caption: "Cosine between the gradients of a robust and a natural or adversarial loss: for each value the share of images whose \
                  cosine is at most that. The further right a curve, the better the losses agree."
            .into(),
        columns: 2,
        charts: charts.collect(),
    }
}

/// Most points of a curve.
const POINTS: usize = 100;

/// The distribution of cosines: for shares of images, in percent, the cosine that as many have at most.
fn distribution(cosines: &[Option<f64>]) -> Vec<Point> {
    let mut known: Vec<f64> = cosines.iter().copied().flatten().collect();
    known.sort_by(f64::total_cmp);
    let points = known.len().min(POINTS);
    let least = known.first().map(|&cosine| (cosine, 0.0));
    let rising =
        (1..=points).map(|i| (known[(i * known.len()).div_ceil(points) - 1], 100.0 * i as f64 / points as f64));
    least.into_iter().chain(rising).collect()
}

fn norms_figure(of: &Regularisation) -> Figure {
    let sizes: [(&str, Size); 3] =
        [("ℓ1 of weights", |l| l.l1), ("ℓ2 of weights", |l| l.l2), ("Largest row sum", |l| l.row_l1)];
    let charts = sizes.map(|(title, size)| {
        let values = |model: &ModelRegularisation| model.norms.layers.iter().map(size).collect();
        chart(title, numbered("layer with weights"), Axis::logarithmic("size", ""), by_layer(of, values))
    });
    Figure {
        name: "weights".into(),
        caption: "Sizes of the weights of each layer; the largest row sum, batch norms taken in, is the largest factor by which a layer can \
                  increase the radius of a box."
            .into(),
        columns: 3,
        charts: charts.to_vec(),
    }
}
