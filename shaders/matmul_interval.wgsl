// matmul_interval: the image of a box under a matrix, c1[m,n] = Σ_k a1[m,k] · b[k,n] (+ bias[C_FIRST + n] with BIAS) and
// c2[m,n] = Σ_k a2[m,k] · |b[k,n]|, each invocation 4 × 4 elements from tiles in workgroup memory that hold b once for both.
// a1[m,k], a2[m,k] are at A_FIRST + m·A_M + k·A_K, b[k,n] at k·B_K + n·B_N, c1[m,n], c2[m,n] at C_FIRST + m·C_M + n. ACCUMULATE adds the old
// values. Without BIAS `bias` is not read.
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
override BIAS: bool;
override ACCUMULATE: bool;
// Invocations along one side of a workgroup, depth of a tile, and a quarter of its side; a multiple of 4.
override TILE: u32;
// Length of a tile's row: one more than needed, so that a column does not fall into one memory bank.
override PITCH: u32 = TILE + 1u;

@group(0) @binding(0) var<storage, read> a1: array<f32>;
@group(0) @binding(1) var<storage, read> a2: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> c1: array<f32>;
@group(0) @binding(5) var<storage, read_write> c2: array<f32>;

var<workgroup> p_tile: array<vec4<f32>, TILE * PITCH>;
var<workgroup> s_tile: array<vec4<f32>, TILE * PITCH>;
var<workgroup> q_tile: array<vec4<f32>, TILE * PITCH>;

// Elements past the end are zero.
fn load_a1(m: u32, k: u32) -> f32 {
    if m < M && k < K {
        return a1[A_FIRST + m * A_M + k * A_K];
    }
    return 0.0;
}

fn load_a2(m: u32, k: u32) -> f32 {
    if m < M && k < K {
        return a2[A_FIRST + m * A_M + k * A_K];
    }
    return 0.0;
}

fn load_b(k: u32, n: u32) -> f32 {
    if n < N && k < K {
        return b[k * B_K + n * B_N];
    }
    return 0.0;
}

fn store(m: u32, n: u32, center: f32, radius: f32) {
    if m >= M || n >= N {
        return;
    }
    let at = C_FIRST + m * C_M + n;
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
    var rad0 = vec4<f32>();
    var rad1 = vec4<f32>();
    var rad2 = vec4<f32>();
    var rad3 = vec4<f32>();
    for (var k0 = 0u; k0 < K; k0 += TILE) {
        let ka = k0 + a_k;
        p_tile[a_k * PITCH + a_m] = vec4<f32>(load_a1(am, ka), load_a1(am + 1u, ka), load_a1(am + 2u, ka), load_a1(am + 3u, ka));
        s_tile[a_k * PITCH + a_m] = vec4<f32>(load_a2(am, ka), load_a2(am + 1u, ka), load_a2(am + 2u, ka), load_a2(am + 3u, ka));
        let kb = k0 + b_k;
        q_tile[b_k * PITCH + b_n] = vec4<f32>(load_b(kb, bn), load_b(kb, bn + 1u), load_b(kb, bn + 2u), load_b(kb, bn + 3u));
        workgroupBarrier();
        for (var k = 0u; k < TILE; k += 4u) {
            let p0 = p_tile[k * PITCH + local.y];
            let s0 = s_tile[k * PITCH + local.y];
            let q0 = q_tile[k * PITCH + local.x];
            acc0 += p0.x * q0;
            acc1 += p0.y * q0;
            acc2 += p0.z * q0;
            acc3 += p0.w * q0;
            let abs0 = abs(q0);
            rad0 += s0.x * abs0;
            rad1 += s0.y * abs0;
            rad2 += s0.z * abs0;
            rad3 += s0.w * abs0;
            let p1 = p_tile[(k + 1u) * PITCH + local.y];
            let s1 = s_tile[(k + 1u) * PITCH + local.y];
            let q1 = q_tile[(k + 1u) * PITCH + local.x];
            acc0 += p1.x * q1;
            acc1 += p1.y * q1;
            acc2 += p1.z * q1;
            acc3 += p1.w * q1;
            let abs1 = abs(q1);
            rad0 += s1.x * abs1;
            rad1 += s1.y * abs1;
            rad2 += s1.z * abs1;
            rad3 += s1.w * abs1;
            let p2 = p_tile[(k + 2u) * PITCH + local.y];
            let s2 = s_tile[(k + 2u) * PITCH + local.y];
            let q2 = q_tile[(k + 2u) * PITCH + local.x];
            acc0 += p2.x * q2;
            acc1 += p2.y * q2;
            acc2 += p2.z * q2;
            acc3 += p2.w * q2;
            let abs2 = abs(q2);
            rad0 += s2.x * abs2;
            rad1 += s2.y * abs2;
            rad2 += s2.z * abs2;
            rad3 += s2.w * abs2;
            let p3 = p_tile[(k + 3u) * PITCH + local.y];
            let s3 = s_tile[(k + 3u) * PITCH + local.y];
            let q3 = q_tile[(k + 3u) * PITCH + local.x];
            acc0 += p3.x * q3;
            acc1 += p3.y * q3;
            acc2 += p3.z * q3;
            acc3 += p3.w * q3;
            let abs3 = abs(q3);
            rad0 += s3.x * abs3;
            rad1 += s3.y * abs3;
            rad2 += s3.z * abs3;
            rad3 += s3.w * abs3;
        }
        workgroupBarrier();
    }
    for (var j = 0u; j < 4u; j++) {
        store(m0 + 4u * local.y, n0 + 4u * local.x + j, acc0[j], rad0[j]);
        store(m0 + 4u * local.y + 1u, n0 + 4u * local.x + j, acc1[j], rad1[j]);
        store(m0 + 4u * local.y + 2u, n0 + 4u * local.x + j, acc2[j], rad2[j]);
        store(m0 + 4u * local.y + 3u, n0 + 4u * local.x + j, acc3[j], rad3[j]);
    }
}
