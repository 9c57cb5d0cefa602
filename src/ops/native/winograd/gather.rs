//! The convolution and the gradient with respect to its input. A task is a block of rows of tiles: their inputs are brought to the
//! points, multiplied there, and brought back, all in a worker's cache.

use std::ops::Range;

use super::coming::Images;
use super::pack::Packing;
use super::pixels::{Pixels, Places};
use super::read::Reader;
use super::scheme::{MOST_PHASES, Scheme};
use super::tiling::{Band, Counts, Frame, KINDS, Sizes, Tiling};
use super::transform::{Adjoint, Gradient, Grid, Input, Output, Rule, Target, tile};
use super::{block_words, cached_words};
use crate::kernel::Layout;
use crate::ops::conv2d::Geometry;
use crate::ops::native::ahead::{Coming, Next, Scalars, far, in_memory};
use crate::ops::native::blocks::{prefetch, transpose_masked, transpose_rows};
use crate::ops::native::epilogue::LaneEpilogue;
use crate::ops::native::gather::Stream;
use crate::ops::native::lanes::{Simd, Width, Work, dispatch};
use crate::ops::native::tile::{MAX_ROWS, StridedTile, pieces};
use crate::ops::native::workers::{LINE, aligned, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::simd::Level;

/// Multiply-adds that a core does while it gets a word of packed weights, which are too many for its own cache.
const WORD_COST: usize = 12;

/// Blocks for each thread, if there are rows of tiles enough: the last ones to finish keep the others waiting.
const TASKS: usize = 4;

/// A convolution with everything decided that depends on shapes only, but for the size of the blocks, which changes no result.
#[derive(Debug)]
pub(crate) struct WinogradGather {
    reader: Reader,
    /// Channels of the output.
    channels: usize,
    /// Of images in blocks.
    written: Option<Pixels>,
    layout: Layout,
    /// Where the images written lie under the outputs of the tiles.
    frame: Frame,
    /// Whether it is the adjoint of a convolution's maps, rather than a convolution.
    adjoint: bool,
    /// Lines of a phase that tiles write past their outputs.
    reach: usize,
    /// Where the pixels of an image's rows lie in the buffer.
    pixels: Vec<usize>,
    packing: Packing,
    /// Rows of tiles in a block, and number of blocks.
    units: usize,
    blocks: usize,
    slots: usize,
    width: Width,
}

impl WinogradGather {
    /// The convolution x → y; `layouts` are those of what is read and of what is written.
    pub(crate) fn forward(g: &Geometry, layouts: [Layout; 2], level: Level) -> WinogradGather {
        WinogradGather::new(g, true, layouts, level)
    }

    /// The gradient grad_y → grad_x.
    pub(crate) fn backward(g: &Geometry, layouts: [Layout; 2], level: Level) -> WinogradGather {
        WinogradGather::new(g, false, layouts, level)
    }

    fn new(g: &Geometry, forward: bool, [reads, layout]: [Layout; 2], level: Level) -> WinogradGather {
        let (width, scheme) = (Width::of(level), Scheme::of(g).expect("a convolution that `pays` accepts"));
        let (channels, output) = if forward { (g.features, g.output) } else { (g.channels, g.input) };
        let padding = g.spec.padding;
        let several = scheme.stride > 1;
        // A gradient of stride 2 makes all phases at the same points: phase q of output j is pixel 2 j + q − P.
        let (scale, lead) = if forward || !several { (1, [0; 2]) } else { (scheme.stride, padding) };
        let frame = Frame { scale, before: lead, image: output };
        let made = [0, 1].map(|axis| (output[axis] - 1 + lead[axis]) / scale + 1);
        let (read, phases) = match forward {
            true => (Frame { scale: scheme.stride, before: padding, image: g.input }, several.then_some(scheme)),
            false => {
                // What the kernel reached beyond the image before, it lacks now.
                let before = padding.map(|p| if several { scheme.taps() - 1 } else { scheme.taps() - 1 - p });
                (Frame { scale: 1, before, image: g.output }, None)
            }
        };
        let inputs = if forward { g.channels } else { g.features };
        let by_taps = |tiling: Tiling| {
            let kinds = (tiling.sizes, tiling.kinds());
            let packing = Packing::new(g, scheme, (forward, !forward), kinds, width);
            (Reader::inputs(tiling, (inputs, reads), read, phases, width.lanes), packing)
        };
        let adjoint = |tiling: Tiling| {
            let kinds = (tiling.sizes, tiling.kinds());
            let packing = Packing::new(g, scheme, (false, false), kinds, width);
            (Reader::gradients(tiling, (inputs, reads), g.output, width.lanes), packing)
        };
        // Small tiles save products and have weights of their own, which every block reads.
        let block = |(reader, packing): &(Reader, Packing)| {
            reader.tiling.block(reader.tiling.units(), reader.wide() + packing.wide(), block_words(packing.words))
        };
        let cost = |made: &(Reader, Packing)| {
            let (reader, packing) = made;
            let products = reader.tiling.most_points(reader.tiling.units()) * reader.wide() * packing.wide();
            products + WORD_COST * reader.tiling.units().div_ceil(block(made)) * packing.words
        };
        let pitch = read.pitch(made, scheme.taps());
        let mixed = std::iter::once(Tiling::new(g.batch, made, scheme.taps()));
        let tilings = mixed.chain(Tiling::of_large(g.batch, made, pitch, scheme.taps())).map(by_taps);
        let whole = (!forward).then(|| whole_images(g, scheme)).flatten().map(adjoint);
        let chosen = tilings.chain(whole).min_by_key(cost).expect("several tilings");
        let all = chosen.0.tiling.units();
        // Which tiles there are decides about results, how many of them a block has does not.
        let (reader, packing) = &chosen;
        let cached = reader.tiling.block(all, reader.wide() + packing.wide(), cached_words());
        let units = cached.min(all.div_ceil(TASKS * rayon::current_num_threads())).max(1);
        let (reader, packing) = chosen;
        let blocks = all.div_ceil(units);
        let adjoint = !forward && !packing.flipped;
        let reach = if adjoint { scheme.taps() - 1 } else { 0 };
        let lines = (scale * (reader.tiling.height() + reach)).min(output[0]);
        let line = scale * (reader.tiling.width() + reach);
        let pixels = (0..lines).flat_map(|row| (0..output[1]).map(move |column| row * line + column));
        let pixels = pixels.map(|pixel| pixel * width.lanes).collect();
        let slots = slots(blocks);
        let of_blocks = || Pixels::new(&reader.tiling, frame, channels, reach, width.lanes);
        let written = (layout == Layout::Blocks).then(of_blocks);
        WinogradGather {
            reader,
            channels,
            written,
            layout,
            frame,
            adjoint,
            reach,
            pixels,
            packing,
            units,
            blocks,
            slots,
            width,
        }
    }

    /// Whether tiles reach from one image into the next.
    #[cfg(test)]
    pub(crate) fn on_sheets(&self) -> bool {
        self.reader.tiling.beside() > 1
    }

    /// Outputs of a large tile along an axis.
    #[cfg(test)]
    pub(crate) fn tile_outputs(&self) -> usize {
        self.reader.tiling.sizes.large
    }

    /// Whether it is the adjoint of a convolution's maps.
    #[cfg(test)]
    pub(crate) fn is_adjoint(&self) -> bool {
        self.adjoint
    }

    /// Size of the scratch buffer.
    pub(crate) fn scratch(&self) -> usize {
        scratch_words(self.slots * self.slot_words())
    }

    /// Words of the packed weights.
    pub(crate) fn packed_words(&self) -> usize {
        self.packing.words
    }

    /// The same for kernels that read packed weights of the same layout.
    pub(crate) fn packed_key(&self) -> String {
        format!("winograd {:?}", self.packing)
    }

    /// Packs w, or |w|.
    pub(crate) fn pack(&self, weights: &[f32], absolute: bool, packed: &mut [f32]) {
        self.packing.run(weights, absolute, packed);
    }

    /// Whether images are too many to be in a cache when they are read and written.
    fn ahead(&self, stream: &Stream<'_>) -> bool {
        let [height, width] = self.frame.image;
        let written = self.reader.tiling.images() * self.channels * height * width;
        in_memory(stream.input.len() + written * (1 + usize::from(stream.epilogue.mask.is_some())))
    }

    fn slot_words(&self) -> usize {
        let (read, written) = self.point_words();
        self.buffer_words() + read + written
    }

    /// Words for rows of an image, read or written, of one vector of channels, unless that is done in place.
    fn buffer_words(&self) -> usize {
        let tiling = &self.reader.tiling;
        let scale = self.frame.scale;
        let lines = scale * scale * (tiling.height() + self.reach) * (tiling.width() + self.reach);
        let written = if self.written.is_some() { 0 } else { lines * self.width.lanes };
        self.reader.buffer_words().max(line_aligned(written))
    }

    /// Words of a block's points, read and written.
    fn point_words(&self) -> (usize, usize) {
        let words = |wide: usize| self.reader.tiling.point_words(self.units, wide);
        (words(self.reader.wide()), words(self.packing.wide()))
    }

    /// Runs the streams, each with its packed weights; `scratch` is as declared by [`WinogradGather::scratch`].
    pub(crate) fn run(&self, packed: &[&[f32]], streams: &[Stream<'_>], scratch: &mut [f32]) {
        let slots = aligned(scratch, self.slots * self.slot_words());
        for_each_task(self.blocks, self.slots, slots, |block, slot| {
            let units = block * self.units..((block + 1) * self.units).min(self.reader.tiling.units());
            let (buffer, rest) = slot.split_at_mut(self.buffer_words());
            let (points, sums) = rest.split_at_mut(self.point_words().0);
            let after = units.end..(units.end + units.len()).min(self.reader.tiling.units());
            for (i, (&stream, &packed)) in streams.iter().zip(packed).enumerate() {
                // What is read next: the same rows of the next stream, or the next block of the first.
                let next = streams.get(i + 1).map_or((streams[0].input, &after), |next| (next.input, &units));
                let work = BlockTask {
                    gather: self,
                    stream,
                    next: (next.0, next.1.clone()),
                    packed,
                    counts: self.reader.tiling.counts(units.clone()),
                    units: units.clone(),
                    buffer,
                    points,
                    sums,
                };
                // SAFETY: tasks write disjoint rows of images.
                unsafe { dispatch(self.width.level, work) }
            }
        });
    }
}

/// Tiles that each make all outputs of an image, and touch all its pixels, if there are any that large: by the adjoint maps, nothing is
/// written twice then.
fn whole_images(g: &Geometry, scheme: Scheme) -> Option<Tiling> {
    let sizes = Sizes::seven(scheme.taps())?;
    let touched = |axis: usize| g.input[axis] + g.spec.padding[axis] <= scheme.stride * sizes.edge();
    let fits = (0..2).all(|axis| g.output[axis] <= sizes.large && touched(axis));
    fits.then(|| Tiling::of_one_kind(g.batch, g.output, sizes))
}

/// What a block reads and writes after its products: its outputs with their mask, then the inputs of the next.
fn areas<'a>(task: &BlockTask<'a>, lanes: usize) -> impl Iterator<Item = (*const f32, usize)> + Clone + use<'a> {
    let (g, stream, (input, units)) = (task.gather, task.stream, task.next.clone());
    let tiling = &g.reader.tiling;
    let outputs = Images { frame: g.frame, reach: g.reach, channels: g.channels, layout: g.layout, lanes };
    let ahead = g.ahead(&stream);
    let units_of = |units: Range<usize>| if ahead { units } else { 0..0 };
    let written = outputs.areas(tiling, units_of(task.units.clone())).flat_map(move |(at, words)| {
        // SAFETY: rows of the images.
        let output = unsafe { stream.output.at(at) }.cast_const();
        [Some(output), stream.epilogue.mask_from(at)].into_iter().flatten().map(move |at| (at, words))
    });
    let read = g.reader.images().areas(tiling, units_of(units)).map(move |(at, words)| (input[at..].as_ptr(), words));
    written.chain(read)
}

