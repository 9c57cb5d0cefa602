// conv2d_interval_gather: for a box, y1 from x1 with w (+ bias[m] with BIAS) and y2 from x2 with |w| in one pass over w, where
// y[n, m, i, j] = Σ_(t,s,r) w(m,r,t,s) · x[n, r, h, v], terms outside x being 0: a convolution, or its gradient with respect to the input.
// Forward: w(m,r,t,s) at m·W_M + r·W_R + t·KW + s, h = i·STRIDE − PADDING + t·DILATION, v likewise.
// BACKWARD, where x is the gradient of the output and y that of the input: the pixels of one phase (i mod STRIDE, j mod STRIDE) are reached
// by the same taps, every PERIOD-th from a first one on, so that each phase is a convolution of stride 1 by some of the taps.
// x1, x2 [BATCH,R,IN_H,IN_W], y1, y2 [BATCH,M,OUT_H,OUT_W]. Without BIAS `bias` is not read.
// An implicit matrix product: rows m, columns the points of all images, depth (t,s,r). One workgroup computes 4·GROUP_M·M_VECTORS
// channels × 4·GROUP_N points from tiles in workgroup memory; grid: x and y hold the tiles of the largest phase, z the phases.

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
override BIAS: bool;
// A workgroup has GROUP_M × GROUP_N invocations, each of which computes 4·M_VECTORS × 4 elements (the factor is 1 or 2).
override GROUP_M: u32;
override GROUP_N: u32;
override M_VECTORS: u32;
// Depth of a tile, and by how many vectors its rows are longer than needed: 1 keeps a column out of a single memory bank.
override DEPTH: u32;
override PAD: u32;
override THREADS: u32 = GROUP_M * GROUP_N;
// Vectors of a tile's row. Element e of vector v is row or column v + e·P_WIDTH (Q_WIDTH), so that neighbours in memory are
// neighbouring invocations.
override P_WIDTH: u32 = GROUP_M * M_VECTORS;
override Q_WIDTH: u32 = GROUP_N;
override P_PITCH: u32 = P_WIDTH + PAD;
override Q_PITCH: u32 = Q_WIDTH + PAD;
override IN_AREA: u32 = IN_H * IN_W;
override OUT_AREA: u32 = OUT_H * OUT_W;

@group(0) @binding(0) var<storage, read> x1: array<f32>;
@group(0) @binding(1) var<storage, read> x2: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y1: array<f32>;
@group(0) @binding(5) var<storage, read_write> y2: array<f32>;

var<workgroup> p_tile: array<vec4<f32>, DEPTH * P_PITCH>;
var<workgroup> q_tile: array<vec4<f32>, DEPTH * Q_PITCH>;
var<workgroup> t_tile: array<vec4<f32>, DEPTH * Q_PITCH>;

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

// Elements past the end are zero.
fn load_w(m: vec4<u32>, place: u32, inside: bool) -> vec4<f32> {
    let there = (m < vec4<u32>(M)) & vec4<bool>(inside);
    let at = select(vec4<u32>(0u), m * W_M + place, there);
    let v = vec4<f32>(w[at.x], w[at.y], w[at.z], w[at.w]);
    return select(vec4<f32>(), v, there);
}

// Places in y of four points, without the channel; those past the end are nowhere.
fn places(p: vec4<u32>, points: u32, rows: u32, columns: u32, phase_h: u32, phase_w: u32) -> vec4<u32> {
    let row = phase_h + p / columns % rows * STEP_H;
    let at = p / (rows * columns) * (M * OUT_AREA) + row * OUT_W + phase_w + p % columns * STEP_W;
    return select(vec4<u32>(NOWHERE), at, p < vec4<u32>(points));
}

fn store_row(m: u32, at: vec4<u32>, center: vec4<f32>, radius: vec4<f32>) {
    if m < M {
        for (var e = 0u; e < 4u; e++) {
            if at[e] != NOWHERE {
                let to = m * OUT_AREA + at[e];
                var v = center[e];
                if BIAS {
                    v += bias[m];
                }
                y1[to] = v;
                y2[to] = radius[e];
            }
        }
    }
}

fn store_block(m: u32, at: vec4<u32>, center: mat4x4<f32>, radius: mat4x4<f32>) {
    store_row(m, at, center[0], radius[0]);
    store_row(m + P_WIDTH, at, center[1], radius[1]);
    store_row(m + 2u * P_WIDTH, at, center[2], radius[2]);
    store_row(m + 3u * P_WIDTH, at, center[3], radius[3]);
}

