//! Progress on the standard error: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use smallbox::train::{EpochMetrics, Observer, Progress, SliceRates, Stop};

use super::format::{count, duration};
use super::{interrupt, machine, output};

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
    /// Split and rates of the last epoch.
    rates: Option<(&'static str, SliceRates)>,
    /// Time left when last asked.
    left: Option<Duration>,
    /// When and at which step this process was first heard of.
    first: Option<(Instant, u64)>,
    /// Seconds from the start of the process to the end of its first step.
    first_step_seconds: Option<f64>,
}

impl TrainProgress {
    /// Progress of a run with `batch` images a step that is to stop at `deadline`.
    pub fn new(quiet: bool, deadline: Option<Instant>, batch: usize) -> Self {
        TrainProgress {
            meter: Meter::new(quiet),
            deadline,
            batch,
            epochs: 0,
            rates: None,
            left: None,
            first: None,
            first_step_seconds: None,
        }
    }

    /// Seconds from the start of the process to the end of its first step; `None` before it.
    pub fn first_step_seconds(&self) -> Option<f64> {
        self.first_step_seconds
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

/// The validation rates, or those of the training slice where there are none.
fn shown_rates(m: &EpochMetrics) -> (&'static str, SliceRates) {
    m.validation.map_or(("train", m.train), |rates| ("validation", rates))
}

/// What stands behind the bar. What is asked for most comes first: a narrow terminal cuts the rest.
fn step_message(p: &Progress, left: Duration, rates: Option<&(&'static str, SliceRates)>) -> String {
    let rates = rates.map_or(String::new(), |(split, rates)| {
        let [natural, adversarial, ibp] = [rates.natural, rates.adversarial, rates.ibp].map(|rate| 100.0 * rate);
        format!("  {split}: natural {natural:.1} %  adversarial {adversarial:.1} %  IBP-certified {ibp:.1} %")
    });
    format!(
        "ETA {}  loss {:.4}{rates}  ε {:.4}  lr {:.1e}  {} samples/s",
        duration(left),
        p.loss,
        p.epsilon,
        p.lr,
        count(p.samples_per_second.round() as u64),
    )
}

/// The line that stays of an epoch.
fn epoch_line(m: &EpochMetrics, epochs: u32, left: Option<Duration>) -> String {
    let (split, rates) = shown_rates(m);
    let small_box = rates.small_box.map_or(String::new(), |rate| format!("  box {:5.1} %", 100.0 * rate));
    let left = left.filter(|_| m.epoch < epochs).map_or(String::new(), |left| format!("  ETA {}", duration(left)));
    format!(
        "epoch {:>2}/{epochs}  loss {:.4}  ε {:.4}  lr {:.1e}  {split}: natural {:5.1} %  adversarial {:5.1} %  \
         IBP-certified {:5.1} %{small_box}  {:.1} s  {} samples/s{left}",
        m.epoch,
        m.loss,
        m.epsilon,
        m.lr,
        100.0 * rates.natural,
        100.0 * rates.adversarial,
        100.0 * rates.ibp,
        m.epoch_seconds,
        count(m.samples_per_second.round() as u64),
    )
}

impl Observer for TrainProgress {
    fn first_step(&mut self) {
        self.first_step_seconds = Some(machine::seconds_since_start());
    }

    fn step(&mut self, p: &Progress) {
        self.epochs = p.epochs;
        let left = self.time_left(p);
        self.left = Some(left);
        let message = step_message(p, left, self.rates.as_ref());
        self.meter.set(&format!("epoch {}/{}", p.epoch, p.epochs), p.step, p.steps, &message);
    }

    fn epoch(&mut self, m: &EpochMetrics) {
        self.meter.line(&epoch_line(m, self.epochs, self.left));
        self.rates = Some(shown_rates(m));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_epochs_tell_time_left_loss_rates_radius_rate_and_speed() {
        let p = Progress {
            epoch: 3,
            epochs: 20,
            step: 30,
            steps: 200,
            loss: 0.25,
            epsilon: 0.05,
            lr: 2e-3,
            samples_per_second: 12345.0,
            seconds: 9.0,
        };
        let rates = SliceRates { natural: 0.981, adversarial: 0.942, ibp: 0.873, small_box: Some(0.914) };
        let left = Duration::from_secs(80);
        let first = step_message(&p, left, None);
        assert_eq!(first, "ETA 1 min 20 s  loss 0.2500  ε 0.0500  lr 2.0e-3  12 345 samples/s");
        let later = step_message(&p, left, Some(&("validation", rates)));
        for part in ["ETA", "validation: natural 98.1 %", "adversarial 94.2 %", "IBP-certified 87.3 %", "samples/s"] {
            assert!(later.contains(part), "{part}: {later}");
        }

        let mut m = EpochMetrics {
            epoch: 3,
            step: 30,
            seconds: 9.0,
            epoch_seconds: 3.0,
            wait_seconds: 0.0,
            samples_per_second: 12345.0,
            epsilon: 0.05,
            lr: 2e-3,
            loss: 0.25,
            robust: 0.9,
            train: SliceRates { natural: 0.5, small_box: None, ..rates },
            validation: Some(rates),
        };
        let line = epoch_line(&m, 20, Some(left));
        for part in ["epoch  3/20", "validation: natural  98.1 %", "box  91.4 %", "12 345 samples/s", "ETA 1 min 20 s"]
        {
            assert!(line.contains(part), "{part}: {line}");
        }
        m.validation = None;
        let line = epoch_line(&EpochMetrics { epoch: 20, ..m }, 20, Some(left));
        assert!(line.contains("train: natural  50.0 %") && !line.contains("box") && !line.contains("ETA"), "{line}");
    }
}
