//! Windows put into images of zeros: where a backward pass stops following a receptive field and goes on with whole images.
//!
//! y[r,c,i,j] = x[r, c, i − top_r, j − left_r] inside the window, else 0. Shapes: x `[R,C,KH,KW]`, rows u32 `[R,4]` → `[R,C,H,W]`.
//! The gradient is what an image has where the window lies, 0 where that is outside.

mod cpu;
mod gpu;

use crate::error::{Error, Result};
use crate::graph::{Backward, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::expect_types;
use crate::ops::window::{Placement, Window, expect_rows};
use crate::shape::{DType, Shape, TensorType};

/// Inputs x, rows.
#[derive(Debug)]
struct EmbedWindow {
    window: Window,
    /// (H, W).
    image: [usize; 2],
}

/// The gradient: windows of images. Inputs the gradient of y, rows.
#[derive(Debug)]
struct CutWindow {
    window: Window,
    /// (KH, KW).
    extent: [usize; 2],
}

/// The windows x `[R,C,KH,KW]` in images of extents `image` = (H, W).
pub fn embed_window(graph: &mut Graph, x: Value, rows: Value, window: Window, image: [usize; 2]) -> Result<Value> {
    graph.push1(EmbedWindow { window, image }, &[x, rows])
}

impl EmbedWindow {
    fn placement(&self, x: &TensorType) -> Result<Placement> {
        let channels = x.shape.dims().get(1).copied().unwrap_or(0);
        Placement::new(self.name(), &x.shape, [channels, self.image[0], self.image[1]], self.window)
    }
}

impl Op for EmbedWindow {
    fn name(&self) -> &'static str {
        "embed_window"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32, DType::U32])?;
        self.placement(&inputs[0])?;
        let x = &inputs[0].shape;
        expect_rows(self.name(), &inputs[1].shape, x[0])?;
        Ok(vec![TensorType::f32([x[0], x[1], self.image[0], self.image[1]])])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let Some(grad) = at.grads[0].filter(|_| at.needs[0]) else { return Ok(vec![None, None]) };
        let x = g.shape(at.inputs[0]);
        let extent = [x[2], x[3]];
        Ok(vec![Some(g.push1(CutWindow { window: self.window, extent }, &[grad, at.inputs[1]])?), None])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(&self.placement(&signature.inputs[0])?, signature.inputs[0].shape[0], false, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        Ok(cpu::call(self.name(), self.placement(&signature.inputs[0])?, false))
    }
}

impl CutWindow {
    fn placement(&self, y: &TensorType) -> Result<Placement> {
        let [channels, height, width] = *y.shape.dims().get(1..).unwrap_or_default() else {
            return Err(Error::shape(self.name(), "images [R,C,H,W]", y.shape.to_string()));
        };
        let x = Shape::from([y.shape[0], channels, self.extent[0], self.extent[1]]);
        Placement::new(self.name(), &x, [channels, height, width], self.window)
    }
}

impl Op for CutWindow {
    fn name(&self) -> &'static str {
        "cut_window"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32, DType::U32])?;
        self.placement(&inputs[0])?;
        let y = &inputs[0].shape;
        expect_rows(self.name(), &inputs[1].shape, y[0])?;
        Ok(vec![TensorType::f32([y[0], y[1], self.extent[0], self.extent[1]])])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(&self.placement(&signature.inputs[0])?, signature.inputs[0].shape[0], true, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        Ok(cpu::call(self.name(), self.placement(&signature.inputs[0])?, true))
    }
}
