//! How the outputs of an image are cut into tiles.

use std::ops::{Deref, Range};

use crate::ops::native::workers::{LINE, line_aligned};

/// Outputs along one axis that a tile makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) first: usize,
    /// [`Sizes::large`] or [`Sizes::small`]; the last ones may lie beyond the image.
    pub(super) outputs: usize,
}

/// Lengths of the tiles of a tiling along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) taps: usize,
    /// Outputs of a large tile.
    pub(super) large: usize,
}

/// Sizes of tiles: large or small along rows and columns.
pub(super) const KINDS: usize = 4;

impl Sizes {
    /// Large tiles of 4 outputs, which small ones can stand beside.
    pub(super) fn mixed(taps: usize) -> Sizes {
        Sizes { taps, large: 4 }
    }

    /// Tiles of 7 outputs, which only those of two taps can make.
    pub(super) fn seven(taps: usize) -> Option<Sizes> {
        (taps == 2).then_some(Sizes { taps, large: 7 })
    }

    /// All there are for so many taps.
    pub(super) fn all(taps: usize) -> impl Iterator<Item = Sizes> + Clone {
        std::iter::once(Sizes::mixed(taps)).chain(Sizes::seven(taps))
    }

    /// Outputs of a small tile.
    fn small(self) -> usize {
        if self.taps == 3 { 2 } else { 3 }
    }

    /// Points of a large tile along an axis.
    pub(super) fn edge(self) -> usize {
        self.large + self.taps - 1
    }

    /// Number of the kind of tiles of so many rows and columns.
    pub(super) fn kind(self, outputs: [usize; 2]) -> usize {
        usize::from(outputs[0] != self.large) * 2 + usize::from(outputs[1] != self.large)
    }

    /// Outputs along the axes of a tile of a kind.
    pub(super) fn outputs(self, kind: usize) -> [usize; 2] {
        [kind / 2, kind % 2].map(|short| if short == 0 { self.large } else { self.small() })
    }

    /// Points along the axes of a tile of a kind.
    pub(super) fn points(self, kind: usize) -> [usize; 2] {
        self.outputs(kind).map(|outputs| outputs + self.taps - 1)
    }

    /// All points of a tile of a kind.
    pub(super) fn all_points(self, kind: usize) -> usize {
        self.points(kind).iter().product()
    }
}

/// How many tiles of each kind there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    sizes: Sizes,
    pub(super) tiles: [usize; KINDS],
}

impl Counts {
    /// No tiles yet.
    pub(super) fn none(sizes: Sizes) -> Counts {
        Counts { sizes, tiles: [0; KINDS] }
    }

    /// Points of all tiles.
    fn points(&self) -> usize {
        (0..KINDS).map(|kind| self.sizes.all_points(kind) * self.tiles[kind]).sum()
    }

    /// Where what is computed at the points lies, at `words` for a tile.
    pub(super) fn places(&self, words: usize) -> Places {
        let mut places = Places { begin: [0; KINDS], pitch: [0; KINDS] };
        let mut next = 0;
        for kind in (0..KINDS).filter(|&kind| self.tiles[kind] > 0) {
            // A tile writes all its points one after the other: an odd number of lines apart, they fall on different places of a cache.
            let pitch = LINE * ((self.tiles[kind] * words).div_ceil(LINE) | 1);
            (places.begin[kind], places.pitch[kind]) = (next, pitch);
            next += self.sizes.all_points(kind) * pitch;
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

/// The tiles of a batch. Images lie in sheets, each alone on one or all in a grid on one; a unit is a row of tiles of a sheet.
#[derive(Clone, Debug)]
pub(super) struct Tiling {
    pub(super) sizes: Sizes,
    /// Of a sheet.
    pub(super) rows: Vec<Segment>,
    pub(super) columns: Vec<Segment>,
    batch: usize,
    /// Images below each other and side by side.
    grid: [usize; 2],
    /// Outputs from one image of a sheet to the next.
    pitch: [usize; 2],
}

/// An array that lies under the outputs of a sheet and is read or written along with them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Lines of the array to one of the outputs.
    pub(super) scale: usize,
    /// Lines before the first one of an image.
    pub(super) before: [usize; 2],
    /// Extents (H, W) of an image.
    pub(super) image: [usize; 2],
}

impl Frame {
    /// Outputs from one image to the next that are enough for convolutions that make `made` outputs of an image in this frame, so that
    /// the zeros behind an image are those before the next, and no tap of an output reaches into either.
    pub(super) fn pitch(&self, made: [usize; 2], taps: usize) -> [usize; 2] {
        [0, 1].map(|axis| {
            let (before, extent) = (self.before[axis], self.image[axis]);
            let reached = (self.scale * (made[axis] + taps - 1)).saturating_sub(before);
            made[axis].max((extent + before).max(reached).div_ceil(self.scale))
        })
    }
}

/// Rows of a unit that lie in images side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Band {
    /// The first of the images, and how many.
    pub(super) image: usize,
    pub(super) images: usize,
    /// The first of the rows, in the unit and in the images, and how many.
    pub(super) at: usize,
    pub(super) row: usize,
    pub(super) rows: usize,
}

/// Bands of a unit from the top down. Images have at least four rows, a tile touches up to eight.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bands {
    all: [Band; 3],
    count: usize,
}

