//! Convolutions of 3×3 taps and stride 1 with fewer multiplications (Winograd 1980; Lavin and Gray 2016): F(4×4, 3×3) needs 36
//! instead of 144 for 4×4 outputs, F(2×2, 3×3) 16 instead of 36.
//!
//! y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A on every tile of outputs, summed over channels between the brackets, so that the middle is a
//! matrix product at each of the 36 (24, 16) points. The gradients are the transposed maps: that of x is the same convolution
//! by flipped taps, that of w is Gᵀ [(A gy Aᵀ) ⊙ (Bᵀ x B)] G.
//!
//! From the ground: [`transform`] (the small matrices) and [`tiling`] (which tiles an image has) → [`pack`] (weights) and
//! [`read`] (inputs) → [`gather`] (convolution and its input gradient) and [`correlate`] (its weight gradient). Lanes are
//! channels throughout.
//!
//! Sums are rounded differently than those of the plain kernels, and the error grows by the entries of the matrices (to
//! about ten times that of a plain sum), so these kernels serve training and attacks, and never a bound that is to hold.

pub(crate) mod correlate;
pub(crate) mod gather;
mod pack;
mod read;
mod tiling;
mod transform;

use super::lanes::Width;
use crate::ops::conv2d::Geometry;
use crate::ops::simd::Level;

/// Whether a convolution can be done, and is done faster, this way.
pub(crate) fn pays(g: &Geometry, level: Level) -> bool {
    let fits = g.kernel == [3, 3] && g.spec.stride == [1, 1] && g.spec.dilation == [1, 1];
    let fits = fits && g.spec.padding.iter().all(|&p| p <= 2) && g.input.iter().chain(&g.output).all(|&n| n >= 4);
    // With few channels the transforms cost more than the products save.
    fits && g.channels.min(g.features) >= Width::of(level).lanes.max(16)
}
