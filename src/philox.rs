//! Philox4x32-10: random numbers as a pure function of a counter and a key.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. Being a function
//! (no state, integer arithmetic only), the same numbers come out on every device and for every element
//! independently: a shader computes the number of element `i` from counter `i`, and a resumed run continues
//! by computing the counter it had reached.
//!
//! # Addresses
//! The key is the run's 64-bit seed, `[low word, high word]`. The four counter words are
//! `[block, stream, hi, hi2]`: `block` counts the groups of four numbers of one stream, `stream` and `hi` are chosen
//! by the user (a sample's index, an epoch, a step) and `hi2` says what the numbers are for ([`purpose`]), so that
//! two uses of one seed never see the same numbers.

/// Values of the counter word `hi2`, one per use of random numbers on the host.
pub mod purpose {
    /// Samples of the embedded dataset: `stream` = index in the split, `hi` = split.
    pub const EMBEDDED_SAMPLE: u32 = 1;
    /// Order of the samples of an epoch: `stream` = low word of the epoch, `hi` = its high word.
    pub const EPOCH_ORDER: u32 = 2;
    /// Initial weights: `stream` = index of the parameter, `hi` = 0.
    pub const INITIAL_WEIGHTS: u32 = 3;
    /// Samples of the dataset `plane`: `stream` = index in the split, `hi` = split.
    pub const PLANE_SAMPLE: u32 = 4;
    /// Random images that an analysis looks at: `stream` = index of the image.
    pub const ANALYSIS_IMAGE: u32 = 5;
    /// Views of training images: `stream` = index of the sample, `hi` = low word of the epoch, and the high word beside this
    /// number.
    pub const AUGMENTATION: u32 = 1 << 30;
    /// Draws on a device: `stream` = number of the draw in its program, `hi` = low word of the run, and this bit is set in
    /// the last word, beside the high word of the run.
    pub const DEVICE_DRAW: u32 = 1 << 31;
}

const ROUNDS: usize = 10;
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Added to the key between rounds: the golden ratio and √3 − 1, scaled by 2³².
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// The four words of Philox4x32-10 at `counter` under `key`.
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut x0, mut x1, mut x2, mut x3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let p0 = u64::from(MULTIPLIERS[0]) * u64::from(x0);
        let p1 = u64::from(MULTIPLIERS[1]) * u64::from(x2);
        let (high0, low0) = ((p0 >> 32) as u32, p0 as u32);
        let (high1, low1) = ((p1 >> 32) as u32, p1 as u32);
        [x0, x1, x2, x3] = [high1 ^ x1 ^ k0, low1, high0 ^ x3 ^ k1, low0];
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [x0, x1, x2, x3]
}

/// [`philox4x32`] of `N` counters at a time, word by word: loops that a compiler turns into vectors. They go over pairs of words in u64, since
/// vectors multiply every other u32 to a u64 where it is.
#[inline(always)]
pub(crate) fn philox4x32_each<const N: usize>(counters: [[[u32; 2]; N]; 4], key: [u32; 2]) -> [[[u32; 2]; N]; 4] {
    const LOW: u64 = 0xffff_ffff;
    let joined = |[low, high]: [u32; 2]| u64::from(low) | u64::from(high) << 32;
    let mut words = [[0; N]; 4];
    for (words, counters) in words.iter_mut().zip(&counters) {
        words.iter_mut().zip(counters).for_each(|(word, &counter)| *word = joined(counter));
    }
    let [mut x0, mut x1, mut x2, mut x3] = words;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let keys = [joined([k0; 2]), joined([k1; 2])];
        for (((x0, x1), x2), x3) in x0.iter_mut().zip(&mut x1).zip(&mut x2).zip(&mut x3) {
            let products = |x: u64, by: u32| [(x & LOW) * u64::from(by), (x >> 32) * u64::from(by)];
            let high = |[a, b]: [u64; 2]| a >> 32 | b & !LOW;
            let low = |[a, b]: [u64; 2]| a & LOW | b << 32;
            let (p0, p1) = (products(*x0, MULTIPLIERS[0]), products(*x2, MULTIPLIERS[1]));
            *x0 = high(p1) ^ *x1 ^ keys[0];
            *x1 = low(p1);
            *x2 = high(p0) ^ *x3 ^ keys[1];
            *x3 = low(p0);
        }
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [x0, x1, x2, x3].map(|words| words.map(|word| [word as u32, (word >> 32) as u32]))
}

