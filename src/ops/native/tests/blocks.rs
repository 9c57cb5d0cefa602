//! Kernels on images whose channels lie in blocks: the bits of those on planes.

use super::*;
use crate::ops::native::convolution::{sides, weight_sides};
use crate::ops::native::lanes::Width;

/// The channels of images `[N,C,P]` in blocks of `lanes`.
fn in_blocks(planes: &[f32], [channels, pixels]: [usize; 2], lanes: usize) -> Vec<f32> {
    let mut blocks = vec![f32::NAN; planes.len()];
    for (at, &x) in planes.iter().enumerate() {
        let (image, channel, pixel) = (at / pixels / channels, at / pixels % channels, at % pixels);
        let block = (image * channels / lanes + channel / lanes) * pixels + pixel;
        blocks[block * lanes + channel % lanes] = x;
    }
    blocks
}

/// Whole blocks of channels on either side, one to several of them; images that tiles fit, that they reach beyond, and that lie on sheets whose
/// last row is not full; strides, paddings, columns, patches.
fn block_cases() -> Vec<(Geometry, bool)> {
    let mut cases = Vec::new();
    for (batch, extent) in [(1, 6), (2, 8), (3, 13), (5, 14), (7, 14), (2, 28)] {
        for padding in [[1, 1], [0, 2], [2, 0]] {
            cases.push(geometry(batch, 16, 32, [extent, extent], [3, 3], spec([1, 1], padding, [1, 1])));
        }
        for (kernel, padding) in [(3, [1, 1]), (4, [1, 1]), (4, [0, 3])] {
            let spec = spec([2, 2], padding, [1, 1]);
            cases.push(geometry(batch, 32, 16, [2 * extent, 2 * extent + 2], [kernel; 2], spec));
        }
    }
    cases.push(geometry(2, 64, 48, [9, 11], [3, 3], spec([1, 1], [1, 1], [1, 1])));
    // Tiles of 7 outputs, in larger batches only.
    for (kernel, input) in [(4, [14, 14]), (3, [14, 13]), (3, [28, 14])] {
        cases.push(geometry(24, 16, 32, input, [kernel; 2], spec([2, 2], [1, 1], [1, 1])));
    }
    let mut cases: Vec<_> = cases.into_iter().map(|g| (g, true)).collect();
    for (extent, features) in [(28, 16), (28, 64), (14, 32), (9, 48), (5, 16)] {
        for (channels, kernel, stride) in [(1, 4, 2), (1, 3, 1), (3, 3, 1)] {
            let spec = spec([stride; 2], [1, 1], [1, 1]);
            cases.push((geometry(2, channels, features, [extent, extent + 1], [kernel; 2], spec), false));
        }
    }
    // Patches: several bands; paddings that cut cells, and rows and columns that no tap reaches.
    for (channels, extent, padding) in
        [(3, 28, [1, 1]), (1, 32, [0, 3]), (2, 9, [2, 0]), (1, 5, [3, 2]), (4, 17, [0, 1])]
    {
        let spec = spec([2, 2], padding, [1, 1]);
        cases.push((geometry(2, channels, 16, [extent, extent + 1], [4, 4], spec), false));
    }
    cases
}

