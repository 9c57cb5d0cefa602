// sum_partials: y[i] = Σ_p v_p, in order of p, with v_p = Σ_t partials[p,t,i] over TERMS terms in order; then BIAS adds bias[i mod N], RELU cuts
// at 0. partials [PARTS,TERMS,COUNT], y [COUNT]. Without BIAS `bias` is not read. One invocation computes one element;
// grid: ceil(COUNT / 64) groups, folded into x and y.

struct Params {
    PARTS: u32,
    TERMS: u32,
    COUNT: u32,
    N: u32,
    BIAS: u32,
    RELU: u32,
}

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> params: Params;

fn part(params: Params, p: u32, i: u32) -> f32 {
    var v = partials[p * params.TERMS * params.COUNT + i];
    for (var t = 1u; t < params.TERMS; t++) {
        v += partials[(p * params.TERMS + t) * params.COUNT + i];
    }
    return v;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * 64u + local;
    // Drivers read a parameter anew at each turn of a loop.
    let params = params;
    if i >= params.COUNT {
        return;
    }
    var sum = part(params, 0u, i);
    for (var p = 1u; p < params.PARTS; p++) {
        sum += part(params, p, i);
    }
    if params.BIAS != 0u {
        sum += bias[i % params.N];
    }
    if params.RELU != 0u {
        sum = select(sum, 0.0, sum < 0.0);
    }
    y[i] = sum;
}
