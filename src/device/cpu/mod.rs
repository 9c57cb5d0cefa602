//! The native device: kernels in Rust over preallocated buffers, all cores through rayon.

mod awake;
mod buffer;
mod forms;
mod layouts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

pub use crate::kernel::waited;
use awake::keep_awake;
use buffer::Buffer;
use forms::Forms;

use super::{
    Clock, DeviceInfo, Feed, Launch, Memory, Pending, Program, ProgramInfo, RunTrace, Session, Span, match_feed,
};
use crate::error::{Error, Result};
use crate::graph::plan::{Named, Storage};
use crate::graph::{Cost, Plan};
use crate::kernel::{Layout, NativeArgs, NativeCall, RawSlice};
use crate::ops::simd::level;
use crate::shape::{DType, TensorType};

/// The native device with its states and programs.
pub struct CpuSession {
    info: DeviceInfo,
    states: BTreeMap<String, State>,
    programs: Vec<Option<Compiled>>,
    /// Scratch buffers by index, shared by all calls of all programs: calls run one after the other.
    scratch: Vec<Arc<Buffer>>,
}

struct State {
    ty: TensorType,
    buffer: Arc<Buffer>,
}

struct Compiled {
    inputs: Vec<(Named, Arc<Buffer>)>,
    slots: Vec<Arc<Buffer>>,
    constants: Vec<Arc<Buffer>>,
    outputs: Vec<(Named, Arc<Buffer>)>,
    calls: Vec<Call>,
    /// Buffers that `calls` point into beyond the ones above: states and scratch at the time of compilation.
    _kept: Vec<Arc<Buffer>>,
}

struct Call {
    launch: Launch,
    native: NativeCall,
    inputs: Vec<RawSlice>,
    outputs: Vec<RawSlice>,
    scratch: Vec<RawSlice>,
    prepared: Vec<RawSlice>,
}

impl Default for CpuSession {
    fn default() -> Self {
        Self::new()
    }
}

impl CpuSession {
    /// A session without states or programs.
    pub fn new() -> Self {
        let name = format!("{} threads, {:?}", rayon::current_num_threads(), crate::ops::simd::level());
        let info =
            DeviceInfo { id: "cpu".into(), name, backend: "native".into(), driver: std::env::consts::ARCH.into() };
        CpuSession { info, states: BTreeMap::new(), programs: Vec::new(), scratch: Vec::new() }
    }

    /// The layouts of the operands of each step, inputs before outputs, where vectors have `lanes` lanes.
    pub fn layouts(plan: &Plan, lanes: usize) -> Vec<Vec<Layout>> {
        layouts::choose(plan, lanes)
    }

