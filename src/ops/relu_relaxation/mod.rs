//! One step of a backward (CROWN) bound through a ReLU: Zhang et al. 2018; slopes Xu et al. 2021 (α), splits Wang et al. 2021 (β).
//!
//! A row holds coefficients a of a lower bound Σ a·(y − ŷ) + …, y = max(z, 0), ŷ = max(ẑ, 0), with ẑ the pre-activation at a fixed
//! input of the sample. Over l ≤ z ≤ u each term is bounded below by a line: a·(y − ŷ) ≥ a·s·(z − ẑ) + a·(s·ẑ + t − ŷ) with
//! * l ≥ 0, or split to z ≥ 0: s = 1, t = 0; u ≤ 0, or split to z ≤ 0: s = 0, t = 0;
//! * else a ≥ 0: s = α ∈ [0,1] (without slopes given: 1 if u > −l, else 0), t = 0;
//! * else: s = u/(u − l), t = −l·s.
//!
//! A split σ = ±1 (z ≥ 0, z ≤ 0) with multiplier β ≥ 0 subtracts σ·β·z, which is not negative there (Lagrange).
//! Outputs: a' = a·s − σ·β and d = Σ a·(s·ẑ + t − ŷ) − σ·β·ẑ. Working relative to ẑ spares all biases and cancels less.
//!
//! Shapes: coefficients `[R,C,KH,KW]`, bounds `[N,3,C,H,W]` (l, u, ẑ), rows u32 `[R,4]`; slopes, splits, multipliers like the coefficients
//! → `[R,C,KH,KW]`, `[R]`. Elements of a window outside the image become 0. Gradients flow to coefficients, slopes and multipliers.

mod cpu;
mod gpu;

use crate::error::{Error, Result};
use crate::graph::{Backward, Cost, Graph, Op, Signature, Value, traffic};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::ops::window::{Placement, Window, expect_rows};
use crate::shape::{DType, TensorType};

/// What rows bring along besides their coefficients, each of the coefficients' shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Relaxation {
    /// α, slopes of the lower lines of unstable neurons.
    pub slopes: Option<Value>,
    /// σ (1: z ≥ 0, −1: z ≤ 0, 0: not split) and β. Only together with slopes.
    pub splits: Option<(Value, Value)>,
}

/// Which operands there are besides coefficients, bounds and rows. The discriminants are the shaders' `MODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Mode {
    Plain = 0,
    Sloped = 1,
    Split = 2,
}

/// Inputs coefficients, bounds, rows, then slopes, then splits and multipliers.
#[derive(Clone, Debug)]
struct ReluRelaxation {
    mode: Mode,
    window: Window,
}

/// Gradient with respect to the coefficients. Inputs: those of the forward op but the multipliers, then the gradients of both outputs.
#[derive(Clone, Debug)]
struct BackwardCoefficients(ReluRelaxation);

/// Gradients with respect to slopes and multipliers (0 without splits). Inputs coefficients, bounds, rows, splits if there are
/// any, then the gradients of both outputs.
#[derive(Clone, Debug)]
struct BackwardSlopes(ReluRelaxation);

/// The step for coefficients `[R,C,KH,KW]` with `bounds` `[N,3,C,H,W]` and `rows` u32 `[R,4]` → new coefficients and summands `[R]`.
pub fn relu_relaxation(
    graph: &mut Graph,
    coefficients: Value,
    bounds: Value,
    rows: Value,
    relaxation: Relaxation,
    window: Window,
) -> Result<(Value, Value)> {
    let mut inputs = vec![coefficients, bounds, rows];
    let mode = match relaxation {
        Relaxation { slopes: None, splits: None } => Mode::Plain,
        Relaxation { slopes: Some(slopes), splits: None } => {
            inputs.push(slopes);
            Mode::Sloped
        }
        Relaxation { slopes: Some(slopes), splits: Some((splits, multipliers)) } => {
            inputs.extend([slopes, splits, multipliers]);
            Mode::Split
        }
        Relaxation { slopes: None, splits: Some(_) } => {
            return Err(Error::shape("relu_relaxation", "slopes beside the splits", "none"));
        }
    };
    let outputs = graph.push(ReluRelaxation { mode, window }, &inputs)?;
    Ok((outputs[0], outputs[1]))
}

