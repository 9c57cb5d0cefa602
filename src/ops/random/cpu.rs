//! Native random numbers.

use rayon::prelude::*;

use super::{Distribution, Random};
use crate::error::Result;
use crate::kernel::NativeCall;
use crate::ops::simd::{CHUNK, vectorised};
use crate::philox::{philox4x32_each, uniform_f32};

pub(super) fn call(op: &Random) -> Result<NativeCall> {
    let (distribution, stream) = (op.distribution, op.stream);
    Ok(NativeCall::new("random", move |args| {
        let (key, y) = (args.input_u32(0), args.output(0));
        let key = [key[0], key[1], key[2], key[3]];
        y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| draws(distribution, stream, key, chunk, y));
    }))
}

/// Blocks of four numbers that are drawn at a time.
const GROUP: usize = 16;

vectorised! {
    fn draws(distribution: Distribution, stream: u32, key: [u32; 4], chunk: usize, y: &mut [f32]) {
        for (group, y) in y.chunks_mut(4 * GROUP).enumerate() {
            let first = (chunk * (CHUNK / 4) + group * GROUP) as u32;
            let mut blocks = [0; GROUP];
            for (i, block) in blocks.iter_mut().enumerate() {
                *block = first.wrapping_add(i as u32);
            }
            let counters = [blocks, [stream; GROUP], [key[2]; GROUP], [key[3]; GROUP]];
            let words = philox4x32_each(counters, [key[0], key[1]]);
            let mut values = [0.0; 4 * GROUP];
            for (i, values) in values.chunks_exact_mut(4).enumerate() {
                values.copy_from_slice(&draw(distribution, [words[0][i], words[1][i], words[2][i], words[3][i]]));
            }
            y.copy_from_slice(&values[..y.len()]);
        }
    }
}

#[inline(always)]
fn draw(distribution: Distribution, words: [u32; 4]) -> [f32; 4] {
    match distribution {
        Distribution::Uniform { lower, upper } => words.map(|w| lower + (upper - lower) * uniform_f32(w)),
        Distribution::Normal { mean, deviation } => {
            let mut values = [0.0; 4];
            for (pair, words) in values.chunks_mut(2).zip(words.chunks(2)) {
                // 1 − u ∈ (0, 1] keeps the logarithm finite.
                let length = (-2.0 * (1.0 - uniform_f32(words[0])).ln()).sqrt();
                let (sin, cos) = (std::f32::consts::TAU * uniform_f32(words[1])).sin_cos();
                pair[0] = mean + deviation * (length * cos);
                pair[1] = mean + deviation * (length * sin);
            }
            values
        }
    }
}
