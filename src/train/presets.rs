//! The experiments of the literature by name: the settings of the published commands.
//!
//! `std`, `pgd`, `ibp` and `sabr` have the recipe of Müller et al. 2023 (network, schedule, batch, optimiser); their ablations on
//! CIFAR-10 at 2/255 state other L1 factors for `pgd` and `ibp`. The mixtures have that of De Palma et al. 2024, `taps` and `staps` that of
//! Mao et al. 2023 (but `staps` with the attack of `sabr`). Nothing is held
//! back for validation, as published; `--validation N` does.

use super::config::{Config, Init, MethodKind};
use crate::error::{Error, Result};

/// Names of the presets: dataset and ε.
pub const PRESETS: [&str; 5] = ["mnist-0.1", "mnist-0.3", "cifar10-2_255", "cifar10-8_255", "tinyimagenet-1_255"];

/// What Müller et al. 2023 have for one dataset and ε.
struct Setting {
    name: &'static str,
    dataset: &'static str,
    epsilon: f64,
    /// Where it is not the ε of the evaluation.
    train_epsilon: Option<f64>,
    epochs: u32,
    milestones: [u32; 2],
    epsilon_end: u32,
    batch: usize,
    lambda: f64,
    l1: f64,
    /// Of `sabr` alone.
    relu_shrinkage: f64,
}

const SETTINGS: [Setting; 5] = [
    Setting {
        name: PRESETS[0],
        dataset: "mnist",
        epsilon: 0.1,
        train_epsilon: None,
        epochs: 70,
        milestones: [50, 60],
        epsilon_end: 22,
        batch: 256,
        lambda: 0.4,
        l1: 1e-5,
        relu_shrinkage: 1.0,
    },
    Setting {
        name: PRESETS[1],
        dataset: "mnist",
        epsilon: 0.3,
        train_epsilon: None,
        epochs: 70,
        milestones: [50, 60],
        epsilon_end: 22,
        batch: 256,
        lambda: 0.6,
        l1: 1e-6,
        relu_shrinkage: 1.0,
    },
    Setting {
        name: PRESETS[2],
        dataset: "cifar10",
        epsilon: 2.0 / 255.0,
        train_epsilon: None,
        epochs: 160,
        milestones: [120, 140],
        epsilon_end: 82,
        batch: 128,
        lambda: 0.1,
        l1: 1e-6,
        relu_shrinkage: 0.8,
    },
    Setting {
        name: PRESETS[3],
        dataset: "cifar10",
        epsilon: 8.0 / 255.0,
        // As the published command has it, rounded down.
        train_epsilon: Some(0.03137),
        epochs: 180,
        milestones: [140, 160],
        epsilon_end: 82,
        batch: 128,
        lambda: 0.7,
        l1: 0.0,
        relu_shrinkage: 1.0,
    },
    Setting {
        name: PRESETS[4],
        dataset: "tinyimagenet",
        // As the published command has it, a little above 1/255.
        epsilon: 0.00392157,
        train_epsilon: None,
        epochs: 180,
        milestones: [140, 160],
        epsilon_end: 82,
        batch: 128,
        lambda: 0.4,
        l1: 1e-6,
        relu_shrinkage: 1.0,
    },
];

