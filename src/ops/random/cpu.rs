//! Native random numbers.

use rayon::prelude::*;

use super::{Distribution, Random};
use crate::error::Result;
use crate::kernel::NativeCall;
use crate::ops::simd::CHUNK;
use crate::philox::{philox4x32, uniform_f32};

pub(super) fn call(op: &Random) -> Result<NativeCall> {
    let (distribution, stream) = (op.distribution, op.stream);
    Ok(NativeCall::new("random", move |args| {
        let (key, y) = (args.input_u32(0), args.output(0));
        y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
            for (block, y) in y.chunks_mut(4).enumerate() {
                let index = (chunk * (CHUNK / 4) + block) as u32;
                let words = philox4x32([index, stream, key[2], key[3]], [key[0], key[1]]);
                let values = draw(distribution, words);
                y.copy_from_slice(&values[..y.len()]);
            }
        });
    }))
}

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
