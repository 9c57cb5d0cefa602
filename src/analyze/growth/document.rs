//! Growth in words, tables and figures.

use serde_json::to_value;

use super::{Center, CenterGrowth, Growth, Kind, LayerGrowth, LayerInfo, ModelGrowth};
use crate::analyze::{Document, Sheet, Table};
use crate::error::{Error, Result};
use crate::figure::{Axis, Chart, Figure, Mark, Point, Series, number};
use crate::numbers::radius;

/// An exponent is called super-linear from here on: below lies what f32 rounds.
const SUPER_LINEAR: f64 = 1.0 + 1e-4;
/// Rates that differ by less are called equal: what f32 rounds in the middles of boxes.
const EQUAL: f64 = 1e-6;

const EXPLANATION: [&str; 4] = [
    "A box around an image holds all images whose pixels differ from it by a radius at most. Interval bound propagation (IBP) pushes \
     it through the network layer by layer: the box behind a layer holds all that the layer makes of the box before it, and more. The \
     growth rate κ of a layer is the mean radius behind it divided by the mean radius before it, over all neurons and images; that of \
     the network, mean radius of the outputs over radius of the input, is the product over its layers. The larger the boxes of the \
     outputs, the looser the bounds, and the stronger is what training on them takes from a network's freedom.",
    "An affine layer (convolution, linear layer, batch norm, normalisation of the input) multiplies radii by the sizes of its weights: \
     its κ depends neither on how large a box is nor on where. A ReLU passes the box of a neuron that is active on all of it, cuts that of \
     an inactive one to a point, and keeps a part of the others. So its κ lies between 0 and 1: for tiny boxes it is the share of active \
     neurons, for huge ones it is one half. Where most neurons are inactive it therefore grows with the box, and the output of the network \
     grows faster than its input: super-linearly. That is why SABR, which trains on boxes of a radius λ·ε, regularises by far less \
     than the factor λ says.",
    "The input boxes have radius λ·ε in every pixel, for λ from small to large, and are not cut with [0, 1], so that all pixels of a box \
     are alike. They are put at images (natural), at the points that a PGD attack finds in their ε balls, and at images of uniformly \
     random pixels. A batch norm is a layer of its own, with its running statistics. Each layer has two rates: of the boxes as they \
     arrive, whose neurons have different radii, so that even an affine layer's rate can change a little with the size; and of uniform \
     boxes, in which all neurons have the mean radius of those. The second is the layer's own.",
    "Dashed beside the measured rates of ReLUs is the closed form of the paper (Müller et al. 2023) for inputs that are normally \
     distributed, with the mean and deviation that the layer's inputs have over all neurons and images: \
     E[r'] = ½((δ + μ)(Φ(b) − Φ(a)) + σ(φ(a) − φ(b))) + δ(1 − Φ(b)) with a = (−δ − μ)/σ, b = (δ − μ)/σ. Where it lies apart from the \
     measured line, the inputs are not normally distributed.",
];

/// Growth as a document.
///
/// # Errors
/// [`Error::Config`] if there is no network, which leaves nothing to say.
pub fn document(growth: &Growth) -> Result<Document> {
    if growth.models.is_empty() {
        return Err(Error::Config("growth of no network: expected one".into()));
    }
    let data = to_value(growth).map_err(|e| Error::Config(format!("growth as JSON: {e}")))?;
    let mut document = Document::new("growth", "How boxes grow through the layers", data);
    document.explanation = EXPLANATION.map(String::from).to_vec();
    document.explanation.push(format!(
        "Here: {} {} images of {}, ε = {}.",
        growth.images,
        growth.split,
        growth.dataset,
        radius(growth.epsilon)
    ));
    document.tables = vec![network_table(growth)];
    document.tables.extend(growth.models.iter().map(|model| layer_table(growth, model)));
    document.findings = growth.models.iter().flat_map(|model| findings(growth, model)).collect();
    document.findings.extend(comparison(growth));
    document.figures =
        vec![layers_figure(growth, true), layers_figure(growth, false), network_figure(growth), centers_figure(growth)];
    Ok(document)
}

