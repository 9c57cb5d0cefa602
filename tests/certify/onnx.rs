//! ONNX files as networks: every operator against onnxruntime, what was exported here, files of others, files that are wrong.

use std::path::PathBuf;

use smallbox::certify::network::{Operation, ReluNetwork};
use smallbox::error::Error;
use smallbox::export::onnx_graph;
use smallbox::formats::onnx::decode;

use super::files::{File, Set, deviation, found, instances, onnxruntime, port, python, tensor, whole};
use crate::common::random::Random;
use crate::interchange::{lonely_norms, models};

fn load(file: &File) -> Result<ReluNetwork, String> {
    ReluNetwork::from_onnx(decode(&file.bytes())?).map_err(|e| e.to_string())
}

/// A file that is one operator or a few on the way from `x` to `y`, by what it shows.
fn operators() -> Vec<(&'static str, File)> {
    let mut all: Vec<(&'static str, File)> = Vec::new();
    let mut add = |name, dims: &[i64], build: &dyn Fn(&mut File)| {
        let mut file = File::new(dims);
        build(&mut file);
        all.push((name, file));
    };
    let image: &[i64] = &[1, 4, 7, 6];
    add("conv with everything", image, &|f| {
        let sets = vec![
            Set::Integers("dilations", &[2, 1]),
            Set::Integers("strides", &[1, 2]),
            Set::Integers("pads", &[2, 1, 2, 1]),
            Set::Integer("group", 2),
            Set::Integers("kernel_shape", &[3, 2]),
        ];
        f.random("w", &[6, 2, 3, 2]).random("b", &[6]).node("Conv", &["x", "w", "b"], "y", sets);
    });
    for (name, pads, dilations) in [
        ("conv padded before", [2, 3, 0, 1], [1, 1]),
        ("conv padded behind", [0, 0, 3, 2], [1, 1]),
        ("dilated conv padded unevenly", [3, 0, 0, 2], [2, 2]),
        ("dilated conv padded by whole taps", [2, 0, 0, 4], [2, 2]),
    ] {
        add(name, image, &|f| {
            let sets = vec![
                Set::Integers("pads", &pads),
                Set::Integers("dilations", &dilations),
                Set::Integers("strides", &[2, 1]),
            ];
            f.random("w", &[3, 4, 2, 3]).node("Conv", &["x", "w"], "y", sets);
        });
    }
    for (name, mode) in [("same upper", "SAME_UPPER"), ("same lower", "SAME_LOWER"), ("valid", "VALID")] {
        add(name, image, &|f| {
            let sets = vec![Set::Text("auto_pad", mode), Set::Integers("strides", &[2, 1])];
            f.random("w", &[3, 4, 2, 4]).random("b", &[3]).node("Conv", &["x", "w", "b"], "y", sets);
        });
    }
    add("pad, conv, norm, relu", image, &|f| {
        f.constant(whole("pads", &[8], &[0, 0, 1, 2, 0, 0, 1, 0])).random("w", &[3, 4, 3, 3]);
        for name in ["gamma", "beta", "mean"] {
            f.random(name, &[3]);
        }
        f.random_between("variance", &[3], 0.2, 2.0);
        f.node("Pad", &["x", "pads"], "p", vec![Set::Text("mode", "constant")]);
        f.node("Conv", &["p", "w"], "c", vec![Set::Integers("pads", &[0, 1, 1, 1])]);
        let norm = vec![Set::Real("epsilon", 0.01), Set::Real("momentum", 0.9)];
        f.node("BatchNormalization", &["c", "gamma", "beta", "mean", "variance"], "n", norm);
        f.node("Relu", &["n"], "y", vec![]);
    });
    add("norm of the input and behind a relu", image, &|f| {
        for name in ["gamma", "beta", "mean"] {
            f.random(name, &[4]);
        }
        f.random_between("variance", &[4], 0.2, 2.0).random("w", &[2, 4, 3, 3]);
        let parameters = |x| [x, "gamma", "beta", "mean", "variance"];
        f.node("BatchNormalization", &parameters("x"), "n", vec![]).node("Relu", &["n"], "r", vec![]);
        f.node("BatchNormalization", &parameters("r"), "m", vec![]);
        f.node("Conv", &["m", "w"], "y", vec![Set::Integers("pads", &[1, 1, 1, 1])]);
    });
    add("gemm, nothing transposed", &[1, 5], &|f| {
        f.random("w", &[5, 3]).random("c", &[3]);
        f.node("Gemm", &["x", "w", "c"], "y", vec![Set::Real("alpha", 0.3), Set::Real("beta", -1.7)]);
    });
    add("gemm, both transposed", &[5, 1], &|f| {
        f.random("w", &[3, 5]).random("c", &[1, 1]);
        f.node("Gemm", &["x", "w", "c"], "y", vec![Set::Integer("transA", 1), Set::Integer("transB", 1)]);
    });
    add("gemm without a summand", &[1, 5], &|f| {
        f.random("w", &[3, 5]).node("Gemm", &["x", "w"], "y", vec![Set::Integer("transB", 1)]);
    });
    add("matrix on the right", &[1, 1, 5], &|f| {
        f.random("w", &[5, 3]).node("MatMul", &["x", "w"], "y", vec![]);
    });
    add("matrix on the left of a column", &[1, 5, 1], &|f| {
        f.random("w", &[3, 5]).node("MatMul", &["w", "x"], "y", vec![]);
    });
    add("vectors", &[5], &|f| {
        f.random("w", &[4, 5]).random("v", &[3, 4]).random("u", &[3]);
        f.node("MatMul", &["w", "x"], "a", vec![]).node("Relu", &["a"], "r", vec![]);
        f.node("MatMul", &["v", "r"], "b", vec![]).node("MatMul", &["b", "u"], "c", vec![]);
        f.constant(whole("one", &[1], &[1])).node("Reshape", &["c", "one"], "y", vec![]);
    });
    add("arithmetic before the first map", image, &|f| {
        f.random("m", &[1, 4, 1, 1]).random_between("d", &[4, 1, 1], 0.5, 2.0).random("s", &[1]).random("t", &[7, 6]);
        f.node("Sub", &["x", "m"], "a", vec![]).node("Div", &["a", "d"], "b", vec![]);
        f.node("Mul", &["s", "b"], "c", vec![]).node("Sub", &["t", "c"], "e", vec![]);
        f.random("w", &[2, 4, 3, 3]).node("Conv", &["e", "w"], "y", vec![Set::Integers("pads", &[1, 1, 1, 1])]);
    });
    add("arithmetic behind a map", image, &|f| {
        f.random("w", &[3, 4, 3, 3]).node("Conv", &["x", "w"], "a", vec![]);
        f.random("m", &[3, 1, 1]).random_between("d", &[1], 0.5, 2.0).random("t", &[1, 3, 5, 4]);
        f.node("Mul", &["a", "m"], "b", vec![]).node("Div", &["b", "d"], "c", vec![]);
        f.node("Add", &["c", "t"], "e", vec![]).node("Neg", &["e"], "g", vec![]).node("Relu", &["g"], "y", vec![]);
    });
    add("arithmetic behind a relu", &[1, 6], &|f| {
        f.random("t", &[6]).node("Relu", &["x"], "a", vec![]).node("Mul", &["a", "t"], "b", vec![]);
        f.node("Add", &["t", "b"], "c", vec![]).node("Relu", &["c"], "y", vec![]);
    });
    add("branches", image, &|f| {
        f.random("w", &[3, 4, 3, 3]).random("v", &[3, 4, 1, 1]).random("b", &[3]);
        f.node("Conv", &["x", "w", "b"], "a", vec![Set::Integers("pads", &[1, 1, 1, 1])]);
        f.node("Conv", &["x", "v"], "c", vec![]).node("Add", &["a", "c"], "s", vec![]);
        f.node("Relu", &["s"], "r", vec![]).node("Sub", &["r", "a"], "t", vec![]).node("Add", &["t", "t"], "y", vec![]);
    });
    add("one constant for two branches", &[1, 4], &|f| {
        f.random("c", &[4]).node("Sub", &["x", "c"], "a", vec![]).node("Relu", &["a"], "b", vec![]);
        f.node("Sub", &["x", "b"], "d", vec![]).node("Mul", &["d", "c"], "y", vec![]);
    });
    add("averages", image, &|f| {
        let sets = vec![Set::Integers("kernel_shape", &[2, 3]), Set::Integers("strides", &[1, 2])];
        f.node("AveragePool", &["x"], "a", sets).node("Relu", &["a"], "r", vec![]);
        f.node("GlobalAveragePool", &["r"], "y", vec![]);
    });
    add("averages of padding too", image, &|f| {
        let sets = vec![
            Set::Integers("kernel_shape", &[2, 3]),
            Set::Integers("pads", &[0, 1, 1, 1]),
            Set::Integer("count_include_pad", 1),
        ];
        f.node("AveragePool", &["x"], "a", sets);
        f.node("ReduceMean", &["a"], "y", vec![Set::Integers("axes", &[-1, 2]), Set::Integer("keepdims", 0)]);
    });
    add("channels last, transposed", &[1, 5, 6, 2], &|f| {
        f.random("w", &[3, 2, 3, 3]).random("b", &[3]).random("v", &[36, 4]).random("c", &[1, 3, 1, 1]);
        f.node("Transpose", &["x"], "t", vec![Set::Integers("perm", &[0, 3, 1, 2])]);
        f.node("Conv", &["t", "w", "b"], "a", vec![]).node("Mul", &["a", "c"], "m", vec![]);
        f.node("Relu", &["m"], "r", vec![]);
        f.node("Transpose", &["r"], "u", vec![Set::Integers("perm", &[0, 2, 3, 1])]);
        f.constant(whole("to", &[2], &[1, -1])).node("Reshape", &["u", "to"], "g", vec![]);
        f.node("MatMul", &["g", "v"], "y", vec![]);
    });
    add("a transposed output", &[1, 2, 3], &|f| {
        f.random("w", &[6, 6]).constant(whole("to", &[2], &[0, -1])).constant(whole("back", &[3], &[1, 2, 3]));
        f.node("Reshape", &["x", "to"], "a", vec![]).node("MatMul", &["a", "w"], "b", vec![]);
        f.node("Reshape", &["b", "back"], "c", vec![]).node("Transpose", &["c"], "y", vec![]);
    });
    add("arithmetic on a transposed value", &[1, 2, 3], &|f| {
        f.random("c", &[3, 1]).random("d", &[3, 2]).node("Transpose", &["x"], "t", vec![]);
        f.constant(whole("axes", &[1], &[-1])).node("Squeeze", &["t", "axes"], "s", vec![]);
        f.node("Mul", &["s", "c"], "a", vec![]).node("Relu", &["a"], "r", vec![]).node("Sub", &["r", "d"], "y", vec![]);
    });
    add("extents computed in the file", image, &|f| {
        f.random("w", &[168, 3]).constant(whole("zero", &[], &[0])).constant(whole("first", &[1], &[0]));
        f.constant(whole("rest", &[1], &[-1])).constant(whole("none", &[1], &[0])).constant(whole("one", &[1], &[1]));
        f.node("Shape", &["x"], "shape", vec![]).node("Gather", &["shape", "zero"], "n", vec![Set::Integer("axis", 0)]);
        f.node("Unsqueeze", &["n", "first"], "list", vec![]);
        f.node("Concat", &["list", "rest"], "to", vec![Set::Integer("axis", 0)]);
        f.node("Slice", &["shape", "none", "one"], "part", vec![]);
        f.node("Concat", &["part", "rest"], "again", vec![Set::Integer("axis", 0)]);
        f.node("Reshape", &["x", "to"], "a", vec![]).node("Reshape", &["a", "again"], "b", vec![]);
        f.node("Identity", &["b"], "c", vec![]).node("Dropout", &["c"], "d", vec![]);
        f.node("Gemm", &["d", "w"], "y", vec![]);
    });
    add("constants of every form", &[1, 3], &|f| {
        f.node("Constant", &[], "w", vec![Set::Tensor("value", tensor("", &[2, 3], &[1.0, 2.0, -3.0, 0.5, 0.0, 4.0]))]);
        f.node("Transpose", &["w"], "v", vec![]).constant(whole("k", &[1], &[3]));
        f.node("Cast", &["k"], "l", vec![Set::Integer("to", 1)]).node("Mul", &["v", "l"], "u", vec![]);
        f.random("c", &[3, 2]).node("Add", &["u", "c"], "m", vec![]);
        f.constant(smallbox::formats::onnx::message::TensorProto {
            raw_data: None,
            float_data: vec![0.25, -0.75],
            ..tensor("b", &[2], &[])
        });
        f.node("MatMul", &["x", "m"], "a", vec![]).node("Add", &["a", "b"], "d", vec![]);
        f.node("Cast", &["d"], "y", vec![Set::Integer("to", 1)]);
    });
    add("what the output does not need", &[1, 3], &|f| {
        f.random("w", &[3, 2]).node("Exp", &["x"], "e", vec![]).node("MatMul", &["x", "w"], "y", vec![]);
    });
    all
}

fn inputs(network: &ReluNetwork, seed: u64) -> Vec<Vec<f64>> {
    let mut random = Random::new(seed);
    (0..5).map(|_| random.tensor([network.input().elements()], -1.0, 1.0).data).collect()
}

#[test]
fn every_operator_computes_what_onnxruntime_does() {
    let files = operators();
    let networks: Vec<ReluNetwork> =
        files.iter().map(|(name, file)| load(file).unwrap_or_else(|e| panic!("{name}: {e}"))).collect();
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut cases: Vec<(PathBuf, Vec<Vec<f64>>)> = Vec::new();
    for (i, ((_, file), network)) in files.iter().zip(&networks).enumerate() {
        let path = folder.path().join(format!("{i}.onnx"));
        std::fs::write(&path, file.bytes()).expect("written");
        cases.push((path, inputs(network, 3)));
    }
    let theirs = onnxruntime(&python, &cases);
    for (((name, file), network), ((_, inputs), outputs)) in files.iter().zip(&networks).zip(cases.iter().zip(&theirs))
    {
        let worst = |network: &ReluNetwork| {
            let each = inputs.iter().zip(outputs).map(|(x, y)| deviation(&network.evaluate(x), y));
            each.fold(0.0f64, |m, d| if d.is_nan() { d } else { m.max(d) })
        };
        assert!(worst(network) < 1e-5, "{name}: {:e}", worst(network));
        // Negative control: every constant of reals counts.
        for i in 0..file.graph.initializer.len() {
            if file.graph.initializer[i].data_type != Some(1) {
                continue;
            }
            let mut changed = File::new(&[1]);
            changed.graph = file.graph.clone();
            let raw = &mut changed.graph.initializer[i];
            raw.float_data.iter_mut().for_each(|v| *v *= 1.1);
            if let Some(bytes) = &mut raw.raw_data {
                let words = bytes.chunks(4).map(|b| 1.1 * f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                *bytes = words.flat_map(f32::to_le_bytes).collect();
            }
            let other = worst(&load(&changed).expect("numbers alone were changed"));
            assert!(other.is_nan() || other > 1e-5, "{name}, constant {i}: {other:e}");
        }
    }
}

/// What needs no matrix of its own gets none, and what is used as the file has it stays exact.
#[test]
fn maps_are_folded_and_stay_exact_where_they_can() {
    let maps = |network: &ReluNetwork| {
        let weights = network.nodes().iter().filter_map(|node| match &node.operation {
            Operation::Conv2d(weights, _) | Operation::Linear(weights) => Some(weights.weight_error),
            _ => None,
        });
        weights.collect::<Vec<f64>>()
    };
    for (name, file) in operators() {
        let network = load(&file).expect("readable");
        let found = maps(&network);
        let (count, exact) = match name {
            "arithmetic before the first map" | "pad, conv, norm, relu" => (1, name.starts_with("arith")),
            "arithmetic behind a map" => (2, false),
            "vectors" => (3, true),
            "branches" => (3, true),
            "conv with everything" | "dilated conv padded unevenly" | "same lower" => (1, true),
            // Thrice a small number, and an f32 added: f64 has room for every digit.
            "constants of every form" => (1, true),
            "extents computed in the file" | "matrix on the left of a column" => (1, true),
            _ => continue,
        };
        assert_eq!((found.len(), found.iter().all(|&e| e == 0.0)), (count, exact), "{name}: {found:?}");
    }
}

#[test]
fn what_was_exported_here_is_read_as_the_same_function() {
    for (name, model) in models().into_iter().chain([("lonely norms", lonely_norms())]) {
        let graph = onnx_graph(&model.network, &model.tensors, 1).expect("a graph");
        let read = ReluNetwork::from_onnx(decode(&graph.encode()).expect("a file")).expect("readable");
        let made = ReluNetwork::from_model(&model.network, &model.tensors).expect("readable");
        assert_eq!(
            (read.input(), read.outputs(), read.relus()),
            (made.input(), made.outputs(), made.relus()),
            "{name}"
        );
        let x = &inputs(&made, 5)[0];
        let off = deviation(&read.evaluate(x), &made.evaluate(x));
        // The file's weights were rounded once where a batch norm was taken in.
        let allowed = if model.network.buffers().is_empty() { 1e-13 } else { 1e-5 };
        assert!(off < allowed, "{name}: {off:e}");
        let batch = onnx_graph(&model.network, &model.tensors, 2).expect("a graph");
        let message = ReluNetwork::from_onnx(decode(&batch.encode()).expect("a file")).unwrap_err().to_string();
        assert!(message.contains("expected one image"), "{message}");
    }
    // Plain weights, no normalisation: the very same numbers.
    let (_, model) = &models()[0];
    let graph = onnx_graph(&model.network, &model.tensors, 1).expect("a graph");
    let read = ReluNetwork::from_onnx(decode(&graph.encode()).expect("a file")).expect("readable");
    assert_eq!(read.digest(), ReluNetwork::from_model(&model.network, &model.tensors).expect("readable").digest());
}

#[test]
fn public_networks_compute_what_onnxruntime_does() {
    let Some(folder) = instances() else { return };
    let paths = found(&folder, &[".onnx", ".onnx.gz"]);
    assert!(paths.len() >= 12, "{paths:?}");
    let networks: Vec<ReluNetwork> =
        paths.iter().map(|path| ReluNetwork::read_onnx(path).unwrap_or_else(|e| panic!("{e}"))).collect();
    for (path, network) in paths.iter().zip(&networks) {
        println!("{}: {} nodes, {} ReLU layers", path.display(), network.nodes().len(), network.relus().len());
        // The files' own numbers everywhere.
        for node in network.nodes() {
            if let Operation::Conv2d(weights, _) | Operation::Linear(weights) = &node.operation {
                let exact = weights.weight_error == 0.0 && weights.bias_error.iter().all(|&e| e == 0.0);
                assert!(exact, "{}", path.display());
            }
        }
    }
    let Some(python) = python() else { return };
    let cases: Vec<_> = paths.iter().cloned().zip(networks.iter().map(|n| inputs(n, 1))).collect();
    let theirs = onnxruntime(&python, &cases);
    for ((path, inputs), (network, outputs)) in cases.iter().zip(networks.iter().zip(&theirs)) {
        for (x, y) in inputs.iter().zip(outputs) {
            let off = deviation(&network.evaluate(x), y);
            assert!(off < 1e-5 || y.iter().all(|&v| v == 0.0), "{}: {off:e}, {y:?}", path.display());
        }
    }
}

#[test]
fn a_packed_file_is_read_like_the_plain_one() {
    use std::io::Write;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, file) = operators().swap_remove(0);
    let (plain, packed) = (folder.path().join("a.onnx"), folder.path().join("a.onnx.gz"));
    std::fs::write(&plain, file.bytes()).expect("written");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&file.bytes()).expect("written");
    let bytes = encoder.finish().expect("written");
    std::fs::write(&packed, &bytes).expect("written");
    let digest = |path| ReluNetwork::read_onnx(path).expect("readable").digest();
    assert_eq!(digest(&plain), digest(&packed));
    std::fs::write(&packed, &bytes[..bytes.len() / 2]).expect("written");
    assert!(matches!(ReluNetwork::read_onnx(&packed), Err(Error::Data { .. })));
    let message = ReluNetwork::read_onnx(&folder.path().join("b.onnx")).unwrap_err().to_string();
    assert!(message.contains("b.onnx"), "{message}");
}

