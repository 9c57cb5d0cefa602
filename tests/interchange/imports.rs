//! Weights as PyTorch saves them with safetensors.

use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use smallbox::error::Error;
use smallbox::nn::Network;
use smallbox::train::checkpoint::{ModelInfo, import_tensors, load_tensors};

use super::{Model, lonely_norms};

/// A file with the tensors of `model`, names changed by `rename`, and a counter for each batch norm, as a state dict has it;
/// without metadata.
fn save(path: &Path, model: &Model, rename: impl Fn(&str) -> String) {
    let counter = 3i64.to_le_bytes();
    let mut views = Vec::new();
    for ((_, shape), (name, values)) in model.network.tensors().zip(&model.tensors) {
        let view = TensorView::new(Dtype::F32, shape.dims().to_vec(), bytemuck::cast_slice(values)).expect("a tensor");
        views.push((rename(name), view));
        if let Some(stem) = name.strip_suffix("running_var") {
            let view = TensorView::new(Dtype::I64, vec![], &counter).expect("a scalar");
            views.push((rename(&format!("{stem}num_batches_tracked")), view));
        }
    }
    let bytes = safetensors::serialize(views, None).expect("a file");
    std::fs::write(path, bytes).expect("written");
}

/// The message of a file that can't be used.
fn refused(path: &Path, network: &Network) -> String {
    match import_tensors(path, network).unwrap_err() {
        error @ Error::Model { .. } => error.to_string(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_state_dict_with_counters_is_read_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("f.safetensors");
    let model = lonely_norms();
    save(&path, &model, str::to_string);
    assert_eq!(import_tensors(&path, &model.network).expect("all tensors"), model.tensors);
    assert_eq!(load_tensors(&path, &model.network).expect("all tensors"), model.tensors);
}

#[test]
fn only_counters_are_passed_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("f.safetensors");
    let model = lonely_norms();
    save(&path, &model, |name| name.replace("num_batches_tracked", "steps"));
    let message = refused(&path, &model.network);
    assert!(message.contains(".steps") && message.contains("I64"), "{message}");
}

#[test]
fn names_behind_a_prefix_are_refused_with_what_was_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("f.safetensors");
    let model = lonely_norms();
    save(&path, &model, |name| format!("model.{name}"));
    let message = refused(&path, &model.network);
    for part in ["'0.weight'", "'model.0.weight'", "no prefix"] {
        assert!(message.contains(part), "{message}");
    }
    save(&path, &model, |name| format!("1{name}"));
    let message = refused(&path, &model.network);
    assert!(message.contains("'0.weight'") && !message.contains("prefix"), "{message}");
}

#[test]
fn another_normalisation_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("f.safetensors");
    let model = Model::named("cnn3", [1, 28, 28], &[0.5], &[0.25]);
    let plain = Model::named("cnn3", [1, 28, 28], &[], &[]);
    let tensors: Vec<_> = model
        .network
        .tensors()
        .zip(&model.tensors)
        .map(|((name, shape), (_, values))| {
            let ty = smallbox::shape::TensorType::f32(shape.clone());
            (name.to_string(), ty, bytemuck::cast_slice(values).to_vec())
        })
        .collect();
    smallbox::formats::tensors::write(&path, &tensors, &ModelInfo::of(&model.network)).expect("written");
    assert_eq!(import_tensors(&path, &model.network).expect("the same network"), model.tensors);
    let message = refused(&path, &plain.network);
    assert!(message.contains("mean [0.5]"), "{message}");
}
