//! Compute pipelines, made once per (shader, constants).

use std::collections::HashMap;

use super::context::Context;
use super::pipeline_cache::PipelineCache;
use crate::error::Result;
use crate::kernel::{Access, Dispatch, Shader};

/// What tells two pipelines apart: the shader's name and the bits of its constants.
type Key = (&'static str, Vec<(&'static str, u64)>);

struct Module {
    module: wgpu::ShaderModule,
    bindings: wgpu::BindGroupLayout,
    layout: wgpu::PipelineLayout,
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

    /// The pipeline of a dispatch and the layout of its bindings.
    pub(super) fn get(
        &mut self,
        context: &Context,
        dispatch: &Dispatch,
    ) -> Result<(wgpu::ComputePipeline, &wgpu::BindGroupLayout)> {
        let shader = dispatch.shader;
        if !self.modules.contains_key(shader.name) {
            self.modules.insert(shader.name, module(context, shader)?);
        }
        let module = &self.modules[shader.name];
        let key = key(dispatch);
        let pipeline = match self.pipelines.get(&key) {
            Some(pipeline) => pipeline.clone(),
            None => {
                let cache = self.cache.as_ref().map(PipelineCache::handle);
                let pipeline = pipeline(context, dispatch, module, cache)?;
                self.fresh = true;
                self.pipelines.insert(key, pipeline.clone());
                pipeline
            }
        };
        Ok((pipeline, &module.bindings))
    }

    /// Frees the pipeline of a dispatch, unless a program has it.
    pub(super) fn forget(&mut self, dispatch: &Dispatch) {
        self.pipelines.remove(&key(dispatch));
    }
}

fn key(dispatch: &Dispatch) -> Key {
    (dispatch.shader.name, dispatch.overrides.iter().map(|&(name, value)| (name, value.to_bits())).collect())
}

fn module(context: &Context, shader: &'static Shader) -> Result<Module> {
    let device = &context.device;
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
        let entries: Vec<_> =
            shader.bindings.iter().enumerate().map(|(i, (_, access))| layout_entry(i, *access)).collect();
        let bindings = device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(shader.name), entries: &entries });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(shader.name),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        Module { module, bindings, layout }
    })
}

fn layout_entry(binding: usize, access: Access) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only: access == Access::Read },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    }
}

fn pipeline(
    context: &Context,
    dispatch: &Dispatch,
    module: &Module,
    cache: Option<&wgpu::PipelineCache>,
) -> Result<wgpu::ComputePipeline> {
    let name = dispatch.shader.name;
    context.scoped(&format_args!("kernel {name} with {:?}", dispatch.overrides), || {
        context.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&module.layout),
            module: &module.module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &dispatch.overrides,
                // Every kernel writes its tiles before it reads them; the checked mode clears them all the same.
                zero_initialize_workgroup_memory: context.shader_checks,
            },
            cache,
        })
    })
}
