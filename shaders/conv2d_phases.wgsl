// conv2d_phases: the beginning of convolutions and their gradients with respect to the input: extents, and the taps of a phase.
// Forward: w(m,r,t,s) belongs to h = i·STRIDE − PADDING + t·DILATION, v likewise.
// BACKWARD, where x is the gradient of the output and y that of the input: the pixels of one phase (i mod STRIDE, j mod STRIDE) are reached
// by the same taps, every PERIOD-th from a first one on, so that each phase is a convolution of stride 1 by some of the taps.
// Axis z of the grid is the phase.

override BACKWARD: bool;
override BATCH: u32;
override M: u32;
override R: u32;
override KH: u32;
override KW: u32;
override IN_H: u32;
override IN_W: u32;
override OUT_H: u32;
override OUT_W: u32;
override STRIDE_H: u32;
override STRIDE_W: u32;
override PADDING_H: i32;
override PADDING_W: i32;
override DILATION_H: i32;
override DILATION_W: i32;
// From one tap of a phase to the next; 1 forward.
override PERIOD_H: u32;
override PERIOD_W: u32;
// Phases along W; 1 forward.
override PHASES_W: u32;
// From one point to the next in x, from one tap to the next in x, from one point to the next in y.
override MOVE_H: i32;
override MOVE_W: i32;
override TAP_H: i32;
override TAP_W: i32;
override STEP_H: u32;
override STEP_W: u32;
override IN_AREA: u32 = IN_H * IN_W;
override OUT_AREA: u32 = OUT_H * OUT_W;

// One axis of a phase: output pixel phase + i·step sums, over taps t, input pixel first + i·move + t·tap times weight tap
// w_first + t·PERIOD.
struct Axis {
    points: u32,
    taps: u32,
    first: i32,
    w_first: u32,
}

// Tap u reaches output pixel `phase` where STRIDE divides phase + PADDING − u·DILATION. No tap may.
fn axis(phase: u32, extent: u32, taps: u32, stride: u32, padding: i32, dilation: i32, period: u32) -> Axis {
    if !BACKWARD {
        return Axis(extent, taps, -padding, 0u);
    }
    let points = (extent - phase + stride - 1u) / stride;
    for (var u = 0u; u < min(period, taps); u++) {
        let distance = i32(phase) + padding - i32(u) * dilation;
        if distance % i32(stride) == 0 {
            return Axis(points, (taps - u + period - 1u) / period, distance / i32(stride), u);
        }
    }
    return Axis(points, 0u, 0, 0u);
}

