//! The GPU as a [`Session`].

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::context::{Context, GpuOptions};
use super::pipeline_cache::PipelineCache;
use super::pipelines::Pipelines;
use super::program::{Compiled, Compiler, Place};
use super::readback;
use super::timestamps::Timestamps;
use super::tune::Tuner;
use super::tuning::Choices;
use crate::device::trace::from_ticks;
use crate::device::{
    Clock, DeviceInfo, Feed, Memory, Pending, Program, ProgramInfo, RunTrace, Session, Span, match_feed,
};
use crate::error::Result;
use crate::graph::Plan;
use crate::kernel::GpuLimits;
use crate::shape::TensorType;

/// One GPU with its states and programs.
pub struct GpuSession {
    context: Context,
    pipelines: Pipelines,
    states: BTreeMap<String, State>,
    programs: Vec<Option<Compiled>>,
    scratch: Vec<wgpu::Buffer>,
    /// What traced runs write their times to, once there was one.
    timestamps: Option<Timestamps>,
    /// Chooses among kernels by measurement; without it they are chosen by rule.
    tuner: Option<Tuner>,
}

struct State {
    ty: TensorType,
    buffer: wgpu::Buffer,
}

impl GpuSession {
    /// Opens the adapter that `options` ask for.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if there is no such adapter or it refuses, with what there is instead.
    pub async fn open(options: &GpuOptions) -> Result<GpuSession> {
        let context = Context::open(options).await?;
        // Measuring blocks until the device is done, which a browser does not allow.
        let store = options.store.clone().filter(|_| !cfg!(target_arch = "wasm32"));
        let (tuner, cache) = match store {
            None => (None, None),
            Some(store) => (
                Some(Tuner::new(&context, Choices::open(store.clone(), &context.info))?),
                PipelineCache::open(&context, store)?,
            ),
        };
        Ok(GpuSession {
            context,
            pipelines: Pipelines::new(cache),
            states: BTreeMap::new(),
            programs: Vec::new(),
            scratch: Vec::new(),
            timestamps: None,
            tuner,
        })
    }

    /// The limits that this session's ops cut their work by.
    pub fn limits(&self) -> GpuLimits {
        self.context.limits
    }

    fn compiled(&self, program: Program) -> Result<&Compiled> {
        let found = self.programs.get(program.0).and_then(Option::as_ref);
        found.ok_or_else(|| self.context.error("the program was released"))
    }

    /// Puts a program's inputs where a run takes them from.
    fn stage(&self, compiled: &Compiled, feeds: &[Feed<'_>]) -> Result<Option<wgpu::Buffer>> {
        compiled.stage(&self.context, |named| match_feed(&self.context.info.id, &named.name, &named.ty, feeds))
    }

    /// Queues the upload of a program's inputs.
    fn upload(&self, compiled: &Compiled, feeds: &[Feed<'_>]) -> Result<()> {
        let staged = self.stage(compiled, feeds)?;
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("upload") };
        let mut encoder = self.context.device.create_command_encoder(&descriptor);
        compiled.record_upload(&mut encoder, staged.as_ref());
        self.context.queue.submit([encoder.finish()]);
        compiled.take_back(staged);
        Ok(())
    }

    fn state(&self, name: &str) -> Result<&State> {
        self.states.get(name).ok_or_else(|| self.context.error(format!("no state called '{name}'")))
    }
}

impl Session for GpuSession {
    fn device(&self) -> &DeviceInfo {
        &self.context.info
    }

    fn compile(&mut self, plan: &Plan) -> Result<Program> {
        self.context.check()?;
        for state in &plan.states {
            self.create_state(&state.name, &state.ty)?;
        }
        let states = plan.states.iter().map(|state| self.states[&state.name].buffer.clone()).collect();
        let calls = match &mut self.tuner {
            Some(tuner) => tuner.choose(&self.context, &mut self.pipelines, plan)?,
            None => plan.steps.iter().map(|s| s.op.gpu(&s.signature, &self.context.limits)).collect::<Result<_>>()?,
        };
        let compiler =
            Compiler { context: &self.context, pipelines: &mut self.pipelines, scratch: &mut self.scratch, states };
        let compiled = compiler.compile(plan, &calls)?;
        self.pipelines.keep();
        self.programs.push(Some(compiled));
        Ok(Program(self.programs.len() - 1))
    }

    fn release(&mut self, program: Program) {
        if let Some(slot) = self.programs.get_mut(program.0) {
            *slot = None;
        }
    }

