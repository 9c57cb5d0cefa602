// conv2d_gather_register: a sum for every pixel of an image,
// y[n, m, i, j] = Σ_(t,s,r) w(m,r,t,s) · x[n, r, h, v], terms outside x being 0: a convolution, or its gradient with respect to the input.
// Forward: w(m,r,t,s) at m·W_M + r·W_R + t·KW + s, h = i·STRIDE − PADDING + t·DILATION, v likewise.
// BACKWARD, where x is the gradient of the output and y that of the input: the pixels of one phase (i mod STRIDE, j mod STRIDE) are reached
// by the same taps, every PERIOD-th from a first one on, so that each phase is a convolution of stride 1 by some of the taps.
// For adapters that are CPUs: a large register tile per invocation and no workgroup memory, since there a load costs a hundred
// instructions and a barrier saves none. `register_tile` has the sums, `by_invocation` and `by_subgroup` say how the weights are read.
// Then: BIAS adds extra[m], RELU cuts at 0, MASKED zeroes where extra at y's place is ≤ 0. With none of these `extra` is not read.
// ABS_W takes |w|.
// x [BATCH,R,IN_H,IN_W], y [BATCH,M,OUT_H,OUT_W].
// One invocation computes ROWS channels × 8 points, those from its own on in steps of GROUP; a workgroup ROWS channels ×
// 8·GROUP points. Grid: x and y hold ceil(M/ROWS)·ceil(points/(8·GROUP)) groups for the points of the largest phase, z the phases.
// Drivers compile it once for all shapes: with extents as constants they unroll the sum, which takes them seconds and makes it slower.
// For the same reason nothing is looked up or decided between the stores at the end.

struct Params {
    BACKWARD: u32,
    BATCH: u32,
    M: u32,
    R: u32,
    KH: u32,
    KW: u32,
    W_M: u32,
    W_R: u32,
    IN_H: u32,
    IN_W: u32,
    OUT_H: u32,
    OUT_W: u32,
    STRIDE_H: u32,
    STRIDE_W: u32,
    PADDING_H: i32,
    PADDING_W: i32,
    DILATION_H: i32,
    DILATION_W: i32,
    // From one tap of a phase to the next; 1 forward.
    PERIOD_H: u32,
    PERIOD_W: u32,
    // Phases along W; 1 forward.
    PHASES_W: u32,
    // From one point to the next in x, from one tap to the next in x, from one point to the next in y.
    MOVE_H: i32,
    MOVE_W: i32,
    TAP_H: i32,
    TAP_W: i32,
    STEP_H: u32,
    STEP_W: u32,
    ABS_W: u32,
    BIAS: u32,
    RELU: u32,
    MASKED: u32,
}

@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> extra: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> params: Params;

// One axis of a phase: output pixel phase + i·step sums, over taps t, input pixel first + i·move + t·tap times weight tap
// w_first + t·PERIOD.
struct Axis {
    points: u32,
    taps: u32,
    first: i32,
    w_first: u32,
}

// Tap u reaches output pixel `phase` where STRIDE divides phase + PADDING − u·DILATION. No tap may.
fn axis(phase: u32, extent: u32, taps: u32, stride: u32, padding: i32, dilation: i32, period: u32) -> Axis {
    if params.BACKWARD == 0u {
        return Axis(extent, taps, -padding, 0u);
    }
    let points = (extent - phase + stride - 1u) / stride;
    for (var u = 0u; u < min(period, taps); u++) {
        let distance = i32(phase) + padding - i32(u) * dilation;
        if distance % i32(stride) == 0 {
            return Axis(points, (taps - u + period - 1u) / period, distance / i32(stride), u);
        }
    }
    return Axis(points, 0u, 0, 0u);
}

// Where the weights of a channel begin; channels past the end read the last one.
fn row_begin(m: u32) -> u32 {
    return min(m, params.M - 1u) * params.W_M;
}

fn row_element(at: u32) -> f32 {
    return w[at];
}

