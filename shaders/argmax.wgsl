// argmax: y[n] = index of the greatest of x[n,·], the first one at ties. x [COUNT,CLASSES], y u32 [COUNT].
// One invocation computes one row; grid: ceil(COUNT / 64) groups, folded into x and y.

struct Params {
    CLASSES: u32,
    COUNT: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<storage, read> params: Params;

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
    var best = 0u;
    var top = x[i * params.CLASSES];
    for (var k = 1u; k < params.CLASSES; k++) {
        let v = x[i * params.CLASSES + k];
        if v > top {
            best = k;
            top = v;
        }
    }
    y[i] = best;
}
