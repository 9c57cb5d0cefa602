// bound_penalty_forward: tightness plus balance of one layer (see the op), from its statistics s.
// s [8], input_radius [1], y [1]. One invocation; grid: one group.

const TOLERANCE: f32 = 0.5;
const TINY: f32 = 1e-12;

@group(0) @binding(0) var<storage, read> s: array<f32>;
@group(0) @binding(1) var<storage, read> input_radius: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn shortfall(q: f32) -> f32 {
    return max(TOLERANCE - q, 0.0) / TOLERANCE;
}

fn folded(q: f32) -> f32 {
    return min(q, 1.0 / max(q, TINY));
}

@compute @workgroup_size(1)
fn main() {
    var sum = shortfall(input_radius[0] / max(s[0], TINY));
    if -s[2] > 0.0 && s[4] > 0.0 {
        sum += shortfall(folded(s[1] / -s[2])) + shortfall(folded(s[3] / s[4]));
    }
    y[0] = sum;
}
