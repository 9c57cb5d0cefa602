//! Where tiles find the pixels of images whose channels lie in blocks: they read and write them there.

use super::tiling::{Band, Frame, Tiling};
use super::transform::{LONGEST, Source};
use crate::ops::native::lanes::Simd;

/// Most phases along an axis.
const PHASES: usize = 2;

/// One number for each line of a tile along an axis.
type Lines = [usize; LONGEST];

/// Where the columns of a sheet are in an array of images, and which rows of tiles may be read and written without a look at them.
#[derive(Debug)]
pub(super) struct Pixels {
    frame: Frame,
    /// Elements of an image, and words of a pixel.
    image: usize,
    lanes: usize,
    /// Images side by side.
    beside: usize,
    /// By phase and column: words from the first column of the first image, and the number of the image; above all images for columns
    /// between them.
    columns: Vec<Vec<usize>>,
    images: Vec<Vec<usize>>,
    /// By segment: whether all columns that a tile touches are in images.
    whole: Vec<bool>,
}

/// Where the rows of a unit are.
pub(super) struct Rows {
    /// By phase and row: words from the first element of the array, and how many images side by side have it.
    rows: [Lines; PHASES],
    images: [Lines; PHASES],
    /// Whether all rows are in as many images as there are side by side.
    whole: bool,
}

/// Where the pixels of a tile are; all of them in images if it is `WHOLE`.
#[derive(Clone, Copy)]
pub(super) struct Places<'a, const WHOLE: bool> {
    rows: &'a Lines,
    has: &'a Lines,
    columns: &'a Lines,
    images: &'a Lines,
}

impl Pixels {
    /// Of images of `channels` channels in this frame, of which tiles touch `reach` lines more than they have outputs.
    pub(super) fn new(tiling: &Tiling, frame: Frame, channels: usize, reach: usize, lanes: usize) -> Pixels {
        let [height, width] = frame.image;
        let image = channels * height * width;
        // Tables go on behind the last tile.
        let lines = tiling.width() + LONGEST;
        let mut columns = vec![vec![0; lines]; frame.scale];
        let mut images = vec![vec![usize::MAX; lines]; frame.scale];
        for (i, column) in (0..tiling.beside()).flat_map(|i| (0..width).map(move |column| (i, column))) {
            let place = tiling.column(i, frame) + column;
            let (phase, line) = (place % frame.scale, place / frame.scale);
            if line < lines {
                (columns[phase][line], images[phase][line]) = (i * image + column * lanes, i);
            }
        }
        let whole = |first: usize, outputs: usize| {
            images.iter().all(|images| images[first..first + outputs + reach].iter().all(|&i| i < usize::MAX))
        };
        let whole = tiling.columns.iter().map(|segment| whole(segment.first, segment.outputs)).collect();
        Pixels { frame, image, lanes, beside: tiling.beside(), columns, images, whole }
    }

    /// Rows of a unit, of which tiles touch `lines` in each phase, and which lie in these bands.
    pub(super) fn rows(&self, bands: &[Band], lines: usize) -> Rows {
        let scale = self.frame.scale;
        let mut rows = Rows { rows: [[0; LONGEST]; PHASES], images: [[0; LONGEST]; PHASES], whole: true };
        for (band, row) in bands.iter().flat_map(|band| (0..band.rows).map(move |row| (band, row))) {
            let (phase, line) = ((band.at + row) % scale, (band.at + row) / scale);
            rows.rows[phase][line] = band.image * self.image + (band.row + row) * self.frame.image[1] * self.lanes;
            rows.images[phase][line] = band.images;
        }
        rows.whole = rows.images[..scale].iter().all(|images| images[..lines].iter().all(|&n| n == self.beside));
        rows
    }

    /// Whether all pixels of tiles of segment `segment` are in images.
    #[inline(always)]
    pub(super) fn are_whole(&self, rows: &Rows, segment: usize) -> bool {
        rows.whole && self.whole[segment]
    }

    /// The pixels of a phase in a tile whose columns begin at `first`; `WHOLE` only if they [`Pixels::are_whole`].
    #[inline(always)]
    pub(super) fn places<'a, const WHOLE: bool>(
        &'a self,
        rows: &'a Rows,
        phase: [usize; 2],
        first: usize,
    ) -> Places<'a, WHOLE> {
        let lines = |table: &'a [usize]| -> &'a Lines { table[first..first + LONGEST].try_into().expect("as many") };
        Places {
            rows: &rows.rows[phase[0]],
            has: &rows.images[phase[0]],
            columns: lines(&self.columns[phase[1]]),
            images: lines(&self.images[phase[1]]),
        }
    }
}

impl<const WHOLE: bool> Places<'_, WHOLE> {
    /// Words from the first element of the array to pixel (i, j) of the tile, if that is in an image.
    #[inline(always)]
    pub(super) fn at(&self, i: usize, j: usize) -> Option<usize> {
        (WHOLE || self.images[j] < self.has[i]).then(|| self.rows[i] + self.columns[j])
    }
}

/// Pixels of an array, 0 where it has none.
pub(super) struct Image<'a, const WHOLE: bool> {
    pub(super) at: *const f32,
    pub(super) places: Places<'a, WHOLE>,
    /// Words to what the tiles of the next block read, which is asked for.
    pub(super) next: usize,
}

impl<S: Simd, const WHOLE: bool> Source<S> for Image<'_, WHOLE> {
    #[inline(always)]
    unsafe fn load(&self, i: usize, j: usize, own: bool) -> S::Vector {
        let Some(at) = self.places.at(i, j) else {
            // SAFETY: the caller's duty.
            return unsafe { S::splat(0.0) };
        };
        // SAFETY: the caller's duty.
        unsafe {
            let from = self.at.add(at);
            if own {
                S::prefetch(from.wrapping_add(self.next));
            }
            S::load(from)
        }
    }
}
