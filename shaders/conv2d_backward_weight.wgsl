// conv2d_backward_weight: the weight gradient of a convolution,
// out[o,c,u,v] = Σ_(n,i,j) g[n,o,i,j] · x[n, c, i·S − P + u·D, j·S − P + v·D], terms outside x being 0, times sign(w) with SIGNED (else `w` is
// not read),
// in parts: part p sums the rows (n,i) from p·PART_ROWS on and goes to out[FIRST_PART + p]; `sum_partials` adds them in order.
// Each invocation computes 4 × 4 elements from tiles in workgroup memory.
// x [BATCH,C,H,W], g [BATCH,O,OH,OW], out [parts,O,C,KH,KW].
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
override SIGNED: bool;
// Weights of one output channel, and the rows (n,i) of grad_y.
override COLUMNS: u32 = C * KH * KW;
override ROWS: u32 = BATCH * OH;
// Invocations along one side of a workgroup, depth of a tile, and a quarter of its side; a multiple of 4.
override TILE: u32;
// Length of a tile's row: one more than needed, so that a column does not fall into one memory bank.
override PITCH: u32 = TILE + 1u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

var<workgroup> p_tile: array<vec4<f32>, TILE * PITCH>;
var<workgroup> q_tile: array<vec4<f32>, TILE * PITCH>;

fn store(part: u32, o: u32, column: u32, sum: f32) {
    if o >= O || column >= COLUMNS {
        return;
    }
    let at = o * COLUMNS + column;
    var v = sum;
    if SIGNED {
        let s = w[at];
        v *= f32(s > 0.0) - f32(s < 0.0);
    }
    out[(FIRST_PART + part) * (O * COLUMNS) + at] = v;
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
        p_tile[slot] = select(vec4<f32>(), vec4<f32>(g[g_at.x], g[g_at.y], g[g_at.z], g[g_at.w]), vec4<bool>(in_part));
        q_tile[slot] = select(vec4<f32>(), vec4<f32>(x[at.x], x[at.y], x[at.z], x[at.w]), inside);
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
    if part < PARTS {
        for (var e = 0u; e < 4u; e++) {
            let to = column0 + 4u * local.x + e;
            store(part, o0 + 4u * local.y, to, acc0[e]);
            store(part, o0 + 4u * local.y + 1u, to, acc1[e]);
            store(part, o0 + 4u * local.y + 2u, to, acc2[e]);
            store(part, o0 + 4u * local.y + 3u, to, acc3[e]);
        }
    }
}
