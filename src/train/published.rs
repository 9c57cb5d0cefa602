//! Accuracies that were published for the experiments of [`super::presets`]: only those that were confirmed in a second source.

use serde::Serialize;

use super::config::Config;
use super::presets::setting;

/// A published result, in 0..1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Published {
    /// Method of the training, as `--method` calls it; others by their names.
    pub method: &'static str,
    /// Natural accuracy.
    pub natural: Option<f64>,
    /// Certified accuracy.
    pub certified: f64,
    /// What certified it.
    pub verifier: &'static str,
    /// Who published it.
    pub source: &'static str,
}

const SABR: Published =
    Published { method: "sabr", natural: None, certified: 0.0, verifier: "MN-BaB", source: "Müller et al. 2023" };
const IBP: Published =
    Published { method: "ibp", natural: None, certified: 0.0, verifier: "IBP", source: "Shi et al. 2021" };
/// They trained the same network again, by each method with settings of their own.
const AGAIN: Published = Published { verifier: "MN-BaB", source: "Mao et al. 2024", ..SABR };

/// By preset; of several for one method its authors' comes first.
const PUBLISHED: [(&str, Published); 13] = [
    ("mnist-0.1", Published { certified: 0.9822, ..SABR }),
    ("mnist-0.1", Published { certified: 0.9795, ..IBP }),
    ("mnist-0.3", Published { certified: 0.9340, ..SABR }),
    ("mnist-0.3", Published { certified: 0.9310, ..IBP }),
    ("cifar10-2_255", Published { certified: 0.6284, ..SABR }),
    ("cifar10-2_255", Published { certified: 0.5285, ..IBP }),
    ("cifar10-2_255", Published { natural: Some(0.7786), certified: 0.6361, ..AGAIN }),
    ("cifar10-2_255", Published { method: "ibp", natural: Some(0.6749), certified: 0.5599, ..AGAIN }),
    ("cifar10-2_255", Published { method: "CROWN-IBP", natural: Some(0.6760), certified: 0.5711, ..AGAIN }),
    ("cifar10-8_255", Published { certified: 0.3513, ..SABR }),
    ("cifar10-8_255", Published { natural: Some(0.4894), certified: 0.3497, ..IBP }),
    (
        "cifar10-8_255",
        Published {
            method: "CROWN-IBP",
            natural: Some(0.4629),
            certified: 0.3338,
            verifier: "their own verifier",
            source: "Shi et al. 2021",
        },
    ),
    ("tinyimagenet-1_255", Published { natural: Some(0.2592), certified: 0.1787, ..IBP }),
];

/// All that was published for an evaluation on `dataset` at `epsilon`, with the seven-layer network at full width.
pub fn published_for(dataset: &str, epsilon: f64) -> impl Iterator<Item = Published> {
    let name = setting(dataset, epsilon);
    PUBLISHED.into_iter().filter(move |(setting, _)| Some(*setting) == name).map(|(_, figures)| figures)
}

/// What its authors published for `method` in the setting that `config` evaluates in: dataset and ε, with the seven-layer network
/// at full width.
pub fn published(config: &Config) -> Option<Published> {
    published_for(&config.dataset, config.epsilon).find(|figures| figures.method == config.method.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::MethodKind;
    use crate::train::presets::{PRESETS, preset};

    #[test]
    fn a_published_figure_belongs_to_its_setting() {
        let of = |method: MethodKind| {
            PRESETS.map(|name| published(&preset(name, method).expect("a preset")).map(|p| (p.natural, p.certified)))
        };
        let alone = |certified| Some((None, certified));
        assert_eq!(of(MethodKind::Sabr), [alone(0.9822), alone(0.9340), alone(0.6284), alone(0.3513), None]);
        let ibp =
            [alone(0.9795), alone(0.9310), alone(0.5285), Some((Some(0.4894), 0.3497)), Some((Some(0.2592), 0.1787))];
        assert_eq!(of(MethodKind::Ibp), ibp);
        assert_eq!(of(MethodKind::Std), [None; 5]);
        let other = Config { epsilon: 0.2, ..preset("mnist-0.1", MethodKind::Sabr).expect("a preset") };
        assert_eq!(published(&other), None);
    }

    #[test]
    fn figures_are_rates_of_known_settings() {
        for (setting, figures) in PUBLISHED {
            assert!(PRESETS.contains(&setting), "{setting}");
            assert!((0.0..1.0).contains(&figures.certified), "{figures:?}");
            assert!(figures.natural.is_none_or(|natural| (figures.certified..1.0).contains(&natural)), "{figures:?}");
        }
        assert_eq!(published_for("cifar10", 2.0 / 255.0).count(), 5);
        assert_eq!(published_for("cifar10", 0.0078431).count(), 5, "as rounded in a command");
        assert_eq!(published_for("cifar10", 3.0 / 255.0).count(), 0);
        assert_eq!(published_for("fashion-mnist", 0.1).count(), 0);
    }
}
