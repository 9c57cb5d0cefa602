//! Plain descriptions of device work. An op writes them (`ops/<op>/gpu.rs`, `cpu.rs`), a device carries them out;
//! neither knows the other. Sizes are counted in 32-bit words, since every element is one word.

mod layout;
mod variant;
mod waiting;

use std::fmt;

pub use layout::{Layout, Layouts};
pub use variant::{TILES, Tile, Variant, WIDE_TILES};
pub use waiting::waited;
pub(crate) use waiting::{pause, work_until, work_until_in_vain};

/// How a shader uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    Write,
}

/// A compute shader: one entry point `main`, bindings `0..` in group 0.
/// The name is also the label, the profile row and the bench id.
#[derive(Debug)]
pub struct Shader {
    /// The stem of its file, if it has one of its own.
    pub name: &'static str,
    /// Stems of the `.wgsl` files that the text is made of.
    pub files: &'static [&'static str],
    /// WGSL text, legal as it stands. Sizes are `override` constants, or fields of a struct `Params` in a buffer behind the other bindings:
    /// what is a constant costs a compilation for each value of it, what is a parameter does not. The buffer is a storage buffer, or a uniform
    /// where all eight of those are taken: lavapipe compiles a shader anew for values in uniforms that end a loop.
    pub source: &'static str,
    /// Name and access of each binding, in order; a test holds them against the WGSL text.
    pub bindings: &'static [(&'static str, Access)],
}

/// Type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// `u32`, also for flags: 0 or 1.
    U32,
    /// `i32`.
    I32,
    /// `f32`.
    F32,
}

impl Scalar {
    /// The word that holds `value`, which is a whole number in range if the type is of integers.
    pub fn word(self, value: f64) -> u32 {
        match self {
            Scalar::U32 => value as u32,
            Scalar::I32 => (value as i32).cast_unsigned(),
            Scalar::F32 => (value as f32).to_bits(),
        }
    }
}

impl Shader {
    /// Names and types of the parameters: the fields of `Params` in the text, one a line; none if it has no such struct. A test holds what
    /// is read here against what naga reads.
    ///
    /// # Panics
    /// If a field is of another type than those of [`Scalar`].
    pub fn params(&self) -> Vec<(&'static str, Scalar)> {
        let Some((_, rest)) = self.source.split_once("struct Params {\n") else { return Vec::new() };
        let lines = rest.lines().take_while(|line| *line != "}").map(str::trim);
        let fields = lines.filter(|line| !line.starts_with("//")).map(|line| {
            let field = line.strip_suffix(',').and_then(|field| field.split_once(": "));
            let (name, scalar) = field.unwrap_or_else(|| panic!("{}: `{line}` is not a parameter", self.name));
            match scalar {
                "u32" => (name, Scalar::U32),
                "i32" => (name, Scalar::I32),
                "f32" => (name, Scalar::F32),
                _ => panic!("{}: a parameter of type {scalar}", self.name),
            }
        });
        fields.collect()
    }

    /// Least words of a buffer at binding `i`: one element.
    pub fn element_words(&self, i: usize) -> usize {
        let vectors = format!(" {}: array<vec4<f32>>;", self.bindings[i].0);
        if self.source.contains(&vectors) { 4 } else { 1 }
    }

    /// Whether it needs [`GpuLimits::subgroups`].
    pub fn has_subgroups(&self) -> bool {
        self.source.contains("@builtin(subgroup_")
    }

    /// Whether the parameters are in a uniform.
    pub fn has_uniform(&self) -> bool {
        self.source.contains("var<uniform> params: Params;")
    }
}

/// Which buffer of the op a binding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// Input `i` of the op.
    Input(usize),
    /// Output `i` of the op. For an output that is updated in place this is also the old value.
    Output(usize),
    /// Scratch buffer `i` of the call; undefined before the call, forgotten after it.
    Scratch(usize),
    /// Form `i` of an input, of [`GpuCall::prepared`].
    Form(usize),
}

/// A range of an operand's words. `words == 0` means the whole operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The buffer.
    pub operand: Operand,
    /// First word; a multiple of [`GpuLimits::offset_words`].
    pub offset: usize,
    /// Length in words, 0 for all.
    pub words: usize,
}

impl Bind {
    /// The whole of `operand`.
    pub fn all(operand: Operand) -> Self {
        Bind { operand, offset: 0, words: 0 }
    }
}

