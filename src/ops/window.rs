//! Coefficients that stand on a part of an image only, at another place in every row.
//!
//! A backward pass that starts at one neuron of a convolution meets nothing but the neuron's receptive field. Its coefficients are
//! then a window `[C,KH,KW]` of the image `[C,H,W]`; parts of it may lie outside, where there is nothing. Rows are records
//! `[sample, feature, i, j]` (u32 `[R,4]`): which sample of a batch a row belongs to, and the neuron it started at.

use crate::error::{Error, Result};
use crate::ops::Conv2dSpec;
use crate::ops::dispatch::Override;
use crate::shape::Shape;

/// Words of a row's record.
pub const ROW_WORDS: usize = 4;

/// Where rows' windows lie: the upper left element of a row that started at (i, j) is (stride₀ · i + offset₀, stride₁ · j + offset₁).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Per step of the start neuron, along (H, W).
    pub stride: [usize; 2],
    /// Of the start neuron (0, 0), along (H, W).
    pub offset: [isize; 2],
}

impl Window {
    /// The whole image, wherever the row started.
    pub const WHOLE: Window = Window { stride: [0; 2], offset: [0; 2] };
    /// The start neuron itself.
    pub const START: Window = Window { stride: [1; 2], offset: [0; 2] };

    /// The upper left element of a row that started at `start`.
    pub fn corner(self, start: [usize; 2]) -> [isize; 2] {
        let at = |axis: usize| (self.stride[axis] * start[axis]) as isize + self.offset[axis];
        [at(0), at(1)]
    }

    /// The window before a convolution whose output has this window.
    pub fn before(self, spec: Conv2dSpec) -> Window {
        let offset = |axis: usize| self.offset[axis] * spec.stride[axis] as isize - spec.padding[axis] as isize;
        let stride = |axis: usize| self.stride[axis] * spec.stride[axis];
        Window { stride: [stride(0), stride(1)], offset: [offset(0), offset(1)] }
    }
}

/// Extents of windows and of the image that they lie in. A value without extents beyond its features is an image of 1×1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) channels: usize,
    /// (KH, KW).
    pub(crate) extent: [usize; 2],
    /// (H, W).
    pub(crate) image: [usize; 2],
    pub(crate) window: Window,
}

impl Placement {
    /// For coefficients `[R,C,KH,KW]` over images `[…,C,H,W]`. Where windows are whole images, elements simply follow each other.
    pub(crate) fn new(op: &'static str, coefficients: &Shape, image: [usize; 3], window: Window) -> Result<Placement> {
        if coefficients.rank() != 4 || coefficients.elements() == 0 || coefficients[1] != image[0] {
            let expected = format!("coefficients [R,{},KH,KW]", image[0]);
            return Err(Error::shape(op, expected, coefficients.to_string()));
        }
        let [channels, height, width] = image;
        let extent = [coefficients[2], coefficients[3]];
        if window == Window::WHOLE {
            if extent != [height, width] {
                return Err(Error::shape(op, format!("windows of {height}×{width}"), coefficients.to_string()));
            }
            let all = [1, channels * height * width];
            return Ok(Placement { channels: 1, extent: all, image: all, window });
        }
        Ok(Placement { channels, extent, image: [height, width], window })
    }

    /// Elements of one row's window.
    pub(crate) fn elements(&self) -> usize {
        self.channels * self.extent[0] * self.extent[1]
    }

    /// Elements of the image.
    pub(crate) fn pixels(&self) -> usize {
        self.channels * self.image[0] * self.image[1]
    }

    /// Whether every window lies wholly inside for sure.
    pub(crate) fn is_whole(&self) -> bool {
        self.window == Window::WHOLE
    }

    /// Upper left element of the window of the row with this record.
    pub(crate) fn corner(&self, record: &[u32]) -> [isize; 2] {
        let at =
            |axis: usize| (self.window.stride[axis] * record[2 + axis] as usize) as isize + self.window.offset[axis];
        [at(0), at(1)]
    }

