//! A compiled plan: where its values live, and the dispatches of one run.

use super::context::Context;
use super::params::{AllParams, Params};
use super::pipelines::{Made, Needs, Pipelines};
use super::staging::Staging;
use super::timestamps::Timestamps;
use crate::device::Launch;
use crate::device::sharing::{Form, Sharing, Wanted};
use crate::error::Result;
use crate::graph::plan::{Named, Step, Storage};
use crate::graph::{Cost, Plan};
use crate::kernel::{Bind, Dispatch, GpuCall, GpuPrepare, Operand};

/// A buffer, or the part of one from a word on.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) buffer: wgpu::Buffer,
    pub(super) first: usize,
}

impl Place {
    fn whole(buffer: wgpu::Buffer) -> Place {
        Place { buffer, first: 0 }
    }

    /// The binding of the first `words` words there.
    fn binding(&self, words: usize) -> wgpu::BufferBinding<'_> {
        let size = wgpu::BufferSize::new(4 * words as u64);
        wgpu::BufferBinding { buffer: &self.buffer, offset: 4 * self.first as u64, size }
    }
}

/// One dispatch, ready to be recorded.
struct Ready {
    launch: Launch,
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    groups: [u32; 3],
}

/// Inputs of at most this many words share one buffer, which one copy fills.
const SHARED_INPUT_WORDS: usize = 1 << 20;

pub(super) struct Compiled {
    pub(super) inputs: Vec<(Named, Place)>,
    pub(super) outputs: Vec<(Named, Place)>,
    /// The buffer that inputs share, if any do, and where its content comes through.
    shared: Option<(wgpu::Buffer, Staging)>,
    launches: Vec<Ready>,
    /// Words of inputs and constants, and of slots and forms.
    pub(super) input_words: usize,
    pub(super) slot_words: usize,
    /// Scratch that the launches are bound to.
    pub(super) scratch: Vec<wgpu::Buffer>,
}

/// Places of a program's inputs.
struct Inputs {
    places: Vec<(Named, Place)>,
    /// The buffer that all but very large ones share, and its words.
    shared: Option<wgpu::Buffer>,
    shared_words: usize,
}

/// Everything of a session that compiling needs.
pub(super) struct Compiler<'a> {
    pub(super) context: &'a Context,
    pub(super) pipelines: &'a mut Pipelines,
    /// Scratch buffers by index, shared by all nodes of all programs: dispatches run one after the other.
    pub(super) scratch: &'a mut Vec<wgpu::Buffer>,
    /// Buffers of the plan's states.
    pub(super) states: Vec<wgpu::Buffer>,
}

