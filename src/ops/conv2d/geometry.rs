//! Extents of a convolution, shared by all directions.

use crate::error::{Error, Result};
use crate::shape::{Shape, TensorType};

/// Stride, zero padding and dilation, each along (H, W).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2dSpec {
    /// Step of the kernel.
    pub stride: [usize; 2],
    /// Zeros added on either side.
    pub padding: [usize; 2],
    /// Distance of neighbouring taps.
    pub dilation: [usize; 2],
}

impl Conv2dSpec {
    /// The same stride and padding along both axes, no dilation.
    pub fn square(stride: usize, padding: usize) -> Self {
        Conv2dSpec { stride: [stride; 2], padding: [padding; 2], dilation: [1; 2] }
    }
}

/// All extents of one convolution: `y[n,o,i,j]` = `b[o]` + Σ `w[o,c,u,v]` · `x[n,c, i·S−P+u·D, j·S−P+v·D]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) batch: usize,
    /// Input channels C.
    pub(crate) channels: usize,
    /// Input extents (H, W).
    pub(crate) input: [usize; 2],
    /// Output channels O.
    pub(crate) features: usize,
    /// Output extents (OH, OW).
    pub(crate) output: [usize; 2],
    /// Kernel extents (KH, KW).
    pub(crate) kernel: [usize; 2],
    pub(crate) spec: Conv2dSpec,
}

impl Geometry {
    /// Extents for `batch` images `[C,H,W]` and a weight `[O,C,KH,KW]`.
    pub(crate) fn new(
        op: &'static str,
        batch: usize,
        channels: usize,
        input: [usize; 2],
        weight: &Shape,
        spec: Conv2dSpec,
    ) -> Result<Geometry> {
        if weight.rank() != 4 || weight[1] != channels || weight.elements() == 0 {
            return Err(Error::shape(op, format!("a weight [O,{channels},KH,KW]"), weight.to_string()));
        }
        let kernel = [weight[2], weight[3]];
        let mut output = [0; 2];
        for axis in 0..2 {
            let (stride, dilation) = (spec.stride[axis], spec.dilation[axis]);
            if stride == 0 || dilation == 0 {
                return Err(Error::shape(op, "stride and dilation of at least 1", format!("{spec:?}")));
            }
            let padded = input[axis] + 2 * spec.padding[axis];
            let reach = dilation * (kernel[axis] - 1) + 1;
            if padded < reach {
                return Err(Error::shape(op, format!("padded images of at least {reach}"), format!("{padded}")));
            }
            output[axis] = (padded - reach) / stride + 1;
        }
        Ok(Geometry { batch, channels, input, features: weight[0], output, kernel, spec })
    }

    /// Extents from the types of x `[N,C,H,W]` and w.
    pub(crate) fn of(op: &'static str, x: &TensorType, w: &TensorType, spec: Conv2dSpec) -> Result<Geometry> {
        if x.shape.rank() != 4 || x.elements() == 0 {
            return Err(Error::shape(op, "images [N,C,H,W]", x.shape.to_string()));
        }
        Geometry::new(op, x.shape[0], x.shape[1], [x.shape[2], x.shape[3]], &w.shape, spec)
    }

    pub(crate) fn x_shape(&self) -> Shape {
        [self.batch, self.channels, self.input[0], self.input[1]].into()
    }

    pub(crate) fn y_shape(&self) -> Shape {
        [self.batch, self.features, self.output[0], self.output[1]].into()
    }

    pub(crate) fn w_shape(&self) -> Shape {
        [self.features, self.channels, self.kernel[0], self.kernel[1]].into()
    }

    /// Multiply-adds of any one direction, counting the padding as work.
    pub(crate) fn multiply_adds(&self) -> u64 {
        (self.batch * self.features * self.output[0] * self.output[1]) as u64
            * (self.channels * self.kernel[0] * self.kernel[1]) as u64
    }

    /// Floating-point operations of any one direction on one sample.
    pub(crate) fn sample_flops(&self) -> u64 {
        2 * self.multiply_adds() / self.batch.max(1) as u64
    }
}
