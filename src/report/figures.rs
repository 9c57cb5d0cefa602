//! The curves of a report: which figures of the metrics, and how each is drawn.

use super::run::ReportedRun;
use crate::figure::{Axis, Chart, Mark, Scale, Series};

/// Values further apart than this ratio are drawn on a logarithmic axis, where the figure allows that.
const WIDE: f64 = 20.0;

/// A figure over the epochs.
struct Figure {
    title: &'static str,
    /// Key in the metrics.
    key: &'static str,
    name: &'static str,
    unit: &'static str,
    /// What a value in the metrics is multiplied by.
    factor: f64,
    limits: (f64, f64),
    may_be_logarithmic: bool,
    /// Left out when no run has a value; other figures then say that there is none.
    optional: bool,
}

const PLAIN: Figure = Figure {
    title: "",
    key: "",
    name: "",
    unit: "",
    factor: 1.0,
    limits: (f64::NEG_INFINITY, f64::INFINITY),
    may_be_logarithmic: false,
    optional: false,
};

const fn rate(title: &'static str, key: &'static str, name: &'static str, optional: bool) -> Figure {
    Figure { title, key, name, unit: "%", factor: 100.0, limits: (0.0, 100.0), optional, ..PLAIN }
}

/// All figures, in the order of the page.
const FIGURES: [Figure; 12] = [
    Figure { title: "Training loss", key: "loss", name: "mean loss", may_be_logarithmic: true, ..PLAIN },
    rate("Natural accuracy, training images", "train_natural", "natural accuracy", false),
    rate("Natural accuracy, validation images", "validation_natural", "natural accuracy", true),
    rate("Adversarial accuracy, training images", "train_adversarial", "adversarial accuracy", false),
    rate("Adversarial accuracy, validation images", "validation_adversarial", "adversarial accuracy", true),
    rate("IBP-certified, training images", "train_ibp", "IBP-certified", false),
    rate("IBP-certified, validation images", "validation_ibp", "IBP-certified", true),
    rate("Certified on the small box, training images", "train_box", "certified", true),
    rate("Certified on the small box, validation images", "validation_box", "certified", true),
    Figure { title: "Radius ε in training", key: "epsilon", name: "ε", limits: (0.0, 1.0), ..PLAIN },
    Figure { title: "Learning rate", key: "lr", name: "learning rate", may_be_logarithmic: true, ..PLAIN },
    Figure {
        title: "Speed",
        key: "samples_per_second",
        name: "training samples",
        unit: "1/s",
        limits: (0.0, f64::INFINITY),
        ..PLAIN
    },
];

/// The charts of `runs`: each figure once, with all runs that have it. A run has the same look in all of them.
pub(super) fn charts(runs: &[ReportedRun]) -> Vec<Chart> {
    FIGURES.iter().filter_map(|figure| chart(figure, runs)).collect()
}

fn chart(figure: &Figure, runs: &[ReportedRun]) -> Option<Chart> {
    let value = |run: &ReportedRun, index: usize| match figure.key {
        "samples_per_second" => run.epoch_speed(index),
        key => run.history.rows[index].get(key),
    };
    let points = |run: &ReportedRun| {
        let place = |(index, row): (usize, &super::Row)| {
            (f64::from(row.epoch), value(run, index).map_or(f64::NAN, |value| figure.factor * value))
        };
        run.history.rows.iter().enumerate().map(place).collect::<Vec<_>>()
    };
    let ys = |series: &Series| match &series.mark {
        Mark::Line(points) => points.iter().map(|point| point.1).filter(|y| y.is_finite()).collect(),
        _ => Vec::new(),
    };
    let mut series: Vec<Series> =
        runs.iter().enumerate().map(|(style, run)| Series::new(&run.label, style, Mark::Line(points(run)))).collect();
    if figure.optional {
        series.retain(|series| !ys(series).is_empty());
        if series.is_empty() {
            return None;
        }
    }
    let values = series.iter().flat_map(ys);
    let (low, high) = values.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), v| (low.min(v), high.max(v)));
    let logarithmic = figure.may_be_logarithmic && low > 0.0 && high / low > WIDE;
    let scale = if logarithmic { Scale::Logarithmic } else { Scale::Linear };
    Some(Chart {
        title: figure.title.into(),
        x: Axis { scale: Scale::Whole, ..Axis::linear("epoch", "") },
        y: Axis { scale, limits: figure.limits, ..Axis::linear(figure.name, figure.unit) },
        equal_axes: false,
        series,
    })
}
