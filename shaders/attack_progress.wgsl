// attack_progress: what the logits of an attack's iterate say of each sample, and the gradient of its cross-entropy.
// With loss = log Σ_k exp(z[n,k] − top) + top − z[n,label], top = max_k z[n,k], and wrong = 1 where the first greatest logit is not the
// label's: grad[n,k] = softmax(z[n,·])[k] − [k = label]; chosen[n] = 1 where the iterate is the attack's point from now on, else 0;
// next[n] = found or wrong; next[COUNT+n] = the highest loss so far; done[g] = 1 where all of the 64 samples of group g are found, else 0.
// state[n] is found before, state[COUNT+n] the highest loss before; with FIRST there is no before, and neither is read.
// z, grad [COUNT,CLASSES], labels u32 [COUNT], state, next [2,COUNT], chosen [COUNT], done [ceil(COUNT / 64)]. One invocation computes one
// row; grid: ceil(COUNT / 64) groups, folded into x and y.

struct Params {
    CLASSES: u32,
    COUNT: u32,
    FIRST: u32,
}

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> state: array<f32>;
@group(0) @binding(3) var<storage, read_write> grad: array<f32>;
@group(0) @binding(4) var<storage, read_write> next: array<f32>;
@group(0) @binding(5) var<storage, read_write> chosen: array<f32>;
@group(0) @binding(6) var<storage, read_write> done: array<f32>;
@group(0) @binding(7) var<storage, read> params: Params;

var<workgroup> open: array<u32, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Drivers read a parameter anew at each turn of a loop.
    let params = params;
    let flat = group.y * groups.x + group.x;
    let i = flat * 64u + local;
    // A row past the work still takes part in the barrier.
    open[local] = 0u;
    if i < params.COUNT {
        let row = i * params.CLASSES;
        var best = 0u;
        var top = z[row];
        for (var k = 1u; k < params.CLASSES; k++) {
            let v = z[row + k];
            if v > top {
                best = k;
                top = v;
            }
        }
        var sum = 0.0;
        for (var k = 0u; k < params.CLASSES; k++) {
            let e = exp(z[row + k] - top);
            grad[row + k] = e;
            sum += e;
        }
        let label = labels[i];
        for (var k = 0u; k < params.CLASSES; k++) {
            grad[row + k] = grad[row + k] / sum - f32(k == label);
        }
        // A label that is no class must not read another sample's memory.
        let loss = log(sum) + (top - z[row + min(label, params.CLASSES - 1u)]);
        var found = f32(best != label);
        var higher = true;
        var highest = loss;
        if params.FIRST == 0u {
            found = max(found, state[i]);
            let before = state[params.COUNT + i];
            higher = loss > before;
            highest = select(before, loss, higher);
        }
        next[i] = found;
        next[params.COUNT + i] = highest;
        chosen[i] = select(found, 1.0, higher);
        open[local] = u32(found == 0.0);
    }
    workgroupBarrier();
    if local == 0u && flat * 64u < params.COUNT {
        var any = 0u;
        // Of this length rather than 64, which drivers would unroll.
        for (var j = 0u; j < min(64u, params.COUNT - flat * 64u); j++) {
            any |= open[j];
        }
        done[flat] = f32(any == 0u);
    }
}
