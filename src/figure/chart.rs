//! What a chart shows.

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally long.
    Linear,
    /// Equal ratios are equally long; values that are not positive can't be shown and leave gaps.
    Logarithmic,
    /// Linear, with marks at whole numbers only.
    Whole,
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What is measured.
    pub name: String,
    /// Its unit; empty for a plain number.
    pub unit: String,
    /// How values are spread.
    pub scale: Scale,
    /// The least and greatest value that can be: the axis is not widened beyond them.
    pub limits: (f64, f64),
}

impl Axis {
    /// A linear axis without limits.
    pub fn linear(name: &str, unit: &str) -> Axis {
        let limits = (f64::NEG_INFINITY, f64::INFINITY);
        Axis { name: name.into(), unit: unit.into(), scale: Scale::Linear, limits }
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

/// A line through points.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Number of its look (colour and dashes); the same in all charts that show the same thing.
    pub style: usize,
    /// Points (x, y) in the order of the line. A y that is not finite, or has no place on a logarithmic axis, leaves a gap.
    pub points: Vec<(f64, f64)>,
}

/// A chart of lines with a legend; [`Chart::svg`] draws it.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Heading.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// The lines, drawn in this order.
    pub series: Vec<Series>,
}
