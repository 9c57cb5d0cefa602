//! Passes over memory that several elementwise ops share.
//!
//! Ops that go over the same elements ([`super::Op::elementwise`]) and hand values to each other one to one become one node: what stays between them never
//! reaches memory. A value that later passes read too, but that follows from one large operand by light arithmetic, is computed again there and
//! not stored at all. What the joined op does with its parts is the ops' knowledge; here is only which ones it may be.

use std::collections::{HashMap, HashSet};

use super::{Elementwise, Graph, Link, Node, NodeId, Origin, Part, Signature, Value, ValueInfo};

/// Most ops in one pass.
const MOST_PARTS: usize = 32;
/// Most reductions in one pass.
pub(crate) const MOST_REDUCTIONS: usize = 8;
/// Passes over fewer elements don't gain by reading an operand once for two of them.
const LARGE: usize = 1 << 12;
/// Nodes of the graph between two that may become one pass whatever that does to the lives of values.
const NEAR: usize = 64;
/// Most ops that are done again instead of storing their result.
const MOST_AGAIN: usize = 4;

/// Joins the nodes in `order` (which are in an order in which they may run) where they fit, and returns the new order.
pub(super) fn fuse(graph: &mut Graph, order: Vec<usize>) -> Vec<usize> {
    let mut passes = Passes::new(graph, &order);
    for &node in &order {
        passes.merge_producers(node);
    }
    for &node in &order {
        passes.merge_siblings(node);
    }
    for &node in &order {
        // A unit is looked at when its last node comes up, after all units that it reads.
        if passes.members(node).last() == Some(&node) {
            passes.recompute_instead_of_storing(passes.unit[&node]);
        }
    }
    let sorted = passes.sorted(&order);
    sorted.into_iter().map(|unit| passes.write_back(unit)).collect()
}

/// Which nodes share a pass. Units are disjoint sets of nodes; most have one.
struct Passes<'a> {
    graph: &'a mut Graph,
    /// By node.
    described: HashMap<usize, Elementwise>,
    /// Which unit each node belongs to.
    unit: HashMap<usize, usize>,
    /// Nodes of each unit, in an order in which they may run; empty for one that was merged into another.
    units: Vec<Vec<usize>>,
    /// Readers of each value that is made, fed or kept, by its root.
    readers: HashMap<Value, Vec<usize>>,
    /// Values that are read from outside.
    kept: HashSet<Value>,
    /// Readers of a state's old content, which must come before the node.
    before: HashMap<usize, Vec<usize>>,
}

impl<'a> Passes<'a> {
    fn new(graph: &'a mut Graph, order: &[usize]) -> Self {
        let mut readers: HashMap<Value, Vec<usize>> = HashMap::new();
        let mut described = HashMap::new();
        for &n in order {
            let node = &graph.nodes[n];
            for &v in &node.inputs {
                let of = readers.entry(graph.root(v)).or_default();
                if of.last() != Some(&n) {
                    of.push(n);
                }
            }
            if let Some(description) = node.op.elementwise(&signature(graph, node)) {
                described.insert(n, description);
            }
        }
        let mut before = HashMap::new();
        for &n in order {
            let node = &graph.nodes[n];
            let states = node.op.in_place().iter().map(|&(_, input)| graph.root(node.inputs[input]));
            let earlier: Vec<usize> = states.flat_map(|s| readers[&s].iter().copied()).filter(|&r| r != n).collect();
            before.insert(n, earlier);
        }
        let read_outside = graph.outputs.iter().map(|(_, v)| v).chain(graph.updates.iter().map(|(_, v)| v));
        let kept = read_outside.map(|&v| graph.root(v)).collect();
        let unit = order.iter().enumerate().map(|(u, &n)| (n, u)).collect();
        let units = order.iter().map(|&n| vec![n]).collect();
        Passes { graph, described, unit, units, readers, kept, before }
    }

    fn members(&self, node: usize) -> &[usize] {
        &self.units[self.unit[&node]]
    }

