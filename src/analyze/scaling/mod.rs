//! How a step's time grows with its work: over batch sizes, widths of the network, threads. Is it in proportion?

mod document;

use serde::Serialize;

pub use document::{document, sheet};

/// Up to this deviation from proportional a point counts as linear.
pub const TOLERANCE: f64 = 0.1;
/// A point is bound by compute if at least this share of its time passes in kernels that are: the rest alone can then make no larger
/// deviation than is tolerated.
pub const BOUND_SHARE: f64 = 1.0 - TOLERANCE;

/// What is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Images of a step.
    Batch,
    /// Factor of the network's features and hidden units.
    Width,
    /// Threads of the native device.
    Threads,
}

impl Axis {
    /// All of them.
    pub const ALL: [Axis; 3] = [Axis::Batch, Axis::Width, Axis::Threads];

    /// Name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Axis::Batch => "batch",
            Axis::Width => "width",
            Axis::Threads => "threads",
        }
    }

    /// What is constant where time grows in proportion, as a unit; see [`Point::unit`].
    pub fn unit(self) -> &'static str {
        match self {
            Axis::Batch => "µs an image",
            Axis::Width => "ps a FLOP",
            Axis::Threads => "thread-ms a step",
        }
    }

    /// Seconds in that unit.
    fn per_second(self) -> f64 {
        match self {
            Axis::Batch => 1e6,
            Axis::Width => 1e12,
            Axis::Threads => 1e3,
        }
    }
}

/// One measured step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Place on the axis: batch size, width or threads.
    pub at: f64,
    /// Images of the step.
    pub images: usize,
    /// Its floating-point operations, a multiply-add counted as two, convolutions as if computed directly.
    pub flops: u64,
    /// Its traffic, if every operand crosses memory once.
    pub bytes: u64,
    /// Median time in seconds.
    pub median: f64,
    /// Least time in seconds.
    pub best: f64,
    /// Share of its time in kernels that are bound by compute, 0 to 1.
    pub compute_share: f64,
}

impl Point {
    /// Whether its time passes in kernels that are bound by compute, but for a tenth.
    pub fn is_compute_bound(&self) -> bool {
        self.compute_share >= BOUND_SHARE
    }

    /// Work that time should be in proportion to: images, FLOPs, or the part of a step that falls to a thread.
    fn work(&self, axis: Axis) -> f64 {
        match axis {
            Axis::Batch => self.images as f64,
            Axis::Width => self.flops as f64,
            Axis::Threads => 1.0 / self.at,
        }
    }

    /// Least time over work, in the unit of `axis`. The least, since what else the machine does only adds to a time, and to that of many
    /// threads more than to that of one.
    pub fn unit(&self, axis: Axis) -> f64 {
        axis.per_second() * self.best / self.work(axis)
    }
}

/// The points of one axis, by rising place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// What is varied.
    pub axis: Axis,
    /// At least one.
    pub points: Vec<Point>,
}

impl Series {
    /// The proportional law that points are held against, as time over work in the unit of the axis: over threads that of the fewest,
    /// else the median of the points that are bound by compute (of all, if none is), so that one that is far off does not make others
    /// look so.
    pub fn reference(&self) -> f64 {
        if self.axis == Axis::Threads {
            return self.points[0].unit(self.axis);
        }
        let bound: Vec<&Point> = self.points.iter().filter(|point| point.is_compute_bound()).collect();
        let of = if bound.is_empty() { self.points.iter().collect() } else { bound };
        let mut units: Vec<f64> = of.iter().map(|point| point.unit(self.axis)).collect();
        units.sort_by(f64::total_cmp);
        (units[(units.len() - 1) / 2] + units[units.len() / 2]) / 2.0
    }

    /// How much longer than proportional a point takes, relative to it: 0.1 for 10 % longer.
    pub fn deviation(&self, point: &Point) -> f64 {
        point.unit(self.axis) / self.reference() - 1.0
    }

