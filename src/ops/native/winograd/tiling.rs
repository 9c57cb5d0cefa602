//! How the outputs of an image are cut into tiles.

use std::ops::Range;

use crate::ops::native::workers::{LINE, line_aligned};

/// Outputs along one axis that a tile makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) first: usize,
    /// [`LARGE`] or [`small`]; the last ones may lie beyond the image.
    pub(super) outputs: usize,
}

/// Outputs of a large tile along an axis.
pub(super) const LARGE: usize = 4;

/// Outputs of a small one, for so many taps along the axis.
pub(super) fn small(taps: usize) -> usize {
    if taps == 3 { 2 } else { 3 }
}

/// Sizes of tiles: large or small along rows and columns.
pub(super) const KINDS: usize = 4;

/// Number of the kind of tiles of so many rows and columns.
pub(super) fn kind(outputs: [usize; 2]) -> usize {
    usize::from(outputs[0] != LARGE) * 2 + usize::from(outputs[1] != LARGE)
}

/// Points along the axes of a tile of a kind.
pub(super) fn points(taps: usize, kind: usize) -> [usize; 2] {
    [kind / 2, kind % 2].map(|short| if short == 0 { LARGE } else { small(taps) } + taps - 1)
}

/// How many tiles of each kind there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    taps: usize,
    pub(super) tiles: [usize; KINDS],
}

impl Counts {
    /// No tiles yet.
    pub(super) fn none(taps: usize) -> Counts {
        Counts { taps, tiles: [0; KINDS] }
    }

    /// Points of all tiles.
    fn points(&self) -> usize {
        (0..KINDS).map(|kind| points(self.taps, kind).iter().product::<usize>() * self.tiles[kind]).sum()
    }

    /// Where what is computed at the points lies, at `words` for a tile.
    pub(super) fn places(&self, words: usize) -> Places {
        let mut places = Places { begin: [0; KINDS], pitch: [0; KINDS] };
        let mut next = 0;
        for kind in (0..KINDS).filter(|&kind| self.tiles[kind] > 0) {
            // A tile writes all its points one after the other: an odd number of lines apart, they fall on different places of a cache.
            let pitch = LINE * ((self.tiles[kind] * words).div_ceil(LINE) | 1);
            (places.begin[kind], places.pitch[kind]) = (next, pitch);
            next += points(self.taps, kind).iter().product::<usize>() * pitch;
        }
        places
    }
}

/// The layout of a block, `[kind][point][tile]`, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// The first point of a kind.
    pub(super) begin: [usize; KINDS],
    /// From a point of a kind to the next.
    pub(super) pitch: [usize; KINDS],
}

/// The tiles of a batch. A unit is a row of tiles of one image.
#[derive(Clone, Debug)]
pub(super) struct Tiling {
    /// Taps along each axis.
    pub(super) taps: usize,
    pub(super) rows: Vec<Segment>,
    pub(super) columns: Vec<Segment>,
    batch: usize,
}

/// An extent in large segments and, with `mixed`, so many small ones that the points are fewest.
fn segments(extent: usize, taps: usize, mixed: bool) -> Vec<Segment> {
    let small = small(taps);
    let larges = |smalls: usize| extent.saturating_sub(smalls * small).div_ceil(LARGE);
    let cost = |smalls: usize| larges(smalls) * (LARGE + taps - 1) + smalls * (small + taps - 1);
    let smalls = (0..if mixed { LARGE } else { 1 }).min_by_key(|&smalls| cost(smalls)).unwrap_or(0);
    let larges = larges(smalls);
    let large = (0..larges).map(|i| Segment { first: LARGE * i, outputs: LARGE });
    large.chain((0..smalls).map(|i| Segment { first: LARGE * larges + small * i, outputs: small })).collect()
}

impl Tiling {
    /// Tiles for outputs of these extents with the fewest points.
    pub(super) fn new(batch: usize, output: [usize; 2], taps: usize) -> Tiling {
        let [rows, columns] = output.map(|extent| segments(extent, taps, true));
        Tiling { taps, rows, columns, batch }
    }

    /// Large tiles only.
    pub(super) fn of_one_kind(batch: usize, output: [usize; 2], taps: usize) -> Tiling {
        let [rows, columns] = output.map(|extent| segments(extent, taps, false));
        Tiling { taps, rows, columns, batch }
    }

    /// Rows of tiles of all images.
    pub(super) fn units(&self) -> usize {
        self.batch * self.rows.len()
    }

    /// Image and rows of a unit.
    pub(super) fn unit(&self, unit: usize) -> (usize, Segment) {
        (unit / self.rows.len(), self.rows[unit % self.rows.len()])
    }

