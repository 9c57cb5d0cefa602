//! The dispatches that compute a convolution's weight gradient: parts in scratch, added in order.

use super::Geometry;
use crate::error::Result;
use crate::kernel::Operand::{Output, Scratch};
use crate::kernel::{Bind, Dispatch, GpuCall, GpuLimits, Variant};
use crate::ops::dispatch::{
    Matrix, Override, SumEpilogue, chunks_of_work, flag, grid, int, part, register_tiled, sum_partials, too_large,
};
use crate::ops::shaders::{
    CONV2D_BACKWARD_WEIGHT, CONV2D_BACKWARD_WEIGHT_PLAIN, CONV2D_BACKWARD_WEIGHT_REGISTER, CONV2D_BACKWARD_WEIGHT_SUBGROUP,
    CONV2D_INTERVAL_BACKWARD_WEIGHT,
};

/// One correlation that goes into the gradient: images, gradients of the outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) x: crate::kernel::Operand,
    pub(crate) grad_y: crate::kernel::Operand,
}

/// corr(center) + sign(w) · corr(radius); without a radius the first term only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Correlation {
    pub(crate) center: Pair,
    /// The second pair, and w.
    pub(crate) radius: Option<(Pair, crate::kernel::Operand)>,
}

/// Tiles of 32 × 32 elements that the parts of a small weight are cut into. The parts decide the order of the sums, so they come from the
/// extents alone: no adapter and no choice of a kernel changes them.
const WANTED_TILES: usize = 512;
const TILE: usize = 32;
/// Least pixels of one part: fewer would spend more on adding parts than on making them.
const PART_PIXELS: usize = 128;

/// A range of samples, in parts.
struct Share {
    samples: (usize, usize),
    parts: usize,
    part_rows: usize,
}

impl Correlation {
    /// The dispatches that write the gradient to output 0.
    pub(crate) fn call(&self, name: &'static str, g: &Geometry, limits: &GpuLimits) -> Result<GpuCall> {
        let columns = g.channels * g.kernel[0] * g.kernel[1];
        let weights = g.features * columns;
        let image = [g.channels * g.input[0] * g.input[1], g.features * g.output[0] * g.output[1]];
        let flops = if self.radius.is_some() { 2 * g.sample_flops() } else { g.sample_flops() };
        let samples = chunks_of_work(name, g.batch, &image, flops, limits)?;
        // A box has two terms per part where the fused kernel does not run.
        let most = limits.binding_words / weights / samples.len() / if self.radius.is_some() { 2 } else { 1 };
        if most == 0 {
            return Err(too_large(name, format_args!("the gradient of {weights} weights")));
        }
        let shares: Vec<Share> = samples.iter().map(|&s| share(g, s, columns, most)).collect();
        let parts = shares.iter().map(|s| s.parts).sum::<usize>();
        let arrays = if self.radius.is_some() { [2, 2] } else { [1, 1] };
        let matrix = |parts| Matrix { rows: g.features, columns, parts, arrays, wide: false };
        let variant = matrix(parts).variant(limits);
        // A box is one dispatch where the fused kernel runs, else one for each of two terms.
        let fused = self.radius.is_none() || matches!(variant, Variant::Tiled(_));
        let terms = if fused { 1 } else { 2 };
        let target = Bind::all(if parts * terms == 1 { Output(0) } else { Scratch(0) });

        let mut call = GpuCall::default();
        for term in 0..terms {
            let mut done = 0;
            for share in &shares {
                let cut = |operand, words| part(operand, share.samples.0, share.samples.1, words);
                let pair = |p: Pair| [cut(p.x, image[0]), cut(p.grad_y, image[1])];
                let mut overrides = overrides(g, share, done * terms + term);
                let (shader, binds) = match (self.radius, fused) {
                    (Some((radius, w)), true) => {
                        let ([x1, g1], [x2, g2]) = (pair(self.center), pair(radius));
                        (&CONV2D_INTERVAL_BACKWARD_WEIGHT, vec![x1, x2, g1, g2, Bind::all(w), target])
                    }
                    (radius, _) => {
                        let signed = term == 1;
                        overrides.extend([("SIGNED", flag(signed)), ("PART_STEP", int(terms))]);
                        let shader = match variant {
                            Variant::Tiled(_) => &CONV2D_BACKWARD_WEIGHT,
                            Variant::Register { .. } => {
                                let both = [&CONV2D_BACKWARD_WEIGHT_REGISTER, &CONV2D_BACKWARD_WEIGHT_SUBGROUP];
                                register_tiled(both, limits)
                            }
                            Variant::Wide(_) => unreachable!("a weight gradient has no such kernel"),
                            Variant::Plain => &CONV2D_BACKWARD_WEIGHT_PLAIN,
                        };
                        let [x, grad_y] = pair(radius.filter(|_| signed).map_or(self.center, |(radius, _)| radius));
                        let w = radius.filter(|_| signed).map_or(x, |(_, w)| Bind::all(w));
                        (shader, vec![x, grad_y, w, target])
                    }
                };
                let (groups, constants) = matrix(share.parts).launch(variant);
                overrides.extend(constants);
                let groups = grid(name, groups, limits)?;
                call.dispatches.push(Dispatch { shader, binds, overrides, groups });
                done += share.parts;
            }
        }
        if parts * terms > 1 {
            let extents = (parts, terms, weights);
            call.dispatches.push(sum_partials(target, Bind::all(Output(0)), extents, SumEpilogue::default(), limits)?);
            call.scratch.push(parts * terms * weights);
        }
        Ok(call)
    }
}

/// How many parts the samples' rows are summed in.
fn share(g: &Geometry, samples: (usize, usize), columns: usize, most: usize) -> Share {
    let rows = samples.1 * g.output[0];
    let tiles = g.features.div_ceil(TILE) * columns.div_ceil(TILE);
    let least_rows = PART_PIXELS.div_ceil(g.output[1]);
    let parts = WANTED_TILES.div_ceil(tiles).min(rows.div_ceil(least_rows)).min(most).max(1);
    let part_rows = rows.div_ceil(parts);
    Share { samples, parts: rows.div_ceil(part_rows), part_rows }
}

fn overrides(g: &Geometry, share: &Share, first_part: usize) -> Vec<Override> {
    vec![
        ("BATCH", int(share.samples.1)),
        ("O", int(g.features)),
        ("C", int(g.channels)),
        ("KH", int(g.kernel[0])),
        ("KW", int(g.kernel[1])),
        ("H", int(g.input[0])),
        ("W", int(g.input[1])),
        ("OH", int(g.output[0])),
        ("OW", int(g.output[1])),
        ("STRIDE_H", int(g.spec.stride[0])),
        ("STRIDE_W", int(g.spec.stride[1])),
        ("PADDING_H", int(g.spec.padding[0])),
        ("PADDING_W", int(g.spec.padding[1])),
        ("DILATION_H", int(g.spec.dilation[0])),
        ("DILATION_W", int(g.spec.dilation[1])),
        ("PARTS", int(share.parts)),
        ("PART_ROWS", int(share.part_rows)),
        ("FIRST_PART", int(first_part)),
    ]
}
