//! Native kernels of the attack's bookkeeping: groups of samples in parallel.

use rayon::prelude::*;

use super::{Progress, SAMPLES};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::argmax::first_greatest;
use crate::ops::cross_entropy::softmax_differences;

pub(super) fn progress(op: &Progress, signature: &Signature) -> Result<NativeCall> {
    let first = op.first;
    let (rows, classes) = (signature.inputs[0].shape[0], signature.inputs[0].shape[1]);
    Ok(NativeCall::new("attack_progress", move |args| {
        let (logits, labels) = (args.input(0), args.input_u32(1));
        let before = (!first).then(|| args.input(2).split_at(rows));
        let (found, highest) = args.output(1).split_at_mut(rows);
        let outputs = (
            args.output(0).par_chunks_mut(SAMPLES * classes),
            found.par_chunks_mut(SAMPLES),
            highest.par_chunks_mut(SAMPLES),
            args.output(2).par_chunks_mut(SAMPLES),
            args.output(3).par_iter_mut(),
        );
        outputs.into_par_iter().enumerate().for_each(|(group, (gradient, found, highest, chosen, done))| {
            let from = group * SAMPLES;
            let labels = &labels[from..][..found.len()];
            let logits = &logits[from * classes..][..gradient.len()];
            softmax_differences(logits, labels, gradient, highest);
            for (i, (row, &label)) in logits.chunks(classes).zip(labels).enumerate() {
                let (n, loss) = (from + i, highest[i]);
                let wrong = f32::from(u8::from(first_greatest(row) != label));
                let mut higher = true;
                found[i] = wrong;
                if let Some((found_before, highest_before)) = before {
                    found[i] = wrong.max(found_before[n]);
                    higher = loss > highest_before[n];
                    highest[i] = if higher { loss } else { highest_before[n] };
                }
                chosen[i] = if higher { 1.0 } else { found[i] };
            }
            *done = f32::from(u8::from(found.iter().all(|&found| found > 0.0)));
        });
    }))
}

pub(super) fn outcome(signature: &Signature) -> Result<NativeCall> {
    let (rows, classes) = (signature.inputs[0].shape[0], signature.inputs[0].shape[1]);
    Ok(NativeCall::new("attack_outcome", move |args| {
        let (found_before, highest) = args.input(2).split_at(rows);
        let samples = args.input(0).chunks(classes).zip(args.input_u32(1)).zip(found_before);
        for (found, ((row, &label), &before)) in args.output(0).iter_mut().zip(samples) {
            *found = f32::from(u8::from(first_greatest(row) != label)).max(before);
        }
        args.output(1).copy_from_slice(highest);
    }))
}
