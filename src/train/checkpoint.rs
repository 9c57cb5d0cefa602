//! Files that keep a run: `model.safetensors` (parameters, named as in PyTorch's state dict) and `state.safetensors` (every
//! state of the session and the place in the schedule: all that an exact resume needs). Written atomically.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::device::{Session, write_state_f32};
use crate::error::{Error, Result};
use crate::nn::{Layer, Network, state_name};
use crate::shape::{DType, TensorType};

/// The one metadata key of our files: a single key has one order, so equal content means equal bytes.
const METADATA: &str = "smallbox";

/// What `model.safetensors` says about the network beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Name of the architecture.
    pub arch: String,
    /// C, H, W.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Mean per channel of the normalisation layer; empty without one.
    pub mean: Vec<f32>,
    /// Deviation per channel; empty without one.
    pub deviation: Vec<f32>,
}

impl ModelInfo {
    /// What a network's file says.
    pub fn of(network: &Network) -> ModelInfo {
        let (mean, deviation) = match network.layers().first() {
            Some(Layer::Normalize { mean, deviation }) => (mean.clone(), deviation.clone()),
            _ => (Vec::new(), Vec::new()),
        };
        ModelInfo { arch: network.name.clone(), input: network.input, classes: network.classes, mean, deviation }
    }
}

/// Writes `bytes` to `path` so that a reader sees the old file or the whole new one, whatever happens meanwhile.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Error::io(folder))?;
    file.write_all(bytes).map_err(Error::io(path))?;
    file.as_file().sync_all().map_err(Error::io(path))?;
    file.persist(path).map_err(|e| Error::Io { path: path.to_path_buf(), source: e.error })?;
    Ok(())
}

/// A tensor on its way to or from a file.
type Tensor = (String, TensorType, Vec<u32>);

fn write(path: &Path, tensors: &[Tensor], metadata: &impl Serialize) -> Result<()> {
    let mut views = Vec::with_capacity(tensors.len());
    for (name, ty, words) in tensors {
        let dtype = match ty.dtype {
            DType::F32 => Dtype::F32,
            DType::U32 => Dtype::U32,
        };
        let view = TensorView::new(dtype, ty.shape.dims().to_vec(), bytemuck::cast_slice(words));
        views.push((name.as_str(), view.map_err(|e| Error::model(path, e.to_string()))?));
    }
    let text = serde_json::to_string(metadata).map_err(|e| Error::model(path, e.to_string()))?;
    let metadata = HashMap::from([(METADATA.to_string(), text)]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| Error::model(path, e.to_string()))?;
    write_atomically(path, &bytes)
}

/// Tensors of a file, sorted by name, and our metadata if the file has any.
fn read(path: &Path) -> Result<(Vec<Tensor>, Option<String>)> {
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

/// Writes the parameters of `network`, read from the session.
pub async fn save_model(path: &Path, network: &Network, session: &mut dyn Session) -> Result<()> {
    let mut tensors = Vec::new();
    for p in network.parameters() {
        let words = session.read_state(&state_name(&p.name)).await?;
        tensors.push((p.name.clone(), TensorType::f32(p.shape.clone()), words));
    }
    write(path, &tensors, &ModelInfo::of(network))
}

/// What a model file says about its network; `None` for a file of another program.
pub fn read_model_info(path: &Path) -> Result<Option<ModelInfo>> {
    let (_, metadata) = read(path)?;
    let parse = |text: String| {
        serde_json::from_str(&text).map_err(|e| Error::model(path, format!("metadata '{METADATA}': {e}")))
    };
    metadata.map(parse).transpose()
}

/// Parameters of `network` from a file: every one must be there with its shape and finite values, and nothing else.
pub fn load_parameters(path: &Path, network: &Network) -> Result<Vec<(String, Vec<f32>)>> {
    let (tensors, _) = read(path)?;
    let mut left: HashMap<String, (TensorType, Vec<u32>)> = tensors.into_iter().map(|(n, t, w)| (n, (t, w))).collect();
    let mut parameters = Vec::new();
    for p in network.parameters() {
        let Some((ty, words)) = left.remove(&p.name) else {
            return Err(Error::model(path, format!("no tensor '{}', which {} needs", p.name, network.name)));
        };
        if ty != TensorType::f32(p.shape.clone()) {
            let message = format!("tensor '{}' has shape {}, {} needs {}", p.name, ty.shape, network.name, p.shape);
            return Err(Error::model(path, message));
        }
        let values: Vec<f32> = bytemuck::cast_vec(words);
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::model(path, format!("tensor '{}' holds {} at {i}", p.name, values[i])));
        }
        parameters.push((p.name.clone(), values));
    }
    if let Some(name) = left.keys().min() {
        return Err(Error::model(path, format!("tensor '{name}' belongs to no layer of {}", network.name)));
    }
    Ok(parameters)
}

/// Puts parameters into the session's states, creating them where needed.
pub fn write_parameters(session: &mut dyn Session, network: &Network, parameters: &[(String, Vec<f32>)]) -> Result<()> {
    for (p, (name, values)) in network.parameters().iter().zip(parameters) {
        assert_eq!(p.name, *name, "parameters come in the network's order");
        session.create_state(&state_name(name), &TensorType::f32(p.shape.clone()))?;
        write_state_f32(session, &state_name(name), values)?;
    }
    Ok(())
}

/// Writes all states of the session and `position`.
pub async fn save_state(path: &Path, session: &mut dyn Session, position: &impl Serialize) -> Result<()> {
    let mut tensors = Vec::new();
    for (name, ty) in session.states() {
        let words = session.read_state(&name).await?;
        tensors.push((name, ty, words));
    }
    write(path, &tensors, position)
}

/// Restores all states that [`save_state`] wrote; returns the position.
pub fn load_state<P: DeserializeOwned>(path: &Path, session: &mut dyn Session) -> Result<P> {
    let (tensors, metadata) = read(path)?;
    let Some(text) = metadata else { return Err(Error::model(path, "not a training state of this program")) };
    let position =
        serde_json::from_str(&text).map_err(|e| Error::model(path, format!("metadata '{METADATA}': {e}")))?;
    for (name, ty, words) in tensors {
        session.create_state(&name, &ty).map_err(|e| Error::model(path, e.to_string()))?;
        session.write_state(&name, &words)?;
    }
    Ok(position)
}
