// binary: y[i] = f(a[s(i)], b[t(i)]), f chosen by KIND (the discriminants of `BinaryKind`).
// Either operand may be spread over y: it is read at ((OFFSET + i) / INNER) % LEN. FULL operands are read at i.
// y [COUNT] is the part of the output that begins at element OFFSET. One invocation computes one element;
// grid: ceil(COUNT / 256) groups, folded into x and y.

override KIND: u32;
override A_FULL: bool;
override A_INNER: u32;
override A_LEN: u32;
override B_FULL: bool;
override B_INNER: u32;
override B_LEN: u32;
override COUNT: u32;
override OFFSET: u32;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn apply(p: f32, q: f32) -> f32 {
    switch KIND {
        case 0u: { return p + q; }
        case 1u: { return p - q; }
        case 2u: { return p * q; }
        case 3u: { return p / q; }
        case 4u: { return select(p, q, q < p); }
        case 5u: { return select(p, q, q > p); }
        case 6u: { return f32(p > q); }
        default: { return select(0.0, p, q > 0.0); }
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if i >= COUNT {
        return;
    }
    let p = a[select((OFFSET + i) / A_INNER % A_LEN, i, A_FULL)];
    let q = b[select((OFFSET + i) / B_INNER % B_LEN, i, B_FULL)];
    y[i] = apply(p, q);
}