/// All rates, a row for each network, place, size and layer; the last layer of each is the whole network.
pub fn sheet(growth: &Growth) -> Sheet {
    let mut sheet = Sheet::new(&[
        "model",
        "center",
        "lambda",
        "radius",
        "layer",
        "kind",
        "input_radius",
        "propagated",
        "uniform",
        "gaussian",
    ]);
    for model in &growth.models {
        for center in &model.centers {
            for (size, (lambda, radius)) in growth.lambdas.iter().zip(&growth.radii).enumerate() {
                let begin = [model.model.clone(), center.center.name().into(), lambda.to_string(), radius.to_string()];
                let mut row = |end: [String; 6]| sheet.rows.push(begin.iter().cloned().chain(end).collect());
                for (info, layer) in model.layers.iter().zip(&center.layers) {
                    row([
                        info.name.clone(),
                        info.kind.name().into(),
                        layer.input_radius[size].to_string(),
                        layer.propagated[size].to_string(),
                        layer.uniform[size].to_string(),
                        layer.gaussian.as_ref().map_or(String::new(), |rates| rates[size].to_string()),
                    ]);
                }
                let whole = ["network".into(), String::new(), radius.to_string(), center.network[size].to_string()];
                let [layer, kind, input, rate] = whole;
                row([layer, kind, input, rate, String::new(), String::new()]);
            }
        }
    }
    sheet
}

impl Kind {
    /// Its name in tables.
    fn name(self) -> &'static str {
        match self {
            Kind::Normalisation => "normalisation",
            Kind::Convolution => "convolution",
            Kind::Linear => "linear",
            Kind::BatchNorm => "batch norm",
            Kind::Relu => "ReLU",
        }
    }
}

fn of(model: &ModelGrowth, center: Center) -> impl Iterator<Item = &CenterGrowth> {
    model.centers.iter().filter(move |of| of.center == center)
}

/// The layers of a kind with their growth around images.
fn natural(model: &ModelGrowth, relu: bool) -> impl Iterator<Item = (&LayerInfo, &LayerGrowth)> {
    let layers = of(model, Center::Natural).flat_map(|center| model.layers.iter().zip(&center.layers));
    layers.filter(move |(info, _)| (info.kind == Kind::Relu) == relu)
}

/// A number, or a dash for what is none.
fn shown(value: f64) -> String {
    if value.is_finite() { number(value) } else { "–".into() }
}

/// Least and greatest exponent, or a dash where there is none.
fn exponents(center: &CenterGrowth) -> String {
    let (low, high) = range(&center.exponents);
    if low <= high { format!("{low:.4} to {high:.4}") } else { "–".into() }
}

/// Least and greatest of numbers; infinite ends of an empty range if all are none.
fn range<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> (f64, f64) {
    numbers.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &n| (low.min(n), high.max(n)))
}

fn ends(growth: &Growth) -> [(usize, String); 2] {
    [0, growth.radii.len() - 1].map(|size| (size, number(growth.radii[size])))
}

fn network_table(growth: &Growth) -> Table {
    let [(first, small), (last, large)] = ends(growth);
    let head = ["network, boxes at", &format!("κ at radius {small}"), &format!("κ at {large}"), "local exponents"];
    let mut table =
        Table::new("Growth rate κ of whole networks: radius of the outputs over radius of the input", &head);
    for model in &growth.models {
        for center in &model.centers {
            table.rows.push(vec![
                format!("{}, {}", model.model, center.center.name()),
                shown(center.network[first]),
                shown(center.network[last]),
                exponents(center),
            ]);
        }
    }
    table
}

