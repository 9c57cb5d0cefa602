//! Programs that together use every op and every shader, with their inputs.

use smallbox::device::{Feed, Program, Session};
use smallbox::error::Result;
use smallbox::graph::{Graph, Plan, Value};
use smallbox::ops::*;
use smallbox::philox::Stream;
use smallbox::shape::{DType, Shape, TensorType};

/// How closely devices must agree on an output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Agreement {
    /// Bit for bit: integers small enough that every order of summation is exact, or no arithmetic.
    Exact,
    /// Within this many units of f32 rounding (2⁻²³) of the largest magnitude of the output.
    Rounding(f64),
}

/// A program with its inputs.
pub struct Workload {
    pub name: String,
    pub graph: Graph,
    pub feeds: Vec<(String, Vec<u32>)>,
    pub agreement: Agreement,
}

/// Fills the inputs of a graph as they are declared.
pub struct Build {
    pub graph: Graph,
    feeds: Vec<(String, Vec<u32>)>,
    random: Stream,
    outputs: usize,
}

impl Build {
    fn feed(&mut self, ty: TensorType, words: Vec<u32>) -> Value {
        let name = format!("in{}", self.feeds.len());
        let value = self.graph.input(&name, ty).unwrap();
        self.feeds.push((name, words));
        value
    }

    /// Integers of magnitude at most `most`, as f32.
    fn integers(&mut self, shape: impl Into<Shape>, most: u32) -> Value {
        let shape = shape.into();
        let draw = |random: &mut Stream| (random.below(2 * most + 1) as f32 - most as f32).to_bits();
        let words = (0..shape.elements()).map(|_| draw(&mut self.random)).collect();
        self.feed(TensorType::f32(shape), words)
    }

    /// Integers from 0 to `most`, as f32.
    fn naturals(&mut self, shape: impl Into<Shape>, most: u32) -> Value {
        let shape = shape.into();
        let words = (0..shape.elements()).map(|_| (self.random.below(most + 1) as f32).to_bits()).collect();
        self.feed(TensorType::f32(shape), words)
    }

    /// Numbers from `lower` to `upper`.
    fn reals(&mut self, shape: impl Into<Shape>, lower: f32, upper: f32) -> Value {
        let shape = shape.into();
        let words =
            (0..shape.elements()).map(|_| (lower + (upper - lower) * self.random.uniform()).to_bits()).collect();
        self.feed(TensorType::f32(shape), words)
    }

    fn labels(&mut self, n: usize, classes: u32) -> Value {
        let words = (0..n).map(|_| self.random.below(classes)).collect();
        self.feed(TensorType::u32([n]), words)
    }

    fn output(&mut self, value: Value) {
        self.outputs += 1;
        self.graph.output(&format!("out{}", self.outputs), value);
    }

    fn gradients(&mut self, of: Value, seed: Value, wrt: &[Value]) -> Result<()> {
        for grad in gradients_from(&mut self.graph, of, seed, wrt)?.into_iter().flatten() {
            self.output(grad);
        }
        Ok(())
    }
}

fn workload(name: impl Into<String>, agreement: Agreement, build: impl FnOnce(&mut Build) -> Result<()>) -> Workload {
    let name = name.into();
    let mut b = Build { graph: Graph::new(), feeds: Vec::new(), random: Stream::new(7, 0, 0, 0), outputs: 0 };
    build(&mut b).unwrap_or_else(|e| panic!("{name}: {e}"));
    Workload { name, graph: b.graph, feeds: b.feeds, agreement }
}

/// Runs a workload once and returns its outputs by name.
pub fn run(session: &mut dyn Session, w: &Workload) -> Result<Vec<(String, DType, Vec<u32>)>> {
    let plan = Plan::new(w.graph.clone())?;
    let program = session.compile(&plan)?;
    let outputs = run_compiled(session, program, &plan, w);
    session.release(program);
    outputs
}

