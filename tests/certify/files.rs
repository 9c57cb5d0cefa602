//! ONNX files made for tests, and other people's answers to them.

use std::path::{Path, PathBuf};
use std::process::Command;

use prost::Message;
use smallbox::formats::onnx::message::{
    AttributeProto, DimensionProto, ELEMENT_FLOAT, ELEMENT_INT64, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type,
};

use crate::common::random::Random;

/// A file under construction.
pub struct File {
    pub graph: GraphProto,
    pub opset: i64,
    random: Random,
}

/// A setting.
pub enum Set<'a> {
    Integer(&'a str, i64),
    Integers(&'a str, &'a [i64]),
    Real(&'a str, f32),
    Text(&'a str, &'a str),
    Tensor(&'a str, TensorProto),
}

pub fn tensor(name: &str, dims: &[i64], data: &[f32]) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: Some(ELEMENT_FLOAT),
        name: Some(name.into()),
        raw_data: Some(data.iter().flat_map(|v| v.to_le_bytes()).collect()),
        ..TensorProto::default()
    }
}

pub fn whole(name: &str, dims: &[i64], data: &[i64]) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: Some(ELEMENT_INT64),
        name: Some(name.into()),
        int64_data: data.to_vec(),
        ..TensorProto::default()
    }
}

pub fn port(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|&d| DimensionProto { dim_value: Some(d), ..DimensionProto::default() }).collect();
    let tensor = TensorTypeProto { elem_type: Some(ELEMENT_FLOAT), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: Some(name.into()), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

fn attribute(set: Set<'_>) -> AttributeProto {
    let named =
        |name: &str, kind| AttributeProto { name: Some(name.into()), r#type: Some(kind), ..AttributeProto::default() };
    match set {
        Set::Integer(name, v) => AttributeProto { i: Some(v), ..named(name, attribute_type::INT) },
        Set::Integers(name, v) => AttributeProto { ints: v.to_vec(), ..named(name, attribute_type::INTS) },
        Set::Real(name, v) => AttributeProto { f: Some(v), ..named(name, attribute_type::FLOAT) },
        Set::Text(name, v) => AttributeProto { s: Some(v.into()), ..named(name, attribute_type::STRING) },
        Set::Tensor(name, v) => AttributeProto { t: Some(v), ..named(name, attribute_type::TENSOR) },
    }
}

impl File {
    /// A file with the input `x` of extents `dims` and the output `y`.
    pub fn new(dims: &[i64]) -> File {
        let graph = GraphProto {
            name: Some("test".into()),
            input: vec![port("x", dims)],
            output: vec![ValueInfoProto { r#type: port("y", &[]).r#type, ..port("y", &[]) }],
            ..GraphProto::default()
        };
        // Extents of the output are found by whoever reads the file.
        let mut file = File { graph, opset: 13, random: Random::new(17) };
        let ty = file.graph.output[0].r#type.as_mut().and_then(|ty| ty.tensor_type.as_mut());
        ty.expect("a tensor").shape = None;
        file
    }

    /// Random numbers of [−1, 1] as a constant.
    pub fn random(&mut self, name: &str, dims: &[i64]) -> &mut File {
        self.random_between(name, dims, -1.0, 1.0)
    }

    pub fn random_between(&mut self, name: &str, dims: &[i64], lower: f64, upper: f64) -> &mut File {
        let n = dims.iter().product::<i64>() as usize;
        let data = self.random.tensor([n], lower, upper).to_f32();
        self.constant(tensor(name, dims, &data))
    }

    pub fn constant(&mut self, tensor: TensorProto) -> &mut File {
        self.graph.initializer.push(tensor);
        self
    }

    pub fn node(&mut self, operator: &str, inputs: &[&str], output: &str, sets: Vec<Set<'_>>) -> &mut File {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|name| name.to_string()).collect(),
            output: vec![output.into()],
            name: Some(format!("{operator}:{output}")),
            op_type: Some(operator.into()),
            attribute: sets.into_iter().map(attribute).collect(),
            domain: None,
        });
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let model = ModelProto {
            ir_version: Some(7),
            graph: Some(self.graph.clone()),
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(self.opset) }],
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }
}

/// Prints the first output of each file for the raw f32 inputs beside it, one line for each.
const SCRIPT: &str = r#"
import sys, gzip, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
for line in open(sys.argv[1]).read().splitlines():
    file, raw = line.split("\t")
    content = open(file, "rb").read()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    port = session.get_inputs()[0]
    dims = [d if isinstance(d, int) and d > 0 else 1 for d in port.shape]
    inputs = numpy.fromfile(raw, dtype=numpy.float32).reshape([-1] + dims)
    for x in inputs:
        print(*[repr(float(v)) for v in session.run(None, {port.name: x})[0].ravel()])
"#;

/// The interpreter with onnxruntime; `None`, with a line that says so, where there is none.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("SMALLBOX_PYTHON").map(PathBuf::from);
    if python.is_none() {
        println!("skipped: SMALLBOX_PYTHON is not set");
    }
    python
}

/// What onnxruntime computes for the inputs of each file: one vector of outputs for each input.
pub fn onnxruntime(python: &Path, cases: &[(PathBuf, Vec<Vec<f64>>)]) -> Vec<Vec<Vec<f64>>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut list = String::new();
    for (i, (file, inputs)) in cases.iter().enumerate() {
        let raw = folder.path().join(format!("{i}"));
        let bytes: Vec<u8> = inputs.iter().flatten().flat_map(|&v| (v as f32).to_le_bytes()).collect();
        std::fs::write(&raw, bytes).expect("written");
        list += &format!("{}\t{}\n", file.display(), raw.display());
    }
    let listed = folder.path().join("list");
    std::fs::write(&listed, list).expect("written");
    let ran = Command::new(python).args(["-c", SCRIPT]).arg(&listed).output().expect("SMALLBOX_PYTHON starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).expect("numbers");
    let mut lines =
        text.lines().map(|line| line.split_whitespace().map(|v| v.parse().expect("a number")).collect::<Vec<f64>>());
    let mut results = Vec::new();
    for (file, inputs) in cases {
        results.push(inputs.iter().map(|_| lines.next().unwrap_or_else(|| panic!("{}", file.display()))).collect());
    }
    results
}

/// Largest difference relative to the largest number.
pub fn deviation(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "as many outputs");
    let largest = b.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    a.iter().zip(b).fold(0.0f64, |m, (a, b)| if (a - b).is_nan() { f64::NAN } else { m.max((a - b).abs()) }) / largest
}

/// The folder of public verification instances; `None`, with a line that says so, where the variable is not set.
pub fn instances() -> Option<PathBuf> {
    let folder = std::env::var_os("SMALLBOX_VNNCOMP_DIR").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: SMALLBOX_VNNCOMP_DIR is not set");
    }
    folder
}

/// All files under `folder` whose names end with one of `ends`, sorted.
pub fn found(folder: &Path, ends: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(found(&path, ends));
        } else if ends.iter().any(|end| path.to_string_lossy().ends_with(end)) {
            files.push(path);
        }
    }
    files.sort();
    files
}
