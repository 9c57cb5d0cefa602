//! Forms of inputs that calls share: see [`Prepare`].

use std::collections::HashMap;
use std::sync::Arc;

use super::buffer::Buffer;
use crate::kernel::{Prepare, RawSlice};

/// The forms of a program, while its calls are lined up.
#[derive(Default)]
pub(super) struct Forms {
    /// By address of the input and key: the form's memory, and whether it is that of the input's present content.
    known: HashMap<(usize, String), (Arc<Buffer>, bool)>,
}

impl Forms {
    /// Where the form of `source` is, and whether it must be made first.
    pub(super) fn of(&mut self, source: RawSlice, prepare: &Prepare) -> (RawSlice, bool) {
        let at = (source.pointer as usize, prepare.key.clone());
        let new = || (Arc::new(Buffer::poisoned(prepare.words)), false);
        let (buffer, valid) = self.known.entry(at).or_insert_with(new);
        (buffer.slice(prepare.words), !std::mem::replace(valid, true))
    }

    /// What lies at `output` is about to change.
    pub(super) fn forget(&mut self, output: RawSlice) {
        for ((source, _), (_, valid)) in &mut self.known {
            *valid &= *source != output.pointer as usize;
        }
    }

    /// Their memory.
    pub(super) fn into_buffers(self) -> impl Iterator<Item = Arc<Buffer>> {
        self.known.into_values().map(|(buffer, _)| buffer)
    }
}
