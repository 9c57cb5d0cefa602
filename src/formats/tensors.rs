//! Named tensors in safetensors files.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;

use super::atomic::write_atomically;
use crate::error::{Error, Result};
use crate::shape::{DType, TensorType};

/// The one metadata key of our files: a single key has one order, so equal content means equal bytes.
pub const METADATA: &str = "smallbox";

/// Last part of the names of a PyTorch batch norm's counters (I64): no part of the network, and without use here.
const COUNTER: &str = "num_batches_tracked";

/// A tensor in a file: name, type, words.
pub type Tensor = (String, TensorType, Vec<u32>);

/// Writes tensors and `metadata` (as JSON under [`METADATA`]), atomically.
pub fn write(path: &Path, tensors: &[Tensor], metadata: &impl Serialize) -> Result<()> {
    let wrong = |e: &dyn std::fmt::Display| Error::model(path, e.to_string());
    let mut views = Vec::with_capacity(tensors.len());
    for (name, ty, words) in tensors {
        let dtype = match ty.dtype {
            DType::F32 => Dtype::F32,
            DType::U32 => Dtype::U32,
        };
        let view = TensorView::new(dtype, ty.shape.dims().to_vec(), bytemuck::cast_slice(words));
        views.push((name.as_str(), view.map_err(|e| wrong(&e))?));
    }
    let text = serde_json::to_string(metadata).map_err(|e| wrong(&e))?;
    let metadata = HashMap::from([(METADATA.to_string(), text)]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| wrong(&e))?;
    write_atomically(path, &bytes)
}

/// Tensors of a file, sorted by name, and the text under [`METADATA`] if the file has any. PyTorch's `num_batches_tracked` are
/// passed over.
///
/// # Errors
/// [`Error::Model`] if there is no such file, it is not a safetensors file, or a tensor is neither F32 nor U32.
pub fn read(path: &Path) -> Result<(Vec<Tensor>, Option<String>)> {
    let bytes = std::fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::model(path, "no such file"),
        _ => Error::io(path)(e),
    })?;
    let wrong = |e: safetensors::SafeTensorError| Error::model(path, format!("not a readable safetensors file: {e}"));
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(wrong)?;
    let metadata = header.metadata().as_ref().and_then(|m| m.get(METADATA).cloned());
    let file = SafeTensors::deserialize(&bytes).map_err(wrong)?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        if name.rsplit('.').next() == Some(COUNTER) {
            continue;
        }
        let shape = view.shape().to_vec();
        let ty = match view.dtype() {
            Dtype::F32 => TensorType::f32(shape),
            Dtype::U32 => TensorType::u32(shape),
            other => return Err(Error::model(path, format!("tensor '{name}' is {other:?}: expected F32"))),
        };
        let words = view.data().chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        tensors.push((name.to_string(), ty, words));
    }
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok((tensors, metadata))
}
