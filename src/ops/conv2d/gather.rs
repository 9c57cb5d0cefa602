//! The dispatch that computes a convolution and its gradient with respect to the input; see `shaders/conv2d_gather.wgsl`.

use super::Geometry;
use crate::error::Result;
use crate::kernel::{Bind, Dispatch, GpuCall, GpuLimits, GpuPrepare, Operand, Variant};
use crate::ops::dispatch::{Matrix, Override, flag, grid, int, register_tiled, too_large};
use crate::ops::shaders::{
    CONV2D_GATHER, CONV2D_GATHER_PLAIN, CONV2D_GATHER_REGISTER, CONV2D_GATHER_SUBGROUP, CONV2D_GATHER_WIDE,
    CONV2D_INTERVAL_GATHER, CONV2D_INTERVAL_GATHER_WIDE,
};
use crate::ops::transpose::permute;

/// One axis of the gathering: what is the same for all phases of its pixels.
///
/// Output i of the forward pass used pixel h by tap u where i·S − P + u·D = h, so tap u reaches h if S divides h + P − u·D. With D and S
/// of greatest common divisor q that repeats every S/q taps, and from one such tap to the next the output moves by D/q. So the pixels
/// of one phase, h mod S, are reached by the same taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    /// Pixels of y.
    extent: usize,
    phases: usize,
    /// Pixels of y of the largest phase, the first.
    points: usize,
    /// Distance of the taps of a phase.
    period: usize,
    /// From one pixel of a phase to the next, in x and in y.
    step: [usize; 2],
    /// From one tap of a phase to the next, in x.
    tap: i64,
}

impl Axis {
    fn forward(g: &Geometry, axis: usize) -> Axis {
        let extent = g.output[axis];
        let (step, tap) = ([g.spec.stride[axis], 1], g.spec.dilation[axis] as i64);
        Axis { extent, phases: 1, points: extent, period: 1, step, tap }
    }

    fn backward(g: &Geometry, axis: usize) -> Axis {
        let (extent, stride, dilation) = (g.input[axis], g.spec.stride[axis], g.spec.dilation[axis]);
        let period = stride / gcd(stride, dilation);
        Axis {
            extent,
            phases: stride.min(extent),
            points: extent.div_ceil(stride),
            period,
            step: [1, stride],
            tap: -((period * dilation / stride) as i64),
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// All extents of one dispatch, for a whole batch or a part of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather<'a> {
    geometry: &'a Geometry,
    batch: usize,
    backward: bool,
    /// Channels of y, and those of x, which are summed over.
    channels: usize,
    reduced: usize,
    /// Steps of w along them.
    w_steps: [usize; 2],
    /// Extents of x.
    input: [usize; 2],
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

impl Gather<'_> {
    /// The convolution of `batch` images.
    pub(crate) fn forward(g: &Geometry, batch: usize) -> Gather<'_> {
        let area = g.kernel[0] * g.kernel[1];
        Gather {
            geometry: g,
            batch,
            backward: false,
            channels: g.features,
            reduced: g.channels,
            w_steps: [g.channels * area, area],
            input: g.input,
            axes: [0, 1].map(|axis| Axis::forward(g, axis)),
        }
    }

    /// Its gradient with respect to x, all phases of the pixels at once.
    pub(crate) fn backward(g: &Geometry, batch: usize) -> Gather<'_> {
        let area = g.kernel[0] * g.kernel[1];
        Gather {
            geometry: g,
            batch,
            backward: true,
            channels: g.channels,
            reduced: g.features,
            w_steps: [area, g.channels * area],
            input: g.output,
            axes: [0, 1].map(|axis| Axis::backward(g, axis)),
        }
    }

    /// The product of the largest phase.
    fn matrix(&self, arrays: [u32; 2]) -> Matrix {
        Matrix {
            rows: self.channels,
            columns: self.batch * self.axes[0].points * self.axes[1].points,
            parts: 1,
            arrays,
            wide: self.channels.is_multiple_of(4),
        }
    }

    fn overrides(&self) -> Vec<Override> {
        let Gather { geometry: g, axes: [h, w], .. } = self;
        vec![
            ("BACKWARD", flag(self.backward)),
            ("BATCH", int(self.batch)),
            ("M", int(self.channels)),
            ("R", int(self.reduced)),
            ("KH", int(g.kernel[0])),
            ("KW", int(g.kernel[1])),
            ("IN_H", int(self.input[0])),
            ("IN_W", int(self.input[1])),
            ("OUT_H", int(h.extent)),
            ("OUT_W", int(w.extent)),
            ("STRIDE_H", int(g.spec.stride[0])),
            ("STRIDE_W", int(g.spec.stride[1])),
            ("PADDING_H", int(g.spec.padding[0])),
            ("PADDING_W", int(g.spec.padding[1])),
            ("DILATION_H", int(g.spec.dilation[0])),
            ("DILATION_W", int(g.spec.dilation[1])),
            ("PERIOD_H", int(h.period)),
            ("PERIOD_W", int(w.period)),
            ("PHASES_W", int(w.phases)),
            ("MOVE_H", int(h.step[0])),
            ("MOVE_W", int(w.step[0])),
            ("TAP_H", h.tap as f64),
            ("TAP_W", w.tap as f64),
            ("STEP_H", int(h.step[1])),
            ("STEP_W", int(w.step[1])),
        ]
    }