    /// The node that makes `v`.
    fn maker(&self, v: Value) -> Option<usize> {
        match self.graph.info(self.graph.root(v)).origin {
            Origin::Node { node, .. } => Some(node.0 as usize),
            _ => None,
        }
    }

    /// Nodes that must run before `node`.
    fn needs(&self, node: usize) -> impl Iterator<Item = usize> {
        let makers = self.graph.nodes[node].inputs.iter().filter_map(|&v| self.maker(v));
        makers.chain(self.before[&node].iter().copied())
    }

    /// When `node` runs if nothing that it needs waits: in its place in the graph, or, if it updates states, which graphs do at their end,
    /// with the last node that it needs.
    fn turn(&self, node: usize) -> usize {
        let updates = !self.graph.nodes[node].op.in_place().is_empty();
        if updates { self.needs(node).max().unwrap_or(node) } else { node }
    }

    /// Takes the units that hand elements to `node` into its unit, where that makes no circle.
    fn merge_producers(&mut self, node: usize) {
        let Some(description) = self.described.get(&node) else { return };
        let inputs = self.graph.nodes[node].inputs.iter().zip(&description.one_to_one);
        let producers: Vec<usize> = inputs.filter(|(_, full)| **full).filter_map(|(&v, _)| self.maker(v)).collect();
        for producer in producers {
            let (from, to) = (self.unit[&producer], self.unit[&node]);
            // `to` may need `from` for elements alone, not on a way around.
            if from != to && self.fit(from, to) && !self.needed(from, to, true) && self.keeps_memory(from, node) {
                self.merge(from, to);
            }
        }
    }

    /// Takes units that read the same elements as `node`, a little earlier, into its unit, where neither needs the other.
    fn merge_siblings(&mut self, node: usize) {
        let Some(description) = self.described.get(&node) else { return };
        let large = description.elements >= LARGE;
        let inputs = self.graph.nodes[node].inputs.iter().zip(&description.one_to_one);
        let roots: Vec<Value> = inputs.filter(|(_, full)| **full).map(|(&v, _)| self.graph.root(v)).collect();
        for root in roots {
            let of_state = matches!(self.graph.info(root).origin, Origin::State);
            let earlier = self.readers[&root].iter().filter(|&&r| r < node);
            let siblings: Vec<usize> = earlier.copied().collect();
            for sibling in siblings {
                let (from, to) = (self.unit[&sibling], self.unit[&node]);
                // What reads states alone can wait for long, and goes before their update or along with it.
                let waits = of_state && self.reads_sources(from);
                if !(waits || large && sibling + NEAR >= node) {
                    continue;
                }
                let free = |a, b| !self.needed(a, b, waits) && !self.needed(b, a, false);
                if from != to && self.fit(from, to) && free(from, to) {
                    self.merge(from, to);
                }
            }
        }
    }

    /// Whether a unit reads elements of inputs and states alone.
    fn reads_sources(&self, unit: usize) -> bool {
        self.units[unit].iter().all(|member| {
            let Some(description) = self.described.get(member) else { return false };
            let inputs = self.graph.nodes[*member].inputs.iter().zip(&description.one_to_one);
            let mut makers = inputs.filter(|(_, full)| **full).filter_map(|(&v, _)| self.maker(v));
            makers.all(|maker| self.unit[&maker] == unit)
        })
    }

    /// Whether the unit `from` may wait for `node` without keeping more large values until then than it makes of them: of sums that grow
    /// over a whole step, every summand would live to the end.
    fn keeps_memory(&self, from: usize, node: usize) -> bool {
        let members = &self.units[from];
        if members.last().is_some_and(|&last| last + NEAR >= self.turn(node)) {
            return true;
        }
        let mut waiting = HashSet::new();
        for member in members {
            let inputs = self.graph.nodes[*member].inputs.iter().zip(&self.described[member].one_to_one);
            let full = inputs.filter(|(_, full)| **full).map(|(&v, _)| v);
            let made = full.filter(|&v| self.maker(v).is_some_and(|m| self.unit[&m] != from));
            waiting.extend(made.map(|v| self.graph.root(v)));
        }
        waiting.len() <= 1
    }

