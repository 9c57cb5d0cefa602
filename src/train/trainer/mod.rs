//! The training loop: feeds steps, reads figures now and then, evaluates, saves.

mod best;
mod dry_run;
mod position;
mod watch;

use std::sync::Arc;
use std::time::Instant;

pub use best::BestEpoch;
pub use dry_run::{DryRun, PhaseInfo};
use position::{Position, Sums};
pub use watch::{EpochMetrics, Observer, Outcome, Progress, SliceRates, Stop};

use super::checkpoint;
use super::config::{Config, Init, MethodKind, Regulariser};
use super::evaluate::{Evaluation, Evaluator, SmallBox};
use super::population::Population;
use super::run_directory::RunDirectory;
use super::schedule::{EpsilonSchedule, LinearSchedule, learning_rate};
use super::step::{Phase, RECORD, RECORD_COLUMNS, RECORD_ROWS, input, plan_step};
use crate::data::{Dataset, Loader, LoaderOptions, Split, TrainingBatch};
use crate::device::{Feed, Program, Session, read_state_f32};
use crate::error::{Error, Result};
use crate::nn::{Network, described, initial_values, scaled_architecture, state_name};
use crate::philox::{key, purpose};

/// Steps between two readings of the record: the host never waits within a step, and only this often at all.
const READ_EVERY: usize = 16;
const _: () = assert!(READ_EVERY <= RECORD_ROWS);

/// Samples of a split that are evaluated after each epoch.
const MONITOR_SAMPLES: usize = 1_000;
/// Images of an evaluation batch; the attack's random start depends on it.
pub const EVALUATION_BATCH: usize = 250;

/// A run in progress.
pub struct Trainer {
    config: Config,
    network: Network,
    dataset: Arc<Dataset>,
    session: Box<dyn Session>,
    run: Option<RunDirectory>,
    position: Position,
    program: Option<(Phase, Program)>,
    /// Steps queued since the record was read.
    unread: usize,
    peak_bytes: usize,
}

/// Values of the schedules at one step.
struct Scheduled {
    epsilon: f64,
    kappa: f64,
    lr: f64,
    phase: Phase,
}

/// The network of a configuration for a dataset.
pub fn network_for(config: &Config, dataset: &Dataset) -> Result<Network> {
    let (mean, deviation) = dataset.normalisation_constants();
    let (input, classes) = (dataset.input(), dataset.train.classes);
    let network = match &config.layers {
        Some(layers) => described(&config.arch, layers, input, classes, mean, deviation),
        None => scaled_architecture(&config.arch, config.width, input, classes, mean, deviation),
    }?;
    if config.method.is_taps() {
        // Now, not in the first epoch of the full ε.
        network.split_layer(config.taps_split)?;
    }
    Ok(network)
}

impl Trainer {
    /// A run from the beginning; `config` must be resolved. Without a run directory nothing is written.
    pub fn new(
        config: &Config,
        dataset: Arc<Dataset>,
        session: Box<dyn Session>,
        run: Option<RunDirectory>,
    ) -> Result<Trainer> {
        let network = network_for(config, &dataset)?;
        let mut trainer = Trainer::with_network(config, network, dataset, session, run)?;
        let parameters = match &config.import_weights {
            Some(file) => checkpoint::import_tensors(file, &trainer.network)?,
            None => initial_values(&trainer.network, config.init == Some(Init::Shi), config.seed),
        };
        checkpoint::write_tensors(trainer.session.as_mut(), &trainer.network, &parameters)?;
        Ok(trainer)
    }

    /// From now on everything is recorded in `run`. Making the trainer first leaves no directory behind when it can't be made.
    pub fn record_in(&mut self, run: RunDirectory) {
        self.run = Some(run);
    }

