// bound_statistics_backward: with d = c − s[5], on = [c − r > 0], off = [c + r < 0] and n = ELEMENTS:
// out_c = on·(g[1]/n + 2g[3]·d) + off·(g[2]/n + 2g[4]·d) − (2/n)(g[3]·s[6] + g[4]·s[7]); out_r = g[0]/n.
// c, r, out_c, out_r [COUNT], s, g [8]. One invocation computes one element of both outputs;
// grid: ceil(COUNT / 256) groups, folded into x and y.

struct Params {
    ELEMENTS: f32,
    COUNT: u32,
}

@group(0) @binding(0) var<storage, read> c: array<f32>;
@group(0) @binding(1) var<storage, read> r: array<f32>;
@group(0) @binding(2) var<storage, read> s: array<f32>;
@group(0) @binding(3) var<storage, read> g: array<f32>;
@group(0) @binding(4) var<storage, read_write> out_c: array<f32>;
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
    let d = c[i] - s[5];
    let on = select(0.0, g[1] / params.ELEMENTS + 2.0 * g[3] * d, c[i] - r[i] > 0.0);
    let off = select(0.0, g[2] / params.ELEMENTS + 2.0 * g[4] * d, c[i] + r[i] < 0.0);
    out_c[i] = on + off - 2.0 / params.ELEMENTS * (g[3] * s[6] + g[4] * s[7]);
    out_r[i] = g[0] / params.ELEMENTS;
}
