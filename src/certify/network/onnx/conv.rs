//! Convolutions, averages over windows, zero padding.

use std::rc::Rc;

use super::call::Call;
use super::constant::Constant;
use super::layout::axis;
use super::value::{Base, Symbol, Value, checked, checked_weight, weights};
use super::wrong;
use crate::certify::network::rounded::Rounded;
use crate::certify::network::{Operation, Weights};
use crate::error::Result;
use crate::ops::{Conv2dSpec, conv2d_shape};
use crate::shape::Shape;

/// Greatest setting that is read: far above any network's, far below what overflows.
const GREATEST: i64 = 1 << 24;

/// A convolution along one axis as the file has it.
#[derive(Clone, Copy)]
struct Axis {
    /// Extent of the kernel.
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// Zeros before and behind.
    padding: [usize; 2],
}

impl Axis {
    /// Leading and trailing zero taps that make the padding the same on both sides, in a kernel whose taps are `factor` apart from
    /// before, with the padding and the dilation that they then have.
    fn symmetric(self) -> Symmetric {
        let [before, behind] = self.padding;
        let padding = before.max(behind);
        let missing = before.abs_diff(behind);
        // A dilated kernel has no tap to add at other distances: spell out the zeros in between.
        let factor = if missing % self.dilation == 0 { 1 } else { self.dilation };
        let dilation = self.dilation / factor;
        let taps = missing / dilation;
        let leading = if before < behind { taps } else { 0 };
        let kernel = (self.kernel - 1) * factor + 1 + taps;
        Symmetric { factor, leading, kernel, padding, dilation }
    }
}

struct Symmetric {
    factor: usize,
    leading: usize,
    kernel: usize,
    padding: usize,
    dilation: usize,
}

