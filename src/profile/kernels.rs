//! Kernels at the sizes of real layers, for benches: the heavy ops layer by layer in every direction, and the others at the size of a
//! batch's activations, images, logits or parameters.
//!
//! A name is `LAYER.DIRECTION`, with `_fast` for the kernels that training and attacks take ([`Graph::fast`]), or `WORK SIZE`. Operands are states of random numbers that were
//! written before: a run copies nothing in or out, and reads memory that is there (pages of zeros that nobody wrote can all be one).

use std::time::{Duration, Instant};

use crate::device::{Launch, Program, Session};
use crate::error::Result;
use crate::graph::{Cost, Graph, Plan, Value};
use crate::ops::{
    self, AdamSpec, BinaryKind, Conv2dSpec, Distribution, PgdRegion, ROW_WORDS, Relaxation, UnaryKind, Window,
};
use crate::shape::{Shape, TensorType};

/// A layer over a batch.
#[derive(Clone, Copy, Debug)]
enum Layer {
    /// Channels, features, extent of the image, kernel, stride, padding.
    Conv([usize; 6]),
    /// Inputs, outputs.
    Linear([usize; 2]),
}

/// Layers of `cnn3` at batch 256 and of `cnn7` at batch 64, with the first one of `cnn7` for images of CIFAR-10, too.
const LAYERS: [(&str, usize, Layer); 10] = [
    ("cnn3.conv1", 256, Layer::Conv([1, 16, 28, 4, 2, 1])),
    ("cnn3.conv2", 256, Layer::Conv([16, 32, 14, 4, 2, 1])),
    ("cnn3.fc1", 256, Layer::Linear([1568, 100])),
    ("cnn3.fc2", 256, Layer::Linear([100, 10])),
    ("cnn7.conv1", 64, Layer::Conv([1, 64, 28, 3, 1, 1])),
    ("cnn7_cifar.conv1", 64, Layer::Conv([3, 64, 32, 3, 1, 1])),
    ("cnn7.conv2", 64, Layer::Conv([64, 64, 28, 3, 1, 1])),
    ("cnn7.conv3", 64, Layer::Conv([64, 128, 28, 3, 2, 1])),
    ("cnn7.conv4", 64, Layer::Conv([128, 128, 14, 3, 1, 1])),
    ("cnn7.fc1", 64, Layer::Linear([25088, 512])),
];

const DIRECTIONS: [&str; 6] = [
    "forward",
    "backward_input",
    "backward_weight",
    "interval_forward",
    "interval_backward_input",
    "interval_backward_weight",
];

/// Activations of `cnn7`'s second layer at batch 64.
const ACTIVATIONS: [usize; 4] = [64, 64, 28, 28];
/// Images of a batch.
const IMAGES: [usize; 4] = [256, 1, 28, 28];
/// Logits of a batch.
const LOGITS: [usize; 2] = [256, 10];
/// Parameters of a large layer.
const PARAMETERS: [usize; 2] = [512, 2048];
/// Rows of a backward bound, over the activations of a second layer of `cnn3`.
const ROWS: usize = 512;
const BOUNDED: [usize; 3] = [32, 7, 7];

/// The ops that are not layers, with the size in the name, and what the op is called in a plan.
const OTHERS: [(&str, &str); 29] = [
    ("relu_forward 64x64x28x28", "relu_forward"),
    ("relu_backward 64x64x28x28", "binary"),
    ("relu_interval_forward 64x64x28x28", "relu_interval_forward"),
    ("relu_interval_backward 64x64x28x28", "relu_interval_backward"),
    ("add 64x64x28x28", "binary"),
    ("affine 64x64x28x28", "unary"),
    ("sum 64x64x28x28", "reduce"),
    ("sum_channels 64x64x28x28", "reduce"),
    ("batch_norm_relu 64x64x28x28", "elementwise"),
    ("batch_norm_backward 64x64x28x28", "elementwise"),
    ("batch_norm_statistics 64x64x28x28", "elementwise"),
    ("batch_norm_box_relu 64x64x28x28", "elementwise"),
    ("batch_norm_box_backward 64x64x28x28", "elementwise"),
    ("select 64x64x28x28", "select"),
    ("expand 64x64x28x28", "expand"),
    ("bound_statistics 64x64x28x28", "bound_statistics_forward"),
    ("transpose 64x64x28x28", "transpose"),
    ("transpose_channels_last 64x64x28x28", "transpose"),
    ("uniform 256x1x28x28", "random"),
    ("normal 256x1x28x28", "random"),
    ("pgd_step 256x1x28x28", "pgd_step"),
    ("attack_progress 256x10", "attack_progress"),
    ("cross_entropy_forward 256x10", "cross_entropy_forward"),
    ("cross_entropy_backward 256x10", "cross_entropy_backward"),
    ("adam 512x2048", "adam"),
    ("penalised_update 512x2048", "elementwise"),
    ("absolute_sum 512x2048", "elementwise"),
    ("relu_relaxation 512x32x7x7", "relu_relaxation"),
    ("concretize 512x32x7x7", "concretize"),
];

