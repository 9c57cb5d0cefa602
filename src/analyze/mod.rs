//! What training does to a network, in numbers and pictures: how boxes grow, how far bounds are from the truth, what regularises;
//! and how the time of its steps grows.
//!
//! An analysis computes plain numbers (its own struct, with full precision) and says them as a [`Document`]: short words,
//! tables and figures, and the numbers themselves as JSON and CSV. The command line writes documents into a folder, and a report
//! gathers those that it finds there.

pub mod document;
pub mod exact;
pub mod growth;
pub mod loss_growth;
pub mod loss_precision;
mod points;
pub mod regularisation;
pub mod results;
mod sample;
pub mod scaling;

pub use document::{Document, Sheet, Table};
pub use points::{Attack, attacked, random};
pub use sample::Sample;
