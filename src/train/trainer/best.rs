//! Which epoch's weights are kept beside the last ones.

use serde::{Deserialize, Serialize};

use crate::train::config::{Config, MethodKind};
use crate::train::evaluate::{Evaluation, Rate};

/// The best epoch of a run by its validation slice. Kept as counts: they come back from a checkpoint without rounding, so that
/// a resumed run decides as the whole one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BestEpoch {
    /// From 1.
    pub epoch: u32,
    images: usize,
    natural: usize,
    adversarial: usize,
    ibp: usize,
    small_box: Option<usize>,
}

impl BestEpoch {
    /// `epoch` with what the monitor counted on the validation slice.
    pub(super) fn new(epoch: u32, validation: &Evaluation) -> BestEpoch {
        BestEpoch {
            epoch,
            images: validation.images,
            natural: validation.natural.count,
            adversarial: validation.adversarial.count,
            ibp: validation.ibp.count,
            small_box: validation.small_box.map(|rate| rate.count),
        }
    }

    /// The rates of that epoch on the validation slice.
    pub fn validation(&self) -> Evaluation {
        let rate = |count: usize| Rate::wilson(count, self.images);
        Evaluation {
            images: self.images,
            natural: rate(self.natural),
            adversarial: rate(self.adversarial),
            ibp: rate(self.ibp),
            small_box: self.small_box.map(rate),
        }
    }

    /// Whether this epoch takes the place of `before`: it has at least as many certified samples, or, where the method does
    /// not train for certificates (`std`, `pgd`), as many that withstand the attack. Of equals the later one, which has
    /// trained longer.
    pub(super) fn replaces(&self, before: Option<&BestEpoch>, config: &Config) -> bool {
        let figure = |best: &BestEpoch| match config.method {
            MethodKind::Std | MethodKind::Pgd => best.adversarial,
            _ => best.ibp,
        };
        before.is_none_or(|before| figure(self) >= figure(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(epoch: u32, adversarial: usize, ibp: usize) -> BestEpoch {
        BestEpoch { epoch, images: 100, natural: 100, adversarial, ibp, small_box: None }
    }

    #[test]
    fn the_method_says_which_rate_decides() {
        let (before, after) = (epoch(1, 50, 20), epoch(2, 40, 30));
        for (method, replaced) in [(MethodKind::Sabr, true), (MethodKind::Pgd, false), (MethodKind::Std, false)] {
            let config = Config { method, ..Config::default() };
            assert_eq!(after.replaces(Some(&before), &config), replaced, "{}", method.name());
        }
    }

    #[test]
    fn of_equals_the_later_one_is_taken() {
        let config = Config::default();
        assert!(epoch(2, 0, 20).replaces(Some(&epoch(1, 0, 20)), &config));
        assert!(!epoch(2, 0, 19).replaces(Some(&epoch(1, 0, 20)), &config));
        assert!(epoch(1, 0, 0).replaces(None, &config));
    }

    #[test]
    fn the_rates_come_back_from_the_text_of_a_checkpoint() {
        let best = BestEpoch { small_box: Some(93), ..epoch(7, 51, 33) };
        let text = serde_json::to_string(&best).unwrap();
        let back: BestEpoch = serde_json::from_str(&text).unwrap();
        assert_eq!((back, back.validation()), (best, best.validation()));
        assert_eq!(BestEpoch::new(7, &best.validation()), best);
    }
}