#[test]
fn what_cannot_be_read_is_one_line() {
    let refused = |build: &dyn Fn(&mut File), parts: &[&str]| {
        let mut file = File::new(&[1, 4]);
        file.random("w", &[4, 3]).random("c", &[4]);
        build(&mut file);
        let message = load(&file).expect_err(parts[0]);
        assert!(parts.iter().all(|part| message.contains(part)) && !message.contains('\n'), "{parts:?}: {message}");
    };
    let one = |operator: &'static str, inputs: &'static [&'static str]| {
        move |f: &mut File| {
            f.node(operator, inputs, "y", vec![]);
        }
    };
    refused(&one("Sigmoid", &["x"]), &["Sigmoid (node 'Sigmoid:y')", "not supported", "Relu"]);
    refused(&one("Softmax", &["x"]), &["Softmax", "not supported"]);
    refused(&one("Mul", &["x", "x"]), &["Mul (node 'Mul:y')", "constant"]);
    refused(&one("Div", &["c", "x"]), &["Div", "other way round"]);
    refused(&one("MatMul", &["x", "missing"]), &["'missing'", "order"]);
    refused(&one("MatMul", &["w", "x"]), &["MatMul", "[1, 4]", "3"]);
    refused(&one("Gemm", &["x", "c"]), &["Gemm", "matrices"]);
    refused(&one("Conv", &["x", "w"]), &["Conv", "[1,C,H,W]"]);
    refused(&one("Identity", &["c"]), &["'y'", "does not depend"]);
    refused(&|_| {}, &["no node makes the output 'y'"]);
    refused(
        &|f| {
            f.node("Add", &["a", "c"], "y", vec![]).node("Relu", &["x"], "a", vec![]);
        },
        &["'a'", "order"],
    );
    refused(
        &|f| {
            f.node("Relu", &["b"], "a", vec![]).node("Relu", &["a"], "b", vec![]).node("Add", &["b", "x"], "y", vec![]);
        },
        &["'b'", "order"],
    );
    refused(
        &|f| {
            f.node("Relu", &["x"], "y", vec![]).node("Relu", &["y"], "y", vec![]);
        },
        &["Relu"],
    );
    refused(
        &|f| {
            f.node("MatMul", &["x", "w"], "y", vec![Set::Integer("transpose", 1)]);
        },
        &["'transpose'"],
    );
    refused(
        &|f| {
            f.node("Transpose", &["x"], "y", vec![Set::Integers("perm", &[0, 0])]);
        },
        &["each once"],
    );
    refused(
        &|f| {
            f.constant(whole("to", &[2], &[3, -1])).node("Reshape", &["x", "to"], "y", vec![]);
        },
        &["[3, -1]", "[1, 4]"],
    );
    refused(
        &|f| {
            f.node("Reshape", &["x", "c"], "y", vec![]);
        },
        &["Reshape", "whole"],
    );
    refused(
        &|f| {
            f.constant(tensor("bad", &[4, 1], &[1.0, f32::NAN, 0.0, 0.0])).node("MatMul", &["x", "bad"], "y", vec![]);
        },
        &["NaN"],
    );
    refused(
        &|f| {
            f.constant(tensor("bad", &[4], &[1.0, f32::INFINITY, 0.0, 0.0])).node("Mul", &["x", "bad"], "y", vec![]);
        },
        &["finite"],
    );
    refused(
        &|f| {
            f.constant(tensor("bad", &[4], &[0.0; 4])).node("Div", &["x", "bad"], "y", vec![]);
        },
        &["finite"],
    );
    refused(
        &|f| {
            f.constant(tensor("bad", &[5], &[0.0; 4])).node("Add", &["x", "bad"], "y", vec![]);
        },
        &["'bad'", "4 elements", "[5]"],
    );
    refused(
        &|f| {
            f.constant(tensor("bad", &[-1], &[0.0])).node("Add", &["x", "bad"], "y", vec![]);
        },
        &["'bad'", "-1"],
    );
    refused(
        &|f| {
            f.random("wide", &[3, 4]).node("Add", &["x", "wide"], "y", vec![]);
        },
        &["Add", "spread"],
    );
    refused(
        &|f| {
            f.graph.input.push(port("z", &[1]));
            f.node("Relu", &["x"], "y", vec![]);
        },
        &["2 inputs"],
    );
    refused(
        &|f| {
            f.opset = 6;
            f.node("Relu", &["x"], "y", vec![]);
        },
        &["operator set 6"],
    );
    refused(
        &|f| {
            f.graph.node.clear();
            f.graph.output.clear();
        },
        &["0 outputs"],
    );
}

