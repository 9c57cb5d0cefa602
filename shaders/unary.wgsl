// unary: y[i] = f(x[i]), f chosen by KIND (the discriminants of `UnaryKind`), A and B its two attributes.
// x, y [COUNT]. One invocation computes one element; grid: ceil(COUNT / 256) groups, folded into x and y.

override KIND: u32;

struct Params {
    A: f32,
    B: f32,
    COUNT: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> params: Params;

fn apply(v: f32) -> f32 {
    switch KIND {
        case 0u: { return abs(v); }
        case 1u: { return f32(v > 0.0) - f32(v < 0.0); }
        case 2u: { return f32(v > 0.0); }
        case 3u: { return params.A * v + params.B; }
        case 4u: { return min(max(v, params.A), params.B); }
        case 5u: { return v * v; }
        case 6u: { return sqrt(v); }
        case 7u: { return 1.0 / v; }
        case 8u: { return exp(v); }
        default: { return log(v); }
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if i >= params.COUNT {
        return;
    }
    y[i] = apply(x[i]);
}
