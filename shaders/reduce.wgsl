// reduce: y[k] = Σ_{o,i} x[o,k,i] (KIND 0), or the least (1) or greatest (2) element, in pieces of SPAN elements.
// x [OUTER,KEEP,INNER]; the OUTER·INNER elements of one k, in memory order, are cut into pieces; piece p of k goes to
// y[k·Y_STEP + Y_FIRST + p]. Where one piece is not enough, the pieces are reduced again.
// One workgroup of 256 reduces one piece: each invocation every 256th element in order, then a fixed tree.
// Grid: KEEP·PIECES groups, folded into x and y.

override KIND: u32;
override OUTER: u32;
override KEEP: u32;
override INNER: u32;
override SPAN: u32;
override PIECES: u32;
override Y_STEP: u32;
override Y_FIRST: u32;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

var<workgroup> lanes: array<f32, 256>;

fn combine(a: f32, b: f32) -> f32 {
    switch KIND {
        case 0u: { return a + b; }
        case 1u: { return select(a, b, b < a); }
        default: { return select(a, b, b > a); }
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = group.y * groups.x + group.x;
    // A group past the work still takes part in the barriers.
    let in_work = flat < KEEP * PIECES;
    let k = min(flat, KEEP * PIECES - 1u) / PIECES;
    let piece = min(flat, KEEP * PIECES - 1u) % PIECES;
    let first = piece * SPAN;
    let count = min(SPAN, OUTER * INNER - first);
    if local < count {
        let start = first + local;
        var sum = x[(start / INNER * KEEP + k) * INNER + start % INNER];
        for (var j = local + 256u; j < count; j += 256u) {
            let e = first + j;
            sum = combine(sum, x[(e / INNER * KEEP + k) * INNER + e % INNER]);
        }
        lanes[local] = sum;
    }
    let filled = min(count, 256u);
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local < half && local + half < filled {
            lanes[local] = combine(lanes[local], lanes[local + half]);
        }
    }
    if local == 0u && in_work {
        y[k * Y_STEP + Y_FIRST + piece] = lanes[0];
    }
}
