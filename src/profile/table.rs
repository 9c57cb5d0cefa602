//! Traced runs of one program as a table of its kernels.

use crate::device::{Clock, Launch, RunTrace};
use crate::graph::Cost;

use super::roofs::{Bound, Least, Roofs};

/// What launches share a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Those of one kernel.
    Kernel,
    /// Those of one kernel for outputs of one shape.
    Shape,
}

/// One row: launches that belong together. Times are in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The kernel, with the shape of its op's output where rows tell shapes apart.
    pub name: String,
    /// Launches in a run.
    pub calls: usize,
    /// All launches of a run, mean over the runs.
    pub total: f64,
    /// Part of all rows' total.
    pub share: f64,
    /// Mean of a launch.
    pub mean: f64,
    /// Median of a launch.
    pub median: f64,
    /// Fastest launch.
    pub min: f64,
    /// 95 of 100 launches are not slower.
    pub p95: f64,
    /// Arithmetic and traffic of a run.
    pub cost: Cost,
    /// Least time of a run, by each roof.
    pub least: Least,
    /// The least time that arithmetic and traffic ask for, launch by launch, relative to the total; `None` for kernels whose work is
    /// counted elsewhere.
    pub of_roof: Option<f64>,
}

impl Row {
    /// FLOP/s.
    pub fn flops_per_second(&self) -> f64 {
        self.cost.flops as f64 / self.total
    }

    /// Bytes per second.
    pub fn bytes_per_second(&self) -> f64 {
        self.cost.bytes as f64 / self.total
    }

    /// What keeps it from being faster.
    pub fn bound(&self) -> Bound {
        self.least.bound()
    }
}

/// Times of a whole run in seconds, mean over the runs.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct RunTimes {
    /// From the beginning to the end.
    pub seconds: f64,
    /// In launches: the sum of the rows.
    pub launches: f64,
    /// Between launches.
    pub gaps: f64,
    /// Handing over the inputs.
    pub upload: f64,
    /// Recording and submitting.
    pub record: f64,
    /// Waiting for the device, which works meanwhile.
    pub wait: f64,
}

/// Traced runs of one program.
pub struct Profile {
    launches: Vec<Launch>,
    runs: Vec<RunTrace>,
}

impl Profile {
    /// Of a program that makes these launches.
    pub fn new(launches: Vec<Launch>) -> Profile {
        Profile { launches, runs: Vec::new() }
    }

    /// One run more.
    pub fn add(&mut self, run: RunTrace) {
        assert_eq!(run.launches.len(), self.launches.len(), "a run makes the launches of its program");
        self.runs.push(run);
    }

    /// The launches of a run.
    pub fn launches(&self) -> &[Launch] {
        &self.launches
    }

    /// The runs so far.
    pub fn runs(&self) -> &[RunTrace] {
        &self.runs
    }

    /// Where the times come from; `None` before the first run.
    pub fn clock(&self) -> Option<Clock> {
        self.runs.first().map(|run| run.clock)
    }

    /// The rows, slowest first; none before the first run.
    pub fn rows(&self, by: By, roofs: &Roofs) -> Vec<Row> {
        let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
        for (i, launch) in self.launches.iter().enumerate() {
            let name = match by {
                By::Kernel => launch.kernel.to_string(),
                By::Shape => format!("{} {}", launch.kernel, launch.output),
            };
            match groups.iter_mut().find(|(n, _)| *n == name) {
                Some((_, members)) => members.push(i),
                None => groups.push((name, vec![i])),
            }
        }
        if self.runs.is_empty() {
            return Vec::new();
        }
        let mut rows: Vec<Row> = groups.into_iter().map(|(name, members)| self.row(name, &members, roofs)).collect();
        let all: f64 = rows.iter().map(|row| row.total).sum();
        rows.iter_mut().for_each(|row| row.share = if all > 0.0 { row.total / all } else { 0.0 });
        rows.sort_by(|a, b| b.total.total_cmp(&a.total));
        rows
    }

    fn row(&self, name: String, members: &[usize], roofs: &Roofs) -> Row {
        let mut times: Vec<f64> =
            self.runs.iter().flat_map(|run| members.iter().map(|&i| run.launches[i].seconds())).collect();
        times.sort_by(f64::total_cmp);
        let total = times.iter().sum::<f64>() / self.runs.len() as f64;
        let (mut cost, mut least, mut roof) = (Cost::default(), Least::default(), 0.0);
        for &i in members {
            let of_launch = roofs.least(self.launches[i].cost);
            cost += self.launches[i].cost;
            least += of_launch;
            roof += of_launch.compute.max(of_launch.memory);
        }
        Row {
            name,
            calls: members.len(),
            total,
            share: 0.0,
            mean: total / members.len() as f64,
            median: quantile(&times, 0.5),
            min: times[0],
            p95: quantile(&times, 0.95),
            cost,
            least,
            of_roof: (cost != Cost::default() && total > 0.0).then(|| roof / total),
        }
    }

