// conv2d_gather_register: a sum for every pixel of an image,
// y[n, m, i, j] = Σ_(t,s,r) w(m,r,t,s) · x[n, r, h, v], terms outside x being 0: a convolution, or its gradient with respect to the input.
// Forward: w(m,r,t,s) at m·W_M + r·W_R + t·KW + s, h = i·STRIDE − PADDING + t·DILATION, v likewise.
// BACKWARD, where x is the gradient of the output and y that of the input: the pixels of one phase (i mod STRIDE, j mod STRIDE) are reached
// by the same taps, every PERIOD-th from a first one on, so that each phase is a convolution of stride 1 by some of the taps.
// For adapters that are CPUs: a large register tile per invocation and no workgroup memory, since there a load costs some
// hundred multiply-adds and a barrier saves none.
// Then: BIAS adds extra[m], RELU cuts at 0, MASKED zeroes where extra at y's place is ≤ 0. With none of these `extra` is not read.
// ABS_W takes |w|.
// x [BATCH,R,IN_H,IN_W], y [BATCH,M,OUT_H,OUT_W].
// One invocation computes 8 channels × 16 points, those from its own on in steps of GROUP; a workgroup 8 channels × 16·GROUP points.
// Grid: x and y hold ceil(M/8)·ceil(points/(16·GROUP)) groups for the points of the largest phase, z the phases.

override BACKWARD: bool;
override BATCH: u32;
override M: u32;
override R: u32;
override KH: u32;
override KW: u32;
override W_M: u32;
override W_R: u32;
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
override ABS_W: bool;
override BIAS: bool;
override RELU: bool;
override MASKED: bool;
override GROUP: u32;
override IN_AREA: u32 = IN_H * IN_W;
override OUT_AREA: u32 = OUT_H * OUT_W;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> extra: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const CHANNELS = 8u;
// Vectors of four points.
const VECTORS = 4u;

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

// Writes channel m at a point whose place in y, without the channel, is `at`.
fn store(m: u32, at: u32, sum: f32) {
    let to = m * OUT_AREA + at;
    var v = sum;
    if BIAS {
        v += extra[m];
    }
    if RELU {
        v = select(v, 0.0, v < 0.0);
    }
    if MASKED {
        v = select(0.0, v, extra[to] > 0.0);
    }
    y[to] = v;
}

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let phase_h = group.z / PHASES_W;
    let phase_w = group.z % PHASES_W;
    let rows = axis(phase_h, OUT_H, KH, STRIDE_H, PADDING_H, DILATION_H, PERIOD_H);
    let columns = axis(phase_w, OUT_W, KW, STRIDE_W, PADDING_W, DILATION_W, PERIOD_W);
    let points = BATCH * rows.points * columns.points;
    let m_tiles = (M + CHANNELS - 1u) / CHANNELS;
    let tile = group.y * groups.x + group.x;
    let m0 = tile % m_tiles * CHANNELS;
    let p0 = tile / m_tiles * (4u * VECTORS * GROUP) + local;
    if p0 >= points {
        return;
    }
    // Channels and points past the end read the last one; their sums are not stored.
    var w_at: array<u32, CHANNELS>;
    for (var c = 0u; c < CHANNELS; c++) {
        w_at[c] = min(m0 + c, M - 1u) * W_M;
    }
    var h0: array<vec4<i32>, VECTORS>;
    var v0: array<vec4<i32>, VECTORS>;
    var image: array<vec4<u32>, VECTORS>;
    for (var i = 0u; i < VECTORS; i++) {
        let p = min(p0 + (4u * i + vec4<u32>(0u, 1u, 2u, 3u)) * GROUP, vec4<u32>(points - 1u));
        h0[i] = vec4<i32>(p / columns.points % rows.points) * MOVE_H + rows.first;
        v0[i] = vec4<i32>(p % columns.points) * MOVE_W + columns.first;
        image[i] = p / (rows.points * columns.points) * (R * IN_AREA);
    }
    var acc: array<array<vec4<f32>, VECTORS>, CHANNELS>;
    // Taps outside, channels inside: where a tap falls is worked out once for all channels.
    for (var t = 0u; t < rows.taps; t++) {
        for (var s = 0u; s < columns.taps; s++) {
            var x_at: array<vec4<u32>, VECTORS>;
            var inside: array<vec4<bool>, VECTORS>;
            for (var i = 0u; i < VECTORS; i++) {
                // A negative coordinate wraps to a large one.
                let h = vec4<u32>(h0[i] + i32(t) * TAP_H);
                let v = vec4<u32>(v0[i] + i32(s) * TAP_W);
                inside[i] = (h < vec4<u32>(IN_H)) & (v < vec4<u32>(IN_W));
                x_at[i] = select(vec4<u32>(0u), image[i] + h * IN_W + v, inside[i]);
            }
            let tap = (rows.w_first + t * PERIOD_H) * KW + columns.w_first + s * PERIOD_W;
            for (var r = 0u; r < R; r++) {
                var q: array<vec4<f32>, VECTORS>;
                for (var i = 0u; i < VECTORS; i++) {
                    let at = x_at[i] + r * IN_AREA;
                    q[i] = select(vec4<f32>(), vec4<f32>(x[at.x], x[at.y], x[at.z], x[at.w]), inside[i]);
                }
                for (var c = 0u; c < CHANNELS; c++) {
                    let v = w[w_at[c] + r * W_R + tap];
                    let p = select(v, abs(v), ABS_W);
                    for (var i = 0u; i < VECTORS; i++) {
                        acc[c][i] += p * q[i];
                    }
                }
            }
        }
    }
    for (var i = 0u; i < VECTORS; i++) {
        for (var e = 0u; e < 4u; e++) {
            let p = p0 + (4u * i + e) * GROUP;
            if p < points {
                let row = phase_h + p / columns.points % rows.points * STEP_H;
                let at = p / (rows.points * columns.points) * (M * OUT_AREA) + row * OUT_W + phase_w + p % columns.points * STEP_W;
                for (var c = 0u; c < CHANNELS; c++) {
                    if m0 + c < M {
                        store(m0 + c, at, acc[c][i][e]);
                    }
                }
            }
        }
    }
}
