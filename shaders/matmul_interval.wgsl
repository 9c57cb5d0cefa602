// matmul_interval: the image of a box under a matrix, c1[m,n] = Σ_k a1[m,k] · b[k,n] (+ bias[C_FIRST + n] with BIAS) and
// c2[m,n] = Σ_k a2[m,k] · |b[k,n]|, from tiles in workgroup memory that hold b once for both.
// a1[m,k], a2[m,k] are at A_FIRST + m·A_M + k·A_K, b[k,n] at k·B_K + n·B_N, c1[m,n], c2[m,n] at C_FIRST + m·C_M + n. ACCUMULATE adds the old
// values. Without BIAS `bias` is not read.
// In parts: part z sums the k from z·PART_K on and goes to c1, c2 at z·C_PART; `sum_partials` adds them in order.
// One workgroup computes 4·GROUP_M·M_VECTORS × 4·GROUP_N elements of one part; grid: x and y hold the tiles, z the parts.

override M: u32;
override N: u32;
override K: u32;
override A_M: u32;
override A_K: u32;
override A_FIRST: u32;
override B_K: u32;
override B_N: u32;
override C_M: u32;
override C_FIRST: u32;
// Length of a part of k, and from one part to the next in c.
override PART_K: u32;
override C_PART: u32;
override BIAS: bool;
override ACCUMULATE: bool;
// Vectors of a row of the tile of columns. Element e of vector v is column v + e·Q_WIDTH.
override Q_WIDTH: u32 = GROUP_N;
override Q_PITCH: u32 = Q_WIDTH + PAD;

@group(0) @binding(0) var<storage, read> a1: array<f32>;
@group(0) @binding(1) var<storage, read> a2: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> c1: array<f32>;
@group(0) @binding(5) var<storage, read_write> c2: array<f32>;

var<workgroup> p_tile: array<vec4<f32>, DEPTH * P_PITCH>;
var<workgroup> s_tile: array<vec4<f32>, DEPTH * P_PITCH>;
var<workgroup> q_tile: array<vec4<f32>, DEPTH * Q_PITCH>;

// Elements past the end are zero.
fn load_b(k: u32, n: vec4<u32>, end: u32) -> vec4<f32> {
    let inside = (n < vec4<u32>(N)) & vec4<bool>(k < end);
    let at = select(vec4<u32>(0u), k * B_K + n * B_N, inside);
    return select(vec4<f32>(), vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]), inside);
}

fn store(m: u32, n: u32, part: u32, center: f32, radius: f32) {
    if m >= M || n >= N {
        return;
    }
    let at = part * C_PART + C_FIRST + m * C_M + n;
    var v = center;
    var r = radius;
    if BIAS {
        v += bias[C_FIRST + n];
    }
    if ACCUMULATE {
        v += c1[at];
        r += c2[at];
    }
    c1[at] = v;
    c2[at] = r;
}

fn store_row(m: u32, n: u32, part: u32, center: vec4<f32>, radius: vec4<f32>) {
    for (var e = 0u; e < 4u; e++) {
        store(m, n + e * Q_WIDTH, part, center[e], radius[e]);
    }
}

fn store_block(m: u32, n: u32, part: u32, center: mat4x4<f32>, radius: mat4x4<f32>) {
    store_row(m, n, part, center[0], radius[0]);
    store_row(m + P_WIDTH, n, part, center[1], radius[1]);
    store_row(m + 2u * P_WIDTH, n, part, center[2], radius[2]);
    store_row(m + 3u * P_WIDTH, n, part, center[3], radius[3]);
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
    let end = min((group.z + 1u) * PART_K, K);
    var center0 = mat4x4<f32>();
    var center1 = mat4x4<f32>();
    var radius0 = mat4x4<f32>();
    var radius1 = mat4x4<f32>();
    for (var k0 = group.z * PART_K; k0 < end; k0 += DEPTH) {
        for (var e = index; e < DEPTH * P_WIDTH; e += THREADS) {
            // Neighbouring invocations load along the axis that is contiguous in memory.
            let k = select(e / P_WIDTH, e % DEPTH, A_K == 1u);
            let v = select(e % P_WIDTH, e / DEPTH, A_K == 1u);
            let m = m0 + v + vec4<u32>(0u, 1u, 2u, 3u) * P_WIDTH;
            let inside = (m < vec4<u32>(M)) & vec4<bool>(k0 + k < end);
            let at = select(vec4<u32>(A_FIRST), A_FIRST + m * A_M + (k0 + k) * A_K, inside);
            p_tile[k * P_PITCH + v] = select(vec4<f32>(), vec4<f32>(a1[at.x], a1[at.y], a1[at.z], a1[at.w]), inside);
            s_tile[k * P_PITCH + v] = select(vec4<f32>(), vec4<f32>(a2[at.x], a2[at.y], a2[at.z], a2[at.w]), inside);
        }
        for (var e = index; e < DEPTH * Q_WIDTH; e += THREADS) {
            let k = select(e % DEPTH, e / Q_WIDTH, B_N == 1u);
            let v = select(e / DEPTH, e % Q_WIDTH, B_N == 1u);
            q_tile[k * Q_PITCH + v] = load_b(k0 + k, n0 + v + vec4<u32>(0u, 1u, 2u, 3u) * Q_WIDTH, end);
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let q = q_tile[k * Q_PITCH + local.x];
            center0 = outer(center0, p_tile[k * P_PITCH + local.y], q);
            radius0 = outer(radius0, s_tile[k * P_PITCH + local.y], abs(q));
            if M_VECTORS == 2u {
                center1 = outer(center1, p_tile[k * P_PITCH + GROUP_M + local.y], q);
                radius1 = outer(radius1, s_tile[k * P_PITCH + GROUP_M + local.y], abs(q));
            }
        }
        workgroupBarrier();
    }
    store_block(m0 + local.y, n0 + local.x, group.z, center0, radius0);
    if M_VECTORS == 2u {
        store_block(m0 + GROUP_M + local.y, n0 + local.x, group.z, center1, radius1);
    }
}
