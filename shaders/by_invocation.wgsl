
// by_invocation: the end of a kernel of register tiles, where an invocation reads for itself what belongs to the rows of its tile.

// Rows whose values one read brings.
const SHARED = 1u;

fn spread(v: f32, row: u32) -> f32 {
    return v;
}

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    tile(group, group.y * groups.x + group.x, local, 0u);
}
