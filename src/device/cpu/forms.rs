//! Memory of the forms of inputs that calls share: see [`crate::kernel::Prepare`].

use std::collections::HashMap;
use std::sync::Arc;

use super::buffer::Buffer;
use crate::device::sharing::{Form, Sharing, Wanted};
use crate::kernel::{NativeCall, Prepare, RawSlice};

/// The forms of a program.
pub(super) struct Forms {
    sharing: Sharing,
    /// Memory of those kinds that several calls read.
    shared: HashMap<usize, Arc<Buffer>>,
}

impl Forms {
    /// Of calls with these inputs and outputs, in order.
    pub(super) fn new<'a>(calls: impl Iterator<Item = (&'a NativeCall, &'a [RawSlice], &'a [RawSlice])>) -> Forms {
        let address = |slice: &RawSlice| slice.pointer as usize;
        let sharing = Sharing::new(calls.map(|(native, inputs, outputs)| {
            let wanted = |prepare: &'a Prepare| Wanted {
                source: address(&inputs[prepare.input]),
                key: &prepare.key,
                words: prepare.words,
            };
            (native.prepared.iter().map(wanted).collect(), outputs.iter().map(address).collect())
        }));
        Forms { sharing, shared: HashMap::new() }
    }

    /// Those that call `call` reads.
    pub(super) fn of_call(&self, call: usize) -> &[Form] {
        &self.sharing.of_calls[call]
    }

    fn is_alone(&self, form: &Form) -> bool {
        self.sharing.makings[form.making].readers == 1
    }

    /// Whether nobody but call `call` reads any of its forms.
    pub(super) fn are_alone(&self, call: usize) -> bool {
        self.of_call(call).iter().all(|form| self.is_alone(form))
    }

    /// Words of the forms that call `call` alone reads: they need no memory of their own.
    pub(super) fn scratch(&self, call: usize) -> impl Iterator<Item = usize> {
        let alone = self.of_call(call).iter().filter(|form| self.is_alone(form));
        alone.map(|&form| self.sharing.kinds[self.sharing.kind(form)])
    }

    /// Where the forms of call `call` are; `scratch` holds those of [`Forms::scratch`].
    pub(super) fn places(&mut self, call: usize, mut scratch: impl Iterator<Item = RawSlice>) -> Vec<RawSlice> {
        let Forms { sharing, shared } = self;
        let place = |form: &Form| {
            if sharing.makings[form.making].readers == 1 {
                return scratch.next().expect("scratch for every form that one call reads");
            }
            let kind = sharing.kind(*form);
            let new = || Arc::new(Buffer::poisoned(sharing.kinds[kind]));
            shared.entry(kind).or_insert_with(new).slice(sharing.kinds[kind])
        };
        sharing.of_calls[call].iter().map(place).collect()
    }

    /// The memory of forms that several calls read.
    pub(super) fn into_buffers(self) -> impl Iterator<Item = Arc<Buffer>> {
        self.shared.into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(keys: &[&str]) -> NativeCall {
        let prepare =
            |key: &&str| Prepare { name: "pack", input: 0, key: key.to_string(), words: 10, run: Box::new(|_, _| {}) };
        NativeCall { prepared: keys.iter().map(prepare).collect(), ..NativeCall::new("kernel", |_| {}) }
    }

    #[test]
    fn a_form_is_made_once_between_two_writes_of_its_input() {
        let (w, other) = (Buffer::zeroed(4).slice(4), Buffer::zeroed(4).slice(4));
        let steps = [
            (call(&["a"]), w, other),
            (call(&["a", "b"]), w, other),
            (call(&["a"]), other, other),
            (call(&["a"]), w, w),
            (call(&["a"]), w, other),
        ];
        let mut forms = Forms::new(steps.iter().map(|(c, i, o)| (c, std::slice::from_ref(i), std::slice::from_ref(o))));
        let new: Vec<Vec<bool>> =
            (0..5).map(|call| forms.of_call(call).iter().map(|form| form.is_new).collect()).collect();
        assert_eq!(new, [vec![true], vec![false, true], vec![true], vec![false], vec![true]]);
        let alone: Vec<usize> = (0..5).map(|call| forms.scratch(call).count()).collect();
        assert_eq!(alone, [0, 1, 1, 0, 1], "a form that one call reads needs no memory of its own");
        let alone: Vec<bool> = (0..5).map(|call| forms.are_alone(call)).collect();
        assert_eq!(alone, [false, false, true, false, true]);
        let scratch = Buffer::zeroed(10).slice(10);
        let mut first = |call: usize| forms.places(call, std::iter::once(scratch))[0].pointer;
        let shared = first(0);
        assert_eq!([first(1), first(3)], [shared, shared]);
        assert!(first(2) == scratch.pointer && first(4) == scratch.pointer && shared != scratch.pointer);
        assert_eq!(forms.into_buffers().count(), 1);
    }
}
