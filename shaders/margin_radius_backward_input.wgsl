// margin_radius_backward_input: out[n,f] = Σ_k g[n,k] · |w[label_n,f] − w[k,f]|.
// g [N,CLASSES], w [CLASSES,FEATURES], labels u32 [N], out [COUNT] = [N,FEATURES]. One invocation computes one element;
// grid: ceil(COUNT / 64) groups, folded into x and y.

struct Params {
    CLASSES: u32,
    FEATURES: u32,
    COUNT: u32,
}

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
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
    let n = i / params.FEATURES;
    let f = i % params.FEATURES;
    let own = w[min(labels[n], params.CLASSES - 1u) * params.FEATURES + f];
    var sum = 0.0;
    for (var k = 0u; k < params.CLASSES; k++) {
        sum += g[n * params.CLASSES + k] * abs(own - w[k * params.FEATURES + f]);
    }
    out[i] = sum;
}
