// matmul_plain: c[m,n] = Σ_k a[m,k] · b[k,n] over strided matrices, without any tiling: the baseline and second oracle of `matmul`.
// a[m,k] is at A_FIRST + m·A_M + k·A_K, b[k,n] at k·B_K + n·B_N (its absolute value with ABS_B), c[m,n] at C_FIRST + m·C_M + n.
// In parts: part z sums the k from z·PART_K on and goes to c at z·C_PART; `sum_partials` adds them in order.
// `matmul_extents` has what happens to a sum on its way to c.
// One invocation computes one element of one part; grid: x and y hold ceil(M·N / 64) groups, z the parts.

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * 64u + local;
    if i >= M * N {
        return;
    }
    let m = i / N;
    let n = i % N;
    var sum = 0.0;
    for (var k = group.z * PART_K; k < min((group.z + 1u) * PART_K, K); k++) {
        let q = b[k * B_K + n * B_N];
        sum += a[A_FIRST + m * A_M + k * A_K] * select(q, abs(q), ABS_B);
    }
    store(m, n, group.z, sum);
}