/// A file with most of what can be read, for damage.
fn rich() -> File {
    let mut file = File::new(&[1, 2, 6, 6]);
    file.random("m", &[1, 2, 1, 1]).random("w", &[3, 2, 3, 3]).random("b", &[3]).random("v", &[3, 3, 1, 1]);
    for name in ["gamma", "beta", "mean"] {
        file.random(name, &[3]);
    }
    file.random_between("variance", &[3], 0.5, 2.0).random("l", &[4, 27]).random("k", &[4]);
    file.constant(whole("to", &[2], &[0, -1]));
    file.node("Sub", &["x", "m"], "a", vec![]);
    let sets = vec![Set::Integers("pads", &[1, 1, 0, 1]), Set::Integers("strides", &[2, 2]), Set::Integer("group", 1)];
    file.node("Conv", &["a", "w", "b"], "c", sets);
    file.node("BatchNormalization", &["c", "gamma", "beta", "mean", "variance"], "d", vec![Set::Real("epsilon", 1e-3)]);
    file.node("Relu", &["d"], "e", vec![]).node("Conv", &["e", "v"], "f", vec![]).node("Add", &["e", "f"], "g", vec![]);
    file.node("Transpose", &["g"], "h", vec![Set::Integers("perm", &[0, 2, 3, 1])]);
    file.node("Reshape", &["h", "to"], "i", vec![]);
    file.node("Gemm", &["i", "l", "k"], "y", vec![Set::Integer("transB", 1)]);
    file
}

#[test]
fn damaged_files_never_panic() {
    let bytes = rich().bytes();
    let read = |bytes: &[u8]| decode(bytes).and_then(|model| ReluNetwork::from_onnx(model).map_err(|e| e.to_string()));
    let whole = read(&bytes).expect("the file as it was written").digest();
    let mut random = Random::new(23);
    let (mut refused, mut changed) = (0, 0);
    for _ in 0..1000 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + random.below(3) {
            let at = random.below(damaged.len());
            damaged[at] ^= 1 << random.below(8);
        }
        match read(&damaged) {
            Err(message) => {
                assert!(!message.contains('\n'), "{message}");
                refused += 1;
            }
            Ok(network) => changed += usize::from(network.digest() != whole),
        }
    }
    println!("{refused} refused, {changed} read as another network");
    assert!(refused > 100 && changed > 100);
    for length in 0..bytes.len() {
        // A file cut between two fields is a file; what it lacks is said.
        if let Ok(network) = read(&bytes[..length]) {
            assert!(network.digest() == whole, "{length} of {} bytes", bytes.len());
        }
    }
}
