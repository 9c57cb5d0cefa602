//! What the measured points say: table, sentences, pictures, rows of numbers.

use serde_json::{Value, json};

use super::{Axis, BOUND_SHARE, Point, Scaling, Series, TOLERANCE};
use crate::analyze::{Document, Sheet, Table};
use crate::figure::{self, Chart, Dot, Figure, Mark, Scale};
use crate::numbers::count;

/// The whole outcome.
pub fn document(scaling: &Scaling) -> Document {
    let title = format!("Scaling of a step: {} of {} on {}", scaling.method, scaling.arch, scaling.device);
    let mut document = Document::new("scaling", &title, data(scaling));
    document.explanation = vec![
        format!(
            "The time of a whole training step ({} of {}, batch {}, {} threads where nothing else is said) over batch sizes, over widths of the \
             network (the factor of its features and hidden units), and over threads. Each point is the least time of {} steps, taken in {} passes over \
             all points: what else the machine does only adds to it.",
            scaling.method,
            scaling.arch,
            scaling.batch,
            scaling.threads,
            scaling.steps * scaling.passes,
            scaling.passes
        ),
        format!(
            "In proportion means: the same time an image, the same time a floating-point operation (convolutions counted as if computed directly), half the \
             time on twice the threads. The law is the median of the points that are bound by compute, over threads that of the fewest threads. A \
             point is bound by compute if at least {:.0} % of its time passes in kernels whose arithmetic, at the measured peak, takes longer \
             than their traffic at the measured bandwidth.",
            100.0 * BOUND_SHARE
        ),
    ];
    document.tables = scaling.series.iter().map(table).collect();
    document.findings = scaling.series.iter().map(finding).collect();
    document.figures = scaling.series.iter().map(picture).collect();
    document
}

/// Name of a point among the rows of benches.
fn row_name(scaling: &Scaling, axis: Axis, point: &Point) -> String {
    format!("scaling/{}/{}/{}/{}", scaling.method, scaling.arch, axis.name(), figure::number(point.at))
}

fn data(scaling: &Scaling) -> Value {
    let row = |series: &Series, point: &Point| {
        json!({
            "name": row_name(scaling, series.axis, point), "median_ms": 1e3 * point.median, "min_ms": 1e3 * point.best,
            "gflops": point.flops as f64 / point.median / 1e9, "gbytes_per_s": point.bytes as f64 / point.median / 1e9,
            "of_roof": null, "axis": series.axis, "at": point.at, "images": point.images, "flops": point.flops,
            "samples_per_second": point.images as f64 / point.median, "compute_share": point.compute_share,
            "compute_bound": point.is_compute_bound(), "unit": point.unit(series.axis),
            "deviation": series.deviation(point), "linear": series.is_linear(point),
        })
    };
    let rows = scaling.series.iter().flat_map(|series| series.points.iter().map(move |point| row(series, point)));
    let law = |series: &Series| json!({ "axis": series.axis, "unit": series.axis.unit(), "value": series.reference() });
    json!({
        "device": scaling.device, "device_name": scaling.device_name, "method": scaling.method, "arch": scaling.arch,
        "batch": scaling.batch, "threads": scaling.threads, "steps": scaling.steps, "passes": scaling.passes,
        "tolerance": TOLERANCE, "laws": scaling.series.iter().map(law).collect::<Vec<_>>(),
        "rows": rows.collect::<Vec<_>>(),
    })
}

/// All points as CSV.
pub fn sheet(scaling: &Scaling) -> Sheet {
    let head = [
        "axis",
        "at",
        "images",
        "flops",
        "bytes",
        "median_ms",
        "min_ms",
        "unit",
        "time_over_work",
        "deviation",
        "compute_share",
        "linear",
    ];
    let mut sheet = Sheet::new(&head);
    for series in &scaling.series {
        sheet.rows.extend(series.points.iter().map(|point| {
            vec![
                series.axis.name().into(),
                point.at.to_string(),
                point.images.to_string(),
                point.flops.to_string(),
                point.bytes.to_string(),
                (1e3 * point.median).to_string(),
                (1e3 * point.best).to_string(),
                series.axis.unit().into(),
                point.unit(series.axis).to_string(),
                series.deviation(point).to_string(),
                point.compute_share.to_string(),
                series.is_linear(point).map_or(String::new(), |linear| linear.to_string()),
            ]
        }));
    }
    sheet
}

fn percent(share: f64) -> String {
    format!("{:+.1} %", 100.0 * share)
}