/// All directions of a convolution with its sides in these layouts, on one instruction set, beside those on planes. Returns the names
/// of those that give other bits.
fn differing(g: &Geometry, fast: bool, layouts: [Layout; 2], level: Level, spoil: bool) -> Vec<&'static str> {
    let lanes = Width::of(level).lanes;
    let extents = [[g.channels, g.input[0] * g.input[1]], [g.features, g.output[0] * g.output[1]]];
    let lay = |side: usize, x: &[f32]| match layouts[side] {
        Layout::Planes => x.to_vec(),
        Layout::Blocks => in_blocks(x, extents[side], lanes),
    };
    let mut numbers = Numbers(7);
    let (nx, nw, ny) = (g.x_shape().elements(), g.w_shape().elements(), g.y_shape().elements());
    let [x, r, w, b, gy, gr, mask, spread] = [nx, nx, nw, g.features, ny, ny, nx, nx].map(|n| numbers.take(n, false));
    let [lx, lr, lm, ls] = [&x, &r, &mask, &spread].map(|v| lay(0, v));
    let [ly, lgr] = [&gy, &gr].map(|v| lay(1, v));
    let mut found = Vec::new();
    let mut expect = |name, side: usize, planes: &[f32], got: &[f32]| {
        let mut expected = lay(side, planes);
        if spoil {
            expected.rotate_left(1);
        }
        if expected.iter().zip(got).any(|(a, b)| a.to_bits() != b.to_bits()) {
            found.push(name);
        }
    };
    let plain = Epilogue::default();
    let shifted = Epilogue { bias: Some(&b), ..plain };

    let [there, here] = [PLANES, layouts].map(|layouts| Convolution::forward_at(g, fast, layouts, level));
    let relu = Epilogue { relu: true, ..shifted };
    let (a, c) = (run_gather(&there, &w, &[&x], &[relu], ny), run_gather(&here, &w, &[&lx], &[relu], ny));
    expect("forward", 1, &a[0], &c[0]);
    let a = run_box(&there, &w, [&x, &r], [shifted, plain], None, ny);
    let c = run_box(&here, &w, [&lx, &lr], [shifted, plain], None, ny);
    expect("center", 1, &a[0], &c[0]);
    expect("radius", 1, &a[1], &c[1]);

    let [there, here] = [PLANES, layouts].map(|layouts| Convolution::backward_at(g, fast, layouts, level));
    if across(&here) {
        return found;
    }
    let [cut, cut_here] = [&mask, &lm].map(|mask| Epilogue { mask: Some(mask), ..plain });
    let (a, c) = (run_gather(&there, &w, &[&gy], &[cut], nx), run_gather(&here, &w, &[&ly], &[cut_here], nx));
    expect("input gradient", 0, &a[0], &c[0]);
    let a = run_box(&there, &w, [&gy, &gr], [plain, plain], Some([&mask, &spread]), nx);
    let c = run_box(&here, &w, [&ly, &lgr], [plain, plain], Some([&lm, &ls]), nx);
    expect("gradient for the center", 0, &a[0], &c[0]);
    expect("gradient for the radius", 0, &a[1], &c[1]);
    found
}

/// Both sides in blocks, or one.
const LAYOUTS: [[Layout; 2]; 3] =
    [[Layout::Blocks, Layout::Blocks], [Layout::Blocks, Layout::Planes], [Layout::Planes, Layout::Blocks]];

/// The layouts that a call takes, out of [`LAYOUTS`].
fn taken([x, y]: [bool; 2]) -> impl Iterator<Item = [Layout; 2]> {
    let fits = move |layouts: &[Layout; 2]| (x || layouts[0] == Layout::Planes) && (y || layouts[1] == Layout::Planes);
    LAYOUTS.into_iter().filter(fits)
}

/// Whether sums take another order than those on planes: across the lanes.
fn across(convolution: &Convolution) -> bool {
    matches!(convolution, Convolution::AcrossBackward(_))
}

#[test]
fn blocks_hold_the_bits_of_planes() {
    for level in levels() {
        for (g, fast) in block_cases() {
            let (takes, gains) = sides(&g, fast);
            assert_eq!((takes, gains), ([fast, true], fast), "{g:?}");
            for layouts in taken(takes) {
                let differing = differing(&g, fast, layouts, level, false);
                assert!(differing.is_empty(), "{level:?} {g:?} {layouts:?}: {differing:?}");
            }
        }
    }
}

#[test]
fn a_word_in_another_place_is_noticed() {
    for (g, fast) in block_cases() {
        for layouts in taken(sides(&g, fast).0) {
            let across = across(&Convolution::backward_at(&g, fast, layouts, level()));
            let compared = if across { 3 } else { 6 };
            assert_eq!(differing(&g, fast, layouts, level(), true).len(), compared, "{g:?} {layouts:?}");
        }
    }
}

/// Images of one and several channels, one block of features and several; around the sums of a tile; rows that no tap reaches, that are
/// cut off and that reach beyond grad_y; one row of taps, more than rows of grad_y.
fn across_cases() -> Vec<Geometry> {
    let mut cases = Vec::new();
    for (i, width) in (1..36).enumerate() {
        let (channels, features) = ([1, 3, 2][i % 3], [16, 64, 32][i % 3]);
        cases.push(geometry(2, channels, features, [5, width], [3, 3], spec([1, 1], [i % 4, 1], [1, 1])));
    }
    for (height, rows, padding) in [(1, 1, 0), (28, 3, 1), (9, 5, 2), (2, 7, 6), (7, 7, 0), (4, 2, 3)] {
        cases.push(geometry(3, 2, 32, [height, 19], [rows, 3], spec([1, 1], [padding, 1], [1, 1])));
    }
    cases
}