fn run_compiled(
    session: &mut dyn Session,
    program: Program,
    plan: &Plan,
    w: &Workload,
) -> Result<Vec<(String, DType, Vec<u32>)>> {
    let feeds: Vec<Feed<'_>> = w.feeds.iter().map(|(n, words)| (n.as_str(), bytemuck::cast_slice(words))).collect();
    session.run(program, &feeds)?;
    let mut outputs = Vec::new();
    for (named, _) in &plan.outputs {
        let words = pollster::block_on(session.read(program, &named.name))?;
        outputs.push((named.name.clone(), named.ty.dtype, words));
    }
    for state in &plan.states {
        let words = pollster::block_on(session.read_state(&state.name))?;
        session.write_state(&state.name, &vec![0; words.len()])?;
        outputs.push((state.name.clone(), state.ty.dtype, words));
    }
    Ok(outputs)
}

/// (batch, channels, H, W, features, KH, KW, spec)
type ConvCase = ([usize; 4], [usize; 3], Conv2dSpec);

fn conv_cases() -> Vec<ConvCase> {
    let spec = |stride, padding, dilation| Conv2dSpec { stride, padding, dilation };
    vec![
        ([1, 1, 1, 1], [1, 1, 1], Conv2dSpec::square(1, 0)),
        ([3, 2, 7, 5], [5, 3, 3], Conv2dSpec::square(1, 1)),
        ([2, 3, 9, 8], [17, 4, 4], Conv2dSpec::square(2, 1)),
        ([2, 5, 8, 11], [9, 3, 2], spec([2, 3], [2, 0], [1, 1])),
        ([2, 3, 11, 9], [4, 3, 3], spec([2, 1], [3, 2], [2, 3])),
        // Stride beyond the kernel: some pixels are reached by no tap.
        ([2, 2, 10, 9], [3, 1, 2], spec([3, 4], [0, 1], [1, 1])),
        // Stride and dilation with a common divisor.
        ([1, 2, 13, 12], [3, 3, 2], spec([2, 4], [1, 2], [2, 2])),
        // Above one tile of every kernel in both directions.
        ([5, 9, 12, 13], [70, 3, 3], Conv2dSpec::square(1, 1)),
        ([1, 1, 28, 28], [16, 4, 4], Conv2dSpec::square(2, 1)),
    ]
}

fn convolutions(all: &mut Vec<Workload>) {
    for (i, ([n, c, h, w], [o, kh, kw], spec)) in conv_cases().into_iter().enumerate() {
        all.push(workload(format!("conv2d {i}"), Agreement::Exact, |b| {
            let (x, k, bias) = (b.integers([n, c, h, w], 3), b.integers([o, c, kh, kw], 3), b.integers([o], 9));
            let y = conv2d(&mut b.graph, x, k, Some(bias), spec)?;
            b.output(y);
            let shape = b.graph.shape(y).clone();
            let seed = b.integers(shape, 3);
            b.gradients(y, seed, &[x, k, bias])?;
            let bare = conv2d(&mut b.graph, x, k, None, spec)?;
            let active = relu(&mut b.graph, bare)?;
            b.output(active);
            let under = relu(&mut b.graph, x)?;
            let again = conv2d(&mut b.graph, under, k, None, spec)?;
            b.gradients(again, seed, &[x])
        }));
        all.push(workload(format!("conv2d_interval {i}"), Agreement::Exact, |b| {
            let (center, radius) = (b.integers([n, c, h, w], 3), b.naturals([n, c, h, w], 3));
            let (k, bias) = (b.integers([o, c, kh, kw], 2), b.integers([o], 9));
            let (y, r) = conv2d_interval(&mut b.graph, (center, radius), k, Some(bias), spec)?;
            b.output(y);
            b.output(r);
            let shape = b.graph.shape(y).clone();
            let (seed_c, seed_r) = (b.integers(shape.clone(), 3), b.integers(shape, 3));
            let (y, r) = (mul(&mut b.graph, y, seed_c)?, mul(&mut b.graph, r, seed_r)?);
            let sum = add(&mut b.graph, y, r)?;
            let shape = b.graph.shape(sum).clone();
            let one = fill(&mut b.graph, 1.0, shape)?;
            b.gradients(sum, one, &[center, radius, k, bias])
        }));
        all.push(workload(format!("conv2d_interval between ReLUs {i}"), Agreement::Exact, |b| {
            let before = (b.integers([n, c, h, w], 3), b.naturals([n, c, h, w], 3));
            let (k, bias) = (b.integers([o, c, kh, kw], 2), b.integers([o], 9));
            let x = relu_interval(&mut b.graph, before)?;
            let y = conv2d_interval(&mut b.graph, x, k, Some(bias), spec)?;
            between_relus(b, y, &[before.0, before.1, k, bias])
        }));
    }
}