    /// Goes on with the run in `run` where its last checkpoint left it: the same device gives the same bits as without the
    /// interruption.
    pub fn resume(
        run: RunDirectory,
        config: &Config,
        dataset: Arc<Dataset>,
        session: Box<dyn Session>,
    ) -> Result<Trainer> {
        let network = network_for(config, &dataset)?;
        let mut trainer = Trainer::with_network(config, network, dataset, session, None)?;
        let file = run.state();
        let position: Position = checkpoint::load_state(&file, trainer.session.as_mut())?;
        let (per_epoch, held) = (trainer.steps_per_epoch(), trainer.session.states());
        for (tensor, shape) in trainer.network.tensors() {
            let name = state_name(tensor);
            if !held.iter().any(|(n, ty)| *n == name && ty.shape == *shape) {
                let message = format!("no tensor '{tensor}' of shape {shape}, which {} needs", config.arch);
                return Err(Error::model(&file, message));
            }
        }
        if position.batch > per_epoch || position.epoch == 0 || position.epoch > config.epochs + 1 {
            let message = format!("epoch {}, batch {} does not fit this configuration", position.epoch, position.batch);
            return Err(Error::model(&file, message));
        }
        run.forget_from(position.epoch)?;
        (trainer.position, trainer.run) = (position, Some(run));
        Ok(trainer)
    }

