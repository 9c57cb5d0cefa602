// sum_partials: y[i] = Σ_p v_p, in order of p, with v_p = Σ_t partials[p,t,i] over TERMS terms in order; then BIAS adds bias[i mod N], RELU cuts
// at 0. partials [PARTS,TERMS,COUNT], y [COUNT]. Without BIAS `bias` is not read. One invocation computes one element;
// grid: ceil(COUNT / 64) groups, folded into x and y.

override PARTS: u32;
override TERMS: u32;
override COUNT: u32;
override N: u32;
override BIAS: bool;
override RELU: bool;

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn part(p: u32, i: u32) -> f32 {
    var v = partials[p * TERMS * COUNT + i];
    for (var t = 1u; t < TERMS; t++) {
        v += partials[(p * TERMS + t) * COUNT + i];
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
    if i >= COUNT {
        return;
    }
    var sum = part(0u, i);
    for (var p = 1u; p < PARTS; p++) {
        sum += part(p, i);
    }
    if BIAS {
        sum += bias[i % N];
    }
    if RELU {
        sum = select(sum, 0.0, sum < 0.0);
    }
    y[i] = sum;
}
