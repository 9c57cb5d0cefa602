//! What an attack does.

use crate::error::{Error, Result};

/// How iterates move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Steps along the gradient's sign, cut to the box (Madry et al. 2018).
    Pgd {
        /// Length of the first steps, relative to the half width of each input's interval.
        step_size: f64,
        /// A tenth of it from 50 % of the steps on, and again at 80 and 90 %.
        decay: bool,
    },
    /// Auto-PGD (Croce and Hein 2020): momentum, and steps from twice the half width on that halve, with a return to the best
    /// point, where progress stalls.
    Apgd,
}

/// What iterates go up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// −(c·y − b) of a clause's constraint, of several the greatest: multi-targeted, a row for each clause.
    Margin,
    /// Cross-entropy of the label: untargeted, a row for each property, which must be about a label.
    CrossEntropy,
    /// The margin divided by z₍₁₎ − (z₍₃₎ + z₍₄₎)/2, the outputs in descending order: the targeted difference of logits ratio
    /// (Croce and Hein 2020, eq. 7), blind to the scale of the outputs. A row for each clause; at least 4 outputs.
    LogitsRatio,
}

/// An attack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttackSpec {
    /// How iterates move.
    pub method: Method,
    /// What they go up.
    pub loss: Loss,
    /// Gradient steps of each start.
    pub steps: usize,
    /// Starts, at least 1.
    pub restarts: usize,
    /// Whether the first start is the middle of the box; all others are uniform in it.
    pub from_middle: bool,
}

impl AttackSpec {
    /// Half widths that PGD's first steps are long unless told otherwise.
    pub const STEP_SIZE: f64 = 0.25;

    /// PGD on the margin of each clause, with decaying steps.
    pub fn pgd(steps: usize, restarts: usize) -> AttackSpec {
        let method = Method::Pgd { step_size: AttackSpec::STEP_SIZE, decay: true };
        AttackSpec { method, loss: Loss::Margin, steps, restarts, from_middle: false }
    }

    /// APGD on `loss`.
    pub fn apgd(loss: Loss, steps: usize, restarts: usize) -> AttackSpec {
        AttackSpec { method: Method::Apgd, loss, steps, restarts, from_middle: false }
    }

    /// The attack in words, as it goes with every figure that rests on it.
    pub fn describe(&self, seed: u64) -> String {
        let (method, size) = match self.method {
            Method::Pgd { step_size, decay } => {
                ("pgd", format!(" of {step_size}{}", if decay { " decaying" } else { "" }))
            }
            Method::Apgd => ("apgd", String::new()),
        };
        let loss = match self.loss {
            Loss::Margin => "margin multi-targeted",
            Loss::CrossEntropy => "ce",
            Loss::LogitsRatio => "dlr multi-targeted",
        };
        let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let (steps, restarts) = (plural(self.steps, "step"), plural(self.restarts, "restart"));
        let middle = if self.from_middle { ", first from the middle" } else { "" };
        format!("{method} {loss} {steps}{size} × {restarts}{middle}, seed {seed}")
    }

    /// Refuses what can't be done on a network of `outputs` outputs.
    pub(super) fn check(&self, outputs: usize) -> Result<()> {
        if self.steps == 0 || self.restarts == 0 {
            let (steps, restarts) = (self.steps, self.restarts);
            return Err(Error::Config(format!(
                "an attack of {steps} steps × {restarts} restarts: expected 1 at least"
            )));
        }
        if let Method::Pgd { step_size, .. } = self.method
            && !(step_size > 0.0 && step_size <= 2.0)
        {
            let message = "expected a length in (0, 2], relative to the box's half width";
            return Err(Error::Config(format!("step size {step_size}: {message}")));
        }
        if self.loss == Loss::LogitsRatio && outputs < 4 {
            let message =
                "the difference of logits ratio needs at least 4 classes: take the margin or the cross-entropy";
            return Err(Error::Config(format!("a network of {outputs} outputs: {message}")));
        }
        Ok(())
    }

    /// Length of step `i` of PGD.
    pub(super) fn length(&self, i: usize) -> f32 {
        let Method::Pgd { step_size, decay } = self.method else { return 0.0 };
        let drops = [5, 8, 9].iter().filter(|&&tenths| decay && 10 * i >= self.steps * tenths).count();
        (step_size * 0.1f64.powi(drops as i32)) as f32
    }

    /// Steps after which APGD decides on its step lengths, with how many of the steps since the last time must have gone up
    /// (Croce and Hein 2020, §3): 0.22, then each period shorter by 0.03 of all steps until it is 0.06.
    pub(super) fn checkpoints(&self) -> Vec<(usize, f32)> {
        /// Share of the steps that must have gone up.
        const RHO: f32 = 0.75;
        let mut found: Vec<(usize, f32)> = Vec::new();
        if self.method != Method::Apgd {
            return found;
        }
        // In hundredths, which are exact.
        let (mut before, mut at) = (0, 22);
        loop {
            let step = (at * self.steps).div_ceil(100);
            if step >= self.steps {
                return found;
            }
            let last = found.last().map_or(0, |&(step, _)| step);
            if step > last {
                found.push((step, RHO * (step - last) as f32));
            }
            (before, at) = (at, at + (at - before - 3).max(6));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_drop_at_five_eight_and_nine_tenths() {
        let spec = AttackSpec::pgd(10, 1);
        let lengths: Vec<f32> = (0..10).map(|i| spec.length(i) / 0.25).collect();
        let want = [1.0, 1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01, 0.001];
        assert!(lengths.iter().zip(want).all(|(l, w)| (l - w).abs() < 1e-6 * w), "{lengths:?}");
        let constant = AttackSpec { method: Method::Pgd { step_size: 0.5, decay: false }, ..spec };
        assert_eq!((constant.length(0), constant.length(9)), (0.5, 0.5));
    }

    #[test]
    fn checkpoints_are_those_of_the_paper() {
        let steps = |n| AttackSpec::apgd(Loss::CrossEntropy, n, 1).checkpoints();
        let at: Vec<usize> = steps(100).iter().map(|c| c.0).collect();
        assert_eq!(at, [22, 41, 57, 70, 80, 87, 93, 99]);
        assert_eq!(steps(100)[1].1, 0.75 * 19.0);
        assert!(steps(1).is_empty() && AttackSpec::pgd(100, 1).checkpoints().is_empty());
        assert!(steps(5).windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn wrong_attacks_are_refused_in_one_line() {
        let spec = AttackSpec::pgd(10, 1);
        assert!(spec.check(2).is_ok() && AttackSpec::apgd(Loss::LogitsRatio, 10, 1).check(4).is_ok());
        let wrong = [
            (AttackSpec { steps: 0, ..spec }, "0 steps"),
            (AttackSpec { restarts: 0, ..spec }, "0 restarts"),
            (AttackSpec { method: Method::Pgd { step_size: f64::NAN, decay: true }, ..spec }, "step size NaN"),
            (AttackSpec::apgd(Loss::LogitsRatio, 10, 1), "4 classes"),
        ];
        for (spec, part) in wrong {
            let line = spec.check(3).expect_err(part).to_string();
            assert!(line.contains(part) && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn words() {
        let want = "pgd margin multi-targeted 100 steps of 0.25 decaying × 10 restarts, seed 0";
        assert_eq!(AttackSpec::pgd(100, 10).describe(0), want);
        assert_eq!(AttackSpec::apgd(Loss::CrossEntropy, 1, 1).describe(7), "apgd ce 1 step × 1 restart, seed 7");
    }
}
