//! Writes one row of a table that is a state, in place: how a step leaves its figures on the device without the host
//! waiting for them.

mod cpu;
mod gpu;

use crate::error::{Error, Result};
use crate::graph::{Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::shape::{DType, TensorType};

#[derive(Debug)]
struct RecordRow;

/// `table[index % R]` := row, for a state `table` `[R,M]`, `row` `[M]`, `index` u32 `[1]`; declares the update.
pub fn record_row(graph: &mut Graph, table: Value, row: Value, index: Value) -> Result<()> {
    let new = graph.push1(RecordRow, &[table, row, index])?;
    graph.update(table, new);
    Ok(())
}

impl Op for RecordRow {
    fn name(&self) -> &'static str {
        "record_row"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32, DType::F32, DType::U32])?;
        let table = &inputs[0].shape;
        if table.rank() != 2 || table.elements() == 0 {
            return Err(Error::shape(self.name(), "a table [R,M]", table.to_string()));
        }
        expect_same(self.name(), &[table[1]].into(), &inputs[1].shape)?;
        expect_same(self.name(), &[1].into(), &inputs[2].shape)?;
        Ok(vec![inputs[0].clone()])
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::call(signature)
    }
}
