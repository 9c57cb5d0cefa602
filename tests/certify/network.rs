//! Trained models as networks of affine maps and ReLUs: the function, its error bounds, the engine's form, the hash.

use smallbox::certify::network::{Entry, Operation, ReluNetwork, Weights};
use smallbox::device::Session;
use smallbox::nn::{BATCH_NORM_EPSILON, Layer, Network};
use smallbox::ops::Conv2dSpec;

use crate::common::close::{Closeness, assert_close, growth};
use crate::common::device;
use crate::common::oracle::Reference;
use crate::common::random::Random;
use crate::common::run::run;
use crate::common::tensor::Tensor;
use crate::interchange::{Model, lonely_norms, models};

/// The layers one after the other in f64, each batch norm and normalisation by its own formula; returns the outputs, the magnitudes that
/// rounding is measured by (every weight, bias and input by its absolute value), and the longest chain of terms.
fn layer_by_layer(model: &Model, x: &[f64]) -> (Vec<f64>, Vec<f64>, usize) {
    let (mut h, mut scale, mut terms) = (x.to_vec(), x.iter().map(|v| v.abs()).collect::<Vec<f64>>(), 0);
    let mut shape = model.network.input.to_vec();
    let (parameters, buffers) = model.tensors.split_at(model.network.parameters().len());
    let (mut pairs, mut statistics) = (parameters.chunks(2), buffers.chunks(2));
    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    for layer in model.network.layers() {
        match layer {
            Layer::Normalize { mean, deviation } => {
                let plane = shape[1] * shape[2];
                for i in 0..h.len() {
                    let (m, d) = (f64::from(mean[i / plane]), f64::from(deviation[i / plane]));
                    h[i] = (h[i] - m) / d;
                    scale[i] = (scale[i] + m.abs()) / d;
                }
                terms += 3;
            }
            Layer::BatchNorm => {
                let (pair, running) = (pairs.next().unwrap(), statistics.next().unwrap());
                let plane = h.len() / shape[0];
                for i in 0..h.len() {
                    let of = |values: &[f32]| f64::from(values[i / plane]);
                    let (gamma, beta) = (of(&pair[0].1), of(&pair[1].1));
                    let (mean, variance) = (of(&running[0].1), of(&running[1].1));
                    let deviation = (variance + f64::from(BATCH_NORM_EPSILON)).sqrt();
                    h[i] = gamma * (h[i] - mean) / deviation + beta;
                    scale[i] = gamma.abs() * (scale[i] + mean.abs()) / deviation + beta.abs();
                }
                terms += 5;
            }
            Layer::Relu => h.iter_mut().for_each(|v| *v = v.max(0.0)),
            Layer::Flatten => shape = vec![h.len()],
            &Layer::Conv2d { features, kernel, stride, padding } => {
                let pair = pairs.next().unwrap();
                let (w, b) = (wide(&pair[0].1), wide(&pair[1].1));
                let spec = (kernel, stride, padding);
                h = convolution(&h, &shape, &w, &b, spec);
                let magnitude = |values: &[f64]| values.iter().map(|v| v.abs()).collect::<Vec<f64>>();
                scale = convolution(&scale, &shape, &magnitude(&w), &magnitude(&b), spec);
                terms += shape[0] * kernel * kernel + 1;
                let side = |extent: usize| (extent + 2 * padding - kernel) / stride + 1;
                shape = vec![features, side(shape[1]), side(shape[2])];
            }
            &Layer::Linear { outputs } => {
                let pair = pairs.next().unwrap();
                let (w, b) = (wide(&pair[0].1), wide(&pair[1].1));
                let row = |o: usize, x: &[f64], sign: fn(f64) -> f64| -> f64 {
                    sign(b[o]) + x.iter().zip(&w[o * x.len()..]).map(|(x, &w)| x * sign(w)).sum::<f64>()
                };
                terms += h.len() + 1;
                scale = (0..outputs).map(|o| row(o, &scale, f64::abs)).collect();
                h = (0..outputs).map(|o| row(o, &h, |v| v)).collect();
                shape = vec![outputs];
            }
        }
    }
    (h, scale, terms)
}

