//! The ops of backward bounds: relaxed ReLUs, boxes, windows, picked rows.

use smallbox::ops::{self, ROW_WORDS, Relaxation, Window};

use crate::common::close::{Closeness, assert_close, compare};
use crate::common::device;
use crate::common::oracle::Reference;
use crate::common::oracle::relaxation::{self as oracle, Windows};
use crate::common::random::Random;
use crate::common::run::run;
use crate::common::tensor::Tensor;

/// Window and image; the flag says that windows are whole images.
const PLACES: [(Windows, bool); 9] = [
    place([1, 1, 1], [1, 1], [0, 0], [0, 0], true),
    place([7, 1, 1], [1, 1], [0, 0], [0, 0], true),
    place([131, 1, 1], [1, 1], [0, 0], [0, 0], true),
    place([3, 5, 7], [5, 7], [0, 0], [0, 0], true),
    // A start neuron, its receptive field in one convolution, in two; partly outside on every side.
    place([5, 1, 1], [4, 6], [1, 1], [0, 0], false),
    place([4, 3, 3], [7, 8], [1, 1], [-1, -1], false),
    place([2, 6, 5], [9, 11], [2, 2], [-3, -2], false),
    place([3, 17, 19], [33, 20], [4, 3], [-5, -7], false),
    // A window that is larger than the image.
    place([2, 9, 9], [4, 5], [1, 1], [-4, -4], false),
];

const fn place(
    window: [usize; 3],
    image: [usize; 2],
    stride: [usize; 2],
    offset: [isize; 2],
    whole: bool,
) -> (Windows, bool) {
    (Windows { window, image, stride, offset }, whole)
}

fn window(place: Windows, whole: bool) -> Window {
    if whole { Window::WHOLE } else { Window { stride: place.stride, offset: place.offset } }
}

/// Records of `rows` rows over `samples` samples that start anywhere below (4, 4).
fn records(random: &mut Random, rows: usize, samples: usize) -> Vec<u32> {
    let mut words = Vec::new();
    for _ in 0..rows {
        words.extend([random.below(samples), random.below(3), random.below(4), random.below(4)].map(|w| w as u32));
    }
    words
}

/// l ≤ ẑ ≤ u with active, inactive and unstable neurons among them.
fn bounds(random: &mut Random, samples: usize, image: [usize; 3]) -> Tensor {
    let pixels: usize = image.iter().product();
    let mut bounds = Tensor::filled([samples, 3, image[0], image[1], image[2]], 0.0);
    for i in 0..samples * pixels {
        let mut three = [0; 3].map(|_: i32| f64::from(random.uniform(-1.0, 1.0) as f32));
        three.sort_by(f64::total_cmp);
        let [l, z, u] = three;
        for (plane, value) in [l, u, z].into_iter().enumerate() {
            bounds.data[(i / pixels * 3 + plane) * pixels + i % pixels] = value;
        }
    }
    bounds
}

#[test]
fn a_relaxed_relu_is_the_oracles_in_every_mode() {
    device::each(|session| {
        for (case, (place, whole)) in PLACES.into_iter().enumerate() {
            let random = &mut Random::new(case as u64);
            let (rows, samples) = (1 + case * 3, 1 + case % 3);
            let [c, kh, kw] = place.window;
            let shape = [rows, c, kh, kw];
            let bounds = bounds(random, samples, [c, place.image[0], place.image[1]]);
            let words = records(random, rows, samples);
            let a = random.tensor(shape, -1.0, 1.0);
            let slopes = random.tensor(shape, 0.0, 1.0);
            let splits = random.tensor(shape, -1.5, 1.5).map(f64::trunc);
            let multipliers = random.tensor(shape, 0.0, 1.0);
            let upstream = [random.tensor(shape, -1.0, 1.0), random.tensor([rows], -1.0, 1.0)];
            for mode in 0..3 {
                let got = run(session, |c| {
                    let [a, b] = [c.input(&a), c.input(&bounds)];
                    let rows = c.labels(&words);
                    let rows = c.graph.reshape(rows, [shape[0], ROW_WORDS])?;
                    let [alpha, sigma, beta] = [&slopes, &splits, &multipliers].map(|t| c.input(t));
                    let relaxation =
                        Relaxation { slopes: (mode > 0).then_some(alpha), splits: (mode > 1).then_some((sigma, beta)) };
                    let (y, d) = ops::relu_relaxation(&mut c.graph, a, b, rows, relaxation, window(place, whole))?;
                    c.output("coefficients", y);
                    c.output("summands", d);
                    let wrt = &[a, alpha, beta][..mode + 1];
                    c.gradients(&[y, d], &upstream, wrt)
                });
                let relaxation = oracle::Relaxation {
                    windows: place,
                    bounds: &bounds,
                    rows: &words,
                    slopes: (mode > 0).then_some(&slopes),
                    splits: (mode > 1).then_some((&splits, &multipliers)),
                };
                let name = |what: &str| format!("{what}, place {case}, mode {mode}");
                let (y, d) = relaxation.forward(&a);
                assert_close(&name("coefficients"), &got.tensor("coefficients"), &y, Closeness::Rounded);
                assert_close(&name("summands"), &got.tensor("summands"), &d, Closeness::Rounded);
                let want = relaxation.backward(&a, [&upstream[0], &upstream[1]]);
                for (i, want) in want.iter().take(mode + 1).enumerate() {
                    let got = got.tensor(&format!("grad{i}"));
                    assert_close(&name(&format!("gradient {i}")), &got, want, Closeness::Rounded);
                }
            }
        }
    });
}

