// margin_radius_backward_weight: out[k,f] = Σ_n r[n,f] · ([k = label_n] Σ_j g[n,j]·s(n,j,f) − g[n,k]·s(n,k,f)),
// s(n,j,f) = sign(w[label_n,f] − w[j,f]). g [BATCH,CLASSES], r [BATCH,FEATURES], w, out [CLASSES,FEATURES], labels u32 [BATCH].
// One invocation computes one element, samples in order; grid: ceil(COUNT / 64) groups, folded into x and y. COUNT = CLASSES·FEATURES.

struct Params {
    BATCH: u32,
    CLASSES: u32,
    FEATURES: u32,
    COUNT: u32,
}

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> r: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<storage, read> params: Params;

fn sign_of_difference(a: f32, b: f32) -> f32 {
    return f32(a > b) - f32(a < b);
}

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
    let k = i / params.FEATURES;
    let f = i % params.FEATURES;
    let own = w[i];
    var sum = 0.0;
    for (var n = 0u; n < params.BATCH; n++) {
        let label = min(labels[n], params.CLASSES - 1u);
        var slope = 0.0;
        if label == k {
            for (var j = 0u; j < params.CLASSES; j++) {
                slope += g[n * params.CLASSES + j] * sign_of_difference(own, w[j * params.FEATURES + f]);
            }
        } else {
            slope = g[n * params.CLASSES + k] * sign_of_difference(own, w[label * params.FEATURES + f]);
        }
        sum += slope * r[n * params.FEATURES + f];
    }
    out[i] = sum;
}
