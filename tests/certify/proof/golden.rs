//! auto_LiRPA's bounds of cnn3 on 20 images.

use std::sync::Arc;

use safetensors::SafeTensors;
use smallbox::certify::network::{Operation, ReluNetwork, Weights};
use smallbox::certify::proof::{Derivation, Leaf, Objective, Prover, Region, Slopes};
use smallbox::ops::Conv2dSpec;

struct Golden(Vec<u8>);

impl Golden {
    fn open() -> Option<Golden> {
        let folder = crate::golden::folder()?;
        let path = folder.join("crown.safetensors");
        Some(Golden(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let file = SafeTensors::deserialize(&self.0).expect("safetensors");
        file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}")).data().to_vec()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.bytes(name).chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    fn weights(&self, layer: usize, shape: &[usize]) -> Arc<Weights> {
        let [weight, bias] = ["weight", "bias"].map(|part| self.floats(&format!("param.{layer}.{part}")));
        Arc::new(Weights::exact(shape, &weight, &bias))
    }

    fn network(&self) -> ReluNetwork {
        let mut network = ReluNetwork::new([1, 28, 28], None).expect("an input");
        let spec = Conv2dSpec::square(2, 1);
        for operation in [
            Operation::Conv2d(self.weights(0, &[16, 1, 4, 4]), spec),
            Operation::Relu,
            Operation::Conv2d(self.weights(2, &[32, 16, 4, 4]), spec),
            Operation::Relu,
            Operation::Linear(self.weights(5, &[100, 1568])),
            Operation::Relu,
            Operation::Linear(self.weights(7, &[10, 100])),
        ] {
            network.push(operation, &[network.output()]).expect("fits");
        }
        network
    }

    /// The box as it was bounded there: x ± ε in f32, cut with [0, 1].
    fn boxes(&self) -> Vec<(Vec<f64>, Vec<f64>)> {
        let pixels: Vec<f32> = self.bytes("x_u8").iter().map(|&b| f32::from(b) / 255.0).collect();
        let end = |x: &[f32], epsilon: f32| x.iter().map(|p| f64::from((p + epsilon).clamp(0.0, 1.0))).collect();
        pixels.chunks(784).map(|x| (end(x, -0.1), end(x, 0.1))).collect()
    }

    fn margins(&self, image: usize) -> Vec<Objective> {
        let label = self.bytes("labels")[4 * image] as usize;
        let row = |k: usize| (0..10).map(|i| f64::from(i == label) - f64::from(i == k)).collect();
        (0..10).filter(|&k| k != label).map(|k| Objective::exact(row(k), 0.0)).collect()
    }
}

fn bound(region: &Region, objectives: &[Objective]) -> Vec<f64> {
    region.lower_bounds(objectives, &vec![Leaf::default(); objectives.len()]).expect("fits")
}

fn logits(sign: f64) -> Vec<Objective> {
    (0..10).map(|k| Objective::exact((0..10).map(|i| if i == k { sign } else { 0.0 }).collect(), 0.0)).collect()
}

/// Margins, logits and negated logits of an image, by a method of the golden file.
fn stored(golden: &Golden, method: &str, image: usize) -> Vec<f64> {
    let part = |name: &str, n: usize, sign: f64| {
        let values = golden.floats(&format!("{method}.{name}"));
        values[n * image..n * (image + 1)].iter().map(|&v| sign * f64::from(v)).collect::<Vec<f64>>()
    };
    [part("margins_lb", 9, 1.0), part("logits_lb", 10, 1.0), part("logits_ub", 10, -1.0)].concat()
}

fn derived(golden: &Golden, region: &Region, image: usize) -> Vec<f64> {
    bound(region, &[golden.margins(image), logits(1.0), logits(-1.0)].concat())
}

/// What the issue allows between two computations of the same bound, one of them in f32.
const TOLERANCE: f64 = 1e-4;

#[test]
fn crown_ibp_equals_auto_lirpa() {
    let Some(golden) = Golden::open() else { return };
    let prover = Arc::new(Prover::new(&golden.network()).expect("fits"));
    for (image, (l, u)) in golden.boxes().iter().enumerate() {
        let region = Region::interval(&prover, l, u).expect("fits");
        for (got, want) in derived(&golden, &region, image).iter().zip(stored(&golden, "crown_ibp", image)) {
            assert!((got - want).abs() < TOLERANCE, "image {image}: {got} is not {want}");
        }
    }
}

/// Interval bounds of every ReLU's input, and margins by the last map alone.
#[test]
fn intervals_equal_auto_lirpa() {
    let Some(golden) = Golden::open() else { return };
    let prover = Arc::new(Prover::new(&golden.network()).expect("fits"));
    for (image, (l, u)) in golden.boxes().iter().enumerate() {
        let region = Region::interval(&prover, l, u).expect("fits");
        if image < 2 {
            hold_inputs(&golden, "ibp", &region, image, |got, want| (got - want).abs() < TOLERANCE);
        }
        let (lower, upper) = region.outputs();
        let want = stored(&golden, "ibp", image);
        for k in 0..10 {
            assert!((lower[k] - want[9 + k]).abs() < TOLERANCE && (upper[k] + want[19 + k]).abs() < TOLERANCE);
        }
        // A backward pass is never worse than the last map over intervals.
        for (got, want) in derived(&golden, &region, image).iter().zip(want) {
            assert!(*got > want - TOLERANCE, "image {image}: {got} is below {want}");
        }
    }
}

/// Holds the bounds of each ReLU's input; for upper ends both signs are turned.
fn hold_inputs(golden: &Golden, method: &str, region: &Region, image: usize, hold: impl Fn(f64, f64) -> bool) {
    for (layer, index) in [1, 3, 6].into_iter().enumerate() {
        let (lower, upper) = region.bounds(layer);
        for (end, got, sign) in [("lb", lower, 1.0), ("ub", upper, -1.0)] {
            let name = format!("{method}.pre_{end}.{index}");
            let n = got.len();
            for (i, (got, want)) in got.iter().zip(&golden.floats(&name)[image * n..]).enumerate() {
                assert!(hold(sign * got, sign * f64::from(*want)), "image {image} {name} {i}: {got} against {want}");
            }
        }
    }
}

/// As published: every neuron of every layer backward, not cut with intervals.
#[test]
fn crown_equals_auto_lirpa() {
    let Some(golden) = Golden::open() else { return };
    let prover = Arc::new(Prover::new(&golden.network()).expect("fits"));
    let slopes = Arc::new(Slopes::none(&prover));
    for (image, (l, u)) in golden.boxes().iter().enumerate() {
        let region = Region::new(&prover, l, u, &slopes, Derivation::Backward).expect("fits");
        if image < 2 {
            hold_inputs(&golden, "crown", &region, image, |got, want| (got - want).abs() < TOLERANCE);
        }
        for (got, want) in derived(&golden, &region, image).iter().zip(stored(&golden, "crown", image)) {
            assert!((got - want).abs() < TOLERANCE, "image {image}: {got} is not {want}");
        }
    }
}

/// Cut with intervals, and backward for unstable neurons alone: no neuron's interval is wider than that of either method where it
/// matters, and certified is what CROWN certifies.
#[test]
fn cut_with_intervals_crown_is_not_worse() {
    let Some(golden) = Golden::open() else { return };
    let prover = Arc::new(Prover::new(&golden.network()).expect("fits"));
    let (mut ours, mut theirs, mut mean) = (0, 0, 0.0);
    let pgd = golden.floats("pgd_margin_upper");
    for (image, (l, u)) in golden.boxes().iter().enumerate() {
        let region = Region::crown(&prover, l, u).expect("fits");
        let interval = Region::interval(&prover, l, u).expect("fits");
        for layer in 0..3 {
            let ((lower, upper), (wide_lower, wide_upper)) = (region.bounds(layer), interval.bounds(layer));
            assert!(lower.iter().zip(&wide_lower).all(|(l, w)| l >= w));
            assert!(upper.iter().zip(&wide_upper).all(|(u, w)| u <= w));
        }
        let (got, want) = (bound(&region, &golden.margins(image)), &stored(&golden, "crown", image)[..9]);
        ours += usize::from(got.iter().all(|&m| m > 0.0));
        theirs += usize::from(want.iter().all(|&m| m > 0.0));
        mean += got.iter().zip(want).map(|(g, w)| g - w).sum::<f64>() / 180.0;
        // An attack's margins lie above every sound bound.
        for (got, attack) in got.iter().zip(&pgd[9 * image..]) {
            assert!(*got <= f64::from(*attack) + TOLERANCE, "image {image}: {got} is above {attack}");
        }
    }
    assert!(ours >= theirs && mean > 0.0, "{ours} and {theirs} certified, mean difference {mean}");
}
