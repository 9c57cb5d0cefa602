//! How ε, κ and the learning rate change over the run. Steps are counted as the authors count them: batch b of epoch e (from 1)
//! has index e · (steps per epoch) + b.

/// Growth of ε: 0, then ∝ i⁴ up to a quarter of the way, then a tangent straight line, then constant (auto_LiRPA's "smoothed"
/// schedule).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpsilonSchedule {
    start: u64,
    end: u64,
    value: f64,
}

impl EpsilonSchedule {
    /// From 0 before step index `start` to `value` at `end` and after.
    pub fn new(start: u64, end: u64, value: f64) -> Self {
        EpsilonSchedule { start, end, value }
    }

    /// ε at a step index.
    pub fn at(&self, index: u64) -> f64 {
        if index < self.start {
            return 0.0;
        }
        if index >= self.end {
            return self.value;
        }
        let (origin, end, at) = (self.start as f64 - 1.0, self.end as f64, index as f64);
        let knee = origin + ((end - origin) * 0.25).floor();
        if knee == origin {
            // Too short for a curved part.
            return self.value * (at - origin) / (end - origin);
        }
        let cube = (knee - origin).powi(3);
        let factor = self.value / ((end - knee) * 4.0 * cube + (knee - origin) * cube);
        if at <= knee {
            return factor * (at - origin).powi(4);
        }
        let at_knee = factor * (knee - origin).powi(4);
        (at_knee + (self.value - at_knee) * (at - knee) / (end - knee)).min(self.value)
    }
}

/// Straight line from one value to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearSchedule {
    /// Index up to which the value is `from`.
    pub start: u64,
    /// Index from which on it is `to`.
    pub end: u64,
    /// First value.
    pub from: f64,
    /// Last value.
    pub to: f64,
}

impl LinearSchedule {
    /// The value at a step index.
    pub fn at(&self, index: u64) -> f64 {
        if index < self.start {
            self.from
        } else if index >= self.end {
            self.to
        } else {
            self.from + (index - self.start) as f64 / (self.end - self.start) as f64 * (self.to - self.from)
        }
    }
}

/// Learning rate of `epoch` (from 1): `lr` · `decay` for each milestone reached. A milestone is the first epoch with the lower
/// rate, because the authors step their scheduler at the start of an epoch.
pub fn learning_rate(lr: f64, decay: f64, milestones: &[u32], epoch: u32) -> f64 {
    lr * decay.powi(milestones.iter().filter(|&&m| epoch >= m).count() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milestones_are_the_first_epochs_with_the_lower_rate() {
        let at = |epoch| learning_rate(5e-4, 0.2, &[50, 60], epoch);
        assert_eq!((at(1), at(49)), (5e-4, 5e-4));
        assert!((at(50) - 1e-4).abs() < 1e-18 && (at(59) - 1e-4).abs() < 1e-18);
        assert!((at(60) - 2e-5).abs() < 1e-18);
    }

    #[test]
    fn a_thirteenth_of_epsilon_is_reached_at_the_knee() {
        // MNIST: 234 steps an epoch, from epoch 2 to 22.
        let schedule = EpsilonSchedule::new(2 * 234, 22 * 234, 0.1);
        assert_eq!(schedule.at(2 * 234 - 1), 0.0);
        assert!(schedule.at(2 * 234) > 0.0);
        assert_eq!(schedule.at(22 * 234), 0.1);
        let share = schedule.at(7 * 234) / 0.1;
        assert!((share - 0.0772).abs() < 5e-4, "{share}");
    }

    #[test]
    fn a_schedule_that_ends_where_it_starts_is_a_switch() {
        let kappa = LinearSchedule { start: 20, end: 20, from: 1.0, to: 0.0 };
        assert_eq!((kappa.at(19), kappa.at(20)), (1.0, 0.0));
        let epsilon = EpsilonSchedule::new(20, 20, 0.1);
        assert_eq!((epsilon.at(19), epsilon.at(20)), (0.0, 0.1));
    }

    #[test]
    fn a_short_schedule_is_a_straight_line() {
        let epsilon = EpsilonSchedule::new(4, 6, 0.3);
        let at: Vec<f64> = (3..7).map(|index| epsilon.at(index)).collect();
        assert!(at.iter().zip([0.0, 0.1, 0.2, 0.3]).all(|(a, b)| (a - b).abs() < 1e-15), "{at:?}");
        // Whatever the length, ε grows.
        for end in 5..40 {
            let epsilon = EpsilonSchedule::new(4, end, 0.3);
            assert!((3..end).all(|index| epsilon.at(index) < epsilon.at(index + 1)), "{end}");
        }
    }
}
