// product_tile: the beginning of products from tiles in workgroup memory: how a workgroup shares a tile p of rows, DEPTH terms deep, and one of
// columns, and the outer product that an invocation adds for each term. The kernel says how its tile of columns lies.
// Array lengths stand behind all overrides, in the kernel, since naga 30 takes no override after one.

// A workgroup has GROUP_M × GROUP_N invocations.
override GROUP_M: u32;
override GROUP_N: u32;
// Vectors of four rows that each of them computes: 1 or 2.
override M_VECTORS: u32;
// Depth of a tile, and by how many vectors its rows are longer than needed: 1 keeps a column out of a single memory bank.
override DEPTH: u32;
override PAD: u32;
override THREADS: u32 = GROUP_M * GROUP_N;
// Vectors of four that the tile p has for each term. Element e of vector v is row v + e·P_WIDTH, unless the kernel says otherwise, so that
// neighbours in memory are neighbouring invocations.
override P_WIDTH: u32 = GROUP_M * M_VECTORS;
override P_PITCH: u32 = P_WIDTH + PAD;

fn outer(sum: mat4x4<f32>, p: vec4<f32>, q: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(sum[0] + p.x * q, sum[1] + p.y * q, sum[2] + p.z * q, sum[3] + p.w * q);
}

