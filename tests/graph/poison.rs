//! A work buffer that nobody wrote shows in the result.

use smallbox::device::cpu::CpuSession;
use smallbox::error::Result;
use smallbox::graph::{Op, Signature};
use smallbox::kernel::{GpuCall, GpuLimits, NativeCall};
use smallbox::shape::TensorType;

use crate::common::run::run;
use crate::common::tensor::Tensor;

/// An op whose kernel forgets to write the last `missing` elements of its output.
#[derive(Debug)]
struct Forgetful {
    missing: usize,
}

impl Op for Forgetful {
    fn name(&self) -> &'static str {
        "forgetful"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(inputs.to_vec())
    }

    fn gpu(&self, _signature: &Signature, _limits: &GpuLimits) -> Result<GpuCall> {
        Ok(GpuCall::default())
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        let missing = self.missing;
        Ok(NativeCall::new("forgetful", move |args| {
            let (x, y) = (args.input(0), args.output(0));
            let written = y.len() - missing;
            y[..written].copy_from_slice(&x[..written]);
        }))
    }
}

#[test]
fn elements_that_no_kernel_wrote_are_not_numbers() {
    let x = Tensor::new([100], (0..100).map(f64::from).collect());
    for missing in [0, 1, 100] {
        let got = run(&mut CpuSession::new(), |c| {
            let x = c.input(&x);
            let y = c.graph.push1(Forgetful { missing }, &[x])?;
            let doubled = smallbox::ops::scale(&mut c.graph, y, 2.0)?;
            c.output("doubled", doubled);
            Ok(())
        });
        let y = got.tensor("doubled").data;
        assert!(y[..100 - missing].iter().enumerate().all(|(i, &y)| y == 2.0 * i as f64));
        assert!(y[100 - missing..].iter().all(|y| y.is_nan()), "{missing} elements are missing");
    }
}