    /// Most rows of outputs that a unit has.
    pub(super) fn height(&self) -> usize {
        self.rows.iter().map(|rows| rows.outputs).max().unwrap_or(0)
    }

    /// Columns of outputs, those beyond the image counted.
    pub(super) fn width(&self) -> usize {
        self.columns.last().map_or(0, |last| last.first + last.outputs)
    }

    /// Which kinds of tiles there are.
    pub(super) fn kinds(&self) -> [bool; KINDS] {
        self.counts(0..self.rows.len()).tiles.map(|tiles| tiles > 0)
    }

    /// Tiles in a range of units.
    pub(super) fn counts(&self, units: Range<usize>) -> Counts {
        let mut counts = Counts::none(self.taps);
        for unit in units {
            let rows = self.unit(unit).1.outputs;
            for column in &self.columns {
                counts.tiles[kind([rows, column.outputs])] += 1;
            }
        }
        counts
    }

    /// Points of the range of `units` units that has the most.
    pub(super) fn most_points(&self, units: usize) -> usize {
        let full = self.counts(0..self.rows.len()).points() * (units / self.rows.len());
        let rest = units % self.rows.len();
        // Large rows come first, so that the first ones have the most points.
        full + self.counts(0..rest).points()
    }

    /// Words for the points of any range of `units` units, at `words` for a point of a tile.
    pub(super) fn point_words(&self, units: usize, words: usize) -> usize {
        let kinds = (0..KINDS).filter(|&kind| self.kinds()[kind]);
        let filling: usize = kinds.map(|kind| 2 * LINE * points(self.taps, kind).iter().product::<usize>()).sum();
        line_aligned(self.most_points(units) * words + filling)
    }

    /// Units of a block whose points take up to `limit` words at `words` each: as many as fit, at least one, then as many in
    /// every block.
    pub(super) fn block(&self, units: usize, words: usize, limit: usize) -> usize {
        let fitting = (1..=units).take_while(|&n| self.most_points(n) * words <= limit).last().unwrap_or(1);
        units.div_ceil(units.div_ceil(fitting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cover_every_output_once_and_reach_less_than_a_tile_beyond() {
        for (extent, taps, mixed) in (4..40).flat_map(|e| [(e, 3, true), (e, 3, false), (e, 2, true), (e, 2, false)]) {
            let all = segments(extent, taps, mixed);
            let mut next = 0;
            for segment in &all {
                assert_eq!(segment.first, next, "{extent}");
                next += segment.outputs;
            }
            let last = all[all.len() - 1];
            assert!(next >= extent && last.first < extent, "{extent}: {all:?}");
            assert!(mixed || all.iter().all(|s| s.outputs == LARGE));
            let cost = |all: &[Segment]| all.iter().map(|s| s.outputs + taps - 1).sum::<usize>();
            assert!(cost(&segments(extent, taps, true)) <= cost(&segments(extent, taps, false)), "{extent}");
        }
        let outputs = |extent, taps| segments(extent, taps, true).iter().map(|s| s.outputs).collect::<Vec<_>>();
        assert_eq!(outputs(7, 2), [4, 3]);
        assert_eq!(outputs(14, 3), [4, 4, 4, 2]);
    }

    #[test]
    fn blocks_keep_to_their_words_and_are_nearly_equal() {
        let tiling = Tiling::new(7, [14, 14], 3);
        assert_eq!(tiling.units(), 28);
        assert_eq!(tiling.kinds(), [true; 4]);
        assert_eq!(tiling.counts(0..4).tiles, [9, 3, 3, 1]);
        for limit in [1, 10_000, 100_000, 10_000_000] {
            let block = tiling.block(28, 10, limit);
            assert!(block == 1 || tiling.most_points(block) * 10 <= limit);
            let blocks = 28_usize.div_ceil(block);
            assert!(blocks == 28 || 28 - (blocks - 1) * block + blocks >= block, "{block} of 28");
        }
        for (units, words) in [(1, 16), (3, 48), (5, 64), (8, 100)] {
            for first in 0..20 {
                let counts = tiling.counts(first..first + units);
                let places = counts.places(words);
                let mut end = 0;
                for kind in (0..KINDS).filter(|&kind| counts.tiles[kind] > 0) {
                    assert_eq!(places.begin[kind], end);
                    assert!(places.pitch[kind] >= counts.tiles[kind] * words && places.pitch[kind] / LINE % 2 == 1);
                    end += points(3, kind).iter().product::<usize>() * places.pitch[kind];
                }
                assert!(end <= tiling.point_words(units, words), "{units} units from {first}");
            }
        }
        for units in 1..9 {
            let most = (0..20).map(|first| tiling.counts(first..first + units).points()).max();
            assert_eq!(Some(tiling.most_points(units)), most, "{units}");
        }
    }
}
