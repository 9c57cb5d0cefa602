//! Files that keep a run: `model.safetensors` (parameters, named as in PyTorch's state dict) and `state.safetensors` (every
//! state of the session and the place in the schedule: all that an exact resume needs). Written atomically.

use std::collections::HashMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::device::{Session, write_state_f32};
use crate::error::{Error, Result};
use crate::formats::tensors::{self, METADATA};
use crate::nn::{Layer, Network, architecture, state_name};
use crate::shape::TensorType;

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
    /// All layers, the normalisation included. Older files have none: there `arch` tells them.
    #[serde(default)]
    pub layers: Vec<Layer>,
}

impl ModelInfo {
    /// What a network's file says.
    pub fn of(network: &Network) -> ModelInfo {
        let (mean, deviation) = match network.layers().first() {
            Some(Layer::Normalize { mean, deviation }) => (mean.clone(), deviation.clone()),
            _ => (Vec::new(), Vec::new()),
        };
        let (arch, layers) = (network.name.clone(), network.layers().to_vec());
        ModelInfo { arch, input: network.input, classes: network.classes, mean, deviation, layers }
    }

    /// The network that the tensors of the file belong to.
    pub fn network(&self) -> Result<Network> {
        if self.layers.is_empty() {
            return architecture(&self.arch, self.input, self.classes, &self.mean, &self.deviation);
        }
        Network::new(&self.arch, self.input, self.classes, self.layers.clone())
    }
}

/// Writes the parameters and running statistics of `network`, read from the session.
pub async fn save_model(path: &Path, network: &Network, session: &mut dyn Session) -> Result<()> {
    let mut saved = Vec::new();
    for (name, shape) in network.tensors() {
        let words = session.read_state(&state_name(name)).await?;
        saved.push((name.to_string(), TensorType::f32(shape.clone()), words));
    }
    tensors::write(path, &saved, &ModelInfo::of(network))
}

/// What a model file says about its network; `None` for a file of another program.
pub fn read_model_info(path: &Path) -> Result<Option<ModelInfo>> {
    let (_, metadata) = tensors::read(path)?;
    let parse = |text: String| {
        serde_json::from_str(&text).map_err(|e| Error::model(path, format!("metadata '{METADATA}': {e}")))
    };
    metadata.map(parse).transpose()
}

/// The tensors of `network` from a file: every one must be there with its shape and finite values, and nothing else.
pub fn load_tensors(path: &Path, network: &Network) -> Result<Vec<(String, Vec<f32>)>> {
    let (stored, _) = tensors::read(path)?;
    let mut left: HashMap<String, (TensorType, Vec<u32>)> = stored.into_iter().map(|(n, t, w)| (n, (t, w))).collect();
    let mut loaded = Vec::new();
    for (name, shape) in network.tensors() {
        let Some((ty, words)) = left.remove(name) else {
            let message = format!("no tensor '{name}', which {} needs{}", network.name, instead(name, &left));
            return Err(Error::model(path, message));
        };
        if ty != TensorType::f32(shape.clone()) {
            let message = format!("tensor '{name}' has shape {}, {} needs {shape}", ty.shape, network.name);
            return Err(Error::model(path, message));
        }
        let values: Vec<f32> = bytemuck::cast_vec(words);
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::model(path, format!("tensor '{name}' holds {} at {i}", values[i])));
        }
        loaded.push((name.to_string(), values));
    }
    if let Some(name) = left.keys().min() {
        return Err(Error::model(path, format!("tensor '{name}' belongs to no layer of {}", network.name)));
    }
    Ok(loaded)
}

/// What a file holds in place of the missing tensor `name`, for the message about it.
fn instead(name: &str, stored: &HashMap<String, (TensorType, Vec<u32>)>) -> String {
    let mut names: Vec<&str> = stored.keys().map(String::as_str).collect();
    names.sort_unstable();
    let behind_prefix = names.iter().find(|n| n.strip_suffix(name).is_some_and(|prefix| prefix.ends_with('.')));
    match (behind_prefix, names.first()) {
        (Some(found), _) => {
            format!("; it has '{found}': expected the names of an nn.Sequential's own state dict, no prefix")
        }
        (None, Some(first)) => format!("; it has '{first}'"),
        (None, None) => String::new(),
    }
}

/// [`load_tensors`] of a file whose weights a run is to begin from. What the file says about its network must be true of
/// `network`; a file of another program says nothing.
pub fn import_tensors(path: &Path, network: &Network) -> Result<Vec<(String, Vec<f32>)>> {
    let wanted = ModelInfo::of(network);
    if let Some(info) = read_model_info(path)?.filter(|info| *info != wanted) {
        let text = |i: &ModelInfo| {
            let ([c, h, w], k) = (i.input, i.classes);
            let place = if i.mean.is_empty() {
                String::new()
            } else {
                format!(", mean {:?}, deviation {:?}", i.mean, i.deviation)
            };
            format!("{} for images of {c}×{h}×{w} in {k} classes{place}", i.arch)
        };
        return Err(Error::model(path, format!("holds {}; the run has {}", text(&info), text(&wanted))));
    }
    load_tensors(path, network)
}

/// Puts the tensors of `network` into the session's states, creating them where needed.
pub fn write_tensors(session: &mut dyn Session, network: &Network, tensors: &[(String, Vec<f32>)]) -> Result<()> {
    for ((known, shape), (name, values)) in network.tensors().zip(tensors) {
        assert_eq!(known, name, "tensors come in the network's order");
        session.create_state(&state_name(name), &TensorType::f32(shape.clone()))?;
        write_state_f32(session, &state_name(name), values)?;
    }
    Ok(())
}

/// Writes all states of the session and `position`.
pub async fn save_state(path: &Path, session: &mut dyn Session, position: &impl Serialize) -> Result<()> {
    let mut saved = Vec::new();
    for (name, ty) in session.states() {
        let words = session.read_state(&name).await?;
        saved.push((name, ty, words));
    }
    tensors::write(path, &saved, position)
}

/// Restores all states that [`save_state`] wrote; returns the position.
pub fn load_state<P: DeserializeOwned>(path: &Path, session: &mut dyn Session) -> Result<P> {
    let (stored, metadata) = tensors::read(path)?;
    let Some(text) = metadata else { return Err(Error::model(path, "not a training state of this program")) };
    let position =
        serde_json::from_str(&text).map_err(|e| Error::model(path, format!("metadata '{METADATA}': {e}")))?;
    for (name, ty, words) in stored {
        session.create_state(&name, &ty).map_err(|e| Error::model(path, e.to_string()))?;
        session.write_state(&name, &words)?;
    }
    Ok(position)
}
