//! Analyses: every number against an independent computation.

mod exact;
mod figure;
mod results;
mod loss_growth;
mod loss_precision;
mod small;