/// A plain convolution by its definition.
fn convolution(x: &[f64], shape: &[usize], w: &[f64], b: &[f64], (k, s, p): (usize, usize, usize)) -> Vec<f64> {
    let side = |extent: usize| (extent + 2 * p - k) / s + 1;
    let (rows, columns) = (side(shape[1]), side(shape[2]));
    let mut y = Vec::new();
    for (o, bias) in b.iter().enumerate() {
        for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
            let mut sum = *bias;
            for (c, u, v) in (0..shape[0]).flat_map(|c| (0..k * k).map(move |t| (c, t / k, t % k))) {
                let (row, column) = (i * s + u, j * s + v);
                if (p..shape[1] + p).contains(&row) && (p..shape[2] + p).contains(&column) {
                    let pixel = x[(c * shape[1] + row - p) * shape[2] + column - p];
                    sum += pixel * w[((o * shape[0] + c) * k + u) * k + v];
                }
            }
            y.push(sum);
        }
    }
    y
}

/// Batch norms at the input, behind a normalisation, behind each other and behind a ReLU; strides that leave a remainder.
fn odd_norms() -> Model {
    let layers = vec![
        Layer::Normalize { mean: vec![0.5, 0.25], deviation: vec![0.3, 0.7] },
        Layer::BatchNorm,
        Layer::Conv2d { features: 5, kernel: 2, stride: 3, padding: 1 },
        Layer::BatchNorm,
        Layer::BatchNorm,
        Layer::Relu,
        Layer::BatchNorm,
        Layer::Conv2d { features: 3, kernel: 3, stride: 1, padding: 2 },
        Layer::Relu,
        Layer::Flatten,
        Layer::Linear { outputs: 9 },
        Layer::BatchNorm,
        Layer::Relu,
        Layer::BatchNorm,
        Layer::Linear { outputs: 10 },
    ];
    Model::new(Network::new("odd", [2, 7, 9], 10, layers).expect("the layers fit"))
}

fn samples() -> Vec<(&'static str, Model)> {
    models().into_iter().chain([("lonely norms", lonely_norms()), ("odd norms", odd_norms())]).collect()
}

fn network(model: &Model) -> ReluNetwork {
    ReluNetwork::from_model(&model.network, &model.tensors).expect("a model that can be read")
}

fn point(model: &Model, seed: u64) -> Vec<f64> {
    Random::new(seed).tensor(model.network.input, 0.0, 1.0).data
}

#[test]
fn a_network_computes_what_its_model_does() {
    for (name, model) in samples() {
        let ours = network(&model);
        assert_eq!((ours.input().dims(), ours.outputs()), (&model.network.input[..], 10), "{name}");
        assert_eq!(ours.relus().len(), model.network.relu_layers(), "{name}");
        for seed in 0..3 {
            let x = point(&model, seed);
            let (want, scale, terms) = layer_by_layer(&model, &x);
            let got = ours.evaluate(&x);
            for k in 0..10 {
                let allowed = 2.0 * growth(terms) * f64::EPSILON * scale[k];
                assert!((got[k] - want[k]).abs() <= allowed, "{name}: {} and {} ({allowed:e})", got[k], want[k]);
            }
        }
    }
}

/// Negative control: any tensor that is a thousandth off is seen.
#[test]
fn a_changed_statistic_shows() {
    let mut model = odd_norms();
    let ours = network(&model);
    let x = point(&model, 1);
    for (i, (name, before)) in odd_norms().tensors.into_iter().enumerate() {
        model.tensors[i].1.iter_mut().for_each(|v| *v += 1e-3);
        let (want, scale, terms) = layer_by_layer(&model, &x);
        let allowed = |k: usize| 2.0 * growth(terms) * f64::EPSILON * scale[k];
        let got = ours.evaluate(&x);
        assert!((0..10).any(|k| (got[k] - want[k]).abs() > allowed(k)), "{name}");
        model.tensors[i].1 = before;
    }
}

