//! The dispatch that computes a convolution and its gradient with respect to the input; see `shaders/conv2d_gather.wgsl`.

use super::Geometry;
use crate::error::Result;
use crate::kernel::{Bind, Dispatch, GpuLimits};
use crate::ops::dispatch::{Override, Variant, flag, grid, int};
use crate::ops::shaders::{CONV2D_GATHER, CONV2D_GATHER_PLAIN, CONV2D_GATHER_REGISTER, CONV2D_INTERVAL_GATHER};

/// One axis of the gathering: output pixel `i·out_step + out_first` sums, over taps `t`, input pixel
/// `i·step + first + t·tap` times weight tap `w_first + t·w_step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Number of output pixels i.
    points: usize,
    /// Number of taps t.
    taps: usize,
    step: i64,
    first: i64,
    tap: i64,
    out_step: usize,
    out_first: usize,
    w_first: usize,
    w_step: usize,
}

impl Axis {
    /// Forward along `axis`: every output pixel sees every tap.
    fn forward(g: &Geometry, axis: usize) -> Axis {
        Axis {
            points: g.output[axis],
            taps: g.kernel[axis],
            step: g.spec.stride[axis] as i64,
            first: -(g.spec.padding[axis] as i64),
            tap: g.spec.dilation[axis] as i64,
            out_step: 1,
            out_first: 0,
            w_first: 0,
            w_step: 1,
        }
    }

    /// Backward along `axis`, for the pixels h of x with h mod stride = `remainder`.
    ///
    /// Output i of the forward pass used pixel h by tap u where i·S − P + u·D = h, so tap u reaches h if S divides
    /// h + P − u·D. With D and S of greatest common divisor q that repeats every S/q taps, and from one such tap to the
    /// next the output moves by D/q.
    fn backward(g: &Geometry, axis: usize, remainder: usize) -> Axis {
        let (stride, dilation) = (g.spec.stride[axis], g.spec.dilation[axis]);
        let offset = (remainder + g.spec.padding[axis]) as i64;
        let period = stride / gcd(stride, dilation);
        let origin = |u: usize| offset - (u * dilation) as i64;
        let points = g.input[axis].saturating_sub(remainder).div_ceil(stride);
        let base = Axis {
            points,
            taps: 1,
            step: 1,
            first: NOWHERE,
            tap: 0,
            out_step: stride,
            out_first: remainder,
            w_first: 0,
            w_step: 0,
        };
        let first_tap = (0..period.min(g.kernel[axis])).find(|&u| origin(u) % stride as i64 == 0);
        // No tap reaches these pixels: one tap that always falls outside makes them zero.
        let Some(u) = first_tap else { return base };
        Axis {
            taps: (g.kernel[axis] - u).div_ceil(period),
            first: origin(u) / stride as i64,
            tap: -((period * dilation / stride) as i64),
            w_first: u,
            w_step: period,
            ..base
        }
    }
}

/// A coordinate outside every image.
const NOWHERE: i64 = -(1 << 30);

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// All extents of one dispatch, for a whole batch or a part of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather {
    batch: usize,
    /// Channels of y.
    channels: usize,
    /// Channels of x, which are summed over.
    reduced: usize,
    /// Steps of w along the channels of y and of x.
    w_channels: usize,
    w_reduced: usize,
    /// Taps of w in a row.
    w_row: usize,
    input: [usize; 2],
    output: [usize; 2],
    axes: [Axis; 2],
}

/// What happens to a sum on its way out, in this order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Epilogue {
    /// Before all: take |w|.
    pub(crate) abs_w: bool,
    pub(crate) bias: bool,
    pub(crate) relu: bool,
    pub(crate) masked: bool,
}

impl Gather {
    /// The convolution of `batch` images.
    pub(crate) fn forward(g: &Geometry, batch: usize) -> Gather {
        let area = g.kernel[0] * g.kernel[1];
        Gather {
            batch,
            channels: g.features,
            reduced: g.channels,
            w_channels: g.channels * area,
            w_reduced: area,
            w_row: g.kernel[1],
            input: g.input,
            output: g.output,
            axes: [Axis::forward(g, 0), Axis::forward(g, 1)],
        }
    }

