//! ONNX files against the network that they were written from.

use smallbox::error::Error;
use smallbox::export::onnx_graph;
use smallbox::formats::onnx::message::ModelProto;

use super::interpreter::{constants, decode, run};
use super::{Model, lonely_norms, models, pixels};
use crate::common::close::{Closeness, compare};
use crate::common::tensor::Tensor;

fn exported(model: &Model, batch: usize) -> ModelProto {
    let graph = onnx_graph(&model.network, &model.tensors, batch).expect("a network that can be written");
    assert_eq!(graph.encode(), graph.encode());
    decode(&graph.encode())
}

/// What is wrong with the file's logits for any image, measured by the roundings of smallbox's own.
fn disagreement(model: &Model, file: &ModelProto) -> Option<String> {
    let (images, logits) = model.logits(4);
    (0..4).find_map(|n| {
        let got = Tensor::new([1, 10], logits.data[n * 10..][..10].to_vec());
        compare(&got, &run(file, &pixels(&images, n)), Closeness::Rounded).err()
    })
}

fn operators(file: &ModelProto) -> Vec<&str> {
    file.graph.as_ref().expect("a graph").node.iter().map(|node| node.op_type()).collect()
}

#[test]
fn a_file_computes_the_network_s_logits() {
    for (name, model) in models().into_iter().chain([("lonely norms", lonely_norms())]) {
        assert_eq!(disagreement(&model, &exported(&model, 1)), None, "{name}");
    }
}

#[test]
fn a_changed_number_is_noticed() {
    for (name, model) in models() {
        let whole = exported(&model, 1);
        // One element of the first and of the last constant, a hundredth of its size.
        let last = whole.graph.as_ref().expect("a graph").initializer.len() - 1;
        for constant in [0, last] {
            let mut file = whole.clone();
            let tensor = &mut file.graph.as_mut().expect("a graph").initializer[constant];
            let bytes = tensor.raw_data.as_mut().expect("elements");
            let value = 1.01 * f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            bytes[..4].copy_from_slice(&value.to_le_bytes());
            assert!(disagreement(&model, &file).is_some(), "{name}, constant {constant}");
        }
    }
}

/// Were the mean taken into the padded convolution's bias, the border would be wrong; the comparison sees it.
#[test]
fn normalisation_taken_into_a_padded_convolution_is_noticed() {
    let (_, model) = &models()[1];
    let mut file = exported(model, 1);
    let graph = file.graph.as_mut().expect("a graph");
    let find = |name: &str| graph.initializer.iter().position(|t| t.name() == name).expect("a constant");
    let values = |i: usize| -> Vec<f32> {
        graph.initializer[i].raw_data().chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    };
    let [mean, deviation, weight, bias] = ["mean", "deviation", "0.weight", "0.bias"].map(find);
    let (means, deviations, weights, mut biases) = (values(mean), values(deviation), values(weight), values(bias));
    let row = weights.len() / biases.len();
    for (b, row) in biases.iter_mut().zip(weights.chunks(row)) {
        for ((weights, m), d) in row.chunks(row.len() / 3).zip(&means).zip(&deviations) {
            *b -= weights.iter().sum::<f32>() * m / d;
        }
    }
    graph.initializer[mean].raw_data = Some(vec![0; 12]);
    graph.initializer[bias].raw_data = Some(biases.iter().flat_map(|v| v.to_le_bytes()).collect());
    assert!(disagreement(model, &file).is_some());
}

#[test]
fn files_say_what_they_are_and_use_plain_operators() {
    let [(_, plain), (_, normalised), (_, normed)] = models();
    let file = exported(&plain, 1);
    assert_eq!((file.ir_version(), file.opset_import.len(), file.opset_import[0].version()), (7, 1, 13));
    assert_eq!((file.producer_name(), file.producer_version()), ("smallbox", env!("CARGO_PKG_VERSION")));
    let graph = file.graph.as_ref().expect("a graph");
    assert_eq!((graph.input[0].name(), graph.output[0].name()), ("input", "logits"));
    assert_eq!(operators(&file), ["Conv", "Relu", "Conv", "Relu", "Flatten", "Gemm", "Relu", "Gemm"]);
    // Weights that nothing is folded into are those of the network, to the bit.
    for (name, values) in &plain.tensors {
        assert_eq!(&constants(&file)[name].to_f32(), values, "{name}");
    }
    assert_eq!(operators(&exported(&normalised, 1))[..3], ["Sub", "Div", "Conv"]);
    let file = exported(&normed, 1);
    assert!(!operators(&file).iter().any(|op| ["Mul", "Add", "BatchNormalization"].contains(op)));
    assert_eq!(operators(&exported(&lonely_norms(), 1))[1..6], ["Relu", "Mul", "Add", "Flatten", "Mul"]);
}

#[test]
fn the_batch_is_static() {
    let (_, model) = &models()[0];
    let file = exported(model, 5);
    let graph = file.graph.expect("a graph");
    for port in [&graph.input[0], &graph.output[0]] {
        let shape = port.r#type.clone().and_then(|t| t.tensor_type).and_then(|t| t.shape).expect("extents");
        assert_eq!(shape.dim[0].dim_value(), 5);
    }
}

#[test]
fn a_negative_variance_is_refused() {
    let mut model = lonely_norms();
    let variance = model.tensors.iter_mut().find(|(name, _)| name.ends_with("running_var")).expect("a batch norm");
    variance.1[1] = -1.0;
    let error = onnx_graph(&model.network, &model.tensors, 1).unwrap_err();
    assert!(
        matches!(&error, Error::Config(text) if text.contains("2.weight") && text.contains("variances")),
        "{error}"
    );
}