fn logits(session: &mut dyn Session, network: &ReluNetwork, images: &Tensor) -> Vec<Tensor> {
    let got = run(session, |c| {
        let x = c.input(images);
        let y = network.forward(&mut c.graph, x)?;
        c.output("logits", y);
        let nodes = network.forward_nodes(&mut c.graph, x)?;
        c.output("last", nodes[network.output()]);
        c.output("first", nodes[0]);
        Ok(())
    });
    ["logits", "last", "first"].map(|name| got.tensor(name)).to_vec()
}

/// Largest difference relative to the largest output.
fn deviation(got: &Tensor, want: &Tensor) -> f64 {
    got.zip(want, |a, b| a - b).max_abs() / want.max_abs()
}

#[test]
fn the_engine_computes_the_same() {
    device::each(|session| {
        for (name, model) in samples() {
            let images = Random::new(5).tensor(model.network.batch_shape(2).dims(), 0.0, 1.0);
            let evaluated = |network: &ReluNetwork| {
                let values = images.data.chunks(images.len() / 2).flat_map(|x| network.evaluate(x)).collect();
                Tensor::new([2, 10], values)
            };
            let ours = network(&model);
            let [got, last, first] = logits(session, &ours, &images).try_into().expect("three values");
            assert_eq!((&got.shape[..], &got.data, &first.shape), (&[2, 10][..], &last.data, &images.shape));
            let same = deviation(&got, &evaluated(&ours));
            assert!(same < 1e-5, "{name}: {same:e}");
            // Any tensor changed by a hundredth: the distance tells.
            for i in 0..model.tensors.len() {
                let mut changed = Model { network: model.network.clone(), tensors: model.tensors.clone() };
                changed.tensors[i].1.iter_mut().for_each(|v| *v *= 1.01);
                let other = deviation(&got, &evaluated(&network(&changed)));
                assert!(other > 1e-5, "{name}, {}: {other:e}", model.tensors[i].0);
            }
        }
    });
}

/// Branches, dilated and oblong kernels, unequal strides: the engine and the plain loops agree.
#[test]
fn branches_are_summed_and_kernels_may_be_odd() {
    let mut random = Random::new(9);
    let mut weights = |shape: &[usize]| {
        let n: usize = shape.iter().product();
        let mut numbers = |n: usize| random.tensor([n], -1.0, 1.0).to_f32();
        Operation::Conv2d(
            Weights::exact(shape, &numbers(n), &numbers(shape[0])).into(),
            Conv2dSpec { stride: [2, 1], padding: [1, 3], dilation: [1, 2] },
        )
    };
    let entry = Entry { scale: vec![2.0; 60], scale_error: 0.0, shift: vec![-1.0; 60], shift_error: vec![0.0; 60] };
    let mut network = ReluNetwork::new([2, 6, 5], Some(entry)).expect("a network");
    let [left, right] = [&[3, 2, 2, 3], &[3, 2, 2, 3]].map(|shape| weights(shape));
    let a = network.push(left, &[0]).expect("fits");
    let b = network.push(Operation::Relu, &[a]).expect("fits");
    let c = network.push(right, &[0]).expect("fits");
    let d = network.push(Operation::Add, &[b, c]).expect("fits");
    let n = network.nodes()[d].shape.elements();
    let w = Random::new(10).tensor([4, n], -1.0, 1.0).to_f32();
    network.push(Operation::Linear(Weights::exact([4, n], &w, &[0.5; 4]).into()), &[d]).expect("fits");
    let images = Random::new(3).tensor([2, 2, 6, 5], 0.0, 1.0);
    device::each(|session| {
        let got = &logits(session, &network, &images)[0];
        let value: Vec<f64> = images.data.chunks(60).flat_map(|x| network.evaluate(x)).collect();
        // Weights and inputs of at most 1: Σ|terms| ≤ features · (terms of both convolutions) · 1.
        let scale = vec![(n * 26) as f64; 8];
        assert_close(
            "branches",
            got,
            &Reference { value: Tensor::new([2, 4], value), scale, terms: 1 },
            Closeness::Rounded,
        );
    });
}

