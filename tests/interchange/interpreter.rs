//! ONNX files run in plain f64 loops, from their bytes.

use std::collections::HashMap;

use prost::Message;
use smallbox::formats::onnx::message::{ELEMENT_FLOAT, ModelProto, NodeProto};

use crate::common::oracle::Reference;
use crate::common::tensor::Tensor;

/// Decodes a file.
pub fn decode(bytes: &[u8]) -> ModelProto {
    ModelProto::decode(bytes).expect("protobuf messages")
}

fn whole(node: &NodeProto, name: &str) -> Vec<usize> {
    let found = node.attribute.iter().find(|a| a.name() == name).unwrap_or_else(|| panic!("no {name} in {node:?}"));
    let values = if found.ints.is_empty() { vec![found.i()] } else { found.ints.clone() };
    values.into_iter().map(|v| v as usize).collect()
}

/// The constants of a file by name.
pub fn constants(model: &ModelProto) -> HashMap<String, Tensor> {
    let graph = model.graph.as_ref().expect("a graph");
    let tensor = |t: &smallbox::formats::onnx::message::TensorProto| {
        assert_eq!(t.data_type(), ELEMENT_FLOAT, "{}", t.name());
        let data = t.raw_data().chunks(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect();
        (t.name().to_string(), Tensor::new(t.dims.iter().map(|&d| d as usize).collect::<Vec<_>>(), data))
    };
    graph.initializer.iter().map(tensor).collect()
}

/// The output for the image `[C,H,W]`; scale and terms are those of the last reduction and of all reductions.
pub fn run(model: &ModelProto, image: &[f32]) -> Reference {
    let graph = model.graph.as_ref().expect("a graph");
    let mut values = constants(model);
    let dims = |port: &smallbox::formats::onnx::message::ValueInfoProto| -> Vec<usize> {
        let tensor = port.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).expect("a tensor");
        tensor.shape.as_ref().expect("extents").dim.iter().map(|d| d.dim_value() as usize).collect()
    };
    let input = Tensor::new(dims(&graph.input[0]), image.iter().map(|&v| v.into()).collect());
    values.insert(graph.input[0].name().into(), input);
    let (mut scale, mut terms) = (Vec::new(), 0);
    for node in &graph.node {
        let of = |i: usize| values.get(&node.input[i]).unwrap_or_else(|| panic!("{} is not known yet", node.input[i]));
        let x = of(0);
        let result = match node.op_type() {
            "Relu" => x.map(|v| v.max(0.0)),
            "Flatten" => {
                assert_eq!(whole(node, "axis"), [1]);
                x.clone().reshaped([x.shape[0], x.len() / x.shape[0]])
            }
            "Conv" => {
                terms += of(1).len() / of(1).shape[0] + 1;
                conv(node, x, of(1), of(2))
            }
            "Gemm" => {
                assert_eq!(whole(node, "transB"), [1]);
                terms += x.shape[1] + 1;
                let (value, magnitude) = gemm(x, of(1), of(2));
                scale = magnitude;
                value
            }
            name => {
                terms += 2;
                per_channel(name, x, of(1))
            }
        };
        assert!(values.insert(node.output[0].clone(), result).is_none(), "{} twice", node.output[0]);
    }
    let output = &graph.output[0];
    let value = values.remove(output.name()).expect("the output");
    assert_eq!(value.shape, dims(output));
    Reference { value, scale, terms }
}

/// A layer that reduces `F` inputs to each output: its result and the sum of its terms' magnitudes.
fn gemm(x: &Tensor, w: &Tensor, b: &Tensor) -> (Tensor, Vec<f64>) {
    let (features, outputs) = (x.shape[1], w.shape[0]);
    assert_eq!((x.shape[0], w.shape[1], &b.shape[..]), (1, features, &[outputs][..]));
    let terms = |o: usize| x.data.iter().zip(&w.data[o * features..]).map(|(x, w)| x * w);
    let value = (0..outputs).map(|o| b.data[o] + terms(o).sum::<f64>()).collect();
    let scale = (0..outputs).map(|o| b.data[o].abs() + terms(o).map(f64::abs).sum::<f64>()).collect();
    (Tensor::new([1, outputs], value), scale)
}

fn conv(node: &NodeProto, x: &Tensor, w: &Tensor, b: &Tensor) -> Tensor {
    assert_eq!((whole(node, "dilations"), whole(node, "group")), (vec![1, 1], vec![1]));
    let (kernel, pads, strides) = (whole(node, "kernel_shape"), whole(node, "pads"), whole(node, "strides"));
    let [_, channels, height, width] = x.shape[..] else { panic!("an image: {:?}", x.shape) };
    assert_eq!(w.shape[1..], [channels, kernel[0], kernel[1]]);
    let rows = (height + pads[0] + pads[2] - kernel[0]) / strides[0] + 1;
    let columns = (width + pads[1] + pads[3] - kernel[1]) / strides[1] + 1;
    let pixel = |c: usize, i: usize, j: usize| match (i.checked_sub(pads[0]), j.checked_sub(pads[1])) {
        (Some(i), Some(j)) if i < height && j < width => x.data[(c * height + i) * width + j],
        _ => 0.0,
    };
    let row = channels * kernel[0] * kernel[1];
    let mut result = Vec::new();
    for o in 0..w.shape[0] {
        for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
            let mut sum = b.data[o];
            for (at, weight) in w.data[o * row..][..row].iter().enumerate() {
                let (c, k, l) = (at / (kernel[0] * kernel[1]), at / kernel[1] % kernel[0], at % kernel[1]);
                sum += weight * pixel(c, i * strides[0] + k, j * strides[1] + l);
            }
            result.push(sum);
        }
    }
    Tensor::new([1, w.shape[0], rows, columns], result)
}

/// An elementwise operator with `[1,C,1,…]` on the right.
fn per_channel(name: &str, x: &Tensor, y: &Tensor) -> Tensor {
    assert_eq!(y.shape.len(), x.shape.len());
    assert_eq!((y.shape[1], y.len()), (x.shape[1], x.shape[1]));
    let plane = x.len() / x.shape[1];
    let at = |(i, &v): (usize, &f64)| match (name, y.data[i / plane]) {
        ("Add", y) => v + y,
        ("Sub", y) => v - y,
        ("Mul", y) => v * y,
        ("Div", y) => v / y,
        _ => panic!("operator {name}"),
    };
    Tensor::new(x.shape.clone(), x.data.iter().enumerate().map(at).collect())
}
