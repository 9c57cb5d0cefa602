// adam: one step of Adam (Kingma & Ba 2015), in place. g = grad + WEIGHT_DECAY·p; m ← BETA_1·m + (1 − BETA_1)·g;
// v ← BETA_2·v + (1 − BETA_2)·g²; p ← p − rates[0]·m / (√v·rates[1] + EPSILON). REST_1 and REST_2 are 1 − BETA_1 and 1 − BETA_2.
// With CUT the new p is cut to [LEAST, GREATEST]. p, m, v, grad [COUNT], rates [2]. One invocation computes one element;
// grid: ceil(COUNT / 256) groups, folded into x and y.

override BETA_1: f32;
override REST_1: f32;
override BETA_2: f32;
override REST_2: f32;
override EPSILON: f32;
override WEIGHT_DECAY: f32;
override LEAST: f32;
override GREATEST: f32;
override CUT: bool;
override COUNT: u32;

@group(0) @binding(0) var<storage, read> grad: array<f32>;
@group(0) @binding(1) var<storage, read> rates: array<f32>;
@group(0) @binding(2) var<storage, read_write> p: array<f32>;
@group(0) @binding(3) var<storage, read_write> m: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if i >= COUNT {
        return;
    }
    let g = grad[i] + WEIGHT_DECAY * p[i];
    let first = BETA_1 * m[i] + REST_1 * g;
    let second = BETA_2 * v[i] + REST_2 * (g * g);
    m[i] = first;
    v[i] = second;
    let moved = p[i] - rates[0] * first / (sqrt(second) * rates[1] + EPSILON);
    let raised = select(moved, LEAST, moved < LEAST);
    p[i] = select(moved, select(raised, GREATEST, raised > GREATEST), CUT);
}