impl Deref for Bands {
    type Target = [Band];

    fn deref(&self) -> &[Band] {
        &self.all[..self.count]
    }
}

/// Most images side by side: a worker keeps the rows of a unit in its cache.
const MOST_BESIDE: usize = 4;

/// An extent in large segments and, with `mixed`, so many small ones that the points are fewest.
fn segments(extent: usize, sizes: Sizes, mixed: bool) -> Vec<Segment> {
    let (large, small) = (sizes.large, sizes.small());
    let larges = |smalls: usize| extent.saturating_sub(smalls * small).div_ceil(large);
    let cost = |smalls: usize| larges(smalls) * sizes.edge() + smalls * (small + sizes.taps - 1);
    let smalls = (0..if mixed { large } else { 1 }).min_by_key(|&smalls| cost(smalls)).unwrap_or(0);
    let larges = larges(smalls);
    let of_large = (0..larges).map(|i| Segment { first: large * i, outputs: large });
    of_large.chain((0..smalls).map(|i| Segment { first: large * larges + small * i, outputs: small })).collect()
}

impl Tiling {
    /// Tiles for outputs of these extents with the fewest points, image by image.
    pub(super) fn new(batch: usize, output: [usize; 2], taps: usize) -> Tiling {
        Tiling::image_by_image(batch, output, Sizes::mixed(taps), true)
    }

    /// Large tiles only.
    pub(super) fn of_one_kind(batch: usize, output: [usize; 2], sizes: Sizes) -> Tiling {
        Tiling::image_by_image(batch, output, sizes, false)
    }

    fn image_by_image(batch: usize, output: [usize; 2], sizes: Sizes, mixed: bool) -> Tiling {
        let [rows, columns] = output.map(|extent| segments(extent, sizes, mixed));
        Tiling { sizes, rows, columns, batch, grid: [1, 1], pitch: output }
    }

    /// Large tiles over sheets of all images, `pitch` apart: those that reach beyond an image are into the next. One tiling for each number
    /// of images side by side.
    pub(super) fn of_sheets(
        batch: usize,
        output: [usize; 2],
        pitch: [usize; 2],
        sizes: Sizes,
    ) -> impl Iterator<Item = Tiling> {
        (2..=MOST_BESIDE.min(batch)).map(move |beside| {
            let grid = [batch.div_ceil(beside), beside];
            let extents = [0, 1].map(|axis| (grid[axis] - 1) * pitch[axis] + output[axis]);
            let [rows, columns] = extents.map(|extent| segments(extent, sizes, false));
            Tiling { sizes, rows, columns, batch, grid, pitch }
        })
    }

    /// Large tiles of all sizes, image by image and over sheets.
    pub(super) fn of_large(
        batch: usize,
        output: [usize; 2],
        pitch: [usize; 2],
        taps: usize,
    ) -> impl Iterator<Item = Tiling> {
        Sizes::all(taps).flat_map(move |sizes| {
            let of_images = Tiling::of_one_kind(batch, output, sizes);
            std::iter::once(of_images).chain(Tiling::of_sheets(batch, output, pitch, sizes))
        })
    }

    /// Images of the batch.
    pub(super) fn images(&self) -> usize {
        self.batch
    }

