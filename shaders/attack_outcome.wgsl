// attack_outcome: what an attack that ends at an iterate has found. found[n] = 1 where state[n] is, or where the first greatest of the
// logits z[n,·] is not the label's, else 0; loss[n] = state[COUNT+n].
// z [COUNT,CLASSES], labels u32 [COUNT], state [2,COUNT], found, loss [COUNT]. One invocation computes one row;
// grid: ceil(COUNT / 64) groups, folded into x and y.

struct Params {
    CLASSES: u32,
    COUNT: u32,
}

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> state: array<f32>;
@group(0) @binding(3) var<storage, read_write> found: array<f32>;
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;
@group(0) @binding(5) var<storage, read> params: Params;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Drivers read a parameter anew at each turn of a loop.
    let params = params;
    let i = (group.y * groups.x + group.x) * 64u + local;
    if i >= params.COUNT {
        return;
    }
    var best = 0u;
    var top = z[i * params.CLASSES];
    for (var k = 1u; k < params.CLASSES; k++) {
        let v = z[i * params.CLASSES + k];
        if v > top {
            best = k;
            top = v;
        }
    }
    found[i] = max(f32(best != labels[i]), state[i]);
    loss[i] = state[params.COUNT + i];
}
