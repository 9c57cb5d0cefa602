//! Analyses: every number against an independent computation.

mod exact;
mod figure;
mod growth;
mod loss_growth;
mod loss_precision;
mod nets;
mod regularisation;
mod results;
mod scaling;
mod small;