/// What is off is what f64 rounds: some units in the last place of each weight, and nothing where nothing is folded.
#[test]
fn error_bounds_are_small_and_only_where_something_was_folded() {
    for (name, model) in samples() {
        let ours = network(&model);
        let folded = !model.network.buffers().is_empty();
        let (mut exact, mut rounded) = (0, 0);
        for node in ours.nodes() {
            let (Operation::Conv2d(weights, _) | Operation::Linear(weights)) = &node.operation else { continue };
            let largest = weights.bias.iter().fold(1.0f64, |m, b| m.max(b.abs()));
            let worst = weights.bias_error.iter().fold(0.0f64, |m, &e| m.max(e));
            assert!(weights.weight_error <= 16.0 * f64::EPSILON && worst <= 64.0 * f64::EPSILON * largest, "{name}");
            let is_exact = weights.weight_error == 0.0 && worst == 0.0;
            (exact, rounded) = (exact + usize::from(is_exact), rounded + usize::from(!is_exact));
        }
        assert!(exact > 0 && (rounded > 0) == folded, "{name}: {exact} exact, {rounded} rounded");
        if let Some(entry) = ours.entry() {
            assert!(entry.scale_error > 0.0 && entry.scale_error <= 8.0 * f64::EPSILON, "{name}");
        }
    }
}

/// By the weight's square, in twice the digits of f64.
#[test]
fn the_error_of_a_fold_holds_the_real_value() {
    // γ = 1, variance + ε = 3 up to the ε itself, weight 1: the real weight is 1/√(3 + ε'), compared by its square.
    let layers =
        vec![Layer::Flatten, Layer::Linear { outputs: 1 }, Layer::BatchNorm, Layer::Relu, Layer::Linear { outputs: 2 }];
    let network = Network::new("one", [1, 1, 1], 2, layers).expect("the layers fit");
    let mut model = Model::new(network);
    for value in [3.0f32, 5.0, 6.0, 7.0, 10.0, 0.1] {
        for (name, tensor) in &mut model.tensors {
            match name.as_str() {
                "1.weight" | "2.weight" => tensor[0] = 1.0,
                "1.bias" | "2.bias" | "2.running_mean" => tensor[0] = 0.0,
                "2.running_var" => tensor[0] = value,
                _ => {}
            }
        }
        let ours = self::network(&model);
        let Operation::Linear(weights) = &ours.nodes()[1].operation else { panic!("a linear map") };
        let (w, error) = (weights.weight[0], weights.weight_error);
        // w² · (v + ε) within (1 ± error)² of 1, in twice the digits.
        let sum = f64::from(value) + f64::from(BATCH_NORM_EPSILON);
        let rest = f64::from(BATCH_NORM_EPSILON) - (sum - f64::from(value));
        let square = w * w;
        let square_rest = w.mul_add(w, -square);
        let product = square * sum;
        let product_rest = square.mul_add(sum, -product) + square_rest * sum + square * rest;
        let off = ((product - 1.0) + product_rest).abs();
        assert!(off <= 2.0 * error, "{value}: {off:e}, {error:e}");
        assert!(error <= 8.0 * f64::EPSILON, "{error:e}");
    }
}

