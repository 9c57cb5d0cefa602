//! auto_LiRPA's bounds of cnn3 on 20 images.

use std::sync::Arc;
use std::time::Instant;

use safetensors::SafeTensors;
use smallbox::certify::network::{Operation, ReluNetwork, Weights};
use smallbox::certify::proof::{Leaf, Objective, Prover, Region};
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

#[test]
fn debug_distances() {
    let Some(golden) = Golden::open() else { return };
    let prover = Arc::new(Prover::new(&golden.network()).expect("fits"));
    let boxes = golden.boxes();
    let start = Instant::now();
    for method in ["ibp", "crown_ibp", "crown"] {
        let want = golden.floats(&format!("{method}.margins_lb"));
        let want_l = golden.floats(&format!("{method}.logits_lb"));
        let want_u = golden.floats(&format!("{method}.logits_ub"));
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for (i, (l, u)) in boxes.iter().enumerate() {
            let region = match method {
                "crown" => Region::crown(&prover, l, u).unwrap(),
                _ => Region::interval(&prover, l, u).unwrap(),
            };
            let mut got = bound(&region, &golden.margins(i));
            let mut wanted: Vec<f64> = want[9 * i..9 * i + 9].iter().map(|&v| v.into()).collect();
            got.extend(bound(&region, &logits(1.0)));
            got.extend(bound(&region, &logits(-1.0)));
            wanted.extend(want_l[10 * i..10 * i + 10].iter().map(|&v| f64::from(v)));
            wanted.extend(want_u[10 * i..10 * i + 10].iter().map(|&v| -f64::from(v)));
            for (g, w) in got.iter().zip(&wanted) {
                least = least.min(g - w);
                most = most.max(g - w);
            }
            if method == "crown" && i < 2 {
                for (k, layer) in [1, 3, 6].iter().enumerate() {
                    let lb = golden.floats(&format!("crown.pre_lb.{layer}"));
                    let n = lb.len() / 2;
                    let (got, _) = region.bounds(k);
                    let d: Vec<f64> = got.iter().zip(&lb[i * n..]).map(|(g, w)| g - f64::from(*w)).collect();
                    println!(
                        "pre {layer} {:e} {:e} unstable {}",
                        d.iter().cloned().fold(f64::INFINITY, f64::min),
                        d.iter().cloned().fold(f64::NEG_INFINITY, f64::max),
                        region.unstable(k).len()
                    );
                }
            }
        }
        println!("{method}: {least:e} .. {most:e}  {:?}", start.elapsed() / 20);
    }
}