/// The rest of a workload that has made the box `y`, whose ReLU and gradients are what is read.
fn between_relus(b: &mut Build, y: (Value, Value), wrt: &[Value]) -> Result<()> {
    let (center, radius) = relu_interval(&mut b.graph, y)?;
    b.output(center);
    b.output(radius);
    let shape = b.graph.shape(center).clone();
    let seeds = (b.integers(shape.clone(), 3), b.integers(shape.clone(), 3));
    let (center, radius) = (mul(&mut b.graph, center, seeds.0)?, mul(&mut b.graph, radius, seeds.1)?);
    let sum = add(&mut b.graph, center, radius)?;
    let one = fill(&mut b.graph, 1.0, shape)?;
    b.gradients(sum, one, wrt)
}

fn products(all: &mut Vec<Workload>) {
    for (n, f, g) in
        [(1, 1, 1), (3, 5, 2), (8, 16, 17), (64, 33, 65), (70, 130, 100), (17, 300, 10), (9, 1100, 20), (100, 304, 132)]
    {
        all.push(workload(format!("linear {n}x{f}x{g}"), Agreement::Exact, |b| {
            let (x, w, bias) = (b.integers([n, f], 3), b.integers([g, f], 3), b.integers([g], 9));
            let y = linear(&mut b.graph, x, w, Some(bias))?;
            let active = relu(&mut b.graph, y)?;
            b.output(active);
            let seed = b.integers([n, g], 3);
            b.gradients(active, seed, &[x, w, bias])?;
            let bare = linear(&mut b.graph, x, w, None)?;
            b.output(bare);
            let under = relu(&mut b.graph, x)?;
            let again = linear(&mut b.graph, under, w, None)?;
            b.gradients(again, seed, &[x])
        }));
        all.push(workload(format!("linear_interval {n}x{f}x{g}"), Agreement::Exact, |b| {
            let (center, radius) = (b.integers([n, f], 3), b.naturals([n, f], 3));
            let (w, bias) = (b.integers([g, f], 2), b.integers([g], 9));
            let (y, r) = linear_interval(&mut b.graph, (center, radius), w, Some(bias))?;
            b.output(y);
            b.output(r);
            let (seed_c, seed_r) = (b.integers([n, g], 3), b.integers([n, g], 3));
            let (y, r) = (mul(&mut b.graph, y, seed_c)?, mul(&mut b.graph, r, seed_r)?);
            let sum = add(&mut b.graph, y, r)?;
            let one = fill(&mut b.graph, 1.0, [n, g])?;
            b.gradients(sum, one, &[center, radius, w, bias])
        }));
        all.push(workload(format!("linear_interval between ReLUs {n}x{f}x{g}"), Agreement::Exact, |b| {
            let before = (b.integers([n, f], 3), b.naturals([n, f], 3));
            let (w, bias) = (b.integers([g, f], 2), b.integers([g], 9));
            let x = relu_interval(&mut b.graph, before)?;
            let y = linear_interval(&mut b.graph, x, w, Some(bias))?;
            between_relus(b, y, &[before.0, before.1, w, bias])
        }));
    }
    for (n, f, k) in [(1, 1, 2), (19, 37, 10), (70, 5, 3)] {
        all.push(workload(format!("margins {n}x{f}x{k}"), Agreement::Exact, |b| {
            let (r, w, labels) = (b.naturals([n, f], 3), b.integers([k, f], 3), b.labels(n, k as u32));
            let y = margin_radius(&mut b.graph, r, w, labels)?;
            b.output(y);
            let seed = b.integers([n, k], 3);
            b.gradients(y, seed, &[r, w])?;
            let z = b.integers([n, k], 5);
            let margin = label_margin(&mut b.graph, z, labels)?;
            b.output(margin);
            b.gradients(margin, seed, &[z])?;
            let best = argmax(&mut b.graph, z)?;
            b.output(best);
            let right = compare_labels(&mut b.graph, best, labels)?;
            b.output(right);
            Ok(())
        }));
    }
}

