//! Cross-correlation with zero padding (no kernel flip), and its gradients.
//!
//! `y[n,o,i,j]` = `b[o]` + Σ_{c,u,v} `w[o,c,u,v]` · `x[n,c, i·S−P+u·D, j·S−P+v·D]`, terms outside x being 0.
//!
//! Shapes: x `[N,C,H,W]`, w `[O,C,KH,KW]`, b `[O]` → y `[N,O,OH,OW]`, OH = ⌊(H+2P−D(KH−1)−1)/S⌋ + 1.
//! Gradients: with respect to x the transposed convolution of grad_y by w; with respect to w the correlation of x with
//! grad_y; with respect to b the sum of grad_y over N, OH, OW.
//! Numerics: f32; one output is a sum of C·KH·KW products (forward), O·⌈KH/S⌉·⌈KW/S⌉ (input), N·OH·OW (weight).

mod correlate;
mod cpu;
mod gather;
mod geometry;
mod gpu;
mod sides;

use std::any::Any;
use std::sync::Arc;

pub(crate) use correlate::{Correlation, Pair};
pub(crate) use gather::Gather;
pub use geometry::Conv2dSpec;
pub(crate) use geometry::Geometry;
pub(crate) use sides::{NEITHER, Sides, X, Y};

use crate::error::{Error, Result};
use crate::graph::{Backward, Cost, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, Layout, Layouts, NativeCall};
use crate::ops::native::convolution::{sides, weight_sides};
use crate::ops::support::{expect_same, expect_types};
use crate::ops::{ReduceKind, Relu, add, expand, is_mask, reduce};
use crate::shape::{DType, Shape, TensorType};

/// Forward. Inputs x, w and, if `bias`, b. With `relu` the output is max(y, 0).
#[derive(Debug, Clone)]
pub(crate) struct Conv2d {
    pub(crate) spec: Conv2dSpec,
    pub(crate) bias: bool,
    pub(crate) relu: bool,
    /// Whether sums may be rounded as a faster kernel has them.
    pub(crate) fast: bool,
}

/// Gradient with respect to x. Inputs grad_y, w and, if `masked`, m `[N,C,H,W]`: the result is 0 where m ≤ 0.
#[derive(Debug, Clone)]
pub(crate) struct Conv2dBackwardInput {
    pub(crate) spec: Conv2dSpec,
    /// (H, W) of x: the output extents don't determine them when the stride leaves a remainder.
    pub(crate) input: [usize; 2],
    pub(crate) masked: bool,
    /// Whether sums may be rounded as a faster kernel has them.
    pub(crate) fast: bool,
}

/// Gradient with respect to w and, with `bias`, to b. Inputs x, grad_y.
#[derive(Debug, Clone)]
pub(crate) struct Conv2dBackwardWeight {
    pub(crate) spec: Conv2dSpec,
    /// (KH, KW) of w.
    pub(crate) kernel: [usize; 2],
    pub(crate) bias: bool,
    /// Whether sums may be rounded as a faster kernel has them.
    pub(crate) fast: bool,
}

/// Convolution of x `[N,C,H,W]` by w `[O,C,KH,KW]`, plus b `[O]` if given → `[N,O,OH,OW]`.
pub fn conv2d(graph: &mut Graph, x: Value, w: Value, b: Option<Value>, spec: Conv2dSpec) -> Result<Value> {
    let inputs: Vec<Value> = [x, w].into_iter().chain(b).collect();
    graph.push1(Conv2d { spec, bias: b.is_some(), relu: false, fast: false }, &inputs)
}

/// d/dx of a convolution onto x of extents `input` = (H, W): grad_y `[N,O,OH,OW]`, w `[O,C,KH,KW]` → `[N,C,H,W]`.
pub fn conv2d_backward_input(
    graph: &mut Graph,
    grad_y: Value,
    w: Value,
    spec: Conv2dSpec,
    input: [usize; 2],
) -> Result<Value> {
    graph.push1(Conv2dBackwardInput { spec, input, masked: false, fast: false }, &[grad_y, w])
}

