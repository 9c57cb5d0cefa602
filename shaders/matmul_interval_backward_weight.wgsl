// matmul_interval_backward_weight: the weight gradient of a linear layer on a box,
// out[m,n] = Σ_k g1[k,m] · x1[k,n] + sign(w[m,n]) · Σ_k g2[k,m] · x2[k,n], sign(0) = 0 (plus the old out with
// ACCUMULATE), each invocation 4 × 4 elements from tiles in workgroup memory.
// g1[k,m], g2[k,m] are at G_FIRST + k·G_K + m; x1, x2 [K,N], w, out [M,N].
// One workgroup computes 4·TILE × 4·TILE elements; grid: ceil(M/(4·TILE))·ceil(N/(4·TILE)) groups, folded into x and y.

override M: u32;
override N: u32;
override K: u32;
override G_FIRST: u32;
override G_K: u32;
override ACCUMULATE: bool;
// Invocations along one side of a workgroup, depth of a tile, and a quarter of its side; a multiple of 4.
override TILE: u32;
// Length of a tile's row: one more than needed, so that a column does not fall into one memory bank.
override PITCH: u32 = TILE + 1u;

@group(0) @binding(0) var<storage, read> x1: array<f32>;
@group(0) @binding(1) var<storage, read> x2: array<f32>;
@group(0) @binding(2) var<storage, read> g1: array<f32>;
@group(0) @binding(3) var<storage, read> g2: array<f32>;
@group(0) @binding(4) var<storage, read> w: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

var<workgroup> p_tile: array<vec4<f32>, TILE * PITCH>;
var<workgroup> s_tile: array<vec4<f32>, TILE * PITCH>;
var<workgroup> q_tile: array<vec4<f32>, TILE * PITCH>;
var<workgroup> t_tile: array<vec4<f32>, TILE * PITCH>;

// Four neighbours of a row from element `first` on; what lies past the row's `length` is zero. `at` is the place of `first`.
fn load_x1(at: u32, first: u32, k: u32) -> vec4<f32> {
    var v = vec4<f32>();
    if k < K {
        for (var j = 0u; j < 4u; j++) {
            if first + j < N {
                v[j] = x1[at + j];
            }
        }
    }
    return v;
}

fn load_x2(at: u32, first: u32, k: u32) -> vec4<f32> {
    var v = vec4<f32>();
    if k < K {
        for (var j = 0u; j < 4u; j++) {
            if first + j < N {
                v[j] = x2[at + j];
            }
        }
    }
    return v;
}

fn load_g1(at: u32, first: u32, k: u32) -> vec4<f32> {
    var v = vec4<f32>();
    if k < K {
        for (var j = 0u; j < 4u; j++) {
            if first + j < M {
                v[j] = g1[at + j];
            }
        }
    }
    return v;
}

fn load_g2(at: u32, first: u32, k: u32) -> vec4<f32> {
    var v = vec4<f32>();
    if k < K {
        for (var j = 0u; j < 4u; j++) {
            if first + j < M {
                v[j] = g2[at + j];
            }
        }
    }
    return v;
}

fn store(m: u32, n: u32, center: f32, radius: f32) {
    if m >= M || n >= N {
        return;
    }
    let at = m * N + n;
    let s = w[at];
    var v = center + (f32(s > 0.0) - f32(s < 0.0)) * radius;
    if ACCUMULATE {
        v += out[at];
    }
    out[at] = v;
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
    var acc0 = vec4<f32>();
    var acc1 = vec4<f32>();
    var acc2 = vec4<f32>();
    var acc3 = vec4<f32>();
    var rad0 = vec4<f32>();
    var rad1 = vec4<f32>();
    var rad2 = vec4<f32>();
    var rad3 = vec4<f32>();
    let m = m0 + 4u * local.x;
    let n = n0 + 4u * local.x;
    for (var k0 = 0u; k0 < K; k0 += TILE) {
        let row = k0 + local.y;
        let at = local.y * PITCH + local.x;
        p_tile[at] = load_g1(G_FIRST + row * G_K + m, m, row);
        s_tile[at] = load_g2(G_FIRST + row * G_K + m, m, row);
        q_tile[at] = load_x1(row * N + n, n, row);
        t_tile[at] = load_x2(row * N + n, n, row);
        workgroupBarrier();
        for (var k = 0u; k < TILE; k += 4u) {
            let p0 = p_tile[k * PITCH + local.y];
            let q0 = q_tile[k * PITCH + local.x];
            acc0 += p0.x * q0;
            acc1 += p0.y * q0;
            acc2 += p0.z * q0;
            acc3 += p0.w * q0;
            let s0 = s_tile[k * PITCH + local.y];
            let t0 = t_tile[k * PITCH + local.x];
            rad0 += s0.x * t0;
            rad1 += s0.y * t0;
            rad2 += s0.z * t0;
            rad3 += s0.w * t0;
            let p1 = p_tile[(k + 1u) * PITCH + local.y];
            let q1 = q_tile[(k + 1u) * PITCH + local.x];
            acc0 += p1.x * q1;
            acc1 += p1.y * q1;
            acc2 += p1.z * q1;
            acc3 += p1.w * q1;
            let s1 = s_tile[(k + 1u) * PITCH + local.y];
            let t1 = t_tile[(k + 1u) * PITCH + local.x];
            rad0 += s1.x * t1;
            rad1 += s1.y * t1;
            rad2 += s1.z * t1;
            rad3 += s1.w * t1;
            let p2 = p_tile[(k + 2u) * PITCH + local.y];
            let q2 = q_tile[(k + 2u) * PITCH + local.x];
            acc0 += p2.x * q2;
            acc1 += p2.y * q2;
            acc2 += p2.z * q2;
            acc3 += p2.w * q2;
            let s2 = s_tile[(k + 2u) * PITCH + local.y];
            let t2 = t_tile[(k + 2u) * PITCH + local.x];
            rad0 += s2.x * t2;
            rad1 += s2.y * t2;
            rad2 += s2.z * t2;
            rad3 += s2.w * t2;
            let p3 = p_tile[(k + 3u) * PITCH + local.y];
            let q3 = q_tile[(k + 3u) * PITCH + local.x];
            acc0 += p3.x * q3;
            acc1 += p3.y * q3;
            acc2 += p3.z * q3;
            acc3 += p3.w * q3;
            let s3 = s_tile[(k + 3u) * PITCH + local.y];
            let t3 = t_tile[(k + 3u) * PITCH + local.x];
            rad0 += s3.x * t3;
            rad1 += s3.y * t3;
            rad2 += s3.z * t3;
            rad3 += s3.w * t3;
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