    fn merge(&mut self, from: usize, to: usize) {
        let mut members = std::mem::take(&mut self.units[from]);
        members.iter().for_each(|&n| *self.unit.get_mut(&n).expect("every node has a unit") = to);
        members.append(&mut self.units[to]);
        members.sort_unstable();
        self.units[to] = members;
    }

    /// Whether the nodes of both units can be done in one pass, as far as these nodes are concerned.
    fn fit(&self, from: usize, to: usize) -> bool {
        let both = || self.units[from].iter().chain(&self.units[to]);
        let descriptions: Option<Vec<&Elementwise>> = both().map(|n| self.described.get(n)).collect();
        let Some(descriptions) = descriptions else { return false };
        // What is spread over the elements must be there before the pass begins.
        let spread = |&n: &usize| {
            let inputs = self.graph.nodes[n].inputs.iter().zip(&self.described[&n].one_to_one);
            let mut makers = inputs.filter(|(_, full)| !**full).filter_map(|(&v, _)| self.maker(v));
            makers.any(|m| self.unit[&m] == from)
        };
        let views: Vec<[usize; 3]> = descriptions.iter().filter_map(|d| d.reduces).collect();
        descriptions.len() <= MOST_PARTS
            && descriptions.iter().all(|d| d.elements == descriptions[0].elements)
            && views.len() <= MOST_REDUCTIONS
            && views.iter().all(|view| *view == views[0])
            && !self.units[to].iter().any(spread)
    }

    /// Whether `to` needs `from`; with `around`, whether it does through a third unit.
    fn needed(&self, from: usize, to: usize, around: bool) -> bool {
        // Whatever needs a node comes later in the graph.
        let earliest = self.units[from][0];
        let mut seen: HashSet<usize> = [from, to].into();
        let mut stack = vec![to];
        while let Some(unit) = stack.pop() {
            for &member in &self.units[unit] {
                for needed in self.needs(member) {
                    let next = self.unit[&needed];
                    if next == from && !(around && unit == to) {
                        return true;
                    }
                    if self.units[next].last().is_some_and(|&last| last > earliest) && seen.insert(next) {
                        stack.push(next);
                    }
                }
            }
        }
        false
    }

    /// Hands the readers of a unit's values, where all of them are elementwise, what it takes to compute these values again.
    fn recompute_instead_of_storing(&mut self, unit: usize) {
        for place in (0..self.units[unit].len()).rev() {
            let node = self.units[unit][place];
            let [value] = self.graph.nodes[node].outputs[..] else { continue };
            let Some(again) = self.light_path(unit, node) else { continue };
            let elements = self.described[&node].elements;
            let outside: Vec<usize> = self.readers_outside(unit, value);
            let one_to_one = |&r: &usize| {
                let inputs = || self.graph.nodes[r].inputs.iter().enumerate();
                self.described.get(&r).is_some_and(|d| {
                    let reads = |(i, &v): (usize, &Value)| self.graph.root(v) != value || d.one_to_one[i];
                    d.elements == elements && inputs().all(reads)
                })
            };
            let mut units: Vec<usize> = outside.iter().map(|r| self.unit[r]).collect();
            units.sort_unstable();
            units.dedup();
            let room = units.iter().all(|&u| self.units[u].len() + again.len() <= MOST_PARTS);
            if self.kept.contains(&value) || !outside.iter().all(one_to_one) || !room {
                continue;
            }
            for reader in units {
                self.copy_into(&again, value, reader);
            }
        }
        self.drop_unread(unit);
    }

    fn readers_outside(&self, unit: usize, value: Value) -> Vec<usize> {
        let readers = self.readers.get(&value).into_iter().flatten();
        readers.copied().filter(|r| self.unit[r] != unit).collect()
    }