    /// Which of a window's rows, or columns, lie inside the image when the first is at `corner`.
    pub(crate) fn inside(&self, corner: [isize; 2]) -> [std::ops::Range<usize>; 2] {
        [0, 1].map(|axis| {
            let (extent, image) = (self.extent[axis] as isize, self.image[axis] as isize);
            let first = (-corner[axis]).clamp(0, extent);
            let end = (image - corner[axis]).clamp(first, extent);
            first as usize..end as usize
        })
    }

    /// The constants by which the shaders know it.
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let Placement { channels, extent, image, window } = self;
        vec![
            ("CHANNELS", *channels as f64),
            ("EXTENT_H", extent[0] as f64),
            ("EXTENT_W", extent[1] as f64),
            ("IMAGE_H", image[0] as f64),
            ("IMAGE_W", image[1] as f64),
            ("STRIDE_H", window.stride[0] as f64),
            ("STRIDE_W", window.stride[1] as f64),
            ("OFFSET_H", window.offset[0] as f64),
            ("OFFSET_W", window.offset[1] as f64),
        ]
    }
}

/// Checks the records of `rows` rows.
pub(crate) fn expect_rows(op: &'static str, records: &Shape, rows: usize) -> Result<()> {
    if records.dims() != [rows, ROW_WORDS] {
        return Err(Error::shape(op, format!("row records [{rows},{ROW_WORDS}]"), records.to_string()));
    }
    Ok(())
}

/// Independent partial sums of a row in native kernels.
pub(crate) const LANES: usize = 16;

/// A row's place for native kernels: its window and what is kept of its sample.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) placement: &'a Placement,
    /// Some planes of the sample, one after the other.
    pub(crate) sample: &'a [f32],
    pub(crate) record: &'a [u32],
}

impl<'a> Place<'a> {
    /// Row `row`, when `values` holds `planes` images for each sample.
    pub(crate) fn new(
        placement: &'a Placement,
        planes: usize,
        values: &'a [f32],
        records: &'a [u32],
        row: usize,
    ) -> Place<'a> {
        let record = &records[row * ROW_WORDS..][..ROW_WORDS];
        let words = planes * placement.pixels();
        Place { placement, sample: &values[record[0] as usize * words..][..words], record }
    }
}

/// Goes through the elements of a row inside the image, run by run: `$w` in the window, `$p` in the image, `$n` elements.
macro_rules! runs {
    ($place:expr, |$w:ident, $p:ident, $n:ident| $body:block) => {{
        let placement = $place.placement;
        let corner = placement.corner($place.record);
        let [rows, columns] = placement.inside(corner);
        let [extent_h, extent_w] = placement.extent;
        let [image_h, image_w] = placement.image;
        let $n = columns.len();
        for c in 0..placement.channels {
            for y in rows.clone() {
                let $w = (c * extent_h + y) * extent_w + columns.start;
                let $p = (c * image_h + (y as isize + corner[0]) as usize) * image_w
                    + (columns.start as isize + corner[1]) as usize;
                $body
            }
        }
    }};
}
pub(crate) use runs;

/// Adds the term of each element i < n to the sum of its lane. The term reads the slices in parentheses, of n elements each, by i, and may write
/// the one behind them.
macro_rules! summed {
    ($lanes:ident, $n:ident, ($($x:ident),+) $($out:ident)?, |$i:ident| $term:expr) => {{
        let full = $n / LANES * LANES;
        for first in (0..full).step_by(LANES) {
            // Arrays, so that no index needs a check.
            $(let $x: &[f32; LANES] = $x[first..][..LANES].try_into().expect("as many");)+
            $(let $out: &mut [f32; LANES] = (&mut $out[first..][..LANES]).try_into().expect("as many");)?
            for $i in 0..LANES {
                $lanes[$i] += $term;
            }
        }
        $(let $x = &$x[full..];)+
        $(let $out = &mut $out[full..];)?
        for $i in 0..$n - full {
            $lanes[$i] += $term;
        }
    }};
}
pub(crate) use summed;