/// d/dw of a convolution by a kernel of extents `kernel` = (KH, KW): x `[N,C,H,W]`, grad_y `[N,O,OH,OW]` → `[O,C,KH,KW]`.
pub fn conv2d_backward_weight(
    graph: &mut Graph,
    x: Value,
    grad_y: Value,
    spec: Conv2dSpec,
    kernel: [usize; 2],
) -> Result<Value> {
    graph.push1(Conv2dBackwardWeight { spec, kernel, bias: false, fast: false }, &[x, grad_y])
}

/// Extents `[O,OH,OW]` of the convolution of one image `[C,H,W]` by a weight `[O,C,KH,KW]`.
pub fn conv2d_shape(image: &Shape, weight: &Shape, spec: Conv2dSpec) -> Result<Shape> {
    let input = [image[1], image[2]];
    let geometry = Geometry::new("conv2d_forward", 1, image[0], input, weight, spec)?;
    Ok([geometry.features, geometry.output[0], geometry.output[1]].into())
}

/// Gradient with respect to a bias `[O]`: the sum of grad_y `[N,O,…]` over everything but O.
pub(crate) fn bias_gradient(graph: &mut Graph, grad_y: Value) -> Result<Value> {
    let shape = graph.shape(grad_y).clone();
    let features = shape[1];
    let view = graph.reshape(grad_y, [shape[0], features, shape.inner() / features])?;
    reduce(graph, ReduceKind::Sum, view)
}

/// Two multiply-add operands' worth of cost: `times` convolutions over one signature.
pub(crate) fn conv_cost(geometry: &Geometry, times: u64, signature: &Signature) -> Cost {
    Cost { flops: 2 * times * geometry.multiply_adds(), bytes: crate::graph::traffic(signature) }
}

fn pair(shape: &Shape) -> [usize; 2] {
    [shape[2], shape[3]]
}

impl Conv2d {
    const SIDES: Sides = Sides { inputs: &[X, NEITHER, NEITHER], outputs: &[Y] };

    pub(crate) fn geometry(&self, inputs: &[TensorType]) -> Result<Geometry> {
        Geometry::of("conv2d_forward", &inputs[0], &inputs[1], self.spec)
    }
}

impl Op for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d_forward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 3][..2 + self.bias as usize])?;
        let geometry = self.geometry(inputs)?;
        if self.bias {
            expect_same(self.name(), &[geometry.features].into(), &inputs[2].shape)?;
        }
        Ok(vec![TensorType::f32(geometry.y_shape())])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let mut grads = vec![None; at.inputs.len()];
        let Some(grad) = at.grads[0] else { return Ok(grads) };
        let (x, w) = (at.inputs[0], at.inputs[1]);
        if at.needs[0] {
            grads[0] = Some(conv2d_backward_input(g, grad, w, self.spec, pair(&g.shape(x).clone()))?);
        }
        let bias = self.bias && at.needs[2];
        if at.needs[1] {
            let kernel = pair(&g.shape(w).clone());
            let made = g.push(Conv2dBackwardWeight { spec: self.spec, kernel, bias, fast: false }, &[x, grad])?;
            made.into_iter().zip(&mut grads[1..]).for_each(|(made, grad)| *grad = Some(made));
        } else if bias {
            grads[2] = Some(bias_gradient(g, grad)?);
        }
        Ok(grads)
    }

    fn cost(&self, signature: &Signature) -> Cost {
        let geometry = self.geometry(&signature.inputs).expect("checked by infer");
        conv_cost(&geometry, 1, signature)
    }

    fn fuse(&self, consumer: &dyn Op) -> Option<Arc<dyn Op>> {
        let relu = !self.relu && (consumer as &dyn Any).is::<Relu>();
        relu.then(|| Arc::new(Conv2d { relu: true, ..self.clone() }) as Arc<dyn Op>)
    }

    fn fast(&self) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Conv2d { fast: true, ..self.clone() }))
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

impl Conv2dBackwardInput {
    const SIDES: Sides = Sides { inputs: &[Y, NEITHER, X], outputs: &[X] };

    pub(crate) fn geometry(&self, inputs: &[TensorType]) -> Result<Geometry> {
        let (y, w) = (&inputs[0].shape, &inputs[1].shape);
        if y.rank() != 4 || w.rank() != 4 {
            return Err(Error::shape(self.name(), "grad_y [N,O,OH,OW], w [O,C,KH,KW]", format!("{y}, {w}")));
        }
        let geometry = Geometry::new(self.name(), y[0], w[1], self.input, w, self.spec)?;
        expect_same(self.name(), &geometry.y_shape(), y)?;
        Ok(geometry)
    }
}

