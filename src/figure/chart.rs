//! What a chart shows.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Equal differences are equally long.
    Linear,
    /// Equal ratios are equally long; values that are not positive can't be shown and leave gaps.
    Logarithmic,
    /// Linear, with marks at whole numbers only.
    Whole,
}

/// An axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// What is measured.
    pub name: String,
    /// Its unit; empty for a plain number.
    pub unit: String,
    /// How values are spread.
    pub scale: Scale,
    /// The least and greatest value that can be: the axis is not widened beyond them.
    #[serde(serialize_with = "write_limits", deserialize_with = "read_limits")]
    pub limits: (f64, f64),
}

impl Axis {
    /// A linear axis without limits.
    pub fn linear(name: &str, unit: &str) -> Axis {
        let limits = (f64::NEG_INFINITY, f64::INFINITY);
        Axis { name: name.into(), unit: unit.into(), scale: Scale::Linear, limits }
    }

    /// A logarithmic axis.
    pub fn logarithmic(name: &str, unit: &str) -> Axis {
        Axis { scale: Scale::Logarithmic, ..Axis::linear(name, unit) }
    }

    /// The same axis, not widened beyond `low` and `high`.
    pub fn within(self, low: f64, high: f64) -> Axis {
        Axis { limits: (low, high), ..self }
    }

    /// Name and unit as they stand at the axis.
    pub(super) fn label(&self) -> String {
        let note = if self.scale == Scale::Logarithmic { ", logarithmic" } else { "" };
        match self.unit.as_str() {
            "" => format!("{}{note}", self.name),
            unit => format!("{} [{unit}]{note}", self.name),
        }
    }

    /// Whether `value` has a place on this axis.
    pub(super) fn shows(&self, value: f64) -> bool {
        value.is_finite() && (self.scale != Scale::Logarithmic || value > 0.0)
    }
}

/// A place (x, y), or a corner of a polygon.
pub type Point = (f64, f64);

/// A single value with its uncertainty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dot {
    /// Where it is.
    pub at: Point,
    /// Ends of its interval along x, where it has one.
    pub across: Option<(f64, f64)>,
    /// Ends of its interval along y.
    pub along: Option<(f64, f64)>,
    /// What it is, said when pointed at; empty for the name of its series.
    pub note: String,
}

impl Dot {
    /// A dot without intervals.
    pub fn at(x: f64, y: f64) -> Dot {
        Dot { at: (x, y), across: None, along: None, note: String::new() }
    }
}

/// How the values of a series are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// A line through points, in their order. A y that is not finite, or has no place on a logarithmic axis, leaves a gap.
    #[serde(serialize_with = "write_points", deserialize_with = "read_points")]
    Line(Vec<Point>),
    /// Points alone, with intervals.
    Dots(Vec<Dot>),
    /// A histogram: the height over each interval between neighbouring edges, one edge more than heights.
    Histogram {
        /// Ends of the intervals, rising.
        edges: Vec<f64>,
        /// One for each interval.
        heights: Vec<f64>,
    },
    /// Filled polygons, each by its corners.
    Areas(Vec<Vec<Point>>),
    /// Closed outlines of polygons.
    Outlines(Vec<Vec<Point>>),
    /// A line all across at one height.
    Level(f64),
}

/// Values that belong together, with one entry in the legend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Number of its look (colour and dashes); the same in all charts that show the same thing.
    pub style: usize,
    /// What is drawn.
    pub mark: Mark,
}

impl Series {
    /// A series called `name` with look number `style`.
    pub fn new(name: &str, style: usize, mark: Mark) -> Series {
        Series { name: name.into(), style, mark }
    }

