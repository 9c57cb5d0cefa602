//! Random test data from a fixed seed, independent of the generator under test.

use super::tensor::Tensor;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next_u64() % n as u64) as usize
    }

    /// Uniform on [lower, upper], rounded to f32.
    pub fn uniform(&mut self, lower: f64, upper: f64) -> f64 {
        let unit = (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        f64::from((lower + (upper - lower) * unit) as f32)
    }

    pub fn tensor(&mut self, shape: impl Into<Vec<usize>>, lower: f64, upper: f64) -> Tensor {
        let shape = shape.into();
        let n: usize = shape.iter().product();
        Tensor::new(shape, (0..n).map(|_| self.uniform(lower, upper)).collect())
    }

    /// Labels below `classes`.
    pub fn labels(&mut self, n: usize, classes: usize) -> Vec<u32> {
        (0..n).map(|_| self.below(classes) as u32).collect()
    }
}

/// What kind of numbers a test feeds, which decides how closely the result is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Data {
    /// Integers so small that every sum is exact in f32 in any order: the result must be exact, so every index counts.
    Integers,
    /// Reals from [−1, 1]: the result must be within the rounding bound.
    Reals,
}

impl Data {
    pub const BOTH: [Data; 2] = [Data::Integers, Data::Reals];

    /// Numbers of either sign.
    pub fn signed(self, random: &mut Random, shape: impl Into<Vec<usize>>) -> Tensor {
        match self {
            Data::Integers => {
                let shape = shape.into();
                let n: usize = shape.iter().product();
                Tensor::new(shape, (0..n).map(|_| random.below(7) as f64 - 3.0).collect())
            }
            Data::Reals => random.tensor(shape, -1.0, 1.0),
        }
    }

    /// Numbers ≥ 0, such as radii; zeros among them.
    pub fn radius(self, random: &mut Random, shape: impl Into<Vec<usize>>) -> Tensor {
        self.signed(random, shape).map(|x| x.max(0.0))
    }
}
