//! Analyses: every number against an independent computation.

mod figure;
mod results;
