// bound_statistics_finish: adds the sums of all pieces, in order, and writes them to their places in the statistics (see the op):
// PASS 0: entries 0, 1, 2 and 5, divided by ELEMENTS; PASS 1: entries 3, 4, 6 and 7.
// partials [PIECES,4], statistics [8]. One invocation computes one of the four; grid: one group of 4.

struct Params {
    PASS: u32,
    PIECES: u32,
    ELEMENTS: f32,
}

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read_write> statistics: array<f32>;
@group(0) @binding(2) var<storage, read> params: Params;

@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) local: u32) {
    // Drivers read a parameter anew at each turn of a loop.
    let params = params;
    var sum = 0.0;
    for (var p = 0u; p < params.PIECES; p++) {
        sum += partials[p * 4u + local];
    }
    if params.PASS == 0u {
        statistics[select(local, 5u, local == 3u)] = sum / params.ELEMENTS;
    } else {
        statistics[select(local + 3u, local + 4u, local >= 2u)] = sum;
    }
}