    /// [`Session::compile`] with operands in layouts of [`CpuSession::layouts`].
    pub fn compile_in(&mut self, plan: &Plan, layouts: &[Vec<Layout>]) -> Result<Program> {
        for state in &plan.states {
            self.create_state(&state.name, &state.ty)?;
        }
        let inputs: Vec<_> =
            plan.inputs.iter().map(|named| (named.clone(), Arc::new(Buffer::zeroed(named.ty.elements())))).collect();
        let constants: Vec<_> = plan.constants.iter().map(|words| Arc::new(Buffer::from_words(words))).collect();
        let slots: Vec<_> = Buffer::poisoned_together(&plan.slots).into_iter().map(Arc::new).collect();
        let state_buffers: Vec<_> = plan.states.iter().map(|s| self.states[&s.name].buffer.clone()).collect();
        let place = |storage: &Storage| match *storage {
            Storage::Input(i) => &inputs[i].1,
            Storage::State(i) => &state_buffers[i],
            Storage::Constant(i) => &constants[i],
            Storage::Slot(i) => &slots[i],
        };
        let slice = |storage: &Storage, ty: &TensorType| place(storage).slice(ty.elements());

        let slices = |storage: &[Storage], types: &[TensorType]| -> Vec<RawSlice> {
            storage.iter().zip(types).map(|(s, t)| slice(s, t)).collect()
        };
        let mut natives = Vec::with_capacity(plan.steps.len());
        for (step, layouts) in plan.steps.iter().zip(layouts) {
            let inputs = slices(&step.inputs, &step.signature.inputs);
            let outputs = slices(&step.outputs, &step.signature.outputs);
            let native = match layouts.contains(&Layout::Blocks) {
                true => step.in_layouts().cpu_in(&step.signature, layouts)?,
                false => step.op.cpu(&step.signature)?,
            };
            natives.push((native, inputs, outputs));
        }
        let forms_of = |natives: &[(NativeCall, Vec<RawSlice>, Vec<RawSlice>)]| {
            Forms::new(natives.iter().map(|(native, inputs, outputs)| (native, &inputs[..], &outputs[..])))
        };
        let shared = forms_of(&natives);
        for (_, (native, ..)) in natives.iter_mut().enumerate().filter(|&(call, _)| shared.are_alone(call)) {
            if let Some(alone) = native.alone.take() {
                *native = *alone;
            }
        }
        let mut forms = forms_of(&natives);
        for (call, (native, ..)) in natives.iter().enumerate() {
            for (i, words) in native.scratch.iter().copied().chain(forms.scratch(call)).enumerate() {
                if i == self.scratch.len() {
                    self.scratch.push(Arc::new(Buffer::poisoned(words)));
                } else if self.scratch[i].words() < words {
                    // Programs compiled earlier keep the smaller buffer that their calls point into.
                    self.scratch[i] = Arc::new(Buffer::poisoned(words));
                }
            }
        }
        let mut calls = Vec::with_capacity(plan.steps.len());
        for (index, (step, (mut native, inputs, outputs))) in plan.steps.iter().zip(natives).enumerate() {
            let words = native.scratch.iter().copied().chain(forms.scratch(index));
            let mut scratch: Vec<RawSlice> = words.zip(&self.scratch).map(|(w, buffer)| buffer.slice(w)).collect();
            let prepared = forms.places(index, scratch.split_off(native.scratch.len()).into_iter());
            let makings = std::mem::take(&mut native.prepared).into_iter().zip(&prepared).zip(forms.of_call(index));
            for ((prepare, &form), _) in makings.filter(|(_, form)| form.is_new) {
                calls.push(Call {
                    launch: Launch::new(prepare.name, step, Cost::default()),
                    inputs: vec![inputs[prepare.input]],
                    outputs: vec![form],
                    scratch: Vec::new(),
                    prepared: Vec::new(),
                    native: NativeCall::new(prepare.name, move |args| (prepare.run)(args.input(0), args.output(0))),
                });
            }
            let launch = Launch::new(native.name, step, step.op.cost(&step.signature));
            calls.push(Call { launch, native, inputs, outputs, scratch, prepared });
        }
        let outputs = plan.outputs.iter().map(|(named, storage)| (named.clone(), place(storage).clone())).collect();
        let kept = state_buffers.iter().chain(&self.scratch).cloned().collect();
        let slots = slots.into_iter().chain(forms.into_buffers()).collect();
        self.programs.push(Some(Compiled { inputs, slots, constants, outputs, calls, _kept: kept }));
        Ok(Program(self.programs.len() - 1))
    }

    fn compiled(&self, program: Program) -> Result<&Compiled> {
        let found = self.programs.get(program.0).and_then(Option::as_ref);
        found.ok_or_else(|| Error::device("cpu", "the program was released"))
    }

    fn state(&self, name: &str) -> Result<&State> {
        self.states.get(name).ok_or_else(|| Error::device("cpu", format!("no state called '{name}'")))
    }
}

impl Compiled {
    /// Copies the inputs in, on a thread of the pool.
    fn upload(&self, feeds: &[Feed<'_>]) -> Result<()> {
        for (named, buffer) in &self.inputs {
            let bytes = match_feed("cpu", &named.name, &named.ty, feeds)?;
            // Labels index memory in kernels; a wild one must not reach them. The checks that need the number of
            // classes are the data reader's.
            debug_assert!(named.ty.dtype == DType::F32 || bytes.len().is_multiple_of(4));
            buffer.write_bytes(bytes);
        }
        Ok(())
    }
}

impl Call {
    /// # Safety
    /// The program that this call belongs to is alive, and nothing else touches its buffers meanwhile.
    unsafe fn run(&self) {
        // SAFETY: the slices point into buffers that the program keeps alive. The plan gives values with overlapping lifetimes
        // different slots, so outputs and scratch meet neither each other nor an input that is read.
        let args = unsafe { NativeArgs::new(&self.inputs, &self.outputs, &self.scratch, &self.prepared) };
        (self.native.run)(&args);
    }
}

impl Session for CpuSession {
    fn device(&self) -> &DeviceInfo {
        &self.info
    }

