//! The machine's multiply-add peak, as the yardstick of benches.

use super::lanes::{Simd, Work, dispatch};
use crate::ops::simd::level;

/// Independent sums: enough to hide the latency of a multiply-add, few enough for the registers.
pub(crate) const CHAINS: usize = 12;

/// Lanes of work per chain, whatever the instruction set.
const LANES: usize = 16;

struct Chains<'a> {
    rounds: usize,
    result: &'a mut f32,
}

impl Work for Chains<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let mut lanes = [0.0; LANES];
        // SAFETY: `lanes` holds a vector.
        unsafe {
            let factor = S::splat(0.999);
            let mut sums = [S::splat(1.0); CHAINS];
            for _ in 0..self.rounds * (LANES / S::LANES) {
                for sum in &mut sums {
                    *sum = S::mul_add(*sum, factor, factor);
                }
            }
            let total = sums.into_iter().fold(S::splat(0.0), |a, b| S::add(a, b));
            S::store(lanes.as_mut_ptr(), total);
        }
        *self.result = lanes[0];
    }
}

/// `rounds` · [`CHAINS`] · 16 multiply-adds.
pub(crate) fn multiply_adds(rounds: usize) -> f32 {
    let mut result = 0.0;
    // SAFETY: the level was found on this machine, and the work touches its own memory only.
    unsafe { dispatch(level(), Chains { rounds, result: &mut result }) };
    result
}
