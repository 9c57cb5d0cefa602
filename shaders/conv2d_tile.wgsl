// conv2d_tile: the beginning of convolutions from tiles in workgroup memory: extents, the taps of a phase, places in y.
// Forward: w(m,r,t,s) belongs to h = i·STRIDE − PADDING + t·DILATION, v likewise.
// BACKWARD, where x is the gradient of the output and y that of the input: the pixels of one phase (i mod STRIDE, j mod STRIDE) are reached
// by the same taps, every PERIOD-th from a first one on, so that each phase is a convolution of stride 1 by some of the taps.
// An implicit matrix product: rows m, columns the points of all images, depth (t,s,r). Grid: x and y hold the tiles of the largest phase, z
// the phases. What comes next says how the tile of w is read, the end sums. Array lengths stand at the end, since naga 30 takes no override after one.

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
// A workgroup has GROUP_M × GROUP_N invocations.
override GROUP_M: u32;
override GROUP_N: u32;
// Vectors of four channels that each of them computes.
override M_VECTORS: u32;
// Depth of a tile, and by how many vectors its rows are longer than needed: 1 keeps a column out of a single memory bank.
override DEPTH: u32;
override PAD: u32;
override THREADS: u32 = GROUP_M * GROUP_N;
// Vectors of a row of the tile of w.
override P_WIDTH: u32 = GROUP_M * M_VECTORS;
override P_PITCH: u32 = P_WIDTH + PAD;
override IN_AREA: u32 = IN_H * IN_W;
override OUT_AREA: u32 = OUT_H * OUT_W;

const NOWHERE = 0xffffffffu;

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

// Places in y of four points, without the channel; those past the end are nowhere.
fn places(p: vec4<u32>, points: u32, rows: u32, columns: u32, phase_h: u32, phase_w: u32) -> vec4<u32> {
    let row = phase_h + p / columns % rows * STEP_H;
    let at = p / (rows * columns) * (M * OUT_AREA) + row * OUT_W + phase_w + p % columns * STEP_W;
    return select(vec4<u32>(NOWHERE), at, p < vec4<u32>(points));
}

fn outer(sum: mat4x4<f32>, p: vec4<f32>, q: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(sum[0] + p.x * q, sum[1] + p.y * q, sum[2] + p.z * q, sum[3] + p.w * q);
}

