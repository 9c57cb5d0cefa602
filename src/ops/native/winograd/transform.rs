//! The small matrices: along a line of a tile, and along both axes of it. The points are 0, ±1, ±2, ∞ for 4 outputs of 3 taps;
//! 0, ±1, ±2, ±½, ∞ for 7 of 2; 0, ±1, 2, ∞ for 4 of 2; 0, ±1, ∞ for 2 of 3 and 3 of 2.

use std::mem::MaybeUninit;

use crate::ops::native::lanes::Simd;

/// Vectors along one axis; what lies beyond the line's length is ignored.
pub(super) type Line<S> = [<S as Simd>::Vector; LONGEST];

/// Longest line.
pub(super) const LONGEST: usize = 8;

/// Distances of the vectors of a tile, in words.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub(super) row: usize,
    pub(super) column: usize,
}

impl Grid {
    /// Words to the vector at (row, column).
    #[inline(always)]
    pub(super) fn at(self, row: usize, column: usize) -> usize {
        row * self.row + column * self.column
    }
}

/// What a tile does along one axis.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) taps: usize,
    pub(super) outputs: usize,
}

impl Shape {
    /// Inputs, and points.
    #[inline(always)]
    fn points(self) -> usize {
        self.outputs + self.taps - 1
    }
}

/// A map of lines.
pub(super) trait Rule {
    /// Length of the line it takes.
    fn taken(shape: Shape) -> usize;
    /// Length of the line it gives.
    fn given(shape: Shape) -> usize;
    /// # Safety
    /// As [`Simd`].
    unsafe fn line<S: Simd>(shape: Shape, from: Line<S>) -> Line<S>;
}

/// Bᵀ d: inputs to points.
pub(super) struct Input;

/// Aᵀ m: points to outputs.
pub(super) struct Output;

/// A y: gradients of outputs to points.
pub(super) struct Gradient;

/// B m: points to gradients of inputs, for 7 outputs of 2 taps.
pub(super) struct Adjoint;

/// x · a + b.
#[inline(always)]
unsafe fn times<S: Simd>(x: f32, a: S::Vector, b: S::Vector) -> S::Vector {
    // SAFETY: the caller's duty.
    unsafe { S::mul_add(S::splat(x), a, b) }
}

impl Rule for Input {
    #[inline(always)]
    fn taken(shape: Shape) -> usize {
        shape.points()
    }
    #[inline(always)]
    fn given(shape: Shape) -> usize {
        shape.points()
    }
    #[inline(always)]
    unsafe fn line<S: Simd>(shape: Shape, d: Line<S>) -> Line<S> {
        // SAFETY: the caller's duty.
        unsafe {
            let first = S::sub(d[0], d[2]);
            let (sum, difference) = (S::add(d[1], d[2]), S::sub(d[2], d[1]));
            let odd = S::sub(d[3], d[1]);
            let end = S::splat(0.0);
            match (shape.taps, shape.outputs) {
                (_, 7) => {
                    let (even, odd) =
                        (times::<S>(-4.25, d[4], S::add(d[2], d[6])), times::<S>(-4.25, d[3], S::add(d[1], d[5])));
                    let far_even = times::<S>(0.25, d[2], times::<S>(-1.25, d[4], d[6]));
                    let far_odd = times::<S>(0.25, d[1], times::<S>(-1.25, d[3], d[5]));
                    let near_even = times::<S>(4.0, d[2], times::<S>(-5.0, d[4], d[6]));
                    let near_odd = times::<S>(4.0, d[1], times::<S>(-5.0, d[3], d[5]));
                    [
                        times::<S>(5.25, S::sub(d[4], d[2]), S::sub(d[0], d[6])),
                        S::add(even, odd),
                        S::sub(even, odd),
                        times::<S>(2.0, far_odd, far_even),
                        times::<S>(-2.0, far_odd, far_even),
                        times::<S>(0.5, near_odd, near_even),
                        times::<S>(-0.5, near_odd, near_even),
                        times::<S>(5.25, S::sub(d[3], d[5]), S::sub(d[7], d[1])),
                    ]
                }
                (3, 4) => {
                    let (a, b) = (times::<S>(-4.0, d[2], d[4]), times::<S>(-4.0, d[1], d[3]));
                    let even = S::sub(d[4], d[2]);
                    [
                        times::<S>(4.0, d[0], times::<S>(-5.0, d[2], d[4])),
                        S::add(a, b),
                        S::sub(a, b),
                        times::<S>(2.0, odd, even),
                        times::<S>(-2.0, odd, even),
                        times::<S>(4.0, d[1], times::<S>(-5.0, d[3], d[5])),
                        end,
                        end,
                    ]
                }
                (3, _) => [first, sum, difference, S::sub(d[1], d[3]), end, end, end, end],
                (_, 4) => [
                    times::<S>(2.0, first, odd),
                    times::<S>(-2.0, d[1], S::sub(d[3], d[2])),
                    times::<S>(2.0, d[1], times::<S>(-3.0, d[2], d[3])),
                    odd,
                    times::<S>(-2.0, odd, S::sub(d[4], d[2])),
                    end,
                    end,
                    end,
                ],
                _ => [first, sum, difference, odd, end, end, end, end],
            }
        }
    }
}

