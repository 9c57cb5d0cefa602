//! ReLU of a box.

use smallbox::ops;

use crate::common::cases::LENGTHS;
use crate::common::close::assert_close;
use crate::common::device;
use crate::common::oracle::interval;
use crate::common::random::{Data, Random};
use crate::common::run::run;

#[test]
fn relu_of_a_box() {
    device::each(|session| {
        for n in LENGTHS {
            for data in Data::BOTH {
                let random = &mut Random::new(n as u64);
                let [c, r] = [data.signed(random, [n]), data.radius(random, [n])];
                let [gc, gr] = [(); 2].map(|()| data.signed(random, [n]));
                let got = run(session, |case| {
                    let [c, r] = [case.input(&c), case.input(&r)];
                    let (yc, yr) = ops::relu_interval(&mut case.graph, (c, r))?;
                    case.output("center", yc);
                    case.output("radius", yr);
                    case.gradients(&[yc, yr], &[gc.clone(), gr.clone()], &[c, r])
                });
                let check = |name: &str, want| assert_close(&format!("{name} of {n}"), &got.tensor(name), want, data);
                let [center, radius] = interval::relu(&c, &r);
                check("center", &center);
                check("radius", &radius);
                let [to_center, to_radius] = interval::relu_backward([&c, &r], [&gc, &gr]);
                check("grad0", &to_center);
                check("grad1", &to_radius);
            }
        }
    });
}
