//! The micro-kernels of a convolution and of its gradients whose lanes, or scalars, are channels that neighbour in a vector; see
//! [`tile`](super::tile).

use super::lanes::{Simd, Work};
use super::tile::{Sized, choose};

/// Most scalars in a [`ChannelTile`].
const MAX_PIXELS: usize = 14;

/// Largest P of a [`ChannelTile`] of `vectors` vectors: what registers hold beside the vectors themselves.
pub(crate) fn max_pixels(registers: usize, vectors: usize) -> usize {
    ((registers - 4) / vectors).min(MAX_PIXELS)
}

/// Lanes are output channels, scalars the pixels p of one row or of two:
/// `out[r·out_row + p·out_step + v·out_vector + lane]` = Σ_k `weights[k][v·LANES + lane]` · pixels[r·row + `taps[k]` + p], and the epilogue.
#[derive(Clone, Copy)]
pub(crate) struct ChannelTile<'a> {
    /// Offset of each term in `pixels`.
    pub(crate) taps: &'a [u32],
    /// `[taps][V · LANES]`.
    pub(crate) weights: *const f32,
    /// Zero-padded image, at the first pixel's origin.
    pub(crate) pixels: *const f32,
    /// Distance of the second row's origin.
    pub(crate) row: usize,
    pub(crate) out: *mut f32,
    pub(crate) out_step: usize,
    pub(crate) out_row: usize,
    pub(crate) out_vector: usize,
    /// One summand for each channel, if there are any, and whether what is negative becomes 0.
    pub(crate) bias: Option<*const f32>,
    pub(crate) relu: bool,
}

/// Body of [`ChannelTile`] for R rows.
///
/// # Safety
/// See [`ChannelTile`].
#[inline(always)]
unsafe fn channels<S: Simd, const R: usize, const P: usize, const V: usize>(t: ChannelTile<'_>) {
    // SAFETY: the caller's duty.
    unsafe {
        let mut sums = [[[S::splat(0.0); V]; P]; R];
        let mut weights = t.weights;
        for &tap in t.taps {
            let pixels = t.pixels.add(tap as usize);
            let vectors: [S::Vector; V] = std::array::from_fn(|v| S::load(weights.add(v * S::LANES)));
            for (r, row) in sums.iter_mut().enumerate() {
                let pixels = pixels.add(r * t.row);
                for (p, pixel) in row.iter_mut().enumerate() {
                    let x = S::splat(*pixels.add(p));
                    for (sum, &w) in pixel.iter_mut().zip(&vectors) {
                        *sum = S::mul_add(x, w, *sum);
                    }
                }
            }
            weights = weights.add(V * S::LANES);
        }
        if let Some(bias) = t.bias {
            let bias: [S::Vector; V] = std::array::from_fn(|v| S::load(bias.add(v * S::LANES)));
            for row in &mut sums {
                for pixel in row {
                    pixel.iter_mut().zip(&bias).for_each(|(sum, &bias)| *sum = S::add(*sum, bias));
                }
            }
        }
        if t.relu {
            for row in &mut sums {
                for pixel in row {
                    pixel.iter_mut().for_each(|sum| *sum = S::relu(*sum));
                }
            }
        }
        for (r, row) in sums.iter().enumerate() {
            for (p, pixel) in row.iter().enumerate() {
                for (v, &sum) in pixel.iter().enumerate() {
                    S::store(t.out.add(r * t.out_row + p * t.out_step + v * t.out_vector), sum);
                }
            }
        }
    }
}

impl<const P: usize, const V: usize> Work for Sized<ChannelTile<'_>, P, V> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's duty.
        unsafe { channels::<S, 1, P, V>(self.0) }
    }
}

/// The same for two rows.
struct SizedPair<T, const P: usize, const V: usize>(T);

impl<const P: usize, const V: usize> Work for SizedPair<ChannelTile<'_>, P, V> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's duty.
        unsafe { channels::<S, 2, P, V>(self.0) }
    }
}

impl ChannelTile<'_> {
    /// Runs the tile with P = `pixels` for `rows` rows, 1 or 2, where `rows` · P ≤ [`max_pixels`], and V = `vectors` ≤ 2.
    ///
    /// # Safety
    /// The pointers hold what the equation reads and writes.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(self, rows: usize, pixels: usize, vectors: usize) {
        // SAFETY: the caller's duty.
        unsafe {
            match rows {
                1 => choose!(ROW(S, Sized, self), (pixels, vectors)),
                _ => choose!(PAIR(S, SizedPair, self), (pixels, vectors)),
            }
        }
    }
}

