//! Forms of inputs that calls share: see [`Prepare`].

use std::collections::HashMap;
use std::sync::Arc;

use super::buffer::Buffer;
use crate::kernel::{NativeCall, Prepare, RawSlice};

/// A form that a call reads.
#[derive(Clone, Copy)]
pub(super) struct Form {
    making: usize,
    /// Whether this call is the first to read it since its input was written.
    pub(super) is_new: bool,
}

/// A form of one content of an input.
struct Making {
    /// Address of the input, and key.
    of: (usize, String),
    words: usize,
    readers: usize,
}

/// The forms of a program.
pub(super) struct Forms {
    makings: Vec<Making>,
    /// Those of each call.
    pub(super) of_calls: Vec<Vec<Form>>,
    /// Memory of those that several calls read.
    shared: HashMap<(usize, String), Arc<Buffer>>,
}

impl Forms {
    /// Of calls with these inputs and outputs, in order.
    pub(super) fn new<'a>(calls: impl Iterator<Item = (&'a NativeCall, &'a [RawSlice], &'a [RawSlice])>) -> Forms {
        let mut makings: Vec<Making> = Vec::new();
        let mut present: HashMap<(usize, String), usize> = HashMap::new();
        let mut of_calls = Vec::new();
        for (native, inputs, outputs) in calls {
            let form = |prepare: &Prepare| {
                let of = (inputs[prepare.input].pointer as usize, prepare.key.clone());
                let is_new = !present.contains_key(&of);
                let making = *present.entry(of.clone()).or_insert(makings.len());
                if is_new {
                    makings.push(Making { of, words: prepare.words, readers: 0 });
                }
                makings[making].readers += 1;
                Form { making, is_new }
            };
            of_calls.push(native.prepared.iter().map(form).collect());
            // What lies there is another content from now on.
            present.retain(|(source, _), _| outputs.iter().all(|output| output.pointer as usize != *source));
        }
        Forms { makings, of_calls, shared: HashMap::new() }
    }

    /// Whether nobody but call `call` reads any of its forms.
    pub(super) fn are_alone(&self, call: usize) -> bool {
        self.of_calls[call].iter().all(|form| self.makings[form.making].readers == 1)
    }

    /// Words of the forms that call `call` alone reads: they need no memory of their own.
    pub(super) fn scratch(&self, call: usize) -> impl Iterator<Item = usize> {
        let alone = |form: &&Form| self.makings[form.making].readers == 1;
        self.of_calls[call].iter().filter(alone).map(|form| self.makings[form.making].words)
    }

    /// Where the forms of call `call` are; `scratch` holds those of [`Forms::scratch`].
    pub(super) fn places(&mut self, call: usize, mut scratch: impl Iterator<Item = RawSlice>) -> Vec<RawSlice> {
        let place = |form: &Form| {
            let making = &self.makings[form.making];
            if making.readers == 1 {
                return scratch.next().expect("scratch for every form that one call reads");
            }
            let new = || Arc::new(Buffer::poisoned(making.words));
            self.shared.entry(making.of.clone()).or_insert_with(new).slice(making.words)
        };
        self.of_calls[call].iter().map(place).collect()
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
        let new: Vec<Vec<bool>> = forms.of_calls.iter().map(|of| of.iter().map(|form| form.is_new).collect()).collect();
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
