// embed_window: windows and the images that they lie in. CUT 0: a window put into an image of zeros, y[r,c,i,j] = x[r, c, i − top, j − left]
// inside the window, else 0. CUT 1, the gradient: the window of an image, y[r,c,i,j] = x[r, c, i + top, j + left] inside the image, else 0.
// x [COUNT, window] (CUT 1: image), rows u32 [COUNT,4], y [COUNT, image] (CUT 1: window).
// Images [CHANNELS,IMAGE_H,IMAGE_W], windows [CHANNELS,EXTENT_H,EXTENT_W] whose corner is STRIDE · (i, j) + OFFSET. One workgroup does one
// row; grid: COUNT groups, folded into x and y.

override CUT: u32;
override CHANNELS: u32;
override EXTENT_H: u32;
override EXTENT_W: u32;
override IMAGE_H: u32;
override IMAGE_W: u32;
override STRIDE_H: u32;
override STRIDE_W: u32;
override OFFSET_H: i32;
override OFFSET_W: i32;
override COUNT: u32;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let r = group.y * groups.x + group.x;
    if r >= COUNT {
        return;
    }
    let is_cut = CUT == 1u;
    let from_h = select(EXTENT_H, IMAGE_H, is_cut);
    let from_w = select(EXTENT_W, IMAGE_W, is_cut);
    let to_h = select(IMAGE_H, EXTENT_H, is_cut);
    let to_w = select(IMAGE_W, EXTENT_W, is_cut);
    let top = i32(STRIDE_H * rows[4u * r + 2u]) + OFFSET_H;
    let left = i32(STRIDE_W * rows[4u * r + 3u]) + OFFSET_W;
    let down = select(-top, top, is_cut);
    let across = select(-left, left, is_cut);
    let elements = CHANNELS * to_h * to_w;
    for (var e = local; e < elements; e += 64u) {
        let i = i32(e / to_w % to_h) + down;
        let j = i32(e % to_w) + across;
        let c = e / (to_h * to_w);
        var value = 0.0;
        if i >= 0 && j >= 0 && i < i32(from_h) && j < i32(from_w) {
            value = x[((r * CHANNELS + c) * from_h + u32(i)) * from_w + u32(j)];
        }
        y[r * elements + e] = value;
    }
}