    /// The nodes of `unit` that make `node`'s output from one value of as many elements and any number of small ones, if they are few and
    /// light.
    fn light_path(&self, unit: usize, node: usize) -> Option<Vec<usize>> {
        let (mut path, mut large) = (vec![node], HashSet::new());
        let mut next = 0;
        while next < path.len() {
            let at = path[next];
            next += 1;
            let description = self.described.get(&at)?;
            if !description.light || description.reduces.is_some() || self.graph.nodes[at].outputs.len() > 1 {
                return None;
            }
            for (&v, full) in self.graph.nodes[at].inputs.iter().zip(&description.one_to_one) {
                let (root, maker) = (self.graph.root(v), self.maker(v));
                match maker.filter(|m| *full && self.unit[m] == unit) {
                    Some(maker) if !path.contains(&maker) => path.push(maker),
                    Some(_) => {}
                    None => {
                        // A state may have changed until the reader runs.
                        if matches!(self.graph.info(root).origin, Origin::State) {
                            return None;
                        }
                        if *full {
                            large.insert(root);
                        }
                    }
                }
            }
        }
        path.sort_by_key(|n| self.units[unit].iter().position(|m| m == n));
        (path.len() <= MOST_AGAIN && large.len() <= 1).then_some(path)
    }

    /// Copies the nodes `path`, the last of which makes `value`, into the unit `to`, whose nodes then read the copy.
    fn copy_into(&mut self, path: &[usize], value: Value, to: usize) {
        let mut copies: HashMap<Value, Value> = HashMap::new();
        let mut made = Vec::with_capacity(path.len());
        for &node in path {
            let Node { op, inputs, outputs } = self.graph.nodes[node].clone();
            let n = self.graph.nodes.len();
            let ty = self.graph.ty(outputs[0]).clone();
            let origin = Origin::Node { node: NodeId(n as u32), output: 0 };
            self.graph.values.push(ValueInfo { ty, origin, name: String::new() });
            let output = Value(self.graph.values.len() as u32 - 1);
            let inputs: Vec<Value> = inputs
                .into_iter()
                .map(|v| copies.get(&self.graph.root(v)).map_or(v, |&copy| self.shaped_like(copy, v)))
                .collect();
            for &v in &inputs {
                self.readers.entry(self.graph.root(v)).or_default().push(n);
            }
            copies.insert(outputs[0], output);
            self.graph.nodes.push(Node { op, inputs, outputs: vec![output] });
            self.described.insert(n, self.described[&node].clone());
            self.before.insert(n, Vec::new());
            self.unit.insert(n, to);
            made.push(n);
        }
        let copy = copies[&value];
        for member in self.units[to].clone() {
            for i in 0..self.graph.nodes[member].inputs.len() {
                let input = self.graph.nodes[member].inputs[i];
                if self.graph.root(input) == value {
                    self.graph.nodes[member].inputs[i] = self.shaped_like(copy, input);
                }
            }
        }
        let moved: Vec<usize> = self.readers_in(to, value);
        self.readers.get_mut(&value).expect("it had readers").retain(|r| !moved.contains(r));
        self.readers.entry(copy).or_default().extend(moved);
        made.append(&mut self.units[to]);
        self.units[to] = made;
    }

    /// `v` under the shape of `other`.
    fn shaped_like(&mut self, v: Value, other: Value) -> Value {
        let ty = self.graph.ty(other).clone();
        if *self.graph.ty(v) == ty {
            return v;
        }
        self.graph.values.push(ValueInfo { ty, origin: Origin::Alias { of: v, detached: false }, name: String::new() });
        Value(self.graph.values.len() as u32 - 1)
    }

    fn readers_in(&self, unit: usize, value: Value) -> Vec<usize> {
        self.readers[&value].iter().copied().filter(|r| self.unit[r] == unit).collect()
    }

