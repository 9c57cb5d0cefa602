//! The checker's bounds: against auto_LiRPA's, against sampled points, against exact minima, and where rounding bites.

mod exact;
mod golden;
mod rounding;
pub mod sampled;