/// One dispatch of a shader.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The shader.
    pub shader: &'static Shader,
    /// One entry per binding of the shader.
    pub binds: Vec<Bind>,
    /// Values of the shader's `override` constants, which with its name identify the pipeline, and of its parameters.
    pub overrides: Vec<(&'static str, f64)>,
    /// Number of workgroups along x, y, z.
    pub groups: [u32; 3],
}

/// Another form of an input, as [`Prepare`] is for the native device: made once for all calls between two writes of that input.
#[derive(Clone, Debug)]
pub struct GpuPrepare {
    /// Which input of the op.
    pub input: usize,
    /// The same for forms of one input that are the same.
    pub key: String,
    /// Length in words.
    pub words: usize,
    /// Dispatches that make it, all of it, of the input.
    pub dispatches: Vec<Dispatch>,
}

/// What an op asks of a GPU: dispatches that run one after the other.
#[derive(Clone, Debug, Default)]
pub struct GpuCall {
    /// In order; each sees the writes of those before it.
    pub dispatches: Vec<Dispatch>,
    /// Sizes of the scratch buffers, in words.
    pub scratch: Vec<usize>,
    /// Forms of inputs that the dispatches read.
    pub prepared: Vec<GpuPrepare>,
    /// Which dispatch does the op's work, along with all of the same shader; the others prepare or finish it.
    pub main: usize,
}

impl GpuCall {
    /// One dispatch without scratch.
    pub fn single(dispatch: Dispatch) -> GpuCall {
        GpuCall { dispatches: vec![dispatch], ..GpuCall::default() }
    }
}

/// The limits of an adapter that decide how an op cuts its work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GpuLimits {
    /// Largest storage binding, in words.
    pub binding_words: usize,
    /// Largest number of workgroups along one axis.
    pub groups_per_axis: u32,
    /// Workgroup memory in bytes.
    pub workgroup_bytes: u32,
    /// Invocations in a workgroup.
    pub invocations: u32,
    /// Offsets of bindings are multiples of this, in words.
    pub offset_words: usize,
    /// Most floating-point operations of one dispatch, so that it stays below [`LONGEST_DISPATCH_SECONDS`]. A rule by the kind of the
    /// adapter, not by measurement: cuts of the batch decide in which parts a weight gradient is summed.
    pub dispatch_flops: u64,
    /// The adapter is a CPU (lavapipe, WARP): workgroup memory and barriers cost more than they save there.
    pub software: bool,
    /// Least invocations of a subgroup, inside of which they may exchange values; 0 where they may not.
    pub subgroups: u32,
    /// The kernel to take where there are several and this one fits the work; else the op chooses by a rule of its own.
    pub variant: Option<Variant>,
}

/// What one dispatch may take: a screen that waits for it must not freeze, and no driver may think that the device hangs.
pub const LONGEST_DISPATCH_SECONDS: f64 = 0.1;

impl GpuLimits {
    /// What WebGPU guarantees everywhere.
    pub const PORTABLE: GpuLimits = GpuLimits {
        binding_words: 128 << 18,
        groups_per_axis: 65_535,
        workgroup_bytes: 16_384,
        invocations: 256,
        offset_words: 64,
        dispatch_flops: GpuLimits::flops_at(50e9),
        software: false,
        subgroups: 0,
        variant: None,
    };

    /// [`GpuLimits::dispatch_flops`] at so many operations per second.
    pub const fn flops_at(per_second: f64) -> u64 {
        (LONGEST_DISPATCH_SECONDS * per_second) as u64
    }

    /// Folds `groups` workgroups into a grid that respects the limit per axis. A shader gets its flat group index as
    /// `workgroup_id.x + workgroup_id.y * num_workgroups.x` and ignores what lies past its work.
    /// `None` when even two axes are too few.
    pub fn fold(&self, groups: usize) -> Option<[u32; 3]> {
        let axis = self.groups_per_axis as usize;
        let y = groups.div_ceil(axis).max(1);
        let x = groups.div_ceil(y).max(1);
        (y <= axis).then_some([x as u32, y as u32, 1])
    }