/// Products of every kind in every direction whose sums round, with parts, phases and several tiles.
pub fn rounding_products() -> Vec<Workload> {
    let any = Agreement::Rounding(f64::INFINITY);
    let mut all = Vec::new();
    for (n, f, g) in [(37, 1100, 45), (70, 33, 130), (36, 1100, 132)] {
        all.push(workload(format!("linear {n}x{f}x{g}"), any, |b| {
            let (x, w, bias) = (b.reals([n, f], -1.0, 1.0), b.reals([g, f], -1.0, 1.0), b.reals([g], -1.0, 1.0));
            let y = linear(&mut b.graph, x, w, Some(bias))?;
            b.output(y);
            let seed = b.reals([n, g], -1.0, 1.0);
            b.gradients(y, seed, &[x, w])?;
            let radius = b.reals([n, f], 0.0, 1.0);
            let (c, r) = linear_interval(&mut b.graph, (x, radius), w, Some(bias))?;
            b.output(c);
            b.output(r);
            let product = mul(&mut b.graph, c, r)?;
            b.gradients(product, seed, &[x, radius, w])
        }));
    }
    for ([n, c, h, w], [o, kh, kw], spec) in [
        ([3, 5, 9, 8], [37, 4, 4], Conv2dSpec::square(2, 1)),
        ([2, 40, 7, 9], [35, 3, 2], Conv2dSpec { stride: [1, 3], padding: [1, 2], dilation: [2, 1] }),
    ] {
        all.push(workload(format!("conv2d {n}x{c}"), any, |b| {
            let x = b.reals([n, c, h, w], -1.0, 1.0);
            let (k, bias) = (b.reals([o, c, kh, kw], -1.0, 1.0), b.reals([o], -1.0, 1.0));
            let y = conv2d(&mut b.graph, x, k, Some(bias), spec)?;
            b.output(y);
            let shape = b.graph.shape(y).clone();
            let seed = b.reals(shape, -1.0, 1.0);
            b.gradients(y, seed, &[x, k])?;
            let radius = b.reals([n, c, h, w], 0.0, 1.0);
            let (center, r) = conv2d_interval(&mut b.graph, (x, radius), k, Some(bias), spec)?;
            b.output(center);
            b.output(r);
            let product = mul(&mut b.graph, center, r)?;
            b.gradients(product, seed, &[x, radius, k])
        }));
    }
    all
}

