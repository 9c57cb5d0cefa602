//! One strided matrix product as a dispatch: what all directions of a linear layer are made of.

use crate::error::Result;
use crate::kernel::{Bind, Dispatch, GpuLimits};
use crate::ops::dispatch::{Override, Variant, flag, grid, int};
use crate::ops::shaders::{MATMUL, MATMUL_INTERVAL, MATMUL_PLAIN, MATMUL_REGISTER};

/// Extents and strides of `c[m,n]` = Σ_k `a[m,k]` · `b[k,n]`; see `shaders/matmul.wgsl`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    /// Steps of a along m and k.
    pub(crate) a: [usize; 2],
    pub(crate) a_first: usize,
    /// Steps of b along k and n.
    pub(crate) b: [usize; 2],
    /// Step of c along m.
    pub(crate) c: usize,
    pub(crate) c_first: usize,
}

/// What happens to a sum on its way out, in this order; see `shaders/matmul.wgsl`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Epilogue {
    /// Before all: take |b|.
    pub(crate) abs_b: bool,
    pub(crate) bias: bool,
    pub(crate) signed: bool,
    pub(crate) accumulate: bool,
    pub(crate) relu: bool,
    pub(crate) masked: bool,
}

impl Product {
    fn overrides(&self) -> Vec<Override> {
        vec![
            ("M", int(self.m)),
            ("N", int(self.n)),
            ("K", int(self.k)),
            ("A_M", int(self.a[0])),
            ("A_K", int(self.a[1])),
            ("A_FIRST", int(self.a_first)),
            ("B_K", int(self.b[0])),
            ("B_N", int(self.b[1])),
            ("C_M", int(self.c)),
            ("C_FIRST", int(self.c_first)),
        ]
    }

    /// Binds are a, b, extra, c.
    pub(crate) fn dispatch(&self, epilogue: Epilogue, binds: [Bind; 4], limits: &GpuLimits) -> Result<Dispatch> {
        let variant = Variant::choose(limits, 2, self.m, self.n, 1);
        let shader = match variant {
            Variant::Tiled { .. } => &MATMUL,
            Variant::Register => &MATMUL_REGISTER,
            Variant::Plain => &MATMUL_PLAIN,
        };
        let (groups, constant) = variant.launch(self.m, self.n, 1);
        let mut overrides = self.overrides();
        overrides.extend([
            ("ABS_B", flag(epilogue.abs_b)),
            ("BIAS", flag(epilogue.bias)),
            ("SIGNED", flag(epilogue.signed)),
            ("ACCUMULATE", flag(epilogue.accumulate)),
            ("RELU", flag(epilogue.relu)),
            ("MASKED", flag(epilogue.masked)),
        ]);
        overrides.extend(constant);
        Ok(Dispatch { shader, binds: binds.to_vec(), overrides, groups: grid(shader.name, groups, limits)? })
    }

    /// The product of a box: a1·b (+ bias) and a2·|b|. Binds are a1, a2, b, bias, c1, c2.
    ///
    /// Where the tiles don't fit, or don't pay, two dispatches of the point kernel do the same.
    pub(crate) fn interval(
        &self,
        bias: bool,
        accumulate: bool,
        binds: [Bind; 6],
        limits: &GpuLimits,
    ) -> Result<Vec<Dispatch>> {
        let [a1, a2, b, extra, c1, c2] = binds;
        let variant = Variant::choose(limits, 3, self.m, self.n, 1);
        if !matches!(variant, Variant::Tiled { .. }) {
            let center = Epilogue { bias, accumulate, ..Epilogue::default() };
            let radius = Epilogue { abs_b: true, accumulate, ..Epilogue::default() };
            return Ok(vec![
                self.dispatch(center, [a1, b, extra, c1], limits)?,
                self.dispatch(radius, [a2, b, b, c2], limits)?,
            ]);
        }
        let (groups, constant) = variant.launch(self.m, self.n, 1);
        let mut overrides = self.overrides();
        overrides.extend([("BIAS", flag(bias)), ("ACCUMULATE", flag(accumulate))]);
        overrides.extend(constant);
        let groups = grid(MATMUL_INTERVAL.name, groups, limits)?;
        Ok(vec![Dispatch { shader: &MATMUL_INTERVAL, binds: binds.to_vec(), overrides, groups }])
    }
}
