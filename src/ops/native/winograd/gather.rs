//! The convolution and the gradient with respect to its input. A task is a block of rows of tiles: their inputs are brought to the
//! points, multiplied there, and brought back, all in a worker's cache.

use std::ops::Range;

use super::pack::Packing;
use super::read::Reader;
use super::tiling::{Counts, Kind, Tiling};
use super::transform::{Grid, Input, Output, tile};
use crate::ops::conv2d::Geometry;
use crate::ops::native::blocks::transpose;
use crate::ops::native::gather::Stream;
use crate::ops::native::lanes::{Simd, Width, Work, dispatch};
use crate::ops::native::tile::{MAX_ROWS, Scalars, StridedTile, pieces};
use crate::ops::native::workers::{aligned, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::simd::Level;

/// Words that the points of a block may take.
const BLOCK_WORDS: usize = 448 * 1024;

/// A convolution with everything decided that depends on shapes only.
#[derive(Debug)]
pub(crate) struct WinogradGather {
    reader: Reader,
    /// Channels and extents of the output.
    channels: usize,
    output: [usize; 2],
    packing: Packing,
    /// Rows of tiles in a block, and number of blocks.
    units: usize,
    blocks: usize,
    /// Most points in a block.
    points: usize,
    slots: usize,
    streams: usize,
    width: Width,
}

impl WinogradGather {
    /// The convolution x → y, `streams` times over.
    pub(crate) fn forward(g: &Geometry, streams: usize, level: Level) -> WinogradGather {
        WinogradGather::new(g, true, streams, level)
    }

    /// The gradient grad_y → grad_x, `streams` times over.
    pub(crate) fn backward(g: &Geometry, streams: usize, level: Level) -> WinogradGather {
        WinogradGather::new(g, false, streams, level)
    }

    fn new(g: &Geometry, forward: bool, streams: usize, level: Level) -> WinogradGather {
        let width = Width::of(level);
        let (read, image, channels, output, padding) = match forward {
            true => (g.channels, g.input, g.features, g.output, g.spec.padding),
            // What the kernel reached beyond the image before, it lacks now.
            false => (g.features, g.output, g.channels, g.input, g.spec.padding.map(|p| 2 - p)),
        };
        let tiling = Tiling::new(g.batch, output);
        let packing = Packing::new(g, forward, tiling.kinds(), width);
        let reader = Reader::inputs(tiling, read, image, padding, width.lanes);
        let all = reader.tiling.units();
        let units = reader.tiling.block(all, reader.wide() + packing.wide(), BLOCK_WORDS);
        let (points, blocks) = (reader.tiling.most_points(units), all.div_ceil(units));
        let slots = slots(blocks * streams);
        WinogradGather { reader, channels, output, packing, units, blocks, points, slots, streams, width }
    }

    /// Sizes of the scratch buffers: packed weights; work space of the workers.
    pub(crate) fn scratch(&self) -> Vec<usize> {
        vec![scratch_words(self.streams * self.packing.words), scratch_words(self.slots * self.slot_words())]
    }

    fn slot_words(&self) -> usize {
        let (read, written) = self.point_words();
        self.reader.buffer_words() + read + written
    }

    /// Words of a block's points, read and written.
    fn point_words(&self) -> (usize, usize) {
        (line_aligned(self.points * self.reader.wide()), line_aligned(self.points * self.packing.wide()))
    }

    /// Runs the streams, `scratch` as declared by [`WinogradGather::scratch`]. The second stream takes |w|.
    pub(crate) fn run(&self, weights: &[f32], streams: &[Stream<'_>], scratch: [&mut [f32]; 2]) {
        let [packed, slots] = scratch;
        let words = self.packing.words;
        let packed = aligned(packed, self.streams * words);
        for (stream, packed) in packed.chunks_exact_mut(words).enumerate() {
            self.packing.run(weights, stream == 1, packed);
        }
        let packed = &*packed;
        let slots = aligned(slots, self.slots * self.slot_words());
        for_each_task(self.blocks * self.streams, self.slots, slots, |task, slot| {
            let (block, stream) = (task / self.streams, task % self.streams);
            let units = block * self.units..((block + 1) * self.units).min(self.reader.tiling.units());
            let (buffer, rest) = slot.split_at_mut(self.reader.buffer_words());
            let (points, sums) = rest.split_at_mut(self.point_words().0);
            let work = BlockTask {
                gather: self,
                stream: streams[stream],
                packed: &packed[stream * words..][..words],
                counts: self.reader.tiling.counts(units.clone()),
                units,
                buffer,
                points,
                sums,
            };
            // SAFETY: tasks write disjoint rows of images.
            unsafe { dispatch(self.width.level, work) }
        });
    }
}

/// Some rows of tiles.
struct BlockTask<'a> {
    gather: &'a WinogradGather,
    stream: Stream<'a>,
    packed: &'a [f32],
    counts: Counts,
    units: Range<usize>,
    buffer: &'a mut [f32],
    points: &'a mut [f32],
    sums: &'a mut [f32],
}

impl Work for BlockTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        // SAFETY: the buffers are those of `slot_words`.
        unsafe {
            let reader = &self.gather.reader;
            reader.read::<S, Input>(self.stream.input, self.units.clone(), &self.counts, self.buffer, self.points);
            self.multiply::<S>();
            self.write::<S>();
        }
    }
}

