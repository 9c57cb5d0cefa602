//! Backward bounds: one step through a ReLU, the end at a box, windows and picked rows.

use super::Reference;
use crate::common::tensor::Tensor;

/// Where the windows of rows lie, as `src/ops/window.rs` defines it.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// C, KH, KW.
    pub window: [usize; 3],
    /// H, W.
    pub image: [usize; 2],
    pub stride: [usize; 2],
    pub offset: [isize; 2],
}

impl Windows {
    /// Element of the image under element `e` of the window of the row with this record; `None` outside.
    pub fn pixel(&self, record: &[u32], e: usize) -> Option<usize> {
        let [_, kh, kw] = self.window;
        let (c, within) = (e / (kh * kw), [e / kw % kh, e % kw]);
        let mut at = [0; 2];
        for axis in 0..2 {
            let start = (self.stride[axis] * record[2 + axis] as usize) as isize + self.offset[axis];
            let place = start + within[axis] as isize;
            if place < 0 || place >= self.image[axis] as isize {
                return None;
            }
            at[axis] = place as usize;
        }
        Some((c * self.image[0] + at[0]) * self.image[1] + at[1])
    }

    pub fn elements(&self) -> usize {
        self.window.iter().product()
    }

    pub fn pixels(&self) -> usize {
        self.window[0] * self.image[0] * self.image[1]
    }
}

/// Operands of the step through a ReLU besides the coefficients.
pub struct Relaxation<'a> {
    pub windows: Windows,
    /// `[N,3,pixels]`: l, u, ẑ.
    pub bounds: &'a Tensor,
    pub rows: &'a [u32],
    pub slopes: Option<&'a Tensor>,
    pub splits: Option<(&'a Tensor, &'a Tensor)>,
}

impl Relaxation<'_> {
    /// (s, t, ŷ, ẑ, σ, β) of element `i` with coefficient a; `None` outside the image.
    fn line(&self, i: usize, a: f64) -> Option<[f64; 6]> {
        let n = self.windows.elements();
        let record = &self.rows[i / n * 4..][..4];
        let pixel = self.windows.pixel(record, i % n)?;
        let pixels = self.windows.pixels();
        let at = |plane: usize| self.bounds.data[(record[0] as usize * 3 + plane) * pixels + pixel];
        let (l, u, z) = (at(0), at(1), at(2));
        let (split, beta) = self.splits.map_or((0.0, 0.0), |(s, b)| (s.data[i], b.data[i]));
        let (slope, intercept) = match () {
            () if split > 0.0 => (1.0, 0.0),
            () if split < 0.0 => (0.0, 0.0),
            () if l >= 0.0 => (1.0, 0.0),
            () if u <= 0.0 => (0.0, 0.0),
            () if a < 0.0 => (u / (u - l), -l * u / (u - l)),
            () => (self.slopes.map_or(f64::from(u > -l), |s| s.data[i]), 0.0),
        };
        Some([slope, intercept, z.max(0.0), z, split, beta])
    }

    /// New coefficients and summands.
    pub fn forward(&self, a: &Tensor) -> (Reference, Reference) {
        let n = self.windows.elements();
        let coefficients = Reference::elements(&a.shape, 8, |i| match self.line(i, a.data[i]) {
            None => (0.0, 0.0),
            Some([s, _, _, _, split, beta]) => (a.data[i] * s - split * beta, (a.data[i] * s).abs() + beta),
        });
        let summands = Reference::elements(&[a.shape[0]], n + 12, |r| {
            let terms = (r * n..(r + 1) * n).filter_map(|i| {
                let [s, t, y, z, split, beta] = self.line(i, a.data[i])?;
                let value = a.data[i] * (s * z + t - y) - split * beta * z;
                Some((value, a.data[i].abs() * ((s * z).abs() + t.abs() + y) + (split * beta * z).abs()))
            });
            terms.fold((0.0, 0.0), |sum, term| (sum.0 + term.0, sum.1 + term.1))
        });
        (coefficients, summands)
    }

    /// Gradients with respect to coefficients, slopes and multipliers.
    pub fn backward(&self, a: &Tensor, [grad, grad_summand]: [&Tensor; 2]) -> [Reference; 3] {
        let n = self.windows.elements();
        let each = |f: &dyn Fn(usize, [f64; 6], f64, f64) -> (f64, f64)| {
            Reference::elements(&a.shape, 16, |i| match self.line(i, a.data[i]) {
                None => (0.0, 0.0),
                Some(line) => f(i, line, grad.data[i], grad_summand.data[i / n]),
            })
        };
        let coefficients = each(&|_, [s, t, y, z, _, _], g, gd| {
            (g * s + gd * (s * z + t - y), (g * s).abs() + gd.abs() * ((s * z).abs() + t.abs() + y))
        });
        let slopes = each(&|i, [_, _, _, z, split, _], g, gd| {
            let n = self.windows.elements();
            let record = &self.rows[i / n * 4..][..4];
            let (pixel, pixels) = (self.windows.pixel(record, i % n).expect("inside"), self.windows.pixels());
            let at = |plane: usize| self.bounds.data[(record[0] as usize * 3 + plane) * pixels + pixel];
            let free = at(0) < 0.0 && at(1) > 0.0 && split == 0.0;
            let a = if free { a.data[i].max(0.0) } else { 0.0 };
            (a * (g + gd * z), a * (g.abs() + (gd * z).abs()))
        });
        let multipliers =
            each(&|_, [_, _, _, z, split, _], g, gd| (-split * (g + gd * z), split.abs() * (g.abs() + (gd * z).abs())));
        [coefficients, slopes, multipliers]
    }
}

