//! One strided matrix product as dispatches: what all directions of a linear layer are made of.

use crate::error::Result;
use crate::kernel::{Bind, Dispatch, GpuCall, GpuLimits, Operand, Variant};
use crate::ops::dispatch::{Matrix, Override, SumEpilogue, flag, grid, int, register_tiled, sum_partials, too_large};
use crate::ops::shaders::{MATMUL, MATMUL_INTERVAL, MATMUL_PLAIN, MATMUL_REGISTER, MATMUL_SUBGROUP, MATMUL_WIDE};

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

/// Tiles of 64 × 64 elements that keep a GPU busy; below, a long sum is cut into parts. Like the parts of a convolution's weight
/// gradient these come from the extents alone, since they decide the order of the sums.
const FILLING_TILES: usize = 64;
const TILE: usize = 64;
/// Least terms of one part.
const PART_TERMS: usize = 256;

impl Product {
    /// Parts that each sum is cut into, and the terms of one.
    fn parts(&self, epilogue: &Epilogue) -> (usize, usize) {
        let tiles = self.m.div_ceil(TILE) * self.n.div_ceil(TILE);
        let dense = self.c_first == 0 && self.c == self.n;
        // What has to be looked up at c's place would have to be known to the pass over the parts.
        let simple = !(epilogue.signed || epilogue.accumulate || epilogue.masked);
        let wanted = if dense && simple { FILLING_TILES / tiles.max(1) } else { 1 };
        let parts = wanted.min(self.k / PART_TERMS).max(1);
        // A whole number of tiles, so that no load is cut.
        let terms = self.k.div_ceil(parts).next_multiple_of(16).max(1);
        (self.k.div_ceil(terms).max(1), terms)
    }

    fn matrix(&self, parts: usize, arrays: [u32; 2]) -> Matrix {
        Matrix { rows: self.m, columns: self.n, parts, arrays, wide: arrays == [1, 1] && self.is_wide() }
    }

    /// Whether no four words that `shaders/matmul_wide.wgsl` reads begin between multiples of 4 or end past an extent.
    fn is_wide(&self) -> bool {
        let fours = |numbers: [usize; 2]| numbers.iter().all(|n| n.is_multiple_of(4));
        let ([a_m, a_k], [b_k, b_n]) = (self.a, self.b);
        let a = if a_k == 1 { fours([a_m, self.k]) } else { a_m == 1 && fours([a_k, self.m]) };
        let b = if b_n == 1 { fours([b_k, self.n]) } else { b_k == 1 && fours([b_n, self.k]) };
        a && b && self.a_first.is_multiple_of(4)
    }

