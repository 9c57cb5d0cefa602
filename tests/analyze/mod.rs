//! Analyses: every number against an independent computation.

mod exact;
mod figure;
mod results;
