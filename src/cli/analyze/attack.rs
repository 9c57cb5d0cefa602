//! How the images of an analysis are attacked.

use smallbox::analyze::Attack;

use super::models::Loaded;
use crate::cli::parse;

/// Options of analyses that look at attacked images.
#[derive(clap::Args)]
pub struct Options {
    /// Gradient steps of the attack `[default: each run's, else 40]`
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    attack_steps: Option<usize>,
    /// Seed of the attack's start, and of random images
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Images attacked and propagated at once
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 50)]
    batch: usize,
}

impl Options {
    /// The attack on one network: that of its run's evaluation.
    pub fn on(&self, model: &Loaded) -> Attack {
        let mut config = model.config.clone().unwrap_or_default();
        config.eval_attack_steps = self.attack_steps.unwrap_or(config.eval_attack_steps);
        Attack { epsilon: model.epsilon, spec: config.eval_attack(), seed: self.seed, batch: self.batch }
    }
}
