//! How a convolution becomes one of stride 1: of stride 2, the pixels of either parity along each axis are images of their own
//! (phases), and every second tap belongs to one of them. So 3×3 and 4×4 taps of stride 2 are 2×2 taps of stride 1 over four
//! times as many channels.

use crate::ops::conv2d::Geometry;

/// Most taps of a kernel.
pub(super) const MOST_TAPS: usize = 16;

/// Most phases.
pub(super) const MOST_PHASES: usize = 4;

/// Kernel and stride, along both axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scheme {
    kernel: usize,
    pub(super) stride: usize,
}

impl Scheme {
    /// The scheme of a convolution that has one.
    pub(super) fn of(g: &Geometry) -> Option<Scheme> {
        let scheme = Scheme { kernel: g.kernel[0], stride: g.spec.stride[0] };
        let square = g.kernel[1] == scheme.kernel && g.spec.stride[1] == scheme.stride && g.spec.dilation == [1, 1];
        let known = [(3, 1), (3, 2), (4, 2)].contains(&(scheme.kernel, scheme.stride));
        (square && known && g.spec.padding.iter().all(|&p| p < scheme.kernel)).then_some(scheme)
    }

    /// Taps along an axis of the convolution of stride 1.
    pub(super) fn taps(&self) -> usize {
        self.kernel.div_ceil(self.stride)
    }

    /// Phases of an image.
    pub(super) fn phases(&self) -> usize {
        self.stride * self.stride
    }

    /// Row and column where a phase begins.
    pub(super) fn origin(&self, phase: usize) -> [usize; 2] {
        [phase / self.stride, phase % self.stride]
    }

    /// Taps of a kernel.
    pub(super) fn kernel_taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Which tap of the kernel is tap (i, j) of a phase; none where that phase has fewer.
    pub(super) fn tap(&self, phase: usize, [i, j]: [usize; 2]) -> Option<usize> {
        let [row, column] = self.origin(phase);
        let (u, v) = (row + self.stride * i, column + self.stride * j);
        (u < self.kernel && v < self.kernel).then_some(u * self.kernel + v)
    }

    /// Whether the weights of a phase can be other than 0 at point (i, j) of `points`. A phase that lacks the last tap has 0 at ∞, the
    /// last point; with `flipped` taps it lacks the first one, and has 0 at the point 0.
    pub(super) fn present(&self, phase: usize, at: [usize; 2], points: [usize; 2], flipped: bool) -> bool {
        let last = self.taps() - 1;
        let full = [self.tap(phase, [last, 0]).is_some(), self.tap(phase, [0, last]).is_some()];
        (0..2).all(|axis| full[axis] || at[axis] != if flipped { 0 } else { points[axis] - 1 })
    }
}
