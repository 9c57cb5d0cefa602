// label_margin: y[n,k] = z[n,k] − z[n,label]. With TRANSPOSED the adjoint map: y[n,k] = z[n,k], but y[n,label] = −Σ_{j≠label} z[n,j].
// z, y [COUNT,CLASSES], labels u32 [COUNT]. One invocation computes one row;
// grid: ceil(COUNT / 64) groups, folded into x and y.

override TRANSPOSED: bool;

struct Params {
    CLASSES: u32,
    COUNT: u32,
}

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> params: Params;

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
    let row = i * params.CLASSES;
    let label = min(labels[i], params.CLASSES - 1u);
    if TRANSPOSED {
        var others = 0.0;
        for (var k = 0u; k < params.CLASSES; k++) {
            if k != label {
                let v = z[row + k];
                y[row + k] = v;
                others += v;
            }
        }
        y[row + label] = -others;
    } else {
        let own = z[row + label];
        for (var k = 0u; k < params.CLASSES; k++) {
            y[row + k] = z[row + k] - own;
        }
    }
}
