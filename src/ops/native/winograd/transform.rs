//! The small matrices: along a line of a tile, and along both axes of it. The points are 0, ±1, ±2, ∞ for 4 outputs and
//! 0, ±1, ∞ for 2.

use crate::ops::native::lanes::Simd;

/// Up to six vectors along one axis; what lies beyond the line's length is ignored.
pub(super) type Line<S> = [<S as Simd>::Vector; 6];

/// Longest line.
const LONGEST: usize = 6;

/// Where the vectors of a tile lie, in words from an origin.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub(super) row: usize,
    pub(super) column: usize,
}

/// A map of lines, for tiles of `outputs` = 4 or 2 outputs along the axis.
pub(super) trait Rule {
    /// Length of the line it takes.
    fn taken(outputs: usize) -> usize;
    /// Length of the line it gives.
    fn given(outputs: usize) -> usize;
    /// # Safety
    /// As [`Simd`].
    unsafe fn line<S: Simd>(outputs: usize, from: Line<S>) -> Line<S>;
}

/// Bᵀ d: inputs to points.
pub(super) struct Input;

/// Aᵀ m: points to outputs.
pub(super) struct Output;

/// A y: gradients of outputs to points.
pub(super) struct Gradient;

impl Rule for Input {
    #[inline(always)]
    fn taken(outputs: usize) -> usize {
        outputs + 2
    }
    #[inline(always)]
    fn given(outputs: usize) -> usize {
        outputs + 2
    }
    #[inline(always)]
    unsafe fn line<S: Simd>(outputs: usize, d: Line<S>) -> Line<S> {
        // SAFETY: the caller's duty.
        unsafe {
            if outputs == 2 {
                return [S::sub(d[0], d[2]), S::add(d[1], d[2]), S::sub(d[2], d[1]), S::sub(d[1], d[3]), d[0], d[0]];
            }
            let times = |x: f32, a, b| S::mul_add(S::splat(x), a, b);
            let (a, b) = (times(-4.0, d[2], d[4]), times(-4.0, d[1], d[3]));
            let (c, e) = (S::sub(d[4], d[2]), S::sub(d[3], d[1]));
            [
                times(4.0, d[0], times(-5.0, d[2], d[4])),
                S::add(a, b),
                S::sub(a, b),
                times(2.0, e, c),
                times(-2.0, e, c),
                times(4.0, d[1], times(-5.0, d[3], d[5])),
            ]
        }
    }
}

impl Rule for Output {
    #[inline(always)]
    fn taken(outputs: usize) -> usize {
        outputs + 2
    }
    #[inline(always)]
    fn given(outputs: usize) -> usize {
        outputs
    }
    #[inline(always)]
    unsafe fn line<S: Simd>(outputs: usize, m: Line<S>) -> Line<S> {
        // SAFETY: the caller's duty.
        unsafe {
            let (sum, difference) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
            if outputs == 2 {
                return [S::add(m[0], sum), S::sub(difference, m[3]), m[0], m[0], m[0], m[0]];
            }
            let times = |x: f32, a, b| S::mul_add(S::splat(x), a, b);
            let (far_sum, far_difference) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
            [
                S::add(S::add(m[0], sum), far_sum),
                times(2.0, far_difference, difference),
                times(4.0, far_sum, sum),
                S::add(times(8.0, far_difference, difference), m[5]),
                m[0],
                m[0],
            ]
        }
    }
}

impl Rule for Gradient {
    #[inline(always)]
    fn taken(outputs: usize) -> usize {
        outputs
    }
    #[inline(always)]
    fn given(outputs: usize) -> usize {
        outputs + 2
    }
    #[inline(always)]
    unsafe fn line<S: Simd>(outputs: usize, y: Line<S>) -> Line<S> {
        // SAFETY: the caller's duty.
        unsafe {
            if outputs == 2 {
                let minus = S::sub(S::splat(0.0), y[1]);
                return [y[0], S::add(y[0], y[1]), S::sub(y[0], y[1]), minus, y[0], y[0]];
            }
            let times = |x: f32, a, b| S::mul_add(S::splat(x), a, b);
            let (even, odd) = (S::add(y[0], y[2]), S::add(y[1], y[3]));
            let far_even = times(4.0, y[2], y[0]);
            let far_odd = times(8.0, y[3], S::add(y[1], y[1]));
            [y[0], S::add(even, odd), S::sub(even, odd), S::add(far_even, far_odd), S::sub(far_even, far_odd), y[3]]
        }
    }
}

/// Rows of G, the map of a line of three taps.
pub(super) fn weight_rows(outputs: usize) -> &'static [[f32; 3]] {
    const FOUR: [[f32; 3]; 6] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
    const TWO: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
    if outputs == 4 { &FOUR } else { &TWO }
}

/// The rule along both axes of a tile, from `from` to `to`.
///
/// # Safety
/// As [`Simd`]; both hold what the tile's lines take and give, and don't overlap.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd, R: Rule>(outputs: [usize; 2], from: (*const f32, Grid), to: (*mut f32, Grid)) {
    // SAFETY: the caller's duty.
    unsafe {
        match outputs {
            [4, 4] => sized::<S, R, 4, 4>(from, to),
            [4, _] => sized::<S, R, 4, 2>(from, to),
            [_, 4] => sized::<S, R, 2, 4>(from, to),
            _ => sized::<S, R, 2, 2>(from, to),
        }
    }
}

#[inline(always)]
unsafe fn sized<S: Simd, R: Rule, const ROWS: usize, const COLUMNS: usize>(
    (from, source): (*const f32, Grid),
    (to, target): (*mut f32, Grid),
) {
    // SAFETY: the caller's duty.
    unsafe {
        let zero = S::splat(0.0);
        let mut half = [[zero; LONGEST]; LONGEST];
        for (j, half) in half.iter_mut().enumerate().take(R::taken(COLUMNS)) {
            let mut line = [zero; LONGEST];
            for (i, x) in line.iter_mut().enumerate().take(R::taken(ROWS)) {
                *x = S::load(from.add(i * source.row + j * source.column));
            }
            *half = R::line::<S>(ROWS, line);
        }
        for i in 0..R::given(ROWS) {
            let mut line = [zero; LONGEST];
            for (x, half) in line.iter_mut().zip(&half).take(R::taken(COLUMNS)) {
                *x = half[i];
            }
            let line = R::line::<S>(COLUMNS, line);
            for (j, &x) in line.iter().enumerate().take(R::given(COLUMNS)) {
                S::store(to.add(i * target.row + j * target.column), x);
            }
        }
    }
}
