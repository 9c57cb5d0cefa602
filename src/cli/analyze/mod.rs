//! `smallbox analyze`: numbers and pictures of what training did to networks, one file for each analysis.

mod attack;
mod exact;
mod growth;
mod loss_growth;
mod loss_precision;
mod models;
pub mod place;
mod regularisation;
mod results;

use smallbox::error::Result;

/// What `analyze` can do.
#[derive(clap::Subcommand)]
pub enum Command {
    /// How boxes grow through the layers: growth rates by layer, size and place
    Growth(Box<growth::Args>),
    /// What training does to ReLUs, gradients and weights: unstable neurons, cosines of gradients, norms
    Regularisation(Box<regularisation::Args>),
    /// Show the exact image of a box under each layer of networks of two inputs, beside interval bounds, attack and small box
    Exact(exact::Args),
    /// The robust loss against the size of the box, by intervals and by linear relaxation, of networks side by side
    LossGrowth(loss_growth::Args),
    /// What training methods take for the worst case of an image against the exact one, by complete verification: for small networks
    LossPrecision(loss_precision::Args),
    /// Natural against certified accuracy of runs, beside what was published for the same dataset and ε
    Results(results::Args),
}

/// Runs one analysis.
pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Growth(args) => growth::run(args),
        Command::Regularisation(args) => regularisation::run(args),
        Command::Exact(args) => exact::run(args),
        Command::LossGrowth(args) => loss_growth::run(args),
        Command::LossPrecision(args) => loss_precision::run(args),
        Command::Results(args) => results::run(args),
    }
}
