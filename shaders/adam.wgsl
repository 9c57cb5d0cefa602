// adam: one step of Adam (Kingma & Ba 2015), in place. g = grad + WEIGHT_DECAY·p; m ← BETA_1·m + (1 − BETA_1)·g;
// v ← BETA_2·v + (1 − BETA_2)·g²; p ← p − rates[0]·m / (√v·rates[1] + EPSILON). REST_1 and REST_2 are 1 − BETA_1 and 1 − BETA_2.
// With CUT the new p is cut to [LEAST, GREATEST]. p, m, v, grad [COUNT], rates [2]. One invocation computes one element;
// grid: ceil(COUNT / 256) groups, folded into x and y.

struct Params {
    BETA_1: f32,
    REST_1: f32,
    BETA_2: f32,
    REST_2: f32,
    EPSILON: f32,
    WEIGHT_DECAY: f32,
    LEAST: f32,
    GREATEST: f32,
    CUT: u32,
    COUNT: u32,
}

@group(0) @binding(0) var<storage, read> grad: array<f32>;
@group(0) @binding(1) var<storage, read> rates: array<f32>;
@group(0) @binding(2) var<storage, read_write> p: array<f32>;
@group(0) @binding(3) var<storage, read_write> m: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;
@group(0) @binding(5) var<storage, read> params: Params;

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
    let g = grad[i] + params.WEIGHT_DECAY * p[i];
    let first = params.BETA_1 * m[i] + params.REST_1 * g;
    let second = params.BETA_2 * v[i] + params.REST_2 * (g * g);
    m[i] = first;
    v[i] = second;
    let moved = p[i] - rates[0] * first / (sqrt(second) * rates[1] + params.EPSILON);
    let raised = select(moved, params.LEAST, moved < params.LEAST);
    p[i] = select(moved, select(raised, params.GREATEST, raised > params.GREATEST), params.CUT != 0u);
}