    /// The times of the runs as a whole; zeros before the first.
    pub fn times(&self) -> RunTimes {
        let mean =
            |of: &dyn Fn(&RunTrace) -> f64| self.runs.iter().map(of).sum::<f64>() / self.runs.len().max(1) as f64;
        RunTimes {
            seconds: mean(&RunTrace::seconds),
            launches: mean(&RunTrace::busy),
            gaps: mean(&RunTrace::gaps),
            upload: mean(&|run| run.upload.seconds()),
            record: mean(&|run| run.record.seconds()),
            wait: mean(&|run| run.wait.seconds()),
        }
    }
}

/// The value that a share `q` of `sorted` (rising, not empty) does not exceed, by rank; the mean of the middle two for an even number's
/// median.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let n = sorted.len();
    if q == 0.5 {
        return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0;
    }
    sorted[((q * n as f64).ceil() as usize).clamp(1, n) - 1]
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::device::Span;
    use crate::profile::Stream;

    fn launch(kernel: &'static str, flops: u64, bytes: u64, n: usize) -> Launch {
        Launch { kernel, op: "op", output: [n].into(), cost: Cost { flops, bytes } }
    }

    /// A run whose launches take these milliseconds, one millisecond apart from each other.
    fn run(milliseconds: &[f64]) -> RunTrace {
        let mut at = 0.002;
        let launches = milliseconds.iter().map(|ms| {
            let span = Span { begin: at, end: at + ms / 1e3 };
            at = span.end + 0.001;
            span
        });
        let (upload, record) = (Span { begin: 0.0, end: 0.001 }, Span { begin: 0.001, end: 0.001 });
        let launches: Vec<Span> = launches.collect();
        let end = launches[launches.len() - 1].end;
        RunTrace { began: Instant::now(), clock: Clock::Host, upload, record, wait: Span { begin: end, end }, launches }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-12
    }

    #[test]
    fn rows_add_up() {
        let launches = vec![
            launch("a", 4_000_000, 8, 1),
            launch("b", 0, 8_000_000, 2),
            launch("a", 2_000_000, 8, 3),
            launch("c", 0, 0, 1),
        ];
        let mut profile = Profile::new(launches);
        let streams = vec![Stream { bytes: 1, bytes_per_second: 4e9 }];
        let roofs = Roofs { clock: Clock::Host, flops_per_second: 2e9, streams, launch_seconds: 1e-6 };
        assert!(profile.rows(By::Kernel, &roofs).is_empty());
        profile.add(run(&[3.0, 4.0, 2.0, 0.5]));
        profile.add(run(&[5.0, 4.0, 2.0, 0.5]));
        let rows = profile.rows(By::Kernel, &roofs);
        let names: Vec<(&str, usize)> = rows.iter().map(|row| (row.name.as_str(), row.calls)).collect();
        assert_eq!(names, [("a", 2), ("b", 1), ("c", 1)]);
        let a = &rows[0];
        assert!(near(a.total, 6e-3) && near(a.mean, 3e-3) && near(a.median, 2.5e-3), "{a:?}");
        assert!(near(a.min, 2e-3) && near(a.p95, 5e-3), "{a:?}");
        assert_eq!(a.cost, Cost { flops: 6_000_000, bytes: 16 });
        assert!(near(a.of_roof.unwrap(), 0.5) && a.bound() == Bound::Compute, "{a:?}");
        assert!(near(a.flops_per_second(), 1e9), "{a:?}");
        assert!(near(rows[1].of_roof.unwrap(), 0.5) && rows[1].bound() == Bound::Memory, "{:?}", rows[1]);
        assert!(near(rows[1].bytes_per_second(), 2e9));
        assert!(rows[2].of_roof.is_none() && rows[2].bound() == Bound::Launch);
        assert!(near(rows.iter().map(|row| row.share).sum(), 1.0));
        let times = profile.times();
        assert!(near(times.launches, rows.iter().map(|row| row.total).sum()));
        assert!(near(times.gaps, 3e-3) && near(times.upload, 1e-3), "{times:?}");
        let parts = times.upload + 1e-3 + times.launches + times.gaps;
        assert!(near(times.seconds, parts), "upload, the way to the first launch, launches and gaps: {times:?}");
        let rows = profile.rows(By::Shape, &roofs);
        assert_eq!(rows.iter().filter(|row| row.name.starts_with("a [")).count(), 2);
    }

    #[test]
    fn quantiles() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!((quantile(&values, 0.95), quantile(&values, 0.5), quantile(&values, 1.0)), (19.0, 10.5, 20.0));
        assert_eq!((quantile(&[7.0], 0.95), quantile(&[7.0], 0.5)), (7.0, 7.0));
    }
}
