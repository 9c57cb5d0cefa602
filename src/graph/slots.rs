//! Which values share a work buffer.

/// A value's part of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// Length of the value.
    pub(super) words: usize,
    /// The step that writes it.
    pub(super) first: usize,
    /// The last step that uses it.
    pub(super) last: usize,
}

/// Slot sizes are multiples of this many words: 256 bytes, the strictest alignment of a GPU binding.
const SLOT_WORDS: usize = 64;

/// Sizes of the slots, and for each value its slot: two values share one only if no step uses both.
///
/// The largest values choose first (Pisarchyk and Lee 2020, "greedy by size" for shared objects), so that no slot ever grows and no small value that lives
/// long blocks a large slot that others could have used.
pub(super) fn assign(values: &[Lifetime]) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&v| (std::cmp::Reverse(values[v].words), values[v].first));
    let mut sizes: Vec<usize> = Vec::new();
    let mut tenants: Vec<Vec<Lifetime>> = Vec::new();
    let mut slots = vec![0; values.len()];
    for v in order {
        let value = values[v];
        let meets = |other: &Lifetime| value.first <= other.last && other.first <= value.last;
        // Slots are made in descending order of size: the last that is free fits best.
        let slot = (0..sizes.len()).rev().find(|&s| !tenants[s].iter().any(meets));
        let slot = slot.unwrap_or_else(|| {
            sizes.push(value.words.div_ceil(SLOT_WORDS).max(1) * SLOT_WORDS);
            tenants.push(Vec::new());
            sizes.len() - 1
        });
        tenants[slot].push(value);
        slots[v] = slot;
    }
    (sizes, slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(words: usize, first: usize, last: usize) -> Lifetime {
        Lifetime { words, first, last }
    }

    #[test]
    fn values_that_never_meet_share() {
        let (sizes, slots) = assign(&[life(100, 0, 1), life(900, 2, 3), life(100, 4, 4)]);
        assert_eq!((sizes, slots), (vec![960], vec![0, 0, 0]));
    }

    /// A step's result must not land on what the step reads.
    #[test]
    fn reader_and_result_stay_apart() {
        let (sizes, slots) = assign(&[life(10, 0, 1), life(10, 1, 2)]);
        assert_eq!(sizes, [64, 64]);
        assert_ne!(slots[0], slots[1]);
    }

    #[test]
    fn a_small_value_that_lives_long_blocks_no_large_slot() {
        let (sizes, slots) = assign(&[life(1000, 0, 1), life(1, 1, usize::MAX), life(1000, 2, 3), life(1000, 3, 4)]);
        assert_eq!(sizes, [1024, 1024, 64]);
        assert_eq!(slots[1], 2);
        assert_ne!(slots[2], slots[3]);
    }
}
