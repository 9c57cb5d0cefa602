// relu_interval_forward: the box (m, r) becomes [max(m − r, 0), max(m + r, 0)], again as center and radius.
// All [COUNT]. One invocation computes one element of both outputs;
// grid: ceil(COUNT / 256) groups, folded into x and y.

struct Params {
    COUNT: u32,
}

@group(0) @binding(0) var<storage, read> m: array<f32>;
@group(0) @binding(1) var<storage, read> r: array<f32>;
@group(0) @binding(2) var<storage, read_write> out_m: array<f32>;
@group(0) @binding(3) var<storage, read_write> out_r: array<f32>;
@group(0) @binding(4) var<storage, read> params: Params;

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
    let l = m[i] - r[i];
    let u = m[i] + r[i];
    let lower = select(l, 0.0, l < 0.0);
    let upper = select(u, 0.0, u < 0.0);
    out_m[i] = 0.5 * (upper + lower);
    out_r[i] = 0.5 * (upper - lower);
}