    /// What makes it impossible to draw on these axes.
    fn check(&self, x: &Axis, y: &Axis) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("series '{}': {what}", self.name));
        let placed = |points: &[Point]| points.iter().all(|p| x.shows(p.0) && y.shows(p.1));
        match &self.mark {
            Mark::Line(_) => Ok(()),
            Mark::Dots(dots) => {
                let ends = |dot: &Dot| {
                    dot.across.into_iter().chain(dot.along).all(|(low, high)| low <= high && high.is_finite())
                };
                match dots.iter().all(|dot| x.shows(dot.at.0) && y.shows(dot.at.1) && ends(dot)) {
                    true => Ok(()),
                    false => wrong("a dot without a place, or with an interval whose ends are not in order"),
                }
            }
            Mark::Histogram { edges, heights } => match () {
                () if edges.len() != heights.len() + 1 => wrong("a histogram needs one edge more than heights"),
                () if !edges.windows(2).all(|pair| pair[0] < pair[1]) => wrong("edges of a histogram must rise"),
                () if y.scale == Scale::Logarithmic => wrong("a histogram needs a linear axis"),
                () if !placed(&self.places()) => wrong("a height or an edge without a place"),
                () => Ok(()),
            },
            Mark::Areas(polygons) | Mark::Outlines(polygons) => match polygons.iter().all(|corners| placed(corners)) {
                true => Ok(()),
                false => wrong("a corner without a place"),
            },
            Mark::Level(level) if y.shows(*level) => Ok(()),
            Mark::Level(_) => wrong("a level without a place"),
        }
    }

    /// Every place that must lie on the chart.
    pub(super) fn places(&self) -> Vec<Point> {
        match &self.mark {
            Mark::Line(points) => points.clone(),
            Mark::Dots(dots) => dots.iter().flat_map(Dot::places).collect(),
            Mark::Histogram { edges, heights } => {
                let tops = edges.windows(2).zip(heights).flat_map(|(ends, &h)| [(ends[0], h), (ends[1], h)]);
                tops.chain(edges.first().map(|&edge| (edge, 0.0))).collect()
            }
            Mark::Areas(polygons) | Mark::Outlines(polygons) => polygons.concat(),
            Mark::Level(_) => Vec::new(),
        }
    }
}

impl Dot {
    fn places(&self) -> Vec<Point> {
        let (x, y) = self.at;
        let across = self.across.into_iter().flat_map(|(low, high)| [(low, y), (high, y)]);
        let along = self.along.into_iter().flat_map(|(low, high)| [(x, low), (x, high)]);
        [(x, y)].into_iter().chain(across).chain(along).collect()
    }
}

/// A chart with a legend; [`Chart::svg`] draws it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// Heading.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Whether equal differences are equally long on both axes, which then must be linear: for places in a plane.
    #[serde(default)]
    pub equal_axes: bool,
    /// What is drawn, in this order.
    pub series: Vec<Series>,
}

impl Chart {
    /// What makes it impossible to draw.
    fn check(&self) -> Result<(), String> {
        let at = |reason: String| format!("chart '{}': {reason}", self.title);
        if self.equal_axes && [&self.x, &self.y].iter().any(|axis| axis.scale == Scale::Logarithmic) {
            return Err(at("axes of equal units can't be logarithmic".into()));
        }
        self.series.iter().try_for_each(|series| series.check(&self.x, &self.y)).map_err(at)
    }
}

impl Figure {
    /// Whether all of it can be drawn: numbers that have a place, intervals and edges in order.
    ///
    /// # Errors
    /// The chart, the series and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.columns == 0 || self.charts.is_empty() {
            return Err(format!("{} charts in {} columns: expected some", self.charts.len(), self.columns));
        }
        self.charts.iter().try_for_each(Chart::check)
    }
}

/// Charts that belong together, side by side with one legend for all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Last part of its file's name; empty where an analysis has only one.
    pub name: String,
    /// What is to be seen, in a sentence or two.
    pub caption: String,
    /// Charts in a row.
    pub columns: usize,
    /// The charts, row by row.
    pub charts: Vec<Chart>,
}

// JSON has no numbers that are not finite: a gap in a line, or an axis without limits, is null there.

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn write_points<S: Serializer>(points: &[Point], to: S) -> Result<S::Ok, S::Error> {
    points.iter().map(|&(x, y)| (finite(x), finite(y))).collect::<Vec<_>>().serialize(to)
}

fn read_points<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Point>, D::Error> {
    let points = Vec::<(Option<f64>, Option<f64>)>::deserialize(from)?;
    Ok(points.into_iter().map(|(x, y)| (x.unwrap_or(f64::NAN), y.unwrap_or(f64::NAN))).collect())
}

fn write_limits<S: Serializer>(limits: &(f64, f64), to: S) -> Result<S::Ok, S::Error> {
    (finite(limits.0), finite(limits.1)).serialize(to)
}

fn read_limits<'de, D: Deserializer<'de>>(from: D) -> Result<(f64, f64), D::Error> {
    let (low, high) = <(Option<f64>, Option<f64>)>::deserialize(from)?;
    Ok((low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY)))
}