    /// Takes out nodes whose values nobody reads any more.
    fn drop_unread(&mut self, unit: usize) {
        for place in (0..self.units[unit].len()).rev() {
            let node = self.units[unit][place];
            let read = |v: &Value| self.kept.contains(v) || self.readers.get(v).is_some_and(|r| !r.is_empty());
            if !self.graph.nodes[node].outputs.iter().any(read) {
                self.units[unit].remove(place);
                for readers in self.readers.values_mut() {
                    readers.retain(|&r| r != node);
                }
            }
        }
    }

    /// The units in an order in which they may run, as near to `order` as that allows.
    fn sorted(&self, order: &[usize]) -> Vec<usize> {
        let mut sorted = Vec::new();
        let mut done = HashSet::new();
        for &node in order {
            let unit = self.unit[&node];
            if self.members(node).last() != Some(&node) {
                continue;
            }
            // Depth first: what a unit needs, then the unit.
            let mut stack = vec![(unit, false)];
            while let Some((unit, ready)) = stack.pop() {
                if done.contains(&unit) {
                    continue;
                }
                if ready {
                    done.insert(unit);
                    sorted.push(unit);
                    continue;
                }
                stack.push((unit, true));
                let needed = self.units[unit].iter().flat_map(|&n| self.needs(n)).map(|n| self.unit[&n]);
                stack.extend(needed.filter(|u| *u != unit && !done.contains(u)).map(|u| (u, false)));
            }
        }
        // What reads a value that is made later than it was, because its pass waits, waits as well, rather than bring all forward that the
        // pass needs.
        let mut turns: HashMap<usize, usize> = HashMap::new();
        for &unit in &sorted {
            // Copies are done for others of the unit.
            let members = self.units[unit].iter().filter(|n| order.binary_search(n).is_ok());
            let own = members.map(|&n| self.turn(n)).max();
            let needed = self.units[unit].iter().flat_map(|&n| self.needs(n)).map(|n| self.unit[&n]);
            let turn = needed.filter_map(|u| turns.get(&u).copied()).chain(own).max();
            turns.insert(unit, turn.unwrap_or(0));
        }
        sorted.sort_by_key(|unit| turns[unit]);
        sorted
    }

    /// Makes the unit one node and returns it.
    fn write_back(&mut self, unit: usize) -> usize {
        let members = self.units[unit].clone();
        let last = *members.last().expect("a unit that runs has nodes");
        if members.len() == 1 {
            return last;
        }
        let (mut inputs, mut outputs): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
        let mut made: HashMap<Value, Link> = HashMap::new();
        let mut parts = Vec::with_capacity(members.len());
        for (part, &member) in members.iter().enumerate() {
            let node = self.graph.nodes[member].clone();
            let mut links = Vec::with_capacity(node.inputs.len());
            for &v in &node.inputs {
                let root = self.graph.root(v);
                links.push(made.get(&root).copied().unwrap_or_else(|| {
                    let at = inputs.iter().position(|&i| i == root).unwrap_or_else(|| {
                        inputs.push(root);
                        inputs.len() - 1
                    });
                    Link::Input(at)
                }));
            }
            let mut outside = Vec::with_capacity(node.outputs.len());
            for (output, &v) in node.outputs.iter().enumerate() {
                made.insert(v, Link::Part { part, output });
                let read = self.kept.contains(&v) || !self.readers_outside(unit, v).is_empty();
                outside.push(read.then(|| {
                    outputs.push(v);
                    outputs.len() - 1
                }));
            }
            let signature = signature(self.graph, &node);
            parts.push(Part { op: node.op, signature, inputs: links, outputs: outside });
        }
        let types = inputs.iter().map(|&v| self.graph.ty(v).clone()).collect();
        let op = (self.described[&last].join)(parts, types);
        self.graph.nodes[last] = Node { op, inputs, outputs };
        last
    }
}

/// Types of a node's operands.
fn signature(graph: &Graph, node: &Node) -> Signature {
    let types = |values: &[Value]| values.iter().map(|&v| graph.ty(v).clone()).collect();
    Signature { inputs: types(&node.inputs), outputs: types(&node.outputs) }
}
