// matmul: c[m,n] = Σ_k a[m,k] · b[k,n] over strided matrices, from tiles in workgroup memory.
// a[m,k] is at A_FIRST + m·A_M + k·A_K, b[k,n] at k·B_K + n·B_N (its absolute value with ABS_B), c[m,n] at C_FIRST + m·C_M + n.
// In parts: part z sums the k from z·PART_K on and goes to c at z·C_PART; `sum_partials` adds them in order.
// `matmul_extents` has what happens to a sum on its way to c.
// One workgroup computes 4·GROUP_M·M_VECTORS × 4·GROUP_N·N_VECTORS elements of one part; grid: x and y hold the tiles, z the parts.

// Vectors of four columns that an invocation computes: 1 or 2.
override N_VECTORS: u32;
// Vectors of a row of the tile of columns. Element e of vector v is column v + e·Q_WIDTH.
override Q_WIDTH: u32 = GROUP_N * N_VECTORS;
override Q_PITCH: u32 = Q_WIDTH + PAD;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;

var<workgroup> p_tile: array<vec4<f32>, DEPTH * P_PITCH>;
var<workgroup> q_tile: array<vec4<f32>, DEPTH * Q_PITCH>;

// Elements past the end are zero.
fn load_a(m: vec4<u32>, k: u32, end: u32) -> vec4<f32> {
    let inside = (m < vec4<u32>(M)) & vec4<bool>(k < end);
    let at = select(vec4<u32>(A_FIRST), A_FIRST + m * A_M + k * A_K, inside);
    return select(vec4<f32>(), vec4<f32>(a[at.x], a[at.y], a[at.z], a[at.w]), inside);
}

fn load_b(k: u32, n: vec4<u32>, end: u32) -> vec4<f32> {
    let inside = (n < vec4<u32>(N)) & vec4<bool>(k < end);
    let at = select(vec4<u32>(0u), k * B_K + n * B_N, inside);
    let v = vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]);
    return select(vec4<f32>(), select(v, abs(v), ABS_B), inside);
}

fn store_row(m: u32, n: u32, part: u32, sums: vec4<f32>) {
    for (var e = 0u; e < 4u; e++) {
        store(m, n + e * Q_WIDTH, part, sums[e]);
    }
}

fn store_block(m: u32, n: u32, part: u32, sums: mat4x4<f32>) {
    store_row(m, n, part, sums[0]);
    store_row(m + P_WIDTH, n, part, sums[1]);
    store_row(m + 2u * P_WIDTH, n, part, sums[2]);
    store_row(m + 3u * P_WIDTH, n, part, sums[3]);
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
    var s00 = mat4x4<f32>();
    var s01 = mat4x4<f32>();
    var s10 = mat4x4<f32>();
    var s11 = mat4x4<f32>();
    for (var k0 = group.z * PART_K; k0 < end; k0 += DEPTH) {
        for (var e = index; e < DEPTH * P_WIDTH; e += THREADS) {
            // Neighbouring invocations load along the axis that is contiguous in memory.
            let k = select(e / P_WIDTH, e % DEPTH, A_K == 1u);
            let v = select(e % P_WIDTH, e / DEPTH, A_K == 1u);
            let m = m0 + v + vec4<u32>(0u, 1u, 2u, 3u) * P_WIDTH;
            p_tile[k * P_PITCH + v] = load_a(m, k0 + k, end);
        }
        for (var e = index; e < DEPTH * Q_WIDTH; e += THREADS) {
            let k = select(e % DEPTH, e / Q_WIDTH, B_N == 1u);
            let v = select(e / DEPTH, e % Q_WIDTH, B_N == 1u);
            q_tile[k * Q_PITCH + v] = load_b(k0 + k, n0 + v + vec4<u32>(0u, 1u, 2u, 3u) * Q_WIDTH, end);
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
    let m = m0 + local.y;
    let n = n0 + local.x;
    store_block(m, n, group.z, s00);
    if N_VECTORS == 2u {
        store_block(m, n + GROUP_N, group.z, s01);
    }
    if M_VECTORS == 2u {
        store_block(m + GROUP_M, n, group.z, s10);
        if N_VECTORS == 2u {
            store_block(m + GROUP_M, n + GROUP_N, group.z, s11);
        }
    }
}
