//! The registry of compute shaders: name, text and bindings of every file under `shaders/`.
//!
//! A test holds each entry against its WGSL text and the list against the folder.

use crate::kernel::Shader;

macro_rules! shaders {
    ($($(#[$meta:meta])* $id:ident = $name:literal $(of $first:literal $(+ $more:literal)+)? [$($binding:ident: $access:ident),* $(,)?]),* $(,)?) => {
        $($(#[$meta])*
        pub static $id: Shader = Shader {
            name: $name,
            files: files!($($first $($more)+)?; $name),
            source: text!($($first $($more)+)?; $name),
            bindings: &[$((stringify!($binding), crate::kernel::Access::$access)),*],
        };)*

        /// All shaders, sorted by name.
        pub static ALL: &[&Shader] = &[$(&$id),*];
    };
}

/// The files of a shader: the pieces it is made of, or the one of its name.
macro_rules! files {
    (; $name:literal) => {
        &[$name]
    };
    ($($piece:literal)+; $name:literal) => {
        &[$($piece),+]
    };
}

/// Their text.
macro_rules! text {
    (; $name:literal) => {
        include_str!(concat!("../../shaders/", $name, ".wgsl"))
    };
    ($($piece:literal)+; $name:literal) => {
        concat!($(text!(; $piece)),+)
    };
}

shaders! {
    /// See `shaders/adam.wgsl`.
    ADAM = "adam" [grad: Read, rates: Read, p: Write, m: Write, v: Write],
    /// See `shaders/argmax.wgsl`.
    ARGMAX = "argmax" [x: Read, y: Write],
    /// See `shaders/attack_outcome.wgsl`.
    ATTACK_OUTCOME = "attack_outcome" [z: Read, labels: Read, state: Read, found: Write, loss: Write],
    /// See `shaders/attack_progress.wgsl`.
    ATTACK_PROGRESS = "attack_progress" [z: Read, labels: Read, state: Read, grad: Write, next: Write, chosen: Write, done: Write],
    /// See `shaders/binary.wgsl`.
    BINARY = "binary" [a: Read, b: Read, y: Write],
    /// See `shaders/bound_penalty_backward.wgsl`.
    BOUND_PENALTY_BACKWARD = "bound_penalty_backward" [s: Read, input_radius: Read, grad: Read, out: Write],
    /// See `shaders/bound_penalty_forward.wgsl`.
    BOUND_PENALTY_FORWARD = "bound_penalty_forward" [s: Read, input_radius: Read, y: Write],
    /// See `shaders/bound_statistics_backward.wgsl`.
    BOUND_STATISTICS_BACKWARD = "bound_statistics_backward" [c: Read, r: Read, s: Read, g: Read, out_c: Write, out_r: Write],
    /// See `shaders/bound_statistics_finish.wgsl`.
    BOUND_STATISTICS_FINISH = "bound_statistics_finish" [partials: Read, statistics: Write],
    /// See `shaders/bound_statistics_partial.wgsl`.
    BOUND_STATISTICS_PARTIAL = "bound_statistics_partial" [c: Read, r: Read, statistics: Read, partials: Write],
    /// See `shaders/compare_labels.wgsl`.
    COMPARE_LABELS = "compare_labels" [a: Read, b: Read, y: Write],
    /// See `shaders/concat.wgsl`.
    CONCAT = "concat" [x0: Read, x1: Read, x2: Read, x3: Read, x4: Read, x5: Read, x6: Read, y: Write],
    /// See `shaders/concretize.wgsl`.
    CONCRETIZE = "concretize" [coefficients: Read, region: Read, rows: Read, y: Write],
    /// See `shaders/concretize_backward.wgsl`.
    CONCRETIZE_BACKWARD = "concretize_backward" [coefficients: Read, region: Read, rows: Read, grad: Read, result: Write],
    /// See `shaders/conv2d_backward_weight.wgsl`.
    CONV2D_BACKWARD_WEIGHT = "conv2d_backward_weight" of "product_tile" + "conv2d_backward_weight" [x: Read, g: Read, w: Read, out: Write],
    /// See `shaders/conv2d_backward_weight_plain.wgsl`.
    CONV2D_BACKWARD_WEIGHT_PLAIN = "conv2d_backward_weight_plain" [x: Read, g: Read, w: Read, out: Write],
    /// See `shaders/conv2d_backward_weight_register.wgsl`.
    CONV2D_BACKWARD_WEIGHT_REGISTER = "conv2d_backward_weight_register" of "conv2d_backward_weight_register" + "register_tile" + "by_invocation" [x: Read, g: Read, w: Read, out: Write],
    /// See `shaders/conv2d_backward_weight_register.wgsl`.
    CONV2D_BACKWARD_WEIGHT_SUBGROUP = "conv2d_backward_weight_subgroup" of "conv2d_backward_weight_register" + "register_tile" + "by_subgroup" [x: Read, g: Read, w: Read, out: Write],
    /// See `shaders/conv2d_gather.wgsl`.
    CONV2D_GATHER = "conv2d_gather" of "product_tile" + "conv2d_phases" + "conv2d_tile" + "conv2d_weights" + "conv2d_gather" [w: Read, x: Read, extra: Read, y: Write],
    /// See `shaders/conv2d_gather_plain.wgsl`.
    CONV2D_GATHER_PLAIN = "conv2d_gather_plain" of "conv2d_phases" + "conv2d_gather_plain" [w: Read, x: Read, extra: Read, y: Write],
    /// See `shaders/conv2d_gather_register.wgsl`.
    CONV2D_GATHER_REGISTER = "conv2d_gather_register" of "conv2d_gather_register" + "register_tile" + "by_invocation" [w: Read, x: Read, extra: Read, y: Write],
    /// See `shaders/conv2d_gather_register.wgsl`.
    CONV2D_GATHER_SUBGROUP = "conv2d_gather_subgroup" of "conv2d_gather_register" + "register_tile" + "by_subgroup" [w: Read, x: Read, extra: Read, y: Write],
    /// See `shaders/conv2d_gather.wgsl`.
    CONV2D_GATHER_WIDE = "conv2d_gather_wide" of "product_tile" + "conv2d_phases" + "conv2d_tile" + "conv2d_weights_wide" + "conv2d_gather" [w: Read, x: Read, extra: Read, y: Write],
    /// See `shaders/conv2d_interval_backward_weight.wgsl`.
    CONV2D_INTERVAL_BACKWARD_WEIGHT = "conv2d_interval_backward_weight" of "product_tile" + "conv2d_interval_backward_weight" [x1: Read, x2: Read, g1: Read, g2: Read, w: Read, out: Write],
    /// See `shaders/conv2d_interval_gather.wgsl`.
    CONV2D_INTERVAL_GATHER = "conv2d_interval_gather" of "product_tile" + "conv2d_phases" + "conv2d_tile" + "conv2d_weights" + "conv2d_interval_gather" [w: Read, x1: Read, x2: Read, bias: Read, y1: Write, y2: Write],
    /// See `shaders/conv2d_interval_gather.wgsl`.
    CONV2D_INTERVAL_GATHER_WIDE = "conv2d_interval_gather_wide" of "product_tile" + "conv2d_phases" + "conv2d_tile" + "conv2d_weights_wide" + "conv2d_interval_gather" [w: Read, x1: Read, x2: Read, bias: Read, y1: Write, y2: Write],
    /// See `shaders/copy.wgsl`.
    COPY = "copy" [x: Read, y: Write],
    /// See `shaders/cross_entropy_backward.wgsl`.
    CROSS_ENTROPY_BACKWARD = "cross_entropy_backward" [z: Read, labels: Read, grad: Read, out: Write],
    /// See `shaders/cross_entropy_forward.wgsl`.
    CROSS_ENTROPY_FORWARD = "cross_entropy_forward" [z: Read, labels: Read, y: Write],
    /// See `shaders/elementwise.wgsl`.
    ELEMENTWISE = "elementwise" [x0: Read, x1: Read, x2: Read, x3: Read, x4: Read, y0: Write, y1: Write, y2: Write],
    /// See `shaders/embed_window.wgsl`.
    EMBED_WINDOW = "embed_window" [x: Read, rows: Read, y: Write],
    /// See `shaders/expand.wgsl`.
    EXPAND = "expand" [x: Read, y: Write],
    /// See `shaders/fill.wgsl`.
    FILL = "fill" [y: Write],
    /// See `shaders/gather_rows.wgsl`.
    GATHER_ROWS = "gather_rows" [w: Read, rows: Read, y: Write],
    /// See `shaders/label_margin.wgsl`.
    LABEL_MARGIN = "label_margin" [z: Read, labels: Read, y: Write],
    /// See `shaders/margin_radius_backward_input.wgsl`.
    MARGIN_RADIUS_BACKWARD_INPUT = "margin_radius_backward_input" [g: Read, w: Read, labels: Read, out: Write],
    /// See `shaders/margin_radius_backward_weight.wgsl`.
    MARGIN_RADIUS_BACKWARD_WEIGHT = "margin_radius_backward_weight" [g: Read, r: Read, w: Read, labels: Read, out: Write],
    /// See `shaders/margin_radius_forward.wgsl`.
    MARGIN_RADIUS_FORWARD = "margin_radius_forward" [r: Read, w: Read, labels: Read, y: Write],
    /// See `shaders/matmul.wgsl`.
    MATMUL = "matmul" of "product_tile" + "matmul_extents" + "matmul" [a: Read, b: Read, extra: Read, c: Write],
    /// See `shaders/matmul_interval.wgsl`.
    MATMUL_INTERVAL = "matmul_interval" of "product_tile" + "matmul_interval" [a1: Read, a2: Read, b: Read, bias: Read, c1: Write, c2: Write],
    /// See `shaders/matmul_interval_backward_weight.wgsl`.
    MATMUL_INTERVAL_BACKWARD_WEIGHT = "matmul_interval_backward_weight" of "product_tile" + "matmul_interval_backward_weight" [x1: Read, x2: Read, g1: Read, g2: Read, w: Read, out: Write],
    /// See `shaders/matmul_plain.wgsl`.
    MATMUL_PLAIN = "matmul_plain" of "matmul_extents" + "matmul_plain" [a: Read, b: Read, extra: Read, c: Write],
    /// See `shaders/matmul_register.wgsl`.
    MATMUL_REGISTER = "matmul_register" of "matmul_register" + "register_tile" + "by_invocation" [a: Read, b: Read, extra: Read, c: Write],
    /// See `shaders/matmul_register.wgsl`.
    MATMUL_SUBGROUP = "matmul_subgroup" of "matmul_register" + "register_tile" + "by_subgroup" [a: Read, b: Read, extra: Read, c: Write],
    /// See `shaders/matmul_wide.wgsl`.
    MATMUL_WIDE = "matmul_wide" of "product_tile" + "matmul_extents" + "matmul_wide" [a: Read, b: Read, extra: Read, c: Write],
    /// See `shaders/multiply_adds.wgsl`.
    MULTIPLY_ADDS = "multiply_adds" [x: Read, y: Write],
    /// See `shaders/pgd_step.wgsl`.
    PGD_STEP = "pgd_step" [z: Read, grad: Read, lower: Read, upper: Read, reach: Read, done: Read, y: Write],
    /// See `shaders/random.wgsl`.
    RANDOM = "random" [key: Read, y: Write],
    /// See `shaders/record_row.wgsl`.
    RECORD_ROW = "record_row" [row: Read, index: Read, table: Write],
    /// See `shaders/reduce.wgsl`.
    REDUCE = "reduce" [x: Read, y: Write],
    /// See `shaders/reduce_subgroup.wgsl`.
    REDUCE_SUBGROUP = "reduce_subgroup" [x: Read, y: Write],
    /// See `shaders/relu_forward.wgsl`.
    RELU_FORWARD = "relu_forward" [x: Read, y: Write],
    /// See `shaders/relu_interval_backward.wgsl`.
    RELU_INTERVAL_BACKWARD = "relu_interval_backward" [m: Read, r: Read, grad_m: Read, grad_r: Read, out_m: Write, out_r: Write],
    /// See `shaders/relu_interval_forward.wgsl`.
    RELU_INTERVAL_FORWARD = "relu_interval_forward" [m: Read, r: Read, out_m: Write, out_r: Write],
    /// See `shaders/relu_relaxation.wgsl`.
    RELU_RELAXATION = "relu_relaxation" [coefficients: Read, bounds: Read, rows: Read, alpha: Read, splits: Read, multipliers: Read, result: Write, summand: Write],
    /// See `shaders/relu_relaxation_backward.wgsl`.
    RELU_RELAXATION_BACKWARD = "relu_relaxation_backward" [coefficients: Read, bounds: Read, rows: Read, alpha: Read, splits: Read, grad: Read, grad_summand: Read, result: Write],
    /// See `shaders/select.wgsl`.
    SELECT = "select" [cond: Read, a: Read, b: Read, y: Write],
    /// See `shaders/sum_partials.wgsl`.
    SUM_PARTIALS = "sum_partials" [partials: Read, bias: Read, y: Write],
    /// See `shaders/transpose.wgsl`.
    TRANSPOSE = "transpose" [x: Read, y: Write],
    /// See `shaders/unary.wgsl`.
    UNARY = "unary" [x: Read, y: Write],
}
