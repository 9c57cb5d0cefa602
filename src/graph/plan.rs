//! The plan: which nodes run, in which order, in which buffers; costs and memory before anything runs.

use std::sync::Arc;

use super::{Cost, Graph, Op, Origin, Signature, Value, fusion};
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

/// Slot sizes are multiples of this many words: 256 bytes, the strictest alignment of a GPU binding.
const SLOT_WORDS: usize = 64;

impl Plan {
    /// Schedules `graph`: drops what no output or update needs, fuses, orders, assigns buffers.
    pub fn new(mut graph: Graph) -> Result<Plan> {
        let graph_nodes = graph.nodes.len();
        let mut live = live_nodes(&graph);
        fusion::fuse(&mut graph, &mut live);
        let order: Vec<usize> = (0..graph.nodes.len()).filter(|&n| live[n]).collect();
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
        plan.place_sources(&graph, &mut storage);
        let last = last_readers(&graph, &order);
        check_updates(&graph, &order)?;

        let mut free: Vec<usize> = Vec::new();
        for (position, &n) in order.iter().enumerate() {
            let node = &graph.nodes[n];
            let find = |storage: &[Option<Storage>], v: Value| {
                storage[graph.root(v).0 as usize].expect("operands are scheduled before their readers")
            };
            let inputs: Vec<Storage> = node.inputs.iter().map(|&v| find(&storage, v)).collect();
            let mut outputs = Vec::with_capacity(node.outputs.len());
            for (o, &v) in node.outputs.iter().enumerate() {
                let place = match node.op.in_place().iter().find(|(out, _)| *out == o) {
                    Some(&(_, input)) => inputs[input],
                    None => Storage::Slot(take(&mut plan.slots, &mut free, graph.ty(v).elements())),
                };
                storage[v.0 as usize] = Some(place);
                outputs.push(place);
            }
            // A value dies after its last reader; one that nobody reads dies where it is made.
            let mut dying: Vec<Value> = node.inputs.iter().chain(&node.outputs).map(|&v| graph.root(v)).collect();
            dying.sort();
            dying.dedup();
            for v in dying {
                if last[v.0 as usize].is_none_or(|reader| reader <= position)
                    && let Some(Storage::Slot(slot)) = storage[v.0 as usize]
                {
                    free.push(slot);
                }
            }
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

/// For each value the position of its last reader; `usize::MAX` for what is read after the run.
fn last_readers(graph: &Graph, order: &[usize]) -> Vec<Option<usize>> {
    let mut last = vec![None; graph.values.len()];
    for (position, &n) in order.iter().enumerate() {
        for &v in &graph.nodes[n].inputs {
            last[graph.root(v).0 as usize] = Some(position);
        }
    }
    for &(_, v) in &graph.outputs {
        last[graph.root(v).0 as usize] = Some(usize::MAX);
    }
    last
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
            let late = order[position + 1..]
                .iter()
                .any(|&later| graph.nodes[later].inputs.iter().any(|&v| graph.root(v) == state));
            if late {
                return fail(&format!("'{name}', whose old content is read later"));
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

/// A free slot for `words`: the smallest that is large enough, else the largest, grown, else a new one.
fn take(slots: &mut Vec<usize>, free: &mut Vec<usize>, words: usize) -> usize {
    let words = words.div_ceil(SLOT_WORDS).max(1) * SLOT_WORDS;
    let fitting = (0..free.len()).filter(|&i| slots[free[i]] >= words).min_by_key(|&i| slots[free[i]]);
    let choice = fitting.or_else(|| (0..free.len()).max_by_key(|&i| slots[free[i]]));
    match choice {
        Some(i) => {
            let slot = free.swap_remove(i);
            slots[slot] = slots[slot].max(words);
            slot
        }
        None => {
            slots.push(words);
            slots.len() - 1
        }
    }
}