    fn compile(&mut self, plan: &Plan) -> Result<Program> {
        let layouts = CpuSession::layouts(plan, level().lanes());
        self.compile_in(plan, &layouts)
    }

    fn release(&mut self, program: Program) {
        if let Some(slot) = self.programs.get_mut(program.0) {
            *slot = None;
        }
    }

    fn run(&mut self, program: Program, feeds: &[Feed<'_>]) -> Result<()> {
        let compiled = self.compiled(program)?;
        keep_awake(|| {
            compiled.upload(feeds)?;
            // SAFETY: `&mut self` keeps every other user of the buffers away during the run.
            compiled.calls.iter().for_each(|call| unsafe { call.run() });
            Ok(())
        })
    }

    fn run_traced<'a>(&'a mut self, program: Program, feeds: &'a [Feed<'a>]) -> Pending<'a, RunTrace> {
        Box::pin(async move {
            let compiled = self.compiled(program)?;
            let mut launches = Vec::with_capacity(compiled.calls.len());
            let began = Instant::now();
            let now = || began.elapsed().as_secs_f64();
            let upload = keep_awake(|| {
                compiled.upload(feeds)?;
                let upload = Span { begin: 0.0, end: now() };
                for call in &compiled.calls {
                    let begin = now();
                    // SAFETY: `&mut self` keeps every other user of the buffers away during the run.
                    unsafe { call.run() };
                    launches.push(Span { begin, end: now() });
                }
                Ok(upload)
            })?;
            let moment = |at: f64| Span { begin: at, end: at };
            let (record, wait) = (moment(upload.end), moment(now()));
            Ok(RunTrace { began, clock: Clock::Host, upload, record, wait, launches })
        })
    }

    fn read<'a>(&'a mut self, program: Program, output: &'a str) -> Pending<'a, Vec<u32>> {
        Box::pin(async move {
            let found = self.compiled(program)?.outputs.iter().find(|(named, _)| named.name == output);
            let (named, buffer) = found.ok_or_else(|| Error::device("cpu", format!("no output called '{output}'")))?;
            Ok(buffer.to_words(named.ty.elements()))
        })
    }

    fn create_state(&mut self, name: &str, ty: &TensorType) -> Result<()> {
        if let Some(state) = self.states.get(name) {
            if state.ty != *ty {
                let message = format!("state '{name}' is {:?}, asked for as {ty:?}", state.ty);
                return Err(Error::device("cpu", message));
            }
            return Ok(());
        }
        let buffer = Arc::new(Buffer::zeroed(ty.elements()));
        self.states.insert(name.to_string(), State { ty: ty.clone(), buffer });
        Ok(())
    }

    fn read_state<'a>(&'a mut self, name: &'a str) -> Pending<'a, Vec<u32>> {
        Box::pin(async move {
            let state = self.state(name)?;
            Ok(state.buffer.to_words(state.ty.elements()))
        })
    }

    fn write_state(&mut self, name: &str, words: &[u32]) -> Result<()> {
        let state = self.state(name)?;
        if words.len() != state.ty.elements() {
            let message = format!("state '{name}' holds {} words, got {}", state.ty.elements(), words.len());
            return Err(Error::device("cpu", message));
        }
        state.buffer.write_bytes(bytemuck::cast_slice(words));
        Ok(())
    }

    fn states(&self) -> Vec<(String, TensorType)> {
        self.states.iter().map(|(name, state)| (name.clone(), state.ty.clone())).collect()
    }

    fn memory(&self) -> Memory {
        let bytes = |buffers: &mut dyn Iterator<Item = &Arc<Buffer>>| buffers.map(|b| 4 * b.words()).sum::<usize>();
        let programs = || self.programs.iter().flatten();
        Memory {
            states: bytes(&mut self.states.values().map(|s| &s.buffer)),
            inputs: bytes(&mut programs().flat_map(|p| p.inputs.iter().map(|(_, b)| b).chain(&p.constants))),
            slots: bytes(&mut programs().flat_map(|p| &p.slots)),
            scratch: bytes(&mut self.scratch.iter()),
        }
    }

    fn program_info(&self, program: Program) -> ProgramInfo {
        let launches = self.compiled(program).map(|c| c.calls.iter().map(|call| call.launch.clone()).collect());
        ProgramInfo { launches: launches.unwrap_or_default() }
    }

    fn host_waits(&self) -> usize {
        0
    }
}
