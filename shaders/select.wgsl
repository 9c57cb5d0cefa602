// select: y[i] = a[i] where cond[s(i)] > 0, else b[i]; the condition is read at ((OFFSET + i) / INNER) % LEN, or at i if FULL.
// a, b, y [COUNT] begin at element OFFSET of the whole. One invocation computes one element;
// grid: ceil(COUNT / 256) groups, folded into x and y.

override FULL: bool;
override INNER: u32;
override LEN: u32;
override COUNT: u32;
override OFFSET: u32;

@group(0) @binding(0) var<storage, read> cond: array<f32>;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

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
    let chosen = cond[select((OFFSET + i) / INNER % LEN, i, FULL)] > 0.0;
    y[i] = select(b[i], a[i], chosen);
}