fn table(series: &Series) -> Table {
    let (axis, within) = (series.axis, format!("within {:.0} %", 100.0 * TOLERANCE));
    let head = [
        axis.name(),
        "best ms",
        "median ms",
        axis.unit(),
        "GFLOP/s",
        "in compute-bound kernels",
        "off linear",
        &within,
    ];
    let mut table = Table::new(&format!("Over {}", plural(axis)), &head);
    table.rows.extend(series.points.iter().map(|point| {
        let verdict = match series.is_linear(point) {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not compute-bound",
        };
        vec![
            figure::number(point.at),
            format!("{:.2}", 1e3 * point.best),
            format!("{:.2}", 1e3 * point.median),
            figure::number(point.unit(axis)),
            format!("{:.1}", point.flops as f64 / point.best / 1e9),
            format!("{:.0} %", 100.0 * point.compute_share),
            percent(series.deviation(point)),
            verdict.into(),
        ]
    }));
    table
}

fn plural(axis: Axis) -> &'static str {
    match axis {
        Axis::Batch => "batch sizes",
        Axis::Width => "widths",
        Axis::Threads => "threads",
    }
}

/// How many of the points that are bound by compute are linear, and how far off the worst is.
fn finding(series: &Series) -> String {
    let (name, tenth) = (plural(series.axis), 100.0 * TOLERANCE);
    let bound: Vec<&Point> = series.points.iter().filter(|point| point.is_compute_bound()).collect();
    let off = |point: &Point| series.deviation(point);
    let Some(worst) = bound.iter().max_by(|a, b| off(a).abs().total_cmp(&off(b).abs())) else {
        return format!("Over {name} no point is bound by compute, so that none is asked to be linear.");
    };
    let linear = bound.iter().filter(|point| series.is_linear(point) == Some(true)).count();
    format!(
        "Over {name}, {} of {} points are bound by compute; {} of these {} within {tenth:.0} % of linear, the farthest at {} {} ({}).",
        count(bound.len() as u64),
        count(series.points.len() as u64),
        count(linear as u64),
        if linear == 1 { "lies" } else { "lie" },
        series.axis.name(),
        figure::number(worst.at),
        percent(off(worst)),
    )
}

/// Looks of the series: measured points bound by compute, the others, the law, the limits.
const BOUND: usize = 0;
const OTHER: usize = 1;
const LAW: usize = 6;
const LIMIT: usize = 13;

fn axis_of(series: &Series) -> figure::Axis {
    match series.axis {
        Axis::Batch => figure::Axis::logarithmic("batch", "images"),
        Axis::Width => figure::Axis::logarithmic("width", ""),
        Axis::Threads => figure::Axis { scale: Scale::Whole, ..figure::Axis::linear("threads", "") },
    }
}

fn picture(series: &Series) -> Figure {
    let axis = series.axis;
    let law = |point: &Point| (point.at, 1e3 * point.best / (1.0 + series.deviation(point)));
    let measured = |bound: bool, y: &dyn Fn(&Point) -> f64| {
        let chosen = series.points.iter().filter(|point| point.is_compute_bound() == bound);
        let dots: Vec<Dot> = chosen.map(|point| Dot::at(point.at, y(point))).collect();
        let (name, style) = match bound {
            true => ("measured, compute-bound", BOUND),
            false => ("measured, not compute-bound", OTHER),
        };
        (!dots.is_empty()).then(|| figure::Series::new(name, style, Mark::Dots(dots)))
    };
    let both = |y: &dyn Fn(&Point) -> f64| [true, false].into_iter().filter_map(|bound| measured(bound, y)).collect();
    let in_proportion = figure::Series::new("in proportion", LAW, Mark::Line(series.points.iter().map(law).collect()));
    let mut times: Vec<figure::Series> = both(&|point| 1e3 * point.best);
    times.insert(0, in_proportion);
    let mut off: Vec<figure::Series> = both(&|point| 100.0 * series.deviation(point));
    off.insert(0, figure::Series::new("in proportion", LAW, Mark::Level(0.0)));
    let limit = |sign: f64| figure::Series::new("limits", LIMIT, Mark::Level(sign * 100.0 * TOLERANCE));
    off.extend([limit(1.0), limit(-1.0)]);
    let chart = |title: &str, y: figure::Axis, of: Vec<figure::Series>| Chart {
        title: title.into(),
        x: axis_of(series),
        y,
        equal_axes: false,
        series: of,
    };
    Figure {
        name: axis.name().into(),
        caption: format!(
            "Time of a step over {}, and how far it is from proportional, in {}.",
            plural(axis),
            axis.unit()
        ),
        columns: 2,
        charts: vec![
            chart("Time of a step", figure::Axis::logarithmic("time", "ms"), times),
            chart("Deviation from proportional", figure::Axis::linear("deviation", "%"), off),
        ],
    }
}
