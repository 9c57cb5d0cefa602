//! Elementwise functions of one value.

mod cpu;
mod gpu;

pub(super) use cpu::apply;

use crate::error::Result;
use crate::graph::{Backward, Elementwise, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::elementwise::{Action, Lowering, Made, Steps, describe};
use crate::ops::support::expect_types;
use crate::shape::{DType, TensorType};

/// The function. The numbers are the shader's `KIND`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UnaryKind {
    /// |x|; slope sign(x), 0 at 0.
    Abs,
    /// −1, 0 or 1; sign(0) = 0. No gradient flows.
    Sign,
    /// 1 where x > 0, else 0. No gradient flows.
    Positive,
    /// scale · x + shift.
    Affine {
        /// Factor.
        scale: f32,
        /// Summand.
        shift: f32,
    },
    /// min(max(x, lower), upper); slope 1 inside and on the ends.
    Clamp {
        /// Least value.
        lower: f32,
        /// Greatest value.
        upper: f32,
    },
    /// x².
    Square,
    /// √x.
    Sqrt,
    /// 1/x.
    Reciprocal,
    /// eˣ.
    Exp,
    /// ln x.
    Log,
}

impl UnaryKind {
    /// The number by which the shader knows the function.
    pub(crate) fn code(self) -> u32 {
        match self {
            UnaryKind::Abs => 0,
            UnaryKind::Sign => 1,
            UnaryKind::Positive => 2,
            UnaryKind::Affine { .. } => 3,
            UnaryKind::Clamp { .. } => 4,
            UnaryKind::Square => 5,
            UnaryKind::Sqrt => 6,
            UnaryKind::Reciprocal => 7,
            UnaryKind::Exp => 8,
            UnaryKind::Log => 9,
        }
    }

    /// The two attributes, zero where there are none.
    pub(crate) fn attributes(self) -> (f32, f32) {
        match self {
            UnaryKind::Affine { scale, shift } => (scale, shift),
            UnaryKind::Clamp { lower, upper } => (lower, upper),
            _ => (0.0, 0.0),
        }
    }

    /// [`UnaryKind::attributes`] as a shader takes them: WGSL has no infinite constants; for finite elements the greatest number does
    /// the same.
    pub(crate) fn finite_attributes(self) -> (f32, f32) {
        let (a, b) = self.attributes();
        match self {
            UnaryKind::Clamp { .. } => (a.clamp(-f32::MAX, f32::MAX), b.clamp(-f32::MAX, f32::MAX)),
            _ => (a, b),
        }
    }
}

#[derive(Debug)]
pub(super) struct Unary {
    kind: UnaryKind,
}

/// `kind` of every element of `x`; any shape.
pub fn unary(graph: &mut Graph, kind: UnaryKind, x: Value) -> Result<Value> {
    graph.push1(Unary { kind }, &[x])
}

/// |x|.
pub fn abs(graph: &mut Graph, x: Value) -> Result<Value> {
    unary(graph, UnaryKind::Abs, x)
}

/// Sign of x, 0 at 0; no gradient flows.
pub fn sign(graph: &mut Graph, x: Value) -> Result<Value> {
    unary(graph, UnaryKind::Sign, x)
}

/// 1 where x > 0, else 0; no gradient flows.
pub fn positive(graph: &mut Graph, x: Value) -> Result<Value> {
    unary(graph, UnaryKind::Positive, x)
}

/// scale · x.
pub fn scale(graph: &mut Graph, x: Value, scale: f32) -> Result<Value> {
    unary(graph, UnaryKind::Affine { scale, shift: 0.0 }, x)
}

/// scale · x + shift.
pub fn affine(graph: &mut Graph, x: Value, scale: f32, shift: f32) -> Result<Value> {
    unary(graph, UnaryKind::Affine { scale, shift }, x)
}

/// x cut to `[lower, upper]`.
pub fn clamp(graph: &mut Graph, x: Value, lower: f32, upper: f32) -> Result<Value> {
    unary(graph, UnaryKind::Clamp { lower, upper }, x)
}

impl Op for Unary {
    fn name(&self) -> &'static str {
        "unary"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32])?;
        Ok(inputs.to_vec())
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let Some(grad) = at.grads[0].filter(|_| at.needs[0]) else { return Ok(vec![None]) };
        let (x, y) = (at.inputs[0], at.outputs[0]);
        let slope = match self.kind {
            UnaryKind::Sign | UnaryKind::Positive => return Ok(vec![None]),
            UnaryKind::Affine { scale: s, .. } => return Ok(vec![Some(scale(g, grad, s)?)]),
            UnaryKind::Abs => sign(g, x)?,
            UnaryKind::Clamp { lower, upper } => {
                // 1 where lower ≤ x ≤ upper: not (x < lower) and not (x > upper).
                let above = affine(g, x, 1.0, -upper)?;
                let below = affine(g, x, -1.0, lower)?;
                let (above, below) = (positive(g, above)?, positive(g, below)?);
                let outside = super::add(g, above, below)?;
                affine(g, outside, -1.0, 1.0)?
            }
            UnaryKind::Square => scale(g, x, 2.0)?,
            UnaryKind::Sqrt => {
                let inverse = unary(g, UnaryKind::Reciprocal, y)?;
                scale(g, inverse, 0.5)?
            }
            UnaryKind::Reciprocal => {
                let square = unary(g, UnaryKind::Square, y)?;
                scale(g, square, -1.0)?
            }
            UnaryKind::Exp => y,
            UnaryKind::Log => unary(g, UnaryKind::Reciprocal, x)?,
        };
        Ok(vec![Some(super::mul(g, grad, slope)?)])
    }

    /// Of scaling alone: it rounds once.
    fn constant(&self, inputs: &[&[u32]], _output: &TensorType) -> Option<Vec<u32>> {
        let UnaryKind::Affine { scale, shift } = self.kind else { return None };
        (shift == 0.0).then(|| inputs[0].iter().map(|&v| (scale * f32::from_bits(v) + shift).to_bits()).collect())
    }

    fn elementwise(&self, signature: &Signature) -> Option<Elementwise> {
        use UnaryKind::{Exp, Log, Reciprocal, Sqrt};
        let light = !matches!(self.kind, Exp | Log | Reciprocal | Sqrt);
        describe(signature.outputs[0].elements(), vec![true], light)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::call(self, signature)
    }
}

impl Steps for Unary {
    fn steps(&self, at: &mut Lowering<'_>) -> Vec<Made> {
        let x = at.each(0);
        vec![Made::Each(at.step(Action::Unary(self.kind), &[x]))]
    }
}