/// Lanes are output channels: `out[v·out_step + p·LANES + lane]` += Σ_{r,i} pixels[r·row + `taps[p]` + i] ·
/// `gradients[v·plane + (r·columns + i)·LANES + lane]`.
#[derive(Clone, Copy)]
pub(crate) struct ChannelDotTile<'a> {
    /// P offsets in `pixels`.
    pub(crate) taps: &'a [u32],
    /// Zero-padded image, at the first pixel's origin.
    pub(crate) pixels: *const f32,
    /// Distance of neighbouring rows' origins.
    pub(crate) row: usize,
    /// Extents of the sum.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) gradients: *const f32,
    pub(crate) plane: usize,
    pub(crate) out: *mut f32,
    pub(crate) out_step: usize,
}

/// Largest P of a [`ChannelDotTile`] of `vectors` vectors: there are addresses for no more than 8.
pub(crate) fn max_taps(registers: usize, vectors: usize) -> usize {
    max_pixels(registers, vectors).min(8)
}

impl<const P: usize, const V: usize> Work for Sized<ChannelDotTile<'_>, P, V> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let t = self.0;
        // SAFETY: the caller's duty; see `ChannelDotTile`.
        unsafe {
            let out = |p: usize, v: usize| t.out.add(v * t.out_step + p * S::LANES);
            let mut sums: [[S::Vector; V]; P] = std::array::from_fn(|p| std::array::from_fn(|v| S::load(out(p, v))));
            let mut gradients = t.gradients;
            for r in 0..t.rows {
                let pixels: [*const f32; P] = std::array::from_fn(|p| t.pixels.add(r * t.row + t.taps[p] as usize));
                for i in 0..t.columns {
                    let vectors: [S::Vector; V] = std::array::from_fn(|v| S::load(gradients.add(v * t.plane)));
                    for (row, pixel) in sums.iter_mut().zip(&pixels) {
                        let x = S::splat(*pixel.add(i));
                        for (sum, &y) in row.iter_mut().zip(&vectors) {
                            *sum = S::mul_add(x, y, *sum);
                        }
                    }
                    gradients = gradients.add(S::LANES);
                }
            }
            for (p, row) in sums.into_iter().enumerate() {
                for (v, sum) in row.into_iter().enumerate() {
                    S::store(out(p, v), sum);
                }
            }
        }
    }
}

impl ChannelDotTile<'_> {
    /// Runs the tile with P = number of taps ≤ [`max_taps`] and V = `vectors` ≤ 2.
    ///
    /// # Safety
    /// The pointers hold what the equation reads and writes.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(self, vectors: usize) {
        // SAFETY: the caller's duty.
        unsafe { choose!(ROW(S, Sized, self), (self.taps.len(), vectors)) }
    }
}

/// Scalars are the channels of P neighbouring pixels:
/// `out[p·out_step + v·LANES + lane]` = Σ_{b,i} `weights[(b·LANES + i)·weight_step + v·LANES + lane]` · `pixels[b·plane + p·LANES + i]`.
#[derive(Clone, Copy)]
pub(crate) struct BlockTile {
    /// Blocks of channels.
    pub(crate) blocks: usize,
    pub(crate) pixels: *const f32,
    /// From one block to the next.
    pub(crate) plane: usize,
    pub(crate) weights: *const f32,
    pub(crate) weight_step: usize,
    pub(crate) out: *mut f32,
    pub(crate) out_step: usize,
}

impl<const P: usize, const V: usize> Work for Sized<BlockTile, P, V> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let t = self.0;
        // SAFETY: the caller's duty; see `BlockTile`.
        unsafe {
            let mut sums = [[S::splat(0.0); V]; P];
            let mut weights = t.weights;
            for block in 0..t.blocks {
                let pixels = t.pixels.add(block * t.plane);
                for i in 0..S::LANES {
                    let vectors: [S::Vector; V] = std::array::from_fn(|v| S::load(weights.add(v * S::LANES)));
                    for (p, row) in sums.iter_mut().enumerate() {
                        let x = S::splat(*pixels.add(p * S::LANES + i));
                        for (sum, &w) in row.iter_mut().zip(&vectors) {
                            *sum = S::mul_add(x, w, *sum);
                        }
                    }
                    weights = weights.add(t.weight_step);
                }
            }
            for (p, row) in sums.into_iter().enumerate() {
                for (v, sum) in row.into_iter().enumerate() {
                    S::store(t.out.add(p * t.out_step + v * S::LANES), sum);
                }
            }
        }
    }
}

impl BlockTile {
    /// Runs the tile with P = `pixels` ≤ [`max_pixels`] and V = `vectors` ≤ 2.
    ///
    /// # Safety
    /// The pointers hold what the equation reads and writes.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(self, pixels: usize, vectors: usize) {
        // SAFETY: the caller's duty.
        unsafe { choose!(ROW(S, Sized, self), (pixels, vectors)) }
    }
}
