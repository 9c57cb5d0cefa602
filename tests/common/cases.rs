//! The shape table that all op tests share: 1, primes, non-square images, several samples, strides that leave a remainder,
//! asymmetric kernels, strides and paddings, dilation, padding of at least kernel − 1, and one below, at and above every
//! tile of every kernel.

use smallbox::device::Session;

use super::device;

/// Edges of workgroups and tiles, one below and above them, and small and prime extents.
pub const EXTENTS: [usize; 19] = [1, 2, 3, 7, 13, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 257];

/// Elements of elementwise cases: [`EXTENTS`] and beyond one workgroup and one piece of a native loop.
pub const LENGTHS: [usize; 25] = [
    1, 2, 3, 7, 13, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1023, 1025, 16_383, 16_385,
    50_021,
];

/// Elements that need more than 65 535 workgroups of 256 invocations.
pub const BEYOND_ONE_AXIS: usize = 65_535 * 256 + 7;

/// Views [outer, keep, inner] of reductions: over 1, primes, and more than a million elements.
pub const REDUCTIONS: [[usize; 3]; 22] = [
    [1, 1, 1],
    [1, 1, 7],
    [1, 5, 1],
    [3, 1, 1],
    [2, 3, 5],
    [1, 1, 255],
    [1, 1, 256],
    [1, 1, 257],
    [1, 3, 1021],
    [1, 129, 17],
    [13, 1, 11],
    [257, 1, 1],
    [257, 3, 1],
    [65, 17, 1],
    [31, 7, 13],
    [5, 130, 33],
    [2, 1, 16_385],
    [1, 2, 40_009],
    [70_003, 2, 1],
    [1, 1, 1_048_583],
    [1031, 1, 1019],
    [103, 3, 3511],
];

/// Extents of a linear layer: x [N,F], w [G,F].
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    pub n: usize,
    pub f: usize,
    pub g: usize,
}

/// Linear layers: every extent over [`EXTENTS`] while the others stay small and odd, and some layers of real networks.
pub fn linears() -> Vec<Linear> {
    let mut cases =
        vec![Linear { n: 64, f: 1568, g: 100 }, Linear { n: 1, f: 784, g: 10 }, Linear { n: 130, f: 96, g: 12 }];
    for e in EXTENTS {
        cases.push(Linear { n: e, f: 5, g: 3 });
        cases.push(Linear { n: 3, f: e, g: 7 });
        cases.push(Linear { n: 5, f: 11, g: e });
    }
    cases.extend([31, 65, 129].map(|e| Linear { n: e, f: e + 1, g: e + 2 }));
    cases
}

/// Extents of a convolution: x [N,C,H,W], w [O,C,KH,KW].
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    pub n: usize,
    pub c: usize,
    pub hw: [usize; 2],
    pub o: usize,
    pub k: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
}

impl Conv {
    /// Stride 1, no padding, no dilation.
    const fn plain(n: usize, c: usize, hw: [usize; 2], o: usize, k: [usize; 2]) -> Conv {
        Conv { n, c, hw, o, k, stride: [1; 2], padding: [0; 2], dilation: [1; 2] }
    }

    const fn stride(self, h: usize, w: usize) -> Conv {
        Conv { stride: [h, w], ..self }
    }

    const fn padding(self, h: usize, w: usize) -> Conv {
        Conv { padding: [h, w], ..self }
    }

    const fn dilation(self, h: usize, w: usize) -> Conv {
        Conv { dilation: [h, w], ..self }
    }

    pub fn x_shape(&self) -> [usize; 4] {
        [self.n, self.c, self.hw[0], self.hw[1]]
    }

    pub fn w_shape(&self) -> [usize; 4] {
        [self.o, self.c, self.k[0], self.k[1]]
    }

