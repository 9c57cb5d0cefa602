//! Devices run plans. A [`Session`] owns the memory of one device: states by name, programs by handle.
//!
//! The training loop, attacks, evaluation and bounds know only this trait. Reading is a future, because a GPU answers later;
//! nothing here blocks, the command line does.

pub mod cpu;
pub mod gpu;
mod sharing;
mod store;
mod trace;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::graph::plan::Step;
use crate::graph::{Cost, Plan};
use crate::shape::{Shape, TensorType};

pub use store::Store;
pub use trace::{Clock, RunTrace, Span};

/// A value that a device hands over when its queue has come that far.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// Handle of a compiled program in one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Program(pub(crate) usize);

/// What is fed to an input of a program: its name and its words, as bytes in native order.
pub type Feed<'a> = (&'a str, &'a [u8]);

/// Which machine a session runs on; goes into run directories and reports.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DeviceInfo {
    /// What `--device` takes to choose it again.
    pub id: String,
    /// Name of the hardware.
    pub name: String,
    /// `native`, `vulkan`, `metal`, `dx12`.
    pub backend: String,
    /// Driver and version, empty for the native device.
    pub driver: String,
}

/// Bytes that a session holds on its device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    /// Parameters, moments and whatever else is kept between runs.
    pub states: usize,
    /// Inputs and constants of all programs.
    pub inputs: usize,
    /// Reused work buffers of all programs.
    pub slots: usize,
    /// Scratch of kernels, shared by all nodes.
    pub scratch: usize,
}

impl Memory {
    /// Everything.
    pub fn total(&self) -> usize {
        self.states + self.inputs + self.slots + self.scratch
    }
}

/// A program's kernel launches, for `--dry-run`, profiles and tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramInfo {
    /// The launches of one run, in order.
    pub launches: Vec<Launch>,
}

/// One launch of a kernel in every run of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The kernel.
    pub kernel: &'static str,
    /// The op that it works for.
    pub op: &'static str,
    /// Shape of the op's largest output, the first of those.
    pub output: Shape,
    /// Its part of the op's arithmetic and traffic. The launches of an op add up to the op's: those of its main kernel share it by
    /// their workgroups, and kernels that only finish their work, or reduce what an elementwise pass reads, count nothing.
    pub cost: Cost,
}

impl Launch {
    /// A launch for `step`, of which it bears `cost`.
    fn new(kernel: &'static str, step: &Step, cost: Cost) -> Launch {
        let larger = |a, b| if TensorType::elements(b) > TensorType::elements(a) { b } else { a };
        let output = step.signature.outputs.iter().reduce(larger).map(|ty| ty.shape.clone());
        Launch { kernel, op: step.op.name(), output: output.expect("an op has an output"), cost }
    }
}

/// One device with its states and programs.
pub trait Session {
    /// The machine.
    fn device(&self) -> &DeviceInfo;

    /// Makes `plan` runnable: buffers, pipelines, bindings, constants. States that the session doesn't have yet are created,
    /// filled with zeros; those it has must have the same type.
    fn compile(&mut self, plan: &Plan) -> Result<Program>;

    /// Frees a program's buffers. Its states stay.
    fn release(&mut self, program: Program);

    /// Queues one run. Every input of the plan must be fed, with exactly its bytes. Does not wait.
    fn run(&mut self, program: Program, feeds: &[Feed<'_>]) -> Result<()>;

    /// One run, waited for, with what its time went to: the same launches on the same buffers as [`Session::run`] makes.
    fn run_traced<'a>(&'a mut self, program: Program, feeds: &'a [Feed<'a>]) -> Pending<'a, RunTrace>;

    /// An output of the program's latest run, as words.
    fn read<'a>(&'a mut self, program: Program, output: &'a str) -> Pending<'a, Vec<u32>>;

    /// Creates a state filled with zeros, or checks that it has this type.
    fn create_state(&mut self, name: &str, ty: &TensorType) -> Result<()>;

