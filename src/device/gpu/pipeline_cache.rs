//! What the driver compiled, kept from one process to the next.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::context::Context;
use crate::device::Store;
use crate::error::Result;

/// Bytes of the digest in front of the driver's data.
const DIGEST: usize = 32;

/// The driver's own cache of pipelines and where it is kept.
pub(super) struct PipelineCache {
    store: Arc<dyn Store>,
    name: String,
    cache: wgpu::PipelineCache,
    /// Digest of what the store has.
    kept: Option<[u8; DIGEST]>,
}

impl PipelineCache {
    /// The cache that `store` has of the adapter, or an empty one; `None` where the adapter offers none. Data that are not as they were
    /// written are told of and left out; what an older driver wrote, the header that wgpu puts in front of them tells.
    pub(super) fn open(context: &Context, store: Arc<dyn Store>) -> Result<Option<PipelineCache>> {
        if !context.device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return Ok(None);
        }
        let name = format!("{}.pipelines", super::store_name(&context.info));
        let (kept, data) = match store.read(&name).map(|bytes| intact(&bytes)) {
            None => (None, None),
            Some(Some((digest, data))) => (Some(digest), Some(data)),
            Some(None) => {
                store.warn(&name, "not what was written there; compiling the pipelines again");
                (None, None)
            }
        };
        let descriptor =
            wgpu::PipelineCacheDescriptor { label: Some("pipelines"), data: data.as_deref(), fallback: true };
        let cache = context.scoped(&"a pipeline cache", || {
            // SAFETY: the data are what an earlier `get_data` gave, as their digest shows; wgpu's header in front of them names
            // the adapter and the driver that they are for, and it leaves out those of another.
            unsafe { context.device.create_pipeline_cache(&descriptor) }
        })?;
        Ok(Some(PipelineCache { store, name, cache, kept }))
    }

    /// For the making of a pipeline.
    pub(super) fn handle(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Writes the data if they have changed.
    pub(super) fn keep(&mut self) {
        let Some(data) = self.cache.get_data() else { return };
        let digest: [u8; DIGEST] = Sha256::digest(&data).into();
        if self.kept != Some(digest) {
            self.store.write(&self.name, &[&digest[..], &data].concat());
            self.kept = Some(digest);
        }
    }
}

/// Digest and data of a file, if they belong together.
fn intact(bytes: &[u8]) -> Option<([u8; DIGEST], Vec<u8>)> {
    let (digest, data) = bytes.split_first_chunk::<DIGEST>()?;
    (Sha256::digest(data).as_slice() == digest).then(|| (*digest, data.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_is_read() {
        let data = b"pipelines".to_vec();
        let mut bytes = [&Sha256::digest(&data)[..], &data].concat();
        assert_eq!(intact(&bytes).map(|(_, data)| data), Some(data));
        bytes[DIGEST] ^= 1;
        assert_eq!(intact(&bytes), None);
        assert_eq!(intact(&bytes[..DIGEST - 1]), None);
    }
}
