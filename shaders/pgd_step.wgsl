// pgd_step: y[i] = min(max(z[i] + STEP·reach·sign(grad[i]), lower[i]), upper[i]), or z[i] where all of done > 0.
// z, grad, lower, upper, y [COUNT]; reach [1], done [PARTS]. One invocation computes one element;
// grid: ceil(COUNT / 256) groups, folded into x and y.

struct Params {
    STEP: f32,
    PARTS: u32,
    COUNT: u32,
}

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read> lower: array<f32>;
@group(0) @binding(3) var<storage, read> upper: array<f32>;
@group(0) @binding(4) var<storage, read> reach: array<f32>;
@group(0) @binding(5) var<storage, read> done: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(0) @binding(7) var<storage, read> params: Params;

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
    var open = false;
    for (var part = 0u; !open && part < params.PARTS; part++) {
        open = !(done[part] > 0.0);
    }
    let g = grad[i];
    let moved = z[i] + params.STEP * reach[0] * (f32(g > 0.0) - f32(g < 0.0));
    let raised = select(moved, lower[i], moved < lower[i]);
    let projected = select(raised, upper[i], raised > upper[i]);
    y[i] = select(z[i], projected, open);
}
