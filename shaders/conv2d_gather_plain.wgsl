// conv2d_gather_plain: for every point (i,j) of a grid of ROWS × COLUMNS,
// y[n, m, i·OUT_STEP_H + OUT_FIRST_H, j·OUT_STEP_W + OUT_FIRST_W]
//   = Σ_(r,t,s) w(m,r,t,s) · x[n, r, i·STEP_H + FIRST_H + t·TAP_H, j·STEP_W + FIRST_W + s·TAP_W], terms outside x being 0,
// with w(m,r,t,s) at W_FIRST + m·W_M + r·W_R + t·W_H + s·W_W (its absolute value with ABS_W).
// Without any tiling: the baseline and second oracle of `conv2d_gather`.
// This is a convolution (all taps, dense y), and also its gradient with respect to the input: with stride S, the pixels of one
// remainder (row mod S, column mod S) are reached by the same taps, so that each of the S² remainders is one such call with w read
// the other way round.
// Then: BIAS adds extra[m], RELU cuts at 0, MASKED zeroes where extra at y's place is ≤ 0. With none of these `extra` is not read.
// x [BATCH,R,IN_H,IN_W], y [BATCH,M,OUT_H,OUT_W].
// One invocation computes one element; grid: ceil(M·BATCH·ROWS·COLUMNS / 64) groups, folded into x and y.

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
override ABS_W: bool;
override BIAS: bool;
override RELU: bool;
override MASKED: bool;
override POINTS: u32 = BATCH * ROWS * COLUMNS;
override IN_AREA: u32 = IN_H * IN_W;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> extra: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// Place in y of channel m at point p.
fn place(m: u32, p: u32) -> u32 {
    let i = p / COLUMNS % ROWS;
    let j = p % COLUMNS;
    return ((p / (ROWS * COLUMNS) * M + m) * OUT_H + i * OUT_STEP_H + OUT_FIRST_H) * OUT_W + j * OUT_STEP_W + OUT_FIRST_W;
}

fn store(m: u32, p: u32, sum: f32) {
    if m >= M || p >= POINTS {
        return;
    }
    let at = place(m, p);
    var v = sum;
    if BIAS {
        v += extra[m];
    }
    if RELU {
        v = select(v, 0.0, v < 0.0);
    }
    if MASKED {
        v = select(0.0, v, extra[at] > 0.0);
    }
    y[at] = v;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = (group.y * groups.x + group.x) * 64u + local;
    if flat >= M * POINTS {
        return;
    }
    let m = flat / POINTS;
    let p = flat % POINTS;
    let h0 = i32(p / COLUMNS % ROWS) * STEP_H + FIRST_H;
    let v0 = i32(p % COLUMNS) * STEP_W + FIRST_W;
    let image = p / (ROWS * COLUMNS) * R * IN_AREA;
    var sum = 0.0;
    for (var r = 0u; r < R; r++) {
        for (var t = 0u; t < TAPS_H; t++) {
            for (var s = 0u; s < TAPS_W; s++) {
                let h = u32(h0 + i32(t) * TAP_H);
                let v = u32(v0 + i32(s) * TAP_W);
                // A negative coordinate wraps to a large one.
                if h < IN_H && v < IN_W {
                    let q = w[W_FIRST + m * W_M + r * W_R + t * W_H + s * W_W];
                    sum += select(q, abs(q), ABS_W) * x[image + r * IN_AREA + h * IN_W + v];
                }
            }
        }
    }
    store(m, p, sum);
}