    /// The content of a state, as words.
    fn read_state<'a>(&'a mut self, name: &'a str) -> Pending<'a, Vec<u32>>;

    /// Replaces the content of a state; `words` must have its length.
    fn write_state(&mut self, name: &str, words: &[u32]) -> Result<()>;

    /// Names and types of all states, sorted by name.
    fn states(&self) -> Vec<(String, TensorType)>;

    /// What is allocated now.
    fn memory(&self) -> Memory;

    /// Launches of a program.
    fn program_info(&self, program: Program) -> ProgramInfo;

    /// How often the host has waited for the device so far; 0 for good where the host is the device.
    fn host_waits(&self) -> usize;
}

/// How to open a device.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Keep the bounds checks in shaders that release builds leave out.
    pub shader_checks: bool,
    /// Ask for WebGPU's default limits only, so that the same kernels are known to run anywhere.
    pub portable: bool,
    /// Ask for timestamps, for [`Session::run_traced`], where the adapter has them.
    pub timestamps: bool,
    /// Measure which kernels are fastest on a GPU, and keep that and its compiled pipelines here. Without, the choice is by rule: the same
    /// in every process.
    pub store: Option<Arc<dyn Store>>,
}

/// Opens the device that `choice` names: `cpu`, `gpu` (the first hardware adapter), `gpu:N` (by index), `gpu:NAME` (by a part of
/// its name), or `auto` (a hardware GPU if there is one, else the native device).
///
/// # Errors
/// [`Error::Usage`] for a choice of another form, [`Error::Device`] when there is no such adapter or it can't be opened.
pub async fn open(choice: &str, options: OpenOptions) -> Result<Box<dyn Session>> {
    let selector = match choice {
        "cpu" => return Ok(Box::new(cpu::CpuSession::new())),
        "auto" => match gpu::adapters().await.iter().any(|adapter| adapter.kind != "software") {
            true => gpu::Selector::Hardware,
            false => return Ok(Box::new(cpu::CpuSession::new())),
        },
        _ => gpu::Selector::parse(choice).ok_or_else(|| {
            Error::Usage(format!("unknown device '{choice}': expected auto, cpu, gpu, gpu:N or gpu:NAME"))
        })?,
    };
    let OpenOptions { shader_checks, portable, timestamps, store } = options;
    let options = gpu::GpuOptions { selector, portable, shader_checks, timestamps, limits: None, store };
    Ok(Box::new(gpu::GpuSession::open(&options).await?))
}

/// [`Session::read`] as f32.
pub async fn read_f32(session: &mut dyn Session, program: Program, output: &str) -> Result<Vec<f32>> {
    Ok(bytemuck::cast_vec(session.read(program, output).await?))
}

/// [`Session::read_state`] as f32.
pub async fn read_state_f32(session: &mut dyn Session, name: &str) -> Result<Vec<f32>> {
    Ok(bytemuck::cast_vec(session.read_state(name).await?))
}

/// [`Session::write_state`] from f32.
pub fn write_state_f32(session: &mut dyn Session, name: &str, data: &[f32]) -> Result<()> {
    session.write_state(name, bytemuck::cast_slice(data))
}

/// Feeds in the order of the plan's inputs, checked for presence and length.
pub(crate) fn match_feed<'a>(device: &str, name: &str, ty: &TensorType, feeds: &[Feed<'a>]) -> Result<&'a [u8]> {
    let Some((_, bytes)) = feeds.iter().find(|(fed, _)| *fed == name) else {
        return Err(Error::device(device, format!("input '{name}' was not fed")));
    };
    if bytes.len() != ty.bytes() {
        let message = format!("input '{name}' needs {} bytes ({}), got {}", ty.bytes(), ty.shape, bytes.len());
        return Err(Error::device(device, message));
    }
    Ok(bytes)
}