/// Key words of a 64-bit seed: `[low, high]`.
pub fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// A uniform number in [0, 1) with 24 random bits: `(bits >> 8) · 2⁻²⁴`. Both factors are exact in f32 and so is the
/// product, hence the same value on every device.
pub fn uniform_f32(bits: u32) -> f32 {
    const SCALE: f32 = 1.0 / (1 << 24) as f32;
    (bits >> 8) as f32 * SCALE
}

/// The numbers of one address, in order, for sequential use on the host. A stream holds 2³⁴ numbers and then repeats.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    /// Counter of the next block.
    counter: [u32; 4],
    block: [u32; 4],
    /// Words of `block` already given out; 4 = none left.
    used: usize,
    /// Second number of the last Box–Muller pair.
    spare_normal: Option<f64>,
}

impl Stream {
    /// The stream at counter `[0, stream, hi, hi2]` under the key of `seed`; `hi2` is one of [`purpose`].
    pub fn new(seed: u64, stream: u32, hi: u32, hi2: u32) -> Self {
        Stream { key: key(seed), counter: [0, stream, hi, hi2], block: [0; 4], used: 4, spare_normal: None }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox4x32(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        let word = self.block[self.used];
        self.used += 1;
        word
    }

    /// Uniform in [0, 1), see [`uniform_f32`].
    pub fn uniform(&mut self) -> f32 {
        uniform_f32(self.next_u32())
    }

    /// Uniform in 0..n without bias: words from the incomplete last run of `n` are rejected (fewer than half of them
    /// for any `n`).
    ///
    /// # Panics
    /// If `n` is 0: there is no such number.
    pub fn below(&mut self, n: u32) -> u32 {
        assert!(n > 0, "no number is below 0");
        // 2³² mod n, in 32-bit arithmetic: words below it are the surplus.
        let surplus = n.wrapping_neg() % n;
        loop {
            let word = self.next_u32();
            if word >= surplus {
                return word % n;
            }
        }
    }

    /// Standard normal by Box–Muller in f64. Logarithm and cosine come from the platform's mathematics library, so
    /// the last bits may differ between platforms (not between runs on one).
    pub fn normal(&mut self) -> f64 {
        if let Some(second) = self.spare_normal.take() {
            return second;
        }
        const SCALE: f64 = 1.0 / (1u64 << 32) as f64;
        // In (0, 1], so that the logarithm is finite.
        let u = (f64::from(self.next_u32()) + 1.0) * SCALE;
        let v = f64::from(self.next_u32()) * SCALE;
        let length = (-2.0 * u.ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
        self.spare_normal = Some(length * sin);
        length * cos
    }

    /// A uniformly random order of `items` (Fisher–Yates).
    ///
    /// # Panics
    /// If there are 2³² items or more.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let n = u32::try_from(last + 1).expect("shuffle is for fewer than 2^32 items");
            items.swap(last, self.below(n) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known-answer vectors published with the paper's Random123 library (`kat_vectors`, philox4x32 10).
    #[test]
    fn known_answers() {
        let ones = u32::MAX;
        let cases = [
            ([0; 4], [0; 2], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]),
            ([ones; 4], [ones; 2], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]),
            (
                [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
                [0xa4093822, 0x299f31d0],
                [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
            ),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(philox4x32(counter, key), expected, "{counter:x?} {key:x?}");
            // Each of a pair beside another counter.
            for place in [0, 1] {
                let mut counters = counter.map(|word| [[word; 2]; 3]);
                counters.iter_mut().for_each(|words| words[1][1 - place] ^= 0x5eed);
                let each = philox4x32_each(counters, key);
                assert_eq!(each.map(|words| words[1][place]), expected, "{counter:x?} {key:x?}");
                assert_eq!(each.map(|words| words[2]), expected.map(|word| [word; 2]), "{counter:x?} {key:x?}");
                assert_ne!(each.map(|words| words[1][1 - place]), expected);
            }
        }
    }

    #[test]
    fn uniform_covers_the_half_open_interval() {
        assert_eq!(uniform_f32(0), 0.0);
        assert_eq!(uniform_f32(0xff), 0.0, "the low 8 bits are not used");
        assert_eq!(uniform_f32(1 << 31), 0.5);
        assert_eq!(uniform_f32(u32::MAX), 1.0 - 1.0 / 16_777_216.0);
    }

    #[test]
    fn stream_is_the_blocks_in_order() {
        let seed = 0x0123_4567_89ab_cdef;
        let mut stream = Stream::new(seed, 7, 8, 9);
        for block in 0..3 {
            let expected = philox4x32([block, 7, 8, 9], [0x89ab_cdef, 0x0123_4567]);
            let got = [(); 4].map(|()| stream.next_u32());
            assert_eq!(got, expected);
        }
        let mut other = Stream::new(seed, 8, 8, 9);
        assert_ne!(other.next_u32(), Stream::new(seed, 7, 8, 9).next_u32());
    }

    #[test]
    fn below_is_uniform_and_in_range() {
        let mut stream = Stream::new(1, 0, 0, 0);
        const DRAWS: u32 = 60_000;
        let mut counts = [0u32; 6];
        for _ in 0..DRAWS {
            counts[stream.below(6) as usize] += 1;
        }
        // Chi-square with 5 degrees of freedom: 20.5 is the 0.999 quantile.
        let expected = f64::from(DRAWS) / 6.0;
        let chi2: f64 = counts.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
        assert!(chi2 < 20.5, "{counts:?}");
        // Just above 2³¹ a plain remainder would give the lower half of the range twice as often.
        let n = (1 << 31) + 1;
        let low = (0..2000).filter(|_| stream.below(n) < n / 2).count();
        assert!((low as i64 - 1000).abs() < 4 * 23, "{low} of 2000 in the lower half (sd 22.4)");
        assert_eq!(stream.below(1), 0);
    }

    #[test]
    fn normal_has_the_moments_of_a_standard_normal() {
        let mut stream = Stream::new(3, 0, 0, 0);
        const N: usize = 40_000;
        let draws: Vec<f64> = (0..N).map(|_| stream.normal()).collect();
        let moment = |p: i32| draws.iter().map(|x| x.powi(p)).sum::<f64>() / N as f64;
        // Standard deviations of the sample moments: 1/√N, √2/√N, √96/√N; four of each.
        let unit = 4.0 / (N as f64).sqrt();
        assert!(moment(1).abs() < unit);
        assert!((moment(2) - 1.0).abs() < unit * 2f64.sqrt());
        assert!((moment(4) - 3.0).abs() < unit * 96f64.sqrt());
    }

    #[test]
    fn shuffle_is_a_permutation_and_moves_every_position() {
        let mut stream = Stream::new(5, 0, 0, 0);
        let mut firsts = [0u32; 4];
        for _ in 0..8_000 {
            let mut items = [0usize, 1, 2, 3];
            stream.shuffle(&mut items);
            firsts[items[0]] += 1;
            items.sort_unstable();
            assert_eq!(items, [0, 1, 2, 3]);
        }
        // Each 2000 expected, sd 38.7.
        assert!(firsts.iter().all(|&n| (1845..=2155).contains(&n)), "{firsts:?}");
    }
}
