//! Runs a graph on a device: build, plan, compile, feed, run, read.

use std::sync::atomic::{AtomicUsize, Ordering};

use smallbox::device::{Session, write_state_f32};
use smallbox::error::Result;
use smallbox::graph::{Graph, Plan, Value};
use smallbox::ops;
use smallbox::shape::{DType, TensorType};

use super::tensor::Tensor;

/// A graph under construction together with what will be fed to it.
#[derive(Default)]
pub struct Case {
    pub graph: Graph,
    feeds: Vec<(String, Vec<u32>)>,
    states: Vec<(String, String, Vec<u32>)>,
}

impl Case {
    fn feed(&mut self, ty: TensorType, words: Vec<u32>) -> Value {
        let name = format!("input{}", self.feeds.len());
        let value = self.graph.input(&name, ty).expect("names of inputs are new");
        self.feeds.push((name, words));
        value
    }

    /// A fed f32 tensor.
    pub fn input(&mut self, tensor: &Tensor) -> Value {
        let ty = TensorType::f32(tensor.shape.clone());
        self.feed(ty, bytemuck::cast_vec(tensor.to_f32()))
    }

    /// A fed vector of u32.
    pub fn labels(&mut self, labels: &[u32]) -> Value {
        self.feed(TensorType::u32([labels.len()]), labels.to_vec())
    }

    /// A state with the content `tensor`. Sessions are shared, so its name in the session is new for every case.
    pub fn state(&mut self, name: &str, tensor: &Tensor) -> Value {
        static CASES: AtomicUsize = AtomicUsize::new(0);
        let unique = format!("{name}.{}", CASES.fetch_add(1, Ordering::Relaxed));
        let value = self.graph.state(&unique, TensorType::f32(tensor.shape.clone())).expect("names of states are new");
        self.states.push((name.to_string(), unique, bytemuck::cast_vec(tensor.to_f32())));
        value
    }

    /// Makes `value` readable.
    pub fn output(&mut self, name: &str, value: Value) {
        self.graph.output(name, value);
    }

    /// Makes Σᵢ ⟨values[i], upstream[i]⟩ the loss and reads its gradients with respect to `wrt` as `grad0`, `grad1`, …
    pub fn gradients(&mut self, values: &[Value], upstream: &[Tensor], wrt: &[Value]) -> Result<()> {
        let weights: Vec<Value> = upstream.iter().map(|t| self.input(t)).collect();
        let g = &mut self.graph;
        let grads = if let (&[value], &[weight]) = (values, &weights[..]) {
            ops::gradients_from(g, value, weight, wrt)?
        } else {
            let mut loss = None;
            for (&value, weight) in values.iter().zip(weights) {
                let product = ops::mul(g, value, weight)?;
                let sum = ops::sum_all(g, product)?;
                loss = Some(match loss {
                    Some(loss) => ops::add(g, loss, sum)?,
                    None => sum,
                });
            }
            ops::gradients(g, loss.expect("one value at least"), wrt)?
        };
        for (i, grad) in grads.into_iter().enumerate() {
            g.output(&format!("grad{i}"), grad.expect("the loss depends on every value asked for"));
        }
        Ok(())
    }
}

/// What a run left behind.
pub struct Outcome {
    pub plan: Plan,
    outputs: Vec<(String, TensorType, Vec<u32>)>,
    states: Vec<(String, TensorType, Vec<u32>)>,
}

impl Outcome {
    /// Words of an output.
    pub fn words(&self, name: &str) -> &[u32] {
        &find(&self.outputs, name).2
    }

    /// An f32 output.
    pub fn tensor(&self, name: &str) -> Tensor {
        tensor(find(&self.outputs, name))
    }

    /// Names and words of all outputs and states.
    pub fn everything(&self) -> Vec<(&str, &[u32])> {
        self.outputs.iter().chain(&self.states).map(|(name, _, words)| (name.as_str(), words.as_slice())).collect()
    }

    /// A state after the run.
    pub fn state(&self, name: &str) -> Tensor {
        tensor(find(&self.states, name))
    }

    /// Names of the plan's steps.
    pub fn steps(&self) -> Vec<&'static str> {
        self.plan.steps.iter().map(|s| s.op.name()).collect()
    }

    /// Attributes of the plan's steps that have this name.
    pub fn attributes(&self, step: &str) -> Vec<String> {
        self.plan.steps.iter().filter(|s| s.op.name() == step).map(|s| format!("{:?}", s.op)).collect()
    }
}

fn find<'a>(all: &'a [(String, TensorType, Vec<u32>)], name: &str) -> &'a (String, TensorType, Vec<u32>) {
    all.iter().find(|(n, ..)| n == name).unwrap_or_else(|| panic!("nothing is called {name}"))
}

fn tensor((name, ty, words): &(String, TensorType, Vec<u32>)) -> Tensor {
    assert_eq!(ty.dtype, DType::F32, "element type of {name}");
    Tensor::new(ty.shape.dims(), words.iter().map(|&w| f64::from(f32::from_bits(w))).collect())
}

/// Runs what `build` describes once.
#[track_caller]
pub fn run(session: &mut dyn Session, build: impl FnOnce(&mut Case) -> Result<()>) -> Outcome {
    run_times(session, 1, build)
}

/// Runs what `build` describes `times` times with the same feeds, and reads the outputs of the last run.
#[track_caller]
pub fn run_times(session: &mut dyn Session, times: usize, build: impl FnOnce(&mut Case) -> Result<()>) -> Outcome {
    run_planned(session, times, Plan::new, build)
}

/// [`run_times`] with the plan that `plan` makes.
#[track_caller]
pub fn run_planned(
    session: &mut dyn Session,
    times: usize,
    plan: fn(Graph) -> Result<Plan>,
    build: impl FnOnce(&mut Case) -> Result<()>,
) -> Outcome {
    let mut case = Case::default();
    build(&mut case).unwrap_or_else(|e| panic!("building the graph: {e}"));
    let plan = plan(case.graph).unwrap_or_else(|e| panic!("planning: {e}"));
    let program = session.compile(&plan).unwrap_or_else(|e| panic!("compiling: {e}"));
    for (_, unique, words) in &case.states {
        write_state_f32(session, unique, bytemuck::cast_slice(words)).expect("the state has the type of its content");
    }
    let feeds: Vec<(&str, &[u8])> =
        case.feeds.iter().map(|(name, words)| (name.as_str(), bytemuck::cast_slice(words))).collect();
    for _ in 0..times {
        session.run(program, &feeds).unwrap_or_else(|e| panic!("running: {e}"));
    }
    let mut outputs = Vec::new();
    for (named, _) in &plan.outputs {
        let words = pollster::block_on(session.read(program, &named.name)).expect("outputs are readable");
        outputs.push((named.name.clone(), named.ty.clone(), words));
    }
    let mut states = Vec::new();
    for (name, unique, _) in &case.states {
        let ty = plan.states.iter().find(|s| s.name == *unique).expect("every state is in the plan").ty.clone();
        let words = pollster::block_on(session.read_state(unique)).expect("states are readable");
        states.push((name.clone(), ty, words));
    }
    session.release(program);
    Outcome { plan, outputs, states }
}

/// Zeros for every input of `plan`.
pub fn zeros(plan: &Plan) -> Vec<(String, Vec<u32>)> {
    plan.inputs.iter().map(|named| (named.name.clone(), vec![0; named.ty.elements()])).collect()
}
