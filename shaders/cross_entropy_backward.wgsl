// cross_entropy_backward: out[n,k] = (softmax(z[n,·])[k] − [k = label]) · grad[n].
// z, out [COUNT,CLASSES], labels u32 [COUNT], grad [COUNT]. One invocation computes one row;
// grid: ceil(COUNT / 64) groups, folded into x and y.

struct Params {
    CLASSES: u32,
    COUNT: u32,
}

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> grad: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read> params: Params;

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
    let label = labels[i];
    for (var k = 0u; k < params.CLASSES; k++) {
        out[row + k] = (exp(z[row + k] - top) / sum - f32(k == label)) * grad[i];
    }
}
