// bound_penalty_backward: the gradient of bound_penalty_forward with respect to s, times grad.
// s [8], input_radius [1], grad [1], out [8]. One invocation; grid: one group.

const TOLERANCE: f32 = 0.5;
const TINY: f32 = 1e-12;

@group(0) @binding(0) var<storage, read> s: array<f32>;
@group(0) @binding(1) var<storage, read> input_radius: array<f32>;
@group(0) @binding(2) var<storage, read> grad: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// d shortfall(folded(q)) / dq.
fn ratio_slope(q: f32) -> f32 {
    let inverse = 1.0 / max(q, TINY);
    if min(q, inverse) >= TOLERANCE {
        return 0.0;
    }
    return select(inverse * inverse / TOLERANCE, -1.0 / TOLERANCE, q < inverse);
}

@compute @workgroup_size(1)
fn main() {
    for (var i = 0u; i < 8u; i++) {
        out[i] = 0.0;
    }
    let upstream = grad[0];
    if s[0] > TINY {
        let ratio = input_radius[0] / s[0];
        if ratio < TOLERANCE {
            out[0] = upstream * ratio / s[0] / TOLERANCE;
        }
    }
    if -s[2] > 0.0 && s[4] > 0.0 {
        let q1 = s[1] / -s[2];
        let slope1 = upstream * ratio_slope(q1) / -s[2];
        out[1] = slope1;
        out[2] = slope1 * q1;
        let q2 = s[3] / s[4];
        let slope2 = upstream * ratio_slope(q2) / s[4];
        out[3] = slope2;
        out[4] = -slope2 * q2;
    }
}
