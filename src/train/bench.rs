//! A training step, or its attack alone, to be timed: full ε, random images.

use std::time::Instant;

use super::attack::attack;
use super::checkpoint::write_tensors;
use super::config::{Config, Optimizer};
use super::step::{Phase, RECORD, input, plan_step};
use crate::device::{Feed, Program, RunTrace, Session, read_state_f32};
use crate::error::{Error, Result};
use crate::graph::{Cost, Graph, Plan};
use crate::interval::Bounds;
use crate::nn::{Network, described, initial_values, scaled_architecture};
use crate::ops;
use crate::philox::{Stream, key, purpose};
use crate::shape::TensorType;

/// Image extents and classes of the timed step: MNIST's.
const INPUT: [usize; 3] = [1, 28, 28];
const CLASSES: usize = 10;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A whole step of the configured method in its last phase.
    Step,
    /// The training attack alone, up to its last iterate: for each step a forward pass, the gradient of the input, the step.
    Attack,
    /// The attack as robust training takes it: with one forward pass more, it also chooses among its iterates.
    AttackAndChoice,
}

impl Work {
    /// The plan of this work on `network`.
    pub fn plan(self, network: &Network, config: &Config) -> Result<Plan> {
        match self {
            Work::Step => plan_step(network, config, Phase { natural: false, robust: true, annealing: false }),
            Work::Attack => plan_attack(network, config, false),
            Work::AttackAndChoice => plan_attack(network, config, true),
        }
    }
}

/// The attack in the ε ball around the images on the network as it is evaluated. The mean pixel of what comes of it goes to [`RECORD`],
/// so that a run can be waited for as a step is.
fn plan_attack(network: &Network, config: &Config, choice: bool) -> Result<Plan> {
    let mut graph = Graph::new();
    let g = &mut graph;
    let x = g.input(input::X, TensorType::f32(network.batch_shape(config.batch)))?;
    let labels = g.input(input::LABELS, TensorType::u32([config.batch]))?;
    let epsilon = g.input(input::EPSILON, TensorType::f32([1]))?;
    let key = g.input(input::KEY, TensorType::u32([4]))?;
    let evaluated = network.bind(g)?.folded(g)?;
    let radius = ops::scale(g, epsilon, config.attack_radius as f32)?;
    let region = Bounds::ball(g, x, radius)?;
    let attacked = attack(g, &evaluated, x, labels, region, &config.attack(), (key, 0))?;
    let mean = ops::mean_all(g, if choice { attacked.point } else { attacked.last })?;
    let record = g.state(RECORD, TensorType::f32([1]))?;
    ops::assign(g, record, mean)?;
    Plan::new(graph)
}

/// What changes from step to step.
struct Scalars {
    rates: [f32; 2],
    key: [u32; 4],
}

/// A compiled training step, or its attack, on random data.
pub struct StepBench {
    program: Program,
    cost: Cost,
    images: Vec<f32>,
    labels: Vec<u32>,
    epsilon: f32,
    lr: f64,
    optimizer: Optimizer,
    seed: u64,
    steps: u64,
    plan_seconds: f64,
    compile_seconds: f64,
}

impl StepBench {
    /// Compiles `work` of `config` and fills the parameters.
    pub fn new(session: &mut dyn Session, config: &Config, work: Work) -> Result<StepBench> {
        if config.step_pieces() > 1 {
            return Err(Error::Config("a step in pieces is not timed; expected pieces = 1".into()));
        }
        let network = match &config.layers {
            Some(layers) => described(&config.arch, layers, INPUT, CLASSES, &[], &[])?,
            None => scaled_architecture(&config.arch, config.width, INPUT, CLASSES, &[], &[])?,
        };
        // Before the buffers of the program are there, as in training: these values are in memory twice meanwhile.
        write_tensors(session, &network, &initial_values(&network, false, config.seed))?;
        let begun = Instant::now();
        let plan = work.plan(&network, config)?;
        let plan_seconds = begun.elapsed().as_secs_f64();
        let program = session.compile(&plan)?;
        let compile_seconds = begun.elapsed().as_secs_f64() - plan_seconds;
        let mut stream = Stream::new(config.seed, 0, 0, purpose::DEVICE_DRAW);
        let images = (0..config.batch * INPUT.iter().product::<usize>()).map(|_| stream.uniform()).collect();
        let labels = (0..config.batch).map(|_| stream.below(CLASSES as u32)).collect();
        Ok(StepBench {
            program,
            cost: plan.cost(),
            images,
            labels,
            epsilon: config.final_epsilon() as f32,
            lr: config.lr,
            optimizer: config.optimizer,
            seed: config.seed,
            steps: 0,
            plan_seconds,
            compile_seconds,
        })
    }

    /// The same with parameters that keep their initial values, whatever the gradients: random labels drive a network to where all is 0
    /// behind its ReLUs, and kernels leave out products with zeros. Half of what is there is 0 at the beginning, more in trained networks.
    pub fn keeping_parameters(self) -> StepBench {
        StepBench { lr: 0.0, ..self }
    }

    /// Arithmetic and traffic of one step.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Seconds from the network to the plan.
    pub fn plan_seconds(&self) -> f64 {
        self.plan_seconds
    }

    /// Seconds from the plan to the program, shaders and pipelines included.
    pub fn compile_seconds(&self) -> f64 {
        self.compile_seconds
    }

    /// The compiled program.
    pub fn program(&self) -> Program {
        self.program
    }

    /// Queues one step.
    pub fn queue(&mut self, session: &mut dyn Session) -> Result<()> {
        let scalars = self.advance();
        session.run(self.program, &self.feeds(&scalars))
    }

    /// One step, waited for, with what its time went to.
    pub async fn trace(&mut self, session: &mut dyn Session) -> Result<RunTrace> {
        let scalars = self.advance();
        session.run_traced(self.program, &self.feeds(&scalars)).await
    }

    /// The scalars of the next step.
    fn advance(&mut self) -> Scalars {
        self.steps += 1;
        let [low, high] = key(self.seed);
        Scalars {
            rates: self.optimizer.rates(self.lr, self.steps),
            key: [low, high, self.steps as u32, purpose::DEVICE_DRAW],
        }
    }

    /// All that a step is fed; an attack takes what it needs of it.
    fn feeds<'a>(&'a self, scalars: &'a Scalars) -> [Feed<'a>; 8] {
        [
            (input::X, bytemuck::cast_slice(&self.images)),
            (input::LABELS, bytemuck::cast_slice(&self.labels)),
            (input::EPSILON, bytemuck::bytes_of(&self.epsilon)),
            (input::KAPPA, bytemuck::bytes_of(&0f32)),
            (input::FADE, bytemuck::bytes_of(&0f32)),
            (input::RATES, bytemuck::cast_slice(&scalars.rates)),
            (input::KEY, bytemuck::cast_slice(&scalars.key)),
            (input::ROW, bytemuck::bytes_of(&0u32)),
        ]
    }

    /// Waits for all queued steps; the loss of the latest, of an attack the mean pixel of what it found.
    pub async fn wait(&mut self, session: &mut dyn Session) -> Result<f32> {
        Ok(read_state_f32(session, RECORD).await?[0])
    }
}
