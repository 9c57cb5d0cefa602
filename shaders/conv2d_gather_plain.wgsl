// conv2d_gather_plain: a sum for every pixel of an image,
// y[n, m, i, j] = Σ_(t,s,r) w(m,r,t,s) · x[n, r, h, v], terms outside x being 0: a convolution, or its gradient with respect to the input.
// w(m,r,t,s) is at m·W_M + r·W_R + t·KW + s; `conv2d_phases` has the rest.
// Without any tiling: the baseline and second oracle of `conv2d_gather`.
// Then: BIAS adds extra[m], RELU cuts at 0, MASKED zeroes where extra at y's place is ≤ 0. With none of these `extra` is not read.
// ABS_W takes |w|.
// x [BATCH,R,IN_H,IN_W], y [BATCH,M,OUT_H,OUT_W].
// One invocation computes one element; grid: x and y hold ceil(M·points / 64) groups for the points of the largest phase, z the phases.

override W_M: u32;
override W_R: u32;
override ABS_W: bool;
override BIAS: bool;
override RELU: bool;
override MASKED: bool;

@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> extra: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// Writes channel m at a point whose place in y, without the channel, is `at`.
fn store(m: u32, at: u32, sum: f32) {
    let to = m * OUT_AREA + at;
    var v = sum;
    if BIAS {
        v += extra[m];
    }
    if RELU {
        v = select(v, 0.0, v < 0.0);
    }
    if MASKED {
        v = select(0.0, v, extra[to] > 0.0);
    }
    y[to] = v;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let phase_h = group.z / PHASES_W;
    let phase_w = group.z % PHASES_W;
    let rows = axis(phase_h, OUT_H, KH, STRIDE_H, PADDING_H, DILATION_H, PERIOD_H);
    let columns = axis(phase_w, OUT_W, KW, STRIDE_W, PADDING_W, DILATION_W, PERIOD_W);
    let points = BATCH * rows.points * columns.points;
    let flat = (group.y * groups.x + group.x) * 64u + local;
    if flat >= M * points {
        return;
    }
    let m = flat / points;
    let p = flat % points;
    let i = p / columns.points % rows.points;
    let j = p % columns.points;
    let image = p / (rows.points * columns.points);
    let h0 = i32(i) * MOVE_H + rows.first;
    let v0 = i32(j) * MOVE_W + columns.first;
    var sum = 0.0;
    for (var t = 0u; t < rows.taps; t++) {
        for (var s = 0u; s < columns.taps; s++) {
            let h = u32(h0 + i32(t) * TAP_H);
            let v = u32(v0 + i32(s) * TAP_W);
            // A negative coordinate wraps to a large one.
            if h < IN_H && v < IN_W {
                let tap = (rows.w_first + t * PERIOD_H) * KW + columns.w_first + s * PERIOD_W;
                for (var r = 0u; r < R; r++) {
                    let q = w[m * W_M + r * W_R + tap];
                    sum += select(q, abs(q), ABS_W) * x[(image * R + r) * IN_AREA + h * IN_W + v];
                }
            }
        }
    }
    store(m, image * (M * OUT_AREA) + (phase_h + i * STEP_H) * OUT_W + phase_w + j * STEP_W, sum);
}
