//! The kernels against plain f64 loops, on every instruction set that this machine has.

mod blocks;
mod fast;

use super::bias::BiasGradient;
use super::convolution::{Convolution, WeightGradient};
use super::correlate::{Correlate, sign};
use super::epilogue::Epilogue;
use super::gather::{Gather, Stream};
use super::matmul::{BackwardInput, BackwardWeight, Forward, Product, Weights};
use super::winograd::gather::WinogradGather;
use crate::kernel::Layout;
use crate::ops::conv2d::{Conv2dSpec, Geometry};
use crate::ops::linear::Extents;
use crate::ops::relu_interval;
use crate::ops::simd::{Level, level};
use crate::shape::Shape;

const PLANES: [Layout; 2] = [Layout::Planes; 2];

fn levels() -> impl Iterator<Item = Level> {
    [Level::Baseline, Level::Avx2, Level::Avx512].into_iter().filter(|&l| l <= level())
}

/// Reproducible numbers: small integers (whose sums f32 holds exactly), or numbers in −1..1.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    fn take(&mut self, n: usize, integers: bool) -> Vec<f32> {
        let number = |bits: u64| match integers {
            true => (bits % 7) as f32 - 3.0,
            false => (bits % 2_000_001) as f32 / 1e6 - 1.0,
        };
        (0..n).map(|_| number(self.next())).collect()
    }

    /// −`factor`, 0 or `factor`.
    fn signs(&mut self, n: usize, factor: f32) -> Vec<f32> {
        (0..n).map(|_| ((self.next() % 3) as f32 - 1.0) * factor).collect()
    }
}

/// A value and the sum of the absolute values of its terms, which scales the error bound.
#[derive(Clone, Copy, Default)]
struct Sum {
    value: f64,
    scale: f64,
    terms: usize,
}

impl Sum {
    fn add(&mut self, a: f32, b: f32) {
        let product = a as f64 * b as f64;
        self.value += product;
        self.scale += product.abs();
        self.terms += 1;
    }
}

/// Exact for integers; else within (terms + 2) rounding errors of the terms' absolute sum, which holds for any order of
/// summation. NaN is never close.
fn compare(got: &[f32], expected: &[Sum], integers: bool) -> Result<(), String> {
    if got.len() != expected.len() {
        return Err(format!("{} elements instead of {}", got.len(), expected.len()));
    }
    for (i, (&got, e)) in got.iter().zip(expected).enumerate() {
        let bound = if integers { 0.0 } else { (e.terms + 2) as f64 * f32::EPSILON as f64 * e.scale };
        let error = (got as f64 - e.value).abs();
        if error.is_nan() || error > bound {
            return Err(format!("element {i}: {got} instead of {} ± {bound:e}", e.value));
        }
    }
    Ok(())
}

fn geometry(n: usize, c: usize, o: usize, input: [usize; 2], kernel: [usize; 2], spec: Conv2dSpec) -> Geometry {
    Geometry::new("test", n, c, input, &Shape::from([o, c, kernel[0], kernel[1]]), spec).expect("a legal convolution")
}

fn spec(stride: [usize; 2], padding: [usize; 2], dilation: [usize; 2]) -> Conv2dSpec {
    Conv2dSpec { stride, padding, dilation }
}

