// cross_entropy_forward: y[n] = log Σ_k exp(z[n,k] − top) + top − z[n,label], top = max_k z[n,k].
// z [COUNT,CLASSES], labels u32 [COUNT], y [COUNT]. One invocation computes one row;
// grid: ceil(COUNT / 64) groups, folded into x and y.

struct Params {
    CLASSES: u32,
    COUNT: u32,
}

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> params: Params;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Drivers read a parameter anew at each turn of a loop.
    let params = params;
    let i = (group.y * groups.x + group.x) * 64u + local;
    if i >= params.COUNT {
        return;
    }
    let row = i * params.CLASSES;
    var top = z[row];
    for (var k = 1u; k < params.CLASSES; k++) {
        top = max(top, z[row + k]);
    }
    var sum = 0.0;
    for (var k = 0u; k < params.CLASSES; k++) {
        sum += exp(z[row + k] - top);
    }
    // A label that is no class must not read another sample's memory.
    y[i] = log(sum) + (top - z[row + min(labels[i], params.CLASSES - 1u)]);
}