impl ReluRelaxation {
    fn placement(&self, coefficients: &TensorType, bounds: &TensorType) -> Result<Placement> {
        let b = &bounds.shape;
        if b.rank() != 5 || b[1] != 3 {
            return Err(Error::shape(self.name(), "bounds [N,3,C,H,W]", b.to_string()));
        }
        Placement::new(self.name(), &coefficients.shape, [b[2], b[3], b[4]], self.window)
    }

    /// Inputs besides coefficients, bounds and rows.
    fn extras(&self) -> usize {
        match self.mode {
            Mode::Plain => 0,
            Mode::Sloped => 1,
            Mode::Split => 3,
        }
    }
}

/// f32 coefficients and bounds, u32 rows, then f32.
fn expect_operands(name: &'static str, inputs: &[TensorType], others: usize) -> Result<()> {
    let mut types = vec![DType::F32, DType::F32, DType::U32];
    types.resize(3 + others, DType::F32);
    expect_types(name, inputs, &types)
}

impl Op for ReluRelaxation {
    fn name(&self) -> &'static str {
        "relu_relaxation"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_operands(self.name(), inputs, self.extras())?;
        self.placement(&inputs[0], &inputs[1])?;
        let rows = inputs[0].shape[0];
        expect_rows(self.name(), &inputs[2].shape, rows)?;
        for extra in &inputs[3..] {
            expect_same(self.name(), &inputs[0].shape, &extra.shape)?;
        }
        Ok(vec![inputs[0].clone(), TensorType::f32([rows])])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let mut grads = vec![None; at.inputs.len()];
        if at.needs[1] {
            return Err(Error::NoGradient { op: self.name(), input: 1 });
        }
        let upstream = match (at.grads[0], at.grads[1]) {
            (None, None) => return Ok(grads),
            (coefficients, summands) => [(coefficients, at.outputs[0]), (summands, at.outputs[1])],
        };
        let mut full = Vec::with_capacity(2);
        for (grad, output) in upstream {
            let shape = g.shape(output).clone();
            full.push(match grad {
                Some(grad) => grad,
                None => crate::ops::fill(g, 0.0, shape)?,
            });
        }
        if at.needs[0] {
            // All but the multipliers.
            let kept = at.inputs.len().min(5);
            let inputs: Vec<Value> = at.inputs[..kept].iter().copied().chain(full.iter().copied()).collect();
            grads[0] = Some(g.push1(BackwardCoefficients(self.clone()), &inputs)?);
        }
        if at.needs[3..].iter().any(|&n| n) {
            let splits = at.inputs.get(4).copied();
            let inputs: Vec<Value> =
                at.inputs[..3].iter().copied().chain(splits).chain(full.iter().copied()).collect();
            let made = g.push(BackwardSlopes(self.clone()), &inputs)?;
            grads[3] = Some(made[0]);
            if self.mode == Mode::Split {
                grads[5] = Some(made[1]);
            }
        }
        Ok(grads)
    }

    fn cost(&self, signature: &Signature) -> Cost {
        Cost { flops: 8 * signature.outputs[0].elements() as u64, bytes: traffic(signature) }
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::forward(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::forward(self, signature)
    }
}

impl Op for BackwardCoefficients {
    fn name(&self) -> &'static str {
        "relu_relaxation_backward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_operands(self.name(), inputs, self.0.extras().min(2) + 2)?;
        Ok(vec![inputs[0].clone()])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward_coefficients(&self.0, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::backward_coefficients(&self.0, signature)
    }
}

impl Op for BackwardSlopes {
    fn name(&self) -> &'static str {
        "relu_relaxation_backward_slopes"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_operands(self.name(), inputs, usize::from(self.0.mode == Mode::Split) + 2)?;
        let outputs = if self.0.mode == Mode::Split { 2 } else { 1 };
        Ok(vec![inputs[0].clone(); outputs])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward_slopes(&self.0, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::backward_slopes(&self.0, signature)
    }
}