impl Rule for Output {
    #[inline(always)]
    fn taken(shape: Shape) -> usize {
        shape.points()
    }
    #[inline(always)]
    fn given(shape: Shape) -> usize {
        shape.outputs
    }
    #[inline(always)]
    unsafe fn line<S: Simd>(shape: Shape, m: Line<S>) -> Line<S> {
        // SAFETY: the caller's duty.
        unsafe {
            let (sum, difference) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
            let near = S::add(m[0], sum);
            let end = S::splat(0.0);
            match (shape.taps, shape.outputs) {
                (_, 7) => {
                    let (two, minus_two) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
                    let (half, minus_half) = (S::add(m[5], m[6]), S::sub(m[5], m[6]));
                    [
                        S::add(near, S::add(two, half)),
                        times::<S>(0.5, minus_half, times::<S>(2.0, minus_two, difference)),
                        times::<S>(0.25, half, times::<S>(4.0, two, sum)),
                        times::<S>(0.125, minus_half, times::<S>(8.0, minus_two, difference)),
                        times::<S>(0.0625, half, times::<S>(16.0, two, sum)),
                        times::<S>(0.03125, minus_half, times::<S>(32.0, minus_two, difference)),
                        S::add(times::<S>(0.015625, half, times::<S>(64.0, two, sum)), m[7]),
                        end,
                    ]
                }
                (3, 4) => {
                    let (far_sum, far_difference) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
                    [
                        S::add(near, far_sum),
                        times::<S>(2.0, far_difference, difference),
                        times::<S>(4.0, far_sum, sum),
                        S::add(times::<S>(8.0, far_difference, difference), m[5]),
                        end,
                        end,
                        end,
                        end,
                    ]
                }
                (3, _) => [near, S::sub(difference, m[3]), end, end, end, end, end, end],
                (_, 4) => [
                    S::add(near, m[3]),
                    times::<S>(2.0, m[3], difference),
                    times::<S>(4.0, m[3], sum),
                    S::add(times::<S>(8.0, m[3], difference), m[4]),
                    end,
                    end,
                    end,
                    end,
                ],
                _ => [near, difference, S::add(sum, m[3]), end, end, end, end, end],
            }
        }
    }
}