/// Extents around every tile: lanes 4, 8, 16; 6, 7, 12, 14 pixels; 6 or 7 rows; several bands; strides that leave a
/// remainder, that exceed the kernel or the image; padding beyond the kernel.
fn cases() -> Vec<Geometry> {
    let one = spec([1, 1], [0, 0], [1, 1]);
    let same = spec([1, 1], [1, 1], [1, 1]);
    let mut cases = vec![
        geometry(1, 1, 1, [1, 1], [1, 1], one),
        geometry(2, 1, 16, [28, 28], [4, 4], spec([2, 2], [1, 1], [1, 1])),
        geometry(2, 16, 32, [14, 14], [4, 4], spec([2, 2], [1, 1], [1, 1])),
        geometry(1, 17, 33, [28, 28], [3, 3], same),
        geometry(1, 33, 64, [15, 13], [3, 3], spec([2, 2], [1, 1], [1, 1])),
        geometry(3, 3, 5, [11, 7], [3, 2], spec([2, 3], [2, 0], [1, 2])),
        geometry(2, 3, 4, [9, 10], [2, 3], spec([3, 1], [1, 2], [2, 2])),
        geometry(1, 2, 3, [8, 5], [1, 1], spec([3, 2], [0, 0], [1, 1])),
        geometry(1, 2, 3, [3, 2], [2, 2], spec([5, 7], [1, 1], [1, 1])),
        geometry(1, 5, 19, [6, 6], [3, 3], spec([1, 1], [4, 5], [1, 1])),
        geometry(1, 4, 3, [2, 40], [1, 5], spec([1, 1], [0, 2], [1, 1])),
        geometry(1, 3, 1, [70, 64], [3, 3], same),
        geometry(5, 19, 2, [4, 4], [4, 4], one),
        geometry(19, 3, 7, [5, 5], [3, 3], spec([4, 4], [1, 1], [1, 1])),
    ];
    // Sums of the most terms that columns are made for, and of more; more images than groups of them.
    cases.push(geometry(35, 4, 16, [9, 9], [4, 4], spec([1, 1], [1, 1], [1, 1])));
    cases.push(geometry(17, 5, 13, [6, 7], [13, 1], spec([1, 2], [6, 0], [1, 1])));
    // Inputs of few channels: around the vectors of pixels, the rows of a tile and the bands.
    for (padding, extent) in (0..4).flat_map(|p| [4, 5, 9, 27, 28, 31, 33, 66].map(|e| (p, e))) {
        let channels = 1 + (extent + padding) % 4;
        cases.push(geometry(2, channels, 3, [extent, 35 - extent.min(30)], [4, 4], Conv2dSpec::square(2, padding)));
        if padding < 3 {
            cases.push(geometry(1, channels, 3, [35 - extent.min(30), extent], [3, 3], Conv2dSpec::square(1, padding)));
        }
    }
    cases.push(geometry(1, 1, 130, [28, 28], [3, 3], same));
    cases.push(geometry(1, 2, 90, [40, 30], [4, 4], Conv2dSpec::square(2, 1)));
    for width in [1, 5, 6, 7, 8, 12, 13, 14, 15, 16, 17, 29] {
        cases.push(geometry(1, 3, 9, [2, width], [1, 1], one));
    }
    for channels in [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65] {
        cases.push(geometry(1, 3, channels, [3, 4], [3, 3], same));
        cases.push(geometry(1, channels, 3, [3, 4], [3, 3], spec([2, 2], [1, 1], [1, 1])));
    }
    cases
}

/// Visits every (index into x, into w, into y) that the equation multiplies.
fn products(g: &Geometry, mut visit: impl FnMut(usize, usize, usize)) {
    let ([h, w], [oh, ow], [kh, kw]) = (g.input, g.output, g.kernel);
    for n in 0..g.batch {
        for o in 0..g.features {
            for (i, j) in (0..oh * ow).map(|p| (p / ow, p % ow)) {
                for c in 0..g.channels {
                    for (u, v) in (0..kh * kw).map(|t| (t / kw, t % kw)) {
                        let r = (i * g.spec.stride[0] + u * g.spec.dilation[0]).wrapping_sub(g.spec.padding[0]);
                        let s = (j * g.spec.stride[1] + v * g.spec.dilation[1]).wrapping_sub(g.spec.padding[1]);
                        if r < h && s < w {
                            visit(
                                ((n * g.channels + c) * h + r) * w + s,
                                ((o * g.channels + c) * kh + u) * kw + v,
                                ((n * g.features + o) * oh + i) * ow + j,
                            );
                        }
                    }
                }
            }
        }
    }
}

/// Scratch full of NaN: reading what was never written shows.
fn scratch<const K: usize>(words: Vec<usize>) -> [Vec<f32>; K] {
    let buffers: Vec<Vec<f32>> = words.into_iter().map(|n| vec![f32::NAN; n]).collect();
    buffers.try_into().expect("as many scratch buffers as the kernel takes")
}

