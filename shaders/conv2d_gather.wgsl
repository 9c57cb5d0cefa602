// conv2d_gather: a sum for every pixel of an image,
// y[n, m, i, j] = Σ_(t,s,r) w(m,r,t,s) · x[n, r, h, v], terms outside x being 0: a convolution, or its gradient with respect to the input.
// ABS_W takes |w|. Then: BIAS adds extra[m], RELU cuts at 0, MASKED zeroes where extra at y's place is ≤ 0. With none of these `extra` is
// not read. x [BATCH,R,IN_H,IN_W], y [BATCH,M,OUT_H,OUT_W]. One workgroup computes 4·GROUP_M·M_VECTORS channels × 4·GROUP_N·N_VECTORS points.

override ABS_W: bool;
override BIAS: bool;
override RELU: bool;
override MASKED: bool;
// Vectors of four points that an invocation computes.
override N_VECTORS: u32;
// Vectors of a row of the tile of x. Element e of vector v is column v + e·Q_WIDTH, so that neighbours in memory are neighbouring
// invocations.
override Q_WIDTH: u32 = GROUP_N * N_VECTORS;
override Q_PITCH: u32 = Q_WIDTH + PAD;

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> extra: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

var<workgroup> p_tile: array<vec4<f32>, DEPTH * P_PITCH>;
var<workgroup> q_tile: array<vec4<f32>, DEPTH * Q_PITCH>;

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

fn store_row(m: u32, at: vec4<u32>, sums: vec4<f32>) {
    if m < M {
        for (var e = 0u; e < 4u; e++) {
            if at[e] != NOWHERE {
                store(m, at[e], sums[e]);
            }
        }
    }
}

// The channels of vector v of the tile whose first is m0.
fn store_block(m0: u32, v: u32, at: vec4<u32>, sums: mat4x4<f32>) {
    store_row(m0 + channel(v, 0u), at, sums[0]);
    store_row(m0 + channel(v, 1u), at, sums[1]);
    store_row(m0 + channel(v, 2u), at, sums[2]);
    store_row(m0 + channel(v, 3u), at, sums[3]);
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
    var s00 = mat4x4<f32>();
    var s01 = mat4x4<f32>();
    var s10 = mat4x4<f32>();
    var s11 = mat4x4<f32>();
    for (var k0 = 0u; k0 < depth; k0 += DEPTH) {
        for (var e = index; e < DEPTH * P_WIDTH; e += THREADS) {
            let at = place_in_tile(e);
            let k = k0 + at.x;
            let tap = k / R;
            let u = (rows.w_first + tap / columns_taps * PERIOD_H) * KW + columns.w_first + tap % columns_taps * PERIOD_W;
            let v = load_w(m0, at.y, k % R, u, k < depth);
            p_tile[at.x * P_PITCH + at.y] = select(v, abs(v), ABS_W);
        }
        for (var e = index / Q_WIDTH; e < DEPTH; e += THREADS / Q_WIDTH) {
            let k = k0 + e;
            let tap = k / R;
            // A negative coordinate wraps to a large one.
            let h = vec4<u32>(h0 + i32(tap / columns_taps) * TAP_H);
            let v = vec4<u32>(v0 + i32(tap % columns_taps) * TAP_W);
            let inside = (h < vec4<u32>(IN_H)) & (v < vec4<u32>(IN_W)) & vec4<bool>(k < depth);
            let at = select(vec4<u32>(0u), image + k % R * IN_AREA + h * IN_W + v, inside);
            q_tile[e * Q_PITCH + lane] = select(vec4<f32>(), vec4<f32>(x[at.x], x[at.y], x[at.z], x[at.w]), inside);
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let p0 = p_tile[k * P_PITCH + local.y];
            let q0 = q_tile[k * Q_PITCH + local.x];
            s00 = outer(s00, p0, q0);
            if N_VECTORS == 2u {
                s01 = outer(s01, p0, q_tile[k * Q_PITCH + GROUP_N + local.x]);
            }
            if M_VECTORS == 2u {
                let p1 = p_tile[k * P_PITCH + GROUP_M + local.y];
                s10 = outer(s10, p1, q0);
                if N_VECTORS == 2u {
                    s11 = outer(s11, p1, q_tile[k * Q_PITCH + GROUP_N + local.x]);
                }
            }
        }
        workgroupBarrier();
    }
    let steps = vec4<u32>(0u, 1u, 2u, 3u) * Q_WIDTH;
    let at = places(p0 + local.x + steps, points, rows.points, columns.points, phase_h, phase_w);
    store_block(m0, local.y, at, s00);
    if M_VECTORS == 2u {
        store_block(m0, GROUP_M + local.y, at, s10);
    }
    if N_VECTORS == 2u {
        let further = places(p0 + GROUP_N + local.x + steps, points, rows.points, columns.points, phase_h, phase_w);
        store_block(m0, local.y, further, s01);
        if M_VECTORS == 2u {
            store_block(m0, GROUP_M + local.y, further, s11);
        }
    }
}
