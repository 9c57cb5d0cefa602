//! Every workload on the GPU and on the native device, with every variant of the kernels and cut to small limits.

use smallbox::device::cpu::CpuSession;
use smallbox::device::gpu::GpuOptions;
use smallbox::kernel::GpuLimits;
use smallbox::shape::DType;

use super::workloads::{Agreement, Workload, all, few, run};
use super::{session, variants};

type Outputs = Vec<(String, DType, Vec<u32>)>;

/// The first difference that `agreement` does not allow.
fn difference(got: &Outputs, want: &Outputs, agreement: Agreement) -> Option<String> {
    assert_eq!(got.len(), want.len(), "number of outputs");
    for ((name, dtype, got), (_, _, want)) in got.iter().zip(want) {
        assert_eq!(got.len(), want.len(), "length of {name}");
        let value = |w: u32| if *dtype == DType::F32 { f64::from(f32::from_bits(w)) } else { f64::from(w) };
        let largest = want.iter().map(|&w| value(w).abs()).fold(0.0, f64::max);
        let allowed = match agreement {
            Agreement::Exact => 0.0,
            Agreement::Rounding(units) => units * f64::from(f32::EPSILON) * largest,
        };
        let wrong: Vec<usize> = (0..got.len())
            .filter(|&i| {
                let error = (value(got[i]) - value(want[i])).abs();
                error.is_nan() || error > allowed
            })
            .collect();
        if let Some(&i) = wrong.first() {
            let (count, of) = (wrong.len(), got.len());
            let (got, want) = (value(got[i]), value(want[i]));
            return Some(format!("{name}[{i}] = {got}, expected {want} within {allowed:e}; {count} of {of} wrong"));
        }
    }
    None
}

fn native(workloads: Vec<Workload>) -> Vec<(Workload, Outputs)> {
    let mut cpu = CpuSession::new();
    let solved = |w: Workload| {
        let outputs = run(&mut cpu, &w).unwrap();
        (w, outputs)
    };
    workloads.into_iter().map(solved).collect()
}

fn compare(label: &str, options: GpuOptions, cases: &[(Workload, Outputs)]) {
    let Some(mut gpu) = session(options) else { return };
    let mut failures = Vec::new();
    for (w, want) in cases {
        match run(&mut gpu, w) {
            Ok(got) => {
                failures.extend(difference(&got, want, w.agreement).map(|d| format!("{label}: {}: {d}", w.name)))
            }
            Err(e) => failures.push(format!("{label}: {}: {e}", w.name)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn tiled_and_register_kernels_agree_with_the_native_device() {
    let cases = native(all());
    for (label, limits) in variants().into_iter().filter(|(label, _)| ["tiled", "register"].contains(label)) {
        compare(label, GpuOptions { limits: Some(limits), ..GpuOptions::default() }, &cases);
    }
}

#[test]
fn plain_kernels_and_portable_and_checked_devices_agree_with_the_native_device() {
    let cases = native(few());
    for (label, limits) in variants().into_iter().filter(|(label, _)| ["tiled, portable", "plain"].contains(label)) {
        compare(label, GpuOptions { limits: Some(limits), ..GpuOptions::default() }, &cases);
    }
    compare("portable", GpuOptions { portable: true, ..GpuOptions::default() }, &cases);
    compare("checked", GpuOptions { shader_checks: true, ..GpuOptions::default() }, &cases);
}

#[test]
fn work_cut_to_small_limits_gives_the_same_results() {
    let cases = native(few());
    for (label, variant) in variants() {
        let limits = GpuLimits { binding_words: 8192, groups_per_axis: 13, ..variant };
        let Some(mut gpu) = session(GpuOptions { limits: Some(limits), ..GpuOptions::default() }) else { return };
        let (mut cut, mut refused) = (0, 0);
        for (w, want) in &cases {
            match run(&mut gpu, w) {
                Ok(got) => {
                    assert_eq!(difference(&got, want, w.agreement), None, "{label}: {}", w.name);
                    cut += 1;
                }
                // Refusing is right where an operand can't be cut; a wrong result never is.
                Err(e) => {
                    assert!(e.to_string().contains("adapter"), "{label}: {}: {e}", w.name);
                    refused += 1;
                }
            }
        }
        assert!(cut > 3 * refused, "{label}: {cut} cut, {refused} refused");
    }
}

#[test]
fn a_second_run_gives_the_same_bits() {
    let Some(mut gpu) = session(GpuOptions::default()) else { return };
    for w in few() {
        assert_eq!(run(&mut gpu, &w).unwrap(), run(&mut gpu, &w).unwrap(), "{}", w.name);
    }
}

#[test]
fn the_comparison_rejects_a_wrong_result() {
    let right = vec![("y".to_string(), DType::F32, vec![1f32.to_bits(), 2f32.to_bits()])];
    let wrong = vec![("y".to_string(), DType::F32, vec![1f32.to_bits(), 2.000001f32.to_bits()])];
    let nan = vec![("y".to_string(), DType::F32, vec![1f32.to_bits(), f32::NAN.to_bits()])];
    assert_eq!(difference(&right, &right, Agreement::Exact), None);
    assert!(difference(&wrong, &right, Agreement::Exact).is_some());
    assert_eq!(difference(&wrong, &right, Agreement::Rounding(8.0)), None);
    assert!(difference(&nan, &right, Agreement::Rounding(8.0)).is_some());
}