    /// Cuts `items` items of `words` words each into ranges `(first, count)` whose bindings fit the adapter and begin at
    /// legal offsets, and whose work of `flops` operations per item stays below [`GpuLimits::dispatch_flops`] where it can. `words` lists
    /// the words per item of every operand that is cut.
    /// `None` when a single aligned run of items is already too large.
    pub fn chunks(&self, items: usize, words: &[usize], flops: u64) -> Option<Vec<(usize, usize)>> {
        let largest = words.iter().copied().max().unwrap_or(1).max(1);
        // A chunk must be a whole number of alignment units for every operand.
        let step = words.iter().map(|&w| self.offset_words / gcd(self.offset_words, w.max(1))).fold(1, lcm);
        let quick = usize::try_from(self.dispatch_flops / flops.max(1)).unwrap_or(usize::MAX).max(step);
        if items * largest <= self.binding_words && items <= quick {
            return Some(vec![(0, items)]);
        }
        let count = (self.binding_words / largest).min(quick) / step * step;
        if count == 0 {
            return None;
        }
        // As few chunks as that allows, of about one size.
        let count = items.div_ceil(items.div_ceil(count)).next_multiple_of(step).min(count);
        Some((0..items).step_by(count).map(|first| (first, count.min(items - first))).collect())
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn lcm(a: usize, b: usize) -> usize {
    a / gcd(a, b) * b
}

/// What an op asks of the native device: one call.
pub struct NativeCall {
    /// Name for profiles: the shader's name of the same work.
    pub name: &'static str,
    /// Sizes of the scratch buffers, in words.
    pub scratch: Vec<usize>,
    /// Forms of inputs that the call reads.
    pub prepared: Vec<Prepare>,
    /// The same work, to the bit, without forms: for a device where no other call would share any of them.
    pub alone: Option<Box<NativeCall>>,
    /// The work. It may use all cores through rayon, and does not allocate.
    pub run: Box<dyn Fn(&NativeArgs<'_>) + Send + Sync>,
}

impl NativeCall {
    /// A call without scratch.
    pub fn new(name: &'static str, run: impl Fn(&NativeArgs<'_>) + Send + Sync + 'static) -> Self {
        NativeCall::with_scratch(name, Vec::new(), run)
    }

    /// A call with scratch buffers of the given sizes.
    pub fn with_scratch(
        name: &'static str,
        scratch: Vec<usize>,
        run: impl Fn(&NativeArgs<'_>) + Send + Sync + 'static,
    ) -> Self {
        NativeCall { name, scratch, prepared: Vec::new(), alone: None, run: Box::new(run) }
    }
}

/// Another form of an input, such as packed weights. A device makes it once for all calls between two writes of that input.
pub struct Prepare {
    /// Name for profiles.
    pub name: &'static str,
    /// Which input of the call.
    pub input: usize,
    /// The same for forms of one input that are the same.
    pub key: String,
    /// Length in words.
    pub words: usize,
    /// Makes the form, all of it, of the input's elements.
    pub run: Box<PrepareFn>,
}

/// From an input to a form of it.
pub type PrepareFn = dyn Fn(&[f32], &mut [f32]) + Send + Sync;

impl fmt::Debug for Prepare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepare").field("input", &self.input).field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for NativeCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeCall").field("name", &self.name).field("scratch", &self.scratch).finish_non_exhaustive()
    }
}

/// Address and length of one operand, fixed when a program is compiled.
#[derive(Clone, Copy, Debug)]
pub struct RawSlice {
    /// First word.
    pub pointer: *mut u32,
    /// Number of words.
    pub words: usize,
}

// SAFETY: a RawSlice is an address; every access through it goes through `NativeArgs`, whose constructor demands that
// the memory lives and that no two operands of one call overlap.
unsafe impl Send for RawSlice {}
// SAFETY: as above.
unsafe impl Sync for RawSlice {}

/// The operands of one native call.
///
/// An output that is updated in place shares its memory with the input: kernels read the old value through
/// [`NativeArgs::output`] and never through [`NativeArgs::input`].
pub struct NativeArgs<'a> {
    inputs: &'a [RawSlice],
    outputs: &'a [RawSlice],
    scratch: &'a [RawSlice],
    prepared: &'a [RawSlice],
}

impl<'a> NativeArgs<'a> {
    /// # Safety
    /// All slices point to live, 4-byte aligned memory for `'a`, nothing else reads or writes the outputs and scratch
    /// meanwhile, and outputs and scratch do not overlap each other or an input that the kernel reads.
    pub unsafe fn new(
        inputs: &'a [RawSlice],
        outputs: &'a [RawSlice],
        scratch: &'a [RawSlice],
        prepared: &'a [RawSlice],
    ) -> Self {
        NativeArgs { inputs, outputs, scratch, prepared }
    }