/// The settings of the published command for `method` in the setting `name`, not resolved yet.
///
/// # Errors
/// [`Error::Config`] for an unknown name, or a method that has no published settings there.
pub fn preset(name: &str, method: MethodKind) -> Result<Config> {
    let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
        let known = PRESETS.join(", ");
        return Err(Error::Config(format!("unknown preset '{name}': expected one of {known}")));
    };
    let base = Config {
        method,
        arch: "cnn7".into(),
        dataset: setting.dataset.into(),
        epsilon: setting.epsilon,
        train_epsilon: setting.train_epsilon,
        lambda: setting.lambda,
        epochs: setting.epochs,
        batch: setting.batch,
        lr: 5e-4,
        lr_milestones: Some(setting.milestones.to_vec()),
        lr_decay: 0.2,
        l1: setting.l1,
        natural_epochs: 1,
        epsilon_end_epoch: Some(setting.epsilon_end),
        attack_steps: 8,
        attack_step_size: 0.5,
        validation: Some(0),
        ..Config::default()
    };
    let on_cifar_2 = name == PRESETS[2];
    match method {
        MethodKind::Sabr => Ok(Config { relu_shrinkage: setting.relu_shrinkage, ..base }),
        MethodKind::Std => Ok(base),
        MethodKind::Ibp => Ok(Config { l1: if on_cifar_2 { 0.0 } else { base.l1 }, ..base }),
        MethodKind::Pgd => Ok(Config { l1: if on_cifar_2 { 1e-5 } else { base.l1 }, ..base }),
        MethodKind::CcIbp | MethodKind::MtlIbp | MethodKind::ExpIbp => mixture(name, method, base),
        MethodKind::Taps | MethodKind::Staps => Ok(latent(name, method, base)),
    }
}

/// What De Palma et al. 2024 have for one setting and mixture.
fn mixture(name: &str, method: MethodKind, base: Config) -> Result<Config> {
    use MethodKind::{CcIbp, ExpIbp, MtlIbp};
    let (alpha, l1) = match (name, method) {
        ("mnist-0.1", CcIbp) => (0.1, 2e-6),
        ("mnist-0.1", MtlIbp) => (1e-2, 1e-5),
        ("mnist-0.3", CcIbp) => (0.3, 3e-6),
        ("mnist-0.3", MtlIbp) => (8e-2, 1e-6),
        ("cifar10-2_255", CcIbp) => (1e-2, 3e-6),
        ("cifar10-2_255", MtlIbp) => (4e-3, 3e-6),
        ("cifar10-2_255", ExpIbp) => (9.5e-2, 4e-6),
        ("cifar10-8_255", CcIbp | ExpIbp) => (0.5, 0.0),
        ("cifar10-8_255", MtlIbp) => (0.5, 1e-7),
        ("tinyimagenet-1_255", CcIbp | MtlIbp) => (1e-2, 5e-5),
        ("tinyimagenet-1_255", ExpIbp) => (4e-2, 5e-5),
        _ => {
            let message = format!("no settings of {} are published for {name}", method.name());
            return Err(Error::Config(message));
        }
    };
    // One step over the whole ball, and gradients clipped as in the code it is built on (Shi et al. 2021).
    let config = Config {
        alpha,
        l1,
        attack_steps: 1,
        attack_step_size: 10.0,
        grad_clip: Some(10.0),
        train_epsilon: None,
        ..base
    };
    Ok(match name {
        // There ε grows from the first epoch on.
        "mnist-0.1" => Config {
            train_epsilon: Some(2.0 * config.epsilon),
            natural_epochs: 0,
            epsilon_end_epoch: Some(21),
            ..config
        },
        "mnist-0.3" => Config {
            train_epsilon: Some(1.334 * config.epsilon),
            natural_epochs: 0,
            epsilon_end_epoch: Some(21),
            ..config
        },
        "cifar10-2_255" => Config { attack_steps: 8, attack_step_size: 0.25, attack_radius: 2.1, ..config },
        "cifar10-8_255" => Config { epochs: 260, lr_milestones: Some(vec![180, 220]), ..config },
        _ => Config {
            arch: "cnn7-stride4".into(),
            epochs: 160,
            lr_milestones: Some(vec![120, 140]),
            regulariser_weight: 0.2,
            ..config
        },
    })
}

