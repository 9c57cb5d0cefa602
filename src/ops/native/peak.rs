//! The machine's multiply-add peak, as the yardstick of benches.

use super::lanes::{Simd, Work, dispatch};
use crate::ops::simd::level;

/// Independent sums: enough to hide the latency of a multiply-add, few enough for the registers.
const CHAINS: usize = 12;

/// Steps of every chain in a round.
const STEPS: usize = 4;

/// Multiply-adds of a round on one element.
pub(crate) const PER_ROUND: usize = CHAINS * STEPS;

struct Chains<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    rounds: usize,
}

impl Work for Chains<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (x, y) in self.x.chunks(S::LANES).zip(self.y.chunks_mut(S::LANES)) {
            // SAFETY: `x` and `y` hold a vector, or as many lanes as are read and written.
            unsafe {
                let full = x.len() == S::LANES;
                let start = if full { S::load(x.as_ptr()) } else { S::load_first(x.as_ptr(), x.len()) };
                let half = S::splat(0.5);
                let mut sums = [start; CHAINS];
                for (k, sum) in sums.iter_mut().enumerate() {
                    *sum = S::add(*sum, S::splat(k as f32));
                }
                for _ in 0..STEPS * self.rounds {
                    for sum in &mut sums {
                        *sum = S::mul_add(*sum, half, half);
                    }
                }
                let total = sums.into_iter().fold(S::splat(0.0), |a, b| S::add(a, b));
                if full {
                    S::store(y.as_mut_ptr(), total);
                } else {
                    S::store_first(y.as_mut_ptr(), total, y.len());
                }
            }
        }
    }
}

/// y = the sums of the chains that begin at each x, after `rounds` rounds of [`PER_ROUND`] multiply-adds.
pub(crate) fn multiply_adds(x: &[f32], y: &mut [f32], rounds: usize) {
    // SAFETY: the level was found on this machine, and the work keeps to its slices.
    unsafe { dispatch(level(), Chains { x, y, rounds }) };
}