/// One kernel, or the few that do an op's work together, at one size.
#[derive(Clone, Debug)]
pub struct Case {
    name: String,
    what: What,
    cold: bool,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Layer {
        batch: usize,
        layer: Layer,
        direction: usize,
        fast: bool,
    },
    Other(&'static str),
    /// y = x / 2 of so many elements.
    Copy(usize),
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, batch, layer) in LAYERS {
        // Only convolutions have faster kernels that round differently.
        let ways: &[bool] = if matches!(layer, Layer::Conv(_)) { &[false, true] } else { &[false] };
        for (direction, of) in DIRECTIONS.iter().enumerate() {
            cases.extend(ways.iter().map(|&fast| Case {
                name: format!("{name}.{of}{}", if fast { "_fast" } else { "" }),
                what: What::Layer { batch, layer, direction, fast },
                cold: false,
            }));
        }
    }
    cases.extend(OTHERS.iter().map(|&(name, _)| Case { name: name.to_string(), what: What::Other(name), cold: false }));
    cases
}

/// Elements of each of two states that are updated before a run that begins with cold caches: 256 MiB, more than caches hold.
const DISPLACING: usize = 1 << 25;

/// What an operand holds.
#[derive(Clone, Copy, Debug)]
enum Content {
    /// Uniform on [−1, 1).
    Signed,
    /// Uniform on [0, 1): radii, magnitudes, second moments.
    Nonnegative,
    /// Zeros: labels, rows, and flags that are not set.
    Zeros,
}

/// The operands of a case: states named by their use and shape, so that the cases of one session share them.
struct Build {
    graph: Graph,
    /// States that hold something else than zeros.
    filled: Vec<(String, Shape, Content)>,
}

impl Build {
    fn state(&mut self, name: &str, shape: Shape, content: Content) -> Result<Value> {
        let name = format!("bench {name} {shape}");
        let value = self.graph.state(&name, TensorType::f32(shape.clone()))?;
        if !matches!(content, Content::Zeros) && !self.filled.iter().any(|(filled, ..)| *filled == name) {
            self.filled.push((name, shape, content));
        }
        Ok(value)
    }

    fn f32(&mut self, name: &str, shape: impl Into<Shape>) -> Result<Value> {
        self.state(name, shape.into(), Content::Signed)
    }

    fn nonnegative(&mut self, name: &str, shape: impl Into<Shape>) -> Result<Value> {
        self.state(name, shape.into(), Content::Nonnegative)
    }

    fn zeros(&mut self, name: &str, shape: impl Into<Shape>) -> Result<Value> {
        self.state(name, shape.into(), Content::Zeros)
    }

    fn u32(&mut self, name: &str, shape: impl Into<Shape>) -> Result<Value> {
        let shape = shape.into();
        self.graph.state(&format!("bench {name} {shape}"), TensorType::u32(shape))
    }

    /// Writes the states that the work reads.
    fn filling(&self) -> Result<Graph> {
        let mut graph = Graph::new();
        let key = graph.constant_u32(&[0; 4], [4])?;
        for (stream, (name, shape, content)) in self.filled.iter().enumerate() {
            let lower = if matches!(content, Content::Signed) { -1.0 } else { 0.0 };
            let distribution = Distribution::Uniform { lower, upper: 1.0 };
            let numbers = ops::random(&mut graph, distribution, key, stream as u32, shape.clone())?;
            let state = graph.state(name, TensorType::f32(shape.clone()))?;
            ops::assign(&mut graph, state, numbers)?;
        }
        Ok(graph)
    }
}

