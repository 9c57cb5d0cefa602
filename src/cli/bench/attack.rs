//! `smallbox bench attack`: the attack of a training step, alone.

use clap::builder::PossibleValuesParser;
use smallbox::error::Result;
use smallbox::nn::ARCHITECTURES;
use smallbox::train::{Config, MethodKind, Work};

use super::step::{Timing, time};
use crate::cli::parse;

/// Options of `bench attack`.
#[derive(clap::Args)]
pub struct Args {
    /// Architecture
    #[arg(long, default_value = "cnn3", value_parser = PossibleValuesParser::new(ARCHITECTURES))]
    arch: String,
    /// Images attacked at once
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = parse::positive)]
    batch: usize,
    /// Gradient steps of the attack
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = parse::positive)]
    attack_steps: usize,
    /// Choose among the iterates too, with one forward pass more, as training does
    #[arg(long)]
    choose: bool,
    #[command(flatten)]
    timing: Timing,
}

/// Times attacks.
pub fn run(args: &Args) -> Result<()> {
    let &Args { batch, attack_steps, .. } = args;
    let config = Config { arch: args.arch.clone(), method: MethodKind::Sabr, batch, attack_steps, ..Config::default() };
    time(&args.timing, &config.resolve()?, if args.choose { Work::AttackAndChoice } else { Work::Attack })
}
