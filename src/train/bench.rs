//! A training step to be timed: full ε, random images.

use std::time::Instant;

use super::config::{Config, Optimizer};
use super::step::{Phase, input, plan_step};
use crate::device::{Feed, Program, RunTrace, Session, read_state_f32, write_state_f32};
use crate::error::{Error, Result};
use crate::graph::Cost;
use crate::nn::{described, initial_values, scaled_architecture, state_name};
use crate::philox::{Stream, key, purpose};
use crate::train::step::RECORD;

/// Image extents and classes of the timed step: MNIST's.
const INPUT: [usize; 3] = [1, 28, 28];
const CLASSES: usize = 10;

/// What changes from step to step.
struct Scalars {
    rates: [f32; 2],
    key: [u32; 4],
}

/// A compiled training step on random data.
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
    /// Compiles the step of `config` in its last phase and fills the parameters.
    pub fn new(session: &mut dyn Session, config: &Config) -> Result<StepBench> {
        if config.step_pieces() > 1 {
            return Err(Error::Config("a step in pieces is not timed; expected pieces = 1".into()));
        }
        let network = match &config.layers {
            Some(layers) => described(&config.arch, layers, INPUT, CLASSES, &[], &[])?,
            None => scaled_architecture(&config.arch, config.width, INPUT, CLASSES, &[], &[])?,
        };
        let begun = Instant::now();
        let plan = plan_step(&network, config, Phase { natural: false, robust: true, annealing: false })?;
        let plan_seconds = begun.elapsed().as_secs_f64();
        let program = session.compile(&plan)?;
        let compile_seconds = begun.elapsed().as_secs_f64() - plan_seconds;
        for (name, values) in initial_values(&network, false, config.seed) {
            write_state_f32(session, &state_name(&name), &values)?;
        }
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

    /// Waits for all queued steps; the loss of the latest.
    pub async fn wait(&mut self, session: &mut dyn Session) -> Result<f32> {
        Ok(read_state_f32(session, RECORD).await?[0])
    }
}
