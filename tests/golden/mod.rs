//! Vectors computed by PyTorch in f64 (`SMALLBOX_GOLDEN_DIR`; the format is described in the README beside them). Shapes and
//! hyper-parameters are read from the files, so that other vectors in the same format can be put in their place.
//!
//! Tolerance: ten times the deviation that PyTorch's own f32 run had from the stored values, relative to the tensor's largest
//! entry, as `deviations.json` states it for each group of tensors; but at least ten times half a unit in the last place of that entry,
//! which is what storing a value as f32 may cost (a group may deviate by 0 by luck).

mod bn;
mod conv;
mod loss;
mod net;
mod optim;
mod reg;
mod sabr;
mod schedules;

use std::collections::BTreeMap;
use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;
use smallbox::graph::Value;
use smallbox::nn::{Layer, Network};

use crate::common::close::{Closeness, assert_close};
use crate::common::oracle::Reference;
use crate::common::run::Case;
use crate::common::tensor::Tensor;

/// One file of vectors.
struct Golden {
    stem: &'static str,
    tensors: BTreeMap<String, Tensor>,
    labels: BTreeMap<String, Vec<u32>>,
    /// The JSON object under the metadata key `info`.
    info: Json,
    /// Deviations of the groups of this file.
    deviations: Json,
}

/// The folder of the vectors; `None`, with a line that says so, where the variable is not set.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SMALLBOX_GOLDEN_DIR").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: SMALLBOX_GOLDEN_DIR is not set");
    }
    folder
}

fn json(path: PathBuf) -> Json {
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

impl Golden {
    /// Reads `<stem>.safetensors`.
    fn open(stem: &'static str) -> Option<Golden> {
        let folder = folder()?;
        let path = folder.join(format!("{stem}.safetensors"));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors header");
        let info = header.metadata().as_ref().and_then(|m| m.get("info")).expect("metadata `info`");
        let mut golden = Golden {
            stem,
            tensors: BTreeMap::new(),
            labels: BTreeMap::new(),
            info: serde_json::from_str(info).expect("`info` is JSON"),
            deviations: json(folder.join("deviations.json"))[stem].clone(),
        };
        for (name, view) in SafeTensors::deserialize(&bytes).expect("safetensors").tensors() {
            let words = view.data().chunks(4).map(|b| [b[0], b[1], b[2], b[3]]);
            match view.dtype() {
                Dtype::F32 => {
                    // A scalar has no axes there and one here.
                    let shape = if view.shape().is_empty() { vec![1] } else { view.shape().to_vec() };
                    let data = words.map(|w| f64::from(f32::from_le_bytes(w))).collect();
                    golden.tensors.insert(name, Tensor::new(shape, data));
                }
                Dtype::I32 => {
                    golden.labels.insert(name, words.map(u32::from_le_bytes).collect());
                }
                other => panic!("{name}: unexpected element type {other:?}"),
            }
        }
        Some(golden)
    }

    fn tensor(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.stem))
    }

    fn scalar(&self, name: &str) -> f64 {
        self.tensor(name).data[0]
    }

    fn labels(&self, name: &str) -> &[u32] {
        self.labels.get(name).unwrap_or_else(|| panic!("{}: no labels {name}", self.stem))
    }

    /// Names that begin with `prefix` and are followed by an index, as many as there are.
    fn count(&self, prefix: &str) -> usize {
        (0..).take_while(|i| self.tensors.contains_key(&format!("{prefix}{i}"))).count()
    }

    /// Allowed absolute distance from the stored tensor `name`.
    fn tolerance(&self, name: &str) -> f64 {
        const HALF_UNIT: f64 = f32::EPSILON as f64 / 2.0;
        // Indices (of cases, layers, steps) are not part of a group's name.
        let parts: Vec<&str> = name.split('.').filter(|part| part.parse::<usize>().is_err()).collect();
        let group = parts.join(".");
        let relative = self.deviations[&group]["rel_to_tensor_max"].as_f64();
        let relative = relative.unwrap_or_else(|| panic!("{}: no deviation for {group}", self.stem));
        10.0 * relative.max(HALF_UNIT) * self.tensor(name).max_abs()
    }

    /// Holds `got` against the stored tensor `name`.
    #[track_caller]
    fn assert(&self, name: &str, got: &Tensor) {
        let want = Reference::exact(self.tensor(name).clone());
        assert_close(&format!("{} {name}", self.stem), got, &want, Closeness::Within(self.tolerance(name)));
    }

    /// The net that `info` describes: convolutions "features KxK sS pP", then linear layers, ReLU after all but the last.
    fn network(&self) -> Network {
        self.network_with(false)
    }

    /// [`Golden::network`], with a batch norm before each ReLU if `norms`.
    fn network_with(&self, norms: bool) -> Network {
        let behind = || norms.then_some(Layer::BatchNorm).into_iter().chain([Layer::Relu]);
        let net = &self.info["net"];
        let whole = |v: &Json| v.as_u64().expect("a whole number") as usize;
        let list = |key: &str| net[key].as_array().unwrap_or_else(|| panic!("{}: a list `{key}`", self.stem));
        let input: Vec<usize> = list("input").iter().map(whole).collect();
        let mut layers = Vec::new();
        for text in list("conv") {
            let text = text.as_str().expect("a convolution as text");
            let numbers: Vec<usize> = text
                .split(|c: char| !c.is_ascii_digit())
                .filter(|part| !part.is_empty())
                .map(|part| part.parse().expect("digits"))
                .collect();
            let [features, kernel, across, stride, padding] = numbers[..] else { panic!("a convolution as '{text}'") };
            assert_eq!(kernel, across, "a square kernel");
            layers.push(Layer::Conv2d { features, kernel, stride, padding });
            layers.extend(behind());
        }
        layers.push(Layer::Flatten);
        let widths: Vec<usize> = list("fc").iter().map(whole).collect();
        let (&classes, hidden) = widths.split_last().expect("a last layer");
        for &outputs in hidden {
            layers.push(Layer::Linear { outputs });
            layers.extend(behind());
        }
        layers.push(Layer::Linear { outputs: classes });
        let input = input.try_into().expect("C, H, W");
        Network::new("tiny", input, classes, layers).expect("the layers fit")
    }

    /// The parameters `prefix`.`name` as inputs, in the network's order.
    fn parameters(&self, case: &mut Case, network: &Network, prefix: &str) -> Vec<Value> {
        network.parameters().iter().map(|p| case.input(self.tensor(&format!("{prefix}.{}", p.name)))).collect()
    }

    /// Holds the gradients `grad0`, … of a run against `prefix`.`name` for the parameters and then the `others`.
    fn assert_gradients(&self, got: &crate::common::run::Outcome, network: &Network, prefix: &str, others: &[&str]) {
        let names = network.parameters().iter().map(|p| p.name.as_str()).chain(others.iter().copied());
        for (i, name) in names.enumerate() {
            self.assert(&format!("{prefix}.{name}"), &got.tensor(&format!("grad{i}")));
        }
    }
}

/// Index of a layer in PyTorch's `nn.Sequential` for each layer of the network; normalisation has none.
fn sequential(network: &Network) -> Vec<(usize, &Layer)> {
    network.layers().iter().filter(|l| !matches!(l, Layer::Normalize { .. })).enumerate().collect()
}

/// A gradient of 1 for a loss of one element.
fn one() -> Tensor {
    Tensor::filled([1], 1.0)
}