impl Call<'_> {
    /// `n` settings that are counts, each at least `least`.
    fn counts(&self, name: &str, n: usize, default: usize, least: i64) -> Result<Vec<usize>> {
        let Some(values) = self.integers(name)? else { return Ok(vec![default; n]) };
        if values.len() != n || values.iter().any(|v| !(least..=GREATEST).contains(v)) {
            return wrong(format!("{name} {values:?}: expected {n} whole numbers of at least {least}"));
        }
        Ok(values.iter().map(|&v| v as usize).collect())
    }

    /// Kernel, strides, dilations and padding along H and W, for an image of `extents` with padding of its own.
    fn axes(&self, kernel: [usize; 2], extents: [usize; 2], own: [usize; 4]) -> Result<[Axis; 2]> {
        let (strides, dilations) = (self.counts("strides", 2, 1, 1)?, self.counts("dilations", 2, 1, 1)?);
        let pads = self.counts("pads", 4, 0, 0)?;
        let mode = self.text("auto_pad", "NOTSET")?;
        if !["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", ""].contains(&mode) {
            return wrong(format!("auto_pad {mode}: expected NOTSET, VALID, SAME_UPPER or SAME_LOWER"));
        }
        let along = |i: usize| {
            let (stride, dilation) = (strides[i], dilations[i]);
            let mut padding = [own[2 * i], own[2 * i + 1]];
            match mode {
                "NOTSET" | "" => {
                    padding[0] += pads[i];
                    padding[1] += pads[i + 2];
                }
                "VALID" => {}
                _ => {
                    // As many outputs as strides fit into the extent, which has its own padding within.
                    let extent = extents[i] + padding[0] + padding[1];
                    let reach = (extent.div_ceil(stride) - 1) * stride + dilation * (kernel[i] - 1) + 1;
                    let total = reach.saturating_sub(extent);
                    let (less, more) = (total / 2, total - total / 2);
                    let added = if mode == "SAME_UPPER" { [less, more] } else { [more, less] };
                    (padding[0], padding[1]) = (padding[0] + added[0], padding[1] + added[1]);
                }
            }
            Axis { kernel: kernel[i], stride, dilation, padding }
        };
        Ok([along(0), along(1)])
    }

    /// Conv with constant weights.
    pub(super) fn conv(&mut self) -> Result<Symbol> {
        self.only(&["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"])?;
        let (x, w) = (self.padded_value(0)?, self.constant(1)?);
        w.expect_reals()?;
        let image = x.image()?;
        let &[features, inner, height, width] = &w.dims[..] else {
            return wrong(format!("a weight of extents {:?}: expected [O,C,KH,KW]", w.dims));
        };
        checked(&w.dims)?;
        let groups = self.integer("group", 1)?;
        let fits =
            usize::try_from(groups).is_ok_and(|g| g > 0 && g.checked_mul(inner) == Some(image[0]) && features % g == 0);
        if !fits {
            let (got, c) = (&w.dims, image[0]);
            return wrong(format!("a weight of extents {got:?} in {groups} groups for {c} channels"));
        }
        if self.integers("kernel_shape")?.is_some_and(|k| k != [height as i64, width as i64]) {
            return wrong(format!("kernel_shape for a weight of extents {:?}: expected its last two", w.dims));
        }
        let bias = if self.has(2) {
            let b = self.constant(2)?;
            b.expect_reals()?;
            if b.len() != features {
                return wrong(format!("{} biases: expected {features}", b.len()));
            }
            (0..features).map(|o| b.real(o)).collect()
        } else {
            vec![Rounded::exact(0.0); features]
        };
        let axes = self.axes([height, width], [image[1], image[2]], x.padding)?;
        let each = features / groups as usize;
        let tap = |o: usize, c: usize, u: usize, v: usize| {
            let within = c.checked_sub(o / each * inner).filter(|&c| c < inner);
            within.map(|c| w.real(((o * inner + c) * height + u) * width + v))
        };
        Ok(Symbol::Value(self.convolved(x, image, features, axes, tap, bias)?))
    }

    /// A convolution by `tap(o, c, u, v)`, `None` for 0.
    fn convolved(
        &mut self,
        mut x: Value,
        image: [usize; 3],
        features: usize,
        axes: [Axis; 2],
        tap: impl Fn(usize, usize, usize, usize) -> Option<Rounded>,
        bias: Vec<Rounded>,
    ) -> Result<Value> {
        let sides = axes.map(Axis::symmetric);
        let extents = [features, image[0], sides[0].kernel, sides[1].kernel];
        checked_weight(&extents)?;
        let spec = Conv2dSpec {
            stride: axes.map(|a| a.stride),
            padding: [sides[0].padding, sides[1].padding],
            dilation: [sides[0].dilation, sides[1].dilation],
        };
        let shape = conv2d_shape(&image.into(), &extents.into(), spec)?;
        checked(shape.dims())?;
        let at = |side: usize, k: usize| {
            let k = k.checked_sub(sides[side].leading)?;
            let index = k / sides[side].factor;
            (k % sides[side].factor == 0 && index < axes[side].kernel).then_some(index)
        };
        let [_, channels, rows, columns] = extents;
        let number = |i: usize| {
            let (o, c) = (i / (channels * rows * columns), i / (rows * columns) % channels);
            let (u, v) = (at(0, i / columns % rows), at(1, i % columns));
            u.zip(v).and_then(|(u, v)| tap(o, c, u, v)).unwrap_or(Rounded::exact(0.0))
        };
        let weights = weights(extents.into(), (0..extents.iter().product()).map(number), bias);
        let dims: Vec<usize> = std::iter::once(1).chain(shape.dims().iter().copied()).collect();
        // The zeros around the image are part of the convolution from here on.
        x.padding = [0; 4];
        x.dims = vec![1, image[0], image[1], image[2]];
        let on = self.builder.node(&mut x)?;
        if x.order.is_none() && self.builder.shape(on).dims() == image {
            let base = Base::Open { operation: Operation::Conv2d(weights.into(), spec), on };
            return Ok(Value { dims, order: None, padding: [0; 4], base });
        }
        self.as_matrix(x, image, &weights, spec, &shape)
    }

    /// A convolution of what the network holds in another order or without being an image: the matrix that it is.
    fn as_matrix(
        &mut self,
        x: Value,
        [_, height, width]: [usize; 3],
        weights: &Weights,
        spec: Conv2dSpec,
        shape: &Shape,
    ) -> Result<Value> {
        let (rows, columns) = (shape[1], shape[2]);
        let kernel = [weights.shape[1], weights.shape[2], weights.shape[3]];
        // Tap of the kernel that lies on position `to` of the input for position `from` of the output.
        let tap = |axis: usize, from: usize, to: usize| {
            let offset = (to + spec.padding[axis]).checked_sub(from * spec.stride[axis])?;
            let index = offset / spec.dilation[axis];
            (offset % spec.dilation[axis] == 0 && index < kernel[axis + 1]).then_some(index)
        };
        let weight = |g: usize, f: usize| {
            let (o, i, j) = (g / (rows * columns), g / columns % rows, g % columns);
            let (c, row, column) = (f / (height * width), f / width % height, f % width);
            let taps = tap(0, i, row).zip(tap(1, j, column));
            taps.map_or(Rounded::exact(0.0), |(u, v)| {
                let value = weights.weight[((o * kernel[0] + c) * kernel[1] + u) * kernel[2] + v];
                let error =
                    if weights.weight_error == 0.0 { 0.0 } else { (value.abs() * weights.weight_error).next_up() };
                Rounded { value, error }
            })
        };
        let bias = |g: usize| {
            let o = g / (rows * columns);
            Rounded { value: weights.bias[o], error: weights.bias_error[o] }
        };
        let outputs = shape.elements();
        checked_weight(&[outputs, x.elements()])?;
        let dims = std::iter::once(1).chain(shape.dims().iter().copied()).collect();
        self.matrix(x, outputs, weight, (0..outputs).map(bias).collect(), dims)
    }

    /// AveragePool, GlobalAveragePool and ReduceMean over height and width.
    pub(super) fn average(&mut self) -> Result<Symbol> {
        let x = self.padded_value(0)?;
        let image = x.image()?;
        let [channels, height, width] = image;
        let whole = [height, width].map(|kernel| Axis { kernel, stride: 1, dilation: 1, padding: [0; 2] });
        let mut kept = true;
        let axes = match self.node.operator.as_str() {
            "AveragePool" => {
                self.only(&[
                    "auto_pad",
                    "ceil_mode",
                    "count_include_pad",
                    "dilations",
                    "kernel_shape",
                    "pads",
                    "strides",
                ])?;
                let kernel = self.counts("kernel_shape", 2, 0, 1)?;
                if kernel.contains(&0) || self.integer("ceil_mode", 0)? != 0 {
                    return wrong("expected a kernel_shape [KH,KW] and ceil_mode 0");
                }
                let axes = self.axes([kernel[0], kernel[1]], [height, width], x.padding)?;
                let own = [[x.padding[0], x.padding[1]], [x.padding[2], x.padding[3]]];
                let padded = (0..2).any(|i| axes[i].padding != own[i]);
                if padded && self.integer("count_include_pad", 0)? == 0 {
                    return wrong("padding that does not count: expected none, or count_include_pad 1");
                }
                axes
            }
            "GlobalAveragePool" => {
                self.only(&[])?;
                x.without_padding()?;
                whole
            }
            _ => {
                self.only(&["axes", "keepdims", "noop_with_empty_axes"])?;
                x.without_padding()?;
                let axes = match self.integers("axes")? {
                    Some(axes) => axes.to_vec(),
                    None if self.has(1) => self.constant(1)?.integers()?.to_vec(),
                    None => Vec::new(),
                };
                let mut axes = axes.into_iter().map(|a| axis(a, 4)).collect::<Result<Vec<usize>>>()?;
                axes.sort_unstable();
                if axes != [2, 3] {
                    return wrong(format!("axes {axes:?}: expected 2 and 3, height and width"));
                }
                kept = self.integer("keepdims", 1)? != 0;
                whole
            }
        };
        let count = axes[0].kernel as f64 * axes[1].kernel as f64;
        let share = Rounded::exact(1.0) / Rounded::exact(count);
        let bias = vec![Rounded::exact(0.0); channels];
        let mut value = self.convolved(x, image, channels, axes, |o, c, _, _| (o == c).then_some(share), bias)?;
        if !kept {
            value.dims.truncate(2);
        }
        Ok(Symbol::Value(value))
    }

    /// Pad by zeros along height and width: left to the convolution behind it.
    pub(super) fn pad(&mut self) -> Result<Symbol> {
        self.only(&["mode", "pads", "value"])?;
        let mut x = self.padded_value(0)?;
        if self.text("mode", "constant")? != "constant" {
            return wrong("expected mode 'constant'");
        }
        let pads = match self.integers("pads")? {
            Some(pads) => pads.to_vec(),
            None => self.constant(1)?.integers()?.to_vec(),
        };
        let filled = if self.has(2) {
            let value: Rc<Constant> = self.constant(2)?;
            value.len() != 1 || value.real(0) != Rounded::exact(0.0)
        } else {
            self.real("value", 0.0)? != 0.0
        };
        let rank = x.dims.len();
        if filled || self.has(3) || pads.len() != 2 * rank || pads.iter().any(|p| !(0..=GREATEST).contains(p)) {
            return wrong(format!("pads {pads:?}: expected zeros around extents {:?}", x.dims));
        }
        if pads.iter().all(|&p| p == 0) {
            return Ok(Symbol::Value(x));
        }
        x.image()?;
        if [0, 1, 4, 5].iter().any(|&i| pads[i] != 0) {
            return wrong(format!("pads {pads:?}: expected zeros along height and width alone"));
        }
        for (i, side) in [(0, 2), (1, 6), (2, 3), (3, 7)] {
            x.padding[i] += pads[side] as usize;
            x.dims[2 + i / 2] += pads[side] as usize;
        }
        checked(&x.dims)?;
        Ok(Symbol::Value(x))
    }
}