impl Compiler<'_> {
    /// Makes `plan` runnable, with the dispatches `calls` of its steps.
    pub(super) fn compile(mut self, plan: &Plan, calls: &[GpuCall]) -> Result<Compiled> {
        let context = self.context;
        let Inputs { places: inputs, shared, shared_words } = self.inputs(plan)?;
        let slots = plan.slots.iter().map(|&words| context.buffer("slot", words)).collect::<Result<Vec<_>>>()?;
        let mut constants = Vec::with_capacity(plan.constants.len());
        for words in &plan.constants {
            let buffer = context.buffer("constant", words.len())?;
            context.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(words));
            constants.push(buffer);
        }
        self.grow_scratch(calls)?;

        let place = |storage: &Storage| match *storage {
            Storage::Input(i) => inputs[i].1.clone(),
            Storage::State(i) => Place::whole(self.states[i].clone()),
            Storage::Constant(i) => Place::whole(constants[i].clone()),
            Storage::Slot(i) => Place::whole(slots[i].clone()),
        };
        let forms = forms(plan, calls);
        let mut form_buffers = Vec::with_capacity(forms.kinds.len());
        for words in &forms.kinds {
            form_buffers.push(context.buffer("form", *words)?);
        }
        let scheduled = scheduled(plan, calls, &forms);
        let dispatches: Vec<&Dispatch> = scheduled.iter().map(|of| of.dispatch).collect();
        self.pipelines.prepare(context, &dispatches)?;
        let mut all_params = AllParams::default();
        let mut needs = Vec::with_capacity(scheduled.len());
        for dispatch in dispatches {
            let Needs { layout, params } = self.pipelines.needs(context, dispatch)?;
            needs.push((layout, all_params.place(params)));
        }
        let buffer = all_params.buffer(context)?;
        let mut launches = Vec::with_capacity(scheduled.len());
        for (Scheduled { step, call, read, dispatch, cost }, (layout, params)) in scheduled.into_iter().zip(needs) {
            let scratch = &*self.scratch;
            let form = |i: usize| form_buffers[forms.kind(read[i])].clone();
            let find = |bind: &Bind| operand(step, call, &place, scratch, &form, bind);
            let bindings = bind(context, &layout, dispatch, step, find, params.as_ref().zip(buffer.as_ref()))?;
            let Made { pipeline, fresh } = self.pipelines.get(context, dispatch)?;
            let launch = Launch::new(dispatch.shader.name, step, cost);
            let ready = Ready { launch, pipeline, bindings, groups: dispatch.groups };
            if fresh && context.limits.software {
                ready.warm_up(context);
            }
            launches.push(ready);
        }
        let outputs = plan.outputs.iter().map(|(named, storage)| (named.clone(), place(storage))).collect();
        let large: usize = plan.inputs.iter().map(|n| n.ty.elements()).filter(|&w| w > SHARED_INPUT_WORDS).sum();
        Ok(Compiled {
            outputs,
            shared: shared.map(|shared| (shared, Staging::new(4 * shared_words as u64))),
            launches,
            input_words: large + shared_words + plan.constants.iter().map(|c| c.len()).sum::<usize>(),
            slot_words: plan.slots.iter().chain(&forms.kinds).sum(),
            scratch: self.scratch.clone(),
            inputs,
        })
    }

    fn inputs(&self, plan: &Plan) -> Result<Inputs> {
        let context = self.context;
        let is_shared = |named: &Named| named.ty.elements() <= SHARED_INPUT_WORDS;
        // Each begins where a binding may.
        let cell = |named: &Named| named.ty.elements().max(1).next_multiple_of(context.limits.offset_words);
        let shared_words = plan.inputs.iter().filter(|named| is_shared(named)).map(cell).sum();
        let shared = if shared_words > 0 { Some(context.buffer("inputs", shared_words)?) } else { None };
        let mut used = 0;
        let mut places = Vec::with_capacity(plan.inputs.len());
        for named in &plan.inputs {
            let place = match shared.as_ref().filter(|_| is_shared(named)) {
                Some(shared) => {
                    used += cell(named);
                    Place { buffer: shared.clone(), first: used - cell(named) }
                }
                None => Place::whole(context.buffer(&named.name, named.ty.elements())?),
            };
            places.push((named.clone(), place));
        }
        Ok(Inputs { places, shared, shared_words })
    }

    /// Makes the shared scratch large enough. Programs compiled earlier keep the buffers that they are bound to.
    fn grow_scratch(&mut self, calls: &[GpuCall]) -> Result<()> {
        for call in calls {
            for (i, &words) in call.scratch.iter().enumerate() {
                if i == self.scratch.len() {
                    self.scratch.push(self.context.buffer("scratch", words)?);
                } else if self.scratch[i].size() < 4 * words as u64 {
                    self.scratch[i] = self.context.buffer("scratch", words)?;
                }
            }
        }
        Ok(())
    }
}

/// The forms of inputs that the calls share.
fn forms<'a>(plan: &Plan, calls: &'a [GpuCall]) -> Sharing {
    Sharing::new(plan.steps.iter().zip(calls).map(|(step, call)| {
        let wanted = |p: &'a GpuPrepare| Wanted { source: step.inputs[p.input], key: &p.key, words: p.words };
        (call.prepared.iter().map(wanted).collect(), step.outputs.clone())
    }))
}

/// A dispatch in its place.
struct Scheduled<'a> {
    step: &'a Step,
    call: &'a GpuCall,
    /// The forms that the call reads.
    read: &'a [Form],
    dispatch: &'a Dispatch,
    cost: Cost,
}

/// All dispatches in order, those that make a form before the first call that reads it.
fn scheduled<'a>(plan: &'a Plan, calls: &'a [GpuCall], forms: &'a Sharing) -> Vec<Scheduled<'a>> {
    let mut all = Vec::new();
    for ((step, call), read) in plan.steps.iter().zip(calls).zip(&forms.of_calls) {
        let new = call.prepared.iter().zip(read).filter(|(_, form)| form.is_new);
        let making = new.flat_map(|(prepare, _)| &prepare.dispatches).map(|dispatch| (dispatch, Cost::default()));
        let costs = shares(step.op.cost(&step.signature), call);
        let dispatches = making.chain(call.dispatches.iter().zip(costs));
        all.extend(dispatches.map(|(dispatch, cost)| Scheduled { step, call, read, dispatch, cost }));
    }
    all
}