fn elementwise(all: &mut Vec<Workload>) {
    for n in [1, 255, 256, 257, 70_001] {
        all.push(workload(format!("elementwise {n}"), Agreement::Exact, |b| {
            let (x, y, z) = (b.integers([n], 9), b.integers([n], 9), b.integers([n], 3));
            for kind in [
                UnaryKind::Abs,
                UnaryKind::Sign,
                UnaryKind::Positive,
                UnaryKind::Affine { scale: -3.0, shift: 2.0 },
                UnaryKind::Clamp { lower: -2.0, upper: f32::INFINITY },
                UnaryKind::Square,
            ] {
                let v = unary(&mut b.graph, kind, x)?;
                b.output(v);
            }
            use BinaryKind::*;
            for kind in [Add, Sub, Mul, Min, Max, Greater, Mask] {
                let v = binary(&mut b.graph, kind, x, y)?;
                b.output(v);
            }
            let chosen = select(&mut b.graph, z, x, y)?;
            b.output(chosen);
            let active = relu(&mut b.graph, x)?;
            b.output(active);
            let chains = multiply_adds(&mut b.graph, x, 2)?;
            b.output(chains);
            let radius = abs(&mut b.graph, y)?;
            let (m, r) = relu_interval(&mut b.graph, (x, radius))?;
            b.output(m);
            b.output(r);
            let both = add(&mut b.graph, m, r)?;
            b.gradients(both, z, &[x, y])?;
            let (lower, upper) = (affine(&mut b.graph, x, 1.0, -3.0)?, affine(&mut b.graph, x, 1.0, 2.0)?);
            let (reach, running, over) = (b.naturals([1], 7), b.feed_one(0.0), b.feed_one(1.0));
            let region = PgdRegion { lower, upper, reach };
            for done in [running, over] {
                let moved = pgd_step(&mut b.graph, x, z, region, done, 2.0)?;
                b.output(moved);
            }
            let key = b.feed(TensorType::u32([4]), vec![1, 2, 3, 4]);
            let uniform = random(&mut b.graph, Distribution::Uniform { lower: -1.0, upper: 1.0 }, key, 5, [n])?;
            b.output(uniform);
            let state = b.graph.state(&format!("state{n}"), TensorType::f32([n]))?;
            assign(&mut b.graph, state, x)
        }));
    }
    all.push(workload("spread", Agreement::Exact, |b| {
        let x = b.integers([6, 5, 4, 7], 9);
        for shape in [[6, 1, 1, 1], [1, 5, 1, 1], [1, 1, 1, 7], [1, 5, 4, 1], [1, 5, 4, 7], [6, 5, 4, 7]] {
            let y = b.integers(shape, 9);
            let (sum, difference) = (add(&mut b.graph, x, y)?, sub(&mut b.graph, y, x)?);
            b.output(sum);
            b.output(difference);
            let zero = fill(&mut b.graph, 0.0, [6, 5, 4, 7])?;
            let chosen = select(&mut b.graph, y, x, zero)?;
            b.output(chosen);
        }
        for axes in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]] {
            let v = transpose(&mut b.graph, x, &axes)?;
            b.output(v);
        }
        let v = b.integers([5], 9);
        let wide = expand(&mut b.graph, v, 6, 28)?;
        b.output(wide);
        let parts: Vec<Value> = (1..=CONCAT_LIMIT).map(|n| b.integers([n * n], 9)).collect();
        for count in [1, 3, CONCAT_LIMIT] {
            let joined = concat(&mut b.graph, &parts[..count])?;
            b.output(joined);
        }
        let table = b.graph.state("table", TensorType::f32([3, 16]))?;
        let index = b.feed(TensorType::u32([1]), vec![5]);
        record_row(&mut b.graph, table, parts[3], index)
    }));
}

/// Elementwise ops that are joined to passes, the last with more operands and results than one dispatch has, and an update.
fn passes(all: &mut Vec<Workload>) {
    all.push(workload("passes", Agreement::Exact, |b| {
        let shape = [3, 5, 7, 9];
        let (x, r, seed) = (b.integers(shape, 3), b.naturals(shape, 3), b.integers(shape, 2));
        let (scale, shift, least) =
            (b.integers([1, 5, 1, 1], 3), b.integers([1, 5, 1, 1], 3), b.integers([3, 1, 1, 1], 9));
        let g = &mut b.graph;
        let (scaled, magnitude) = (mul(g, x, scale)?, abs(g, scale)?);
        let (center, radius) = (add(g, scaled, shift)?, mul(g, r, magnitude)?);
        let (center, radius) = relu_interval(g, (center, radius))?;
        let raised = maximum(g, center, least)?;
        let both = add(g, raised, radius)?;
        b.output(both);
        b.gradients(both, seed, &[x, r, scale, shift])?;
        let others: Vec<Value> = (0..9).map(|_| b.integers(shape, 3)).collect();
        let mut sum = both;
        for &other in &others {
            sum = add(&mut b.graph, sum, other)?;
            let product = mul(&mut b.graph, sum, other)?;
            b.output(product);
            let each = reduce_channels(&mut b.graph, ReduceKind::Max, product)?;
            b.output(each);
        }
        Ok(())
    }));
    // With nothing beside it in a pass.
    all.push(workload("relu_interval", Agreement::Exact, |b| {
        let (center, radius, seed) = (b.integers([301], 9), b.naturals([301], 9), b.integers([301], 3));
        let (m, r) = relu_interval(&mut b.graph, (center, radius))?;
        b.output(m);
        b.output(r);
        b.gradients(m, seed, &[center, radius])
    }));
    all.push(workload("update of a pass", Agreement::Rounding(64.0), |b| {
        let states = ["p", "m", "v"].map(|name| b.graph.state(name, TensorType::f32([301])).unwrap());
        let (grad, weight) = (b.reals([301], -1.0, 1.0), b.reals([1], 0.0, 0.5));
        let signs = sign(&mut b.graph, states[0])?;
        let penalty = mul(&mut b.graph, signs, weight)?;
        let sum = add(&mut b.graph, grad, penalty)?;
        let spec = AdamSpec { weight_decay: 0.01, ..AdamSpec::default() };
        let rates = b.feed(TensorType::f32([2]), spec.rates(1e-3, 1).map(f32::to_bits).to_vec());
        adam(&mut b.graph, spec, states, sum, rates)
    }));
}

