// conv2d_weights: the middle of a convolution from tiles: the tile of w, word by word: w(m,r,u) at m·W_M + r·W_R + u, u the tap.

override W_M: u32;
override W_R: u32;

@group(0) @binding(0) var<storage, read> w: array<f32>;

// Depth and vector of the tile's element e: neighbouring invocations load the terms of one channel.
fn place_in_tile(e: u32) -> vec2<u32> {
    return vec2<u32>(e % DEPTH, e / DEPTH);
}

// Channel of element e of vector v, from the tile's first on.
fn channel(v: u32, e: u32) -> u32 {
    return v + e * P_WIDTH;
}

// Vector v of the tile whose first channel is m0, for channel r of x and tap u; elements past the end are zero.
fn load_w(m0: u32, v: u32, r: u32, u: u32, inside: bool) -> vec4<f32> {
    let m = m0 + v + vec4<u32>(0u, 1u, 2u, 3u) * P_WIDTH;
    let there = (m < vec4<u32>(M)) & vec4<bool>(inside);
    let at = select(vec4<u32>(0u), m * W_M + r * W_R + u, there);
    return select(vec4<f32>(), vec4<f32>(w[at.x], w[at.y], w[at.z], w[at.w]), there);
}