#[test]
fn a_row_is_least_at_the_corner_that_its_signs_choose() {
    device::each(|session| {
        for (case, (place, whole)) in PLACES.into_iter().enumerate() {
            let random = &mut Random::new(case as u64);
            let (rows, samples) = (1 + case * 3, 1 + case % 3);
            let [c, kh, kw] = place.window;
            let shape = [rows, c, kh, kw];
            let pixels = place.pixels();
            let mut region = random.tensor([samples, 2, c, place.image[0], place.image[1]], 0.0, 1.0);
            for (i, value) in region.data.iter_mut().enumerate() {
                *value = if i / pixels % 2 == 0 { -*value } else { *value };
            }
            let words = records(random, rows, samples);
            let a = random.tensor(shape, -1.0, 1.0);
            let upstream = random.tensor([rows], -1.0, 1.0);
            let got = run(session, |c| {
                let [a, region] = [c.input(&a), c.input(&region)];
                let records = c.labels(&words);
                let records = c.graph.reshape(records, [rows, ROW_WORDS])?;
                let d = ops::concretize(&mut c.graph, a, region, records, window(place, whole))?;
                c.output("least", d);
                c.gradients(&[d], std::slice::from_ref(&upstream), &[a])
            });
            let want = oracle::concretize(place, &a, &region, &words);
            assert_close(&format!("place {case}"), &got.tensor("least"), &want, Closeness::Rounded);
            let want = oracle::concretize_backward(place, &a, &region, &words, &upstream);
            assert_close(&format!("gradient, place {case}"), &got.tensor("grad0"), &want, Closeness::Rounded);
        }
    });
}

#[test]
fn windows_land_where_their_rows_started() {
    device::each(|session| {
        for (case, (place, whole)) in PLACES.into_iter().enumerate() {
            let random = &mut Random::new(case as u64);
            let rows = 2 + case;
            let [c, kh, kw] = place.window;
            let words = records(random, rows, 1);
            let x = random.tensor([rows, c, kh, kw], -1.0, 1.0);
            let upstream = random.tensor([rows, c, place.image[0], place.image[1]], -1.0, 1.0);
            let got = run(session, |c| {
                let x = c.input(&x);
                let records = c.labels(&words);
                let records = c.graph.reshape(records, [rows, ROW_WORDS])?;
                let y = ops::embed_window(&mut c.graph, x, records, window(place, whole), place.image)?;
                c.output("y", y);
                c.gradients(&[y], std::slice::from_ref(&upstream), &[x])
            });
            let want = oracle::embed(place, &x, &words);
            assert_close(&format!("place {case}"), &got.tensor("y"), &want, Closeness::Exact);
            let want = oracle::embed_backward(place, &upstream, &words);
            assert_close(&format!("gradient, place {case}"), &got.tensor("grad0"), &want, Closeness::Exact);
        }
    });
}

#[test]
fn rows_are_picked_by_their_feature() {
    device::each(|session| {
        for (rows, inner) in [(1, 1), (5, 7), (300, 131)] {
            let random = &mut Random::new(rows as u64);
            let (w, words) = (random.tensor([3, inner], -1.0, 1.0), records(random, rows, 1));
            let got = run(session, |c| {
                let w = c.input(&w);
                let records = c.labels(&words);
                let records = c.graph.reshape(records, [rows, ROW_WORDS])?;
                let y = ops::gather_rows(&mut c.graph, w, records)?;
                c.output("y", y);
                Ok(())
            });
            let picked = |r: usize| w.data[words[4 * r + 1] as usize * inner..][..inner].to_vec();
            let want = Tensor::new([rows, inner], (0..rows).flat_map(picked).collect());
            assert_close(&format!("{rows} rows"), &got.tensor("y"), &Reference::exact(want), Closeness::Exact);
        }
    });
}

#[test]
fn bounds_that_are_off_by_a_thousandth_are_noticed() {
    let (place, _) = PLACES[7];
    let random = &mut Random::new(1);
    let [c, kh, kw] = place.window;
    let right = bounds(random, 1, [c, place.image[0], place.image[1]]);
    let wrong = right.map(|v| v * 0.999);
    let (words, a) = (records(random, 4, 1), random.tensor([4, c, kh, kw], -1.0, 1.0));
    let forward = |bounds: &Tensor| {
        oracle::Relaxation { windows: place, bounds, rows: &words, slopes: None, splits: None }.forward(&a)
    };
    assert!(compare(&forward(&wrong).1.value, &forward(&right).1, Closeness::Rounded).is_err());
}
