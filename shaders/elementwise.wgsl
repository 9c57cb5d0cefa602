// elementwise: a short program of elementwise steps, computed for each element without a step's result ever reaching memory.
// Value k < 8 is operand k of the buffer SOURCE_k (0 … 4: x0 … x4, 5 … 7: y0 … y2 before they are written): element i where SPREAD_k is 0,
// element FIRST_k where it is 1, else element FIRST_k + (OFFSET + i) / INNER_k % LEN_k. Value 8 + k is the result of step k: ACTION_k
// (`Action::code`) of the values whose numbers are in ARGS_k, 5 bits each, and of P_k and Q_k. yk[i] becomes value RESULT_k, if
// there is one (31: none). All buffers that are read at i, and the outputs [COUNT], begin at element OFFSET of the whole. One invocation
// computes one element; grid: ceil(COUNT / 256) groups, folded into x and y.

override SOURCE_0: u32 = 8u;
override SPREAD_0: u32 = 0u;
override SOURCE_1: u32 = 8u;
override SPREAD_1: u32 = 0u;
override SOURCE_2: u32 = 8u;
override SPREAD_2: u32 = 0u;
override SOURCE_3: u32 = 8u;
override SPREAD_3: u32 = 0u;
override SOURCE_4: u32 = 8u;
override SPREAD_4: u32 = 0u;
override SOURCE_5: u32 = 8u;
override SPREAD_5: u32 = 0u;
override SOURCE_6: u32 = 8u;
override SPREAD_6: u32 = 0u;
override SOURCE_7: u32 = 8u;
override SPREAD_7: u32 = 0u;
override STEPS: u32;
override ACTION_0: u32 = 0u;
override ARGS_0: u32 = 0u;
override ACTION_1: u32 = 0u;
override ARGS_1: u32 = 0u;
override ACTION_2: u32 = 0u;
override ARGS_2: u32 = 0u;
override ACTION_3: u32 = 0u;
override ARGS_3: u32 = 0u;
override ACTION_4: u32 = 0u;
override ARGS_4: u32 = 0u;
override ACTION_5: u32 = 0u;
override ARGS_5: u32 = 0u;
override ACTION_6: u32 = 0u;
override ARGS_6: u32 = 0u;
override ACTION_7: u32 = 0u;
override ARGS_7: u32 = 0u;
override ACTION_8: u32 = 0u;
override ARGS_8: u32 = 0u;
override ACTION_9: u32 = 0u;
override ARGS_9: u32 = 0u;
override ACTION_10: u32 = 0u;
override ARGS_10: u32 = 0u;
override ACTION_11: u32 = 0u;
override ARGS_11: u32 = 0u;
override ACTION_12: u32 = 0u;
override ARGS_12: u32 = 0u;
override ACTION_13: u32 = 0u;
override ARGS_13: u32 = 0u;
override ACTION_14: u32 = 0u;
override ARGS_14: u32 = 0u;
override ACTION_15: u32 = 0u;
override ARGS_15: u32 = 0u;
override RESULT_0: u32 = 31u;
override RESULT_1: u32 = 31u;
override RESULT_2: u32 = 31u;

struct Params {
    COUNT: u32,
    OFFSET: u32,
    FIRST_0: u32,
    INNER_0: u32,
    LEN_0: u32,
    FIRST_1: u32,
    INNER_1: u32,
    LEN_1: u32,
    FIRST_2: u32,
    INNER_2: u32,
    LEN_2: u32,
    FIRST_3: u32,
    INNER_3: u32,
    LEN_3: u32,
    FIRST_4: u32,
    INNER_4: u32,
    LEN_4: u32,
    FIRST_5: u32,
    INNER_5: u32,
    LEN_5: u32,
    FIRST_6: u32,
    INNER_6: u32,
    LEN_6: u32,
    FIRST_7: u32,
    INNER_7: u32,
    LEN_7: u32,
    P_0: f32,
    Q_0: f32,
    P_1: f32,
    Q_1: f32,
    P_2: f32,
    Q_2: f32,
    P_3: f32,
    Q_3: f32,
    P_4: f32,
    Q_4: f32,
    P_5: f32,
    Q_5: f32,
    P_6: f32,
    Q_6: f32,
    P_7: f32,
    Q_7: f32,
    P_8: f32,
    Q_8: f32,
    P_9: f32,
    Q_9: f32,
    P_10: f32,
    Q_10: f32,
    P_11: f32,
    Q_11: f32,
    P_12: f32,
    Q_12: f32,
    P_13: f32,
    Q_13: f32,
    P_14: f32,
    Q_14: f32,
    P_15: f32,
    Q_15: f32,
}

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read> x2: array<f32>;
@group(0) @binding(3) var<storage, read> x3: array<f32>;
@group(0) @binding(4) var<storage, read> x4: array<f32>;
@group(0) @binding(5) var<storage, read_write> y0: array<f32>;
@group(0) @binding(6) var<storage, read_write> y1: array<f32>;
@group(0) @binding(7) var<storage, read_write> y2: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

