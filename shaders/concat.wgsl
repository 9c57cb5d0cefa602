// concat: the elements of up to seven tensors, one after the other. END_J is the sum of the lengths of parts 0 to J; absent
// parts have the END of the part before them. y [END_6].
// One invocation computes one element; grid: ceil(END_6 / 256) groups, folded into x and y.

override END_0: u32;
override END_1: u32;
override END_2: u32;
override END_3: u32;
override END_4: u32;
override END_5: u32;
override END_6: u32;

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read> x2: array<f32>;
@group(0) @binding(3) var<storage, read> x3: array<f32>;
@group(0) @binding(4) var<storage, read> x4: array<f32>;
@group(0) @binding(5) var<storage, read> x5: array<f32>;
@group(0) @binding(6) var<storage, read> x6: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if i >= END_6 {
        return;
    }
    if i < END_0 {
        y[i] = x0[i];
    } else if i < END_1 {
        y[i] = x1[i - END_0];
    } else if i < END_2 {
        y[i] = x2[i - END_1];
    } else if i < END_3 {
        y[i] = x3[i - END_2];
    } else if i < END_4 {
        y[i] = x4[i - END_3];
    } else if i < END_5 {
        y[i] = x5[i - END_4];
    } else {
        y[i] = x6[i - END_5];
    }
}