    fn run(&mut self, program: Program, feeds: &[Feed<'_>]) -> Result<()> {
        self.context.check()?;
        let (context, compiled) = (&self.context, self.compiled(program)?);
        let staged = self.stage(compiled, feeds)?;
        context.queue.submit([compiled.record(&context.device, staged.as_ref())]);
        compiled.take_back(staged);
        context.check()
    }

    fn run_traced<'a>(&'a mut self, program: Program, feeds: &'a [Feed<'a>]) -> Pending<'a, RunTrace> {
        Box::pin(async move {
            self.context.check()?;
            let count = self.compiled(program)?.launches().len();
            if self.context.timestamps && self.timestamps.as_ref().is_none_or(|t| !t.hold(count)) {
                self.timestamps = Some(Timestamps::new(&self.context, count)?);
            }
            let began = Instant::now();
            let now = || began.elapsed().as_secs_f64();
            let (context, compiled) = (&self.context, self.compiled(program)?);
            self.upload(compiled, feeds)?;
            let upload = Span { begin: 0.0, end: now() };
            let Some(timestamps) = &self.timestamps else {
                let mut launches = Vec::with_capacity(count);
                for commands in compiled.record_apart(&context.device) {
                    let begin = now();
                    readback::done(context, context.queue.submit([commands])).await?;
                    launches.push(Span { begin, end: now() });
                }
                let moment = |at: f64| Span { begin: at, end: at };
                let (record, wait) = (moment(upload.end), moment(now()));
                return Ok(RunTrace { began, clock: Clock::Waits, upload, record, wait, launches });
            };
            let submission = context.queue.submit([compiled.record_timed(&context.device, timestamps)]);
            let record = Span { begin: upload.end, end: now() };
            readback::done(context, submission).await?;
            let wait = Span { begin: record.end, end: now() };
            let ticks = timestamps.read(context, count).await?;
            let launches = from_ticks(&ticks, timestamps.seconds_per_tick(), wait.end);
            Ok(RunTrace { began, clock: Clock::Timestamps, upload, record, wait, launches })
        })
    }

    fn read<'a>(&'a mut self, program: Program, output: &'a str) -> Pending<'a, Vec<u32>> {
        Box::pin(async move {
            let found = self.compiled(program)?.outputs.iter().find(|(named, _)| named.name == output);
            let (named, place) = found.ok_or_else(|| self.context.error(format!("no output called '{output}'")))?;
            readback::read(&self.context, place.clone(), named.ty.elements()).await
        })
    }

    fn create_state(&mut self, name: &str, ty: &TensorType) -> Result<()> {
        if let Some(state) = self.states.get(name) {
            if state.ty != *ty {
                return Err(self.context.error(format!("state '{name}' is {:?}, asked for as {ty:?}", state.ty)));
            }
            return Ok(());
        }
        let buffer = self.context.buffer(name, ty.elements())?;
        self.states.insert(name.to_string(), State { ty: ty.clone(), buffer });
        Ok(())
    }

    fn read_state<'a>(&'a mut self, name: &'a str) -> Pending<'a, Vec<u32>> {
        Box::pin(async move {
            let state = self.state(name)?;
            let place = Place { buffer: state.buffer.clone(), first: 0 };
            readback::read(&self.context, place, state.ty.elements()).await
        })
    }

    fn write_state(&mut self, name: &str, words: &[u32]) -> Result<()> {
        self.context.check()?;
        let state = self.state(name)?;
        if words.len() != state.ty.elements() {
            let message = format!("state '{name}' holds {} words, got {}", state.ty.elements(), words.len());
            return Err(self.context.error(message));
        }
        self.context.queue.write_buffer(&state.buffer, 0, bytemuck::cast_slice(words));
        Ok(())
    }

    fn states(&self) -> Vec<(String, TensorType)> {
        self.states.iter().map(|(name, state)| (name.clone(), state.ty.clone())).collect()
    }

    fn memory(&self) -> Memory {
        let programs = || self.programs.iter().flatten();
        // A program may still hold scratch that has been replaced by larger.
        let mut scratch: Vec<&wgpu::Buffer> = Vec::new();
        for buffer in programs().flat_map(|p| &p.scratch).chain(&self.scratch) {
            if !scratch.contains(&buffer) {
                scratch.push(buffer);
            }
        }
        Memory {
            states: self.states.values().map(|s| s.buffer.size() as usize).sum(),
            inputs: programs().map(|p| 4 * p.input_words).sum(),
            slots: programs().map(|p| 4 * p.slot_words).sum(),
            scratch: scratch.into_iter().map(|b| b.size() as usize).sum(),
        }
    }

    fn program_info(&self, program: Program) -> ProgramInfo {
        let launches = self.compiled(program).map(Compiled::launches);
        ProgramInfo { launches: launches.unwrap_or_default() }
    }

    fn host_waits(&self) -> usize {
        self.context.waits.load(Ordering::Relaxed)
    }
}
