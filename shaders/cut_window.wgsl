// cut_window: windows of images, the gradient of embed_window: x[r,c,i,j] = y[r, c, i + top, j + left] inside the image, else 0.
// y [COUNT, image], rows u32 [COUNT,4], x [COUNT, window].
// Images [CHANNELS,IMAGE_H,IMAGE_W], windows [CHANNELS,EXTENT_H,EXTENT_W] whose corner is STRIDE · (i, j) + OFFSET. One workgroup does
// one row; grid: COUNT groups, folded into x and y.

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

@group(0) @binding(0) var<storage, read> y: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;

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
    let window = CHANNELS * EXTENT_H * EXTENT_W;
    let pixels = CHANNELS * IMAGE_H * IMAGE_W;
    let top = i32(STRIDE_H * rows[4u * r + 2u]) + OFFSET_H;
    let left = i32(STRIDE_W * rows[4u * r + 3u]) + OFFSET_W;
    for (var e = local; e < window; e += 64u) {
        let i = i32(e / EXTENT_W % EXTENT_H) + top;
        let j = i32(e % EXTENT_W) + left;
        let c = e / (EXTENT_H * EXTENT_W);
        var value = 0.0;
        if i >= 0 && j >= 0 && i < i32(IMAGE_H) && j < i32(IMAGE_W) {
            value = y[r * pixels + (c * IMAGE_H + u32(i)) * IMAGE_W + u32(j)];
        }
        x[r * window + e] = value;
    }
}
