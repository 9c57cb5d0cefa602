// conv2d_interval_gather: for every point (i,j) of a grid of ROWS × COLUMNS,
// y[n, m, i·OUT_STEP_H + OUT_FIRST_H, j·OUT_STEP_W + OUT_FIRST_W]
//   = Σ_(r,t,s) w(m,r,t,s) · x[n, r, i·STEP_H + FIRST_H + t·TAP_H, j·STEP_W + FIRST_W + s·TAP_W], terms outside x being 0,
// with w(m,r,t,s) at W_FIRST + m·W_M + r·W_R + t·W_H + s·W_W.
// Done for a box: x1 with w gives y1, x2 with |w| gives y2. Each invocation computes 4 × 4 elements of both from tiles in
// workgroup memory that hold w once.
// This is a convolution (all taps, dense y), and also its gradient with respect to the input: with stride S, the pixels of one
// remainder (row mod S, column mod S) are reached by the same taps, so that each of the S² remainders is one such call with w read
// the other way round.
// BIAS adds bias[m] to y1; without it `bias` is not read. x1, x2 [BATCH,R,IN_H,IN_W], y1, y2 [BATCH,M,OUT_H,OUT_W].
// An implicit matrix product: rows m, columns the points of all images, depth (r,t,s). One workgroup computes 4·TILE channels ×
// 4·TILE points; grid: ceil(M/(4·TILE))·ceil(points/(4·TILE)) groups, folded into x and y.

override BATCH: u32;
override M: u32;
override R: u32;
override TAPS_H: u32;
override TAPS_W: u32;
override W_M: u32;
override W_R: u32;
override W_H: u32;
override W_W: u32;
override W_FIRST: u32;
override IN_H: u32;
override IN_W: u32;
override STEP_H: i32;
override STEP_W: i32;
override FIRST_H: i32;
override FIRST_W: i32;
override TAP_H: i32;
override TAP_W: i32;
override ROWS: u32;
override COLUMNS: u32;
override OUT_H: u32;
override OUT_W: u32;
override OUT_STEP_H: u32;
override OUT_STEP_W: u32;
override OUT_FIRST_H: u32;
override OUT_FIRST_W: u32;
override BIAS: bool;
override POINTS: u32 = BATCH * ROWS * COLUMNS;
override IN_AREA: u32 = IN_H * IN_W;
override TAPS: u32 = TAPS_H * TAPS_W;
override K: u32 = R * TAPS;
// Invocations along one side of a workgroup, depth of a tile, and a quarter of its side; a multiple of 4.
override TILE: u32;
// Length of a tile's row: one more than needed, so that a column does not fall into one memory bank.
override PITCH: u32 = TILE + 1u;

@group(0) @binding(0) var<storage, read> x1: array<f32>;
@group(0) @binding(1) var<storage, read> x2: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y1: array<f32>;
@group(0) @binding(5) var<storage, read_write> y2: array<f32>;

var<workgroup> p_tile: array<vec4<f32>, TILE * PITCH>;
var<workgroup> q_tile: array<vec4<f32>, TILE * PITCH>;
var<workgroup> s_tile: array<vec4<f32>, TILE * PITCH>;

// Elements past the end are zero.
fn load_w(m: u32, k: u32) -> f32 {
    if m < M && k < K {
        let tap = k % TAPS;
        return w[W_FIRST + m * W_M + k / TAPS * W_R + tap / TAPS_W * W_H + tap % TAPS_W * W_W];
    }
    return 0.0;
}

