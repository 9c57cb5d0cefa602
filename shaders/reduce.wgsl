// reduce: y[k] = Σ_{o,i} x[o,k,i] (KIND 0; with MAGNITUDES of |x|), or the least (1) or greatest (2) element, in pieces of SPAN elements.
// x [OUTER,KEEP,INNER]; the OUTER·INNER elements of one k, in memory order, are cut into pieces; piece p of k goes to
// y[k·Y_STEP + Y_FIRST + p]. Where one piece is not enough, the pieces are reduced again.
// One workgroup of 256 reduces one piece: each invocation every 256th element in order, then a fixed tree.
// Grid: KEEP·PIECES groups, folded into x and y.

struct Params {
    KIND: u32,
    MAGNITUDES: u32,
    OUTER: u32,
    KEEP: u32,
    INNER: u32,
    SPAN: u32,
    PIECES: u32,
    Y_STEP: u32,
    Y_FIRST: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> params: Params;

var<workgroup> lanes: array<f32, 256>;

fn element(at: u32, magnitudes: bool) -> f32 {
    let v = x[at];
    return select(v, abs(v), magnitudes);
}

// Without a branch: what a kind does not need costs less than to decide for each element.
fn combine(a: f32, b: f32, kind: u32) -> f32 {
    let extreme = select(select(a, b, b > a), select(a, b, b < a), kind == 1u);
    return select(extreme, a + b, kind == 0u);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Drivers read a parameter anew at each turn of a loop.
    let params = params;
    let flat = group.y * groups.x + group.x;
    // A group past the work still takes part in the barriers.
    let in_work = flat < params.KEEP * params.PIECES;
    let k = min(flat, params.KEEP * params.PIECES - 1u) / params.PIECES;
    let piece = min(flat, params.KEEP * params.PIECES - 1u) % params.PIECES;
    let first = piece * params.SPAN;
    let count = min(params.SPAN, params.OUTER * params.INNER - first);
    if local < count {
        // Row and column of an element in [OUTER, INNER]. A division for each would take longer than all else.
        var row = (first + local) / params.INNER;
        var column = (first + local) % params.INNER;
        var sum = element((row * params.KEEP + k) * params.INNER + column, params.MAGNITUDES == 1u);
        for (var j = local + 256u; j < count; j += 256u) {
            row += 256u / params.INNER;
            column += 256u % params.INNER;
            if column >= params.INNER {
                column -= params.INNER;
                row += 1u;
            }
            sum = combine(sum, element((row * params.KEEP + k) * params.INNER + column, params.MAGNITUDES == 1u), params.KIND);
        }
        lanes[local] = sum;
    }
    let filled = min(count, 256u);
    // The greatest power of two below `filled`: the tree's larger steps have nothing to do.
    let most = select(0u, 1u << (firstLeadingBit(filled - 1u) & 31u), filled > 1u);
    for (var half = most; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local < half && local + half < filled {
            lanes[local] = combine(lanes[local], lanes[local + half], params.KIND);
        }
    }
    if local == 0u && in_work {
        y[k * params.Y_STEP + params.Y_FIRST + piece] = lanes[0];
    }
}
