// conv2d_backward_weight_plain: the weight gradient of a convolution,
// out[o,c,u,v] = Σ_(n,i,j) g[n,o,i,j] · x[n, c, i·S − P + u·D, j·S − P + v·D], terms outside x being 0, times sign(w) with SIGNED (else `w` is
// not read),
// in parts: part p sums the rows (n,i) from p·PART_ROWS on and goes to out[FIRST_PART + p·PART_STEP]; `sum_partials` adds them in order.
// Without any tiling: the baseline and second oracle of `conv2d_backward_weight`.
// x [BATCH,C,H,W], g [BATCH,O,OH,OW], out [parts,O,C,KH,KW].
// One invocation computes one element of one part; grid: ceil(PARTS·O·C·KH·KW / 64) groups, folded into x and y.

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
// Weights of one output channel, and the rows (n,i) of grad_y.
override COLUMNS: u32 = C * KH * KW;
override ROWS: u32 = BATCH * OH;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

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

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = (group.y * groups.x + group.x) * 64u + local;
    if flat >= PARTS * O * COLUMNS {
        return;
    }
    let part = flat / (O * COLUMNS);
    let o = flat / COLUMNS % O;
    let column = flat % COLUMNS;
    let c = column / (KH * KW);
    let u = column / KW % KH;
    let v = column % KW;
    var sum = 0.0;
    for (var row = part * PART_ROWS; row < min((part + 1u) * PART_ROWS, ROWS); row++) {
        let n = row / OH;
        let i = row % OH;
        // A negative coordinate wraps to a large one.
        let h = i * STRIDE_H + u * DILATION_H - PADDING_H;
        if h < H {
            for (var j = 0u; j < OW; j++) {
                let q = j * STRIDE_W + v * DILATION_W - PADDING_W;
                if q < W {
                    sum += g[((n * O + o) * OH + i) * OW + j] * x[((n * C + c) * H + h) * W + q];
                }
            }
        }
    }
    store(part, o, column, sum);
}
