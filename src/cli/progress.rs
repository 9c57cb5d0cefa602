//! Progress on the standard error: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use smallbox::train::{EpochMetrics, Observer, Progress, Stop};

use super::format::{count, duration};
use super::{interrupt, output};

/// Least time between two plain lines about steps.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A counter that grows, with a word about it.
pub struct Meter {
    quiet: bool,
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Meter {
    /// A meter that says nothing when `quiet`.
    pub fn new(quiet: bool) -> Meter {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len}  {wide_msg}")
                .expect("the template is a constant");
            ProgressBar::new(0).with_style(style)
        });
        Meter { quiet, bar, last_line: Instant::now() }
    }

    /// `done` of `of` things called `what` are done.
    pub fn set(&mut self, what: &str, done: u64, of: u64, message: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(of);
                bar.set_prefix(what.to_string());
                bar.set_message(message.to_string());
                bar.set_position(done);
            }
            None if !self.quiet && self.last_line.elapsed() >= LINE_EVERY => {
                self.last_line = Instant::now();
                output::note(&format!("{what} {done}/{of}  {message}"));
            }
            None => {}
        }
    }

    /// A line that stays.
    pub fn line(&mut self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(line)),
            None if !self.quiet => output::note(line),
            None => {}
        }
        self.last_line = Instant::now();
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Shows a training run and passes the user's wish to stop on to it.
pub struct TrainProgress {
    meter: Meter,
    deadline: Option<Instant>,
    batch: usize,
    epochs: u32,
    /// When and at which step this process was first heard of.
    first: Option<(Instant, u64)>,
}

impl TrainProgress {
    /// Progress of a run with `batch` images a step that is to stop at `deadline`.
    pub fn new(quiet: bool, deadline: Option<Instant>, batch: usize) -> Self {
        TrainProgress { meter: Meter::new(quiet), deadline, batch, epochs: 0, first: None }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        self.meter.finish();
    }

    /// Time left for the steps that are left, at the pace so far, evaluations between epochs included.
    fn time_left(&mut self, p: &Progress) -> Duration {
        let left = (p.steps - p.step) as f64;
        let (begun, first) = *self.first.get_or_insert((Instant::now(), p.step));
        let seconds = if p.step > first {
            left * begun.elapsed().as_secs_f64() / (p.step - first) as f64
        } else {
            left * self.batch as f64 / p.samples_per_second
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

impl Observer for TrainProgress {
    fn step(&mut self, p: &Progress) {
        self.epochs = p.epochs;
        let message = format!(
            "loss {:.4}  ε {:.4}  lr {:.1e}  {} samples/s  ETA {}",
            p.loss,
            p.epsilon,
            p.lr,
            count(p.samples_per_second.round() as u64),
            duration(self.time_left(p))
        );
        self.meter.set(&format!("epoch {}/{}", p.epoch, p.epochs), p.step, p.steps, &message);
    }

    fn epoch(&mut self, m: &EpochMetrics) {
        let (split, rates) = match m.validation {
            Some(rates) => ("validation", rates),
            None => ("train", m.train),
        };
        self.meter.line(&format!(
            "epoch {:>2}/{}  loss {:.4}  ε {:.4}  lr {:.1e}  {split}: natural {:5.1} %  adversarial {:5.1} %  \
             IBP-certified {:5.1} %  {:.1} s",
            m.epoch,
            self.epochs,
            m.loss,
            m.epsilon,
            m.lr,
            100.0 * rates.natural,
            100.0 * rates.adversarial,
            100.0 * rates.ibp,
            m.epoch_seconds
        ));
    }

    fn evaluating(&mut self, done: usize, of: usize) {
        self.meter.set("test images", done as u64, of as u64, "");
    }

    fn stop(&self) -> Stop {
        if interrupt::requested() {
            Stop::Interrupted
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            Stop::TimeOver
        } else {
            Stop::No
        }
    }
}
