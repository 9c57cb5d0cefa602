//! Programs that bound boxes: one interval pass for a batch, and backward passes for many rows.

use super::backward::Pass;
use super::forward;
use super::starts::Starts;
use super::weights::{self, Placed, image};
use super::{Bounds, Boxes, Layer};
use crate::certify::network::{Operation, ReluNetwork};
use crate::certify::property::Constraint;
use crate::device::{Program, Session, read_f32, write_state_f32};
use crate::error::Result;
use crate::graph::{Graph, Plan, Value};
use crate::ops::ROW_WORDS;
use crate::shape::TensorType;

/// A linear function of the outputs of one sample: coefficients · y.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// Which box of the batch.
    pub sample: usize,
    /// One factor for each output.
    pub coefficients: Vec<f32>,
}

/// Backward passes of one kind, some number of rows at once.
struct Rows {
    program: Program,
    count: usize,
}

/// Bounds a batch of boxes on one device.
pub struct Relaxer<'a> {
    network: &'a ReluNetwork,
    batch: usize,
    interval: Program,
    /// Passes that start at the input of each ReLU node, from the second on, made when they are needed first.
    neurons: Vec<Option<Rows>>,
    /// Ascents from the same places, made when they are needed first.
    pub(super) starts: Vec<Option<Starts>>,
    objectives: Option<Rows>,
}

const CENTER: &str = "center";
const RADIUS: &str = "radius";
/// Input that takes the rows' records.
pub(super) const ROWS: &str = "rows";
const SIGNS: &str = "signs";
const OBJECTIVES: &str = "objectives";
const LOWER: &str = "lower";

/// Coefficients, in elements, that a pass may keep at its widest node: decides how many rows go at once.
const WIDEST: usize = 1 << 23;

impl<'a> Relaxer<'a> {
    /// Puts the network's weights into the session and compiles the interval pass for `batch` boxes.
    pub fn new(session: &mut dyn Session, network: &'a ReluNetwork, batch: usize) -> Result<Relaxer<'a>> {
        weights::upload(session, network)?;
        let mut g = Graph::new();
        let placed = Placed::new(&mut g, network)?;
        let shape = {
            let mut dims = vec![batch];
            dims.extend_from_slice(network.nodes()[0].shape.dims());
            dims
        };
        let center = g.input(CENTER, TensorType::f32(shape.clone()))?;
        let radius = g.input(RADIUS, TensorType::f32(shape))?;
        let (passed, outputs) = forward::pass(&mut g, network, &placed, center, radius)?;
        for (number, at) in passed.iter().enumerate() {
            g.output(&output(number, "lower"), at.lower);
            g.output(&output(number, "upper"), at.upper);
            g.output(&output(number, "center"), at.center);
        }
        g.output(CENTER, outputs);
        let interval = session.compile(&Plan::new(g)?)?;
        let neurons = network.relus().iter().map(|_| None).collect();
        let starts = network.relus().iter().map(|_| None).collect();
        Ok(Relaxer { network, batch, interval, neurons, starts, objectives: None })
    }

    /// Number of boxes that go at once.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The network.
    pub fn network(&self) -> &'a ReluNetwork {
        self.network
    }

    /// Interval bounds of `boxes`, at most a batch of them. Passes that follow are about these boxes.
    ///
    /// # Panics
    /// If there are none or too many boxes.
    pub async fn interval(&mut self, session: &mut dyn Session, boxes: &Boxes) -> Result<Bounds> {
        assert!((1..=self.batch).contains(&boxes.count), "{} boxes for batches of {}", boxes.count, self.batch);
        // What is missing is filled with the last box.
        let n = self.network.input().elements();
        let filled = |values: &[f32]| {
            let last = values[values.len() - n..].to_vec();
            let mut filled = values.to_vec();
            (boxes.count..self.batch).for_each(|_| filled.extend_from_slice(&last));
            filled
        };
        let full = Boxes { count: self.batch, center: filled(&boxes.center), radius: filled(&boxes.radius) };
        let feeds = [(CENTER, bytemuck::cast_slice(&full.center)), (RADIUS, bytemuck::cast_slice(&full.radius))];
        session.run(self.interval, &feeds)?;
        let mut layers = Vec::new();
        for number in 0..self.neurons.len() {
            layers.push(Layer {
                lower: read_f32(session, self.interval, &output(number, "lower")).await?,
                upper: read_f32(session, self.interval, &output(number, "upper")).await?,
                center: read_f32(session, self.interval, &output(number, "center")).await?,
            });
        }
        let center = read_f32(session, self.interval, CENTER).await?;
        let bounds = Bounds { batch: self.batch, layers, center };
        self.place(session, &full)?;
        for number in 0..bounds.layers.len() {
            self.place_layer(session, &bounds, number)?;
        }
        Ok(bounds)
    }

