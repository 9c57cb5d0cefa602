//! Rows of a matrix picked by their number: the first step of a backward pass that starts at single neurons.
//!
//! y[r,…] = w[rows[r].feature, …]. Shapes: w `[O,…]`, rows u32 `[R,4]` (see [`Window`](crate::ops::Window)) → `[R,…]`. No gradient.

mod cpu;
mod gpu;

use crate::error::{Error, Result};
use crate::graph::{Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::expect_types;
use crate::ops::window::expect_rows;
use crate::shape::{DType, Shape, TensorType};

/// Inputs w, rows.
#[derive(Debug)]
struct GatherRows;

/// The rows of w `[O,…]` that `rows` u32 `[R,4]` name by their feature → `[R,…]`.
pub fn gather_rows(graph: &mut Graph, w: Value, rows: Value) -> Result<Value> {
    graph.push1(GatherRows, &[w, rows])
}

impl Op for GatherRows {
    fn name(&self) -> &'static str {
        "gather_rows"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32, DType::U32])?;
        let (w, rows) = (&inputs[0].shape, &inputs[1].shape);
        if w.rank() == 0 || w.elements() == 0 || rows.rank() != 2 {
            return Err(Error::shape(self.name(), "a matrix [O,…] and rows [R,4]", format!("{w}, {rows}")));
        }
        expect_rows(self.name(), rows, rows[0])?;
        let mut dims = w.dims().to_vec();
        dims[0] = rows[0];
        Ok(vec![TensorType::f32(Shape::from(dims))])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::call(signature)
    }
}
