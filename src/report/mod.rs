//! One HTML page that compares runs (tables, curves and settings) and shows analyses (words, pictures, tables, commands). The page stands
//! alone: no script, and nothing is fetched.

mod analyses;
mod figures;
mod history;
mod html;
mod page;
mod run;
mod section;
mod settings;

pub use analyses::{ReportedAnalysis, read_analyses};
pub use history::{History, Row};
pub use page::page;
pub use run::{Published, ReportedBest, ReportedRun, RunResult, read_runs};