fn outer(sum: mat4x4<f32>, p: vec4<f32>, q: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(sum[0] + p.x * q, sum[1] + p.y * q, sum[2] + p.z * q, sum[3] + p.w * q);
}

@compute @workgroup_size(GROUP_N, GROUP_M)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let phase_h = group.z / PHASES_W;
    let phase_w = group.z % PHASES_W;
    let rows = axis(phase_h, OUT_H, KH, STRIDE_H, PADDING_H, DILATION_H, PERIOD_H);
    let columns = axis(phase_w, OUT_W, KW, STRIDE_W, PADDING_W, DILATION_W, PERIOD_W);
    let points = BATCH * rows.points * columns.points;
    let taps = rows.taps * columns.taps;
    let depth = R * taps;
    let m_tiles = (M + 4u * P_WIDTH - 1u) / (4u * P_WIDTH);
    let tile = group.y * groups.x + group.x;
    let m0 = tile % m_tiles * (4u * P_WIDTH);
    let p0 = tile / m_tiles * (4u * Q_WIDTH);
    // The four points that this invocation loads. Those past the end read the last one and are not stored.
    let lane = index % Q_WIDTH;
    let p = min(p0 + lane + vec4<u32>(0u, 1u, 2u, 3u) * Q_WIDTH, vec4<u32>(points - 1u));
    let h0 = vec4<i32>(p / columns.points % rows.points) * MOVE_H + rows.first;
    let v0 = vec4<i32>(p % columns.points) * MOVE_W + columns.first;
    let image = p / (rows.points * columns.points) * (R * IN_AREA);
    let columns_taps = max(columns.taps, 1u);
    var c0 = mat4x4<f32>();
    var c1 = mat4x4<f32>();
    var r0 = mat4x4<f32>();
    var r1 = mat4x4<f32>();
    for (var k0 = 0u; k0 < depth; k0 += DEPTH) {
        for (var e = index; e < DEPTH * P_WIDTH; e += THREADS) {
            let k = k0 + e % DEPTH;
            let tap = k / R;
            let place = k % R * W_R + (rows.w_first + tap / columns_taps * PERIOD_H) * KW + columns.w_first + tap % columns_taps * PERIOD_W;
            let m = m0 + e / DEPTH + vec4<u32>(0u, 1u, 2u, 3u) * P_WIDTH;
            p_tile[e % DEPTH * P_PITCH + e / DEPTH] = load_w(m, place, k < depth);
        }
        for (var e = index / Q_WIDTH; e < DEPTH; e += THREADS / Q_WIDTH) {
            let k = k0 + e;
            let tap = k / R;
            // A negative coordinate wraps to a large one.
            let h = vec4<u32>(h0 + i32(tap / columns_taps) * TAP_H);
            let v = vec4<u32>(v0 + i32(tap % columns_taps) * TAP_W);
            let inside = (h < vec4<u32>(IN_H)) & (v < vec4<u32>(IN_W)) & vec4<bool>(k < depth);
            let at = select(vec4<u32>(0u), image + k % R * IN_AREA + h * IN_W + v, inside);
            q_tile[e * Q_PITCH + lane] = select(vec4<f32>(), vec4<f32>(x1[at.x], x1[at.y], x1[at.z], x1[at.w]), inside);
            t_tile[e * Q_PITCH + lane] = select(vec4<f32>(), vec4<f32>(x2[at.x], x2[at.y], x2[at.z], x2[at.w]), inside);
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let p0 = p_tile[k * P_PITCH + local.y];
            let q0 = q_tile[k * Q_PITCH + local.x];
            let t0 = t_tile[k * Q_PITCH + local.x];
            c0 = outer(c0, p0, q0);
            r0 = outer(r0, abs(p0), t0);
            if M_VECTORS == 2u {
                let p1 = p_tile[k * P_PITCH + GROUP_M + local.y];
                c1 = outer(c1, p1, q0);
                r1 = outer(r1, abs(p1), t0);
            }
        }
        workgroupBarrier();
    }
    let steps = vec4<u32>(0u, 1u, 2u, 3u) * Q_WIDTH;
    let at = places(p0 + local.x + steps, points, rows.points, columns.points, phase_h, phase_w);
    store_block(m0 + local.y, at, c0, r0);
    if M_VECTORS == 2u {
        store_block(m0 + GROUP_M + local.y, at, c1, r1);
    }
}
