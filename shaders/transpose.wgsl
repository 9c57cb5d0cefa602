// transpose: y[a,b,c,d] = x[a·STEP_A + b·STEP_B + c·STEP_C + d·STEP_D]; y has extents [_,EXTENT_B,EXTENT_C,EXTENT_D], of which
// this writes COUNT elements from element OFFSET on. x is bound whole.
// One invocation computes one element; grid: ceil(COUNT / 256) groups, folded into x and y.

override EXTENT_B: u32;
override EXTENT_C: u32;
override EXTENT_D: u32;
override STEP_A: u32;
override STEP_B: u32;
override STEP_C: u32;
override STEP_D: u32;
override COUNT: u32;
override OFFSET: u32;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

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
    let d = OFFSET + i;
    let c = d / EXTENT_D;
    let b = c / EXTENT_C;
    let a = b / EXTENT_B;
    y[i] = x[a * STEP_A + b % EXTENT_B * STEP_B + c % EXTENT_C * STEP_C + d % EXTENT_D * STEP_D];
}
