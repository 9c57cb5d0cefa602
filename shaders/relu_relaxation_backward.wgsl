// relu_relaxation_backward: gradients of relu_relaxation. OF 0: with respect to the coefficients, grad·s + grad_summand·(s·ẑ + t − max(ẑ,0));
// 1: to the slopes, a·(grad + grad_summand·ẑ) at unstable unsplit neurons with a > 0, else 0; 2: to the multipliers,
// −σ·(grad + grad_summand·ẑ).
// MODE, alpha, splits, bounds, rows as there; coefficients, grad, result [COUNT, window], grad_summand [COUNT].
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
override MODE: u32;
override OF: u32;

@group(0) @binding(0) var<storage, read> coefficients: array<f32>;
@group(0) @binding(1) var<storage, read> bounds: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<u32>;
@group(0) @binding(3) var<storage, read> alpha: array<f32>;
@group(0) @binding(4) var<storage, read> splits: array<f32>;
@group(0) @binding(5) var<storage, read> grad: array<f32>;
@group(0) @binding(6) var<storage, read> grad_summand: array<f32>;
@group(0) @binding(7) var<storage, read_write> result: array<f32>;

// Slope and summand of one element; split is 0 where there is none.
fn line(a: f32, l: f32, u: f32, z: f32, alpha: f32, split: f32) -> vec2<f32> {
    let whole = split == 0.0;
    let passes = (l >= 0.0 && whole) || split > 0.0;
    if l < 0.0 && u > 0.0 && whole {
        let chord = u / (u - l);
        let slope = select(chord, alpha, a >= 0.0);
        let shift = select(-l * chord, 0.0, a >= 0.0);
        return vec2<f32>(slope, slope * z + shift - max(z, 0.0));
    }
    let slope = select(0.0, 1.0, passes);
    return vec2<f32>(slope, slope * z - max(z, 0.0));
}

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
    let sample = rows[4u * r] * 3u * pixels;
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
        let l = bounds[sample + p];
        let u = bounds[sample + pixels + p];
        let z = bounds[sample + 2u * pixels + p];
        var slope = select(0.0, 1.0, u > -l);
        var split = 0.0;
        if MODE > 0u {
            slope = alpha[i];
        }
        if MODE > 1u {
            split = splits[i];
        }
        let a = coefficients[i];
        let through = grad[i] + grad_summand[r] * z;
        if OF == 2u {
            result[i] = -split * through;
        } else if OF == 1u {
            result[i] = select(0.0, a * through, l < 0.0 && u > 0.0 && a > 0.0 && split == 0.0);
        } else {
            let found = line(a, l, u, z, slope, split);
            result[i] = grad[i] * found.x + grad_summand[r] * found.y;
        }
    }
}
