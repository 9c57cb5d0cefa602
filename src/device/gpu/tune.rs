//! The choice among kernels that do the same work: each is timed once, on buffers of its own, and the fastest is kept.
//!
//! All variants of a kernel add in one order (see [`crate::kernel::Variant`]), so the choice moves time, not results.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::context::Context;
use super::params::AllParams;
use super::pipelines::{Made, Needs, Pipelines};
use super::program;
use super::stopwatch::Stopwatch;
use super::tuning::Choices;
use crate::error::Result;
use crate::graph::Plan;
use crate::graph::plan::Step;
use crate::kernel::{Bind, Dispatch, GpuCall, GpuLimits, Operand, Variant};

/// Time for all measurements of one compilation, the largest work first. What is left over takes the built-in rule, and its turn in the
/// next process.
const BUDGET: Duration = Duration::from_millis(1000);
/// Timed submissions per kernel, of which the best counts.
const TIMINGS: usize = 3;
/// Least seconds of a timed submission; a kernel is repeated to fill it.
const LONG_ENOUGH: f64 = 1e-3;
const MOST_REPEATS: usize = 64;
/// A kernel whose first run takes that many times the best so far is not looked at again.
const HOPELESS: f64 = 2.0;

/// The choices of one device.
pub(super) struct Tuner {
    choices: Choices,
    stopwatch: Stopwatch,
}

/// A way to do a step's work.
struct Offer {
    /// `None` for the built-in rule.
    variant: Option<Variant>,
    call: GpuCall,
}

impl Tuner {
    pub(super) fn new(context: &Context, choices: Choices) -> Result<Tuner> {
        Ok(Tuner { choices, stopwatch: Stopwatch::new(context)? })
    }

    /// The dispatches of every step of `plan`, by the fastest kernels known or measured now.
    pub(super) fn choose(&mut self, context: &Context, pipelines: &mut Pipelines, plan: &Plan) -> Result<Vec<GpuCall>> {
        let begun = Instant::now();
        let mut calls: Vec<Option<GpuCall>> = Vec::with_capacity(plan.steps.len());
        // Steps that share a key share a choice.
        let mut open: HashMap<String, Vec<usize>> = HashMap::new();
        let mut order: Vec<(u64, String)> = Vec::new();
        for (at, step) in plan.steps.iter().enumerate() {
            let mut offers = offers(step, &context.limits)?;
            if offers.len() == 1 {
                calls.push(offers.pop().map(|offer| offer.call));
                continue;
            }
            let key = key(step, &offers);
            if let Some(known) = self.choices.get(&key) {
                let found = offers.iter().position(|offer| offer.variant == known);
                calls.push(Some(offers.swap_remove(found.unwrap_or(0)).call));
                continue;
            }
            calls.push(None);
            if !open.contains_key(&key) {
                order.push((step.op.cost(&step.signature).flops, key.clone()));
            }
            open.entry(key).or_default().push(at);
        }
        order.sort_by_key(|&(flops, _)| std::cmp::Reverse(flops));
        for (_, key) in order {
            let steps = &open[&key];
            let step = &plan.steps[steps[0]];
            let mut offers = offers(step, &context.limits)?;
            let mut chosen = 0;
            if begun.elapsed() < BUDGET {
                let (fastest, seconds) = self.fastest(context, pipelines, step, &offers)?;
                self.choices.set(key.clone(), offers[fastest].variant, seconds);
                chosen = fastest;
            }
            let call = offers.swap_remove(chosen).call;
            for &at in steps {
                calls[at] = Some(call.clone());
            }
        }
        self.choices.keep();
        Ok(calls.into_iter().map(|call| call.expect("every step has a choice")).collect())
    }

    /// The place of the fastest offer, and its seconds.
    fn fastest(
        &mut self,
        context: &Context,
        pipelines: &mut Pipelines,
        step: &Step,
        offers: &[Offer],
    ) -> Result<(usize, f64)> {
        let buffers = Buffers::new(context, step, offers)?;
        let dispatches: Vec<&Dispatch> = offers.iter().flat_map(|offer| &offer.call.dispatches).collect();
        pipelines.prepare(context, &dispatches)?;
        let mut best = (0, f64::INFINITY);
        for (place, offer) in offers.iter().enumerate() {
            let seconds = self.seconds(context, pipelines, step, &offer.call, &buffers, best.1)?;
            if seconds < best.1 {
                best = (place, seconds);
            }
        }
        for (_, loser) in offers.iter().enumerate().filter(|(place, _)| *place != best.0) {
            loser.call.dispatches.iter().for_each(|dispatch| pipelines.forget(dispatch));
        }
        Ok(best)
    }