/// The cost of an op over its dispatches: see [`Launch::cost`].
fn shares(cost: Cost, call: &GpuCall) -> Vec<Cost> {
    let groups = |dispatch: &Dispatch| match dispatch.shader.name == call.dispatches[call.main].shader.name {
        true => dispatch.groups.iter().map(|&g| u128::from(g)).product(),
        false => 0,
    };
    let all: u128 = call.dispatches.iter().map(groups).sum();
    // Differences of rounded running sums add up exactly.
    let part = |whole: u64, done: u128| (u128::from(whole) * done / all.max(1)) as u64;
    let mut done = 0;
    let cut = |dispatch: &Dispatch| {
        let before = done;
        done += groups(dispatch);
        let of = |whole: u64| part(whole, done) - part(whole, before);
        Cost { flops: of(cost.flops), bytes: of(cost.bytes) }
    };
    call.dispatches.iter().map(cut).collect()
}

/// The bindings of a dispatch; `find` says which words each of them means, and `params` where its parameters are, if it has any.
pub(super) fn bind(
    context: &Context,
    layout: &wgpu::BindGroupLayout,
    dispatch: &Dispatch,
    step: &Step,
    find: impl Fn(&Bind) -> (Place, usize),
    params: Option<(&Params, &wgpu::Buffer)>,
) -> Result<wgpu::BindGroup> {
    let (name, op) = (dispatch.shader.name, step.op.name());
    let bound: Vec<(Place, usize)> = dispatch.binds.iter().map(find).collect();
    let most = context.limits.binding_words;
    if let Some((_, words)) = bound.iter().find(|(_, words)| *words > most) {
        let message = format!("{op}: an operand of {} bytes, this adapter binds at most {}", 4 * words, 4 * most);
        return Err(context.error(message));
    }
    let bindings = bound.iter().map(|(at, words)| at.binding(*words));
    let bindings = bindings.chain(params.map(|(params, buffer)| params.binding(buffer)));
    let entries: Vec<_> = (0..).zip(bindings).map(|(binding, buffer)| entry(binding, buffer)).collect();
    context.scoped(&format_args!("bindings of {name} in {op}"), || {
        let descriptor = wgpu::BindGroupDescriptor { label: Some(name), layout, entries: &entries };
        context.device.create_bind_group(&descriptor)
    })
}

/// Place and length in words of what `bind` means.
fn operand(
    step: &Step,
    call: &GpuCall,
    place: &impl Fn(&Storage) -> Place,
    scratch: &[wgpu::Buffer],
    form: &impl Fn(usize) -> wgpu::Buffer,
    bind: &Bind,
) -> (Place, usize) {
    let (mut at, whole) = match bind.operand {
        Operand::Input(i) => (place(&step.inputs[i]), step.signature.inputs[i].elements()),
        Operand::Output(i) => (place(&step.outputs[i]), step.signature.outputs[i].elements()),
        Operand::Scratch(i) => (Place::whole(scratch[i].clone()), call.scratch[i]),
        Operand::Form(i) => (Place::whole(form(i)), call.prepared[i].words),
    };
    at.first += bind.offset;
    (at, if bind.words == 0 { whole } else { bind.words })
}

fn entry(binding: u32, buffer: wgpu::BufferBinding<'_>) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(buffer) }
}

