//! Native random numbers.

use rayon::prelude::*;

use super::{Distribution, Random};
use crate::error::Result;
use crate::kernel::NativeCall;
use crate::ops::functions::{ln, sin_cos_of_turns};
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

/// Blocks of four numbers that are drawn at a time: several vectors of them, since each round waits for the one before.
const GROUP: usize = 64;

vectorised! {
    fn draws(distribution: Distribution, stream: u32, key: [u32; 4], chunk: usize, y: &mut [f32]) {
        for (group, y) in y.chunks_mut(4 * GROUP).enumerate() {
            let first = (chunk * (CHUNK / 4) + group * GROUP) as u32;
            let mut blocks = [[0; 2]; GROUP / 2];
            for (i, block) in blocks.as_flattened_mut().iter_mut().enumerate() {
                *block = first.wrapping_add(i as u32);
            }
            let counters = [blocks, [[stream; 2]; GROUP / 2], [[key[2]; 2]; GROUP / 2], [[key[3]; 2]; GROUP / 2]];
            let words = philox4x32_each(counters, [key[0], key[1]]);
            let numbers = match distribution {
                Distribution::Uniform { lower, upper } => uniform(lower, upper - lower, words),
                Distribution::Normal { mean, deviation } => normal(mean, deviation, words),
            };
            let mut values = [0.0; 4 * GROUP];
            for (i, values) in values.chunks_exact_mut(4).enumerate() {
                values.copy_from_slice(&[numbers[0][i], numbers[1][i], numbers[2][i], numbers[3][i]]);
            }
            y.copy_from_slice(&values[..y.len()]);
        }
    }
}

#[inline(always)]
fn uniform(lower: f32, length: f32, words: [[[u32; 2]; GROUP / 2]; 4]) -> [[f32; GROUP]; 4] {
    let mut numbers = [[0.0; GROUP]; 4];
    for (number, &word) in numbers.as_flattened_mut().iter_mut().zip(words.as_flattened().as_flattened()) {
        *number = lower + length * uniform_f32(word);
    }
    numbers
}

/// Two numbers of two words each (Box and Muller).
#[inline(always)]
fn normal(mean: f32, deviation: f32, words: [[[u32; 2]; GROUP / 2]; 4]) -> [[f32; GROUP]; 4] {
    let mut numbers = [[0.0; GROUP]; 4];
    for (numbers, words) in numbers.chunks_exact_mut(2).zip(words.chunks_exact(2)) {
        let words = [words[0].as_flattened(), words[1].as_flattened()];
        for i in 0..GROUP {
            // 1 − u ∈ (0, 1] keeps the logarithm finite.
            let length = (-2.0 * ln(1.0 - uniform_f32(words[0][i]))).sqrt();
            let (sin, cos) = sin_cos_of_turns(uniform_f32(words[1][i]));
            numbers[0][i] = mean + deviation * (length * cos);
            numbers[1][i] = mean + deviation * (length * sin);
        }
    }
    numbers
}
