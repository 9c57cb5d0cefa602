// matmul_wide: matmul for operands that can be read four words at a time: along an axis of step 1 (k if A_K is 1, else m; n if B_N is 1,
// else k) their extent, and along the other the step, are multiples of 4, as is A_FIRST.
// c[m,n] = Σ_k a[m,k] · b[k,n] over strided matrices, from tiles in workgroup memory.
// a[m,k] is at A_FIRST + m·A_M + k·A_K, b[k,n] at k·B_K + n·B_N (its absolute value with ABS_B), c[m,n] at C_FIRST + m·C_M + n.
// In parts: part z sums the k from z·PART_K on and goes to c at z·C_PART; `sum_partials` adds them in order.
// `matmul_extents` has what happens to a sum on its way to c.
// One workgroup computes 4·GROUP_M·M_VECTORS × 4·GROUP_N·N_VECTORS elements of one part; grid: x and y hold the tiles, z the parts.

// Vectors of four columns that an invocation computes: 1 or 2.
override N_VECTORS: u32;
// Vectors of a row of the tile of columns. Element e of vector v is row or column 4·v + e.
override Q_WIDTH: u32 = GROUP_N * N_VECTORS;
override Q_PITCH: u32 = Q_WIDTH + PAD;

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;

var<workgroup> p_tile: array<vec4<f32>, DEPTH * P_PITCH>;
var<workgroup> q_tile: array<vec4<f32>, DEPTH * Q_PITCH>;

// Four words of a from element (m,k) on, along the axis of step 1; zeros past the end, which no four words straddle.
fn load_a(m: u32, k: u32, end: u32) -> vec4<f32> {
    let inside = m < M && k < end;
    return select(vec4<f32>(), a[select(0u, (A_FIRST + m * A_M + k * A_K) / 4u, inside)], inside);
}

fn load_b(k: u32, n: u32, end: u32) -> vec4<f32> {
    let inside = n < N && k < end;
    let v = b[select(0u, (k * B_K + n * B_N) / 4u, inside)];
    return select(vec4<f32>(), select(v, abs(v), ABS_B), inside);
}

fn store_block(m: u32, n: u32, part: u32, sums: mat4x4<f32>) {
    for (var e = 0u; e < 4u; e++) {
        store(m, n + e, part, sums[0][e]);
        store(m + 1u, n + e, part, sums[1][e]);
        store(m + 2u, n + e, part, sums[2][e]);
        store(m + 3u, n + e, part, sums[3][e]);
    }
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
        if A_K == 1u {
            // Four rows, four words of each, turned on the way.
            for (var e = index; e < DEPTH / 4u * P_WIDTH; e += THREADS) {
                let k = e % (DEPTH / 4u) * 4u;
                let v = e / (DEPTH / 4u);
                let m = m0 + 4u * v;
                let turned = transpose(mat4x4<f32>(
                    load_a(m, k0 + k, end),
                    load_a(m + 1u, k0 + k, end),
                    load_a(m + 2u, k0 + k, end),
                    load_a(m + 3u, k0 + k, end),
                ));
                p_tile[k * P_PITCH + v] = turned[0];
                p_tile[(k + 1u) * P_PITCH + v] = turned[1];
                p_tile[(k + 2u) * P_PITCH + v] = turned[2];
                p_tile[(k + 3u) * P_PITCH + v] = turned[3];
            }
        } else {
            for (var e = index; e < DEPTH * P_WIDTH; e += THREADS) {
                p_tile[e / P_WIDTH * P_PITCH + e % P_WIDTH] = load_a(m0 + e % P_WIDTH * 4u, k0 + e / P_WIDTH, end);
            }
        }
        if B_N == 1u {
            for (var e = index; e < DEPTH * Q_WIDTH; e += THREADS) {
                q_tile[e / Q_WIDTH * Q_PITCH + e % Q_WIDTH] = load_b(k0 + e / Q_WIDTH, n0 + e % Q_WIDTH * 4u, end);
            }
        } else {
            for (var e = index; e < DEPTH / 4u * Q_WIDTH; e += THREADS) {
                let k = e % (DEPTH / 4u) * 4u;
                let v = e / (DEPTH / 4u);
                let n = n0 + 4u * v;
                let turned = transpose(mat4x4<f32>(
                    load_b(k0 + k, n, end),
                    load_b(k0 + k, n + 1u, end),
                    load_b(k0 + k, n + 2u, end),
                    load_b(k0 + k, n + 3u, end),
                ));
                q_tile[k * Q_PITCH + v] = turned[0];
                q_tile[(k + 1u) * Q_PITCH + v] = turned[1];
                q_tile[(k + 2u) * Q_PITCH + v] = turned[2];
                q_tile[(k + 3u) * Q_PITCH + v] = turned[3];
            }
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
    let m = m0 + 4u * local.y;
    let n = n0 + 4u * local.x;
    store_block(m, n, group.z, s00);
    if N_VECTORS == 2u {
        store_block(m, n + 4u * GROUP_N, group.z, s01);
    }
    if M_VECTORS == 2u {
        store_block(m + 4u * GROUP_M, n, group.z, s10);
        if N_VECTORS == 2u {
            store_block(m + 4u * GROUP_M, n + 4u * GROUP_N, group.z, s11);
        }
    }
}