fn run_gather(
    convolution: &Convolution,
    w: &[f32],
    inputs: &[&[f32]],
    epilogues: &[Epilogue<'_>],
    words: usize,
) -> Vec<Vec<f32>> {
    let mut outputs = vec![vec![f32::NAN; words]; inputs.len()];
    let [mut work] = scratch(vec![convolution.scratch()]);
    let words = convolution.packed_words();
    let mut packed = vec![f32::NAN; inputs.len() * words];
    packed.chunks_exact_mut(words).enumerate().for_each(|(i, packed)| convolution.pack(w, i == 1, packed));
    let packed: Vec<&[f32]> = packed.chunks_exact(words).collect();
    let streams: Vec<Stream<'_>> =
        outputs.iter_mut().zip(inputs).zip(epilogues).map(|((y, x), &e)| Stream::new(x, y, e)).collect();
    convolution.run(&packed, &streams, &mut work);
    drop(streams);
    outputs
}

/// A box on its way through a ReLU, or through the gradient of one that has made the box `behind`.
fn run_box(
    convolution: &Convolution,
    w: &[f32],
    inputs: [&[f32]; 2],
    [of_centers, of_radii]: [Epilogue<'_>; 2],
    behind: Option<[&[f32]; 2]>,
    words: usize,
) -> [Vec<f32>; 2] {
    let [mut centers, mut radii] = [vec![f32::NAN; words], vec![f32::NAN; words]];
    let [mut work] = scratch(vec![convolution.scratch()]);
    let packed = [false, true].map(|absolute| {
        let mut packed = vec![f32::NAN; convolution.packed_words()];
        convolution.pack(w, absolute, &mut packed);
        packed
    });
    let first = Stream::new(inputs[0], &mut centers, of_centers);
    let second = Stream::new(inputs[1], &mut radii, Epilogue { joined: Some(first.joined(behind)), ..of_radii });
    convolution.run(&[&packed[0], &packed[1]], &[first, second], &mut work);
    [centers, radii]
}

/// What the op by itself makes of a box.
fn box_relu(centers: &[f32], radii: &[f32]) -> [Vec<f32>; 2] {
    let [mut center, mut radius] = [vec![f32::NAN; centers.len()], vec![f32::NAN; centers.len()]];
    relu_interval::apply(centers, radii, &mut center, &mut radius);
    [center, radius]
}

/// The same of gradients.
fn box_slope(behind: [&[f32]; 2], centers: &[f32], radii: &[f32]) -> [Vec<f32>; 2] {
    let [mut center, mut radius] = [vec![f32::NAN; centers.len()], vec![f32::NAN; centers.len()]];
    relu_interval::slope(behind[0], behind[1], centers, radii, &mut center, &mut radius);
    [center, radius]
}

fn relu(sums: &mut [Sum]) {
    sums.iter_mut().for_each(|s| s.value = s.value.max(0.0));
}

fn masked(sums: &mut [Sum], mask: &[f32]) {
    sums.iter_mut().zip(mask).filter(|(_, m)| **m <= 0.0).for_each(|(s, _)| *s = Sum::default());
}

/// What a convolution is tried on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// The kernels that the shapes ask for, on small integers, whose sums are exact.
    Integers,
    /// The same on numbers in −1..1.
    Random,
    /// The plain kernels on small integers, whatever the shapes.
    Plain,
    /// Winograd's kernels on numbers whose every sum is exact: G w Gᵀ has denominators of at most 24², which the factor of the
    /// weights takes away; in Gᵀ m G they are those of the gradients' factor.
    Lattice,
    /// The same where tiles make 7 outputs: denominators are at most 90², and numbers are sparse, since the entries are larger.
    SparseLattice,
}

/// Times 24², or 90², the products of the matrices' entries are whole.
const WHOLE: f32 = 576.0;
const WHOLE_OF_SEVEN: f32 = 8100.0;

impl Way {
    /// A lattice for the tiles that the kernels of this convolution have.
    fn lattice(g: &Geometry, level: Level) -> Way {
        let gathers = [WinogradGather::forward(g, PLANES, level), WinogradGather::backward(g, PLANES, level)];
        let sevens = gathers.iter().any(|gather| gather.tile_outputs() == 7);
        if sevens { Way::SparseLattice } else { Way::Lattice }
    }
}

/// Leaves 0 but where `keep` says so of the number of a run of `run` elements, and of the place in it.
fn thin(x: &mut [f32], run: usize, keep: impl Fn(usize, usize) -> bool) {
    x.iter_mut().enumerate().filter(|&(i, _)| !keep(i / run, i % run)).for_each(|(_, x)| *x = 0.0);
}

/// All directions of one convolution, plain and interval, on one instruction set.
fn check_convolution(g: &Geometry, level: Level, way: Way) -> Result<(), String> {
    let (nx, nw, ny) = (g.x_shape().elements(), g.w_shape().elements(), g.y_shape().elements());
    let mut numbers = Numbers(nx as u64 * 31 + nw as u64);
    let (integers, fast) = (way != Way::Random, matches!(way, Way::Lattice | Way::SparseLattice));
    let whole = if way == Way::SparseLattice { WHOLE_OF_SEVEN } else { WHOLE };
    let forward = match way {
        Way::Plain => Convolution::Plain(Gather::forward(g, level)),
        _ => Convolution::forward_at(g, fast, PLANES, level),
    };
    let backward = match way {
        Way::Plain => Convolution::Plain(Gather::backward(g, level)),
        _ => Convolution::backward_at(g, fast, PLANES, level),
    };
    let [mut x, r, mut w, b, mut gy, mut gr, mask, spread] = match way {
        Way::Lattice | Way::SparseLattice => {
            [(nx, 1.0), (nx, 1.0), (nw, whole), (g.features, 1.0), (ny, 1.0), (ny, 1.0), (nx, 1.0), (nx, 1.0)]
                .map(|(n, factor)| numbers.signs(n, factor))
        }
        _ => [nx, nx, nw, g.features, ny, ny, nx, nx].map(|n| numbers.take(n, integers)),
    };
    // Radii are never negative: their epilogue may cut at 0.
    let mut r: Vec<f32> = r.into_iter().map(f32::abs).collect();
    // The weights' gradient has no weights to take its denominators away.
    let scaled = |gradient: &[f32]| gradient.iter().map(|g| if fast { g * WHOLE } else { *g }).collect::<Vec<f32>>();
    let (hy, hr) = (scaled(&gy), scaled(&gr));
    // What the gradient with respect to the weights reads, whose tiles never make 7 outputs.
    let (wx, wr) = (x.clone(), r.clone());
    let plane = g.output[0] * g.output[1];
    if way == Way::SparseLattice {
        // One tap of a kernel, one channel of an image.
        thin(&mut w, g.kernel[0] * g.kernel[1], |kernel, tap| {
            (5 * kernel + kernel / 7 + 3) % (g.kernel[0] * g.kernel[1]) == tap
        });
        for x in [&mut x, &mut r] {
            thin(x, nx / g.batch, |image, at| (3 * image + 2) % g.channels == at / (nx / g.batch / g.channels));
        }
        for gradient in [&mut gy, &mut gr] {
            thin(gradient, ny / g.batch, |image, at| (3 * image + 2) % g.features == at / plane);
        }
    }
    let [mut y, mut yr] = [vec![Sum::default(); ny], vec![Sum::default(); ny]];
    let [mut dx, mut dxr] = [vec![Sum::default(); nx], vec![Sum::default(); nx]];
    let [mut dw, mut dwi] = [vec![Sum::default(); nw], vec![Sum::default(); nw]];
    products(g, |xi, wi, yi| {
        y[yi].add(x[xi], w[wi]);
        yr[yi].add(r[xi], w[wi].abs());
        dx[xi].add(gy[yi], w[wi]);
        dxr[xi].add(gr[yi], w[wi].abs());
        dw[wi].add(hy[yi], wx[xi]);
        dwi[wi].add(hy[yi], wx[xi]);
        dwi[wi].add(hr[yi] * sign(w[wi]), wr[xi]);
    });
    y.iter_mut().enumerate().for_each(|(i, s)| s.add(b[i / plane % g.features], 1.0));
    let mut db = vec![Sum::default(); g.features];
    hy.iter().enumerate().for_each(|(i, &h)| db[i / plane % g.features].add(h, 1.0));
    let bias = Epilogue { bias: Some(&b), ..Epilogue::default() };
    let plain = Epilogue::default();
    let interval = run_gather(&forward, &w, &[&x, &r], &[bias, plain], ny);
    compare(&interval[0], &y, integers).map_err(|e| format!("interval center: {e}"))?;
    compare(&interval[1], &yr, integers).map_err(|e| format!("interval radius: {e}"))?;
    let behind = run_box(&forward, &w, [&x, &r], [bias, plain], None, ny);
    if behind != box_relu(&interval[0], &interval[1]) {
        return Err("the ReLU of a box on the way out gives other bits".into());
    }
    let forward = run_gather(&forward, &w, &[&x], &[Epilogue { relu: true, ..bias }], ny);
    relu(&mut y);
    compare(&forward[0], &y, integers).map_err(|e| format!("forward: {e}"))?;
    let both = run_gather(&backward, &w, &[&gy, &gr], &[plain, plain], nx);
    compare(&both[0], &dx, integers).map_err(|e| format!("interval input gradient, center: {e}"))?;
    compare(&both[1], &dxr, integers).map_err(|e| format!("interval input gradient, radius: {e}"))?;
    let before = run_box(&backward, &w, [&gy, &gr], [plain, plain], Some([&mask, &spread]), nx);
    if before != box_slope([&mask, &spread], &both[0], &both[1]) {
        return Err("the gradient of a box's ReLU on the way out gives other bits".into());
    }
    let cut = Epilogue { mask: Some(&mask), ..plain };
    let gradient = run_gather(&backward, &w, &[&gy], &[cut], nx);
    masked(&mut dx, &mask);
    compare(&gradient[0], &dx, integers).map_err(|e| format!("input gradient: {e}"))?;
    let pairs: [(&[f32], &[f32]); 2] = [(&wx, &hy), (&wr, &hr)];
    for (streams, sign_of, expected) in [(1, None, &dw), (2, Some(&w[..]), &dwi)] {
        let gradient = match way {
            Way::Plain => WeightGradient::Plain(Correlate::new(g, streams, PLANES, level)),
            _ => WeightGradient::new_at(g, streams, fast, PLANES, level),
        };
        let ([mut s, mut t], mut got) = (scratch(gradient.scratch()), vec![f32::NAN; nw]);
        let ([mut sums], mut got_bias) = (scratch(vec![gradient.bias_scratch()]), vec![f32::NAN; g.features]);
        let bias = BiasGradient { db: &mut got_bias, scratch: &mut sums };
        gradient.run(&pairs[..streams], sign_of, &mut got, Some(bias), [&mut s, &mut t]);
        compare(&got, expected, integers).map_err(|e| format!("weight gradient of {streams}: {e}"))?;
        compare(&got_bias, &db, integers).map_err(|e| format!("bias gradient of {streams}: {e}"))?;
    }
    Ok(())
}

/// All products of one linear layer, plain and interval, on one instruction set.
fn check_linear(e: &Extents, level: Level, integers: bool) -> Result<(), String> {
    let (n, f, g) = (e.batch, e.inputs, e.outputs);
    let mut numbers = Numbers((n * 31 + f * 7 + g) as u64);
    let [x, r, w, b, gy, gr, mask, spread] =
        [n * f, n * f, g * f, g, n * g, n * g, n * f, n * f].map(|n| numbers.take(n, integers));
    let [mut y, mut yr] = [vec![Sum::default(); n * g], vec![Sum::default(); n * g]];
    let [mut dx, mut dxr] = [vec![Sum::default(); n * f], vec![Sum::default(); n * f]];
    let [mut dw, mut dwi] = [vec![Sum::default(); g * f], vec![Sum::default(); g * f]];
    for (n, g, f) in (0..n * g * f).map(|i| (i / f / g, i / f % g, i % f)) {
        let (xi, wi, yi) = (n * e.inputs + f, g * e.inputs + f, n * e.outputs + g);
        y[yi].add(x[xi], w[wi]);
        yr[yi].add(r[xi], w[wi].abs());
        dx[xi].add(gy[yi], w[wi]);
        dxr[xi].add(gr[yi], w[wi].abs());
        dw[wi].add(gy[yi], x[xi]);
        dwi[wi].add(gy[yi], x[xi]);
        dwi[wi].add(gr[yi] * sign(w[wi]), r[xi]);
    }
    y.iter_mut().enumerate().for_each(|(i, s)| s.add(b[i % g], 1.0));
    let bias = Epilogue { bias: Some(&b), ..Epilogue::default() };
    let plain = Epilogue::default();
    for streams in [2, 1] {
        let forward = Forward::new(e, streams, level);
        let ([mut s, mut t], mut center, mut radius) =
            (scratch(forward.scratch()), vec![f32::NAN; n * g], vec![f32::NAN; n * g]);
        let first = Epilogue { relu: streams == 1, ..bias };
        let both = [Product::new(&x, &mut center, first), Product::new(&r, &mut radius, plain)];
        forward.run(&w, &both[..streams], [&mut s, &mut t]);
        if streams == 1 {
            relu(&mut y);
        } else {
            compare(&radius, &yr, integers).map_err(|e| format!("radius: {e}"))?;
            let [mut behind, mut spread] = [vec![f32::NAN; n * g], vec![f32::NAN; n * g]];
            let first = Product::new(&x, &mut behind, bias);
            let second = Product::new(&r, &mut spread, Epilogue { joined: Some(first.joined(None)), ..plain });
            forward.run(&w, &[first, second], [&mut s, &mut t]);
            if [behind, spread] != box_relu(&center, &radius) {
                return Err("the ReLU of a box on the way out gives other bits".into());
            }
        }
        compare(&center, &y, integers).map_err(|e| format!("forward of {streams}: {e}"))?;
    }
    for streams in [2, 1] {
        let backward = BackwardInput::new(e, streams, level);
        let ([mut s], mut center, mut radius) =
            (scratch(vec![backward.scratch()]), vec![f32::NAN; n * f], vec![f32::NAN; n * f]);
        let mut packed = vec![f32::NAN; backward.packed_words()];
        backward.pack(&w, &mut packed);
        let first = Epilogue { mask: (streams == 1).then_some(&mask[..]), ..plain };
        let both = [Product::new(&gy, &mut center, first), Product::new(&gr, &mut radius, plain)];
        backward.run(Weights::Packed(&packed), &both[..streams], &mut s);
        let alone = BackwardInput::alone(e, streams, level);
        let ([mut s], mut same, mut same_radius) =
            (scratch(vec![alone.scratch()]), vec![f32::NAN; n * f], vec![f32::NAN; n * f]);
        let both = [Product::new(&gy, &mut same, first), Product::new(&gr, &mut same_radius, plain)];
        alone.run(Weights::Plain(&w), &both[..streams], &mut s);
        if same != center || (streams == 2 && same_radius != radius) {
            return Err("weights that are packed on the way give other bits".into());
        }
        if streams == 1 {
            masked(&mut dx, &mask);
        } else {
            compare(&radius, &dxr, integers).map_err(|e| format!("input gradient, radius: {e}"))?;
            let [mut before, mut before_radius] = [vec![f32::NAN; n * f], vec![f32::NAN; n * f]];
            let first = Product::new(&gy, &mut before, plain);
            let joined = Some(first.joined(Some([&mask, &spread])));
            let second = Product::new(&gr, &mut before_radius, Epilogue { joined, ..plain });
            alone.run(Weights::Plain(&w), &[first, second], &mut s);
            if [before, before_radius] != box_slope([&mask, &spread], &center, &radius) {
                return Err("the gradient of a box's ReLU on the way out gives other bits".into());
            }
        }
        compare(&center, &dx, integers).map_err(|e| format!("input gradient of {streams}: {e}"))?;
    }
    let pairs: [(&[f32], &[f32]); 2] = [(&x, &gy), (&r, &gr)];
    for (streams, sign_of, expected) in [(1, None, &dw), (2, Some(&w[..]), &dwi)] {
        let backward = BackwardWeight::new(e, streams, level);
        let ([mut s, mut t], mut got) = (scratch(backward.scratch()), vec![f32::NAN; g * f]);
        backward.run(&pairs[..streams], sign_of, &mut got, [&mut s, &mut t]);
        compare(&got, expected, integers).map_err(|e| format!("weight gradient of {streams}: {e}"))?;
    }
    Ok(())
}

#[test]
fn convolutions_match_f64_loops() {
    for level in levels() {
        for g in cases() {
            for way in [Way::Integers, Way::Random, Way::Plain] {
                check_convolution(&g, level, way).unwrap_or_else(|e| panic!("{level:?} {g:?}: {e}"));
            }
        }
    }
}

#[test]
fn linear_layers_match_f64_loops() {
    for level in levels() {
        for (batch, inputs, outputs) in [
            (1, 1, 1),
            (2, 3, 5),
            (7, 65, 13),
            (16, 16, 16),
            (17, 64, 28),
            (63, 255, 29),
            (64, 256, 7),
            (65, 257, 57),
            (130, 100, 10),
            (3, 600, 85),
            // Panels enough for tasks of their own.
            (260, 300, 70),
            (1100, 33, 9),
        ] {
            for integers in [true, false] {
                let e = Extents { batch, inputs, outputs };
                check_linear(&e, level, integers).unwrap_or_else(|m| panic!("{level:?} {e:?}: {m}"));
            }
        }
    }
}

#[test]
fn the_comparison_rejects_wrong_kernels() {
    let g = geometry(1, 3, 5, [6, 6], [3, 3], spec([2, 2], [1, 1], [1, 1]));
    let mut numbers = Numbers(1);
    let (x, w) = (numbers.take(g.x_shape().elements(), false), numbers.take(g.w_shape().elements(), false));
    let mut y = vec![Sum::default(); g.y_shape().elements()];
    products(&g, |xi, wi, yi| y[yi].add(x[xi], w[wi]));
    let run = |w: &[f32]| {
        run_gather(&Convolution::forward_at(&g, false, PLANES, level()), w, &[&x], &[Epilogue::default()], y.len())
            .remove(0)
    };
    let got = run(&w);
    assert_eq!(compare(&got, &y, false), Ok(()));
    let mut dropped = w.clone();
    dropped[7] = 0.0;
    assert!(compare(&run(&dropped), &y, false).is_err(), "a dropped tap must be noticed");
    let absolute: Vec<f32> = w.iter().map(|w| w.abs()).collect();
    assert!(compare(&run(&absolute), &y, false).is_err(), "|w| instead of w must be noticed");
    let mut hole = got.clone();
    hole[3] = f32::NAN;
    assert!(compare(&hole, &y, false).is_err(), "NaN must be noticed");
    assert!(compare(&got[1..], &y, false).is_err(), "a missing element must be noticed");
}

#[test]
fn nan_passes_relu_and_masks() {
    let g = geometry(1, 2, 20, [6, 9], [3, 3], Conv2dSpec::square(1, 1));
    let (x, w) = (vec![f32::NAN; g.x_shape().elements()], vec![1.0; g.w_shape().elements()]);
    let convolution = Convolution::forward_at(&g, false, PLANES, level());
    let y =
        run_gather(&convolution, &w, &[&x], &[Epilogue { relu: true, ..Epilogue::default() }], g.y_shape().elements());
    assert!(y[0].iter().all(|y| y.is_nan()));
    let mask = vec![f32::NAN; y[0].len()];
    let y = run_gather(&convolution, &w, &[&x], &[Epilogue { mask: Some(&mask), ..Epilogue::default() }], mask.len());
    assert!(y[0].iter().all(|y| y.is_nan()));
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    // One for columns, one for the plain way, one for Winograd's.
    let few = geometry(37, 5, 20, [12, 11], [3, 3], Conv2dSpec::square(2, 1));
    let many = geometry(37, 9, 20, [12, 11], [3, 3], Conv2dSpec::square(2, 1));
    let f = geometry(37, 16, 20, [12, 11], [3, 3], Conv2dSpec::square(1, 1));
    let e = Extents { batch: 37, inputs: 300, outputs: 50 };
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
        pool.install(|| {
            let mut numbers = Numbers(5);
            let mut all = Vec::new();
            for (g, fast) in [(&few, false), (&many, false), (&f, true)] {
                let (x, w) = (numbers.take(g.x_shape().elements(), false), numbers.take(g.w_shape().elements(), false));
                let forward = Convolution::forward_at(g, fast, PLANES, level());
                let y = run_gather(&forward, &w, &[&x], &[Epilogue::default()], g.y_shape().elements()).remove(0);
                let backward = Convolution::backward_at(g, fast, PLANES, level());
                let dx = run_gather(&backward, &w, &[&y], &[Epilogue::default()], x.len()).remove(0);
                let gradient = WeightGradient::new_at(g, 1, fast, PLANES, level());
                let ([mut s, mut t], mut dw) = (scratch(gradient.scratch()), vec![0.0; w.len()]);
                let ([mut sums], mut db) = (scratch(vec![gradient.bias_scratch()]), vec![0.0; g.features]);
                let bias = BiasGradient { db: &mut db, scratch: &mut sums };
                gradient.run(&[(&x, &y)], None, &mut dw, Some(bias), [&mut s, &mut t]);
                all.extend([y, dx, dw, db].concat());
            }
            let (x, w) = (numbers.take(37 * 300, false), numbers.take(50 * 300, false));
            let forward = Forward::new(&e, 1, level());
            let ([mut s, mut t], mut z) = (scratch(forward.scratch()), vec![0.0; 37 * 50]);
            forward.run(&w, &[Product::new(&x, &mut z, Epilogue::default())], [&mut s, &mut t]);
            all.extend(z);
            all.into_iter().map(f32::to_bits).collect::<Vec<u32>>()
        })
    };
    let one = run(1);
    assert!([2, 3, 7].into_iter().all(|threads| run(threads) == one));
}
