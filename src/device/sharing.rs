//! Which forms of inputs the calls of a program share: each is made once between two writes of its input.

use std::collections::HashMap;
use std::hash::Hash;

/// A form that a call asks for.
pub(super) struct Wanted<'a, S> {
    /// What it is a form of.
    pub(super) source: S,
    /// The same for forms of one input that are the same.
    pub(super) key: &'a str,
    pub(super) words: usize,
}

/// A form that a call reads.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) making: usize,
    /// Whether this call is the first to read it since its input was written.
    pub(super) is_new: bool,
}

/// A form of one content of an input.
pub(super) struct Making {
    /// Its kind: makings of one input and key can share memory, since none is read once the next is made.
    pub(super) kind: usize,
    /// Calls that read it.
    pub(super) readers: usize,
}

/// The forms of a program.
pub(super) struct Sharing {
    /// Words of the kinds.
    pub(super) kinds: Vec<usize>,
    pub(super) makings: Vec<Making>,
    /// Those that each call reads.
    pub(super) of_calls: Vec<Vec<Form>>,
}

impl Sharing {
    /// Of calls that ask for these forms and write these outputs, in order.
    pub(super) fn new<'a, S: Copy + Eq + Hash>(calls: impl Iterator<Item = (Vec<Wanted<'a, S>>, Vec<S>)>) -> Sharing {
        let (mut kinds, mut makings, mut of_calls) = (Vec::new(), Vec::new(), Vec::new());
        let mut kind_of: HashMap<(S, &str), usize> = HashMap::new();
        let mut present: HashMap<(S, &str), usize> = HashMap::new();
        for (wanted, outputs) in calls {
            let form = |Wanted { source, key, words }| {
                let kind = *kind_of.entry((source, key)).or_insert_with(|| {
                    kinds.push(words);
                    kinds.len() - 1
                });
                let is_new = !present.contains_key(&(source, key));
                let making = *present.entry((source, key)).or_insert_with(|| {
                    makings.push(Making { kind, readers: 0 });
                    makings.len() - 1
                });
                makings[making].readers += 1;
                Form { making, is_new }
            };
            of_calls.push(wanted.into_iter().map(form).collect());
            // What lies there is another content from now on.
            present.retain(|(source, _), _| !outputs.contains(source));
        }
        Sharing { kinds, makings, of_calls }
    }

    /// The kind of a form.
    pub(super) fn kind(&self, form: Form) -> usize {
        self.makings[form.making].kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_made_once_between_two_writes_of_its_input() {
        let steps: [(&[(u8, &str)], u8); 6] = [
            (&[(b'w', "a")], b'y'),
            (&[(b'w', "a"), (b'w', "b")], b'y'),
            (&[(b'y', "a")], b'y'),
            (&[(b'w', "a")], b'w'),
            (&[(b'w', "a")], b'y'),
            (&[(b'w', "b")], b'y'),
        ];
        let wanted = |&(source, key)| Wanted { source, key, words: 10 };
        let sharing = Sharing::new(steps.iter().map(|(of, output)| (of.iter().map(wanted).collect(), vec![*output])));
        let of = |form: &Form| (sharing.kind(*form), form.is_new, sharing.makings[form.making].readers);
        let all: Vec<Vec<_>> = sharing.of_calls.iter().map(|forms| forms.iter().map(of).collect()).collect();
        let expected = [
            vec![(0, true, 3)],
            vec![(0, false, 3), (1, true, 1)],
            vec![(2, true, 1)],
            vec![(0, false, 3)],
            vec![(0, true, 1)],
            vec![(1, true, 1)],
        ];
        assert_eq!(all, expected);
        assert_eq!(sharing.kinds, [10; 3]);
    }
}
