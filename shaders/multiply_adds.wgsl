// multiply_adds: y[i] = Σ_k s_k, k < 12, with s_k = x[i] + k and then, 4·ROUNDS times, s_k ← s_k / 2 + 1/2. x, y [COUNT].
// Twelve chains of multiply-adds that do not wait for each other: the yardstick of compute. One invocation computes one
// element; grid: ceil(COUNT / 256) groups, folded into x and y.

override COUNT: u32;
override ROUNDS: u32;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

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
    let half = vec4<f32>(0.5);
    var a = x[i] + vec4<f32>(0.0, 1.0, 2.0, 3.0);
    var b = x[i] + vec4<f32>(4.0, 5.0, 6.0, 7.0);
    var c = x[i] + vec4<f32>(8.0, 9.0, 10.0, 11.0);
    for (var round = 0u; round < ROUNDS; round += 1u) {
        a = fma(a, half, half);
        b = fma(b, half, half);
        c = fma(c, half, half);
        a = fma(a, half, half);
        b = fma(b, half, half);
        c = fma(c, half, half);
        a = fma(a, half, half);
        b = fma(b, half, half);
        c = fma(c, half, half);
        a = fma(a, half, half);
        b = fma(b, half, half);
        c = fma(c, half, half);
    }
    y[i] = dot(a + b + c, vec4<f32>(1.0));
}
