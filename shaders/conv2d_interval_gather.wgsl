// conv2d_interval_gather: for a box, y1 from x1 with w (+ bias[m] with BIAS) and y2 from x2 with |w| in one pass over w, where
// y[n, m, i, j] = Σ_(t,s,r) w(m,r,t,s) · x[n, r, h, v], terms outside x being 0: a convolution, or its gradient with respect to the input.
// x1, x2 [BATCH,R,IN_H,IN_W], y1, y2 [BATCH,M,OUT_H,OUT_W]. Without BIAS `bias` is not read.
// One workgroup computes 4·GROUP_M·M_VECTORS channels × 4·GROUP_N points.

override BIAS: bool;
// Vectors of a row of the tiles of x. Element e of vector v is column v + e·Q_WIDTH, so that neighbours in memory are neighbouring
// invocations.
override Q_WIDTH: u32 = GROUP_N;
override Q_PITCH: u32 = Q_WIDTH + PAD;

@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read> x2: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y1: array<f32>;
@group(0) @binding(5) var<storage, read_write> y2: array<f32>;

var<workgroup> p_tile: array<vec4<f32>, DEPTH * P_PITCH>;
var<workgroup> q_tile: array<vec4<f32>, DEPTH * Q_PITCH>;
var<workgroup> t_tile: array<vec4<f32>, DEPTH * Q_PITCH>;

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

// The channels of vector v of the tile whose first is m0.
fn store_block(m0: u32, v: u32, at: vec4<u32>, center: mat4x4<f32>, radius: mat4x4<f32>) {
    store_row(m0 + channel(v, 0u), at, center[0], radius[0]);
    store_row(m0 + channel(v, 1u), at, center[1], radius[1]);
    store_row(m0 + channel(v, 2u), at, center[2], radius[2]);
    store_row(m0 + channel(v, 3u), at, center[3], radius[3]);
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
            let at = place_in_tile(e);
            let k = k0 + at.x;
            let tap = k / R;
            let u = (rows.w_first + tap / columns_taps * PERIOD_H) * KW + columns.w_first + tap % columns_taps * PERIOD_W;
            p_tile[at.x * P_PITCH + at.y] = load_w(m0, at.y, k % R, u, k < depth);
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
    store_block(m0, local.y, at, c0, r0);
    if M_VECTORS == 2u {
        store_block(m0, GROUP_M + local.y, at, c1, r1);
    }
}
