// conv2d_weights_wide: the middle of a convolution from tiles: the tile of w, four words at a time: w(m,r,u) at (u·R + r)·M + m, u the tap; M is a
// multiple of 4.

@group(0) @binding(0) var<storage, read> w: array<vec4<f32>>;

// Depth and vector of the tile's element e: neighbouring invocations load neighbouring words.
fn place_in_tile(e: u32) -> vec2<u32> {
    return vec2<u32>(e / P_WIDTH, e % P_WIDTH);
}

// Channel of element e of vector v, from the tile's first on.
fn channel(v: u32, e: u32) -> u32 {
    return 4u * v + e;
}

// Vector v of the tile whose first channel is m0, for channel r of x and tap u; those past the end are zero.
fn load_w(m0: u32, v: u32, r: u32, u: u32, inside: bool) -> vec4<f32> {
    let m = m0 + 4u * v;
    let there = m < M && inside;
    return select(vec4<f32>(), w[select(0u, ((u * R + r) * M + m) / 4u, there)], there);
}