impl Rule for Gradient {
    #[inline(always)]
    fn taken(shape: Shape) -> usize {
        shape.outputs
    }
    #[inline(always)]
    fn given(shape: Shape) -> usize {
        shape.points()
    }
    #[inline(always)]
    unsafe fn line<S: Simd>(shape: Shape, y: Line<S>) -> Line<S> {
        // SAFETY: the caller's duty.
        unsafe {
            let end = S::splat(0.0);
            if shape.outputs == 2 {
                let minus = S::sub(end, y[1]);
                return [y[0], S::add(y[0], y[1]), S::sub(y[0], y[1]), minus, end, end, end, end];
            }
            let even = S::add(y[0], y[2]);
            if shape.outputs == 3 {
                return [y[0], S::add(even, y[1]), S::sub(even, y[1]), y[2], end, end, end, end];
            }
            if shape.outputs == 7 {
                let (even, odd) = (S::add(even, S::add(y[4], y[6])), S::add(y[1], S::add(y[3], y[5])));
                let two_even = times::<S>(4.0, y[2], times::<S>(16.0, y[4], times::<S>(64.0, y[6], y[0])));
                let two_odd = times::<S>(2.0, y[1], times::<S>(8.0, y[3], S::mul(S::splat(32.0), y[5])));
                let half_even = times::<S>(0.25, y[2], times::<S>(0.0625, y[4], times::<S>(0.015625, y[6], y[0])));
                let half_odd = times::<S>(0.5, y[1], times::<S>(0.125, y[3], S::mul(S::splat(0.03125), y[5])));
                return [
                    y[0],
                    S::add(even, odd),
                    S::sub(even, odd),
                    S::add(two_even, two_odd),
                    S::sub(two_even, two_odd),
                    S::add(half_even, half_odd),
                    S::sub(half_even, half_odd),
                    y[6],
                ];
            }
            let odd = S::add(y[1], y[3]);
            let (near, opposite) = (S::add(even, odd), S::sub(even, odd));
            let (far_even, far_odd) = (times::<S>(4.0, y[2], y[0]), times::<S>(8.0, y[3], S::add(y[1], y[1])));
            let far = S::add(far_even, far_odd);
            match shape.taps {
                3 => [y[0], near, opposite, far, S::sub(far_even, far_odd), y[3], end, end],
                _ => [y[0], near, opposite, far, y[3], end, end, end],
            }
        }
    }
}

impl Rule for Adjoint {
    #[inline(always)]
    fn taken(shape: Shape) -> usize {
        shape.points()
    }
    #[inline(always)]
    fn given(shape: Shape) -> usize {
        shape.points()
    }
    #[inline(always)]
    unsafe fn line<S: Simd>(_: Shape, m: Line<S>) -> Line<S> {
        // SAFETY: the caller's duty.
        unsafe {
            let (one, minus_one) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
            let (two, minus_two) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
            let (half, minus_half) = (S::add(m[5], m[6]), S::sub(m[5], m[6]));
            let far = S::add(minus_two, minus_half);
            [
                m[0],
                times::<S>(2.0, minus_half, times::<S>(0.5, minus_two, S::sub(minus_one, m[7]))),
                times::<S>(-5.25, m[0], times::<S>(4.0, half, times::<S>(0.25, two, one))),
                times::<S>(5.25, m[7], times::<S>(-2.5, far, S::mul(S::splat(-4.25), minus_one))),
                times::<S>(5.25, m[0], times::<S>(-5.0, half, times::<S>(-1.25, two, S::mul(S::splat(-4.25), one)))),
                times::<S>(-5.25, m[7], times::<S>(0.5, minus_half, times::<S>(2.0, minus_two, minus_one))),
                S::sub(S::add(one, S::add(two, half)), m[0]),
                m[7],
            ]
        }
    }
}

/// Rows of G, the map of a line of up to three taps.
pub(super) fn weight_rows(taps: usize, outputs: usize) -> &'static [[f32; 3]] {
    const FOUR_OF_THREE: [[f32; 3]; 6] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
    const TWO_OF_THREE: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
    const FOUR_OF_TWO: [[f32; 3]; 5] = [
        [1.0 / 2.0, 0.0, 0.0],
        [-1.0 / 2.0, -1.0 / 2.0, 0.0],
        [-1.0 / 6.0, 1.0 / 6.0, 0.0],
        [1.0 / 6.0, 1.0 / 3.0, 0.0],
        [0.0, 1.0, 0.0],
    ];
    const SEVEN_OF_TWO: [[f32; 3]; 8] = [
        [1.0, 0.0, 0.0],
        [-2.0 / 9.0, -2.0 / 9.0, 0.0],
        [-2.0 / 9.0, 2.0 / 9.0, 0.0],
        [1.0 / 90.0, 1.0 / 45.0, 0.0],
        [1.0 / 90.0, -1.0 / 45.0, 0.0],
        [32.0 / 45.0, 16.0 / 45.0, 0.0],
        [32.0 / 45.0, -16.0 / 45.0, 0.0],
        [0.0, 1.0, 0.0],
    ];
    const THREE_OF_TWO: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, -0.5, 0.0], [0.0, 1.0, 0.0]];
    match (taps, outputs) {
        (3, 4) => &FOUR_OF_THREE,
        (3, _) => &TWO_OF_THREE,
        (_, 7) => &SEVEN_OF_TWO,
        (_, 4) => &FOUR_OF_TWO,
        _ => &THREE_OF_TWO,
    }
}

