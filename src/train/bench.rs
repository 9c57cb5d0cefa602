//! A training step to be timed: full ε, random images.

use super::config::{Config, Optimizer};
use super::step::{Phase, input, plan_step};
use crate::device::{Program, Session, read_state_f32, write_state_f32};
use crate::error::{Error, Result};
use crate::graph::Cost;
use crate::nn::{described, initial_values, scaled_architecture, state_name};
use crate::philox::{Stream, key, purpose};
use crate::train::step::RECORD;

/// Image extents and classes of the timed step: MNIST's.
const INPUT: [usize; 3] = [1, 28, 28];
const CLASSES: usize = 10;

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
        let plan = plan_step(&network, config, Phase { natural: false, robust: true, annealing: false })?;
        let program = session.compile(&plan)?;
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
        })
    }

    /// Arithmetic and traffic of one step.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The compiled program.
    pub fn program(&self) -> Program {
        self.program
    }

    /// Queues one step.
    pub fn queue(&mut self, session: &mut dyn Session) -> Result<()> {
        self.steps += 1;
        let rates = self.optimizer.rates(self.lr, self.steps);
        let [low, high] = key(self.seed);
        let words = [low, high, self.steps as u32, purpose::DEVICE_DRAW];
        session.run(
            self.program,
            &[
                (input::X, bytemuck::cast_slice(&self.images)),
                (input::LABELS, bytemuck::cast_slice(&self.labels)),
                (input::EPSILON, bytemuck::bytes_of(&self.epsilon)),
                (input::KAPPA, bytemuck::bytes_of(&0f32)),
                (input::FADE, bytemuck::bytes_of(&0f32)),
                (input::RATES, bytemuck::cast_slice(&rates)),
                (input::KEY, bytemuck::cast_slice(&words)),
                (input::ROW, bytemuck::bytes_of(&0u32)),
            ],
        )
    }

    /// Waits for all queued steps; the loss of the latest.
    pub async fn wait(&mut self, session: &mut dyn Session) -> Result<f32> {
        Ok(read_state_f32(session, RECORD).await?[0])
    }
}