    /// Tightens the bounds of every ReLU input by backward passes, layer after layer, each using those before it. `every` takes
    /// all neurons and forgets their interval bounds; otherwise only unstable ones are looked at, and the better bound stays.
    /// Neurons that intervals bound exactly are left alone.
    pub async fn tighten(&mut self, session: &mut dyn Session, bounds: &mut Bounds, every: bool) -> Result<()> {
        for number in 0..bounds.layers.len() {
            if self.is_exact(number) {
                continue;
            }
            let chosen: Vec<usize> = {
                let layer = &bounds.layers[number];
                (0..layer.lower.len()).filter(|&i| every || layer.is_unstable(i)).collect()
            };
            // Both ends of each neuron.
            let rows: Vec<(usize, f32)> = chosen.iter().flat_map(|&i| [(i, 1.0), (i, -1.0)]).collect();
            let found = self.neuron_bounds(session, number, &rows).await?;
            let layer = &mut bounds.layers[number];
            for (&i, ends) in chosen.iter().zip(found.chunks(2)) {
                let (lower, upper) = (layer.center[i] + ends[0], layer.center[i] - ends[1]);
                let (old_lower, old_upper) = (layer.lower[i], layer.upper[i]);
                // Rounding may not turn a bound around.
                layer.lower[i] = if every { lower } else { lower.max(old_lower) }.min(layer.center[i]);
                layer.upper[i] = if every { upper } else { upper.min(old_upper) }.max(layer.center[i]);
            }
            self.place_layer(session, bounds, number)?;
        }
        Ok(())
    }

    /// Lower bounds of objectives over their samples' boxes, with the default slopes.
    pub async fn lower_bounds(
        &mut self,
        session: &mut dyn Session,
        bounds: &Bounds,
        objectives: &[Objective],
    ) -> Result<Vec<f32>> {
        let outputs = self.network.outputs();
        if self.objectives.is_none() {
            let wanted = objectives.len().next_power_of_two().min(512);
            let count = self.rows_at_once().min(wanted);
            self.objectives = Some(self.compile(session, count, |pass, g, rows| {
                let given = g.input(OBJECTIVES, TensorType::f32([rows, outputs]))?;
                Ok(pass.outputs(g, given)?.lower)
            })?);
        }
        let rows = self.objectives.as_ref().expect("made above");
        let mut found = Vec::with_capacity(objectives.len());
        for chunk in objectives.chunks(rows.count) {
            let padded = (0..rows.count).map(|r| &chunk[r.min(chunk.len() - 1)]);
            let records: Vec<u32> = padded.clone().flat_map(|o| [o.sample as u32, 0, 0, 0]).collect();
            let given: Vec<f32> = padded.flat_map(|o| o.coefficients.iter().copied()).collect();
            let feeds = [(ROWS, bytemuck::cast_slice(&records)), (OBJECTIVES, bytemuck::cast_slice(&given))];
            session.run(rows.program, &feeds)?;
            let lower = read_f32(session, rows.program, LOWER).await?;
            for (objective, deviation) in chunk.iter().zip(lower) {
                found.push(objective.at(&bounds.center) + deviation);
            }
        }
        Ok(found)
    }

    /// Frees the programs; the network's weights stay in the session.
    pub fn release(self, session: &mut dyn Session) {
        session.release(self.interval);
        for rows in self.neurons.into_iter().flatten().chain(self.objectives) {
            session.release(rows.program);
        }
        self.starts.into_iter().flatten().for_each(|starts| starts.release(session));
    }

