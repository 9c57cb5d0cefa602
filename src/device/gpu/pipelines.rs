//! Compute pipelines, made once per (shader, constants).

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::context::Context;
use super::pipeline_cache::PipelineCache;
use crate::error::Result;
use crate::kernel::{Access, Dispatch, Scalar, Shader};

/// What tells two pipelines apart: the shader's name and the bits of its constants.
type Key = (&'static str, Vec<(&'static str, u64)>);

struct Module {
    module: wgpu::ShaderModule,
    bindings: wgpu::BindGroupLayout,
    layout: wgpu::PipelineLayout,
    params: Vec<(&'static str, Scalar)>,
}

impl Module {
    fn is_param(&self, name: &str) -> bool {
        self.params.iter().any(|(param, _)| *param == name)
    }

    /// The constants of a dispatch that its pipeline is made with.
    fn constants(&self, dispatch: &Dispatch) -> Vec<(&'static str, f64)> {
        dispatch.overrides.iter().filter(|(name, _)| !self.is_param(name)).copied().collect()
    }

    /// Its parameters, in the order of the shader.
    fn words(&self, context: &Context, dispatch: &Dispatch) -> Result<Vec<u32>> {
        let given = |param: &str| dispatch.overrides.iter().find(|(name, _)| *name == param).map(|(_, value)| *value);
        let word = |&(param, scalar): &(&str, Scalar)| match given(param) {
            Some(value) => Ok(scalar.word(value)),
            None => Err(context.error(format!("kernel {}: no value for {param}", dispatch.shader.name))),
        };
        self.params.iter().map(word).collect()
    }
}

/// What the bindings of a dispatch need.
pub(super) struct Needs {
    pub(super) layout: wgpu::BindGroupLayout,
    /// Words of the buffer behind the dispatch's bindings, if there is one.
    pub(super) params: Vec<u32>,
}

/// A pipeline, and whether it has just been made.
pub(super) struct Made {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) fresh: bool,
}

/// All shader modules and pipelines of a session.
#[derive(Default)]
pub(super) struct Pipelines {
    modules: HashMap<&'static str, Module>,
    pipelines: HashMap<Key, wgpu::ComputePipeline>,
    cache: Option<PipelineCache>,
    /// Whether any was made since they were kept.
    fresh: bool,
}

impl Pipelines {
    /// None yet, with what `cache` has of earlier processes.
    pub(super) fn new(cache: Option<PipelineCache>) -> Pipelines {
        Pipelines { cache, ..Pipelines::default() }
    }

    /// Keeps what the driver has compiled.
    pub(super) fn keep(&mut self) {
        if std::mem::take(&mut self.fresh) {
            self.cache.iter_mut().for_each(PipelineCache::keep);
        }
    }

    fn module(&mut self, context: &Context, shader: &'static Shader) -> Result<&Module> {
        if !self.modules.contains_key(shader.name) {
            self.modules.insert(shader.name, module(context, shader)?);
        }
        Ok(&self.modules[shader.name])
    }

    /// Makes what `dispatches` need and there is not yet, on all cores: the drivers of hardware compile a pipeline when it is made. Those of
    /// software compile on a thread of their own when a pipeline is first dispatched, so one after the other keeps both busy.
    pub(super) fn prepare(&mut self, context: &Context, dispatches: &[&Dispatch]) -> Result<()> {
        if context.limits.software {
            return Ok(());
        }
        let mut seen = HashSet::new();
        let shaders = dispatches.iter().map(|dispatch| dispatch.shader);
        let shaders: Vec<_> = shaders.filter(|s| !self.modules.contains_key(s.name) && seen.insert(s.name)).collect();
        let modules: Vec<_> = shaders.par_iter().map(|shader| module(context, shader)).collect();
        for (shader, module) in shaders.iter().zip(modules) {
            self.modules.insert(shader.name, module?);
        }
        let mut seen = HashSet::new();
        let mut missing = Vec::new();
        for dispatch in dispatches {
            let name = dispatch.shader.name;
            let constants = self.modules[name].constants(dispatch);
            let key = key(name, &constants);
            if !self.pipelines.contains_key(&key) && seen.insert(key.clone()) {
                missing.push((key, constants));
            }
        }
        let cache = self.cache.as_ref().map(PipelineCache::handle);
        let make =
            |((name, _), constants): &(Key, Vec<_>)| pipeline(context, name, constants, &self.modules[name], cache);
        let made: Vec<_> = missing.par_iter().map(make).collect();
        for ((key, _), pipeline) in missing.into_iter().zip(made) {
            self.fresh = true;
            self.pipelines.insert(key, pipeline?);
        }
        Ok(())
    }