impl Case {
    /// Copying as much memory as another case moves (`bytes`, read and written): what a kernel that memory bounds is held against.
    pub fn copy(bytes: u64) -> Case {
        let elements = (bytes as usize / (2 * size_of::<f32>())).max(1);
        Case { name: format!("copy {elements}"), what: What::Copy(elements), cold: false }
    }

    /// The same under another name, each run of which finds its operands in memory and not in caches.
    pub fn cold(self) -> Case {
        Case { name: format!("{} cold", self.name), cold: true, ..self }
    }

    /// Whether it is [`Case::cold`].
    pub fn is_cold(&self) -> bool {
        self.cold
    }

    /// The name, which is also the row of a table.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The work alone, and its operands.
    fn build(&self) -> Result<Build> {
        let mut b = Build { graph: Graph::new(), filled: Vec::new() };
        if self.cold {
            for name in ["displacing", "displacing too"] {
                let state = b.zeros(name, [DISPLACING])?;
                let next = ops::scale(&mut b.graph, state, 0.5)?;
                ops::assign(&mut b.graph, state, next)?;
            }
        }
        let results = match self.what {
            What::Layer { batch, layer, direction, fast } => {
                let Operands { center, radius, weight, grad } = operands(&mut b, batch, layer)?;
                let build = |g: &mut Graph| of_layer(g, layer, direction, (center, radius), weight, grad);
                if fast { b.graph.fast(build)? } else { build(&mut b.graph)? }
            }
            What::Other(name) => of_op(&mut b, name.split(' ').next().unwrap_or(name))?,
            What::Copy(elements) => {
                let x = b.f32("copied", [elements])?;
                vec![ops::scale(&mut b.graph, x, 0.5)?]
            }
        };
        for (i, value) in results.into_iter().enumerate() {
            b.graph.output(&format!("out{i}"), value);
        }
        Ok(b)
    }

    /// Compiles it for `session` and writes its operands.
    pub fn compile(&self, session: &mut dyn Session) -> Result<Kernel> {
        let build = self.build()?;
        let filling = session.compile(&Plan::new(build.filling()?)?)?;
        session.run(filling, &[])?;
        session.release(filling);
        let program = session.compile(&Plan::new(build.graph)?)?;
        let launches = session.program_info(program).launches;
        let (mut places, mut cost) = (Vec::new(), Cost::default());
        let is_work = |launch: &Launch| launch.op != "fill" && launch.output != Shape::from([DISPLACING]);
        for (place, launch) in launches.iter().enumerate().filter(|(_, launch)| is_work(launch)) {
            places.push(place);
            cost += launch.cost;
        }
        Ok(Kernel { program, places, cost })
    }
}

/// Operands of a layer in any direction.
struct Operands {
    center: Value,
    radius: Value,
    weight: Value,
    /// Gradient of the output.
    grad: Value,
}

fn operands(b: &mut Build, batch: usize, layer: Layer) -> Result<Operands> {
    let (x, w, y) = match layer {
        Layer::Conv([c, o, extent, kernel, stride, padding]) => {
            let out = (extent + 2 * padding - kernel) / stride + 1;
            (vec![batch, c, extent, extent], vec![o, c, kernel, kernel], vec![batch, o, out, out])
        }
        Layer::Linear([f, g]) => (vec![batch, f], vec![g, f], vec![batch, g]),
    };
    let (center, radius) = (b.f32("x", x.clone())?, b.nonnegative("radius", x)?);
    Ok(Operands { center, radius, weight: b.f32("weight", w)?, grad: b.f32("grad", y)? })
}

