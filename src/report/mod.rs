//! One HTML page that compares runs: tables, curves and settings. The page stands alone: no script, and nothing is fetched.

mod figures;
mod history;
mod html;
mod page;
mod run;
mod settings;

pub use history::{History, Row};
pub use page::page;
pub use run::{Published, ReportedBest, ReportedRun, RunResult, read_runs};