fn store(m: u32, p: u32, center: f32, radius: f32) {
    if m >= M || p >= POINTS {
        return;
    }
    let i = p / COLUMNS % ROWS;
    let j = p % COLUMNS;
    let row = (p / (ROWS * COLUMNS) * M + m) * OUT_H + i * OUT_STEP_H + OUT_FIRST_H;
    let at = row * OUT_W + j * OUT_STEP_W + OUT_FIRST_W;
    var v = center;
    if BIAS {
        v += bias[m];
    }
    y1[at] = v;
    y2[at] = radius;
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
    let p0 = tile / m_tiles * 4u * TILE;
    // The four points that this invocation loads and stores. Those past the end read the last one and are not stored.
    let p = min(vec4<u32>(p0 + 4u * local.x) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(POINTS - 1u));
    let h0 = vec4<i32>(p / COLUMNS % ROWS) * STEP_H + FIRST_H;
    let v0 = vec4<i32>(p % COLUMNS) * STEP_W + FIRST_W;
    let image = p / (ROWS * COLUMNS) * (R * IN_AREA);
    let wm = m0 + 4u * local.y;
    var acc0 = vec4<f32>();
    var acc1 = vec4<f32>();
    var acc2 = vec4<f32>();
    var acc3 = vec4<f32>();
    var rad0 = vec4<f32>();
    var rad1 = vec4<f32>();
    var rad2 = vec4<f32>();
    var rad3 = vec4<f32>();
    for (var k0 = 0u; k0 < K; k0 += TILE) {
        let kw = k0 + local.x;
        p_tile[local.x * PITCH + local.y] = vec4<f32>(load_w(wm, kw), load_w(wm + 1u, kw), load_w(wm + 2u, kw), load_w(wm + 3u, kw));
        let kx = k0 + local.y;
        let tap = kx % TAPS;
        // A negative coordinate wraps to a large one.
        let h = vec4<u32>(h0 + i32(tap / TAPS_W) * TAP_H);
        let v = vec4<u32>(v0 + i32(tap % TAPS_W) * TAP_W);
        let inside = (h < vec4<u32>(IN_H)) & (v < vec4<u32>(IN_W)) & vec4<bool>(kx < K);
        let at = select(vec4<u32>(0u), image + kx / TAPS * IN_AREA + h * IN_W + v, inside);
        q_tile[local.y * PITCH + local.x] = select(vec4<f32>(), vec4<f32>(x1[at.x], x1[at.y], x1[at.z], x1[at.w]), inside);
        s_tile[local.y * PITCH + local.x] = select(vec4<f32>(), vec4<f32>(x2[at.x], x2[at.y], x2[at.z], x2[at.w]), inside);
        workgroupBarrier();
        for (var k = 0u; k < TILE; k += 4u) {
            let p0 = p_tile[k * PITCH + local.y];
            let q0 = q_tile[k * PITCH + local.x];
            let s0 = s_tile[k * PITCH + local.x];
            acc0 += p0.x * q0;
            acc1 += p0.y * q0;
            acc2 += p0.z * q0;
            acc3 += p0.w * q0;
            let abs0 = abs(p0);
            rad0 += abs0.x * s0;
            rad1 += abs0.y * s0;
            rad2 += abs0.z * s0;
            rad3 += abs0.w * s0;
            let p1 = p_tile[(k + 1u) * PITCH + local.y];
            let q1 = q_tile[(k + 1u) * PITCH + local.x];
            let s1 = s_tile[(k + 1u) * PITCH + local.x];
            acc0 += p1.x * q1;
            acc1 += p1.y * q1;
            acc2 += p1.z * q1;
            acc3 += p1.w * q1;
            let abs1 = abs(p1);
            rad0 += abs1.x * s1;
            rad1 += abs1.y * s1;
            rad2 += abs1.z * s1;
            rad3 += abs1.w * s1;
            let p2 = p_tile[(k + 2u) * PITCH + local.y];
            let q2 = q_tile[(k + 2u) * PITCH + local.x];
            let s2 = s_tile[(k + 2u) * PITCH + local.x];
            acc0 += p2.x * q2;
            acc1 += p2.y * q2;
            acc2 += p2.z * q2;
            acc3 += p2.w * q2;
            let abs2 = abs(p2);
            rad0 += abs2.x * s2;
            rad1 += abs2.y * s2;
            rad2 += abs2.z * s2;
            rad3 += abs2.w * s2;
            let p3 = p_tile[(k + 3u) * PITCH + local.y];
            let q3 = q_tile[(k + 3u) * PITCH + local.x];
            let s3 = s_tile[(k + 3u) * PITCH + local.x];
            acc0 += p3.x * q3;
            acc1 += p3.y * q3;
            acc2 += p3.z * q3;
            acc3 += p3.w * q3;
            let abs3 = abs(p3);
            rad0 += abs3.x * s3;
            rad1 += abs3.y * s3;
            rad2 += abs3.z * s3;
            rad3 += abs3.w * s3;
        }
        workgroupBarrier();
    }
    for (var j = 0u; j < 4u; j++) {
        let point = p0 + 4u * local.x + j;
        store(wm, point, acc0[j], rad0[j]);
        store(wm + 1u, point, acc1[j], rad1[j]);
        store(wm + 2u, point, acc2[j], rad2[j]);
        store(wm + 3u, point, acc3[j], rad3[j]);
    }
}