    /// Seconds of one run of `call`, without the making of forms, which other steps share; infinite once it is clear that it takes much more
    /// than `best`.
    fn seconds(
        &mut self,
        context: &Context,
        pipelines: &mut Pipelines,
        step: &Step,
        call: &GpuCall,
        buffers: &Buffers,
        best: f64,
    ) -> Result<f64> {
        let mut all_params = AllParams::default();
        let mut needs = Vec::with_capacity(call.dispatches.len());
        for dispatch in &call.dispatches {
            let Needs { layout, params } = pipelines.needs(context, dispatch)?;
            needs.push((dispatch, layout, all_params.place(params)));
        }
        let buffer = all_params.buffer(context)?;
        let mut ready = Vec::with_capacity(needs.len());
        for (dispatch, layout, params) in needs {
            let find = |bind: &Bind| {
                let words = match bind.words {
                    0 => buffers.words(bind.operand, step, call),
                    words => words,
                };
                (buffers.place(bind.operand, bind.offset), words)
            };
            let params = params.as_ref().zip(buffer.as_ref());
            let Made { pipeline, .. } = pipelines.get(context, dispatch)?;
            ready.push((pipeline, program::bind(context, &layout, dispatch, step, find, params)?, dispatch.groups));
        }
        let time = |repeats: usize| {
            self.stopwatch.seconds(context, |pass| {
                for _ in 0..repeats {
                    for (pipeline, bindings, [x, y, z]) in &ready {
                        pass.set_pipeline(pipeline);
                        pass.set_bind_group(0, bindings, &[]);
                        pass.dispatch_workgroups(*x, *y, *z);
                    }
                }
            })
        };
        // The first run meets cold caches, and on some drivers a compiler.
        time(1)?;
        let first = time(1)?;
        if first > HOPELESS * best {
            return Ok(f64::INFINITY);
        }
        let repeats = ((LONG_ENOUGH / first.max(1e-9)).ceil() as usize).clamp(1, MOST_REPEATS);
        let mut least = first;
        for _ in 0..TIMINGS {
            least = least.min(time(repeats)? / repeats as f64);
        }
        Ok(least)
    }
}

/// The different calls that the variants make of a step, the built-in rule's first.
fn offers(step: &Step, limits: &GpuLimits) -> Result<Vec<Offer>> {
    let mut offers = vec![Offer { variant: None, call: step.op.gpu(&step.signature, limits)? }];
    if limits.variant.is_some() {
        return Ok(offers);
    }
    for variant in Variant::candidates(limits) {
        let call = step.op.gpu(&step.signature, &GpuLimits { variant: Some(variant), ..*limits })?;
        if offers.iter().all(|offer| !same(&offer.call, &call)) {
            offers.push(Offer { variant: Some(variant), call });
        }
    }
    Ok(offers)
}

fn same(a: &GpuCall, b: &GpuCall) -> bool {
    let of = |d: &Dispatch| (d.shader.name, d.groups, d.overrides.clone());
    a.dispatches.len() == b.dispatches.len() && a.dispatches.iter().zip(&b.dispatches).all(|(a, b)| of(a) == of(b))
}

/// What a choice is good for: the op and its shapes for a reader, and a digest of all that is chosen among, shader texts included.
fn key(step: &Step, offers: &[Offer]) -> String {
    let mut digest = Sha256::new();
    for dispatch in offers.iter().flat_map(|offer| &offer.call.dispatches) {
        digest.update(dispatch.shader.source.as_bytes());
        digest.update(format!("{:?} {:?} {:?};", dispatch.overrides, dispatch.groups, dispatch.binds).as_bytes());
    }
    let digest: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let shapes: Vec<String> = step.signature.inputs.iter().map(|ty| ty.shape.to_string()).collect();
    format!("{} {} {digest}", step.op.name(), shapes.join(" "))
}

/// The greatest of the first sizes, of the second ones, and so on.
fn most_words(sizes: impl Iterator<Item = Vec<usize>>) -> Vec<usize> {
    let mut most = Vec::new();
    for sizes in sizes {
        most.resize(most.len().max(sizes.len()), 0);
        most.iter_mut().zip(sizes).for_each(|(most, words)| *most = words.max(*most));
    }
    most
}

/// Operands of one step that belong to nobody else.
struct Buffers {
    inputs: Vec<wgpu::Buffer>,
    outputs: Vec<wgpu::Buffer>,
    scratch: Vec<wgpu::Buffer>,
    forms: Vec<wgpu::Buffer>,
}

impl Buffers {
    fn new(context: &Context, step: &Step, offers: &[Offer]) -> Result<Buffers> {
        let make = |words: usize| context.buffer("tuning", words);
        let calls = || offers.iter().map(|offer| &offer.call);
        let scratch = most_words(calls().map(|call| call.scratch.clone()));
        let forms = most_words(calls().map(|call| call.prepared.iter().map(|form| form.words).collect()));
        Ok(Buffers {
            inputs: step.signature.inputs.iter().map(|ty| make(ty.elements())).collect::<Result<_>>()?,
            outputs: step.signature.outputs.iter().map(|ty| make(ty.elements())).collect::<Result<_>>()?,
            scratch: scratch.into_iter().map(make).collect::<Result<_>>()?,
            forms: forms.into_iter().map(make).collect::<Result<_>>()?,
        })
    }

    fn place(&self, operand: Operand, first: usize) -> program::Place {
        let buffer = match operand {
            Operand::Input(i) => &self.inputs[i],
            Operand::Output(i) => &self.outputs[i],
            Operand::Scratch(i) => &self.scratch[i],
            Operand::Form(i) => &self.forms[i],
        };
        program::Place { buffer: buffer.clone(), first }
    }

    fn words(&self, operand: Operand, step: &Step, call: &GpuCall) -> usize {
        match operand {
            Operand::Input(i) => step.signature.inputs[i].elements(),
            Operand::Output(i) => step.signature.outputs[i].elements(),
            Operand::Scratch(i) => call.scratch[i],
            Operand::Form(i) => call.prepared[i].words,
        }
    }
}
