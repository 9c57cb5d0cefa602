// matmul_extents: the beginning of matrix products: extents, places of the operands and of c, and what happens to a sum on its way to c.
// a[m,k] is at A_FIRST + m·A_M + k·A_K, b[k,n] at k·B_K + n·B_N (its absolute value with ABS_B), c[m,n] at C_FIRST + m·C_M + n.
// In this order: BIAS adds extra[C_FIRST + n], SIGNED multiplies by sign(extra) at c's place, ACCUMULATE adds the old c,
// RELU cuts at 0, MASKED zeroes where extra at c's place is ≤ 0. With none of these `extra` is not read.

override M: u32;
override N: u32;
override K: u32;
override A_M: u32;
override A_K: u32;
override A_FIRST: u32;
override B_K: u32;
override B_N: u32;
override C_M: u32;
override C_FIRST: u32;
// Length of a part of k, and from one part to the next in c.
override PART_K: u32;
override C_PART: u32;
override ABS_B: bool;
override BIAS: bool;
override SIGNED: bool;
override ACCUMULATE: bool;
override RELU: bool;
override MASKED: bool;

@group(0) @binding(2) var<storage, read> extra: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

// Writes one element; what the flags ask for happens in their order above.
fn store(m: u32, n: u32, part: u32, sum: f32) {
    if m >= M || n >= N {
        return;
    }
    let at = part * C_PART + C_FIRST + m * C_M + n;
    var v = sum;
    if BIAS {
        v += extra[C_FIRST + n];
    }
    if SIGNED {
        let s = extra[at];
        v *= f32(s > 0.0) - f32(s < 0.0);
    }
    if ACCUMULATE {
        v += c[at];
    }
    if RELU {
        v = select(v, 0.0, v < 0.0);
    }
    if MASKED {
        v = select(0.0, v, extra[at] > 0.0);
    }
    c[at] = v;
}

