// record_row: table[(index % ROWS), i] = row[i]. table [ROWS,COUNT], row [COUNT], index u32 [1].
// One invocation computes one element; grid: ceil(COUNT / 256) groups, folded into x and y.

override ROWS: u32;
override COUNT: u32;

@group(0) @binding(0) var<storage, read> row: array<f32>;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read_write> table: array<f32>;

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
    table[index[0] % ROWS * COUNT + i] = row[i];
}