/// Σ a · (a > 0 ? below : above) per row; region `[N,2,pixels]`.
pub fn concretize(windows: Windows, a: &Tensor, region: &Tensor, rows: &[u32]) -> Reference {
    let n = windows.elements();
    Reference::elements(&[a.shape[0]], n, |r| {
        let terms =
            (0..n).map(|e| corner(windows, a.data[r * n + e], region, &rows[r * 4..][..4], e) * a.data[r * n + e]);
        terms.fold((0.0, 0.0), |sum, term| (sum.0 + term, sum.1 + f64::abs(term)))
    })
}

/// The corner that [`concretize`] takes, times the gradient.
pub fn concretize_backward(windows: Windows, a: &Tensor, region: &Tensor, rows: &[u32], grad: &Tensor) -> Reference {
    let n = windows.elements();
    Reference::elements(&a.shape, 2, |i| {
        let value = corner(windows, a.data[i], region, &rows[i / n * 4..][..4], i % n) * grad.data[i / n];
        (value, value.abs())
    })
}

fn corner(windows: Windows, a: f64, region: &Tensor, record: &[u32], e: usize) -> f64 {
    let Some(pixel) = windows.pixel(record, e) else { return 0.0 };
    region.data[(record[0] as usize * 2 + usize::from(a <= 0.0)) * windows.pixels() + pixel]
}

/// Windows in images of zeros.
pub fn embed(windows: Windows, x: &Tensor, rows: &[u32]) -> Reference {
    let (n, pixels) = (windows.elements(), windows.pixels());
    let mut y = Tensor::filled([x.shape[0], windows.window[0], windows.image[0], windows.image[1]], 0.0);
    for (i, &value) in x.data.iter().enumerate() {
        if let Some(pixel) = windows.pixel(&rows[i / n * 4..][..4], i % n) {
            y.data[i / n * pixels + pixel] = value;
        }
    }
    Reference::exact(y)
}

/// Its gradient: what the images have where the windows lie.
pub fn embed_backward(windows: Windows, upstream: &Tensor, rows: &[u32]) -> Reference {
    let (n, pixels) = (windows.elements(), windows.pixels());
    let [c, kh, kw] = windows.window;
    let mut grad = Tensor::filled([upstream.shape[0], c, kh, kw], 0.0);
    for (i, value) in grad.data.iter_mut().enumerate() {
        if let Some(pixel) = windows.pixel(&rows[i / n * 4..][..4], i % n) {
            *value = upstream.data[i / n * pixels + pixel];
        }
    }
    Reference::exact(grad)
}

mod tests {
    use super::super::assert_gradient;
    use super::*;
    use crate::common::random::Random;

    #[test]
    fn gradients_are_slopes() {
        let windows = Windows { window: [2, 2, 3], image: [4, 4], stride: [1, 2], offset: [-1, 0] };
        let rows = [0, 0, 0, 1, 1, 0, 2, 0];
        let random = &mut Random::new(3);
        let mut bounds = random.tensor([2, 3, 32], -1.0, 1.0);
        for i in 0..2 * 32 {
            let at = |plane: usize| (i / 32 * 3 + plane) * 32 + i % 32;
            let (a, b) = (bounds.data[at(0)], bounds.data[at(1)]);
            (bounds.data[at(0)], bounds.data[at(1)]) = (a.min(b), a.max(b));
        }
        let splits = random.tensor([2, 2, 2, 3], -1.5, 1.5).map(f64::trunc);
        let values = [
            random.tensor([2, 2, 2, 3], -1.0, 1.0),
            random.tensor([2, 2, 2, 3], 0.1, 0.9),
            random.tensor([2, 2, 2, 3], 0.0, 1.0),
        ];
        fn with<'a>(
            bounds: &'a Tensor,
            rows: &'a [u32],
            windows: Windows,
            splits: &'a Tensor,
            v: &'a [Tensor],
        ) -> Relaxation<'a> {
            Relaxation { windows, bounds, rows, slopes: Some(&v[1]), splits: Some((splits, &v[2])) }
        }
        assert_gradient(
            &values,
            &|v| {
                let (coefficients, summands) = with(&bounds, &rows, windows, &splits, v).forward(&v[0]);
                vec![coefficients.value, summands.value]
            },
            &|v, g| {
                let relaxation = with(&bounds, &rows, windows, &splits, v);
                relaxation.backward(&v[0], [&g[0], &g[1]]).map(|r| r.value).to_vec()
            },
        );
    }
}
