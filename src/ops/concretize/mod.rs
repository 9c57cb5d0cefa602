//! The least value of a linear function over a box: where a backward bound ends.
//!
//! d = Σ aᵢ · (aᵢ > 0 ? below : above)ᵢ, with the box relative to a fixed point of the sample: below = lower − x̂ ≤ 0,
//! above = upper − x̂ ≥ 0. Gradient with respect to a: the chosen corner.
//!
//! Shapes: coefficients `[R,C,KH,KW]`, box `[N,2,C,H,W]` (below, above), rows u32 `[R,4]` → `[R]`. What lies outside the image counts nothing.

mod cpu;
mod gpu;

use crate::error::{Error, Result};
use crate::graph::{Backward, Cost, Graph, Op, Signature, Value, traffic};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::ops::window::{Placement, Window, expect_rows};
use crate::shape::{DType, TensorType};

/// Inputs coefficients, box, rows.
#[derive(Clone, Debug)]
struct Concretize {
    window: Window,
}

/// Gradient with respect to the coefficients. Inputs coefficients, box, rows, gradient of the output.
#[derive(Clone, Debug)]
struct ConcretizeBackward(Concretize);

/// Least value of each row of coefficients `[R,C,KH,KW]` over its sample's box `[N,2,C,H,W]` → `[R]`.
pub fn concretize(
    graph: &mut Graph,
    coefficients: Value,
    region: Value,
    rows: Value,
    window: Window,
) -> Result<Value> {
    graph.push1(Concretize { window }, &[coefficients, region, rows])
}

impl Concretize {
    fn placement(&self, coefficients: &TensorType, region: &TensorType) -> Result<Placement> {
        let b = &region.shape;
        if b.rank() != 5 || b[1] != 2 {
            return Err(Error::shape(self.name(), "a box [N,2,C,H,W]", b.to_string()));
        }
        Placement::new(self.name(), &coefficients.shape, [b[2], b[3], b[4]], self.window)
    }
}

impl Op for Concretize {
    fn name(&self) -> &'static str {
        "concretize"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32, DType::F32, DType::U32])?;
        self.placement(&inputs[0], &inputs[1])?;
        let rows = inputs[0].shape[0];
        expect_rows(self.name(), &inputs[2].shape, rows)?;
        Ok(vec![TensorType::f32([rows])])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let mut grads = vec![None; 3];
        let Some(grad) = at.grads[0] else { return Ok(grads) };
        if at.needs[1] {
            return Err(Error::NoGradient { op: self.name(), input: 1 });
        }
        if at.needs[0] {
            let inputs = [at.inputs[0], at.inputs[1], at.inputs[2], grad];
            grads[0] = Some(g.push1(ConcretizeBackward(self.clone()), &inputs)?);
        }
        Ok(grads)
    }

    fn cost(&self, signature: &Signature) -> Cost {
        Cost { flops: 2 * signature.inputs[0].elements() as u64, bytes: traffic(signature) }
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::forward(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::forward(self, signature)
    }
}

impl Op for ConcretizeBackward {
    fn name(&self) -> &'static str {
        "concretize_backward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32, DType::F32, DType::U32, DType::F32])?;
        expect_same(self.name(), &[inputs[0].shape[0]].into(), &inputs[3].shape)?;
        Ok(vec![inputs[0].clone()])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward(&self.0, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::backward(&self.0, signature)
    }
}