/// The buffer of rows, where outputs wait for their mask.
struct Buffer<S: Simd> {
    at: *mut f32,
    grid: Grid,
    epilogue: LaneEpilogue<S>,
}

impl<S: Simd> Target<S> for Buffer<S> {
    #[inline(always)]
    unsafe fn store(&self, i: usize, j: usize, v: S::Vector) {
        // SAFETY: the caller's duty.
        unsafe { S::store(self.at.add(self.grid.at(i, j)), self.epilogue.apply(v)) }
    }
}

/// Images whose channels lie in blocks, as far as they have the pixels.
struct Blocks<'a, S: Simd, const WHOLE: bool> {
    at: *mut f32,
    mask: Option<*const f32>,
    /// Words to what the tiles of the next block write, which is asked for.
    next: usize,
    places: Places<'a, WHOLE>,
    epilogue: LaneEpilogue<S>,
}

impl<S: Simd, const WHOLE: bool> Target<S> for Blocks<'_, S, WHOLE> {
    #[inline(always)]
    unsafe fn store(&self, i: usize, j: usize, v: S::Vector) {
        let Some(at) = self.places.at(i, j) else { return };
        // SAFETY: the caller's duty.
        unsafe {
            let (mut v, to) = (self.epilogue.apply(v), self.at.add(at));
            S::prefetch(to.wrapping_add(self.next));
            if let Some(mask) = self.mask {
                let mask = mask.add(at);
                S::prefetch(mask.wrapping_add(self.next));
                v = S::zero_unless_positive(v, S::load(mask));
            }
            S::store(to, v);
        }
    }
}