    /// Its gradient with respect to x: one dispatch for each remainder of the strides that a pixel has.
    pub(crate) fn backward(g: &Geometry, batch: usize) -> Vec<Gather> {
        let area = g.kernel[0] * g.kernel[1];
        let remainders = |axis: usize| 0..g.spec.stride[axis].min(g.input[axis]);
        let one = |h: usize, w: usize| Gather {
            batch,
            channels: g.channels,
            reduced: g.features,
            w_channels: area,
            w_reduced: g.channels * area,
            w_row: g.kernel[1],
            input: g.output,
            output: g.input,
            axes: [Axis::backward(g, 0, h), Axis::backward(g, 1, w)],
        };
        remainders(0).flat_map(|h| remainders(1).map(move |w| one(h, w))).collect()
    }

    fn points(&self) -> usize {
        self.batch * self.axes[0].points * self.axes[1].points
    }

    fn overrides(&self) -> Vec<Override> {
        let [h, w] = self.axes;
        vec![
            ("BATCH", int(self.batch)),
            ("M", int(self.channels)),
            ("R", int(self.reduced)),
            ("TAPS_H", int(h.taps)),
            ("TAPS_W", int(w.taps)),
            ("W_M", int(self.w_channels)),
            ("W_R", int(self.w_reduced)),
            ("W_H", int(h.w_step * self.w_row)),
            ("W_W", int(w.w_step)),
            ("W_FIRST", int(h.w_first * self.w_row + w.w_first)),
            ("IN_H", int(self.input[0])),
            ("IN_W", int(self.input[1])),
            ("STEP_H", h.step as f64),
            ("STEP_W", w.step as f64),
            ("FIRST_H", h.first as f64),
            ("FIRST_W", w.first as f64),
            ("TAP_H", h.tap as f64),
            ("TAP_W", w.tap as f64),
            ("ROWS", int(h.points)),
            ("COLUMNS", int(w.points)),
            ("OUT_H", int(self.output[0])),
            ("OUT_W", int(self.output[1])),
            ("OUT_STEP_H", int(h.out_step)),
            ("OUT_STEP_W", int(w.out_step)),
            ("OUT_FIRST_H", int(h.out_first)),
            ("OUT_FIRST_W", int(w.out_first)),
        ]
    }

    /// Binds are x, w, extra, y.
    pub(crate) fn dispatch(&self, epilogue: Epilogue, binds: [Bind; 4], limits: &GpuLimits) -> Result<Dispatch> {
        let variant = Variant::choose(limits, 2, self.channels, self.points(), 1);
        let shader = match variant {
            Variant::Tiled { .. } => &CONV2D_GATHER,
            Variant::Register => &CONV2D_GATHER_REGISTER,
            Variant::Plain => &CONV2D_GATHER_PLAIN,
        };
        let (groups, constant) = variant.launch(self.channels, self.points(), 1);
        let mut overrides = self.overrides();
        overrides.extend([
            ("ABS_W", flag(epilogue.abs_w)),
            ("BIAS", flag(epilogue.bias)),
            ("RELU", flag(epilogue.relu)),
            ("MASKED", flag(epilogue.masked)),
        ]);
        overrides.extend(constant);
        Ok(Dispatch { shader, binds: binds.to_vec(), overrides, groups: grid(shader.name, groups, limits)? })
    }

    /// The same for a box: x1 with w (+ bias), x2 with |w|. Binds are x1, x2, w, bias, y1, y2.
    ///
    /// Where the tiles don't fit, or don't pay, two dispatches of the point kernel do the same.
    pub(crate) fn interval(&self, bias: bool, binds: [Bind; 6], limits: &GpuLimits) -> Result<Vec<Dispatch>> {
        let [x1, x2, w, extra, y1, y2] = binds;
        let variant = Variant::choose(limits, 3, self.channels, self.points(), 1);
        if !matches!(variant, Variant::Tiled { .. }) {
            let center = Epilogue { bias, ..Epilogue::default() };
            let radius = Epilogue { abs_w: true, ..Epilogue::default() };
            return Ok(vec![
                self.dispatch(center, [x1, w, extra, y1], limits)?,
                self.dispatch(radius, [x2, w, w, y2], limits)?,
            ]);
        }
        let (groups, constant) = variant.launch(self.channels, self.points(), 1);
        let mut overrides = self.overrides();
        overrides.push(("BIAS", flag(bias)));
        overrides.extend(constant);
        let groups = grid(CONV2D_INTERVAL_GATHER.name, groups, limits)?;
        Ok(vec![Dispatch { shader: &CONV2D_INTERVAL_GATHER, binds: binds.to_vec(), overrides, groups }])
    }
}
