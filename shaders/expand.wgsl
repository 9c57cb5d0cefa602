// expand: y[o,k,i] = x[k] for x [KEEP] and y [outer,KEEP,INNER], of which this writes COUNT elements from element OFFSET on.
// One invocation computes one element; grid: ceil(COUNT / 256) groups, folded into x and y.

override KEEP: u32;
override INNER: u32;
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
    y[i] = x[(OFFSET + i) / INNER % KEEP];
}
