// matmul: c[m,n] = Σ_k a[m,k] · b[k,n] over strided matrices, each invocation 4 × 4 elements from tiles in workgroup memory.
// a[m,k] is at A_FIRST + m·A_M + k·A_K, b[k,n] at k·B_K + n·B_N (its absolute value with ABS_B), c[m,n] at C_FIRST + m·C_M + n.
// Then, in this order: BIAS adds extra[C_FIRST + n], SIGNED multiplies by sign(extra) at c's place, ACCUMULATE adds the old c,
// RELU cuts at 0, MASKED zeroes where extra at c's place is ≤ 0. With none of these `extra` is not read.
// One workgroup computes 4·TILE × 4·TILE elements; grid: ceil(M/(4·TILE))·ceil(N/(4·TILE)) groups, folded into x and y.

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
override ABS_B: bool;
override BIAS: bool;
override SIGNED: bool;
override ACCUMULATE: bool;
override RELU: bool;
override MASKED: bool;
// Invocations along one side of a workgroup, depth of a tile, and a quarter of its side; a multiple of 4.
override TILE: u32;
// Length of a tile's row: one more than needed, so that a column does not fall into one memory bank.
override PITCH: u32 = TILE + 1u;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> extra: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

var<workgroup> p_tile: array<vec4<f32>, TILE * PITCH>;
var<workgroup> q_tile: array<vec4<f32>, TILE * PITCH>;

// Elements past the end are zero.
fn load_a(m: u32, k: u32) -> f32 {
    if m < M && k < K {
        return a[A_FIRST + m * A_M + k * A_K];
    }
    return 0.0;
}

fn load_b(k: u32, n: u32) -> f32 {
    if n < N && k < K {
        let v = b[k * B_K + n * B_N];
        return select(v, abs(v), ABS_B);
    }
    return 0.0;
}

// Writes one element; what the flags ask for happens in their order above.
fn store(m: u32, n: u32, sum: f32) {
    if m >= M || n >= N {
        return;
    }
    let at = C_FIRST + m * C_M + n;
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

@compute @workgroup_size(TILE, TILE)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let tile = group.y * groups.x + group.x;
    let m_tiles = (M + 4u * TILE - 1u) / (4u * TILE);
    let m0 = tile % m_tiles * 4u * TILE;
    let n0 = tile / m_tiles * 4u * TILE;
    // Neighbouring invocations load along the axis that is contiguous in memory.
    let a_k = select(local.y, local.x, A_K == 1u);
    let a_m = select(local.x, local.y, A_K == 1u);
    let b_k = select(local.x, local.y, B_N == 1u);
    let b_n = select(local.y, local.x, B_N == 1u);
    let am = m0 + 4u * a_m;
    let bn = n0 + 4u * b_n;
    var acc0 = vec4<f32>();
    var acc1 = vec4<f32>();
    var acc2 = vec4<f32>();
    var acc3 = vec4<f32>();
    for (var k0 = 0u; k0 < K; k0 += TILE) {
        let ka = k0 + a_k;
        p_tile[a_k * PITCH + a_m] = vec4<f32>(load_a(am, ka), load_a(am + 1u, ka), load_a(am + 2u, ka), load_a(am + 3u, ka));
        let kb = k0 + b_k;
        q_tile[b_k * PITCH + b_n] = vec4<f32>(load_b(kb, bn), load_b(kb, bn + 1u), load_b(kb, bn + 2u), load_b(kb, bn + 3u));
        workgroupBarrier();
        for (var k = 0u; k < TILE; k += 4u) {
            let p0 = p_tile[k * PITCH + local.y];
            let q0 = q_tile[k * PITCH + local.x];
            acc0 += p0.x * q0;
            acc1 += p0.y * q0;
            acc2 += p0.z * q0;
            acc3 += p0.w * q0;
            let p1 = p_tile[(k + 1u) * PITCH + local.y];
            let q1 = q_tile[(k + 1u) * PITCH + local.x];
            acc0 += p1.x * q1;
            acc1 += p1.y * q1;
            acc2 += p1.z * q1;
            acc3 += p1.w * q1;
            let p2 = p_tile[(k + 2u) * PITCH + local.y];
            let q2 = q_tile[(k + 2u) * PITCH + local.x];
            acc0 += p2.x * q2;
            acc1 += p2.y * q2;
            acc2 += p2.z * q2;
            acc3 += p2.w * q2;
            let p3 = p_tile[(k + 3u) * PITCH + local.y];
            let q3 = q_tile[(k + 3u) * PITCH + local.x];
            acc0 += p3.x * q3;
            acc1 += p3.y * q3;
            acc2 += p3.z * q3;
            acc3 += p3.w * q3;
        }
        workgroupBarrier();
    }
    for (var j = 0u; j < 4u; j++) {
        store(m0 + 4u * local.y, n0 + 4u * local.x + j, acc0[j]);
        store(m0 + 4u * local.y + 1u, n0 + 4u * local.x + j, acc1[j]);
        store(m0 + 4u * local.y + 2u, n0 + 4u * local.x + j, acc2[j]);
        store(m0 + 4u * local.y + 3u, n0 + 4u * local.x + j, acc3[j]);
    }
}
