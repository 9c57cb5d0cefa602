// conv2d_interval_backward_weight: the weight gradient of a convolution,
// out[o,c,u,v] = Σ_(n,i,j) g[n,o,i,j] · x[n, c, i·S − P + u·D, j·S − P + v·D], terms outside x being 0 = corr(x, g),
// done for a box: out = corr(x1, g1) + sign(w) · corr(x2, g2), sign(0) = 0,
// in parts: part p sums the rows (n,i) from p·PART_ROWS on and goes to out[FIRST_PART + p]; `sum_partials` adds them in order.
// Each invocation computes 4 × 4 elements from tiles in workgroup memory.
// x1, x2 [BATCH,C,H,W], g1, g2 [BATCH,O,OH,OW], out [parts,O,C,KH,KW].
// An implicit matrix product: rows o, columns (c,u,v), depth the pixels (n,i,j) of the part. One workgroup computes 4·TILE × 4·TILE
// elements of one part; grid: PARTS·ceil(O/(4·TILE))·ceil(C·KH·KW/(4·TILE)) groups, folded into x and y.

override BATCH: u32;
override O: u32;
override C: u32;
override KH: u32;
override KW: u32;
override H: u32;
override W: u32;
override OH: u32;
override OW: u32;
override STRIDE_H: u32;
override STRIDE_W: u32;
override PADDING_H: u32;
override PADDING_W: u32;
override DILATION_H: u32;
override DILATION_W: u32;
override PARTS: u32;
override PART_ROWS: u32;
override FIRST_PART: u32;
// Weights of one output channel, and the rows (n,i) of grad_y.
override COLUMNS: u32 = C * KH * KW;
override ROWS: u32 = BATCH * OH;
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
var<workgroup> q_tile: array<vec4<f32>, TILE * PITCH>;
var<workgroup> s_tile: array<vec4<f32>, TILE * PITCH>;
var<workgroup> t_tile: array<vec4<f32>, TILE * PITCH>;

fn store(part: u32, o: u32, column: u32, center: f32, radius: f32) {
    if o >= O || column >= COLUMNS {
        return;
    }
    let at = o * COLUMNS + column;
    let s = w[at];
    out[(FIRST_PART + part) * (O * COLUMNS) + at] = center + (f32(s > 0.0) - f32(s < 0.0)) * radius;
}

@compute @workgroup_size(TILE, TILE)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let o_tiles = (O + 4u * TILE - 1u) / (4u * TILE);
    let column_tiles = (COLUMNS + 4u * TILE - 1u) / (4u * TILE);
    let tile = group.y * groups.x + group.x;
    let part = tile / (o_tiles * column_tiles);
    let o0 = tile / column_tiles % o_tiles * 4u * TILE;
    let column0 = tile % column_tiles * 4u * TILE;
    // The four channels and the four weights that this invocation loads; past the end it loads the last, which nobody stores.
    let o = min(vec4<u32>(o0 + 4u * local.y) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(O - 1u)) * (OH * OW);
    let column = min(vec4<u32>(column0 + 4u * local.y) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(COLUMNS - 1u));
    let plane = column / (KH * KW) * (H * W);
    let h0 = column / KW % KH * DILATION_H - PADDING_H;
    let v0 = column % KW * DILATION_W - PADDING_W;
    // A group past the work has an empty range, and still takes part in the barriers.
    let first = min(part * PART_ROWS, ROWS) * OW;
    let end = min(min(part * PART_ROWS, ROWS) + PART_ROWS, ROWS) * OW;
    var acc0 = vec4<f32>();
    var acc1 = vec4<f32>();
    var acc2 = vec4<f32>();
    var acc3 = vec4<f32>();
    var rad0 = vec4<f32>();
    var rad1 = vec4<f32>();
    var rad2 = vec4<f32>();
    var rad3 = vec4<f32>();
    for (var k0 = first; k0 < end; k0 += TILE) {
        // Neighbouring invocations load neighbouring pixels.
        let pixel = k0 + local.x;
        let in_part = pixel < end;
        let n = pixel / (OH * OW);
        let i = pixel / OW % OH;
        let j = pixel % OW;
        let g_at = select(vec4<u32>(0u), n * (O * OH * OW) + i * OW + j + o, vec4<bool>(in_part));
        // A negative coordinate wraps to a large one.
        let h = h0 + i * STRIDE_H;
        let v = v0 + j * STRIDE_W;
        let inside = (h < vec4<u32>(H)) & (v < vec4<u32>(W)) & vec4<bool>(in_part);
        let at = select(vec4<u32>(0u), n * (C * H * W) + plane + h * W + v, inside);
        let slot = local.x * PITCH + local.y;
        p_tile[slot] = select(vec4<f32>(), vec4<f32>(g1[g_at.x], g1[g_at.y], g1[g_at.z], g1[g_at.w]), vec4<bool>(in_part));
        q_tile[slot] = select(vec4<f32>(), vec4<f32>(x1[at.x], x1[at.y], x1[at.z], x1[at.w]), inside);
        s_tile[slot] = select(vec4<f32>(), vec4<f32>(g2[g_at.x], g2[g_at.y], g2[g_at.z], g2[g_at.w]), vec4<bool>(in_part));
        t_tile[slot] = select(vec4<f32>(), vec4<f32>(x2[at.x], x2[at.y], x2[at.z], x2[at.w]), inside);
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
    if part < PARTS {
        for (var e = 0u; e < 4u; e++) {
            let to = column0 + 4u * local.x + e;
            store(part, o0 + 4u * local.y, to, acc0[e], rad0[e]);
            store(part, o0 + 4u * local.y + 1u, to, acc1[e], rad1[e]);
            store(part, o0 + 4u * local.y + 2u, to, acc2[e], rad2[e]);
            store(part, o0 + 4u * local.y + 3u, to, acc3[e], rad3[e]);
        }
    }
}
