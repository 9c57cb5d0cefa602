//! Convolutions whose outputs are sums of few terms, such as those that read an image, as products with a matrix of columns.
//!
//! Such a sum is over before a tile of channels has paid for its transposition. Here lanes are pixels, whatever the length of a row:
//! what a band of output rows reads is laid out as `columns[term][pixel]` (im2col), once for terms that read the same rows ([`strips`]) and
//! small enough for a first-level cache, and
//!
//! - the convolution ([`forward`]) is W · columns,
//! - the gradient with respect to the input ([`backward`]) is Wᵀ · grad_y, whose rows are then added where the columns came from,
//!   or, of gradients in blocks, of patches along the lanes ([`patches`]), or sums whose lanes are features ([`across`]),
//! - the gradient with respect to the weights ([`correlate`]) is grad_y · columnsᵀ,
//!
//! each output gradient being read once, in the order in which it lies in memory.

pub(crate) mod across;
pub(crate) mod backward;
pub(crate) mod correlate;
pub(crate) mod forward;
pub(crate) mod patches;
mod strips;

use super::axis::Axis;
use super::band::Band;
use super::gather::axis_spec;
use super::lanes::{Simd, Width};
use super::workers::{LINE, line_aligned};
use crate::ops::conv2d::Geometry;
use crate::ops::simd::Level;
use strips::{Strips, Taps};

/// Most terms of a sum. With more, tiles of channels do as well.
const MOST_TERMS: usize = 64;

/// Words that a band may take of columns, or of products to be added where columns came from: half of a small first-level cache.
const MATRIX_WORDS: usize = 4 * 1024;

/// Whether the convolution `g` and its gradients should go this way.
pub(super) fn suits(g: &Geometry) -> bool {
    terms(g) <= MOST_TERMS && g.channels <= g.features
}

/// Products in an output's sum.
fn terms(g: &Geometry) -> usize {
    g.channels * g.kernel[0] * g.kernel[1]
}

/// How the columns of a band lie in memory.
#[derive(Debug)]
struct ColumnLayout {
    channels: usize,
    features: usize,
    /// Extents (H, W) of x and of y.
    input: [usize; 2],
    output: [usize; 2],
    /// Input rows from one output row to the next.
    row_step: usize,
    /// Zero-padded rows of x, those of a band of outputs or all.
    band: Band,
    /// Offset of each term in `band`, for the first pixel.
    taps: Vec<u32>,
    /// Most output rows in a band, and number of bands.
    band_rows: usize,
    bands: usize,
    /// Words between rows of the matrix that a gradient with respect to x makes.
    pitch: usize,
    /// The columns that others read.
    strips: Strips,
    width: Width,
}

impl ColumnLayout {
    /// `whole`: the padded rows are those of a whole image, not those of a band.
    fn new(g: &Geometry, whole: bool, level: Level) -> ColumnLayout {
        let [rows, columns] = [0, 1].map(|a| Axis::forward(axis_spec(g, a), g.output[a]));
        let width = Width::of(level);
        let displacements = |axis: &Axis| axis.classes[0].taps.iter().map(|&(_, tap)| tap).collect::<Vec<usize>>();
        let [down, right] = [displacements(&rows), displacements(&columns)];
        let table = Taps { channels: g.channels, down: &down, right: &right, row_step: rows.in_step };
        let fitting = match whole {
            true => (MATRIX_WORDS / (terms(g) * g.output[1])).max(1),
            false => table.fitting(g.output[1], MATRIX_WORDS),
        };
        let band_rows = g.output[0].div_ceil(g.output[0].div_ceil(fitting));
        let bands = g.output[0].div_ceil(band_rows);
        let band = Band::new(g.channels, g.input, &rows, &columns, if whole { g.output[0] } else { band_rows });
        let mut taps = Vec::with_capacity(terms(g));
        for channel in 0..g.channels {
            for &down in &down {
                taps.extend(right.iter().map(|&right| band.offset(channel, down, right) as u32));
            }
        }
        // A row ends with a whole vector of zeros. An odd number of lines apart, rows of the matrix don't share cache sets.
        let lines = (band_rows * g.output[1] + width.lanes).div_ceil(LINE) | 1;
        ColumnLayout {
            channels: g.channels,
            features: g.features,
            input: g.input,
            output: g.output,
            row_step: rows.in_step,
            taps,
            band_rows,
            bands,
            pitch: lines * LINE,
            strips: Strips::new(&table, &band, band_rows, g.output[1], width),
            band,
            width,
        }
    }

    fn terms(&self) -> usize {
        self.taps.len()
    }

    /// Elements of an image, and of its output.
    fn image(&self) -> usize {
        self.channels * self.input[0] * self.input[1]
    }

    fn image_out(&self) -> usize {
        self.features * self.plane()
    }

    /// Elements of an output channel.
    fn plane(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Words of the padded rows, and of what vectors read past them.
    fn padded_words(&self) -> usize {
        line_aligned(self.band.words() + self.width.lanes)
    }

    /// Words of the matrix.
    fn matrix_words(&self) -> usize {
        self.terms() * self.pitch
    }

    /// First output row of a band, and its number of rows.
    fn rows(&self, band: usize) -> (usize, usize) {
        let top = band * self.band_rows;
        (top, self.band_rows.min(self.output[0] - top))
    }

    /// Adds the matrix's rows where the columns of band `band` come from: the adjoint of writing them down.
    ///
    /// # Safety
    /// As [`Simd`]; the layout is that of a whole image.
    #[inline(always)]
    unsafe fn col2im<S: Simd>(&self, matrix: &[f32], band: usize, padded: &mut [f32]) {
        assert!(padded.len() >= self.padded_words() && matrix.len() >= self.matrix_words());
        let (top, rows) = self.rows(band);
        let width = self.output[1];
        let step = self.row_step * self.band.row();
        for (term, &tap) in self.taps.iter().enumerate() {
            for row in 0..rows {
                // SAFETY: the taps of the image's outputs lie in the padded rows, which are followed by a vector.
                unsafe {
                    let from = matrix.as_ptr().add(term * self.pitch + row * width);
                    let to = padded.as_mut_ptr().add(tap as usize + (top + row) * step);
                    let whole = width / S::LANES * S::LANES;
                    for j in (0..whole).step_by(S::LANES) {
                        S::store(to.add(j), S::add(S::load(to.add(j)), S::load(from.add(j))));
                    }
                    if whole < width {
                        let rest = S::load_first(from.add(whole), width - whole);
                        S::store(to.add(whole), S::add(S::load(to.add(whole)), rest));
                    }
                }
            }
        }
    }
}

/// Packs a matrix of elements `weight(row, term)`, or their absolute values, in pieces of its rows: `[term][row of the piece]`.
fn pack(
    pieces: impl Iterator<Item = (usize, usize)>,
    terms: usize,
    weight: impl Fn(usize, usize) -> f32,
    absolute: bool,
    packed: &mut [f32],
) {
    for (first, count) in pieces {
        let panel = &mut packed[first * terms..][..count * terms];
        for (i, w) in panel.iter_mut().enumerate() {
            let value = weight(first + i % count, i / count);
            *w = if absolute { value.abs() } else { value };
        }
    }
}
