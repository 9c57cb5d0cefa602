//! The plan: which nodes run, in which order, in which buffers; costs and memory before anything runs.

use std::sync::Arc;

use super::slots::{self, Lifetime};
use super::{Cost, Graph, Op, Origin, Signature, Value, elementwise, fusion};
use crate::error::{Error, Result};
use crate::shape::TensorType;

/// Where the words of an operand live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// Input `i` of the plan.
    Input(usize),
    /// State `i` of the plan.
    State(usize),
    /// Constant `i` of the plan.
    Constant(usize),
    /// Work buffer `i`, shared by values whose lifetimes do not meet.
    Slot(usize),
}

/// One node, scheduled.
#[derive(Clone, Debug)]
pub struct Step {
    /// The op.
    pub op: Arc<dyn Op>,
    /// Types of its operands.
    pub signature: Signature,
    /// Where its inputs are.
    pub inputs: Vec<Storage>,
    /// Where its outputs go.
    pub outputs: Vec<Storage>,
}

impl Step {
    /// The op that knows which layouts the step's operands can have: the same, or a pass of it alone.
    pub(crate) fn in_layouts(&self) -> Arc<dyn Op> {
        match self.op.elementwise(&self.signature) {
            Some(description) => description.alone(self.op.clone(), &self.signature),
            None => self.op.clone(),
        }
    }
}

/// A named tensor of a plan.
#[derive(Clone, Debug)]
pub struct Named {
    /// Name as given to the graph.
    pub name: String,
    /// Shape and element type.
    pub ty: TensorType,
}

/// A graph, scheduled: the device-independent form of a program.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Fed each run.
    pub inputs: Vec<Named>,
    /// Kept between runs.
    pub states: Vec<Named>,
    /// Uploaded once.
    pub constants: Vec<Arc<[u32]>>,
    /// Sizes of the work buffers in words.
    pub slots: Vec<usize>,
    /// The nodes in the order they run.
    pub steps: Vec<Step>,
    /// Readable after a run: name, type, place.
    pub outputs: Vec<(Named, Storage)>,
    /// Nodes of the graph before dead-code elimination and fusion.
    pub graph_nodes: usize,
}

impl Plan {
    /// Schedules `graph`: drops what no output or update needs, fuses, orders, assigns buffers.
    pub fn new(mut graph: Graph) -> Result<Plan> {
        let graph_nodes = graph.nodes.len();
        let mut live = live_nodes(&graph);
        fusion::fuse(&mut graph, &mut live);
        let order: Vec<usize> = (0..graph.nodes.len()).filter(|&n| live[n]).collect();
        check_updates(&graph, &order)?;
        let mut order = elementwise::fuse(&mut graph, order);
        fold_constants(&mut graph, &mut order);
        Plan::scheduled(&graph, &order, graph_nodes)
    }

    /// [`Plan::new`] without fusions: every node by itself. Slower, with the same results; what the fusions are held against.
    pub fn unfused(graph: Graph) -> Result<Plan> {
        let live = live_nodes(&graph);
        let order: Vec<usize> = (0..graph.nodes.len()).filter(|&n| live[n]).collect();
        Plan::scheduled(&graph, &order, graph.nodes.len())
    }

    /// Runs the nodes in `order` and finds places for their values.
    fn scheduled(graph: &Graph, order: &[usize], graph_nodes: usize) -> Result<Plan> {
        let mut storage: Vec<Option<Storage>> = vec![None; graph.values.len()];
        let mut plan = Plan {
            inputs: Vec::new(),
            states: Vec::new(),
            constants: Vec::new(),
            slots: Vec::new(),
            steps: Vec::new(),
            outputs: Vec::new(),
            graph_nodes,
        };
        plan.place_sources(graph, &mut storage);
        check_updates(graph, order)?;

        let (made, lifetimes) = lifetimes(graph, order);
        let (sizes, slots) = slots::assign(&lifetimes);
        plan.slots = sizes;
        for (&v, &slot) in made.iter().zip(&slots) {
            storage[v.0 as usize] = Some(Storage::Slot(slot));
        }
        for &n in order {
            let node = &graph.nodes[n];
            let find = |storage: &[Option<Storage>], v: Value| {
                storage[graph.root(v).0 as usize].expect("operands are scheduled before their readers")
            };
            let inputs: Vec<Storage> = node.inputs.iter().map(|&v| find(&storage, v)).collect();
            for &(output, input) in node.op.in_place() {
                storage[node.outputs[output].0 as usize] = Some(inputs[input]);
            }
            let outputs = node.outputs.iter().map(|&v| find(&storage, v)).collect();
            let signature = Signature {
                inputs: node.inputs.iter().map(|&v| graph.ty(v).clone()).collect(),
                outputs: node.outputs.iter().map(|&v| graph.ty(v).clone()).collect(),
            };
            plan.steps.push(Step { op: node.op.clone(), signature, inputs, outputs });
        }
        for (name, v) in &graph.outputs {
            let place = storage[graph.root(*v).0 as usize].expect("outputs are live");
            plan.outputs.push((Named { name: name.clone(), ty: graph.ty(*v).clone() }, place));
        }
        Ok(plan)
    }

    /// Inputs, states and constants get their places; all of them are kept, used or not, so that feeding a program
    /// does not depend on what dead-code elimination left.
    fn place_sources(&mut self, graph: &Graph, storage: &mut [Option<Storage>]) {
        for (v, info) in graph.values.iter().enumerate() {
            let named = || Named { name: info.name.clone(), ty: info.ty.clone() };
            storage[v] = match &info.origin {
                Origin::Input => {
                    self.inputs.push(named());
                    Some(Storage::Input(self.inputs.len() - 1))
                }
                Origin::State => {
                    self.states.push(named());
                    Some(Storage::State(self.states.len() - 1))
                }
                Origin::Constant(words) => {
                    self.constants.push(words.clone());
                    Some(Storage::Constant(self.constants.len() - 1))
                }
                Origin::Node { .. } | Origin::Alias { .. } => None,
            };
        }
    }

