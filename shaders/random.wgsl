// random: Philox4x32-10 (Salmon et al. 2011). Block b with counter [b, STREAM, key[2], key[3]] and key [key[0], key[1]] gives the
// elements 4b to 4b+3; word → u = (word >> 8)·2⁻²⁴ ∈ [0,1). Uniform (NORMAL = false): BASE + SCALE·u. Normal: Box–Muller on the
// word pairs (0,1) and (2,3), BASE + SCALE·z.
// key u32 [4], y [COUNT], the part of the output that begins at block FIRST_BLOCK. One invocation computes one block;
// grid: ceil(COUNT / 4 / 256) groups, folded into x and y.

override NORMAL: bool;
override BASE: f32;
override SCALE: f32;
override STREAM: u32;
override FIRST_BLOCK: u32;
override COUNT: u32;

@group(0) @binding(0) var<storage, read> key: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

// High and low word of a·b, from products of 16-bit halves.
fn multiply(a: u32, b: u32) -> vec2<u32> {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let low = a0 * b0;
    // At most (2¹⁶−1)² + 2·(2¹⁶−1) = 2³²−1: neither sum overflows.
    let middle = a1 * b0 + (low >> 16u);
    let carry = a0 * b1 + (middle & 0xffffu);
    return vec2<u32>(a1 * b1 + (middle >> 16u) + (carry >> 16u), a * b);
}

fn philox(start: vec4<u32>, start_key: vec2<u32>) -> vec4<u32> {
    var c = start;
    var k = start_key;
    for (var round = 0u; round < 10u; round++) {
        let p0 = multiply(0xD2511F53u, c.x);
        let p1 = multiply(0xCD9E8D57u, c.z);
        c = vec4<u32>(p1.x ^ c.y ^ k.x, p1.y, p0.x ^ c.w ^ k.y, p0.y);
        k += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let block = (group.y * groups.x + group.x) * 256u + local;
    if block >= (COUNT + 3u) / 4u {
        return;
    }
    let words = philox(vec4<u32>(FIRST_BLOCK + block, STREAM, key[2], key[3]), vec2<u32>(key[0], key[1]));
    let u = vec4<f32>(words >> vec4<u32>(8u)) * (1.0 / 16777216.0);
    var values = u;
    if NORMAL {
        // 1 − u ∈ (0,1] keeps the logarithm finite.
        let length = sqrt(-2.0 * log(1.0 - u.xz));
        let angle = 6.2831855 * u.yw;
        values = vec4<f32>(length.x * cos(angle.x), length.x * sin(angle.x), length.y * cos(angle.y), length.y * sin(angle.y));
    }
    values = BASE + SCALE * values;
    let first = block * 4u;
    for (var j = 0u; j < 4u; j++) {
        if first + j < COUNT {
            y[first + j] = values[j];
        }
    }
}