impl Compiled {
    /// Puts the inputs, `bytes` of each, where [`Compiled::record_upload`] takes them from; queues those with a buffer of their own.
    pub(super) fn stage<'a>(
        &self,
        context: &Context,
        bytes: impl Fn(&Named) -> Result<&'a [u8]>,
    ) -> Result<Option<wgpu::Buffer>> {
        let is_shared = |place: &Place| self.shared.as_ref().is_some_and(|(shared, _)| *shared == place.buffer);
        for (named, place) in self.inputs.iter().filter(|(_, place)| !is_shared(place)) {
            context.queue.write_buffer(&place.buffer, 0, bytes(named)?);
        }
        let Some((_, staging)) = &self.shared else { return Ok(None) };
        let staged = staging.fill(context, |view| {
            for (named, place) in self.inputs.iter().filter(|(_, place)| is_shared(place)) {
                let (bytes, first) = (bytes(named)?, 4 * place.first);
                view.slice(first..first + bytes.len()).copy_from_slice(bytes);
            }
            Ok(())
        });
        staged.map(Some)
    }

    /// Takes back what [`Compiled::stage`] gave, after the submission of its copy.
    pub(super) fn take_back(&self, staged: Option<wgpu::Buffer>) {
        if let Some((staged, (_, staging))) = staged.zip(self.shared.as_ref()) {
            staging.take_back(staged);
        }
    }

    /// Records the copy of what was staged.
    pub(super) fn record_upload(&self, encoder: &mut wgpu::CommandEncoder, staged: Option<&wgpu::Buffer>) {
        if let Some((staged, (shared, _))) = staged.zip(self.shared.as_ref()) {
            encoder.copy_buffer_to_buffer(staged, 0, shared, 0, staged.size());
        }
    }

    /// Records one run, with the copy of what was staged, as one compute pass; wgpu orders dispatches that share a buffer.
    pub(super) fn record(&self, device: &wgpu::Device, staged: Option<&wgpu::Buffer>) -> wgpu::CommandBuffer {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("run") });
        self.record_upload(&mut encoder, staged);
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            let mut current = None;
            for ready in &self.launches {
                if current != Some(&ready.pipeline) {
                    pass.set_pipeline(&ready.pipeline);
                    current = Some(&ready.pipeline);
                }
                ready.dispatch(&mut pass);
            }
        }
        encoder.finish()
    }

    /// Records one run as one compute pass per launch, with timestamps around each.
    pub(super) fn record_timed(&self, device: &wgpu::Device, timestamps: &Timestamps) -> wgpu::CommandBuffer {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("traced run") });
        for (index, ready) in self.launches.iter().enumerate() {
            ready.pass(&mut encoder, Some(timestamps.around(index)));
        }
        timestamps.resolve(&mut encoder, self.launches.len());
        encoder.finish()
    }

    /// Records each launch alone.
    pub(super) fn record_apart<'a>(
        &'a self,
        device: &'a wgpu::Device,
    ) -> impl Iterator<Item = wgpu::CommandBuffer> + 'a {
        self.launches.iter().map(move |ready| {
            let label = Some(ready.launch.kernel);
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label });
            ready.pass(&mut encoder, None);
            encoder.finish()
        })
    }

    /// The launches, in order.
    pub(super) fn launches(&self) -> Vec<Launch> {
        self.launches.iter().map(|ready| ready.launch.clone()).collect()
    }
}

impl Ready {
    fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_bind_group(0, &self.bindings, &[]);
        let [x, y, z] = self.groups;
        pass.dispatch_workgroups(x, y, z);
    }

    /// Submits a dispatch of nothing: the drivers of software adapters compile a kernel when it is first dispatched, on a thread of their own,
    /// and so do it while the next pipelines are made.
    fn warm_up(&self, context: &Context) {
        let label = Some("warming up");
        let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label });
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label, timestamp_writes: None });
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.bindings, &[]);
            pass.dispatch_workgroups(0, 0, 0);
        }
        context.queue.submit([encoder.finish()]);
    }

    /// A compute pass of this launch alone.
    fn pass(&self, encoder: &mut wgpu::CommandEncoder, timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>) {
        let label = Some(self.launch.kernel);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label, timestamp_writes });
        pass.set_pipeline(&self.pipeline);
        self.dispatch(&mut pass);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Shader;

    static FIRST: Shader = Shader { name: "first", files: &[], source: "", bindings: &[] };
    static SUM: Shader = Shader { name: "sum", files: &[], source: "", bindings: &[] };

    #[test]
    fn the_dispatches_of_an_op_share_its_cost() {
        let dispatch =
            |shader, groups| Dispatch { shader, binds: Vec::new(), overrides: Vec::new(), groups: [groups, 1, 1] };
        let dispatches = vec![dispatch(&FIRST, 1), dispatch(&FIRST, 2), dispatch(&SUM, 5), dispatch(&FIRST, 4)];
        let call = GpuCall { dispatches, ..GpuCall::default() };
        let of = |call: &GpuCall| {
            let costs = shares(Cost { flops: 100, bytes: 7 }, call);
            [|c: &Cost| c.flops, |c: &Cost| c.bytes].map(|f| costs.iter().map(f).collect::<Vec<_>>())
        };
        assert_eq!(of(&call), [vec![14, 28, 0, 58], vec![1, 2, 0, 4]]);
        assert_eq!(of(&GpuCall { main: 2, ..call }), [vec![0, 0, 100, 0], vec![0, 0, 7, 0]]);
    }
}
