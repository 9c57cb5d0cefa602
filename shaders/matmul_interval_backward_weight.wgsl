// matmul_interval_backward_weight: the weight gradient of a linear layer on a box,
// out[m,n] = Σ_k g1[k,m] · x1[k,n] + sign(w[m,n]) · Σ_k g2[k,m] · x2[k,n], sign(0) = 0 (the first term after the old out with
// ACCUMULATE), from tiles in workgroup memory.
// g1[k,m], g2[k,m] are at G_FIRST + k·G_K + m; x1, x2 [K,N], w, out [M,N].
// One workgroup computes 4·GROUP_M·M_VECTORS × 4·GROUP_N elements; grid: the tiles, folded into x and y.

override M: u32;
override N: u32;
override K: u32;
override G_FIRST: u32;
override G_K: u32;
override ACCUMULATE: bool;
// Vectors of a row of the tile of columns. Element e of vector v is column v + e·Q_WIDTH.
override Q_WIDTH: u32 = GROUP_N;
override Q_PITCH: u32 = Q_WIDTH + PAD;

@group(0) @binding(0) var<storage, read> x1: array<f32>;
@group(0) @binding(1) var<storage, read> x2: array<f32>;
@group(0) @binding(2) var<storage, read> g1: array<f32>;
@group(0) @binding(3) var<storage, read> g2: array<f32>;
@group(0) @binding(4) var<storage, read> w: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

var<workgroup> p_tile: array<vec4<f32>, DEPTH * P_PITCH>;
var<workgroup> s_tile: array<vec4<f32>, DEPTH * P_PITCH>;
var<workgroup> q_tile: array<vec4<f32>, DEPTH * Q_PITCH>;
var<workgroup> t_tile: array<vec4<f32>, DEPTH * Q_PITCH>;

fn store(m: u32, n: u32, center: f32, radius: f32) {
    if m >= M || n >= N {
        return;
    }
    let at = m * N + n;
    let s = w[at];
    var v = center;
    if ACCUMULATE {
        v += out[at];
    }
    out[at] = v + (f32(s > 0.0) - f32(s < 0.0)) * radius;
}

fn store_row(m: u32, n: u32, center: vec4<f32>, radius: vec4<f32>) {
    for (var e = 0u; e < 4u; e++) {
        store(m, n + e * Q_WIDTH, center[e], radius[e]);
    }
}

fn store_block(m: u32, n: u32, center: mat4x4<f32>, radius: mat4x4<f32>) {
    store_row(m, n, center[0], radius[0]);
    store_row(m + P_WIDTH, n, center[1], radius[1]);
    store_row(m + 2u * P_WIDTH, n, center[2], radius[2]);
    store_row(m + 3u * P_WIDTH, n, center[3], radius[3]);
}

@compute @workgroup_size(GROUP_N, GROUP_M)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let m_tiles = (M + 4u * P_WIDTH - 1u) / (4u * P_WIDTH);
    let tile = group.y * groups.x + group.x;
    let m0 = tile % m_tiles * (4u * P_WIDTH);
    let n0 = tile / m_tiles * (4u * Q_WIDTH);
    var c0 = mat4x4<f32>();
    var c1 = mat4x4<f32>();
    var r0 = mat4x4<f32>();
    var r1 = mat4x4<f32>();
    for (var k0 = 0u; k0 < K; k0 += DEPTH) {
        for (var e = index; e < DEPTH * P_WIDTH; e += THREADS) {
            let k = k0 + e / P_WIDTH;
            let m = m0 + e % P_WIDTH + vec4<u32>(0u, 1u, 2u, 3u) * P_WIDTH;
            let inside = (m < vec4<u32>(M)) & vec4<bool>(k < K);
            let at = select(vec4<u32>(G_FIRST), G_FIRST + k * G_K + m, inside);
            let to = e / P_WIDTH * P_PITCH + e % P_WIDTH;
            p_tile[to] = select(vec4<f32>(), vec4<f32>(g1[at.x], g1[at.y], g1[at.z], g1[at.w]), inside);
            s_tile[to] = select(vec4<f32>(), vec4<f32>(g2[at.x], g2[at.y], g2[at.z], g2[at.w]), inside);
        }
        for (var e = index; e < DEPTH * Q_WIDTH; e += THREADS) {
            let k = k0 + e / Q_WIDTH;
            let n = n0 + e % Q_WIDTH + vec4<u32>(0u, 1u, 2u, 3u) * Q_WIDTH;
            let inside = (n < vec4<u32>(N)) & vec4<bool>(k < K);
            let at = select(vec4<u32>(0u), k * N + n, inside);
            let to = e / Q_WIDTH * Q_PITCH + e % Q_WIDTH;
            q_tile[to] = select(vec4<f32>(), vec4<f32>(x1[at.x], x1[at.y], x1[at.z], x1[at.w]), inside);
            t_tile[to] = select(vec4<f32>(), vec4<f32>(x2[at.x], x2[at.y], x2[at.z], x2[at.w]), inside);
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let p0 = p_tile[k * P_PITCH + local.y];
            let q0 = q_tile[k * Q_PITCH + local.x];
            let t0 = t_tile[k * Q_PITCH + local.x];
            c0 = outer(c0, p0, q0);
            r0 = outer(r0, s_tile[k * P_PITCH + local.y], t0);
            if M_VECTORS == 2u {
                let p1 = p_tile[k * P_PITCH + GROUP_M + local.y];
                c1 = outer(c1, p1, q0);
                r1 = outer(r1, s_tile[k * P_PITCH + GROUP_M + local.y], t0);
            }
        }
        workgroupBarrier();
    }
    store_block(m0 + local.y, n0 + local.x, c0, r0);
    if M_VECTORS == 2u {
        store_block(m0 + GROUP_M + local.y, n0 + local.x, c1, r1);
    }
}
