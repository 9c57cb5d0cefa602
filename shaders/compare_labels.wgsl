// compare_labels: y[i] = 1 where a[i] = b[i], else 0. a, b u32 [COUNT], y [COUNT]. One invocation computes one element;
// grid: ceil(COUNT / 256) groups, folded into x and y.

struct Params {
    COUNT: u32,
}

@group(0) @binding(0) var<storage, read> a: array<u32>;
@group(0) @binding(1) var<storage, read> b: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> params: Params;

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
    y[i] = f32(a[i] == b[i]);
}
