//! Convolutions with fewer multiplications (Winograd 1980; Lavin and Gray 2016). Of 3×3 taps and stride 1: F(4×4, 3×3) needs 36
//! instead of 144 for 4×4 outputs, F(2×2, 3×3) 16 instead of 36. Of stride 2, which are 2×2 taps on the four phases of
//! an image: F(4×4, 2×2) needs 25 · 4 instead of 256 for 4×4 taps and 81 instead of 144 for 3×3, F(3×3, 2×2) 64 of 144 and 49 of 81,
//! F(7×7, 2×2) 64 · 4 of 784 and 225 of 441.
//!
//! y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A on every tile of outputs, summed over channels between the brackets, so that the middle is a
//! matrix product at each of the points. The gradients are the transposed maps: that of x is the same convolution
//! by flipped taps or, where a tile makes all outputs of an image, B [(G w Gᵀ) ⊙ (A gy Aᵀ)] Bᵀ; that of w is Gᵀ [(A gy Aᵀ) ⊙ (Bᵀ x B)] G.
//!
//! From the ground: [`transform`] (the small matrices), [`scheme`] (phases) and [`tiling`] (which tiles an image has) → [`pack`] (weights), [`pixels`] and
//! [`read`] (inputs), [`coming`] (what is asked for) → [`gather`] (convolution and its input gradient) and [`correlate`] (its weight gradient). Lanes are
//! channels throughout.
//!
//! Where the extents of an image are no multiples of a tile's, the images of a batch lie on one sheet with their padding between
//! them, and the tiles that reach beyond one image are into the next.
//!
//! Sums are rounded differently than those of the plain kernels, and the error grows by the entries of the matrices (to
//! about twenty times that of a plain sum, where a tile makes 7 outputs; how an image's are rounded can depend on its place in the batch), so these kernels serve
//! training and attacks, and never a bound that is to hold.

mod coming;
pub(crate) mod correlate;
pub(crate) mod gather;
mod pack;
mod pixels;
mod read;
mod scheme;
mod tiling;
mod transform;

use super::cache::second_level_words;
use super::lanes::Width;
use crate::ops::conv2d::Geometry;
use crate::ops::simd::Level;

/// Words that the points of a block may take where results depend on it; more where `shared` words that every block reads are many: the larger
/// blocks are, the fewer there are to read them.
fn block_words(shared: usize) -> usize {
    if shared > 256 * 1024 { 304 * 1024 } else { 256 * 1024 }
}

/// The same where results don't: so many that a core's own cache holds them, and what [`coming`] asks for.
fn cached_words() -> usize {
    (second_level_words() / 8 * 5).min(304 * 1024)
}

/// Whether a convolution can be done, and is done faster, this way.
pub(crate) fn pays(g: &Geometry, level: Level) -> bool {
    let large = g.input.iter().chain(&g.output).all(|&n| n >= 4);
    // With few channels the transforms cost more than the products save.
    large && scheme::Scheme::of(g).is_some() && g.channels.min(g.features) >= Width::of(level).lanes.max(16)
}

/// The same for the gradient with respect to the weights, whose tiles are all large: where they reach far beyond the outputs, or have
/// points of taps that the kernel lacks, too few multiplications are saved to pay for the transforms.
pub(crate) fn pays_for_weights(g: &Geometry, level: Level) -> bool {
    pays(g, level)
        && scheme::Scheme::of(g).is_some_and(|scheme| {
            let sizes = tiling::Sizes::mixed(scheme.taps());
            let tiles: usize = g.output.iter().map(|n| n.div_ceil(sizes.large)).product();
            let points = tiles * scheme.phases() * sizes.edge().pow(2);
            3 * points <= 2 * g.output[0] * g.output[1] * scheme.kernel_taps()
        })
}