fn of_layer(
    graph: &mut Graph,
    layer: Layer,
    direction: usize,
    (center, radius): (Value, Value),
    weight: Value,
    grad: Value,
) -> Result<Vec<Value>> {
    let interval = direction >= 3;
    let outputs: Vec<Value> = match layer {
        Layer::Conv([.., stride, padding]) => {
            let spec = Conv2dSpec::square(stride, padding);
            if interval {
                ops::conv2d_interval(graph, (center, radius), weight, None, spec).map(|(c, r)| vec![c, r])?
            } else {
                vec![ops::conv2d(graph, center, weight, None, spec)?]
            }
        }
        Layer::Linear(_) if interval => {
            ops::linear_interval(graph, (center, radius), weight, None).map(|(c, r)| vec![c, r])?
        }
        Layer::Linear(_) => vec![ops::linear(graph, center, weight, None)?],
    };
    // The gradient of a box's center alone takes the same kernel, with zeros as the radius's gradient.
    Ok(match direction % 3 {
        0 => outputs,
        1 => ops::gradients_from(graph, outputs[0], grad, &[center])?.into_iter().flatten().collect(),
        _ => ops::gradients_from(graph, outputs[0], grad, &[weight])?.into_iter().flatten().collect(),
    })
}

fn of_op(b: &mut Build, op: &str) -> Result<Vec<Value>> {
    let gradients = |g: &mut Graph, of: Value, grad: Value, wrt: &[Value]| -> Result<Vec<Value>> {
        Ok(ops::gradients_from(g, of, grad, wrt)?.into_iter().flatten().collect())
    };
    let (x, grad) = (b.f32("x", ACTIVATIONS)?, b.f32("grad", ACTIVATIONS)?);
    let key = b.u32("key", [4])?;
    let (logits, labels) = (b.f32("logits", LOGITS)?, b.u32("labels", [LOGITS[0]])?);
    let rows = b.u32("rows", [ROWS, ROW_WORDS])?;
    let [c, h, w] = BOUNDED;
    let coefficients = b.f32("coefficients", [ROWS, c, h, w])?;
    Ok(match op {
        "relu_forward" => vec![ops::relu(&mut b.graph, x)?],
        "relu_backward" => vec![ops::binary(&mut b.graph, BinaryKind::Mask, grad, x)?],
        "relu_interval_forward" | "relu_interval_backward" => {
            let radius = b.nonnegative("radius", ACTIVATIONS)?;
            let (center, spread) = match op {
                "relu_interval_forward" => ops::relu_interval(&mut b.graph, (x, radius))?,
                _ => {
                    let grads = (grad, b.f32("grad of the radius", ACTIVATIONS)?);
                    ops::relu_interval_backward(&mut b.graph, grads, (x, radius))?
                }
            };
            vec![center, spread]
        }
        "add" => vec![ops::add(&mut b.graph, x, grad)?],
        "affine" => vec![ops::unary(&mut b.graph, UnaryKind::Affine { scale: 2.0, shift: 1.0 }, x)?],
        "sum" => vec![ops::sum_all(&mut b.graph, x)?],
        "sum_channels" => vec![ops::reduce_channels(&mut b.graph, ops::ReduceKind::Sum, x)?],
        "batch_norm_relu" => {
            let normed = batch_norm(b, x)?.0;
            vec![ops::relu(&mut b.graph, normed)?]
        }
        "batch_norm_backward" => {
            let (normed, scale, shift) = batch_norm(b, x)?;
            gradients(&mut b.graph, normed, grad, &[x, scale, shift])?
        }
        "batch_norm_statistics" => {
            let mean = b.f32("mean", [1, ACTIVATIONS[1], 1, 1])?;
            let centered = ops::sub(&mut b.graph, x, mean)?;
            let squares = ops::unary(&mut b.graph, UnaryKind::Square, centered)?;
            let sum = |of| ops::reduce_channels(&mut b.graph, ops::ReduceKind::Sum, of);
            [centered, squares].into_iter().map(sum).collect::<Result<_>>()?
        }
        "batch_norm_box_relu" | "batch_norm_box_backward" => {
            let (center, scale, shift) = batch_norm(b, x)?;
            let (radius, magnitude) =
                (b.nonnegative("radius", ACTIVATIONS)?, b.nonnegative("magnitude", [1, ACTIVATIONS[1], 1, 1])?);
            let scaled = ops::mul(&mut b.graph, radius, magnitude)?;
            let (out, spread) = ops::relu_interval(&mut b.graph, (center, scaled))?;
            match op {
                "batch_norm_box_relu" => vec![out, spread],
                _ => gradients(&mut b.graph, out, grad, &[x, radius, scale, shift, magnitude])?,
            }
        }
        "select" => {
            let chosen = b.f32("chosen", [ACTIVATIONS[0], 1, 1, 1])?;
            vec![ops::select(&mut b.graph, chosen, x, grad)?]
        }
        "expand" => {
            let of_channels = b.f32("of channels", [ACTIVATIONS[1]])?;
            vec![ops::expand(&mut b.graph, of_channels, ACTIVATIONS[0], ACTIVATIONS[2] * ACTIVATIONS[3])?]
        }
        "bound_statistics" => {
            let radius = b.nonnegative("radius", ACTIVATIONS)?;
            vec![ops::bound_statistics(&mut b.graph, (x, radius))?]
        }
        "transpose" => vec![ops::transpose(&mut b.graph, x, &[1, 0, 2, 3])?],
        "transpose_channels_last" => vec![ops::transpose(&mut b.graph, x, &[0, 2, 3, 1])?],
        "uniform" => {
            let distribution = Distribution::Uniform { lower: -1.0, upper: 1.0 };
            vec![ops::random(&mut b.graph, distribution, key, 0, IMAGES)?]
        }
        "normal" => {
            let distribution = Distribution::Normal { mean: 0.0, deviation: 1.0 };
            vec![ops::random(&mut b.graph, distribution, key, 0, IMAGES)?]
        }
        "pgd_step" => {
            let (z, grad) = (b.f32("z", IMAGES)?, b.f32("grad", IMAGES)?);
            let (lower, upper) = (b.f32("lower", IMAGES)?, b.f32("upper", IMAGES)?);
            let (reach, done) = (b.nonnegative("reach", [1])?, b.zeros("done", [1])?);
            vec![ops::pgd_step(&mut b.graph, z, grad, PgdRegion { lower, upper, reach }, done, 0.25)?]
        }
        "attack_progress" => {
            let state = b.zeros("state", [2, LOGITS[0]])?;
            vec![ops::attack_progress(&mut b.graph, logits, labels, Some(state))?.gradient]
        }
        "cross_entropy_forward" => vec![ops::cross_entropy(&mut b.graph, logits, labels)?],
        "cross_entropy_backward" => {
            let losses = ops::cross_entropy(&mut b.graph, logits, labels)?;
            let grad = b.f32("grad", [LOGITS[0]])?;
            gradients(&mut b.graph, losses, grad, &[logits])?
        }
        "relu_relaxation" => {
            let bounds = b.f32("bounds", [LOGITS[0], 3, c, h, w])?;
            let relaxed =
                ops::relu_relaxation(&mut b.graph, coefficients, bounds, rows, Relaxation::default(), Window::WHOLE)?;
            vec![relaxed.0, relaxed.1]
        }
        "concretize" => {
            let region = b.f32("region", [LOGITS[0], 2, c, h, w])?;
            vec![ops::concretize(&mut b.graph, coefficients, region, rows, Window::WHOLE)?]
        }
        "absolute_sum" => {
            let p = b.f32("p", PARAMETERS)?;
            let magnitudes = ops::abs(&mut b.graph, p)?;
            vec![ops::sum_all(&mut b.graph, magnitudes)?]
        }
        _ => {
            let states = [b.f32("p", PARAMETERS)?, b.f32("m", PARAMETERS)?, b.nonnegative("v", PARAMETERS)?];
            let (mut grad, rates) = (b.f32("grad", PARAMETERS)?, b.nonnegative("rates", [2])?);
            if op == "penalised_update" {
                let (sign, factor) = (ops::sign(&mut b.graph, states[0])?, b.f32("factor", [1])?);
                let penalty = ops::mul(&mut b.graph, sign, factor)?;
                grad = ops::add(&mut b.graph, grad, penalty)?;
            }
            ops::adam(&mut b.graph, AdamSpec::default(), states, grad, rates)?;
            Vec::new()
        }
    })
}