    fn with_network(
        config: &Config,
        network: Network,
        dataset: Arc<Dataset>,
        session: Box<dyn Session>,
        run: Option<RunDirectory>,
    ) -> Result<Trainer> {
        if dataset.train.len() < config.batch {
            let message =
                format!("batch = {}: the training split has only {} images", config.batch, dataset.train.len());
            return Err(Error::Config(message));
        }
        let position =
            Position { epoch: 1, batch: 0, step: 0, seconds: 0.0, sums: Sums::default(), last_loss: None, best: None };
        Ok(Trainer {
            config: config.clone(),
            network,
            session,
            run,
            position,
            program: None,
            unread: 0,
            peak_bytes: 0,
            dataset,
        })
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The session.
    pub fn session(&mut self) -> &mut dyn Session {
        self.session.as_mut()
    }

    /// Steps of an epoch; a rest that does not fill a batch is left out.
    pub fn steps_per_epoch(&self) -> usize {
        self.dataset.train.len() / self.config.batch
    }

    /// The batches from where the run stands to its end.
    fn loader_options(&self) -> LoaderOptions {
        LoaderOptions {
            batch: self.config.batch,
            seed: self.config.seed,
            augmentation: self.config.augmentation(),
            // A run that is complete has none left.
            epoch: self.position.epoch.min(self.config.epochs).into(),
            first_batch: if self.position.epoch > self.config.epochs {
                self.steps_per_epoch()
            } else {
                self.position.batch
            },
            epochs: self.config.epochs.into(),
        }
    }

    fn scheduled(&self, epoch: u32, batch: usize) -> Scheduled {
        let c = &self.config;
        let per_epoch = self.steps_per_epoch() as u64;
        let index = u64::from(epoch) * per_epoch + batch as u64;
        let begin = u64::from(c.natural_epochs + 1) * per_epoch;
        let end = |epoch: Option<u32>| epoch.map_or(begin, |e| u64::from(e) * per_epoch);
        let epsilon = EpsilonSchedule::new(begin, end(c.epsilon_end_epoch), c.final_epsilon()).at(index);
        let kappa = LinearSchedule { start: begin, end: end(c.kappa_end_epoch), from: 1.0, to: 0.0 }.at(index);
        // Standard training has one loss, whatever the weights.
        let kappa = if c.method == MethodKind::Std { 0.0 } else { kappa };
        let lr = learning_rate(c.lr, c.lr_decay, c.lr_milestones.as_deref().unwrap_or_default(), epoch);
        let differs = c.regulariser == Some(Regulariser::Bound) || c.method.is_taps();
        let annealing = differs && epsilon < c.final_epsilon();
        Scheduled { epsilon, kappa, lr, phase: Phase { natural: kappa > 0.0, robust: kappa < 1.0, annealing } }
    }

    /// The program of `phase`; the one before it is freed first, so that only one holds work buffers.
    fn program(&mut self, phase: Phase) -> Result<Program> {
        if let Some((ready, program)) = self.program {
            if ready == phase {
                return Ok(program);
            }
            self.session.release(program);
            self.program = None;
        }
        let program = self.session.compile(&plan_step(&self.network, &self.config, phase)?)?;
        self.program = Some((phase, program));
        self.peak_bytes = self.peak_bytes.max(self.session.memory().total());
        Ok(program)
    }

    fn queue_step(&mut self, s: &Scheduled, batch: &TrainingBatch) -> Result<()> {
        let program = self.program(s.phase)?;
        let p = &self.position;
        let rates = self.config.optimizer.rates(s.lr, p.step + 1);
        let [low, high] = key(self.config.seed);
        let words = [low, high, p.step as u32, purpose::DEVICE_DRAW | (p.step >> 32) as u32];
        let last = self.config.final_epsilon();
        let fade = if last > 0.0 { 1.0 - s.epsilon / last } else { 0.0 };
        let [epsilon, kappa, fade] = [s.epsilon, s.kappa, fade].map(|v| v as f32);
        let row = self.unread as u32;
        let pieces = self.config.step_pieces();
        let names: Vec<[String; 2]> = match pieces {
            1 => Vec::new(),
            _ => (0..pieces).map(|i| [input::X, input::LABELS].map(|name| input::piece(name, i))).collect(),
        };
        let (images, labels) = (batch.images.len() / pieces, batch.labels.len() / pieces);
        let of_pieces = names.iter().enumerate().flat_map(|(i, [x, y])| {
            [
                (x.as_str(), bytemuck::cast_slice(&batch.images[i * images..][..images])),
                (y.as_str(), bytemuck::cast_slice(&batch.labels[i * labels..][..labels])),
            ]
        });
        let mut feeds: Vec<Feed<'_>> = of_pieces.collect();
        feeds.extend([
            (input::X, bytemuck::cast_slice(&batch.images)),
            (input::LABELS, bytemuck::cast_slice(&batch.labels)),
            (input::EPSILON, bytemuck::bytes_of(&epsilon)),
            (input::KAPPA, bytemuck::bytes_of(&kappa)),
            (input::FADE, bytemuck::bytes_of(&fade)),
            (input::RATES, bytemuck::cast_slice(&rates)),
            (input::KEY, bytemuck::cast_slice(&words)),
            (input::ROW, bytemuck::bytes_of(&row)),
        ]);
        self.session.run(program, &feeds)?;
        self.position.step += 1;
        self.position.batch += 1;
        self.unread += 1;
        Ok(())
    }

    /// Reads the figures of the steps queued since the last reading; the mean loss of those.
    async fn read_record(&mut self) -> Result<Option<f64>> {
        if self.unread == 0 {
            return Ok(None);
        }
        let record = read_state_f32(self.session.as_mut(), RECORD).await?;
        let rows = record.chunks(RECORD_COLUMNS).take(self.unread);
        let first = self.position.step - self.unread as u64;
        let mut sum = 0.0;
        for (i, row) in rows.enumerate() {
            if row.iter().any(|v| !v.is_finite()) {
                return Err(self.diverged(first + i as u64 + 1, row).await);
            }
            self.position.sums.add(row[0], row[4]);
            sum += f64::from(row[0]);
        }
        let mean = sum / self.unread as f64;
        self.unread = 0;
        Ok(Some(mean))
    }

    /// The error of a step whose figures are not finite: names the first layer that is not, and the range of what still is.
    async fn diverged(&mut self, step: u64, row: &[f32]) -> Error {
        let names = ["loss", "natural loss", "robust loss", "regulariser", "robust share"];
        let figure = row.iter().position(|v| !v.is_finite()).unwrap_or(0);
        let mut what = format!("{} is {}", names[figure], row[figure]);
        let tensors: Vec<String> = self.network.tensors().map(|(name, _)| name.to_string()).collect();
        for name in tensors {
            let values = match read_state_f32(self.session.as_mut(), &state_name(&name)).await {
                Ok(values) => values,
                Err(error) => return error,
            };
            let finite = values.iter().copied().filter(|v| v.is_finite());
            let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            let bad = values.iter().filter(|v| !v.is_finite()).count();
            if bad > 0 {
                let range = if low > high {
                    "nothing finite is left".into()
                } else {
                    format!("the rest is in [{low}, {high}]")
                };
                what += &format!("; {bad} of {} values of {} are not finite, {range}", values.len(), name);
                return Error::Diverged { step, what };
            }
            if low.abs().max(high.abs()) > 1e4 {
                what += &format!("; {name} spans [{low}, {high}]");
            }
        }
        Error::Diverged { step, what }
    }

    /// Rates on the first samples of the training and validation splits, by the training attack at the final ε.
    async fn monitor(&mut self) -> Result<(Evaluation, Option<Evaluation>)> {
        let mut evaluator = self.monitor_evaluator()?;
        let dataset = self.dataset.clone();
        let session = self.session.as_mut();
        let mut quiet = |_, _| {};
        let train = evaluator.run(session, &dataset.train, Some(MONITOR_SAMPLES), &mut quiet).await?;
        let validation = match &dataset.validation {
            Some(split) => Some(evaluator.run(session, split, Some(MONITOR_SAMPLES), &mut quiet).await?),
            None => None,
        };
        evaluator.release(session);
        Ok((train, validation))
    }

    /// The program of [`Trainer::monitor`]. That of the steps is freed for it and compiled anew afterwards, which is cheap: no two
    /// programs hold work buffers at a time.
    fn monitor_evaluator(&mut self) -> Result<Evaluator> {
        self.free_program();
        let (c, spec) = (&self.config, self.config.attack());
        let spec = super::attack::AttackSpec { project_start: true, ..spec };
        let (session, small) = (self.session.as_mut(), SmallBox::of(c));
        let evaluator =
            Evaluator::with_small_box(session, &self.network, c.epsilon, &spec, EVALUATION_BATCH, c.seed, small)?;
        self.peak_bytes = self.peak_bytes.max(self.session.memory().total());
        Ok(evaluator)
    }

    /// The program of the evaluation at the end.
    fn final_evaluator(&mut self) -> Result<Evaluator> {
        self.free_program();
        let (c, session) = (&self.config, self.session.as_mut());
        let evaluator = Evaluator::new(session, &self.network, c.epsilon, &c.eval_attack(), EVALUATION_BATCH, c.seed)?;
        self.peak_bytes = self.peak_bytes.max(session.memory().total());
        Ok(evaluator)
    }

    fn free_program(&mut self) {
        if let Some((_, program)) = self.program.take() {
            self.session.release(program);
        }
    }

    /// The epoch that has just ended, if its weights are the best so far: chosen by the validation slice, among epochs at the
    /// full ε, because before that every epoch certifies less than it will.
    fn improvement(&self, metrics: &EpochMetrics, validation: Option<&Evaluation>) -> Option<BestEpoch> {
        let ended = BestEpoch::new(metrics.epoch, validation?);
        let full = metrics.epsilon >= self.config.final_epsilon();
        (full && ended.replaces(self.position.best.as_ref(), &self.config)).then_some(ended)
    }

    /// Where the settings ask for it, puts the statistics of the whole training split into the batch norms.
    fn recompute_statistics(&mut self) -> Result<()> {
        if !self.config.population_statistics || self.network.buffers().is_empty() {
            return Ok(());
        }
        self.free_program();
        let session = self.session.as_mut();
        let mut population = Population::new(session, &self.network, self.config.batch)?;
        self.peak_bytes = self.peak_bytes.max(session.memory().total());
        population.run(session, &self.dataset.train)?;
        population.release(session);
        Ok(())
    }

    async fn save(&mut self) -> Result<()> {
        let Some(run) = self.run.clone() else { return Ok(()) };
        checkpoint::save_model(&run.model(), &self.network, self.session.as_mut()).await?;
        checkpoint::save_state(&run.state(), self.session.as_mut(), &self.position).await
    }

    /// Trains to the end, then evaluates on the test split.
    pub async fn run(&mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        let begun = Instant::now();
        let earlier = self.position.seconds;
        let first_step = self.position.step;
        let mut trained = 0.0;
        let mut complete = true;
        let dataset = self.dataset.clone();
        let batch = self.config.batch as f64;
        let per_epoch = self.steps_per_epoch();
        let mut loader = Loader::new(dataset.clone(), self.loader_options())?;
        'epochs: while self.position.epoch <= self.config.epochs {
            let epoch = self.position.epoch;
            let epoch_begun = Instant::now();
            let first_of_epoch = self.position.step;
            let mut scheduled = self.scheduled(epoch, self.position.batch.min(per_epoch - 1));
            while self.position.batch < per_epoch {
                let stop = observer.stop();
                if stop != Stop::No {
                    self.read_record().await?;
                    self.position.seconds = earlier + begun.elapsed().as_secs_f64();
                    self.save().await?;
                    if stop == Stop::Interrupted {
                        let resume = self.run.as_ref().map_or(String::new(), |run| {
                            format!(" at step {}; go on with --resume {}", self.position.step, run.path().display())
                        });
                        return Err(Error::Interrupted(resume));
                    }
                    complete = false;
                    break 'epochs;
                }
                scheduled = self.scheduled(epoch, self.position.batch);
                self.queue_step(&scheduled, loader.next_batch())?;
                if self.position.step == first_step + 1 {
                    read_state_f32(self.session.as_mut(), RECORD).await?;
                    observer.first_step();
                }
                if self.unread == READ_EVERY || self.position.batch == per_epoch {
                    let loss = self.read_record().await?.expect("a step was queued");
                    let running = trained + epoch_begun.elapsed().as_secs_f64();
                    observer.step(&Progress {
                        epoch,
                        epochs: self.config.epochs,
                        step: self.position.step,
                        steps: u64::from(self.config.epochs) * per_epoch as u64,
                        loss,
                        epsilon: scheduled.epsilon,
                        lr: scheduled.lr,
                        samples_per_second: (self.position.step - first_step) as f64 * batch / running,
                        seconds: earlier + begun.elapsed().as_secs_f64(),
                    });
                }
            }
            let epoch_seconds = epoch_begun.elapsed().as_secs_f64();
            trained += epoch_seconds;
            self.recompute_statistics()?;
            let (train, validation) = self.monitor().await?;
            let (loss, robust) = self.position.sums.means();
            let epoch_samples = (self.position.step - first_of_epoch) as f64 * batch;
            let metrics = EpochMetrics {
                epoch,
                step: self.position.step,
                seconds: earlier + begun.elapsed().as_secs_f64(),
                epoch_seconds,
                wait_seconds: loader.take_waited().as_secs_f64(),
                samples_per_second: epoch_samples / epoch_seconds.max(f64::MIN_POSITIVE),
                epsilon: scheduled.epsilon,
                lr: scheduled.lr,
                loss,
                robust,
                train: train.into(),
                validation: validation.map(SliceRates::from),
            };
            let improved = self.improvement(&metrics, validation.as_ref());
            self.position = Position {
                epoch: epoch + 1,
                batch: 0,
                seconds: metrics.seconds,
                sums: Sums::default(),
                last_loss: Some(loss),
                best: improved.or(self.position.best),
                ..self.position
            };
            // Metrics first: a resume drops the lines of epochs that its checkpoint has not seen.
            if let Some(run) = &self.run {
                run.append(&metrics)?;
                if improved.is_some() {
                    checkpoint::save_model(&run.best(), &self.network, self.session.as_mut()).await?;
                }
            }
            self.save().await?;
            observer.epoch(&metrics);
        }
        let seconds = earlier + begun.elapsed().as_secs_f64();
        let steps = self.position.step - first_step;
        if !complete {
            trained = begun.elapsed().as_secs_f64();
        }
        let test = self.evaluate(&dataset.test, observer).await?;
        Ok(Outcome {
            steps: self.position.step,
            epochs: self.position.epoch - 1,
            seconds,
            samples_per_second: if trained > 0.0 { steps as f64 * batch / trained } else { 0.0 },
            loss: self.position.last_loss.unwrap_or(f64::NAN),
            peak_bytes: self.peak_bytes,
            complete,
            best: self.position.best,
            test,
        })
    }

    async fn evaluate(&mut self, split: &Split, observer: &mut dyn Observer) -> Result<Evaluation> {
        let mut evaluator = self.final_evaluator()?;
        let session = self.session.as_mut();
        let evaluation = evaluator.run(session, split, None, &mut |done, of| observer.evaluating(done, of)).await;
        evaluator.release(self.session.as_mut());
        evaluation
    }
}