fn load(source: u32, at: u32) -> f32 {
    switch source {
        case 0u: { return x0[at]; }
        case 1u: { return x1[at]; }
        case 2u: { return x2[at]; }
        case 3u: { return x3[at]; }
        case 4u: { return x4[at]; }
        case 5u: { return y0[at]; }
        case 6u: { return y1[at]; }
        case 7u: { return y2[at]; }
        default: { return 0.0; }
    }
}

fn operand(source: u32, spread: u32, first: u32, inner: u32, len: u32, i: u32) -> f32 {
    switch spread {
        case 0u: { return load(source, i); }
        case 1u: { return load(source, first); }
        default: { return load(source, first + (params.OFFSET + i) / inner % len); }
    }
}

fn apply(action: u32, a: f32, b: f32, c: f32, d: f32, e: f32, p: f32, q: f32) -> f32 {
    switch action {
        case 0u: { return a; }
        case 1u: { return abs(a); }
        case 2u: { return f32(a > 0.0) - f32(a < 0.0); }
        case 3u: { return f32(a > 0.0); }
        case 4u: { return p * a + q; }
        case 5u: { return min(max(a, p), q); }
        case 6u: { return a * a; }
        case 7u: { return sqrt(a); }
        case 8u: { return 1.0 / a; }
        case 9u: { return exp(a); }
        case 10u: { return log(a); }
        case 11u: { return a + b; }
        case 12u: { return a - b; }
        case 13u: { return a * b; }
        case 14u: { return a / b; }
        case 15u: { return select(a, b, b < a); }
        case 16u: { return select(a, b, b > a); }
        case 17u: { return f32(a > b); }
        case 18u: { return select(0.0, a, b > 0.0); }
        case 19u: { return select(c, b, a > 0.0); }
        // Written so that a NaN stays a NaN where the driver keeps them.
        case 20u: { return select(a, 0.0, a < 0.0); }
        case 21u, 22u: {
            let l = a - b;
            let u = a + b;
            let lower = select(l, 0.0, l < 0.0);
            let upper = select(u, 0.0, u < 0.0);
            return 0.5 * select(upper - lower, upper + lower, action == 21u);
        }
        case 23u, 24u: {
            let grad_u = select(0.0, 0.5 * (c + d), a + b > 0.0);
            let grad_l = select(0.0, 0.5 * (c - d), a - b > 0.0);
            return select(grad_u - grad_l, grad_u + grad_l, action == 23u);
        }
        case 25u: { return a + p * b; }
        case 26u: { return p * a + q * b; }
        case 27u: { return p * a + q * (b * b); }
        case 28u: { return a - d * b / (sqrt(c) * e + p); }
        default: {
            let raised = select(a, p, a < p);
            return select(raised, q, raised > q);
        }
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if i >= params.COUNT {
        return;
    }
    var v: array<f32, 32>;
    v[0] = operand(SOURCE_0, SPREAD_0, params.FIRST_0, params.INNER_0, params.LEN_0, i);
    v[1] = operand(SOURCE_1, SPREAD_1, params.FIRST_1, params.INNER_1, params.LEN_1, i);
    v[2] = operand(SOURCE_2, SPREAD_2, params.FIRST_2, params.INNER_2, params.LEN_2, i);
    v[3] = operand(SOURCE_3, SPREAD_3, params.FIRST_3, params.INNER_3, params.LEN_3, i);
    v[4] = operand(SOURCE_4, SPREAD_4, params.FIRST_4, params.INNER_4, params.LEN_4, i);
    v[5] = operand(SOURCE_5, SPREAD_5, params.FIRST_5, params.INNER_5, params.LEN_5, i);
    v[6] = operand(SOURCE_6, SPREAD_6, params.FIRST_6, params.INNER_6, params.LEN_6, i);
    v[7] = operand(SOURCE_7, SPREAD_7, params.FIRST_7, params.INNER_7, params.LEN_7, i);
    if STEPS > 0u {
        v[8] = apply(ACTION_0, v[ARGS_0 & 31u], v[(ARGS_0 >> 5u) & 31u], v[(ARGS_0 >> 10u) & 31u], v[(ARGS_0 >> 15u) & 31u], v[(ARGS_0 >> 20u) & 31u], params.P_0, params.Q_0);
    }
    if STEPS > 1u {
        v[9] = apply(ACTION_1, v[ARGS_1 & 31u], v[(ARGS_1 >> 5u) & 31u], v[(ARGS_1 >> 10u) & 31u], v[(ARGS_1 >> 15u) & 31u], v[(ARGS_1 >> 20u) & 31u], params.P_1, params.Q_1);
    }
    if STEPS > 2u {
        v[10] = apply(ACTION_2, v[ARGS_2 & 31u], v[(ARGS_2 >> 5u) & 31u], v[(ARGS_2 >> 10u) & 31u], v[(ARGS_2 >> 15u) & 31u], v[(ARGS_2 >> 20u) & 31u], params.P_2, params.Q_2);
    }
    if STEPS > 3u {
        v[11] = apply(ACTION_3, v[ARGS_3 & 31u], v[(ARGS_3 >> 5u) & 31u], v[(ARGS_3 >> 10u) & 31u], v[(ARGS_3 >> 15u) & 31u], v[(ARGS_3 >> 20u) & 31u], params.P_3, params.Q_3);
    }
    if STEPS > 4u {
        v[12] = apply(ACTION_4, v[ARGS_4 & 31u], v[(ARGS_4 >> 5u) & 31u], v[(ARGS_4 >> 10u) & 31u], v[(ARGS_4 >> 15u) & 31u], v[(ARGS_4 >> 20u) & 31u], params.P_4, params.Q_4);
    }
    if STEPS > 5u {
        v[13] = apply(ACTION_5, v[ARGS_5 & 31u], v[(ARGS_5 >> 5u) & 31u], v[(ARGS_5 >> 10u) & 31u], v[(ARGS_5 >> 15u) & 31u], v[(ARGS_5 >> 20u) & 31u], params.P_5, params.Q_5);
    }
    if STEPS > 6u {
        v[14] = apply(ACTION_6, v[ARGS_6 & 31u], v[(ARGS_6 >> 5u) & 31u], v[(ARGS_6 >> 10u) & 31u], v[(ARGS_6 >> 15u) & 31u], v[(ARGS_6 >> 20u) & 31u], params.P_6, params.Q_6);
    }
    if STEPS > 7u {
        v[15] = apply(ACTION_7, v[ARGS_7 & 31u], v[(ARGS_7 >> 5u) & 31u], v[(ARGS_7 >> 10u) & 31u], v[(ARGS_7 >> 15u) & 31u], v[(ARGS_7 >> 20u) & 31u], params.P_7, params.Q_7);
    }
    if STEPS > 8u {
        v[16] = apply(ACTION_8, v[ARGS_8 & 31u], v[(ARGS_8 >> 5u) & 31u], v[(ARGS_8 >> 10u) & 31u], v[(ARGS_8 >> 15u) & 31u], v[(ARGS_8 >> 20u) & 31u], params.P_8, params.Q_8);
    }
    if STEPS > 9u {
        v[17] = apply(ACTION_9, v[ARGS_9 & 31u], v[(ARGS_9 >> 5u) & 31u], v[(ARGS_9 >> 10u) & 31u], v[(ARGS_9 >> 15u) & 31u], v[(ARGS_9 >> 20u) & 31u], params.P_9, params.Q_9);
    }
    if STEPS > 10u {
        v[18] = apply(ACTION_10, v[ARGS_10 & 31u], v[(ARGS_10 >> 5u) & 31u], v[(ARGS_10 >> 10u) & 31u], v[(ARGS_10 >> 15u) & 31u], v[(ARGS_10 >> 20u) & 31u], params.P_10, params.Q_10);
    }
    if STEPS > 11u {
        v[19] = apply(ACTION_11, v[ARGS_11 & 31u], v[(ARGS_11 >> 5u) & 31u], v[(ARGS_11 >> 10u) & 31u], v[(ARGS_11 >> 15u) & 31u], v[(ARGS_11 >> 20u) & 31u], params.P_11, params.Q_11);
    }
    if STEPS > 12u {
        v[20] = apply(ACTION_12, v[ARGS_12 & 31u], v[(ARGS_12 >> 5u) & 31u], v[(ARGS_12 >> 10u) & 31u], v[(ARGS_12 >> 15u) & 31u], v[(ARGS_12 >> 20u) & 31u], params.P_12, params.Q_12);
    }
    if STEPS > 13u {
        v[21] = apply(ACTION_13, v[ARGS_13 & 31u], v[(ARGS_13 >> 5u) & 31u], v[(ARGS_13 >> 10u) & 31u], v[(ARGS_13 >> 15u) & 31u], v[(ARGS_13 >> 20u) & 31u], params.P_13, params.Q_13);
    }
    if STEPS > 14u {
        v[22] = apply(ACTION_14, v[ARGS_14 & 31u], v[(ARGS_14 >> 5u) & 31u], v[(ARGS_14 >> 10u) & 31u], v[(ARGS_14 >> 15u) & 31u], v[(ARGS_14 >> 20u) & 31u], params.P_14, params.Q_14);
    }
    if STEPS > 15u {
        v[23] = apply(ACTION_15, v[ARGS_15 & 31u], v[(ARGS_15 >> 5u) & 31u], v[(ARGS_15 >> 10u) & 31u], v[(ARGS_15 >> 15u) & 31u], v[(ARGS_15 >> 20u) & 31u], params.P_15, params.Q_15);
    }
    if RESULT_0 < 24u {
        y0[i] = v[RESULT_0];
    }
    if RESULT_1 < 24u {
        y1[i] = v[RESULT_1];
    }
    if RESULT_2 < 24u {
        y2[i] = v[RESULT_2];
    }
}