    /// Rows of tiles of all images.
    pub(super) fn units(&self) -> usize {
        self.batch.div_ceil(self.grid[0] * self.grid[1]) * self.rows.len()
    }

    /// Rows of a unit in its sheet.
    pub(super) fn unit(&self, unit: usize) -> Segment {
        self.rows[unit % self.rows.len()]
    }

    /// Images side by side.
    pub(super) fn beside(&self) -> usize {
        self.grid[1]
    }

    /// The rows in a frame of a unit and of `reach` more outputs, but for those between images.
    pub(super) fn bands(&self, unit: usize, frame: Frame, reach: usize) -> Bands {
        let [below, beside] = self.grid;
        let (sheet, rows) = (unit / self.rows.len(), self.unit(unit));
        let (begin, end) = (frame.scale * rows.first, frame.scale * (rows.first + rows.outputs + reach));
        let pitch = frame.scale * self.pitch[0];
        let mut bands = Bands::default();
        for i in (begin / pitch).min(below - 1)..below.min(end.div_ceil(pitch)) {
            let top = i * pitch + frame.before[0];
            let (from, to) = (begin.max(top), end.min(top + frame.image[0]));
            if from < to {
                let image = (sheet * below + i) * beside;
                let images = beside.min(self.batch - image);
                bands.all[bands.count] = Band { image, images, at: from - begin, row: from - top, rows: to - from };
                bands.count += 1;
            }
        }
        bands
    }

    /// The first column in a frame of the i-th image of a band.
    pub(super) fn column(&self, i: usize, frame: Frame) -> usize {
        i * frame.scale * self.pitch[1] + frame.before[1]
    }

    /// Most rows of outputs that a unit has.
    pub(super) fn height(&self) -> usize {
        self.rows.iter().map(|rows| rows.outputs).max().unwrap_or(0)
    }

    /// Columns of outputs of a sheet, those beyond it counted.
    pub(super) fn width(&self) -> usize {
        self.columns.last().map_or(0, |last| last.first + last.outputs)
    }

    /// Which kinds of tiles there are.
    pub(super) fn kinds(&self) -> [bool; KINDS] {
        self.counts(0..self.rows.len()).tiles.map(|tiles| tiles > 0)
    }