    /// Form `i` of [`NativeCall::prepared`].
    pub fn prepared(&self, i: usize) -> &'a [f32] {
        let s = self.prepared[i];
        // SAFETY: as in `input`.
        unsafe { std::slice::from_raw_parts(s.pointer.cast(), s.words) }
    }

    /// Input `i` as f32.
    pub fn input(&self, i: usize) -> &'a [f32] {
        let s = self.inputs[i];
        // SAFETY: `new` demands live, aligned memory without writers; every bit pattern is an f32.
        unsafe { std::slice::from_raw_parts(s.pointer.cast(), s.words) }
    }

    /// Input `i` as u32.
    pub fn input_u32(&self, i: usize) -> &'a [u32] {
        let s = self.inputs[i];
        // SAFETY: as in `input`.
        unsafe { std::slice::from_raw_parts(s.pointer, s.words) }
    }

    /// Output `i` as f32. Take each output once per call.
    pub fn output(&self, i: usize) -> &'a mut [f32] {
        let s = self.outputs[i];
        // SAFETY: `new` demands that nothing else touches an output during the call.
        unsafe { std::slice::from_raw_parts_mut(s.pointer.cast(), s.words) }
    }

    /// Output `i` as u32. Take each output once per call.
    pub fn output_u32(&self, i: usize) -> &'a mut [u32] {
        let s = self.outputs[i];
        // SAFETY: as in `output`.
        unsafe { std::slice::from_raw_parts_mut(s.pointer, s.words) }
    }

    /// Address of output `i`, for kernels that hand parts of it to several threads.
    pub fn raw_output(&self, i: usize) -> RawSlice {
        self.outputs[i]
    }

    /// Scratch buffer `i`, contents undefined. Take each once per call.
    pub fn scratch(&self, i: usize) -> &'a mut [f32] {
        let s = self.scratch[i];
        // SAFETY: as in `output`.
        unsafe { std::slice::from_raw_parts_mut(s.pointer.cast(), s.words) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_from_the_text() {
        let source =
            "struct Params {\n    A: u32,\n    // Of b.\n    B: i32,\n    C: f32,\n}\nstruct Other {\n    D: u32,\n}";
        let of = |source| Shader { name: "s", files: &[], source, bindings: &[] }.params();
        assert_eq!(of(source), [("A", Scalar::U32), ("B", Scalar::I32), ("C", Scalar::F32)]);
        assert_eq!(of("fn main() {}"), []);
        assert_eq!(Scalar::I32.word(-1.0), u32::MAX);
        assert_eq!(Scalar::U32.word(4e9), 4_000_000_000);
        assert_eq!(Scalar::F32.word(0.1f32.into()), 0.1f32.to_bits());
    }

    #[test]
    fn grids_fold_into_two_axes() {
        let limits = GpuLimits::PORTABLE;
        assert_eq!(limits.fold(0), Some([1, 1, 1]));
        assert_eq!(limits.fold(65_535), Some([65_535, 1, 1]));
        let [x, y, _] = limits.fold(65_536).unwrap();
        assert!(x as usize * y as usize >= 65_536 && x <= 65_535 && y == 2);
        assert_eq!(limits.fold(usize::MAX / 2), None);
    }

    #[test]
    fn chunks_cover_everything_and_stay_aligned() {
        let limits = GpuLimits { binding_words: 1000, ..GpuLimits::PORTABLE };
        assert_eq!(limits.chunks(10, &[100], 0).unwrap(), vec![(0, 10)]);
        // 7 words an item: only every 64th item begins at a multiple of 64 words.
        let cut = limits.chunks(300, &[7], 0).unwrap();
        assert_eq!(cut, vec![(0, 128), (128, 128), (256, 44)]);
        assert_eq!(limits.chunks(3, &[999], 0), None, "64 aligned items of 999 words exceed the binding");
    }

    #[test]
    fn long_work_is_cut_into_short_dispatches() {
        let limits = GpuLimits { dispatch_flops: 1000, ..GpuLimits::PORTABLE };
        assert_eq!(limits.chunks(10, &[64], 100).unwrap(), vec![(0, 10)], "just short enough");
        assert_eq!(limits.chunks(10, &[64], 101).unwrap(), vec![(0, 5), (5, 5)], "of one size");
        assert_eq!(limits.chunks(3, &[64], 1_000_000).unwrap(), vec![(0, 1), (1, 1), (2, 1)], "an item is not cut");
        assert_eq!(limits.chunks(6, &[32], 1_000_000).unwrap(), vec![(0, 2), (2, 2), (4, 2)], "nor an aligned run");
        assert_eq!(GpuLimits::flops_at(1e12), 100_000_000_000);
    }
}
