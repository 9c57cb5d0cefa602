//! Which adapters there are, and which one a user means.

use std::fmt;

use crate::error::{Error, Result};
use crate::kernel::GpuLimits;

/// The backends whose drivers run compute shaders well. OpenGL does not guarantee enough storage buffers.
const BACKENDS: wgpu::Backends = wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

/// The adapter a user asks for, the part of `--device gpu:…` after the colon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selector {
    /// The first hardware adapter.
    #[default]
    Hardware,
    /// By index in [`adapters`].
    Index(usize),
    /// The first whose name contains this text, in any case.
    Name(String),
}

impl Selector {
    /// Reads `gpu`, `gpu:N` or `gpu:NAME`; `None` if `device` is none of them.
    pub fn parse(device: &str) -> Option<Selector> {
        match device.strip_prefix("gpu")? {
            "" => Some(Selector::Hardware),
            rest => {
                let which = rest.strip_prefix(':').filter(|which| !which.is_empty())?;
                Some(which.parse().map_or_else(|_| Selector::Name(which.to_string()), Selector::Index))
            }
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Hardware => f.write_str("gpu"),
            Selector::Index(index) => write!(f, "gpu:{index}"),
            Selector::Name(name) => write!(f, "gpu:{name}"),
        }
    }
}

/// What is known of an adapter before a device is opened on it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AdapterDescription {
    /// `gpu:N` chooses it.
    pub index: usize,
    /// Name of the hardware.
    pub name: String,
    /// `vulkan`, `metal`, `dx12`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `software`, `other`.
    pub kind: &'static str,
    /// Driver and its version.
    pub driver: String,
    /// PCI address, where the driver tells it.
    pub pci: String,
    /// Limits that decide how work is cut, with their units in the names.
    pub limits: Vec<(&'static str, u64)>,
    /// Names of the optional features.
    pub features: Vec<String>,
}

/// All adapters: hardware first, software last, otherwise in the driver's order.
pub async fn adapters() -> Vec<AdapterDescription> {
    enumerate().await.iter().enumerate().map(|(index, adapter)| describe(index, adapter)).collect()
}

pub(super) async fn enumerate() -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.backends = BACKENDS;
    // Indirect dispatches are not used; their validation would cap buffers at 4 GiB.
    descriptor.flags.remove(wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL);
    let mut adapters = wgpu::Instance::new(descriptor).enumerate_adapters(BACKENDS).await;
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    adapters
}

fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// The adapter that `selector` means, with its index.
pub(super) async fn choose(selector: &Selector) -> Result<(usize, wgpu::Adapter)> {
    let adapters = enumerate().await;
    let found = adapters.iter().position(|adapter| adapter.get_info().device_type != wgpu::DeviceType::Cpu);
    let found = match selector {
        Selector::Hardware => found,
        Selector::Index(index) => Some(*index).filter(|&index| index < adapters.len()),
        Selector::Name(name) => {
            let wanted = name.to_lowercase();
            adapters.iter().position(|adapter| adapter.get_info().name.to_lowercase().contains(&wanted))
        }
    };
    match found {
        Some(index) => Ok((index, adapters.into_iter().nth(index).expect("the index was found in the list"))),
        None => Err(Error::device(selector.to_string(), missing(selector, &adapters))),
    }
}

/// Why nothing was found, and what there is.
fn missing(selector: &Selector, adapters: &[wgpu::Adapter]) -> String {
    let names: Vec<String> =
        adapters.iter().enumerate().map(|(i, adapter)| format!("gpu:{i} = {}", adapter.get_info().name)).collect();
    match (selector, names.is_empty()) {
        (_, true) => "no GPU adapter found; install a Vulkan driver, or use --device cpu".to_string(),
        (Selector::Hardware, false) => {
            format!(
                "no hardware adapter; a software one must be named ({}), and --device cpu is faster",
                names.join(", ")
            )
        }
        _ => format!("no such adapter; there are {}", names.join(", ")),
    }
}

pub(super) fn backend_name(backend: wgpu::Backend) -> String {
    backend.to_string().to_lowercase()
}

pub(super) fn driver_name(info: &wgpu::AdapterInfo) -> String {
    format!("{} {}", info.driver, info.driver_info).trim().to_string()
}

fn describe(index: usize, adapter: &wgpu::Adapter) -> AdapterDescription {
    let info = adapter.get_info();
    let limits = adapter.limits();
    AdapterDescription {
        index,
        backend: backend_name(info.backend),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        },
        driver: driver_name(&info),
        pci: info.device_pci_bus_id,
        name: info.name,
        limits: vec![
            ("storage_binding_bytes", limits.max_storage_buffer_binding_size),
            ("buffer_bytes", limits.max_buffer_size),
            ("storage_buffers", limits.max_storage_buffers_per_shader_stage.into()),
            ("workgroup_bytes", limits.max_compute_workgroup_storage_size.into()),
            ("workgroup_invocations", limits.max_compute_invocations_per_workgroup.into()),
            ("workgroups_per_axis", limits.max_compute_workgroups_per_dimension.into()),
            ("binding_alignment_bytes", limits.min_storage_buffer_offset_alignment.into()),
        ],
        features: adapter.features().iter_names().map(|(name, _)| name.to_string()).collect(),
    }
}

/// The limits that ops cut their work by.
pub(super) fn gpu_limits(limits: &wgpu::Limits, kind: wgpu::DeviceType, subgroups: u32) -> GpuLimits {
    GpuLimits {
        // Kernels index words with u32; a quarter of its range leaves room for sums of indices.
        binding_words: (limits.max_storage_buffer_binding_size.min(limits.max_buffer_size) / 4).min(1 << 30) as usize,
        groups_per_axis: limits.max_compute_workgroups_per_dimension,
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        invocations: limits.max_compute_invocations_per_workgroup,
        // Random numbers come in blocks of four, which a cut must not part.
        offset_words: (limits.min_storage_buffer_offset_alignment as usize / 4).max(4),
        dispatch_flops: GpuLimits::flops_at(slowest(kind)),
        software: kind == wgpu::DeviceType::Cpu,
        subgroups,
        variant: None,
    }
}

/// Operations per second that the slow ones of a kind reach in these kernels.
fn slowest(kind: wgpu::DeviceType) -> f64 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 500e9,
        wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::VirtualGpu | wgpu::DeviceType::Other => 50e9,
        // With one core.
        wgpu::DeviceType::Cpu => 5e9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_read_the_device_option() {
        assert_eq!(Selector::parse("gpu"), Some(Selector::Hardware));
        assert_eq!(Selector::parse("gpu:1"), Some(Selector::Index(1)));
        assert_eq!(Selector::parse("gpu:llvmpipe"), Some(Selector::Name("llvmpipe".into())));
        for wrong in ["cpu", "gpu:", "gpux", "auto", ""] {
            assert_eq!(Selector::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Selector::parse("gpu:1").unwrap().to_string(), "gpu:1");
    }
}
