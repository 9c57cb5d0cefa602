// conv2d_backward_weight_register: the weight gradient of a convolution,
// out[o,c,u,v] = Σ_(n,i,j) g[n,o,i,j] · x[n, c, i·S − P + u·D, j·S − P + v·D], terms outside x being 0, times sign(w) with SIGNED (else `w` is
// not read),
// in parts: part p sums the rows (n,i) from p·PART_ROWS on and goes to out[FIRST_PART + p·PART_STEP]; `sum_partials` adds them in order.
// For adapters that are CPUs: a large register tile per invocation and no workgroup memory, since there a load costs some
// hundred multiply-adds and a barrier saves none.
// x [BATCH,C,H,W], g [BATCH,O,OH,OW], out [parts,O,C,KH,KW].
// One invocation computes 8 output channels × 16 weights of each; grid: ceil(PARTS·ceil(O/8)·ceil(C·KH·KW/16) / GROUP) groups, folded
// into x and y.

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
override GROUP: u32;
// Weights of one output channel, and the rows (n,i) of grad_y.
override COLUMNS: u32 = C * KH * KW;
override ROWS: u32 = BATCH * OH;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const CHANNELS = 8u;
// Vectors of four weights.
const VECTORS = 4u;

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
    out[(FIRST_PART + part * PART_STEP) * (O * COLUMNS) + at] = v;
}

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let o_tiles = (O + CHANNELS - 1u) / CHANNELS;
    let column_tiles = (COLUMNS + 4u * VECTORS - 1u) / (4u * VECTORS);
    let tile = (group.y * groups.x + group.x) * GROUP + local;
    let part = tile / (o_tiles * column_tiles);
    if part >= PARTS {
        return;
    }
    let o0 = tile / column_tiles % o_tiles * CHANNELS;
    let column0 = tile % column_tiles * (4u * VECTORS);
    // Channels and weights past the end read the last one; their sums are not stored.
    var g_at: array<u32, CHANNELS>;
    for (var c = 0u; c < CHANNELS; c++) {
        g_at[c] = min(o0 + c, O - 1u) * (OH * OW);
    }
    var plane: array<vec4<u32>, VECTORS>;
    var h0: array<vec4<u32>, VECTORS>;
    var v0: array<vec4<u32>, VECTORS>;
    for (var k = 0u; k < VECTORS; k++) {
        let column = min(vec4<u32>(column0 + 4u * k) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(COLUMNS - 1u));
        plane[k] = column / (KH * KW) * (H * W);
        h0[k] = column / KW % KH * DILATION_H - PADDING_H;
        v0[k] = column % KW * DILATION_W - PADDING_W;
    }
    var acc: array<array<vec4<f32>, VECTORS>, CHANNELS>;
    for (var row = part * PART_ROWS; row < min((part + 1u) * PART_ROWS, ROWS); row++) {
        let n = row / OH;
        let i = row % OH;
        let g_row = n * (O * OH * OW) + i * OW;
        var x_row: array<vec4<u32>, VECTORS>;
        var row_inside: array<vec4<bool>, VECTORS>;
        for (var k = 0u; k < VECTORS; k++) {
            // A negative coordinate wraps to a large one.
            let h = h0[k] + i * STRIDE_H;
            row_inside[k] = h < vec4<u32>(H);
            x_row[k] = n * (C * H * W) + plane[k] + h * W;
        }
        for (var j = 0u; j < OW; j++) {
            var q: array<vec4<f32>, VECTORS>;
            for (var k = 0u; k < VECTORS; k++) {
                let v = v0[k] + j * STRIDE_W;
                let inside = row_inside[k] & (v < vec4<u32>(W));
                let at = select(vec4<u32>(0u), x_row[k] + v, inside);
                q[k] = select(vec4<f32>(), vec4<f32>(x[at.x], x[at.y], x[at.z], x[at.w]), inside);
            }
            for (var c = 0u; c < CHANNELS; c++) {
                let p = g[g_row + g_at[c] + j];
                for (var k = 0u; k < VECTORS; k++) {
                    acc[c][k] += p * q[k];
                }
            }
        }
    }
    for (var c = 0u; c < CHANNELS; c++) {
        for (var k = 0u; k < VECTORS; k++) {
            for (var e = 0u; e < 4u; e++) {
                store(part, o0 + c, column0 + 4u * k + e, acc[c][k][e]);
            }
        }
    }
}
