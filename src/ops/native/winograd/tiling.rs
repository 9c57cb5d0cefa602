//! How the outputs of an image are cut into tiles.

use std::ops::Range;

/// Outputs along one axis that a tile makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) first: usize,
    /// 4 or 2; the last ones may lie beyond the image.
    pub(super) outputs: usize,
}

/// A size of tiles, by its place in [`Kind::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Rows and columns of outputs.
    pub(super) outputs: [usize; 2],
}

impl Kind {
    pub(super) const ALL: [Kind; 4] =
        [Kind { outputs: [4, 4] }, Kind { outputs: [4, 2] }, Kind { outputs: [2, 4] }, Kind { outputs: [2, 2] }];

    /// Place in [`Kind::ALL`] of the tiles of so many rows and columns.
    pub(super) fn index(rows: usize, columns: usize) -> usize {
        usize::from(rows == 2) * 2 + usize::from(columns == 2)
    }

    /// Multiplications for a tile, per pair of channels.
    pub(super) fn points(&self) -> usize {
        (self.outputs[0] + 2) * (self.outputs[1] + 2)
    }
}

/// How many tiles of each kind there are. What is computed at their points lies `[kind][point][tile]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) tiles: [usize; Kind::ALL.len()],
}

impl Counts {
    /// Points of all tiles of the kinds before `kind`.
    pub(super) fn points_before(&self, kind: usize) -> usize {
        Kind::ALL.iter().zip(&self.tiles).take(kind).map(|(kind, tiles)| kind.points() * tiles).sum()
    }

    /// Points of all tiles.
    fn points(&self) -> usize {
        self.points_before(Kind::ALL.len())
    }
}

/// The tiles of a batch. A unit is a row of tiles of one image.
#[derive(Clone, Debug)]
pub(super) struct Tiling {
    pub(super) rows: Vec<Segment>,
    pub(super) columns: Vec<Segment>,
    batch: usize,
}

/// An extent of at least 4 in fours, and in a two where that leaves one or two outputs and `twos` are wanted.
fn segments(extent: usize, twos: bool) -> Vec<Segment> {
    let (fours, rest) = (extent / 4, extent % 4);
    let short = twos && (rest == 1 || rest == 2);
    let fours = fours + usize::from(rest > 0 && !short);
    let four = |i: usize| Segment { first: 4 * i, outputs: 4 };
    (0..fours).map(four).chain(short.then_some(Segment { first: 4 * fours, outputs: 2 })).collect()
}

impl Tiling {
    /// Tiles for outputs of these extents with the fewest points.
    pub(super) fn new(batch: usize, output: [usize; 2]) -> Tiling {
        Tiling { rows: segments(output[0], true), columns: segments(output[1], true), batch }
    }

    /// Tiles of 4×4 only.
    pub(super) fn of_one_kind(batch: usize, output: [usize; 2]) -> Tiling {
        Tiling { rows: segments(output[0], false), columns: segments(output[1], false), batch }
    }

    /// Rows of tiles of all images.
    pub(super) fn units(&self) -> usize {
        self.batch * self.rows.len()
    }

    /// Image and rows of a unit.
    pub(super) fn unit(&self, unit: usize) -> (usize, Segment) {
        (unit / self.rows.len(), self.rows[unit % self.rows.len()])
    }

    /// Columns of a tile row with outputs only, the filling counted.
    pub(super) fn width(&self) -> usize {
        self.columns.last().map_or(0, |last| last.first + last.outputs)
    }

    /// Which kinds of tiles there are.
    pub(super) fn kinds(&self) -> [bool; Kind::ALL.len()] {
        self.counts(0..self.rows.len()).tiles.map(|tiles| tiles > 0)
    }

    /// Tiles in a range of units.
    pub(super) fn counts(&self, units: Range<usize>) -> Counts {
        let mut counts = Counts::default();
        for unit in units {
            let rows = self.unit(unit).1.outputs;
            for column in &self.columns {
                counts.tiles[Kind::index(rows, column.outputs)] += 1;
            }
        }
        counts
    }

    /// Points of the range of `units` units that has the most.
    pub(super) fn most_points(&self, units: usize) -> usize {
        let full = self.counts(0..self.rows.len()).points() * (units / self.rows.len());
        let rest = units % self.rows.len();
        // Rows of four come first, so that the first ones have the most points.
        full + self.counts(0..rest).points()
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
        for extent in 4..40 {
            for twos in [true, false] {
                let all = segments(extent, twos);
                let mut next = 0;
                for segment in &all {
                    assert_eq!(segment.first, next, "{extent}");
                    next += segment.outputs;
                }
                let last = all[all.len() - 1];
                assert!(next >= extent && last.first < extent, "{extent}: {all:?}");
                assert!(twos || all.iter().all(|s| s.outputs == 4));
            }
            let cost = |all: &[Segment]| all.iter().map(|s| s.outputs + 2).sum::<usize>();
            assert!(cost(&segments(extent, true)) <= cost(&segments(extent, false)), "{extent}");
        }
    }

    #[test]
    fn blocks_keep_to_their_words_and_are_nearly_equal() {
        let tiling = Tiling::new(7, [14, 14]);
        assert_eq!(tiling.units(), 28);
        assert_eq!(tiling.kinds(), [true; 4]);
        assert_eq!(tiling.counts(0..4).tiles, [9, 3, 3, 1]);
        for limit in [1, 10_000, 100_000, 10_000_000] {
            let block = tiling.block(28, 10, limit);
            assert!(block == 1 || tiling.most_points(block) * 10 <= limit);
            let blocks = 28_usize.div_ceil(block);
            assert!(blocks == 28 || 28 - (blocks - 1) * block + blocks >= block, "{block} of 28");
        }
        for units in 1..9 {
            let most = (0..20).map(|first| tiling.counts(first..first + units).points()).max();
            assert_eq!(Some(tiling.most_points(units)), most, "{units}");
        }
    }
}