/// x scaled and shifted by channel, the scale and the shift.
fn batch_norm(b: &mut Build, x: Value) -> Result<(Value, Value, Value)> {
    let of_channels = [1, ACTIVATIONS[1], 1, 1];
    let (scale, shift) = (b.f32("scale", of_channels)?, b.f32("shift", of_channels)?);
    let scaled = ops::mul(&mut b.graph, x, scale)?;
    Ok((ops::add(&mut b.graph, scaled, shift)?, scale, shift))
}

/// A compiled case.
pub struct Kernel {
    program: Program,
    /// Which launches are its work; others only fill an operand with zeros.
    places: Vec<usize>,
    cost: Cost,
}

impl Kernel {
    /// Arithmetic and traffic of a run.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Runs it once and waits: the seconds in its launches by the device's own clock.
    pub async fn seconds(&self, session: &mut dyn Session) -> Result<f64> {
        let trace = session.run_traced(self.program, &[]).await?;
        Ok(self.places.iter().map(|&place| trace.launches[place].seconds()).sum())
    }

    /// Seconds of as many runs as fit in `time`, at least three, after one that does not count; rising.
    pub async fn sample(&self, session: &mut dyn Session, time: Duration) -> Result<Vec<f64>> {
        self.seconds(session).await?;
        let (begun, mut seconds) = (Instant::now(), Vec::new());
        while seconds.len() < 3 || begun.elapsed() < time {
            seconds.push(self.seconds(session).await?);
        }
        seconds.sort_by(f64::total_cmp);
        Ok(seconds)
    }

