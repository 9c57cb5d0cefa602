//! Convolution of a box, center and radius in one pass over the weights, and its gradients (Gowal et al. 2018, IBP).
//!
//! y_center = conv(center, w) + b, y_radius = conv(radius, |w|): the smallest box that holds the image of the box.
//! The padding is the exact point 0: it has no radius.
//!
//! Shapes as in [`super::conv2d()`]. With upstream gradients (g_c, g_r):
//! d/d center = convᵀ(g_c, w), d/d radius = convᵀ(g_r, |w|), d/db = Σ g_c,
//! d/dw = corr(center, g_c) + sign(w) · corr(radius, g_r), with sign(0) = 0.
//! The box is sound in real arithmetic; f32 rounding is not directed outward.

mod cpu;
mod gpu;

use std::sync::Arc;

use super::conv2d::{Geometry, NEITHER, Sides, X, Y, bias_gradient, conv_cost};
use super::native::convolution::{sides, weight_sides};
use super::relu_interval::{is_relu, is_slope};
use crate::error::{Error, Result};
use crate::graph::{Backward, Cost, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, Layout, Layouts, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::ops::{Conv2dSpec, fill};
use crate::shape::{DType, Shape, TensorType};

/// Forward, and with `relu` the ReLU of what it makes. Inputs center, radius, w and, if `bias`, b; outputs center, radius.
#[derive(Debug, Clone)]
pub(crate) struct Conv2dInterval {
    pub(crate) spec: Conv2dSpec,
    pub(crate) bias: bool,
    pub(crate) relu: bool,
    /// Whether sums may be rounded as a faster kernel has them.
    pub(crate) fast: bool,
}

/// Gradient with respect to the box, and with `relu` with respect to what a ReLU made it from. Inputs g_c, g_r, w and, if `relu`, center and
/// radius of the box; outputs d/d center, d/d radius.
#[derive(Debug, Clone)]
pub(crate) struct Conv2dIntervalBackwardInput {
    pub(crate) spec: Conv2dSpec,
    /// (H, W) of the input box.
    pub(crate) input: [usize; 2],
    pub(crate) relu: bool,
    /// Whether sums may be rounded as a faster kernel has them.
    pub(crate) fast: bool,
}

/// Gradient with respect to w and, with `bias`, to b. Inputs center, radius, g_c, g_r, w.
#[derive(Debug, Clone)]
pub(crate) struct Conv2dIntervalBackwardWeight {
    pub(crate) spec: Conv2dSpec,
    pub(crate) bias: bool,
    /// Whether sums may be rounded as a faster kernel has them.
    pub(crate) fast: bool,
}

/// Image of the box (center, radius) `[N,C,H,W]` under a convolution → (center, radius) `[N,O,OH,OW]`.
pub fn conv2d_interval(
    graph: &mut Graph,
    (center, radius): (Value, Value),
    w: Value,
    b: Option<Value>,
    spec: Conv2dSpec,
) -> Result<(Value, Value)> {
    let inputs: Vec<Value> = [center, radius, w].into_iter().chain(b).collect();
    let outputs = graph.push(Conv2dInterval { spec, bias: b.is_some(), relu: false, fast: false }, &inputs)?;
    Ok((outputs[0], outputs[1]))
}

/// Gradients of an op with a box as output: a missing one is zero.
pub(crate) fn box_gradients(g: &mut Graph, at: &Backward<'_>) -> Result<Option<(Value, Value)>> {
    let shape = g.shape(at.outputs[0]).clone();
    Ok(match (at.grads[0], at.grads[1]) {
        (None, None) => None,
        (Some(center), Some(radius)) => Some((center, radius)),
        (Some(center), None) => Some((center, fill(g, 0.0, shape)?)),
        (None, Some(radius)) => Some((fill(g, 0.0, shape)?, radius)),
    })
}

fn pair(shape: &Shape) -> [usize; 2] {
    [shape[2], shape[3]]
}

impl Conv2dInterval {
    const SIDES: Sides = Sides { inputs: &[X, X, NEITHER, NEITHER], outputs: &[Y, Y] };

    pub(crate) fn geometry(&self, inputs: &[TensorType]) -> Result<Geometry> {
        Geometry::of("conv2d_interval_forward", &inputs[0], &inputs[2], self.spec)
    }
}

impl Op for Conv2dInterval {
    fn name(&self) -> &'static str {
        "conv2d_interval_forward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 4][..3 + self.bias as usize])?;
        expect_same(self.name(), &inputs[0].shape, &inputs[1].shape)?;
        let geometry = self.geometry(inputs)?;
        if self.bias {
            expect_same(self.name(), &[geometry.features].into(), &inputs[3].shape)?;
        }
        Ok(vec![TensorType::f32(geometry.y_shape()); 2])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        debug_assert!(!self.relu, "fusion comes after differentiation");
        let mut grads = vec![None; at.inputs.len()];
        let Some((grad_center, grad_radius)) = box_gradients(g, at)? else { return Ok(grads) };
        let (center, radius, w) = (at.inputs[0], at.inputs[1], at.inputs[2]);
        if at.needs[0] || at.needs[1] {
            let op = Conv2dIntervalBackwardInput { spec: self.spec, input: pair(&g.shape(center).clone()), relu: false, fast: false };
            let of_box = g.push(op, &[grad_center, grad_radius, w])?;
            (grads[0], grads[1]) = (Some(of_box[0]), Some(of_box[1]));
        }
        let bias = self.bias && at.needs[3];
        if at.needs[2] {
            let op = Conv2dIntervalBackwardWeight { spec: self.spec, bias, fast: false };
            let made = g.push(op, &[center, radius, grad_center, grad_radius, w])?;
            made.into_iter().zip(&mut grads[2..]).for_each(|(made, grad)| *grad = Some(made));
        } else if bias {
            grads[3] = Some(bias_gradient(g, grad_center)?);
        }
        Ok(grads)
    }

    fn cost(&self, signature: &Signature) -> Cost {
        conv_cost(&self.geometry(&signature.inputs).expect("checked by infer"), 2, signature)
    }

    fn fuse(&self, consumer: &dyn Op) -> Option<Arc<dyn Op>> {
        let relu = !self.relu && is_relu(consumer);
        relu.then(|| Arc::new(Conv2dInterval { relu, ..self.clone() }) as Arc<dyn Op>)
    }

    fn fast(&self) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Conv2dInterval { fast: true, ..self.clone() }))
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::forward(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::forward(self, signature, [Layout::Planes; 2])
    }

    fn layouts(&self, signature: &Signature) -> Layouts {
        let geometry = self.geometry(&signature.inputs).expect("checked by infer");
        Self::SIDES.layouts(signature, sides(&geometry, self.fast))
    }

    fn cpu_in(&self, signature: &Signature, layouts: &[Layout]) -> Result<NativeCall> {
        cpu::forward(self, signature, Self::SIDES.of(signature, layouts))
    }
}