// `at` of the groups of a phase. All invocations come to the end: what is spread must have been read.
fn tile(group: vec3<u32>, at: u32, local: u32, lane: u32) {
    // Drivers read a parameter anew at each turn of a loop.
    let params = params;
    let phase_h = group.z / params.PHASES_W;
    let phase_w = group.z % params.PHASES_W;
    let rows = axis(phase_h, params.OUT_H, params.KH, params.STRIDE_H, params.PADDING_H, params.DILATION_H, params.PERIOD_H);
    let columns = axis(phase_w, params.OUT_W, params.KW, params.STRIDE_W, params.PADDING_W, params.DILATION_W, params.PERIOD_W);
    let points = params.BATCH * rows.points * columns.points;
    let m_tiles = (params.M + ROWS - 1u) / ROWS;
    let m0 = at % m_tiles * ROWS;
    let p0 = at / m_tiles * (4u * VECTORS * GROUP) + local;
    let in_area = params.IN_H * params.IN_W;
    let out_area = params.OUT_H * params.OUT_W;
    let abs_w = params.ABS_W != 0u;
    var w_at = places(m0, lane);
    var second_w_at = places(m0 + BLOCK, lane);
    // Points past the end read the last one; their sums are not stored.
    var h0: array<vec4<i32>, VECTORS>;
    var v0: array<vec4<i32>, VECTORS>;
    var image: array<vec4<u32>, VECTORS>;
    // Places in y, without the channel.
    var y_at: array<vec4<u32>, VECTORS>;
    // Image, row and column among the points of the phase.
    let extents = vec2<u32>(rows.points, columns.points);
    let last = vec3<u32>(params.BATCH, extents) - 1u;
    let first = place_of(p0, extents);
    let step = place_of(GROUP, extents);
    var next = first;
    for (var i = 0u; i < VECTORS; i++) {
        var n: vec4<u32>;
        var row: vec4<u32>;
        var column: vec4<u32>;
        for (var e = 0u; e < 4u; e++) {
            let at = select(last, next, next.x < params.BATCH);
            n[e] = at.x;
            row[e] = at.y;
            column[e] = at.z;
            next = further(next, step, extents);
        }
        h0[i] = vec4<i32>(row) * params.MOVE_H + rows.first;
        v0[i] = vec4<i32>(column) * params.MOVE_W + columns.first;
        image[i] = n * (params.R * in_area);
        y_at[i] = n * (params.M * out_area) + (phase_h + row * params.STEP_H) * params.OUT_W + phase_w + column * params.STEP_W;
    }
    var sums: Sums;
    var second_sums: Sums;
    // Taps outside, channels inside: where a tap falls is worked out once for all channels.
    for (var t = 0u; t < rows.taps; t++) {
        for (var s = 0u; s < columns.taps; s++) {
            var x_at: array<vec4<u32>, VECTORS>;
            var inside: array<vec4<bool>, VECTORS>;
            for (var i = 0u; i < VECTORS; i++) {
                // A negative coordinate wraps to a large one.
                let h = vec4<u32>(h0[i] + i32(t) * params.TAP_H);
                let v = vec4<u32>(v0[i] + i32(s) * params.TAP_W);
                inside[i] = (h < vec4<u32>(params.IN_H)) & (v < vec4<u32>(params.IN_W));
                x_at[i] = select(vec4<u32>(0u), image[i] + h * params.IN_W + v, inside[i]);
            }
            let tap = (rows.w_first + t * params.PERIOD_H) * params.KW + columns.w_first + s * params.PERIOD_W;
            for (var r = 0u; r < params.R; r++) {
                var q: array<vec4<f32>, VECTORS>;
                for (var i = 0u; i < VECTORS; i++) {
                    let e = x_at[i] + r * in_area;
                    q[i] = select(vec4<f32>(), vec4<f32>(x[e.x], x[e.y], x[e.z], x[e.w]), inside[i]);
                }
                let place = r * params.W_R + tap;
                add(&sums, &w_at, place, abs_w, q);
                if ROWS > BLOCK {
                    add(&second_sums, &second_w_at, place, abs_w, q);
                }
            }
        }
    }
    // One channel at a time, the others moving up: drivers unroll stores, and each takes them long.
    for (var block = m0; block < min(m0 + ROWS, params.M); block += BLOCK) {
        for (var m = block; m < min(block + BLOCK, params.M); m++) {
            let bias = extra[select(0u, m, params.BIAS != 0u)];
            for (var i = 0u; i < VECTORS; i++) {
                let sum = select(sums[0][i], sums[0][i] + bias, params.BIAS != 0u);
                let v = select(sum, vec4<f32>(), (sum < vec4<f32>()) & vec4<bool>(params.RELU != 0u));
                for (var e = 0u; e < 4u; e++) {
                    if p0 + (4u * i + e) * GROUP < points {
                        y[m * out_area + y_at[i][e]] = v[e];
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
    if params.MASKED == 0u {
        return;
    }
    var masked = first;
    for (var p = p0; p < min(p0 + 4u * VECTORS * GROUP, points); p += GROUP) {
        let row = phase_h + masked.y * params.STEP_H;
        let to_first = masked.x * (params.M * out_area) + row * params.OUT_W + phase_w + masked.z * params.STEP_W;
        masked = further(masked, step, extents);
        for (var m = m0; m < min(m0 + ROWS, params.M); m++) {
            let to = m * out_area + to_first;
            if !(extra[to] > 0.0) {
                y[to] = 0.0;
            }
        }
    }
}