fn layer_table(growth: &Growth, model: &ModelGrowth) -> Table {
    let [(first, small), (last, large)] = ends(growth);
    let head = [
        "layer",
        &format!("uniform box, {small}"),
        &large,
        &format!("as it arrives, {small}"),
        &large,
        "mean of inputs",
        "deviation",
    ];
    let caption = format!("Growth rate κ of the layers of {} around images, by radius of the input", model.model);
    let mut table = Table::new(&caption, &head);
    for (info, layer) in of(model, Center::Natural).flat_map(|center| model.layers.iter().zip(&center.layers)) {
        let rates = [&layer.uniform, &layer.propagated].into_iter().flat_map(|of| [shown(of[first]), shown(of[last])]);
        let moments = match info.gaussian {
            Some(gaussian) => [number(gaussian.mean), number(gaussian.deviation)],
            None => [String::new(), String::new()],
        };
        table.rows.push([info.name.clone()].into_iter().chain(rates).chain(moments).collect());
    }
    table
}

fn findings(growth: &Growth, model: &ModelGrowth) -> Vec<String> {
    let name = &model.model;
    vec![
        affine_finding(name, model),
        relu_finding(name, model),
        gaussian_finding(name, model),
        network_finding(growth, model),
    ]
}

fn affine_finding(name: &str, model: &ModelGrowth) -> String {
    // A spread that is no number, of boxes that are points, says nothing.
    let changing = natural(model, false).filter(|(info, layer)| layer.spread() > info.rounding);
    let changing: Vec<&str> = changing.map(|(info, _)| info.name.as_str()).collect();
    let most = natural(model, false).map(|(_, layer)| layer.spread()).fold(0.0, f64::max);
    let (low, high) = range(natural(model, false).map(|(_, layer)| &layer.uniform[0]));
    match changing.is_empty() {
        true => format!(
            "{name}: the rates of its affine layers, {} to {}, are the same for uniform boxes of all sizes: they differ by at most \
             {most:.1e} of themselves, which f32 rounds.",
            shown(low),
            shown(high)
        ),
        false => format!(
            "{name}: the rate of {} changes with the size of a uniform box by more than f32 rounds, which no affine layer's should.",
            changing.join(", ")
        ),
    }
}

