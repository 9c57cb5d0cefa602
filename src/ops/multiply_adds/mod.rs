//! Independent multiply-adds in registers: the yardstick of what a device can compute.
//!
//! y = Σ_k s_k over twelve chains k = 0 … 11 that begin at s_k = x + k and take 4 · rounds steps s_k ← s_k / 2 + 1/2. Closed form:
//! y = 12 + (12·(x − 1) + 66) / 2^(4·rounds). Shapes: x of any shape → y of that shape. No gradient flows.

mod cpu;
mod gpu;

use crate::error::Result;
use crate::graph::{Cost, Graph, Op, Signature, Value, traffic};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::native::peak::PER_ROUND;
use crate::ops::support::expect_types;
use crate::shape::{DType, TensorType};

/// Input x.
#[derive(Debug)]
struct MultiplyAdds {
    rounds: u32,
}

/// `rounds` rounds of 48 multiply-adds on each element of `x`.
pub fn multiply_adds(graph: &mut Graph, x: Value, rounds: u32) -> Result<Value> {
    graph.push1(MultiplyAdds { rounds }, &[x])
}

impl Op for MultiplyAdds {
    fn name(&self) -> &'static str {
        "multiply_adds"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32])?;
        Ok(inputs.to_vec())
    }

    /// The multiply-adds alone.
    fn cost(&self, signature: &Signature) -> Cost {
        let elements = signature.outputs[0].elements() as u64;
        Cost { flops: 2 * PER_ROUND as u64 * u64::from(self.rounds) * elements, bytes: traffic(signature) }
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(self, signature, limits)
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::call(self)
    }
}