impl Conv2dIntervalBackwardInput {
    const SIDES: Sides = Sides { inputs: &[Y, Y, NEITHER, X, X], outputs: &[X, X] };

    pub(crate) fn geometry(&self, inputs: &[TensorType]) -> Result<Geometry> {
        let (y, w) = (&inputs[0].shape, &inputs[2].shape);
        if y.rank() != 4 || w.rank() != 4 {
            return Err(Error::shape(self.name(), "gradients [N,O,OH,OW], w [O,C,KH,KW]", format!("{y}, {w}")));
        }
        let geometry = Geometry::new(self.name(), y[0], w[1], self.input, w, self.spec)?;
        expect_same(self.name(), &geometry.y_shape(), y)?;
        Ok(geometry)
    }
}

impl Op for Conv2dIntervalBackwardInput {
    fn name(&self) -> &'static str {
        "conv2d_interval_backward_input"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 5][..3 + 2 * self.relu as usize])?;
        expect_same(self.name(), &inputs[0].shape, &inputs[1].shape)?;
        let x = self.geometry(inputs)?.x_shape();
        for behind in &inputs[3..] {
            expect_same(self.name(), &x, &behind.shape)?;
        }
        Ok(vec![TensorType::f32(x); 2])
    }

    fn cost(&self, signature: &Signature) -> Cost {
        conv_cost(&self.geometry(&signature.inputs).expect("checked by infer"), 2, signature)
    }

    fn fuse(&self, consumer: &dyn Op) -> Option<Arc<dyn Op>> {
        let relu = !self.relu && is_slope(consumer);
        relu.then(|| Arc::new(Conv2dIntervalBackwardInput { relu, ..self.clone() }) as Arc<dyn Op>)
    }

    fn fast(&self) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Conv2dIntervalBackwardInput { fast: true, ..self.clone() }))
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward_input(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::backward_input(self, signature, [Layout::Planes; 2])
    }

    fn layouts(&self, signature: &Signature) -> Layouts {
        let geometry = self.geometry(&signature.inputs).expect("checked by infer");
        Self::SIDES.layouts(signature, sides(&geometry, self.fast))
    }

    fn cpu_in(&self, signature: &Signature, layouts: &[Layout]) -> Result<NativeCall> {
        cpu::backward_input(self, signature, Self::SIDES.of(signature, layouts))
    }
}

impl Conv2dIntervalBackwardWeight {
    const SIDES: Sides = Sides { inputs: &[X, X, Y, Y, NEITHER], outputs: &[NEITHER, NEITHER] };

    pub(crate) fn geometry(&self, inputs: &[TensorType]) -> Result<Geometry> {
        Geometry::of(self.name(), &inputs[0], &inputs[4], self.spec)
    }
}

impl Op for Conv2dIntervalBackwardWeight {
    fn name(&self) -> &'static str {
        "conv2d_interval_backward_weight"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 5])?;
        let geometry = self.geometry(inputs)?;
        expect_same(self.name(), &geometry.x_shape(), &inputs[1].shape)?;
        expect_same(self.name(), &geometry.y_shape(), &inputs[2].shape)?;
        expect_same(self.name(), &geometry.y_shape(), &inputs[3].shape)?;
        let outputs = [inputs[4].clone(), TensorType::f32([geometry.features])];
        Ok(outputs.into_iter().take(1 + self.bias as usize).collect())
    }

    fn cost(&self, signature: &Signature) -> Cost {
        conv_cost(&self.geometry(&signature.inputs).expect("checked by infer"), 2, signature)
    }

    fn fast(&self) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Conv2dIntervalBackwardWeight { fast: true, ..self.clone() }))
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward_weight(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::backward_weight(self, signature, [Layout::Planes; 2])
    }

    fn layouts(&self, signature: &Signature) -> Layouts {
        let geometry = self.geometry(&signature.inputs).expect("checked by infer");
        Self::SIDES.layouts(signature, weight_sides(&geometry, self.fast))
    }

    fn cpu_in(&self, signature: &Signature, layouts: &[Layout]) -> Result<NativeCall> {
        cpu::backward_weight(self, signature, Self::SIDES.of(signature, layouts))
    }
}
