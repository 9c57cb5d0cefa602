// concretize_backward: gradient of concretize with respect to the coefficients: grad·(a > 0 ? below : above).
// coefficients, out [COUNT, window]; region [N,2,image]: below, above; rows u32 [COUNT,4]; grad [COUNT].
// Images [CHANNELS,IMAGE_H,IMAGE_W], windows [CHANNELS,EXTENT_H,EXTENT_W] whose corner is STRIDE · (i, j) + OFFSET; elements outside
// the image are 0. One workgroup does one row; grid: COUNT groups, folded into x and y.

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

@group(0) @binding(0) var<storage, read> coefficients: array<f32>;
@group(0) @binding(1) var<storage, read> region: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<u32>;
@group(0) @binding(3) var<storage, read> grad: array<f32>;
@group(0) @binding(4) var<storage, read_write> result: array<f32>;

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
    let sample = rows[4u * r] * 2u * pixels;
    let top = i32(STRIDE_H * rows[4u * r + 2u]) + OFFSET_H;
    let left = i32(STRIDE_W * rows[4u * r + 3u]) + OFFSET_W;
    for (var e = local; e < window; e += 64u) {
        let y = i32(e / EXTENT_W % EXTENT_H) + top;
        let x = i32(e % EXTENT_W) + left;
        let i = r * window + e;
        if y < 0 || x < 0 || y >= i32(IMAGE_H) || x >= i32(IMAGE_W) {
            result[i] = 0.0;
            continue;
        }
        let p = (e / (EXTENT_H * EXTENT_W) * IMAGE_H + u32(y)) * IMAGE_W + u32(x);
        let below = region[sample + p];
        let above = region[sample + pixels + p];
        result[i] = grad[r] * select(above, below, coefficients[i] > 0.0);
    }
}