    fn overrides(&self, (parts, terms): (usize, usize)) -> Vec<Override> {
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
            ("PART_K", int(terms)),
            ("C_PART", int(if parts > 1 { self.m * self.n } else { 0 })),
        ]
    }

    /// A grid of the tiles of one part, with the parts along z.
    fn grid(&self, name: &str, groups: usize, parts: usize, limits: &GpuLimits) -> Result<[u32; 3]> {
        if parts > limits.groups_per_axis as usize {
            return Err(too_large(name, format_args!("a product in {parts} parts")));
        }
        let [x, y, _] = grid(name, groups, limits)?;
        Ok([x, y, parts as u32])
    }

    /// Room for the sums of parts, behind what the call has already.
    fn scratch(&self, call: &mut GpuCall, parts: usize) -> Bind {
        call.scratch.push(parts * self.m * self.n);
        Bind::all(Operand::Scratch(call.scratch.len() - 1))
    }

    fn sum(&self, from: Bind, to: Bind, parts: usize, epilogue: SumEpilogue, limits: &GpuLimits) -> Result<Dispatch> {
        sum_partials(from, to, (parts, 1, self.m * self.n), epilogue, limits)
    }

    /// Adds its dispatches to `call`. Binds are a, b, extra, c.
    pub(crate) fn add_to(
        &self,
        call: &mut GpuCall,
        epilogue: Epilogue,
        binds: [Bind; 4],
        limits: &GpuLimits,
    ) -> Result<()> {
        let (parts, terms) = self.parts(&epilogue);
        if parts == 1 {
            call.dispatches.push(self.dispatch((parts, terms), epilogue, binds, limits)?);
            return Ok(());
        }
        let [a, b, extra, c] = binds;
        let target = self.scratch(call, parts);
        let raw = Epilogue { abs_b: epilogue.abs_b, ..Epilogue::default() };
        call.dispatches.push(self.dispatch((parts, terms), raw, [a, b, b, target], limits)?);
        let epilogue = SumEpilogue { bias: epilogue.bias.then_some((extra, self.n)), relu: epilogue.relu };
        call.dispatches.push(self.sum(target, c, parts, epilogue, limits)?);
        Ok(())
    }

    /// Binds are a, b, extra, c.
    fn dispatch(
        &self,
        cut: (usize, usize),
        epilogue: Epilogue,
        binds: [Bind; 4],
        limits: &GpuLimits,
    ) -> Result<Dispatch> {
        let variant = self.matrix(cut.0, [1, 1]).variant(limits);
        let shader = match variant {
            Variant::Tiled(_) => &MATMUL,
            Variant::Wide(_) => &MATMUL_WIDE,
            Variant::Register { .. } => register_tiled([&MATMUL_REGISTER, &MATMUL_SUBGROUP], limits),
            Variant::Plain => &MATMUL_PLAIN,
        };
        let (groups, constants) = self.matrix(1, [1, 1]).launch(variant);
        let mut overrides = self.overrides(cut);
        overrides.extend([
            ("ABS_B", flag(epilogue.abs_b)),
            ("BIAS", flag(epilogue.bias)),
            ("SIGNED", flag(epilogue.signed)),
            ("ACCUMULATE", flag(epilogue.accumulate)),
            ("RELU", flag(epilogue.relu)),
            ("MASKED", flag(epilogue.masked)),
        ]);
        overrides.extend(constants);
        let groups = self.grid(shader.name, groups, cut.0, limits)?;
        Ok(Dispatch { shader, binds: binds.to_vec(), overrides, groups })
    }

    /// The product of a box: a1·b (+ bias) and a2·|b|. Binds are a1, a2, b, bias, c1, c2.
    ///
    /// Where the tiles don't fit, or don't pay, two dispatches of the point kernel do the same.
    pub(crate) fn add_interval_to(
        &self,
        call: &mut GpuCall,
        (bias, accumulate): (bool, bool),
        binds: [Bind; 6],
        limits: &GpuLimits,
    ) -> Result<()> {
        let [a1, a2, b, extra, c1, c2] = binds;
        let center = Epilogue { bias, accumulate, ..Epilogue::default() };
        let (parts, terms) = self.parts(&center);
        let variant = self.matrix(parts, [2, 1]).variant(limits);
        if !matches!(variant, Variant::Tiled(_)) {
            let limits = &GpuLimits { variant: Some(variant), ..*limits };
            let radius = Epilogue { abs_b: true, accumulate, ..Epilogue::default() };
            self.add_to(call, center, [a1, b, extra, c1], limits)?;
            return self.add_to(call, radius, [a2, b, b, c2], limits);
        }
        let (groups, constants) = self.matrix(1, [2, 1]).launch(variant);
        let mut overrides = self.overrides((parts, terms));
        overrides.extend([("BIAS", flag(bias && parts == 1)), ("ACCUMULATE", flag(accumulate))]);
        overrides.extend(constants);
        let groups = self.grid(MATMUL_INTERVAL.name, groups, parts, limits)?;
        if parts == 1 {
            let binds = binds.to_vec();
            call.dispatches.push(Dispatch { shader: &MATMUL_INTERVAL, binds, overrides, groups });
            return Ok(());
        }
        let targets = [self.scratch(call, parts), self.scratch(call, parts)];
        let binds = vec![a1, a2, b, b, targets[0], targets[1]];
        call.dispatches.push(Dispatch { shader: &MATMUL_INTERVAL, binds, overrides, groups });
        let biased = SumEpilogue { bias: bias.then_some((extra, self.n)), relu: false };
        call.dispatches.push(self.sum(targets[0], c1, parts, biased, limits)?);
        call.dispatches.push(self.sum(targets[1], c2, parts, SumEpilogue::default(), limits)?);
        Ok(())
    }
}
