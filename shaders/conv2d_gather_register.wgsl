// conv2d_gather_register: for every point (i,j) of a grid of ROWS × COLUMNS,
// y[n, m, i·OUT_STEP_H + OUT_FIRST_H, j·OUT_STEP_W + OUT_FIRST_W]
//   = Σ_(r,t,s) w(m,r,t,s) · x[n, r, i·STEP_H + FIRST_H + t·TAP_H, j·STEP_W + FIRST_W + s·TAP_W], terms outside x being 0,
// with w(m,r,t,s) at W_FIRST + m·W_M + r·W_R + t·W_H + s·W_W (its absolute value with ABS_W).
// For adapters that are CPUs: a large register tile per invocation and no workgroup memory, since there a load costs some
// hundred multiply-adds and a barrier saves none.
// This is a convolution (all taps, dense y), and also its gradient with respect to the input: with stride S, the pixels of one
// remainder (row mod S, column mod S) are reached by the same taps, so that each of the S² remainders is one such call with w read
// the other way round.
// Then: BIAS adds extra[m], RELU cuts at 0, MASKED zeroes where extra at y's place is ≤ 0. With none of these `extra` is not read.
// x [BATCH,R,IN_H,IN_W], y [BATCH,M,OUT_H,OUT_W].
// One invocation computes 8 channels × 16 points; grid: ceil(ceil(M/8)·ceil(points/16) / GROUP) groups, folded into x and y.

override BATCH: u32;
override M: u32;
override R: u32;
override TAPS_H: u32;
override TAPS_W: u32;
override W_M: u32;
override W_R: u32;
override W_H: u32;
override W_W: u32;
override W_FIRST: u32;
override IN_H: u32;
override IN_W: u32;
override STEP_H: i32;
override STEP_W: i32;
override FIRST_H: i32;
override FIRST_W: i32;
override TAP_H: i32;
override TAP_W: i32;
override ROWS: u32;
override COLUMNS: u32;
override OUT_H: u32;
override OUT_W: u32;
override OUT_STEP_H: u32;
override OUT_STEP_W: u32;
override OUT_FIRST_H: u32;
override OUT_FIRST_W: u32;
override ABS_W: bool;
override BIAS: bool;
override RELU: bool;
override MASKED: bool;
override GROUP: u32;
override POINTS: u32 = BATCH * ROWS * COLUMNS;
override IN_AREA: u32 = IN_H * IN_W;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> extra: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const CHANNELS = 8u;
// Vectors of four points.
const VECTORS = 4u;

// Place in y of channel m at point p.
fn place(m: u32, p: u32) -> u32 {
    let i = p / COLUMNS % ROWS;
    let j = p % COLUMNS;
    return ((p / (ROWS * COLUMNS) * M + m) * OUT_H + i * OUT_STEP_H + OUT_FIRST_H) * OUT_W + j * OUT_STEP_W + OUT_FIRST_W;
}

fn store(m: u32, p: u32, sum: f32) {
    if m >= M || p >= POINTS {
        return;
    }
    let at = place(m, p);
    var v = sum;
    if BIAS {
        v += extra[m];
    }
    if RELU {
        v = select(v, 0.0, v < 0.0);
    }
    if MASKED {
        v = select(0.0, v, extra[at] > 0.0);
    }
    y[at] = v;
}

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let tiles = (POINTS + 4u * VECTORS - 1u) / (4u * VECTORS);
    let tile = (group.y * groups.x + group.x) * GROUP + local;
    let m0 = tile / tiles * CHANNELS;
    if m0 >= M {
        return;
    }
    let p0 = tile % tiles * (4u * VECTORS);
    // Channels and points past the end read the last one; their sums are not stored.
    var w_at: array<u32, CHANNELS>;
    for (var c = 0u; c < CHANNELS; c++) {
        w_at[c] = W_FIRST + min(m0 + c, M - 1u) * W_M;
    }
    var h0: array<vec4<i32>, VECTORS>;
    var v0: array<vec4<i32>, VECTORS>;
    var image: array<vec4<u32>, VECTORS>;
    for (var i = 0u; i < VECTORS; i++) {
        let p = min(vec4<u32>(p0 + 4u * i) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(POINTS - 1u));
        h0[i] = vec4<i32>(p / COLUMNS % ROWS) * STEP_H + FIRST_H;
        v0[i] = vec4<i32>(p % COLUMNS) * STEP_W + FIRST_W;
        image[i] = p / (ROWS * COLUMNS) * (R * IN_AREA);
    }
    var acc: array<array<vec4<f32>, VECTORS>, CHANNELS>;
    // Taps outside, channels inside: where a tap falls is worked out once for all channels.
    for (var t = 0u; t < TAPS_H; t++) {
        for (var s = 0u; s < TAPS_W; s++) {
            var x_at: array<vec4<u32>, VECTORS>;
            var inside: array<vec4<bool>, VECTORS>;
            for (var i = 0u; i < VECTORS; i++) {
                // A negative coordinate wraps to a large one.
                let h = vec4<u32>(h0[i] + i32(t) * TAP_H);
                let v = vec4<u32>(v0[i] + i32(s) * TAP_W);
                inside[i] = (h < vec4<u32>(IN_H)) & (v < vec4<u32>(IN_W));
                x_at[i] = select(vec4<u32>(0u), image[i] + h * IN_W + v, inside[i]);
            }
            for (var r = 0u; r < R; r++) {
                var q: array<vec4<f32>, VECTORS>;
                for (var i = 0u; i < VECTORS; i++) {
                    let at = x_at[i] + r * IN_AREA;
                    q[i] = select(vec4<f32>(), vec4<f32>(x[at.x], x[at.y], x[at.z], x[at.w]), inside[i]);
                }
                let tap = r * W_R + t * W_H + s * W_W;
                for (var c = 0u; c < CHANNELS; c++) {
                    let v = w[w_at[c] + tap];
                    let p = select(v, abs(v), ABS_W);
                    for (var i = 0u; i < VECTORS; i++) {
                        acc[c][i] += p * q[i];
                    }
                }
            }
        }
    }
    for (var c = 0u; c < CHANNELS; c++) {
        for (var i = 0u; i < VECTORS; i++) {
            for (var e = 0u; e < 4u; e++) {
                store(m0 + c, p0 + 4u * i + e, acc[c][i][e]);
            }
        }
    }
}