    /// Whether a point that is bound by compute is linear within [`TOLERANCE`]; `None` for other points, of which it is not asked.
    pub fn is_linear(&self, point: &Point) -> Option<bool> {
        point.is_compute_bound().then(|| self.deviation(point).abs() <= TOLERANCE)
    }
}

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scaling {
    /// What `--device` takes.
    pub device: String,
    /// Name of the hardware.
    pub device_name: String,
    /// Training method.
    pub method: String,
    /// Architecture.
    pub arch: String,
    /// Images of a step where they are not varied.
    pub batch: usize,
    /// Threads where they are not varied.
    pub threads: usize,
    /// Steps timed in each pass.
    pub steps: usize,
    /// Passes over all points.
    pub passes: usize,
    /// One for each axis.
    pub series: Vec<Series>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points at 1, 2, 4, 8 that take `seconds(x)` for x images.
    fn series(axis: Axis, seconds: impl Fn(f64) -> f64) -> Series {
        let point = |x: f64| {
            let (images, flops) = (x as usize, 1000 * x as u64);
            Point { at: x, images, flops, bytes: 1, median: seconds(x), best: seconds(x), compute_share: 0.95 }
        };
        Series { axis, points: [1.0, 2.0, 4.0, 8.0].map(point).to_vec() }
    }

    fn verdicts(series: &Series) -> Vec<Option<bool>> {
        series.points.iter().map(|point| series.is_linear(point)).collect()
    }

    #[test]
    fn proportional_times_are_linear() {
        for axis in [Axis::Batch, Axis::Width] {
            let series = series(axis, |x| 3e-3 * x);
            assert_eq!(verdicts(&series), [Some(true); 4]);
            assert!(series.points.iter().all(|point| series.deviation(point).abs() < 1e-12));
        }
        let series = series(Axis::Threads, |x| 0.8 / x);
        assert_eq!(verdicts(&series), [Some(true); 4]);
        assert!((series.reference() - 800.0).abs() < 1e-9);
    }

    #[test]
    fn quadratic_times_are_not() {
        let batch = series(Axis::Batch, |x| 1e-3 * x * x);
        // Time over work is 1, 2, 4, 8 ms; their median is 3.
        assert_eq!(verdicts(&batch), [Some(false); 4]);
        let off: Vec<f64> = batch.points.iter().map(|point| batch.deviation(point)).collect();
        for (got, want) in off.iter().zip([1.0 / 3.0, 2.0 / 3.0, 4.0 / 3.0, 8.0 / 3.0]) {
            assert!((got - (want - 1.0)).abs() < 1e-12, "{off:?}");
        }
        // Threads that do not help at all.
        let threads = series(Axis::Threads, |_| 0.8);
        assert_eq!(verdicts(&threads), [Some(true), Some(false), Some(false), Some(false)]);
        assert!((threads.deviation(&threads.points[1]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_tenth_is_the_limit() {
        let mut series = series(Axis::Threads, |x| 0.8 / x);
        series.points[1].best *= 1.099;
        series.points[2].best *= 1.101;
        series.points[3].best *= 0.899;
        assert_eq!(verdicts(&series), [Some(true), Some(true), Some(false), Some(false)]);
    }

    #[test]
    fn points_that_other_things_bind_are_not_judged_and_do_not_count() {
        let mut series = series(Axis::Batch, |x| 1e-3 * x);
        series.points[0] = Point { best: 1.0, compute_share: 0.89, ..series.points[0] };
        assert_eq!(verdicts(&series), [None, Some(true), Some(true), Some(true)]);
        assert!((series.reference() - 1e3).abs() < 1e-9 && series.deviation(&series.points[0]) > 900.0);
        // Where none is bound by compute all give the law, and none is judged.
        series.points.iter_mut().for_each(|point| point.compute_share = 0.8);
        assert_eq!(verdicts(&series), [None; 4]);
        assert!((series.reference() - 1e3).abs() < 1e-9);
    }
}
