
// by_subgroup: the end of a kernel of register tiles, where eight invocations of a subgroup read what belongs to eight rows and exchange it.
// For subgroups of at least eight invocations.

// Rows whose values one read brings.
const SHARED = 8u;

// The value that the invocation for `row` has read.
fn spread(v: f32, row: u32) -> f32 {
    return subgroupShuffle(v, row);
}

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    tile(group, group.y * groups.x + group.x, local, lane % SHARED);
}