/// Some rows of tiles.
struct BlockTask<'a> {
    gather: &'a WinogradGather,
    stream: Stream<'a>,
    /// Input, and units of it, that are read when this is done.
    next: (&'a [f32], Range<usize>),
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
            let buffer = &mut self.buffer[..reader.buffer_words()];
            let (input, units) = (self.stream.input, self.units.clone());
            if self.gather.adjoint {
                reader.read::<S, Gradient>(input, units, &self.counts, buffer, self.points);
                self.multiply::<S>();
                self.write::<S, Adjoint>();
            } else {
                reader.read::<S, Input>(input, units, &self.counts, buffer, self.points);
                self.multiply::<S>();
                self.write::<S, Output>();
            }
        }
    }
}

impl BlockTask<'_> {
    /// `sums[kind][point][tile][lane]` = Σ_{phase,c} `points[kind][point][tile][phase][c]` · `packed[kind][point][phase][c][lane]`.
    #[inline(always)]
    unsafe fn multiply<S: Simd>(&mut self) {
        let g = self.gather;
        let sizes = g.reader.tiling.sizes;
        let (read, written) = (self.counts.places(g.reader.wide()), self.counts.places(g.packing.wide()));
        let mut coming = Coming::new(areas(self, S::LANES), self.pieces());
        for kind in 0..KINDS {
            let tiles = self.counts.tiles[kind];
            let extents = sizes.points(kind);
            for point in 0..if tiles == 0 { 0 } else { extents[0] * extents[1] } {
                let place = [point / extents[1], point % extents[1]];
                let at =
                    (read.begin[kind] + point * read.pitch[kind], written.begin[kind] + point * written.pitch[kind]);
                for panel in g.packing.panels() {
                    if g.packing.writes(panel, place, extents) {
                        // SAFETY: the points hold the tiles, the sums their lanes.
                        unsafe { self.panel::<S>(kind, (point, place), (at, tiles), panel, &mut coming) };
                    } else {
                        for tile in 0..tiles {
                            self.sums[at.1 + tile * g.packing.wide() + panel.0..][..panel.1].fill(0.0);
                        }
                    }
                }
            }
        }
    }

    /// Pieces that the products are done in.
    fn pieces(&self) -> usize {
        let g = self.gather;
        let of_point = |kind: usize| g.packing.panels().count() * self.counts.tiles[kind].div_ceil(MAX_ROWS);
        (0..KINDS).map(|kind| g.reader.tiling.sizes.all_points(kind) * of_point(kind)).sum()
    }

    /// The sums of a panel at a point, phases that are 0 there left out.
    #[inline(always)]
    unsafe fn panel<S: Simd>(
        &mut self,
        kind: usize,
        (point, place): (usize, [usize; 2]),
        ((read_at, written_at), tiles): ((usize, usize), usize),
        panel: (usize, usize),
        coming: &mut Coming<impl Iterator<Item = (*const f32, usize)> + Clone>,
    ) {
        let g = self.gather;
        let (read, written) = (g.reader.wide(), g.packing.wide());
        // Runs of neighbouring phases: (first, phases), and their weights.
        let (mut runs, mut count) = ([(0, 0); MOST_PHASES], 0_usize);
        for phase in 0..g.packing.phases_read {
            if !g.packing.reads(phase, place, g.reader.tiling.sizes.points(kind)) {
                continue;
            }
            match count.checked_sub(1).map(|last| &mut runs[last]) {
                Some((first, phases)) if *first + *phases == phase => *phases += 1,
                _ => {
                    runs[count] = (phase, 1);
                    count += 1;
                }
            }
        }
        let (terms, channels) = (g.packing.terms, g.reader.wide_channels());
        let far = far(g.packing.words);
        let runs = runs.map(|(phase, phases)| {
            let weights = &self.packed[g.packing.at(kind, point, panel, phase)..][..phases * terms * panel.1];
            (phase * channels, phases, weights.as_ptr())
        });
        let (of_points, of_sums) =
            (&self.points[read_at..][..tiles * read], &mut self.sums[written_at..][..tiles * written]);
        for (piece, (tile, rows)) in pieces(tiles, MAX_ROWS).enumerate() {
            // SAFETY: the caller's duty.
            unsafe { coming.ask::<S>() };
            for (run, &(first, phases, weights)) in runs[..count].iter().enumerate() {
                // The weights that follow are those of the next panel; each piece asks for some of them.
                let passed = phases * terms * (panel.1 + piece * LINE);
                let next = far.then(|| Next { at: weights.wrapping_add(passed), step: panel.1 });
                let mut scalars = [std::ptr::null(); MAX_ROWS];
                for (i, scalar) in scalars.iter_mut().enumerate().take(rows) {
                    *scalar = &raw const of_points[(tile + i) * read + first];
                }
                // SAFETY: the caller's duty.
                unsafe {
                    StridedTile {
                        rows: phases,
                        columns: terms,
                        scalars: &scalars[..rows],
                        row_step: channels,
                        step: 1,
                        vectors: weights,
                        vector_step: panel.1,
                        out: &raw mut of_sums[tile * written + panel.0],
                        out_step: written,
                        accumulate: run > 0,
                        next,
                    }
                    .run::<S>(panel.1 / S::LANES, Scalars::Near);
                }
            }
        }
    }

    /// Brings the sums back to pixels, one vector of channels at a time: in the images where they lie in blocks, else in the buffer,
    /// `[row][column][lane]`, from where they are written.
    #[inline(always)]
    unsafe fn write<S: Simd, R: Rule>(&mut self) {
        let g = self.gather;
        let (wide, sizes, stride) = (g.packing.wide(), g.reader.tiling.sizes, g.frame.scale);
        let taps = sizes.taps;
        let row_words = stride * (g.reader.tiling.width() + g.reach) * S::LANES;
        let target = Grid { row: stride * row_words, column: stride * S::LANES };
        let plane = g.frame.image[0] * g.frame.image[1];
        let places = self.counts.places(wide);
        let mut done = Counts::none(sizes);
        for unit in self.units.clone() {
            let rows = g.reader.tiling.unit(unit);
            let bands = g.reader.tiling.bands(unit, g.frame, g.reach);
            let pixels = g.written.as_ref().map(|pixels| (pixels, pixels.rows(&bands, rows.outputs + g.reach)));
            let mut next = done;
            for first in (0..g.packing.wide_channels()).step_by(S::LANES) {
                let count = S::LANES.min(g.channels - first);
                // The last block is followed by the first one some rows below.
                let below = sizes.large * stride * g.frame.image[1] * S::LANES;
                let is_last = first + S::LANES >= g.packing.wide_channels();
                let next_block = if is_last { below.wrapping_sub(first * plane) } else { plane * S::LANES };
                // SAFETY: as below.
                let epilogue = unsafe { self.stream.epilogue.lanes::<S>(first, count) };
                let mask = self.stream.epilogue.mask_from(first * plane);
                for phase in 0..stride * stride {
                    let origin = [phase / stride, phase % stride];
                    next = done;
                    for (number, segment) in g.reader.tiling.columns.iter().enumerate() {
                        let outputs = [rows.outputs, segment.outputs];
                        let kind = sizes.kind(outputs);
                        let pitch = places.pitch[kind];
                        let lane = phase * g.packing.wide_channels() + first;
                        let at = places.begin[kind] + next.tiles[kind] * wide + lane;
                        let source = Grid { row: (segment.outputs + taps - 1) * pitch, column: pitch };
                        next.tiles[kind] += 1;
                        // SAFETY: the sums hold the tile, the images or the buffer its outputs; pixels are this task's.
                        unsafe {
                            let from = (self.sums.as_ptr().add(at), source);
                            match &pixels {
                                Some((pixels, rows)) => {
                                    let at = self.stream.output.at(first * plane);
                                    if pixels.are_whole(rows, number) {
                                        let places = pixels.places::<true>(rows, origin, segment.first);
                                        tile::<S, R>(
                                            taps,
                                            outputs,
                                            from,
                                            Blocks { at, mask, next: next_block, places, epilogue },
                                        );
                                    } else {
                                        let places = pixels.places::<false>(rows, origin, segment.first);
                                        tile::<S, R>(
                                            taps,
                                            outputs,
                                            from,
                                            Blocks { at, mask, next: next_block, places, epilogue },
                                        );
                                    }
                                }
                                None => {
                                    let at = origin[0] * row_words + origin[1] * S::LANES;
                                    let at = self.buffer.as_mut_ptr().add(at + segment.first * target.column);
                                    tile::<S, R>(taps, outputs, from, Buffer { at, grid: target, epilogue });
                                }
                            }
                        }
                    }
                }
                // SAFETY: the rows of these channels are this task's.
                unsafe {
                    match &pixels {
                        None => self.show::<S>(&bands, (first, count)),
                        Some(_) if self.stream.epilogue.joined.is_some() => self.finish_block::<S>(&bands, first),
                        Some(_) => {}
                    }
                }
            }
            done = next;
        }
    }

    /// What comes after both streams, for the rows of a unit and the block of channels from `first` on.
    #[inline(always)]
    unsafe fn finish_block<S: Simd>(&self, bands: &[Band], first: usize) {
        let g = self.gather;
        let [height, width] = g.frame.image;
        for (band, image) in bands.iter().flat_map(|band| (0..band.images).map(move |i| (band, band.image + i))) {
            let at = (image * g.channels + first) * height * width + band.row * width * S::LANES;
            // SAFETY: the caller's duty; the rows of the band lie in the block.
            unsafe { self.stream.epilogue.finish::<S>(self.stream.output.at(at), at, band.rows * width * S::LANES) };
        }
    }

    /// Writes the rows in the buffer that lie in images, for the planes of `count` channels from `first` on.
    #[inline(always)]
    unsafe fn show<S: Simd>(&self, bands: &[Band], (first, count): (usize, usize)) {
        let (g, tiling) = (self.gather, &self.gather.reader.tiling);
        let [height, width] = g.frame.image;
        let (columns, plane) = (g.frame.scale * (tiling.width() + g.reach), height * width);
        for band in bands {
            let n = band.rows * width;
            for i in 0..band.images {
                // SAFETY: the caller's duty; the rows of the band lie in the image, and are n pixels.
                unsafe {
                    let from = self.buffer.as_ptr().add((band.at * columns + tiling.column(i, g.frame)) * S::LANES);
                    let at = ((band.image + i) * g.channels + first) * plane + band.row * width;
                    let (to, mask) = ((self.stream.output.at(at), plane), self.stream.epilogue.mask_from(at));
                    // What the next image has there.
                    if band.rows == height {
                        prefetch::<S>(to.0.wrapping_add(g.channels * plane), count * plane);
                    }
                    // Rows without filling follow each other in the output as in the buffer.
                    if columns == width {
                        transpose_masked::<S>((from, S::LANES), to, mask, n, count);
                    } else {
                        let pixels = &g.pixels[..n];
                        let place = |r: usize, i: usize| from.add(*pixels.get_unchecked(r + i));
                        transpose_rows::<S>(place, to, mask, n, count);
                    }
                    if self.stream.epilogue.joined.is_some() {
                        for channel in 0..count {
                            let at = at + channel * plane;
                            self.stream.epilogue.finish::<S>(self.stream.output.at(at), at, n);
                        }
                    }
                }
            }
        }
    }
}