fn reductions(all: &mut Vec<Workload>) {
    let shapes =
        [[1, 1, 1], [1, 1, 300], [7, 3, 5], [1, 9, 257], [300, 10, 1], [5, 1, 70_000], [1, 2, 40_000], [40, 3, 999]];
    for shape in shapes {
        all.push(workload(format!("reduce {shape:?}"), Agreement::Exact, |b| {
            let x = b.integers(shape, 9);
            for kind in [ReduceKind::Sum, ReduceKind::Min, ReduceKind::Max] {
                let y = reduce(&mut b.graph, kind, x)?;
                b.output(y);
            }
            Ok(())
        }));
    }
}

/// The ops of backward bounds, with windows that are partly outside, slopes, splits and gradients.
fn backward_bounds(all: &mut Vec<Workload>) {
    all.push(workload("backward bounds", Agreement::Rounding(8192.0), |b| {
        let rows = b.feed(TensorType::u32([5, 4]), (0..20).map(|i| (i % 4 + i / 4) % 2).collect());
        let w = b.reals([2, 3 * 9], -1.0, 1.0);
        let picked = gather_rows(&mut b.graph, w, rows)?;
        let a = b.graph.reshape(picked, [5, 3, 3, 3])?;
        let bounds = b.reals([2, 3, 3, 4, 4], -1.0, 1.0);
        let region = b.reals([2, 2, 3, 4, 4], -1.0, 1.0);
        let slopes = b.reals([5, 3, 3, 3], 0.0, 1.0);
        let splits = b.integers([5, 3, 3, 3], 1);
        let multipliers = b.reals([5, 3, 3, 3], 0.0, 1.0);
        let window = Window { stride: [1; 2], offset: [-1; 2] };
        let relaxation = Relaxation { slopes: Some(slopes), splits: Some((splits, multipliers)) };
        let (relaxed, summands) = relu_relaxation(&mut b.graph, a, bounds, rows, relaxation, window)?;
        let least = concretize(&mut b.graph, relaxed, region, rows, window)?;
        let lower = add(&mut b.graph, least, summands)?;
        let seed = fill(&mut b.graph, 1.0, [5])?;
        let grads = gradients_from(&mut b.graph, lower, seed, &[w, slopes, multipliers]);
        // Picked rows have no gradient; slopes and multipliers do.
        assert!(grads.is_err());
        let grads = gradients_from(&mut b.graph, lower, seed, &[a, slopes, multipliers])?;
        let whole = embed_window(&mut b.graph, relaxed, rows, window, [4, 4])?;
        for v in grads.into_iter().flatten().chain([lower, whole]) {
            b.output(v);
        }
        let seed = b.reals([5, 3, 4, 4], -1.0, 1.0);
        b.gradients(whole, seed, &[slopes])
    }));
}

