// gather_rows: y[r,i] = w[rows[r].feature, i]; w [O,INNER], rows u32 [COUNT,4], y [COUNT,INNER].
// One workgroup does one row; grid: COUNT groups, folded into x and y.

override INNER: u32;
override COUNT: u32;

@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let r = group.y * groups.x + group.x;
    if r >= COUNT {
        return;
    }
    let first = rows[4u * r + 1u] * INNER;
    for (var i = local; i < INNER; i += 64u) {
        y[r * INNER + i] = w[first + i];
    }
}