    /// Tiles in a range of units.
    pub(super) fn counts(&self, units: Range<usize>) -> Counts {
        let mut counts = Counts::none(self.sizes);
        // Large columns come first.
        let Sizes { large, .. } = self.sizes;
        let larges = self.columns.partition_point(|column| column.outputs == large);
        for unit in units {
            let rows = self.unit(unit).outputs;
            counts.tiles[self.sizes.kind([rows, large])] += larges;
            counts.tiles[self.sizes.kind([rows, self.sizes.small()])] += self.columns.len() - larges;
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
        let present = self.kinds();
        let kinds = (0..KINDS).filter(|&kind| present[kind]);
        let filling: usize = kinds.map(|kind| 2 * LINE * self.sizes.all_points(kind)).sum();
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
        let kinds =
            [3, 2].into_iter().flat_map(Sizes::all).flat_map(|sizes| [(sizes, false), (sizes, sizes.large == 4)]);
        for (extent, (sizes, mixed)) in (4..40).flat_map(|extent| kinds.clone().map(move |kind| (extent, kind))) {
            let all = segments(extent, sizes, mixed);
            let mut next = 0;
            for segment in &all {
                assert_eq!(segment.first, next, "{extent}");
                next += segment.outputs;
            }
            let last = all[all.len() - 1];
            assert!(next >= extent && last.first < extent, "{extent}: {all:?}");
            assert!(mixed || all.iter().all(|s| s.outputs == sizes.large));
            let cost = |all: &[Segment]| all.iter().map(|s| s.outputs + sizes.taps - 1).sum::<usize>();
            assert!(cost(&segments(extent, sizes, mixed)) <= cost(&segments(extent, sizes, false)), "{extent}");
        }
        let outputs =
            |extent, taps| segments(extent, Sizes::mixed(taps), true).iter().map(|s| s.outputs).collect::<Vec<_>>();
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
                    end += Sizes::mixed(3).all_points(kind) * places.pitch[kind];
                }
                assert!(end <= tiling.point_words(units, words), "{units} units from {first}");
            }
        }
        for units in 1..9 {
            let most = (0..20).map(|first| tiling.counts(first..first + units).points()).max();
            assert_eq!(Some(tiling.most_points(units)), most, "{units}");
        }
    }

    /// What lies in the rows of a unit: images and their row, or nothing.
    fn contents(tiling: &Tiling, unit: usize, frame: Frame) -> Vec<Option<(Range<usize>, usize)>> {
        let reach = tiling.sizes.taps - 1;
        let mut rows = vec![None; frame.scale * (tiling.unit(unit).outputs + reach)];
        for band in tiling.bands(unit, frame, reach).iter() {
            for row in 0..band.rows {
                rows[band.at + row] = Some((band.image..band.image + band.images, band.row + row));
            }
        }
        rows
    }

    /// Whether every output of every image is in one unit, and finds there the rows that its taps read, and no row of another image.
    fn holds(tiling: &Tiling, batch: usize, made: usize, frame: Frame) -> bool {
        let mut found = vec![0; batch];
        for unit in 0..tiling.units() {
            let contents = contents(tiling, unit, frame);
            let rows = tiling.unit(unit);
            for row in rows.first..rows.first + rows.outputs {
                let (below, output) = (row / tiling.pitch[0], row % tiling.pitch[0]);
                if output >= made || below >= tiling.grid[0] {
                    continue;
                }
                let first = below * tiling.beside();
                let images = first..(first + tiling.beside()).min(batch);
                images.clone().for_each(|image| found[image] += 1);
                for tap in 0..frame.scale * tiling.sizes.taps {
                    let line = (frame.scale * output + tap).checked_sub(frame.before[0]);
                    let line = line.filter(|&line| line < frame.image[0]).map(|line| (images.clone(), line));
                    if contents[frame.scale * (row - rows.first) + tap] != line {
                        return false;
                    }
                }
            }
        }
        found.iter().all(|&outputs| outputs == made)
    }

    #[test]
    fn on_a_sheet_every_output_finds_the_rows_of_its_image_and_zeros_around_them() {
        for (batch, extent) in [2, 5, 8].into_iter().flat_map(|batch| (4..20).map(move |extent| (batch, extent))) {
            for (scale, kernel, before) in [(1, 3, 0), (1, 3, 1), (1, 3, 2), (2, 3, 1), (2, 4, 1), (2, 4, 3), (1, 2, 1)]
            {
                let taps = usize::div_ceil(kernel, scale);
                let made = (extent + 2 * before - kernel) / scale + 1;
                if made < 4 {
                    continue;
                }
                let frame = Frame { scale, before: [before; 2], image: [extent; 2] };
                let pitch = frame.pitch([made; 2], taps);
                let sheets = |pitch| Sizes::all(taps).flat_map(move |s| Tiling::of_sheets(batch, [made; 2], pitch, s));
                for tiling in sheets(pitch) {
                    assert!(holds(&tiling, batch, made, frame), "{batch} of {extent}, {frame:?}: {tiling:?}");
                    assert_eq!(tiling.column(1, frame) - tiling.column(0, frame), scale * pitch[1]);
                }
                let closer = pitch.map(|pitch| pitch - 1);
                let several = |tiling: &Tiling| tiling.grid[0] > 1;
                for tiling in sheets(closer).filter(several) {
                    assert!(!holds(&tiling, batch, made, frame), "{batch} of {extent}, {frame:?}: {tiling:?}");
                }
            }
        }
        // Of four images of 14 with a line between them 15 tiles are made instead of 16 along either axis.
        let points = |tiling: Tiling| tiling.most_points(tiling.units());
        let sheets: Vec<_> = Tiling::of_sheets(64, [14; 2], [15; 2], Sizes::mixed(3)).map(points).collect();
        assert_eq!(points(Tiling::of_one_kind(64, [14; 2], Sizes::mixed(3))), 36 * 1024);
        assert_eq!(sheets, [36 * 960, 36 * 83 * 11, 36 * 900]);
        // Seven outputs of two taps are one tile of 8 points along an axis instead of two of 5.
        let large = |extent| Tiling::of_large(1, [extent; 2], [extent; 2], 2).map(points).collect::<Vec<_>>();
        assert_eq!((large(7), large(14)), (vec![100, 64], vec![400, 256]));
    }
}