fn inexact(all: &mut Vec<Workload>) {
    // WGSL allows exp 3 + 2|x| units, log and division fewer, sine and cosine 2⁻¹¹ absolute on some intervals.
    all.push(workload("functions", Agreement::Rounding(32.0), |b| {
        let (x, y) = (b.reals([1000], 0.5, 4.0), b.reals([1000], 0.5, 4.0));
        for kind in [UnaryKind::Sqrt, UnaryKind::Reciprocal, UnaryKind::Exp, UnaryKind::Log] {
            let v = unary(&mut b.graph, kind, x)?;
            b.output(v);
        }
        let v = div(&mut b.graph, x, y)?;
        b.output(v);
        Ok(())
    }));
    all.push(workload("normal", Agreement::Rounding(8192.0), |b| {
        let key = b.feed(TensorType::u32([4]), vec![1, 2, 3, 4]);
        let normal = random(&mut b.graph, Distribution::Normal { mean: 1.0, deviation: 2.0 }, key, 0, [1001])?;
        b.output(normal);
        Ok(())
    }));
    all.push(workload("cross_entropy", Agreement::Rounding(64.0), |b| {
        let (z, labels) = (b.reals([77, 10], -4.0, 4.0), b.labels(77, 10));
        let y = cross_entropy(&mut b.graph, z, labels)?;
        b.output(y);
        let seed = b.reals([77], -1.0, 1.0);
        b.gradients(y, seed, &[z])
    }));
    all.push(workload("attack progress", Agreement::Rounding(64.0), |b| {
        let (z, labels) = (b.reals([77, 10], -4.0, 4.0), b.labels(77, 10));
        let first = attack_progress(&mut b.graph, z, labels, None)?;
        b.output(first.gradient);
        let next = b.reals([77, 10], -4.0, 4.0);
        let second = attack_progress(&mut b.graph, next, labels, Some(first.state))?;
        for v in [second.state, second.chosen, second.done] {
            b.output(v);
        }
        let (found, loss) = attack_outcome(&mut b.graph, z, labels, second.state)?;
        b.output(found);
        b.output(loss);
        Ok(())
    }));
    all.push(workload("adam", Agreement::Rounding(64.0), |b| {
        let states = ["p", "m", "v"].map(|name| b.graph.state(name, TensorType::f32([301])).unwrap());
        let grad = b.reals([301], -1.0, 1.0);
        let spec = AdamSpec { weight_decay: 0.01, ..AdamSpec::default() };
        let rates = b.feed(TensorType::f32([2]), spec.rates(1e-3, 1).map(f32::to_bits).to_vec());
        adam(&mut b.graph, spec, states, grad, rates)
    }));
    // A sum of n terms in two orders differs by at most n − 1 roundings of the sum of magnitudes; trees have log₂ n.
    for n in [7, 50_000] {
        all.push(workload(format!("bound statistics {n}"), Agreement::Rounding(256.0), |b| {
            let (c, r) = (b.reals([n], -1.0, 1.0), b.reals([n], 0.0, 0.5));
            let statistics = bound_statistics(&mut b.graph, (c, r))?;
            b.output(statistics);
            let seed = b.reals([BOUND_STATISTICS], -1.0, 1.0);
            b.gradients(statistics, seed, &[c, r])?;
            let input_radius = b.reals([1], 0.01, 0.1);
            let penalty = bound_penalty(&mut b.graph, statistics, input_radius)?;
            b.output(penalty);
            let one = b.reals([1], 1.0, 1.0);
            b.gradients(penalty, one, &[statistics])
        }));
    }
}

impl Build {
    fn feed_one(&mut self, value: f32) -> Value {
        self.feed(TensorType::f32([1]), vec![value.to_bits()])
    }
}

/// All workloads.
pub fn all() -> Vec<Workload> {
    let mut all = Vec::new();
    elementwise(&mut all);
    passes(&mut all);
    reductions(&mut all);
    products(&mut all);
    convolutions(&mut all);
    inexact(&mut all);
    backward_bounds(&mut all);
    all
}

/// One or two workloads of each kind, for what need not see every shape: a software driver takes long to compile a kernel.
pub fn few() -> Vec<Workload> {
    let chosen = [
        "elementwise 70001",
        "passes",
        "spread",
        "reduce [5, 1, 70000]",
        "reduce [40, 3, 999]",
        "linear 70x130x100",
        "linear_interval 70x130x100",
        "margins 19x37x10",
        "conv2d 2",
        "conv2d 4",
        "conv2d_interval 4",
        "functions",
        "bound statistics 50000",
    ];
    let few: Vec<Workload> = all().into_iter().filter(|w| chosen.contains(&w.name.as_str())).collect();
    assert_eq!(few.len(), chosen.len(), "every chosen name is a workload");
    few
}