impl Op for Conv2dBackwardInput {
    fn name(&self) -> &'static str {
        "conv2d_backward_input"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 3][..2 + self.masked as usize])?;
        let geometry = self.geometry(inputs)?;
        if self.masked {
            expect_same(self.name(), &geometry.x_shape(), &inputs[2].shape)?;
        }
        Ok(vec![TensorType::f32(geometry.x_shape())])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let mut grads = vec![None; at.inputs.len()];
        let Some(grad) = at.grads[0] else { return Ok(grads) };
        let (grad_y, w) = (at.inputs[0], at.inputs[1]);
        if at.needs[0] {
            grads[0] = Some(conv2d(g, grad, w, None, self.spec)?);
        }
        if at.needs[1] {
            let kernel = pair(&g.shape(w).clone());
            grads[1] = Some(conv2d_backward_weight(g, grad, grad_y, self.spec, kernel)?);
        }
        Ok(grads)
    }

    fn cost(&self, signature: &Signature) -> Cost {
        let geometry = self.geometry(&signature.inputs).expect("checked by infer");
        conv_cost(&geometry, 1, signature)
    }

    fn fuse(&self, consumer: &dyn Op) -> Option<Arc<dyn Op>> {
        let mask = !self.masked && is_mask(consumer);
        mask.then(|| Arc::new(Conv2dBackwardInput { masked: true, ..self.clone() }) as Arc<dyn Op>)
    }

    fn fast(&self) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Conv2dBackwardInput { fast: true, ..self.clone() }))
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

impl Conv2dBackwardWeight {
    const SIDES: Sides = Sides { inputs: &[X, Y], outputs: &[NEITHER, NEITHER] };

    pub(crate) fn geometry(&self, inputs: &[TensorType]) -> Result<Geometry> {
        let (x, y) = (&inputs[0].shape, &inputs[1].shape);
        if x.rank() != 4 || y.rank() != 4 {
            return Err(Error::shape(self.name(), "x [N,C,H,W], grad_y [N,O,OH,OW]", format!("{x}, {y}")));
        }
        let w: Shape = [y[1], x[1], self.kernel[0], self.kernel[1]].into();
        let geometry = Geometry::new(self.name(), x[0], x[1], pair(x), &w, self.spec)?;
        expect_same(self.name(), &geometry.y_shape(), y)?;
        Ok(geometry)
    }
}

impl Op for Conv2dBackwardWeight {
    fn name(&self) -> &'static str {
        "conv2d_backward_weight"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 2])?;
        let geometry = self.geometry(inputs)?;
        let outputs = [geometry.w_shape(), [geometry.features].into()].map(TensorType::f32);
        Ok(outputs.into_iter().take(1 + self.bias as usize).collect())
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let mut grads = vec![None; 2];
        let (x, grad_y) = (at.inputs[0], at.inputs[1]);
        if let Some(grad) = at.grads[0] {
            if at.needs[0] {
                grads[0] = Some(conv2d_backward_input(g, grad_y, grad, self.spec, pair(&g.shape(x).clone()))?);
            }
            if at.needs[1] {
                grads[1] = Some(conv2d(g, x, grad, None, self.spec)?);
            }
        }
        if let Some(grad) = at.grads.get(1).copied().flatten().filter(|_| at.needs[1]) {
            let shape = g.shape(grad_y).clone();
            let spread = expand(g, grad, shape[0], shape.inner() / shape[1])?;
            let of_bias = g.reshape(spread, shape)?;
            grads[1] = Some(match grads[1] {
                Some(of_weight) => add(g, of_weight, of_bias)?,
                None => of_bias,
            });
        }
        Ok(grads)
    }

    fn cost(&self, signature: &Signature) -> Cost {
        let geometry = self.geometry(&signature.inputs).expect("checked by infer");
        conv_cost(&geometry, 1, signature)
    }

    fn fast(&self) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Conv2dBackwardWeight { fast: true, ..self.clone() }))
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
