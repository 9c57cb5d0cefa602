//! Convolutions of points and radii, and their gradients.

use smallbox::ops;

use super::Golden;
use crate::common::cases::Conv;
use crate::common::device;
use crate::common::run::run;

/// The convolution that an entry of `configs` describes.
fn case(config: &serde_json::Value) -> Conv {
    let n = |key: &str| config[key].as_u64().unwrap_or_else(|| panic!("config without {key}")) as usize;
    Conv {
        n: n("b"),
        c: n("in"),
        hw: [n("h"), n("w")],
        o: n("out"),
        k: [n("kh"), n("kw")],
        stride: [n("sh"), n("sw")],
        padding: [n("ph"), n("pw")],
        dilation: [n("dil"); 2],
    }
}

#[test]
fn points_and_boxes() {
    let Some(golden) = Golden::open("conv") else { return };
    let configs = golden.info["configs"].as_array().expect("configs");
    assert!(!configs.is_empty());
    device::each(|session| {
        for (i, config) in configs.iter().enumerate() {
            let name = |part: &str| format!("{i:02}.{part}");
            let stored = |part: &str| golden.tensor(&name(part));
            let spec = case(config).spec();
            let points = run(session, |c| {
                let [x, w, b] = ["x", "w", "b"].map(|part| c.input(stored(part)));
                let y = ops::conv2d(&mut c.graph, x, w, Some(b), spec)?;
                c.output("y", y);
                c.gradients(&[y], &[stored("gy").clone()], &[x, w, b])
            });
            for (part, output) in [("y", "y"), ("gx", "grad0"), ("gw", "grad1"), ("gb", "grad2")] {
                golden.assert(&name(part), &points.tensor(output));
            }
            // The radius alone, and both halves of the box from one pass over the weights.
            let radii = run(session, |c| {
                let [x, r, w, b] = ["x", "r", "w", "b"].map(|part| c.input(stored(part)));
                let (center, radius) = ops::conv2d_interval(&mut c.graph, (x, r), w, Some(b), spec)?;
                c.output("center", center);
                c.output("radius", radius);
                c.gradients(&[radius], &[stored("gyr").clone()], &[r, w])
            });
            for (part, output) in [("y", "center"), ("yr", "radius"), ("gr", "grad0"), ("gwr", "grad1")] {
                golden.assert(&name(part), &radii.tensor(output));
            }
        }
    });
}
