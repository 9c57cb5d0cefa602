//! Parameters of dispatches, in one buffer.

use std::collections::HashMap;

use super::context::Context;
use crate::error::Result;

/// Begins of bindings are multiples of this many words: 256 bytes, the strictest alignment that WebGPU allows.
const CELL: usize = 64;

/// What the buffer will hold: each list of parameters once.
#[derive(Default)]
pub(super) struct AllParams {
    words: Vec<u32>,
    places: HashMap<Vec<u32>, usize>,
}

/// Where a dispatch finds its parameters.
pub(super) struct Params {
    first: usize,
    words: usize,
}

impl AllParams {
    /// The place of `params`; `None` if there are none.
    pub(super) fn place(&mut self, params: Vec<u32>) -> Option<Params> {
        if params.is_empty() {
            return None;
        }
        let words = params.len();
        let first = *self.places.entry(params).or_insert_with_key(|params| {
            let first = self.words.len();
            self.words.extend(params);
            self.words.resize(self.words.len().next_multiple_of(CELL), 0);
            first
        });
        Some(Params { first, words })
    }

    /// The buffer with all of them; `None` if there are none.
    pub(super) fn buffer(&self, context: &Context) -> Result<Option<wgpu::Buffer>> {
        if self.words.is_empty() {
            return Ok(None);
        }
        let bytes = bytemuck::cast_slice(&self.words);
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let buffer = context.buffer_for("parameters", bytes.len() as u64, usage)?;
        context.queue.write_buffer(&buffer, 0, bytes);
        Ok(Some(buffer))
    }
}

impl Params {
    /// The binding of them in `buffer`.
    pub(super) fn binding<'a>(&self, buffer: &'a wgpu::Buffer) -> wgpu::BufferBinding<'a> {
        let size = wgpu::BufferSize::new(4 * self.words.next_multiple_of(4) as u64);
        wgpu::BufferBinding { buffer, offset: 4 * self.first as u64, size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_parameters_share_a_place_where_a_binding_may_begin() {
        let mut all_params = AllParams::default();
        let mut first = |params: &[u32]| all_params.place(params.to_vec()).map(|place| place.first);
        assert_eq!(
            [first(&[1, 2]), first(&[7; 65]), first(&[1, 2]), first(&[3]), first(&[])],
            [Some(0), Some(64), Some(0), Some(192), None]
        );
        assert_eq!(all_params.words.len(), 256);
    }
}