    /// ⌊(H + 2P − D(KH − 1) − 1)/S⌋ + 1 along both axes.
    pub fn y_shape(&self) -> [usize; 4] {
        let out =
            |a: usize| (self.hw[a] + 2 * self.padding[a] - self.dilation[a] * (self.k[a] - 1) - 1) / self.stride[a] + 1;
        [self.n, self.o, out(0), out(1)]
    }

    pub fn spec(&self) -> smallbox::ops::Conv2dSpec {
        smallbox::ops::Conv2dSpec { stride: self.stride, padding: self.padding, dilation: self.dilation }
    }
}

/// Convolutions whose geometry is peculiar.
pub const CONVS: [Conv; 19] = [
    Conv::plain(1, 1, [1, 1], 1, [1, 1]),
    Conv::plain(1, 1, [3, 3], 1, [3, 3]),
    Conv::plain(2, 3, [7, 5], 4, [3, 3]).padding(1, 1),
    Conv::plain(3, 1, [8, 8], 3, [4, 4]).stride(2, 2).padding(1, 1),
    // Strides that leave a remainder: the last rows and columns are never read.
    Conv::plain(2, 2, [10, 9], 3, [3, 3]).stride(2, 2),
    Conv::plain(1, 2, [11, 8], 5, [5, 5]).stride(3, 3).padding(2, 2),
    Conv::plain(2, 2, [9, 9], 3, [4, 4]).stride(2, 2).padding(1, 1),
    // Asymmetric kernel, stride and padding.
    Conv::plain(2, 3, [6, 7], 4, [3, 5]).stride(1, 2).padding(1, 2),
    Conv::plain(2, 3, [7, 6], 4, [5, 2]).stride(2, 1).padding(2, 0),
    Conv::plain(1, 2, [5, 17], 3, [1, 7]).padding(0, 3),
    // Dilation.
    Conv::plain(1, 2, [9, 9], 3, [3, 3]).padding(2, 2).dilation(2, 2),
    Conv::plain(2, 2, [9, 11], 3, [3, 2]).stride(2, 1).padding(2, 0).dilation(2, 3),
    // Padding of kernel − 1 and more: windows that lie in the padding alone.
    Conv::plain(2, 2, [4, 4], 3, [3, 3]).padding(2, 2),
    Conv::plain(2, 2, [3, 4], 2, [3, 3]).padding(4, 3),
    // A stride beyond the kernel: pixels that nothing reads.
    Conv::plain(2, 3, [6, 6], 4, [1, 1]).stride(2, 2),
    Conv::plain(2, 2, [8, 8], 3, [2, 2]).stride(3, 3),
    // Layers of real networks.
    Conv::plain(2, 1, [28, 28], 16, [4, 4]).stride(2, 2).padding(1, 1),
    Conv::plain(3, 16, [14, 14], 32, [4, 4]).stride(2, 2).padding(1, 1),
    Conv::plain(1, 64, [9, 9], 64, [3, 3]).padding(1, 1),
];

/// The [`EXTENTS`] of convolutions on a software adapter, where the compilation of a kernel for one more shape takes a second.
const FEW_EXTENTS: [usize; 6] = [1, 7, 16, 17, 33, 129];

/// [`CONVS`], and the tile edges along output channels, the reduction and the positions: all of them on the native device
/// and on hardware.
pub fn convs(session: &dyn Session) -> Vec<Conv> {
    let mut cases = CONVS.to_vec();
    let extents: &[usize] = if device::is_software(session) { &FEW_EXTENTS } else { &EXTENTS };
    for &e in extents {
        cases.push(Conv::plain(1, 2, [4, 5], e, [3, 3]).padding(1, 1));
        cases.push(Conv::plain(2, e, [3, 3], 3, [1, 1]));
        cases.push(Conv::plain(1, e, [4, 3], 2, [2, 2]).stride(1, 2).padding(1, 0));
        cases.push(Conv::plain(1, 3, [1, e], 5, [1, 3]).padding(0, 1));
        cases.push(Conv::plain(e, 1, [3, 2], 2, [2, 2]));
    }
    cases
}
