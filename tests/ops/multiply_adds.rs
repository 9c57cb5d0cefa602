//! The yardstick of compute does the multiply-adds that it counts.

use smallbox::ops;

use crate::common::cases::LENGTHS;
use crate::common::close::{Closeness, assert_close};
use crate::common::device;
use crate::common::oracle::Reference;
use crate::common::random::{Data, Random};
use crate::common::run::run;
use crate::common::tensor::Tensor;

/// The chains' sum in closed form; exact in f32 for small integers and few rounds.
fn closed_form(x: &Tensor, rounds: i32) -> Tensor {
    let y = |x: &f64| 12.0 + (12.0 * (x - 1.0) + 66.0) / 2f64.powi(4 * rounds);
    Tensor::new(x.shape.clone(), x.data.iter().map(y).collect())
}

#[test]
fn every_chain_takes_every_step() {
    device::each(|session| {
        for n in LENGTHS {
            let x = Data::Integers.signed(&mut Random::new(n as u64), [n]);
            for rounds in [1, 2] {
                let got = run(session, |c| {
                    let x = c.input(&x);
                    let y = ops::multiply_adds(&mut c.graph, x, rounds)?;
                    c.output("y", y);
                    Ok(())
                });
                let context = format!("{rounds} rounds over {n}");
                let want = Reference::exact(closed_form(&x, rounds as i32));
                assert_close(&context, &got.tensor("y"), &want, Closeness::Exact);
                assert_ne!(want.value.data, closed_form(&x, rounds as i32 + 1).data, "one round more shows");
                assert_eq!(got.plan.cost().flops, 96 * u64::from(rounds) * n as u64, "{context}");
            }
        }
    });
}
