//! The plane: a built-in dataset of two pixels in two classes, so that everything that a network does with a point can be drawn.
//!
//! A curve of two parabolas parts the square: class 1 lies above it, class 0 below, and a band along it is empty, so that most points
//! keep their class in an L∞ ball of ε = 0.1. Across each class runs a strip of the other one, far narrower than the ball. To
//! tell the strips apart is right for every point of theirs and makes every point beside them vulnerable: a network can be accurate or
//! robust there, not both.
//!
//! Points lie on the lattice of 256 × 256 bytes; a few are in both splits. Sample `i` of a split depends on nothing but `(split, i)`, as
//! in [`super::embedded`]: Philox and exactly rounded IEEE 754 give every machine the same bytes.

use super::manifest::Normalisation;
use super::split::Split;
use crate::philox::{Stream, purpose};

/// Name under which [`crate::data::load`] knows this dataset.
pub const NAME: &str = "plane";
/// Number of classes.
pub const CLASSES: usize = 2;
/// Samples for training, of which the validation split is a part.
pub const TRAIN: usize = 20_000;
/// Samples of the test split.
pub const TEST: usize = 2_000;

/// SHA-256 of the training labels followed by the training images.
pub const TRAIN_SHA256: &str = "3de277c0b347ffc2b7bf62912d771ae7d7d004e7f07fddd1dfca6216aaf3b9a7";
/// SHA-256 of the test labels followed by the test images.
pub const TEST_SHA256: &str = "d8cfe05b0b0df4b51bfddcc87368cc6364e3420c60a2fb8efa2759f044abd73e";

/// Seed of the generator. Another number would be another dataset.
const SEED: u64 = 0x5AB0_7E57_9147_4E00;

/// Greatest height of the curve above and below the middle.
const HEIGHT: f32 = 0.24;
/// Half the thickness of the empty band, measured as L∞ distance from the curve.
const BAND: f32 = 0.09;
/// Share of points that lie in a strip.
const STRAY: f32 = 0.06;
/// Middle of the strip of class 1 below the curve, and of that of class 0 above it.
const STRIPS: [f32; 2] = [0.3, 0.7];
/// Half the width of a strip.
const STRIP: f32 = 0.02;
/// Empty room on either side of a strip.
const ROOM: f32 = 0.03;
/// Share of the way from the curve to the border that a strip goes.
const REACH: f32 = 0.85;

/// What the input layer subtracts and divides by: centred, the lines of a network's first neurons start through the middle.
pub(super) fn normalisation() -> Normalisation {
    Normalisation { mean: vec![0.5], deviation: vec![0.25] }
}

/// The training split (including what becomes validation).
pub(super) fn train() -> Split {
    generate(0, TRAIN)
}

/// The test split.
pub(super) fn test() -> Split {
    generate(1, TEST)
}

fn generate(part: u32, samples: usize) -> Split {
    let (mut images, mut labels) = (Vec::with_capacity(2 * samples), Vec::with_capacity(samples));
    for index in 0..samples {
        let mut random = Stream::new(SEED, index as u32, part, purpose::PLANE_SAMPLE);
        let (point, label) = if random.uniform() < STRAY { stray(&mut random) } else { usual(&mut random) };
        images.extend(point.map(|value| (value * 255.0 + 0.5) as u8));
        labels.push(label);
    }
    Split::new(images, labels, [1, 1, 2], CLASSES).expect("two pixels and one class a sample")
}

/// Height of the curve at x, and the size of its slope: an arch to either side of ½, the left one upwards.
fn curve(x: f32) -> (f32, f32) {
    let left = x < 0.5;
    let t = if left { 2.0 * x } else { 2.0 * x - 1.0 };
    let arch = 4.0 * HEIGHT * t * (1.0 - t);
    (if left { 0.5 + arch } else { 0.5 - arch }, 8.0 * HEIGHT * (1.0 - 2.0 * t).abs())
}

/// A point beyond the band and the other class's strip.
fn usual(random: &mut Stream) -> ([f32; 2], u8) {
    loop {
        let (x, y) = (random.uniform(), random.uniform());
        let (height, slope) = curve(x);
        let label = u8::from(y > height);
        let strip = STRIPS[usize::from(label)];
        // A line of slope s is |v| / (1 + |s|) away from a point that lies v above it.
        if (y - height).abs() >= BAND * (1.0 + slope) && (x - strip).abs() >= STRIP + ROOM {
            return ([x, y], label);
        }
    }
}

/// A point of a strip.
fn stray(random: &mut Stream) -> ([f32; 2], u8) {
    let above = random.below(2);
    let x = STRIPS[above as usize] + STRIP * (2.0 * random.uniform() - 1.0);
    let way = REACH * random.uniform();
    let (height, _) = curve(x);
    match above {
        1 => ([x, height + (1.0 - height) * way], 0),
        _ => ([x, height - height * way], 1),
    }
}
