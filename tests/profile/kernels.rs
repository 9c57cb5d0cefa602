//! The cases of `bench kernels` on every device.

use std::time::Duration;

use smallbox::device::read_state_f32;
use smallbox::profile::kernels::cases;

use crate::common::device;

#[test]
fn cases_run_and_count_their_work() {
    device::each(|session| {
        let all = cases();
        let mut names: Vec<&str> = all.iter().map(|case| case.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len(), "names tell cases apart");
        // 2 · batch · outputs · inputs.
        for (name, flops) in
            [("cnn3.fc2.forward", 2 * 256 * 10 * 100), ("relu_interval_backward 64x64x28x28", 64 * 64 * 28 * 28)]
        {
            let case = all.iter().find(|case| case.name() == name).expect("a case");
            let kernel = case.compile(session).unwrap();
            assert!(kernel.cost().flops >= flops && kernel.cost().bytes > 0, "{name}: {:?}", kernel.cost());
            let seconds = pollster::block_on(kernel.sample(session, Duration::ZERO)).unwrap();
            assert!(seconds.len() >= 3 && seconds[0] > 0.0 && seconds.is_sorted(), "{name}: {seconds:?}");
            kernel.release(session);
        }
        // Time in a kernel can depend on memory that nobody wrote: reads of it may all come from one page of zeros.
        for (name, least) in [("bench grad [64, 64, 28, 28]", -1.0), ("bench radius [64, 64, 28, 28]", 0.0)] {
            let held = pollster::block_on(read_state_f32(session, name)).expect("a state of a case that ran");
            let (lowest, highest) = held.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
            assert!((least..least + 0.01).contains(&lowest), "{name}: from {lowest}");
            assert!((0.99..1.0).contains(&highest), "{name}: to {highest}");
        }
    });
}
