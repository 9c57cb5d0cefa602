//! Permutation of axes: output axis `a` is input axis `axes[a]`; up to four axes.

mod cpu;
mod gpu;

pub(super) use gpu::permute;

use crate::error::{Error, Result};
use crate::graph::{Backward, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::expect_types;
use crate::shape::{DType, Shape, TensorType};

/// Most axes a transpose takes.
const RANK: usize = 4;

#[derive(Debug)]
struct Transpose {
    axes: Vec<usize>,
}

/// x with its axes in the order `axes`.
pub fn transpose(graph: &mut Graph, x: Value, axes: &[usize]) -> Result<Value> {
    graph.push1(Transpose { axes: axes.to_vec() }, &[x])
}

impl Transpose {
    /// Output extents and, for each output axis, the step through the input; padded in front to four axes.
    fn strides(&self, input: &Shape) -> ([usize; RANK], [usize; RANK]) {
        let (mut extents, mut steps) = ([1; RANK], [0; RANK]);
        let pad = RANK - self.axes.len();
        for (o, &axis) in self.axes.iter().enumerate() {
            extents[pad + o] = input[axis];
            steps[pad + o] = input.dims()[axis + 1..].iter().product();
        }
        (extents, steps)
    }
}

impl Op for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32])?;
        let shape = &inputs[0].shape;
        let mut sorted = self.axes.clone();
        sorted.sort_unstable();
        if shape.rank() > RANK || sorted != (0..shape.rank()).collect::<Vec<_>>() {
            let expected = format!("a permutation of the {} axes (at most {RANK})", shape.rank());
            return Err(Error::shape(self.name(), expected, format!("{:?}", self.axes)));
        }
        Ok(vec![TensorType::f32(self.axes.iter().map(|&a| shape[a]).collect::<Vec<_>>())])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let Some(grad) = at.grads[0].filter(|_| at.needs[0]) else { return Ok(vec![None]) };
        let mut inverse = vec![0; self.axes.len()];
        for (o, &axis) in self.axes.iter().enumerate() {
            inverse[axis] = o;
        }
        Ok(vec![Some(transpose(g, grad, &inverse)?)])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::call(self, signature)
    }
}
