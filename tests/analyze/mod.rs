//! Analyses: every number against an independent computation.

mod exact;
mod figure;
mod loss_growth;
mod loss_precision;
mod results;
mod small;
