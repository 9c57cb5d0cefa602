//! Winograd's kernels: exact where nothing is rounded, and within what their sums allow elsewhere.

use super::*;
use crate::ops::native::winograd::pays;

/// Extents with every remainder of tiles, channels with every remainder of vectors, one to several blocks, groups of several
/// blocks, all paddings.
fn fast_cases() -> Vec<Geometry> {
    let padded = |rows, columns| spec([1, 1], [rows, columns], [1, 1]);
    let mut cases = vec![
        geometry(1, 16, 16, [4, 4], [3, 3], padded(1, 1)),
        geometry(3, 17, 31, [14, 14], [3, 3], padded(1, 1)),
        geometry(2, 33, 16, [6, 9], [3, 3], padded(0, 2)),
        geometry(19, 16, 40, [5, 7], [3, 3], padded(2, 0)),
        geometry(1, 70, 24, [28, 28], [3, 3], padded(1, 1)),
        geometry(5, 64, 64, [8, 8], [3, 3], padded(1, 1)),
    ];
    for extent in 4..13 {
        cases.push(geometry(1, 16, 17, [extent, 15 - extent.min(10)], [3, 3], padded(1, 1)));
    }
    for extent in 10..18 {
        for (kernel, padding) in [(3, [1, 1]), (4, [1, 1]), (3, [2, 0]), (4, [0, 3])] {
            let spec = spec([2, 2], padding, [1, 1]);
            cases.push(geometry(2, 16, 18, [extent, 27 - extent], [kernel; 2], spec));
        }
    }
    // Whose tiles reach into the next image: full and ragged rows of images, all strides and paddings.
    for batch in [2, 5, 8, 13] {
        cases.push(geometry(batch, 16, 17, [14, 14], [3, 3], padded(1, 1)));
        cases.push(geometry(batch, 17, 16, [13, 6], [3, 3], padded(2, 0)));
        for (kernel, padding) in [(3, [1, 1]), (4, [1, 1]), (4, [3, 0])] {
            cases.push(geometry(batch, 16, 18, [18, 26], [kernel; 2], spec([2, 2], padding, [1, 1])));
        }
    }
    // Of 7 outputs, image by image and across images; weights at that many points pay in larger batches only.
    for (kernel, input, padding) in
        [(4, [14, 14], [1, 1]), (3, [13, 14], [1, 1]), (4, [16, 13], [0, 2]), (3, [28, 14], [1, 1])]
    {
        cases.push(geometry(24, 16, 18, input, [kernel; 2], spec([2, 2], padding, [1, 1])));
    }
    cases.push(geometry(3, 35, 64, [14, 14], [4, 4], spec([2, 2], [1, 1], [1, 1])));
    cases.push(geometry(3, 64, 33, [15, 28], [3, 3], spec([2, 2], [1, 1], [1, 1])));
    cases
}

#[test]
fn the_cases_have_tiles_within_an_image_and_across_images() {
    for (level, stride) in levels().flat_map(|level| [(level, 1), (level, 2)]) {
        let cases = fast_cases().into_iter().filter(|g| g.spec.stride[0] == stride);
        let across: Vec<_> = cases
            .map(|g| {
                [WinogradGather::forward(&g, PLANES, level), WinogradGather::backward(&g, PLANES, level)]
                    .map(|w| w.on_sheets())
            })
            .collect();
        for way in 0..2 {
            let count = across.iter().filter(|across| across[way]).count();
            assert!(0 < count && count < across.len(), "{level:?}, stride {stride}: {count} of {}", across.len());
        }
    }
}

#[test]
fn the_cases_have_tiles_of_all_sizes_in_both_directions() {
    for level in levels() {
        let cases = fast_cases().into_iter().filter(|g| g.spec.stride[0] == 2);
        let outputs: Vec<_> = cases
            .map(|g| [WinogradGather::forward, WinogradGather::backward].map(|of| of(&g, PLANES, level).tile_outputs()))
            .collect();
        for (way, size) in (0..2).flat_map(|way| [(way, 4), (way, 7)]) {
            let count = outputs.iter().filter(|outputs| outputs[way] == size).count();
            assert!(count > 1, "{level:?}: {count} of tiles of {size} in direction {way}");
        }
        // Gradients by either way, the adjoint one with and without taps that a phase lacks.
        let backward = |g: &Geometry| WinogradGather::backward(g, PLANES, level);
        let adjoint = |kernel: usize| fast_cases().iter().any(|g| g.kernel[0] == kernel && backward(g).is_adjoint());
        assert!(adjoint(3) && adjoint(4), "{level:?}");
        let by_taps = |g: &Geometry| backward(g).tile_outputs() == 7 && !backward(g).is_adjoint();
        assert!(fast_cases().iter().filter(|g| g.spec.stride[0] == 2).any(by_taps), "{level:?}");
    }
}

#[test]
fn the_fast_way_is_exact_on_numbers_without_rounding() {
    for level in levels() {
        for g in fast_cases() {
            assert!(pays(&g, level), "{level:?} {g:?} is a case for the plain way");
            check_convolution(&g, level, Way::lattice(&g, level)).unwrap_or_else(|e| panic!("{level:?} {g:?}: {e}"));
        }
    }
    // What the tiles are not made for is left to the plain way.
    for (kernel, stride, dilation) in [([3, 2], [1, 1], [1, 1]), ([3, 3], [1, 2], [1, 1]), ([3, 3], [1, 1], [2, 1])] {
        let g = geometry(1, 32, 32, [12, 12], kernel, spec(stride, [1, 1], dilation));
        assert!(!pays(&g, level()), "{g:?}");
    }
}

