// conv2d_tile: what convolutions from tiles in workgroup memory share beyond `conv2d_phases` and `product_tile`: an implicit matrix product of
// rows m, columns the points of all images, depth (t,s,r). Grid: x and y hold the tiles of the largest phase.
// What comes next says how the tile of w is read, the kernel how the sums end.

const NOWHERE = 0xffffffffu;

// Places in y of four points, without the channel; those past the end are nowhere.
fn places(p: vec4<u32>, points: u32, rows: u32, columns: u32, phase_h: u32, phase_w: u32) -> vec4<u32> {
    let row = phase_h + p / columns % rows * STEP_H;
    let at = p / (rows * columns) * (M * OUT_AREA) + row * OUT_W + phase_w + p % columns * STEP_W;
    return select(vec4<u32>(NOWHERE), at, p < vec4<u32>(points));
}

