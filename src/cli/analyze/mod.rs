//! `smallbox analyze`: numbers and pictures of what training did to networks, one file for each analysis.

mod models;
mod place;

use smallbox::error::Result;

/// What `analyze` can do.
#[derive(clap::Subcommand)]
pub enum Command {}

/// Runs one analysis.
pub fn run(command: &Command) -> Result<()> {
    match *command {}
}
