// sum_partials: y[i] = Σ_p partials[p,i], in order of p. partials [PARTS,COUNT], y [COUNT]. One invocation computes one element;
// grid: ceil(COUNT / 64) groups, folded into x and y.

override PARTS: u32;
override COUNT: u32;

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

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
    var sum = 0.0;
    for (var p = 0u; p < PARTS; p++) {
        sum += partials[p * COUNT + i];
    }
    y[i] = sum;
}