    /// Arithmetic and traffic of one run.
    pub fn cost(&self) -> Cost {
        let mut sum = Cost::default();
        for step in &self.steps {
            sum += step.op.cost(&step.signature);
        }
        sum
    }

    /// Bytes of the work buffers, which are reused.
    pub fn slot_bytes(&self) -> usize {
        4 * self.slots.iter().sum::<usize>()
    }

    /// Bytes of inputs, states and constants.
    pub fn source_bytes(&self) -> usize {
        self.inputs.iter().chain(&self.states).map(|n| n.ty.bytes()).sum::<usize>()
            + 4 * self.constants.iter().map(|c| c.len()).sum::<usize>()
    }

    /// Index of the input called `name`.
    pub fn input(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|n| n.name == name)
    }
}

/// Nodes that an output or a state update needs.
fn live_nodes(graph: &Graph) -> Vec<bool> {
    let mut live = vec![false; graph.nodes.len()];
    let mut stack: Vec<Value> = graph.outputs.iter().map(|(_, v)| *v).collect();
    stack.extend(graph.updates.iter().map(|(_, v)| *v));
    while let Some(v) = stack.pop() {
        if let Origin::Node { node, .. } = graph.info(graph.root(v)).origin
            && !std::mem::replace(&mut live[node.0 as usize], true)
        {
            stack.extend(&graph.nodes[node.0 as usize].inputs);
        }
    }
    live
}

/// Most words of a value that is computed when the plan is made and kept from then on.
const MOST_CONSTANT_WORDS: usize = 1 << 10;

/// Makes small values that depend on no input or state constants, and takes their nodes out of `order`.
fn fold_constants(graph: &mut Graph, order: &mut Vec<usize>) {
    order.retain(|&n| {
        let node = &graph.nodes[n];
        let [output] = node.outputs[..] else { return true };
        let words = node.inputs.iter().map(|&v| match &graph.info(graph.root(v)).origin {
            Origin::Constant(words) => Some(&words[..]),
            _ => None,
        });
        let ty = graph.ty(output);
        let words: Option<Vec<&[u32]>> = words.collect();
        let words = words.filter(|_| ty.elements() <= MOST_CONSTANT_WORDS);
        let Some(made) = words.and_then(|words| node.op.constant(&words, ty)) else { return true };
        assert_eq!(made.len(), ty.elements(), "{}: a constant of its output's size", node.op.name());
        graph.values[output.0 as usize].origin = Origin::Constant(made.into());
        false
    });
}

/// The values that need a slot, all but those written in place, and when each is in use. What is read after the run stays to the
/// end; what nobody reads dies where it is made.
fn lifetimes(graph: &Graph, order: &[usize]) -> (Vec<Value>, Vec<Lifetime>) {
    let mut last = vec![0; graph.values.len()];
    for (position, &n) in order.iter().enumerate() {
        for &v in &graph.nodes[n].inputs {
            last[graph.root(v).0 as usize] = position;
        }
    }
    for &(_, v) in &graph.outputs {
        last[graph.root(v).0 as usize] = usize::MAX;
    }
    let (mut values, mut lifetimes) = (Vec::new(), Vec::new());
    for (position, &n) in order.iter().enumerate() {
        let node = &graph.nodes[n];
        for (o, &v) in node.outputs.iter().enumerate() {
            if !node.op.in_place().iter().any(|&(output, _)| output == o) {
                values.push(v);
                let (words, last) = (graph.ty(v).elements(), last[v.0 as usize].max(position));
                lifetimes.push(Lifetime { words, first: position, last });
            }
        }
    }
    (values, lifetimes)
}

/// In-place updates must hit states, once each, after every other reader of the old content.
fn check_updates(graph: &Graph, order: &[usize]) -> Result<()> {
    let mut written = vec![false; graph.values.len()];
    for (position, &n) in order.iter().enumerate() {
        let node = &graph.nodes[n];
        for &(output, input) in node.op.in_place() {
            let state = graph.root(node.inputs[input]);
            let name = &graph.info(state).name;
            let fail = |got: &str| Err(Error::shape(node.op.name(), "to update a state in place, once, last", got));
            if !matches!(graph.info(state).origin, Origin::State) {
                return fail("a value that is not a state");
            }
            if std::mem::replace(&mut written[state.0 as usize], true) {
                return fail(&format!("'{name}' twice"));
            }
            if !graph.updates.iter().any(|&(s, v)| s == state && graph.root(v) == node.outputs[output]) {
                return fail(&format!("an update of '{name}' that the graph does not declare"));
            }
            let mut later = order[position + 1..].iter().map(|&later| &graph.nodes[later]);
            if let Some(reader) = later.find(|node| node.inputs.iter().any(|&v| graph.root(v) == state)) {
                let again = reader.op.in_place().iter().any(|&(_, i)| graph.root(reader.inputs[i]) == state);
                return fail(&if again {
                    format!("'{name}' twice")
                } else {
                    format!("'{name}', whose old content is read later")
                });
            }
        }
    }
    for &(state, new) in &graph.updates {
        if !written[state.0 as usize] {
            let got = format!("'{}' := {}", graph.info(state).name, graph.ty(new).shape);
            return Err(Error::shape("update", "a value made by an op that updates the state in place", got));
        }
    }
    Ok(())
}
