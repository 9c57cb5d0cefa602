//! Windows put into images of zeros: where a backward pass stops following a receptive field and goes on with whole images.
//!
//! y[r,c,i,j] = x[r, c, i − top_r, j − left_r] inside the window, else 0. Shapes: x `[R,C,KH,KW]`, rows u32 `[R,4]` → `[R,C,H,W]`.
//! No gradient: passes that are differentiated start with whole images.

mod cpu;
mod gpu;

use crate::error::Result;
use crate::graph::{Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::expect_types;
use crate::ops::window::{Placement, Window, expect_rows};
use crate::shape::{DType, TensorType};

/// Inputs x, rows.
#[derive(Debug)]
struct EmbedWindow {
    window: Window,
    /// (H, W).
    image: [usize; 2],
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

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::call(self, signature)
    }
}
