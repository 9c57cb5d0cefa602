// conv2d_backward_weight: the weight gradient of a convolution,
// out[o,c,u,v] = Σ_(n,i,j) g[n,o,i,j] · x[n, c, i·S − P + u·D, j·S − P + v·D], terms outside x being 0, times sign(w) with SIGNED (else `w` is
// not read),
// in parts: part p sums the rows (n,i) from p·PART_ROWS on and goes to out[FIRST_PART + p·PART_STEP]; `sum_partials` adds them in order.
// x [BATCH,C,H,W], g [BATCH,O,OH,OW], out [parts,O,C,KH,KW].
// An implicit matrix product: rows o, columns (c,u,v), depth the pixels (n,i,j) of the part. One workgroup computes
// 4·GROUP_M·M_VECTORS × 4·GROUP_N·N_VECTORS elements of one part from tiles in workgroup memory; grid: PARTS times the tiles, folded into x and y.

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
override PART_STEP: u32;
override SIGNED: bool;
// Vectors of four columns that an invocation computes: 1 or 2.
override N_VECTORS: u32;
// Vectors of a row of the tile of columns. Element e of vector v is column v + e·Q_WIDTH.
override Q_WIDTH: u32 = GROUP_N * N_VECTORS;
override Q_PITCH: u32 = Q_WIDTH + PAD;
// Weights of one output channel, and the rows (n,i) of grad_y.
override WEIGHTS: u32 = C * KH * KW;
override ROWS: u32 = BATCH * OH;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

var<workgroup> p_tile: array<vec4<f32>, DEPTH * P_PITCH>;
var<workgroup> q_tile: array<vec4<f32>, DEPTH * Q_PITCH>;

fn store(part: u32, o: u32, weight: u32, sum: f32) {
    if part >= PARTS || o >= O || weight >= WEIGHTS {
        return;
    }
    let at = o * WEIGHTS + weight;
    var v = sum;
    if SIGNED {
        let s = w[at];
        v *= f32(s > 0.0) - f32(s < 0.0);
    }
    out[(FIRST_PART + part * PART_STEP) * (O * WEIGHTS) + at] = v;
}

fn store_row(part: u32, o: u32, weight: u32, sums: vec4<f32>) {
    for (var e = 0u; e < 4u; e++) {
        store(part, o, weight + e * Q_WIDTH, sums[e]);
    }
}

fn store_block(part: u32, o: u32, weight: u32, sums: mat4x4<f32>) {
    store_row(part, o, weight, sums[0]);
    store_row(part, o + P_WIDTH, weight, sums[1]);
    store_row(part, o + 2u * P_WIDTH, weight, sums[2]);
    store_row(part, o + 3u * P_WIDTH, weight, sums[3]);
}

@compute @workgroup_size(GROUP_N, GROUP_M)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let o_tiles = (O + 4u * P_WIDTH - 1u) / (4u * P_WIDTH);
    let weight_tiles = (WEIGHTS + 4u * Q_WIDTH - 1u) / (4u * Q_WIDTH);
    let tile = group.y * groups.x + group.x;
    let part = tile / (o_tiles * weight_tiles);
    let o0 = tile / weight_tiles % o_tiles * (4u * P_WIDTH);
    let weight0 = tile % weight_tiles * (4u * Q_WIDTH);
    // A group past the work has an empty range, and still takes part in the barriers.
    let first = min(part * PART_ROWS, ROWS) * OW;
    let end = min(min(part * PART_ROWS, ROWS) + PART_ROWS, ROWS) * OW;
    var s00 = mat4x4<f32>();
    var s01 = mat4x4<f32>();
    var s10 = mat4x4<f32>();
    var s11 = mat4x4<f32>();
    for (var k0 = first; k0 < end; k0 += DEPTH) {
        // Neighbouring invocations load neighbouring pixels.
        for (var e = index; e < DEPTH * P_WIDTH; e += THREADS) {
            let pixel = k0 + e % DEPTH;
            let o = o0 + e / DEPTH + vec4<u32>(0u, 1u, 2u, 3u) * P_WIDTH;
            let inside = (o < vec4<u32>(O)) & vec4<bool>(pixel < end);
            let at = select(vec4<u32>(0u), (pixel / (OH * OW) * O + o) * (OH * OW) + pixel % (OH * OW), inside);
            let to = e % DEPTH * P_PITCH + e / DEPTH;
            p_tile[to] = select(vec4<f32>(), vec4<f32>(g[at.x], g[at.y], g[at.z], g[at.w]), inside);
        }
        for (var e = index; e < DEPTH * Q_WIDTH; e += THREADS) {
            let pixel = k0 + e % DEPTH;
            let weight = min(weight0 + e / DEPTH + vec4<u32>(0u, 1u, 2u, 3u) * Q_WIDTH, vec4<u32>(WEIGHTS - 1u));
            // A negative coordinate wraps to a large one.
            let h = pixel / OW % OH * STRIDE_H + weight / KW % KH * DILATION_H - PADDING_H;
            let v = pixel % OW * STRIDE_W + weight % KW * DILATION_W - PADDING_W;
            let inside = (h < vec4<u32>(H)) & (v < vec4<u32>(W)) & vec4<bool>(pixel < end);
            let plane = (pixel / (OH * OW) * C + weight / (KH * KW)) * (H * W);
            let at = select(vec4<u32>(0u), plane + h * W + v, inside);
            let to = e % DEPTH * Q_PITCH + e / DEPTH;
            q_tile[to] = select(vec4<f32>(), vec4<f32>(x[at.x], x[at.y], x[at.z], x[at.w]), inside);
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
    let o = o0 + local.y;
    let weight = weight0 + local.x;
    store_block(part, o, weight, s00);
    if N_VECTORS == 2u {
        store_block(part, o, weight + GROUP_N, s01);
    }
    if M_VECTORS == 2u {
        store_block(part, o + GROUP_M, weight, s10);
        if N_VECTORS == 2u {
            store_block(part, o + GROUP_M, weight + GROUP_N, s11);
        }
    }
}