#[test]
fn sums_across_lanes_match_f64_loops() {
    for (level, (g, integers)) in levels()
        .flat_map(|level| across_cases().into_iter().flat_map(|g| [(g, true), (g, false)]).map(move |c| (level, c)))
    {
        let convolution = Convolution::backward_at(&g, false, [Layout::Planes, Layout::Blocks], level);
        assert!(across(&convolution), "{g:?}");
        let (nx, nw, ny) = (g.x_shape().elements(), g.w_shape().elements(), g.y_shape().elements());
        let mut numbers = Numbers(13);
        let [gy, gr, w, mask, spread] = [ny, ny, nw, nx, nx].map(|n| numbers.take(n, integers));
        let [mut dx, mut dr] = [vec![Sum::default(); nx], vec![Sum::default(); nx]];
        products(&g, |xi, wi, yi| {
            dx[xi].add(gy[yi], w[wi]);
            dr[xi].add(gr[yi], w[wi].abs());
        });
        let extents = [g.features, g.output[0] * g.output[1]];
        let [ly, lr] = [&gy, &gr].map(|x| in_blocks(x, extents, Width::of(level).lanes));
        let plain = Epilogue::default();
        let check = |got: &[f32], expected: &[Sum], name: &str| {
            compare(got, expected, integers).unwrap_or_else(|e| panic!("{level:?} {g:?}, {name}: {e}"));
        };
        let both = run_gather(&convolution, &w, &[&ly, &lr], &[plain, plain], nx);
        check(&both[0], &dx, "center");
        check(&both[1], &dr, "radius");
        let before = run_box(&convolution, &w, [&ly, &lr], [plain, plain], Some([&mask, &spread]), nx);
        assert_eq!(before, box_slope([&mask, &spread], &both[0], &both[1]), "{level:?} {g:?}");
        let cut = run_gather(&convolution, &w, &[&ly], &[Epilogue { mask: Some(&mask), ..plain }], nx);
        masked(&mut dx, &mask);
        check(&cut[0], &dx, "behind a mask");
        let nan = run_gather(&convolution, &w, &[&vec![f32::NAN; ny]], &[plain], nx);
        let reached: Vec<bool> = dr.iter().map(|sum| sum.terms > 0).collect();
        assert!(nan[0].iter().zip(&reached).all(|(x, &reached)| x.is_nan() == reached), "{level:?} {g:?}: NaN");
    }
}

/// Sums over pixels may take another order where gradients lie in blocks.
#[test]
fn weight_gradients_of_blocks_are_those_of_planes() {
    for (level, (g, fast)) in levels().flat_map(|level| block_cases().into_iter().map(move |case| (level, case))) {
        let lanes = Width::of(level).lanes;
        let extents = [[g.channels, g.input[0] * g.input[1]], [g.features, g.output[0] * g.output[1]]];
        let (nx, nw, ny) = (g.x_shape().elements(), g.w_shape().elements(), g.y_shape().elements());
        let mut numbers = Numbers(11);
        let factor = if fast { WHOLE } else { 1.0 };
        let [x, r] = [0; 2].map(|_| numbers.signs(nx, 1.0));
        let [gy, gr] = [0; 2].map(|_| numbers.signs(ny, factor));
        let w = numbers.take(nw, true);
        let (mut dw, mut db) = (vec![Sum::default(); nw], vec![Sum::default(); g.features]);
        products(&g, |xi, wi, yi| {
            dw[wi].add(gy[yi], x[xi]);
            dw[wi].add(gr[yi] * sign(w[wi]), r[xi]);
        });
        gy.iter().enumerate().for_each(|(i, &gy)| db[i / extents[1][1] % g.features].add(gy, 1.0));
        for layouts in taken(weight_sides(&g, fast).0) {
            let lay = |side: usize, x: &[f32]| match layouts[side] {
                Layout::Planes => x.to_vec(),
                Layout::Blocks => in_blocks(x, extents[side], lanes),
            };
            let ([x, r], [gy, gr]) = ([&x, &r].map(|x| lay(0, x)), [&gy, &gr].map(|gy| lay(1, gy)));
            let gradient = WeightGradient::new_at(&g, 2, fast, layouts, level);
            let ([mut s, mut t], mut got) = (scratch(gradient.scratch()), vec![f32::NAN; nw]);
            let ([mut sums], mut got_bias) = (scratch(vec![gradient.bias_scratch()]), vec![f32::NAN; g.features]);
            let bias = BiasGradient { db: &mut got_bias, scratch: &mut sums };
            gradient.run(&[(&x, &gy), (&r, &gr)], Some(&w), &mut got, Some(bias), [&mut s, &mut t]);
            compare(&got, &dw, true).unwrap_or_else(|e| panic!("{level:?} {g:?} {layouts:?}: {e}"));
            compare(&got_bias, &db, true).unwrap_or_else(|e| panic!("{level:?} {g:?} {layouts:?}, bias: {e}"));
        }
    }
}
