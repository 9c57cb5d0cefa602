//! One axis of a gather: which input element feeds which output element through which tap.
//!
//! A convolution and the gradient with respect to its input are the same kind of sum along each axis,
//! `out[i·out_step + offset]` = Σ_tap `w[tap]` · `in[i·in_step + displacement(tap)]`, for `out_step` classes of outputs.
//! The convolution has one class and steps over its input by the stride. Its gradient steps over its output: an x
//! index r = i·S + offset is fed by those taps u for which S divides offset + P − u·D, and by no others.

/// Outputs that share their taps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    /// First output index; the next ones follow at `out_step`.
    pub(crate) offset: usize,
    /// Number of output indices.
    pub(crate) count: usize,
    /// (tap, displacement above [`Axis::lowest`]).
    pub(crate) taps: Vec<(usize, usize)>,
}

/// The sums along one axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) classes: Vec<Class>,
    pub(crate) in_step: usize,
    pub(crate) out_step: usize,
    /// Least displacement: where the padded input begins, relative to the input. It may be negative.
    pub(crate) lowest: isize,
    /// Greatest displacement above `lowest`.
    pub(crate) reach: usize,
}

/// Kernel extent, stride, padding and dilation along one axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AxisSpec {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) dilation: usize,
}

impl Axis {
    /// A convolution with `output` outputs.
    pub(crate) fn forward(s: AxisSpec, output: usize) -> Axis {
        let taps = (0..s.kernel).map(|u| (u, u * s.dilation)).collect();
        Axis {
            classes: vec![Class { offset: 0, count: output, taps }],
            in_step: s.stride,
            out_step: 1,
            lowest: -(s.padding as isize),
            reach: (s.kernel - 1) * s.dilation,
        }
    }

    /// The gradient of a convolution with respect to its input of `input` elements.
    pub(crate) fn backward(s: AxisSpec, input: usize) -> Axis {
        let stride = s.stride as isize;
        let displaced = |offset: usize| {
            (0..s.kernel).filter_map(move |u| {
                let distance = (offset + s.padding) as isize - (u * s.dilation) as isize;
                (distance % stride == 0).then_some((u, distance / stride))
            })
        };
        let offsets = 0..s.stride.min(input);
        let all: Vec<isize> = offsets.clone().flat_map(displaced).map(|(_, d)| d).collect();
        let lowest = all.iter().copied().min().unwrap_or(0);
        let reach = all.iter().copied().max().unwrap_or(0) - lowest;
        let class = |offset: usize| Class {
            offset,
            count: (input - offset).div_ceil(s.stride),
            taps: displaced(offset).map(|(u, d)| (u, (d - lowest) as usize)).collect(),
        };
        Axis { classes: offsets.map(class).collect(), in_step: 1, out_step: s.stride, lowest, reach: reach as usize }
    }

    /// Largest number of outputs in a class.
    pub(crate) fn count(&self) -> usize {
        self.classes.iter().map(|c| c.count).max().unwrap_or(0)
    }

    /// Extent of the padded input behind `outputs` consecutive outputs of a class.
    pub(crate) fn span(&self, outputs: usize) -> usize {
        (outputs.max(1) - 1) * self.in_step + self.reach + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every (output, input, tap) that the axis pairs up.
    fn pairs(axis: &Axis) -> Vec<(usize, isize, usize)> {
        let mut found = Vec::new();
        for class in &axis.classes {
            for i in 0..class.count {
                for &(tap, d) in &class.taps {
                    assert!(d <= axis.reach, "displacement {d} beyond reach {}", axis.reach);
                    let input = (i * axis.in_step) as isize + axis.lowest + d as isize;
                    found.push((i * axis.out_step + class.offset, input, tap));
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn the_gradient_pairs_the_same_elements_as_the_convolution() {
        for (input, kernel, stride, padding, dilation) in [
            (7, 3, 1, 1, 1),
            (8, 3, 2, 1, 1),
            (9, 4, 2, 1, 1),
            (5, 1, 3, 0, 1),
            (11, 3, 2, 2, 2),
            (3, 2, 5, 1, 1),
            (6, 3, 4, 3, 3),
        ] {
            let spec = AxisSpec { kernel, stride, padding, dilation };
            let output = (input + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
            let inside = |&(_, x, _): &(usize, isize, usize)| (0..input as isize).contains(&x);
            let mut forward: Vec<_> = pairs(&Axis::forward(spec, output)).into_iter().filter(inside).collect();
            let backward = pairs(&Axis::backward(spec, input)).into_iter();
            let mut swapped: Vec<_> = backward
                .filter(|&(_, y, _)| (0..output as isize).contains(&y))
                .map(|(x, y, tap)| (y as usize, x as isize, tap))
                .collect();
            forward.sort();
            swapped.sort();
            assert_eq!(forward, swapped, "{spec:?} on {input}");
        }
    }
}