    /// Frees the program; the operands stay with the session.
    pub fn release(self, session: &mut dyn Session) {
        session.release(self.program);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::CpuSession;

    #[test]
    fn every_case_is_the_work_that_its_name_says() {
        let cases = cases();
        let convolutions = LAYERS.iter().filter(|(.., layer)| matches!(layer, Layer::Conv(_))).count();
        assert_eq!(cases.len(), (LAYERS.len() + convolutions) * DIRECTIONS.len() + OTHERS.len());
        for case in &cases {
            let plan = Plan::new(case.build().unwrap().graph).unwrap_or_else(|e| panic!("{}: {e}", case.name));
            let ops: Vec<&str> = plan.steps.iter().map(|step| step.op.name()).filter(|&name| name != "fill").collect();
            let [op] = ops[..] else { panic!("{}: {ops:?}", case.name) };
            let right = match case.what {
                What::Layer { direction, fast, .. } => {
                    assert_eq!(case.name.ends_with("_fast"), fast);
                    assert_eq!(format!("{:?}", plan.steps).contains("fast: true"), fast, "{}", case.name);
                    let (kind, of) = op.split_once('_').unwrap_or_default();
                    case.name.contains(if kind == "linear" { "fc" } else { "conv" }) && of == DIRECTIONS[direction]
                }
                What::Other(name) => OTHERS.contains(&(name, op)),
                What::Copy(_) => unreachable!("no row of its own"),
            };
            assert!(right && plan.inputs.is_empty() && plan.cost().bytes > 0, "{}: {op}", case.name);
        }
    }

    /// Caches are displaced first, and that does not count.
    #[test]
    fn a_cold_case_is_the_same_work() {
        let ops = |case: &Case| -> Vec<&str> {
            let plan = Plan::new(case.build().unwrap().graph).unwrap();
            plan.steps.iter().map(|step| step.op.name()).filter(|&name| name != "fill").collect()
        };
        for case in cases() {
            let cold = case.clone().cold();
            assert_eq!(cold.name(), format!("{} cold", case.name()));
            let [first, second, rest @ ..] = &ops(&cold)[..] else { panic!("{}", cold.name()) };
            assert_eq!(([*first, *second], rest), (["elementwise"; 2], &ops(&case)[..]), "{}", cold.name());
        }
        let mut session = CpuSession::new();
        let session: &mut dyn Session = &mut session;
        let affine = cases().into_iter().find(|case| case.name().starts_with("affine")).unwrap();
        let [warm, cold] = [affine.clone(), affine.cold()].map(|case| case.compile(session).unwrap());
        assert_eq!((warm.cost(), warm.places.len()), (cold.cost(), cold.places.len()));
        assert!(cold.places[0] > warm.places[0]);
    }

    #[test]
    fn a_copy_moves_the_bytes_that_it_is_asked_for() {
        for bytes in [8, 4096, 25_690_112] {
            let plan = Plan::new(Case::copy(bytes).build().unwrap().graph).unwrap();
            assert_eq!(plan.cost().bytes, bytes);
        }
    }
}