impl BlockTask<'_> {
    /// `sums[kind][point][tile][o]` = Σ_c `points[kind][point][tile][c]` · `packed[kind][point][c][o]`.
    #[inline(always)]
    unsafe fn multiply<S: Simd>(&mut self) {
        let g = self.gather;
        let (read, written) = (g.reader.wide(), g.packing.wide());
        for (kind, &tiles) in self.counts.tiles.iter().enumerate() {
            for point in 0..if tiles == 0 { 0 } else { Kind::ALL[kind].points() } {
                let at = self.counts.points_before(kind) + point * tiles;
                for (first, lanes) in g.packing.panels() {
                    let weights = &self.packed[g.packing.at(kind, point, first)..][..g.packing.terms * lanes];
                    for (tile, count) in pieces(tiles, MAX_ROWS) {
                        let mut scalars = [std::ptr::null(); MAX_ROWS];
                        for (i, scalar) in scalars.iter_mut().enumerate().take(count) {
                            *scalar = &raw const self.points[(at + tile + i) * read];
                        }
                        // SAFETY: the points hold the tiles, the sums their lanes.
                        unsafe {
                            StridedTile {
                                rows: 1,
                                columns: g.packing.terms,
                                scalars: &scalars[..count],
                                row_step: 0,
                                step: 1,
                                vectors: weights.as_ptr(),
                                vector_step: lanes,
                                out: (&raw mut self.sums[(at + tile) * written + first]),
                                out_step: written,
                                accumulate: false,
                            }
                            .run::<S>(lanes / S::LANES, Scalars::Near);
                        }
                    }
                }
            }
        }
    }

    /// Brings the sums back to pixels, `[row][column][lane]` for one vector of channels at a time, and writes those.
    #[inline(always)]
    unsafe fn write<S: Simd>(&mut self) {
        let g = self.gather;
        let (wide, [height, width]) = (g.packing.wide(), g.output);
        let columns = g.reader.tiling.width();
        let target = Grid { row: columns * S::LANES, column: S::LANES };
        let mut done = Counts::default();
        for unit in self.units.clone() {
            let (image, rows) = g.reader.tiling.unit(unit);
            let shown = rows.outputs.min(height - rows.first);
            let mut next = done;
            for first in (0..wide).step_by(S::LANES) {
                next = done;
                for segment in &g.reader.tiling.columns {
                    let kind = Kind::index(rows.outputs, segment.outputs);
                    let tiles = self.counts.tiles[kind];
                    let at = (self.counts.points_before(kind) + next.tiles[kind]) * wide + first;
                    let source = Grid { row: (segment.outputs + 2) * tiles * wide, column: tiles * wide };
                    // SAFETY: the sums hold the tile, the buffer its outputs.
                    unsafe {
                        tile::<S, Output>(
                            [rows.outputs, segment.outputs],
                            (self.sums.as_ptr().add(at), source),
                            (self.buffer.as_mut_ptr().add(segment.first * S::LANES), target),
                        );
                    }
                    next.tiles[kind] += 1;
                }
                // Rows without filling follow each other in the output as in the buffer.
                let (runs, n) = if columns == width { (1, shown * width) } else { (shown, width) };
                let count = S::LANES.min(g.channels - first);
                for run in 0..runs {
                    // SAFETY: the rows of these channels are this task's.
                    unsafe {
                        let from = self.buffer.as_ptr().add(run * target.row);
                        let pixel = (rows.first + run) * width;
                        let channel = image * g.channels + first;
                        let at = channel * height * width + pixel;
                        let to = self.stream.output.at(at);
                        transpose::<S>((from, S::LANES), (to, height * width), n, count);
                        if !self.stream.epilogue.is_identity() {
                            for i in 0..count {
                                let to = to.add(i * height * width);
                                let at = at + i * height * width;
                                self.stream.epilogue.write::<S>(first + i, at, to, to, n);
                            }
                        }
                    }
                }
            }
            done = next;
        }
    }
}
