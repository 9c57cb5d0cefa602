// bound_statistics_partial: sums over one piece of a box (c, r), for `bound_statistics`. With on = [c − r > 0], off = [c + r < 0]:
// PASS 0: Σ r, Σ c·on, Σ c·off, Σ c; PASS 1, with d = c − mean: Σ d²·on, Σ d²·off, Σ d·on, Σ d·off.
// c, r [COUNT], statistics [8] (PASS 1 reads the mean at 5), partials [pieces,4], of which piece FIRST_PIECE + group is written.
// One workgroup of 256 sums one piece of SPAN elements: each invocation every 256th element in order, then a fixed tree.
// Grid: ceil(COUNT / SPAN) groups, folded into x and y.

struct Params {
    PASS: u32,
    SPAN: u32,
    FIRST_PIECE: u32,
    COUNT: u32,
    // Half of the invocations: a loop of constant length would be unrolled, barriers and all, which takes drivers long.
    HALF: u32,
}

@group(0) @binding(0) var<storage, read> c: array<f32>;
@group(0) @binding(1) var<storage, read> r: array<f32>;
@group(0) @binding(2) var<storage, read> statistics: array<f32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;
@group(0) @binding(4) var<storage, read> params: Params;

var<workgroup> sums: array<vec4<f32>, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Drivers read a parameter anew at each turn of a loop.
    let params = params;
    let piece = group.y * groups.x + group.x;
    // A group past the work has nothing to sum, and still takes part in the barriers.
    let in_work = piece < (params.COUNT + params.SPAN - 1u) / params.SPAN;
    let first = select(params.COUNT, piece * params.SPAN, in_work);
    let end = min(first + params.SPAN, params.COUNT);
    let mean = select(0.0, statistics[5], params.PASS == 1u);
    var sum = vec4<f32>();
    for (var i = first + local; i < end; i += 256u) {
        let d = c[i] - mean;
        let d_on = select(0.0, d, c[i] - r[i] > 0.0);
        let d_off = select(0.0, d, c[i] + r[i] < 0.0);
        let values = vec4<f32>(r[i], d_on, d_off, d);
        let squares = vec4<f32>(d_on * d_on, d_off * d_off, d_on, d_off);
        sum += select(values, squares, params.PASS == 1u);
    }
    sums[local] = sum;
    for (var half = params.HALF; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local < half {
            sums[local] += sums[local + half];
        }
    }
    if local == 0u && in_work {
        let at = (params.FIRST_PIECE + piece) * 4u;
        partials[at] = sums[0].x;
        partials[at + 1u] = sums[0].y;
        partials[at + 2u] = sums[0].z;
        partials[at + 3u] = sums[0].w;
    }
}