    /// `groups` workgroups for each phase.
    fn grid(&self, name: &str, groups: usize, limits: &GpuLimits) -> Result<[u32; 3]> {
        let phases = self.axes[0].phases * self.axes[1].phases;
        if phases > limits.groups_per_axis as usize {
            return Err(too_large(name, format_args!("a convolution of {phases} phases")));
        }
        let [x, y, _] = grid(name, groups, limits)?;
        Ok([x, y, phases as u32])
    }

    /// The weights, an input of the op, as `variant` reads them, and its constants for that.
    fn weights(
        &self,
        call: &mut GpuCall,
        input: usize,
        variant: Variant,
        limits: &GpuLimits,
    ) -> Result<(Bind, Vec<Override>)> {
        let [m, r] = self.w_steps;
        if !matches!(variant, Variant::Wide(_)) {
            return Ok((Bind::all(Operand::Input(input)), vec![("W_M", int(m)), ("W_R", int(r))]));
        }
        // The only form, which another part of the batch may have asked for.
        if call.prepared.is_empty() {
            let [height, width] = self.geometry.kernel;
            let order = [[1, height * width, self.reduced, self.channels], [0, 1, r, m]];
            call.prepared.push(GpuPrepare {
                input,
                key: format!("{order:?}"),
                words: order[0].iter().product(),
                dispatches: permute(order, Operand::Input(input), Operand::Form(0), limits)?.dispatches,
            });
        }
        Ok((Bind::all(Operand::Form(0)), Vec::new()))
    }

    /// Adds its dispatches to `call`, with the op's input `weights`. Binds are x, extra, y.
    pub(crate) fn add_to(
        &self,
        call: &mut GpuCall,
        epilogue: Epilogue,
        weights: usize,
        [x, extra, y]: [Bind; 3],
        limits: &GpuLimits,
    ) -> Result<()> {
        let matrix = self.matrix([1, 1]);
        let variant = matrix.variant(limits);
        let (w, steps) = self.weights(call, weights, variant, limits)?;
        let shader = match variant {
            Variant::Tiled(_) => &CONV2D_GATHER,
            Variant::Wide(_) => &CONV2D_GATHER_WIDE,
            Variant::Register { .. } => register_tiled([&CONV2D_GATHER_REGISTER, &CONV2D_GATHER_SUBGROUP], limits),
            Variant::Plain => &CONV2D_GATHER_PLAIN,
        };
        let (groups, constants) = matrix.launch(variant);
        let mut overrides = self.overrides();
        overrides.extend(steps);
        overrides.extend([
            ("ABS_W", flag(epilogue.abs_w)),
            ("BIAS", flag(epilogue.bias)),
            ("RELU", flag(epilogue.relu)),
            ("MASKED", flag(epilogue.masked)),
        ]);
        overrides.extend(constants);
        let groups = self.grid(shader.name, groups, limits)?;
        call.dispatches.push(Dispatch { shader, binds: vec![w, x, extra, y], overrides, groups });
        Ok(())
    }

    /// The same for a box: x1 with w (+ bias), x2 with |w|. Binds are x1, x2, bias, y1, y2; without a bias its bind is not read.
    ///
    /// Where the tiles don't fit, or don't pay, two dispatches of the point kernel do the same.
    pub(crate) fn add_interval_to(
        &self,
        call: &mut GpuCall,
        bias: bool,
        weights: usize,
        binds: [Bind; 5],
        limits: &GpuLimits,
    ) -> Result<()> {
        let [x1, x2, extra, y1, y2] = binds;
        let matrix = self.matrix([1, 2]);
        let variant = matrix.variant(limits);
        let shader = match variant {
            Variant::Tiled(_) => &CONV2D_INTERVAL_GATHER,
            Variant::Wide(_) => &CONV2D_INTERVAL_GATHER_WIDE,
            Variant::Register { .. } | Variant::Plain => {
                let limits = &GpuLimits { variant: Some(variant), ..*limits };
                let center = Epilogue { bias, ..Epilogue::default() };
                let radius = Epilogue { abs_w: true, ..Epilogue::default() };
                self.add_to(call, center, weights, [x1, extra, y1], limits)?;
                return self.add_to(call, radius, weights, [x2, extra, y2], limits);
            }
        };
        let (w, steps) = self.weights(call, weights, variant, limits)?;
        let (groups, constants) = matrix.launch(variant);
        let mut overrides = self.overrides();
        overrides.extend(steps);
        overrides.push(("BIAS", flag(bias)));
        overrides.extend(constants);
        let groups = self.grid(shader.name, groups, limits)?;
        call.dispatches.push(Dispatch { shader, binds: vec![w, x1, x2, extra, y1, y2], overrides, groups });
        Ok(())
    }
}