#[test]
fn a_digest_tells_networks_apart() {
    let model = odd_norms();
    let digest = network(&model).digest();
    assert_eq!(digest, network(&model).digest());
    assert!(digest.len() == 64 && digest.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)), "{digest}");
    let mut seen = vec![digest];
    // The lowest bit of one number of every tensor.
    for i in 0..model.tensors.len() {
        let mut changed = Model { network: model.network.clone(), tensors: model.tensors.clone() };
        let values = &mut changed.tensors[i].1;
        let last = values.len() - 1;
        values[last] = f32::from_bits(values[last].to_bits() ^ 1);
        seen.push(network(&changed).digest());
    }
    // Each field of a small network by itself.
    let small = |change: &dyn Fn(&mut Weights, &mut Entry, &mut Conv2dSpec)| {
        let mut entry = Entry { scale: vec![1.0; 4], scale_error: 0.0, shift: vec![0.0; 4], shift_error: vec![0.0; 4] };
        let mut weights = Weights::exact([1, 1, 1, 1], &[1.0], &[0.0]);
        let mut spec = Conv2dSpec::square(1, 0);
        change(&mut weights, &mut entry, &mut spec);
        let mut network = ReluNetwork::new([1, 2, 2], Some(entry)).expect("a network");
        network.push(Operation::Conv2d(weights.into(), spec), &[0]).expect("fits");
        network.digest()
    };
    let up = |v: &mut f64| *v = v.next_up();
    seen.push(small(&|_, _, _| {}));
    seen.push(small(&|w, _, _| up(&mut w.weight[0])));
    seen.push(small(&|w, _, _| up(&mut w.weight_error)));
    seen.push(small(&|w, _, _| up(&mut w.bias[0])));
    seen.push(small(&|w, _, _| up(&mut w.bias_error[0])));
    seen.push(small(&|_, e, _| up(&mut e.scale[3])));
    seen.push(small(&|_, e, _| up(&mut e.scale_error)));
    seen.push(small(&|_, e, _| up(&mut e.shift[3])));
    seen.push(small(&|_, e, _| up(&mut e.shift_error[3])));
    seen.push(small(&|_, _, s| s.padding[1] += 1));
    seen.push(small(&|_, _, s| s.stride[0] += 1));
    seen.push(small(&|_, _, s| s.dilation[1] += 1));
    let mut other = ReluNetwork::new([4], None).expect("a network");
    seen.push(other.digest());
    other.push(Operation::Relu, &[0]).expect("fits");
    seen.push(other.digest());
    other.push(Operation::Relu, &[0]).expect("fits");
    seen.push(other.digest());
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count, "two networks with one digest");
}

/// The bytes of the hash by the words of its documentation, for a network that can be written down.
#[test]
fn a_digest_is_what_its_documentation_says() {
    use sha2::{Digest, Sha256};
    let mut network = ReluNetwork::new([2], None).expect("a network");
    let weights = Weights { weight_error: 0.5, ..Weights::exact([1, 2], &[1.5, -2.0], &[3.0]) };
    network.push(Operation::Linear(weights.into()), &[0]).expect("fits");
    let mut bytes = b"smallbox relu network v1\n".to_vec();
    let counts = |bytes: &mut Vec<u8>, counts: &[u64]| counts.iter().for_each(|c| bytes.extend(c.to_le_bytes()));
    let numbers = |bytes: &mut Vec<u8>, numbers: &[f64]| numbers.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
    counts(&mut bytes, &[1, 2]);
    bytes.push(0);
    counts(&mut bytes, &[2]);
    bytes.push(0);
    counts(&mut bytes, &[0, 1, 2]);
    bytes.push(2);
    counts(&mut bytes, &[1, 0, 1, 1, 2, 1, 2, 2]);
    numbers(&mut bytes, &[1.5, -2.0, 0.5]);
    counts(&mut bytes, &[1]);
    numbers(&mut bytes, &[3.0]);
    counts(&mut bytes, &[1]);
    numbers(&mut bytes, &[0.0]);
    let want: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(network.digest(), want);
}

#[test]
fn tensors_that_are_wrong_are_one_line() {
    let mut model = lonely_norms();
    let refused = |model: &Model| ReluNetwork::from_model(&model.network, &model.tensors).unwrap_err().to_string();
    let variance = model.tensors.iter().position(|(name, _)| name.ends_with("running_var")).expect("a batch norm");
    let before = model.tensors[variance].1[0];
    model.tensors[variance].1[0] = -1.0;
    assert!(refused(&model).contains("NaN"), "{}", refused(&model));
    model.tensors[variance].1[0] = before;
    model.tensors[0].1[0] = f32::INFINITY;
    assert!(refused(&model).contains("inf"), "{}", refused(&model));
    model.tensors[0].1.pop();
    assert!(refused(&model).contains("another network"), "{}", refused(&model));
    model.tensors.pop();
    assert!(refused(&model).contains("another network"), "{}", refused(&model));
}