    /// Least deviations from the middle of the rows (index in `[N,F]`, sign) that start at the input of ReLU `number`.
    async fn neuron_bounds(
        &mut self,
        session: &mut dyn Session,
        number: usize,
        rows: &[(usize, f32)],
    ) -> Result<Vec<f32>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let node = self.shared().relu_input(number);
        if self.neurons[number].is_none() {
            let count = self.rows_at_once();
            self.neurons[number] = Some(self.compile(session, count, |pass, g, rows| {
                let signs = g.input(SIGNS, TensorType::f32([rows]))?;
                Ok(pass.neurons(g, node, signs)?.lower)
            })?);
        }
        let program = self.neurons[number].as_ref().expect("made above");
        let [channels, height, width] = image(&self.network.nodes()[node].shape);
        let features = channels * height * width;
        let mut found = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(program.count) {
            let padded = (0..program.count).map(|r| chunk[r.min(chunk.len() - 1)]);
            let record = |(i, _): (usize, f32)| {
                let (sample, at) = (i / features, i % features);
                [sample, at / (height * width), at / width % height, at % width].map(|w| w as u32)
            };
            let records: Vec<u32> = padded.clone().flat_map(record).collect();
            let signs: Vec<f32> = padded.map(|(_, sign)| sign).collect();
            let feeds = [(ROWS, bytemuck::cast_slice(&records)), (SIGNS, bytemuck::cast_slice(&signs))];
            session.run(program.program, &feeds)?;
            found.extend_from_slice(&read_f32(session, program.program, LOWER).await?[..chunk.len()]);
        }
        Ok(found)
    }

    /// A program of `count` rows whose bounds `build` makes.
    fn compile(
        &self,
        session: &mut dyn Session,
        count: usize,
        build: impl FnOnce(&Pass<'_>, &mut Graph, usize) -> Result<Value>,
    ) -> Result<Rows> {
        let mut g = Graph::new();
        let placed = Placed::new(&mut g, self.network)?;
        let rows = g.input(ROWS, TensorType::u32([count, ROW_WORDS]))?;
        let (bounds, region) = self.shared().states(&mut g)?;
        let pass = Pass { network: self.network, placed: &placed, rows, bounds: &bounds, region, relaxations: &[] };
        let lower = build(&pass, &mut g, count)?;
        g.output(LOWER, lower);
        Ok(Rows { program: session.compile(&Plan::new(g)?)?, count })
    }

    pub(super) fn shared(&self) -> Shared<'a> {
        Shared { network: self.network, batch: self.batch }
    }

    fn place(&self, session: &mut dyn Session, boxes: &Boxes) -> Result<()> {
        session.create_state(REGION, &self.shared().region_type())?;
        write_state_f32(session, REGION, &boxes.packed())
    }

    pub(super) fn place_layer(&self, session: &mut dyn Session, bounds: &Bounds, number: usize) -> Result<()> {
        let name = bounds_state(number);
        session.create_state(&name, &self.shared().bounds_type(number))?;
        write_state_f32(session, &name, &bounds.layers[number].packed(self.batch))
    }

    /// Whether intervals bound the input of ReLU `number` exactly: one affine map, or none, separates it from the box.
    pub(super) fn is_exact(&self, number: usize) -> bool {
        let node = &self.network.nodes()[self.shared().relu_input(number)];
        match node.operation {
            Operation::Input => true,
            Operation::Conv2d(..) | Operation::Linear(_) => {
                matches!(self.network.nodes()[node.inputs[0]].operation, Operation::Input)
            }
            Operation::Relu | Operation::Add => false,
        }
    }

    /// Rows that a pass takes at once.
    fn rows_at_once(&self) -> usize {
        let widest = self.network.nodes().iter().map(|n| n.shape.elements()).max().unwrap_or(1);
        (WIDEST / widest).clamp(16, 512) / 16 * 16
    }
}

/// What the passes of one batch share: names and types of the states that hold its boxes and bounds.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) network: &'a ReluNetwork,
    pub(super) batch: usize,
}

impl Shared<'_> {
    /// Bounds of all ReLU inputs and the boxes, as states of a graph.
    pub(super) fn states(&self, g: &mut Graph) -> Result<(Vec<Value>, Value)> {
        let numbers = 0..self.network.relus().len();
        let bounds =
            numbers.map(|number| g.state(&bounds_state(number), self.bounds_type(number))).collect::<Result<_>>()?;
        Ok((bounds, g.state(REGION, self.region_type())?))
    }

    fn bounds_type(&self, number: usize) -> TensorType {
        let [c, h, w] = image(&self.network.nodes()[self.relu_input(number)].shape);
        TensorType::f32([self.batch, 3, c, h, w])
    }

    fn region_type(&self) -> TensorType {
        let [c, h, w] = image(&self.network.nodes()[0].shape);
        TensorType::f32([self.batch, 2, c, h, w])
    }

    /// The node that ReLU `number` takes.
    pub(super) fn relu_input(&self, number: usize) -> usize {
        self.network.nodes()[self.network.relus()[number]].inputs[0]
    }

    /// Neurons of ReLU `number`.
    pub(super) fn features(&self, number: usize) -> usize {
        self.network.nodes()[self.relu_input(number)].shape.elements()
    }
}

impl Objective {
    /// The left side of a constraint, on `sample`.
    pub fn of(sample: usize, constraint: &Constraint) -> Objective {
        Objective { sample, coefficients: constraint.coefficients.iter().map(|&c| c as f32).collect() }
    }

    /// Its value at outputs `[N,K]`.
    pub(super) fn at(&self, outputs: &[f32]) -> f32 {
        let k = self.coefficients.len();
        let terms = self.coefficients.iter().zip(&outputs[self.sample * k..][..k]);
        terms.map(|(c, y)| f64::from(*c) * f64::from(*y)).sum::<f64>() as f32
    }
}

/// State that holds the boxes.
const REGION: &str = "region";

/// State that holds the bounds of ReLU `number`'s input.
fn bounds_state(number: usize) -> String {
    format!("bounds/{number}")
}

fn output(number: usize, what: &str) -> String {
    format!("{number}.{what}")
}
