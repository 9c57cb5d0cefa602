// matmul_register: c[m,n] = Σ_k a[m,k] · b[k,n] over strided matrices, for adapters that are CPUs: a large register tile per
// invocation and no workgroup memory, since there a load costs a hundred instructions and a barrier saves none. `register_tile` has
// the sums, `by_invocation` and `by_subgroup` say how a is read.
// a[m,k] is at A_FIRST + m·A_M + k·A_K, b[k,n] at k·B_K + n·B_N (its absolute value with ABS_B), c[m,n] at C_FIRST + m·C_M + n.
// In parts: part z sums the k from z·PART_K on and goes to c at z·C_PART; `sum_partials` adds them in order.
// Then, in this order: BIAS adds extra[C_FIRST + n], SIGNED multiplies by sign(extra) at c's place, ACCUMULATE adds the old c,
// RELU cuts at 0, MASKED zeroes where extra at c's place is ≤ 0. With none of these `extra` is not read.
// Drivers compile it once for all shapes, except to ACCUMULATE. Since a look-up between the stores at the end takes them long, what
// follows the sum is done in a loop of its own where the old c is not needed.
// One invocation computes ROWS rows × 8 columns of one part, those from its own on in steps of GROUP; grid: x and y hold
// ceil(M/ROWS)·ceil(N/(8·GROUP)) groups, z the parts.

override ACCUMULATE: bool;

struct Params {
    M: u32,
    N: u32,
    K: u32,
    A_M: u32,
    A_K: u32,
    A_FIRST: u32,
    B_K: u32,
    B_N: u32,
    C_M: u32,
    C_FIRST: u32,
    PART_K: u32,
    C_PART: u32,
    ABS_B: u32,
    BIAS: u32,
    SIGNED: u32,
    RELU: u32,
    MASKED: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> extra: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;
@group(0) @binding(4) var<storage, read> params: Params;

// What the flags ask for, in their order above, for an element and its place in c.
fn finish(params: Params, n: u32, at: u32, sum: f32) -> f32 {
    var v = sum;
    if params.BIAS != 0u {
        v += extra[params.C_FIRST + n];
    }
    if params.SIGNED != 0u {
        let s = extra[at];
        v *= f32(s > 0.0) - f32(s < 0.0);
    }
    if ACCUMULATE {
        v += c[at];
    }
    if params.RELU != 0u {
        v = select(v, 0.0, v < 0.0);
    }
    if params.MASKED != 0u {
        v = select(0.0, v, extra[at] > 0.0);
    }
    return v;
}

// Where a row of a begins; rows past the end read the last one.
fn row_begin(m: u32) -> u32 {
    return params.A_FIRST + min(m, params.M - 1u) * params.A_M;
}

fn row_element(at: u32) -> f32 {
    return a[at];
}

// `at` of the groups of a part. All invocations come to the end: what is spread must have been read.
fn tile(group: vec3<u32>, at: u32, local: u32, lane: u32) {
    // Drivers read a parameter anew at each turn of a loop.
    let params = params;
    let last = min((group.z + 1u) * params.PART_K, params.K);
    let n_tiles = (params.N + 4u * VECTORS * GROUP - 1u) / (4u * VECTORS * GROUP);
    let m0 = at / n_tiles * ROWS;
    let n0 = at % n_tiles * (4u * VECTORS * GROUP) + local;
    var a_at = places(m0, lane);
    var second_a_at = places(m0 + BLOCK, lane);
    // Columns past the end read the last one; their sums are not stored.
    var b_at: array<vec4<u32>, VECTORS>;
    for (var j = 0u; j < VECTORS; j++) {
        b_at[j] = min(n0 + (4u * j + vec4<u32>(0u, 1u, 2u, 3u)) * GROUP, vec4<u32>(params.N - 1u)) * params.B_N;
    }
    var sums: Sums;
    var second_sums: Sums;
    for (var k = group.z * params.PART_K; k < last; k++) {
        var q: array<vec4<f32>, VECTORS>;
        for (var j = 0u; j < VECTORS; j++) {
            let e = b_at[j] + k * params.B_K;
            let v = vec4<f32>(b[e.x], b[e.y], b[e.z], b[e.w]);
            q[j] = select(v, abs(v), params.ABS_B != 0u);
        }
        add(&sums, &a_at, k * params.A_K, false, q);
        if ROWS > BLOCK {
            add(&second_sums, &second_a_at, k * params.A_K, false, q);
        }
    }
    let c_first = group.z * params.C_PART + params.C_FIRST;
    // One row at a time, the others moving up: drivers unroll stores, and each takes them long.
    for (var block = m0; block < min(m0 + ROWS, params.M); block += BLOCK) {
        for (var m = block; m < min(block + BLOCK, params.M); m++) {
            for (var j = 0u; j < VECTORS; j++) {
                for (var e = 0u; e < 4u; e++) {
                    let n = n0 + (4u * j + e) * GROUP;
                    if n < params.N {
                        let to = c_first + m * params.C_M + n;
                        var v = sums[0][j][e];
                        if ACCUMULATE {
                            v = finish(params, n, to, v);
                        }
                        c[to] = v;
                    }
                }
            }
            for (var i = 1u; i < BLOCK; i++) {
                sums[i - 1u] = sums[i];
            }
        }
        if ROWS > BLOCK {
            sums = second_sums;
        }
    }
    if ACCUMULATE || (params.BIAS | params.SIGNED | params.RELU | params.MASKED) == 0u {
        return;
    }
    for (var m = m0; m < min(m0 + ROWS, params.M); m++) {
        for (var n = n0; n < min(n0 + 4u * VECTORS * GROUP, params.N); n += GROUP) {
            let to = c_first + m * params.C_M + n;
            c[to] = finish(params, n, to, c[to]);
        }
    }
}