/// What Mao et al. 2023 have for one setting.
fn latent(name: &str, method: MethodKind, base: Config) -> Config {
    let small = method == MethodKind::Staps;
    let config = Config {
        grad_clip: Some(10.0),
        train_epsilon: None,
        taps_split: 1,
        taps_grad_scale: 5.0,
        taps_steps: 20,
        taps_restarts: 1,
        l1: 2e-6,
        ..base
    };
    match name {
        "mnist-0.1" => Config {
            train_epsilon: Some(0.2),
            natural_epochs: 0,
            epsilon_end_epoch: Some(21),
            l1: if small { 2e-5 } else { 0.0 },
            init: small.then_some(Init::Pytorch),
            ..config
        },
        "mnist-0.3" => Config {
            train_epsilon: Some(0.4),
            natural_epochs: 0,
            epsilon_end_epoch: Some(21),
            l1: if small { 2e-6 } else { 0.0 },
            ..config
        },
        "cifar10-2_255" | "cifar10-8_255" => {
            let on_2 = name == "cifar10-2_255";
            Config {
                epochs: 161,
                lr_milestones: Some(vec![121, 141]),
                taps_split: if on_2 && !small { 5 } else { 1 },
                taps_grad_scale: if on_2 && small { 2.0 } else { 5.0 },
                relu_shrinkage: if on_2 && small { 0.8 } else { 1.0 },
                ..config
            }
        }
        _ => Config {
            arch: "cnn7-stride4".into(),
            epochs: 80,
            lr_milestones: Some(vec![60, 70]),
            epsilon_end_epoch: Some(22),
            regulariser_weight: 0.1,
            taps_steps: if small { 10 } else { 20 },
            lambda: 0.6,
            l1: if small { 1e-6 } else { 0.0 },
            ..config
        },
    }
}

/// The experiment that evaluates on `dataset` at `epsilon`, up to the rounding of the published commands.
pub(super) fn setting(dataset: &str, epsilon: f64) -> Option<&'static str> {
    let close = |a: f64, b: f64| (a - b).abs() < 1e-5;
    SETTINGS.iter().find(|s| s.dataset == dataset && close(s.epsilon, epsilon)).map(|s| s.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_resolves_for_every_method_that_has_settings() {
        for name in PRESETS {
            for method in MethodKind::ALL {
                let unpublished = method == MethodKind::ExpIbp && name.starts_with("mnist");
                match preset(name, method) {
                    Ok(config) => {
                        assert!(!unpublished);
                        let resolved = config.clone().resolve().unwrap_or_else(|e| panic!("{name}, {method:?}: {e}"));
                        assert_eq!(resolved.lr_milestones, config.lr_milestones);
                        assert!(resolved.epsilon_end_epoch < Some(resolved.epochs));
                    }
                    Err(error) => assert!(unpublished, "{error}"),
                }
            }
        }
        assert!(preset("mnist", MethodKind::Sabr).unwrap_err().to_string().contains("mnist-0.1"));
    }

    /// Table of the published commands (Müller et al. 2023).
    #[test]
    fn sabr_has_the_published_values() {
        let of = |name| preset(name, MethodKind::Sabr).unwrap();
        let rows = PRESETS.map(|name| {
            let c = of(name);
            (c.epochs, c.lr_milestones.clone().unwrap(), c.epsilon_end_epoch.unwrap(), c.batch, c.lambda, c.l1)
        });
        assert_eq!(rows[0], (70, vec![50, 60], 22, 256, 0.4, 1e-5));
        assert_eq!(rows[1], (70, vec![50, 60], 22, 256, 0.6, 1e-6));
        assert_eq!(rows[2], (160, vec![120, 140], 82, 128, 0.1, 1e-6));
        assert_eq!(rows[3], (180, vec![140, 160], 82, 128, 0.7, 0.0));
        assert_eq!(rows[4], (180, vec![140, 160], 82, 128, 0.4, 1e-6));
        assert_eq!(PRESETS.map(|name| of(name).relu_shrinkage), [1.0, 1.0, 0.8, 1.0, 1.0]);
        assert!(PRESETS.iter().all(|name| of(name).grad_clip.is_none() && of(name).lr == 5e-4));
    }
}