    /// What the bindings of a dispatch need.
    pub(super) fn needs(&mut self, context: &Context, dispatch: &Dispatch) -> Result<Needs> {
        let module = self.module(context, dispatch.shader)?;
        Ok(Needs { layout: module.bindings.clone(), params: module.words(context, dispatch)? })
    }

    /// The pipeline of a dispatch.
    pub(super) fn get(&mut self, context: &Context, dispatch: &Dispatch) -> Result<Made> {
        let name = dispatch.shader.name;
        let constants = self.module(context, dispatch.shader)?.constants(dispatch);
        let key = key(name, &constants);
        if let Some(pipeline) = self.pipelines.get(&key) {
            return Ok(Made { pipeline: pipeline.clone(), fresh: false });
        }
        let cache = self.cache.as_ref().map(PipelineCache::handle);
        let pipeline = pipeline(context, name, &constants, &self.modules[name], cache)?;
        self.fresh = true;
        self.pipelines.insert(key, pipeline.clone());
        Ok(Made { pipeline, fresh: true })
    }

    /// Frees the pipeline of a dispatch, unless a program has it.
    pub(super) fn forget(&mut self, dispatch: &Dispatch) {
        let name = dispatch.shader.name;
        if let Some(module) = self.modules.get(name) {
            self.pipelines.remove(&key(name, &module.constants(dispatch)));
        }
    }
}

fn key(name: &'static str, constants: &[(&'static str, f64)]) -> Key {
    (name, constants.iter().map(|&(name, value)| (name, value.to_bits())).collect())
}

fn module(context: &Context, shader: &'static Shader) -> Result<Module> {
    let (device, params) = (&context.device, shader.params());
    context.scoped(&format_args!("kernel {}", shader.name), || {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(shader.name),
            source: wgpu::ShaderSource::Wgsl(shader.source.into()),
        };
        let module = if context.shader_checks {
            device.create_shader_module(descriptor)
        } else {
            // SAFETY: our shaders guard every index by the extents they are given, their loops end, and their divisors
            // are extents of at least 1. The tests run all of them with the checks on as well.
            unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        };
        let storage = |access| wgpu::BufferBindingType::Storage { read_only: access == Access::Read };
        let entry = |(i, (_, access)): (usize, &(_, Access))| layout_entry(storage(*access), shader.element_words(i));
        let mut entries: Vec<_> = shader.bindings.iter().enumerate().map(entry).collect();
        if !params.is_empty() {
            let ty = if shader.has_uniform() { wgpu::BufferBindingType::Uniform } else { storage(Access::Read) };
            entries.push(layout_entry(ty, params.len()));
        }
        entries.iter_mut().zip(0..).for_each(|(entry, binding)| entry.binding = binding);
        let bindings = device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(shader.name), entries: &entries });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(shader.name),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        Module { module, bindings, layout, params }
    })
}

/// A buffer of at least `words` words at binding 0. Where the least size is known, no dispatch has to be checked for it.
fn layout_entry(ty: wgpu::BufferBindingType, words: usize) -> wgpu::BindGroupLayoutEntry {
    let min_binding_size = wgpu::BufferSize::new(4 * words as u64);
    wgpu::BindGroupLayoutEntry {
        binding: 0,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size },
        count: None,
    }
}

fn pipeline(
    context: &Context,
    name: &str,
    constants: &[(&'static str, f64)],
    module: &Module,
    cache: Option<&wgpu::PipelineCache>,
) -> Result<wgpu::ComputePipeline> {
    context.scoped(&format_args!("kernel {name} with {constants:?}"), || {
        context.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&module.layout),
            module: &module.module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                // Every kernel writes its tiles before it reads them; the checked mode clears them all the same.
                zero_initialize_workgroup_memory: context.shader_checks,
            },
            cache,
        })
    })
}