fn relu_finding(name: &str, model: &ModelGrowth) -> String {
    let (low, high) = range(natural(model, true).flat_map(|(_, layer)| &layer.uniform));
    let named = |wanted: Course| {
        let layers = natural(model, true).filter(|(_, layer)| course(layer) == wanted);
        layers.map(|(info, _)| info.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let verbs = [
        (Course::Rising, "grow with the box in"),
        (Course::Falling, "fall in"),
        (Course::Neither, "do neither throughout in"),
    ];
    let texts = verbs.map(|(wanted, verb)| (verb, named(wanted))).into_iter().filter(|(_, layers)| !layers.is_empty());
    let texts: Vec<String> = texts.map(|(verb, layers)| format!("{verb} {layers}")).collect();
    format!("{name}: the rates of its ReLUs lie between {} and {}; they {}.", shown(low), shown(high), texts.join(", "))
}

/// How a rate changes with the size.
#[derive(Clone, Copy, PartialEq)]
enum Course {
    Rising,
    Falling,
    Neither,
}

fn course(layer: &LayerGrowth) -> Course {
    let all = |sign: f64| layer.uniform.windows(2).all(|pair| sign * (pair[1] - pair[0]) >= -EQUAL);
    match (all(1.0), all(-1.0)) {
        (true, false) => Course::Rising,
        (false, true) => Course::Falling,
        _ => Course::Neither,
    }
}

fn gaussian_finding(name: &str, model: &ModelGrowth) -> String {
    let differences = natural(model, true).flat_map(|(info, layer)| {
        let closed = layer.gaussian.iter().flatten();
        let of = |(rate, closed): (&f64, &f64)| ((rate - closed).abs(), info.name.clone());
        layer.uniform.iter().zip(closed).map(of).collect::<Vec<_>>()
    });
    let differences: Vec<(f64, String)> = differences.filter(|(difference, _)| difference.is_finite()).collect();
    let Some((most, layer)) = differences.iter().max_by(|a, b| a.0.total_cmp(&b.0)) else {
        return format!("{name}: its ReLUs have no boxes to hold against the closed form.");
    };
    let mean = differences.iter().map(|(difference, _)| difference).sum::<f64>() / differences.len() as f64;
    format!(
        "{name}: the closed form for normally distributed inputs differs from the measured rates of ReLUs by {} in the mean and {} at \
         most, in {layer}.",
        number(mean),
        number(*most)
    )
}

fn network_finding(growth: &Growth, model: &ModelGrowth) -> String {
    let mut texts = Vec::new();
    for center in &model.centers {
        let below = center.exponents.iter().filter(|&&p| p < SUPER_LINEAR || p.is_nan()).count();
        let verdict = match below {
            0 => "super-linear at every size".to_string(),
            n if n == center.exponents.len() => "super-linear at no size".to_string(),
            n => format!("not super-linear at {n} of {} sizes", center.exponents.len()),
        };
        texts.push(format!("{} exponent {}, {verdict}", center.center.name(), exponents(center)));
    }
    let ratio = |of: &CenterGrowth, factor: f64| factor * of.network[growth.radii.len() - 1] / of.network[0];
    let factor = growth.radii[growth.radii.len() - 1] / growth.radii[0];
    let [(_, small), (_, large)] = ends(growth);
    let shrinks = of(model, Center::Natural).map(|center| {
        format!(
            " From radius {small} to {large} at images, a factor of {}, the outputs' boxes grow by a factor of {}.",
            number(factor),
            shown(ratio(center, factor))
        )
    });
    format!("{}: growth of the whole network: {}.{}", model.model, texts.join("; "), shrinks.collect::<String>())
}

/// The order of several networks by their growth at the size next to ε.
fn comparison(growth: &Growth) -> Option<String> {
    let distance = |size: &usize| (growth.lambdas[*size]).ln().abs();
    let size = (0..growth.radii.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    let mut rates: Vec<(f64, &str)> = growth
        .models
        .iter()
        .flat_map(|model| of(model, Center::Natural).map(|center| (center.network[size], model.model.as_str())))
        .collect();
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let texts: Vec<String> = rates.iter().map(|(rate, model)| format!("{model} {}", shown(*rate))).collect();
    let at = number(growth.radii[size]);
    (texts.len() > 1)
        .then(|| format!("Growth rate κ of whole networks at radius {at} around images, rising: {}.", texts.join(", ")))
}

/// Look number of a series: its colour by block, its dashes by kind.
fn look(block: usize, dashes: usize) -> usize {
    // Colours repeat after 7, dashes after 5: of the numbers up to 35 one has both.
    let (colour, dashes) = ((block + 6) % 7, (dashes + 3 * ((block.max(1) - 1) / 7)) % 5);
    (15 * colour + 21 * dashes) % 35
}

fn line(growth: &Growth, values: &[f64]) -> Mark {
    Mark::Line(growth.radii.iter().copied().zip(values.iter().copied()).collect())
}

fn radius_axis() -> Axis {
    Axis::logarithmic("radius of the input box", "pixels")
}

fn layers_figure(growth: &Growth, uniform: bool) -> Figure {
    let rate = |layer: &LayerGrowth| line(growth, if uniform { &layer.uniform } else { &layer.propagated });
    let mut charts = Vec::new();
    for model in &growth.models {
        let affine = natural(model, false).map(|(info, layer)| {
            let dashes = match info.kind {
                Kind::BatchNorm => 2,
                Kind::Normalisation => 3,
                _ => 0,
            };
            Series::new(&info.name, look(info.block, dashes), rate(layer))
        });
        let relus = natural(model, true).flat_map(|(info, layer)| {
            let closed = layer.gaussian.iter().map(|rates| {
                Series::new(&format!("{}, closed form", info.name), look(info.block, 1), line(growth, rates))
            });
            let measured = Series::new(&info.name, look(info.block, 0), rate(layer));
            std::iter::once(measured).chain(closed.filter(|_| uniform)).collect::<Vec<_>>()
        });
        let chart = |kind: &str, y: Axis, series: Vec<Series>| Chart {
            title: format!("{}: {kind}", model.model),
            x: radius_axis(),
            y,
            equal_axes: false,
            series,
        };
        charts.push(chart("affine layers", Axis::logarithmic("growth rate κ", ""), affine.collect()));
        charts.push(chart("ReLU layers", Axis::linear("growth rate κ", "").within(0.0, 1.0), relus.collect()));
    }
    let (name, caption) = match uniform {
        true => (
            "layers",
            "Growth rate of each layer for uniform boxes around its inputs at images: level lines for affine layers, for ReLUs the share of \
             active neurons where boxes are small and towards one half where they are large; dashed the closed form for normally \
             distributed inputs.",
        ),
        false => (
            "arriving",
            "Growth rate of each layer for the boxes around images as they arrive from the layers before it.",
        ),
    };
    Figure { name: name.into(), caption: caption.into(), columns: 2, charts }
}

/// κ and local exponents of the whole network, a line for each of `lines`: name, look, growth.
fn network_charts<'a>(
    growth: &Growth,
    title: &str,
    lines: impl Iterator<Item = (String, usize, &'a CenterGrowth)>,
) -> [Chart; 2] {
    let lines: Vec<_> = lines.collect();
    // An exponent belongs between two sizes.
    let between = growth.radii.windows(2).map(|pair| (pair[0] * pair[1]).sqrt());
    let exponents = |of: &CenterGrowth| -> Vec<Point> { between.clone().zip(of.exponents.iter().copied()).collect() };
    let rates = lines.iter().map(|(name, look, of)| Series::new(name, *look, line(growth, &of.network)));
    let mut powers: Vec<Series> =
        lines.iter().map(|(name, look, of)| Series::new(name, *look, Mark::Line(exponents(of)))).collect();
    powers.push(Series::new("linear growth", LINEAR_LOOK, Mark::Level(1.0)));
    let chart = |what: &str, y: Axis, series: Vec<Series>| Chart {
        title: format!("{title}{what}"),
        x: radius_axis(),
        y,
        equal_axes: false,
        series,
    };
    [
        chart("growth rate of the network", Axis::logarithmic("growth rate κ", ""), rates.collect()),
        chart("local exponent", Axis::linear("exponent p, output ∝ inputᵖ", ""), powers),
    ]
}

/// The colour of words, dashed.
const LINEAR_LOOK: usize = 6;

fn network_figure(growth: &Growth) -> Figure {
    let lines = growth.models.iter().enumerate().flat_map(|(index, model)| {
        of(model, Center::Natural).map(move |center| (model.model.clone(), model_look(index), center))
    });
    Figure {
        name: "network".into(),
        caption: "Growth of whole networks around images: output radius over input radius, and how steeply the output grows with the \
                  input; above 1 it is super-linear, so that a box that is halved shrinks the output by more than half."
            .into(),
        columns: 2,
        charts: network_charts(growth, "Images: ", lines).to_vec(),
    }
}

/// Look number of a network: its place, with the number of the line of linear growth left out.
fn model_look(index: usize) -> usize {
    index + usize::from(index >= LINEAR_LOOK)
}

fn centers_figure(growth: &Growth) -> Figure {
    let charts = growth.models.iter().flat_map(|model| {
        let lines = model.centers.iter().enumerate();
        let lines = lines.map(|(index, of)| (format!("boxes at {} points", of.center.name()), index, of));
        network_charts(growth, &format!("{}: ", model.model), lines)
    });
    Figure {
        name: "centers".into(),
        caption: "The same by where the boxes are put: at images (natural), at the points that a PGD attack finds near them, at random images."
            .into(),
        columns: 2,
        charts: charts.collect(),
    }
}
