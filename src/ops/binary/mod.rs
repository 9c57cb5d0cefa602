//! Elementwise functions of two values, either of which may be spread over the other.

mod cpu;
mod gpu;

pub(super) use cpu::apply;

use std::any::Any;
use crate::error::Result;
use crate::graph::{Backward, Elementwise, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::elementwise::{Action, Lowering, Made, Steps, describe};
use crate::ops::support::{Spread, expect_types, unspread, wider};
use crate::shape::{DType, TensorType};

/// The function. The discriminants are the shader's `KIND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum BinaryKind {
    /// a + b.
    Add = 0,
    /// a − b.
    Sub = 1,
    /// a · b.
    Mul = 2,
    /// a / b.
    Div = 3,
    /// min(a, b); the gradient goes to a at ties.
    Min = 4,
    /// max(a, b); the gradient goes to a at ties.
    Max = 5,
    /// 1 where a > b, else 0. No gradient flows.
    Greater = 6,
    /// a where b > 0, else 0: the gradient of ReLU. No gradient flows to b.
    Mask = 7,
}

#[derive(Debug)]
pub(super) struct Binary {
    kind: BinaryKind,
}

/// `kind` of every pair of elements. The operand with fewer elements has the other's extents on one contiguous run of
/// axes and 1 elsewhere (`[N,1,1,1]` for a value per sample, `[1,C,1,1]` per channel), or a single element.
pub fn binary(graph: &mut Graph, kind: BinaryKind, a: Value, b: Value) -> Result<Value> {
    graph.push1(Binary { kind }, &[a, b])
}

macro_rules! named {
    ($($(#[$meta:meta])* $name:ident = $kind:ident;)*) => {
        $($(#[$meta])* pub fn $name(graph: &mut Graph, a: Value, b: Value) -> Result<Value> {
            binary(graph, BinaryKind::$kind, a, b)
        })*
    };
}

named! {
    /// a + b.
    add = Add;
    /// a − b.
    sub = Sub;
    /// a · b.
    mul = Mul;
    /// a / b.
    div = Div;
    /// min(a, b).
    minimum = Min;
    /// max(a, b).
    maximum = Max;
    /// 1 where a > b, else 0; no gradient flows.
    greater = Greater;
    /// a where b > 0, else 0; no gradient flows to b.
    mask = Mask;
}

/// Whether `op` is [`mask`] with operands of one shape, which kernels can do on the way out.
pub(crate) fn is_mask(op: &dyn Op) -> bool {
    (op as &dyn Any).downcast_ref::<Binary>().is_some_and(|b| b.kind == BinaryKind::Mask)
}

/// Spreads of the operands (a, b) over the output.
fn spreads(signature: &Signature) -> Result<(Spread, Spread)> {
    let output = &signature.outputs[0].shape;
    let over = |i: usize| Spread::over("binary", &signature.inputs[i].shape, output);
    Ok((over(0)?, over(1)?))
}

impl Op for Binary {
    fn name(&self) -> &'static str {
        "binary"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32, DType::F32])?;
        let output = wider(&inputs[0].shape, &inputs[1].shape).clone();
        Spread::over(self.name(), &inputs[0].shape, &output)?;
        Spread::over(self.name(), &inputs[1].shape, &output)?;
        Ok(vec![TensorType::f32(output)])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let Some(grad) = at.grads[0] else { return Ok(vec![None, None]) };
        let (a, b, y) = (at.inputs[0], at.inputs[1], at.outputs[0]);
        let mut grads = [None, None];
        for (i, full) in grads.iter_mut().enumerate().filter(|(i, _)| at.needs[*i]) {
            *full = match (self.kind, i) {
                (BinaryKind::Add, _) | (BinaryKind::Sub, 0) => Some(grad),
                (BinaryKind::Sub, _) => Some(super::scale(g, grad, -1.0)?),
                (BinaryKind::Mul, _) => Some(mul(g, grad, if i == 0 { b } else { a })?),
                (BinaryKind::Div, 0) => Some(div(g, grad, b)?),
                (BinaryKind::Div, _) => {
                    let ratio = div(g, y, b)?;
                    let product = mul(g, grad, ratio)?;
                    Some(super::scale(g, product, -1.0)?)
                }
                (BinaryKind::Min | BinaryKind::Max, _) => {
                    // 1 where b wins strictly.
                    let b_wins =
                        if self.kind == BinaryKind::Min { greater(g, a, b)? } else { greater(g, b, a)? };
                    let wins = if i == 1 { b_wins } else { super::affine(g, b_wins, -1.0, 1.0)? };
                    Some(mul(g, grad, wins)?)
                }
                (BinaryKind::Mask, 0) => Some(mask(g, grad, b)?),
                (BinaryKind::Mask, _) | (BinaryKind::Greater, _) => None,
            };
        }
        let mut summed = Vec::with_capacity(2);
        for (full, input) in grads.into_iter().zip([a, b]) {
            let shape = g.shape(input).clone();
            summed.push(full.map(|v| unspread(g, v, &shape)).transpose()?);
        }
        Ok(summed)
    }

    fn elementwise(&self, signature: &Signature) -> Option<Elementwise> {
        let elements = signature.outputs[0].elements();
        let (a, b) = spreads(signature).ok()?;
        let full = vec![a.is_full(elements), b.is_full(elements)];
        describe(elements, full, self.kind != BinaryKind::Div)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::call(self, signature)
    }
}

impl Steps for Binary {
    fn steps(&self, at: &mut Lowering<'_>) -> Vec<Made> {
        let (a, b) = spreads(at.signature).expect("the shapes fitted when the op was made");
        let args = [at.spread(0, a, 0), at.spread(1, b, 0)];
        vec![Made::Each(at.step(Action::Binary(self.kind), &args))]
    }
}
