// conv2d_backward_weight_register: the weight gradient of a convolution,
// out[o,c,u,v] = Σ_(n,i,j) g[n,o,i,j] · x[n, c, i·S − P + u·D, j·S − P + v·D], terms outside x being 0, times sign(w) with SIGNED (else `w` is
// not read),
// in parts: part p sums the rows (n,i) from p·PART_ROWS on and goes to out[FIRST_PART + p·PART_STEP]; `sum_partials` adds them in order.
// For adapters that are CPUs: a large register tile per invocation and no workgroup memory, since there a load costs a hundred
// instructions and a barrier saves none. `register_tile` has the sums, `by_invocation` and `by_subgroup` say how g is read.
// x [BATCH,C,H,W], g [BATCH,O,OH,OW], out [parts,O,C,KH,KW].
// Drivers compile it once for all shapes. Since a look-up between the stores at the end takes them long, signs are taken in a loop of
// their own.
// One invocation computes ROWS output channels × 8 weights of each, those from its own on in steps of GROUP; grid:
// PARTS·ceil(O/ROWS)·ceil(C·KH·KW/(8·GROUP)) groups, folded into x and y.

struct Params {
    BATCH: u32,
    O: u32,
    C: u32,
    KH: u32,
    KW: u32,
    H: u32,
    W: u32,
    OH: u32,
    OW: u32,
    STRIDE_H: u32,
    STRIDE_W: u32,
    PADDING_H: u32,
    PADDING_W: u32,
    DILATION_H: u32,
    DILATION_W: u32,
    PARTS: u32,
    PART_ROWS: u32,
    FIRST_PART: u32,
    PART_STEP: u32,
    SIGNED: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read> params: Params;

// Where the gradients of an output channel begin, in an image's; channels past the end read the last one.
fn row_begin(o: u32) -> u32 {
    return min(o, params.O - 1u) * (params.OH * params.OW);
}

fn row_element(at: u32) -> f32 {
    return g[at];
}

// `at` of the groups. All invocations of one come to the same end: what is spread must have been read.
fn tile(group: vec3<u32>, at: u32, local: u32, lane: u32) {
    // Drivers read a parameter anew at each turn of a loop.
    let params = params;
    // Weights of one output channel, and the rows (n,i) of g.
    let weights = params.C * params.KH * params.KW;
    let rows = params.BATCH * params.OH;
    let o_tiles = (params.O + ROWS - 1u) / ROWS;
    let column_tiles = (weights + 4u * VECTORS * GROUP - 1u) / (4u * VECTORS * GROUP);
    let part = at / (o_tiles * column_tiles);
    if part >= params.PARTS {
        return;
    }
    let o0 = at / column_tiles % o_tiles * ROWS;
    let column0 = at % column_tiles * (4u * VECTORS * GROUP) + local;
    var g_at = places(o0, lane);
    var second_g_at = places(o0 + BLOCK, lane);
    // Weights past the end read the last one; their sums are not stored.
    var plane: array<vec4<u32>, VECTORS>;
    var h0: array<vec4<u32>, VECTORS>;
    var v0: array<vec4<u32>, VECTORS>;
    // Channel, row and column of a weight.
    let extents = vec2<u32>(params.KH, params.KW);
    let last = vec3<u32>(params.C, extents) - 1u;
    let step = place_of(GROUP, extents);
    var next = place_of(column0, extents);
    for (var k = 0u; k < VECTORS; k++) {
        for (var e = 0u; e < 4u; e++) {
            let at = select(last, next, next.x < params.C);
            plane[k][e] = at.x * (params.H * params.W);
            h0[k][e] = at.y * params.DILATION_H - params.PADDING_H;
            v0[k][e] = at.z * params.DILATION_W - params.PADDING_W;
            next = further(next, step, extents);
        }
    }
    var sums: Sums;
    var second_sums: Sums;
    for (var row = part * params.PART_ROWS; row < min((part + 1u) * params.PART_ROWS, rows); row++) {
        let n = row / params.OH;
        let i = row % params.OH;
        let g_row = n * (params.O * params.OH * params.OW) + i * params.OW;
        var x_row: array<vec4<u32>, VECTORS>;
        var row_inside: array<vec4<bool>, VECTORS>;
        for (var k = 0u; k < VECTORS; k++) {
            // A negative coordinate wraps to a large one.
            let h = h0[k] + i * params.STRIDE_H;
            row_inside[k] = h < vec4<u32>(params.H);
            x_row[k] = n * (params.C * params.H * params.W) + plane[k] + h * params.W;
        }
        for (var j = 0u; j < params.OW; j++) {
            var q: array<vec4<f32>, VECTORS>;
            for (var k = 0u; k < VECTORS; k++) {
                let v = v0[k] + j * params.STRIDE_W;
                let inside = row_inside[k] & (v < vec4<u32>(params.W));
                let e = select(vec4<u32>(0u), x_row[k] + v, inside);
                q[k] = select(vec4<f32>(), vec4<f32>(x[e.x], x[e.y], x[e.z], x[e.w]), inside);
            }
            add(&sums, &g_at, g_row + j, false, q);
            if ROWS > BLOCK {
                add(&second_sums, &second_g_at, g_row + j, false, q);
            }
        }
    }
    let out_first = (params.FIRST_PART + part * params.PART_STEP) * (params.O * weights);
    // One channel at a time, the others moving up: drivers unroll stores, and each takes them long.
    for (var block = o0; block < min(o0 + ROWS, params.O); block += BLOCK) {
        for (var o = block; o < min(block + BLOCK, params.O); o++) {
            for (var k = 0u; k < VECTORS; k++) {
                for (var e = 0u; e < 4u; e++) {
                    let column = column0 + (4u * k + e) * GROUP;
                    if column < weights {
                        out[out_first + o * weights + column] = sums[0][k][e];
                    }
                }
            }
            for (var c = 1u; c < BLOCK; c++) {
                sums[c - 1u] = sums[c];
            }
        }
        if ROWS > BLOCK {
            sums = second_sums;
        }
    }
    if params.SIGNED == 0u {
        return;
    }
    for (var o = o0; o < min(o0 + ROWS, params.O); o++) {
        for (var column = column0; column < min(column0 + 4u * VECTORS * GROUP, weights); column += GROUP) {
            let s = w[o * weights + column];
            out[out_first + o * weights + column] *= f32(s > 0.0) - f32(s < 0.0);
        }
    }
}