/// Gives the vectors of a tile.
pub(super) trait Source<S: Simd> {
    /// The one at row i, column j; columns past the outputs are not the tile's `own`, but the first ones of the next tile.
    ///
    /// # Safety
    /// As [`Simd`]; the tile has it.
    unsafe fn load(&self, i: usize, j: usize, own: bool) -> S::Vector;
}

/// Takes the vectors of a tile.
pub(super) trait Target<S: Simd> {
    /// The one at row i, column j.
    ///
    /// # Safety
    /// As [`Simd`]; the tile has it.
    unsafe fn store(&self, i: usize, j: usize, v: S::Vector);
}

impl<S: Simd> Source<S> for (*const f32, Grid) {
    #[inline(always)]
    unsafe fn load(&self, i: usize, j: usize, _: bool) -> S::Vector {
        // SAFETY: the caller's duty.
        unsafe { S::load(self.0.add(self.1.at(i, j))) }
    }
}

/// The rule along both axes of a tile.
///
/// # Safety
/// As [`Simd`]; what is stored is not what is loaded later, and the tile has all lines that the rule takes and gives.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd, R: Rule>(
    taps: usize,
    outputs: [usize; 2],
    from: impl Source<S>,
    to: impl Target<S>,
) {
    // SAFETY: the caller's duty.
    unsafe {
        match (taps, outputs) {
            (3, [4, 4]) => sized::<S, R, 3, 4, 4>(from, to),
            (3, [4, _]) => sized::<S, R, 3, 4, 2>(from, to),
            (3, [_, 4]) => sized::<S, R, 3, 2, 4>(from, to),
            (3, _) => sized::<S, R, 3, 2, 2>(from, to),
            (_, [7, _]) => sized::<S, R, 2, 7, 7>(from, to),
            (_, [4, 4]) => sized::<S, R, 2, 4, 4>(from, to),
            (_, [4, _]) => sized::<S, R, 2, 4, 3>(from, to),
            (_, [_, 4]) => sized::<S, R, 2, 3, 4>(from, to),
            _ => sized::<S, R, 2, 3, 3>(from, to),
        }
    }
}

#[inline(always)]
unsafe fn sized<S: Simd, R: Rule, const TAPS: usize, const ROWS: usize, const COLUMNS: usize>(
    from: impl Source<S>,
    to: impl Target<S>,
) {
    let (rows, columns) = (Shape { taps: TAPS, outputs: ROWS }, Shape { taps: TAPS, outputs: COLUMNS });
    // SAFETY: the caller's duty.
    unsafe {
        let zero = S::splat(0.0);
        // Not written beforehand: that would cost as much as the stores of a tile.
        let mut half = [[const { MaybeUninit::<S::Vector>::uninit() }; LONGEST]; LONGEST];
        for (j, half) in half.iter_mut().enumerate().take(R::taken(columns)) {
            let mut line = [zero; LONGEST];
            for (i, x) in line.iter_mut().enumerate().take(R::taken(rows)) {
                *x = from.load(i, j, j < COLUMNS);
            }
            let line = R::line::<S>(rows, line);
            for (half, x) in half.iter_mut().zip(line).take(R::given(rows)) {
                half.write(x);
            }
        }
        for i in 0..R::given(rows) {
            let mut line = [zero; LONGEST];
            for (x, half) in line.iter_mut().zip(&half).take(R::taken(columns)) {
                *x = half[i].assume_init();
            }
            let line = R::line::<S>(columns, line);
            for (j, &x) in line.iter().enumerate().take(R::given(columns)) {
                to.store(i, j, x);
            }
        }
    }
}