/// Entries of the matrices for four outputs, whose absolute values bound the way a rounding error grows.
const INPUT: [[f64; 6]; 6] = [
    [4.0, 0.0, -5.0, 0.0, 1.0, 0.0],
    [0.0, -4.0, -4.0, 1.0, 1.0, 0.0],
    [0.0, 4.0, -4.0, -1.0, 1.0, 0.0],
    [0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
    [0.0, 2.0, -1.0, -2.0, 1.0, 0.0],
    [0.0, 4.0, 0.0, -5.0, 0.0, 1.0],
];
const WEIGHT: [[f64; 3]; 6] = [
    [0.25, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];
const OUTPUT: [[f64; 6]; 4] = [
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
    [0.0, 1.0, -1.0, 2.0, -2.0, 0.0],
    [0.0, 1.0, 1.0, 4.0, 4.0, 0.0],
    [0.0, 1.0, -1.0, 8.0, -8.0, 1.0],
];

/// Σ of |entry| · value along both axes: `rows` of the matrix to as many rows and columns.
fn sandwich<const M: usize, const N: usize>(matrix: &[[f64; N]; M], of: &[[f64; N]; N]) -> [[f64; M]; M] {
    std::array::from_fn(|i| {
        std::array::from_fn(|j| {
            let row = |u: usize| -> f64 { (0..N).map(|v| matrix[j][v].abs() * of[u][v]).sum() };
            (0..N).map(|u| matrix[i][u].abs() * row(u)).sum()
        })
    })
}

/// |A|ᵀ [Σ_c (|G| |w| |G|ᵀ) ⊙ (|B|ᵀ |x| |B|)] |A| at every output of a 3×3 convolution padded by 1 whose extents are multiples of 4: what
/// every rounding error is relative to.
fn amplified(g: &Geometry, x: &[f32], w: &[f32]) -> Vec<f64> {
    let [height, width] = g.output;
    let mut scale = vec![0.0; g.y_shape().elements()];
    for (n, o) in (0..g.batch * g.features).map(|i| (i / g.features, i % g.features)) {
        for (top, left) in (0..height * width / 16).map(|t| (t / (width / 4) * 4, t % (width / 4) * 4)) {
            let mut points = [[0.0; 6]; 6];
            for c in 0..g.channels {
                let pixel = |i: usize, j: usize| -> f64 {
                    let (row, column) = ((top + i).wrapping_sub(1), (left + j).wrapping_sub(1));
                    let inside = row < height && column < width;
                    let at = ((n * g.channels + c) * height + row.min(height)) * width + column.min(width);
                    if inside { f64::from(x[at]).abs() } else { 0.0 }
                };
                let d = std::array::from_fn(|i| std::array::from_fn(|j| pixel(i, j)));
                let kernel = &w[(o * g.channels + c) * 9..][..9];
                let k = std::array::from_fn(|u| std::array::from_fn(|v| f64::from(kernel[3 * u + v]).abs()));
                let (d, k) = (sandwich(&INPUT, &d), sandwich(&WEIGHT, &k));
                for (i, j) in (0..36).map(|p| (p / 6, p % 6)) {
                    points[i][j] += d[i][j] * k[i][j];
                }
            }
            let outputs = sandwich(&OUTPUT, &points);
            for (i, j) in (0..16).map(|p| (p / 4, p % 4)) {
                scale[((n * g.features + o) * height + top + i) * width + left + j] = outputs[i][j];
            }
        }
    }
    scale
}

/// A term of an output goes through at most 8 roundings on the side of w (along each axis an entry of G, a product and two sums),
/// 6 on the side of x (three sums along each axis), C + 1 in the sum over channels and 6 after it, each within ε/2 of what it
/// rounds; three more stand for the products of these factors.
#[test]
fn the_fast_way_rounds_no_more_than_its_sums_allow() {
    let g = geometry(2, 40, 24, [12, 8], [3, 3], Conv2dSpec::square(1, 1));
    let mut numbers = Numbers(3);
    let (x, w) = (numbers.take(g.x_shape().elements(), false), numbers.take(g.w_shape().elements(), false));
    let mut y = vec![Sum::default(); g.y_shape().elements()];
    products(&g, |xi, wi, yi| y[yi].add(x[xi], w[wi]));
    let bounds =
        amplified(&g, &x, &w).into_iter().map(|s| (g.channels + 24) as f64 * f64::from(f32::EPSILON) / 2.0 * s);
    let bounds: Vec<f64> = bounds.collect();
    for level in levels() {
        let run = |w: &[f32]| {
            let convolution = Convolution::forward_at(&g, true, PLANES, level);
            run_gather(&convolution, w, &[&x], &[Epilogue::default()], y.len()).remove(0)
        };
        let within =
            |got: &[f32]| got.iter().zip(&y).zip(&bounds).all(|((&y, e), b)| (f64::from(y) - e.value).abs() <= *b);
        assert!(within(&run(&w)), "{level:?}");
        let mut changed = w.clone();
        changed[40] += 0.1;
        assert!(!within(&run(&changed)), "{level:?}: a weight that is off by a tenth must be noticed");
    }
}
