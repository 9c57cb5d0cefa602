//! The attack step.

use smallbox::ops::{self, PgdRegion};

use crate::common::cases::LENGTHS;
use crate::common::close::{Closeness, assert_close};
use crate::common::device;
use crate::common::oracle::elementwise;
use crate::common::random::{Data, Random};
use crate::common::run::run;
use crate::common::tensor::Tensor;

#[test]
fn moves_along_the_sign_inside_the_region() {
    let (step, reach) = (0.5f32, 0.3f32);
    device::each(|session| {
        for n in LENGTHS {
            for done in [&[0.0][..], &[1.0], &[1.0, 0.0, 1.0], &[1.0, 1.0]] {
                let random = &mut Random::new(n as u64);
                let x = random.tensor([n], 0.0, 1.0);
                // z begins outside the region here and there.
                let z = random.tensor([n], -0.2, 1.2);
                let grad = Data::Integers.signed(random, [n]);
                let lower = x.map(|x| f64::from((x - 0.1).max(0.0) as f32));
                let upper = x.map(|x| f64::from((x + 0.1).min(1.0) as f32));
                let got = run(session, |c| {
                    let [z, grad] = [c.input(&z), c.input(&grad)];
                    let region = PgdRegion {
                        lower: c.input(&lower),
                        upper: c.input(&upper),
                        reach: c.input(&Tensor::filled([1], f64::from(reach))),
                    };
                    let done = c.input(&Tensor::new([done.len()], done.to_vec()));
                    let y = ops::pgd_step(&mut c.graph, z, grad, region, done, step)?;
                    c.output("y", y);
                    Ok(())
                });
                let done = done.iter().all(|&done| done == 1.0);
                let want = elementwise::pgd_step(&z, &grad, [&lower, &upper], step.into(), reach.into(), done);
                assert_close(&format!("{n} pixels"), &got.tensor("y"), &want, Closeness::Rounded);
                let inside = got
                    .tensor("y")
                    .data
                    .iter()
                    .zip(lower.data.iter().zip(&upper.data))
                    .all(|(y, (l, u))| l <= y && y <= u);
                assert!(inside || done, "the projection is exact");
            }
        }
    });
}
