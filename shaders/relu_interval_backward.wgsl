// relu_interval_backward: with l = m − r, u = m + r of the box (m, r) behind the ReLU, G_u = (g_m + g_r)/2 where u > 0 else 0,
// G_l = (g_m − g_r)/2 where l > 0 else 0: out_m = G_u + G_l, out_r = G_u − G_l.
// All [COUNT]. One invocation computes one element of both outputs;
// grid: ceil(COUNT / 256) groups, folded into x and y.

struct Params {
    COUNT: u32,
}

@group(0) @binding(0) var<storage, read> m: array<f32>;
@group(0) @binding(1) var<storage, read> r: array<f32>;
@group(0) @binding(2) var<storage, read> grad_m: array<f32>;
@group(0) @binding(3) var<storage, read> grad_r: array<f32>;
@group(0) @binding(4) var<storage, read_write> out_m: array<f32>;
@group(0) @binding(5) var<storage, read_write> out_r: array<f32>;
@group(0) @binding(6) var<storage, read> params: Params;

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
    let g_m = grad_m[i];
    let g_r = grad_r[i];
    let grad_u = select(0.0, 0.5 * (g_m + g_r), m[i] + r[i] > 0.0);
    let grad_l = select(0.0, 0.5 * (g_m - g_r), m[i] - r[i] > 0.0);
    out_m[i] = grad_u + grad_l;
    out_r[i] = grad_u - grad_l;
}
