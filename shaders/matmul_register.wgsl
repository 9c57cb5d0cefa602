// matmul_register: c[m,n] = Σ_k a[m,k] · b[k,n] over strided matrices, for adapters that are CPUs: a large register tile per
// invocation and no workgroup memory, since there a load costs some hundred multiply-adds and a barrier saves none.
// a[m,k] is at A_FIRST + m·A_M + k·A_K, b[k,n] at k·B_K + n·B_N (its absolute value with ABS_B), c[m,n] at C_FIRST + m·C_M + n.
// In parts: part z sums the k from z·PART_K on and goes to c at z·C_PART; `sum_partials` adds them in order.
// Then, in this order: BIAS adds extra[C_FIRST + n], SIGNED multiplies by sign(extra) at c's place, ACCUMULATE adds the old c,
// RELU cuts at 0, MASKED zeroes where extra at c's place is ≤ 0. With none of these `extra` is not read.
// One invocation computes 8 × 16 elements of one part; grid: x and y hold ceil(ceil(M/8)·ceil(N/16) / GROUP) groups, z the parts.

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
override ABS_B: bool;
override BIAS: bool;
override SIGNED: bool;
override ACCUMULATE: bool;
override RELU: bool;
override MASKED: bool;
override GROUP: u32;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> extra: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

const ROWS = 8u;
// Vectors of four columns.
const VECTORS = 4u;

// Writes one element; what the flags ask for happens in their order above.
fn store(m: u32, n: u32, part: u32, sum: f32) {
    if m >= M || n >= N {
        return;
    }
    let at = part * C_PART + C_FIRST + m * C_M + n;
    var v = sum;
    if BIAS {
        v += extra[C_FIRST + n];
    }
    if SIGNED {
        let s = extra[at];
        v *= f32(s > 0.0) - f32(s < 0.0);
    }
    if ACCUMULATE {
        v += c[at];
    }
    if RELU {
        v = select(v, 0.0, v < 0.0);
    }
    if MASKED {
        v = select(0.0, v, extra[at] > 0.0);
    }
    c[at] = v;
}

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let n_tiles = (N + 4u * VECTORS - 1u) / (4u * VECTORS);
    let tile = (group.y * groups.x + group.x) * GROUP + local;
    let m0 = tile / n_tiles * ROWS;
    if m0 >= M {
        return;
    }
    let n0 = tile % n_tiles * (4u * VECTORS);
    // Rows and columns past the end read the last one; their sums are not stored.
    var a_at: array<u32, ROWS>;
    for (var i = 0u; i < ROWS; i++) {
        a_at[i] = A_FIRST + min(m0 + i, M - 1u) * A_M;
    }
    var b_at: array<vec4<u32>, VECTORS>;
    for (var j = 0u; j < VECTORS; j++) {
        b_at[j] = min(vec4<u32>(n0 + 4u * j) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(N - 1u)) * B_N;
    }
    var acc: array<array<vec4<f32>, VECTORS>, ROWS>;
    for (var k = group.z * PART_K; k < min((group.z + 1u) * PART_K, K); k++) {
        var q: array<vec4<f32>, VECTORS>;
        for (var j = 0u; j < VECTORS; j++) {
            let at = b_at[j] + k * B_K;
            let v = vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]);
            q[j] = select(v, abs(v), ABS_B);
        }
        for (var i = 0u; i < ROWS; i++) {
            let p = a[a_at[i] + k * A_K];
            for (var j = 0u; j < VECTORS; j++) {
                acc[i][j] += p * q[j];
            }
        }
    }
    for (var i = 0u; i < ROWS; i++) {
        for (var j = 0u; j < VECTORS; j++) {
            for (var e = 0u; e < 4u; e++) {
                store(m0 + i, n0 + 4u * j + e, group.z, acc[i][j][e]);
            }
        }
    }
}
