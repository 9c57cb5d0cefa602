//! Kernels chosen by measurement: what is kept of it, what a spoilt file does, and that results stay the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use smallbox::device::gpu::{GpuOptions, GpuSession};
use smallbox::device::{Session, Store};
use smallbox::kernel::GpuLimits;
use smallbox::shape::DType;

use super::session;
use super::workloads::{Workload, rounding_products, run};

/// Files in memory, with what was said of them.
#[derive(Debug, Default)]
struct Shelf {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    warnings: Mutex<Vec<String>>,
    writes: Mutex<usize>,
}

impl Store for Shelf {
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.files.lock().unwrap().get(name).cloned()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        *self.writes.lock().unwrap() += 1;
        self.files.lock().unwrap().insert(name.into(), bytes.to_vec());
    }

    fn warn(&self, name: &str, message: &str) {
        self.warnings.lock().unwrap().push(format!("{name}: {message}"));
    }
}

impl Shelf {
    fn tuning(&self) -> Option<serde_json::Value> {
        let files = self.files.lock().unwrap();
        let (_, bytes) = files.iter().find(|(name, _)| name.ends_with(".tuning.json"))?;
        Some(serde_json::from_slice(bytes).expect("the tuner writes JSON"))
    }
}

/// Options of a GPU with few kernels to choose among: on a software adapter there is only one.
fn options() -> GpuOptions {
    let limits = GpuLimits { invocations: 64, ..GpuLimits::PORTABLE };
    GpuOptions { limits: Some(limits), ..GpuOptions::default() }
}

fn tuned(shelf: &Arc<Shelf>) -> Option<GpuSession> {
    session(GpuOptions { store: Some(shelf.clone()), ..options() })
}

/// Runs `w` until nothing of it is left to be measured: on a busy machine one compilation's time for that may be too short.
fn settle(shelf: &Shelf, session: &mut GpuSession, w: &Workload) -> Vec<(String, DType, Vec<u32>)> {
    for _ in 0..50 {
        let writes = *shelf.writes.lock().unwrap();
        let got = run(session, w).unwrap();
        if *shelf.writes.lock().unwrap() == writes {
            return got;
        }
    }
    panic!("{}: there is always something left to measure", w.name)
}

#[test]
fn choices_are_measured_once_and_kept() {
    let shelf = Arc::new(Shelf::default());
    let Some(mut first) = tuned(&shelf) else { return };
    let w = &rounding_products()[0];
    let got = settle(&shelf, &mut first, w);
    let kept = shelf.tuning().expect("the choices were kept");
    let choices = kept["choices"].as_object().unwrap();
    assert!(choices.keys().any(|key| key.starts_with("linear_forward [37, 1100] [45, 1100] [45] ")), "{kept}");
    assert!(choices.values().all(|choice| choice["microseconds"].as_f64().unwrap() > 0.0), "{kept}");
    assert_eq!(kept["adapter"], first.device().name.as_str());
    let measuring = first.host_waits();
    // A new session measures nothing: it waits for its results only. The bits are the same, and those of the kernels by rule.
    let mut second = tuned(&shelf).unwrap();
    assert_eq!(run(&mut second, w).unwrap(), got);
    let mut by_rule = session(options()).unwrap();
    assert_eq!(run(&mut by_rule, w).unwrap(), got);
    assert_eq!(second.host_waits(), by_rule.host_waits());
    assert!(measuring > second.host_waits() + choices.len(), "{measuring} waits of the session that measured");
    assert_eq!(shelf.tuning().unwrap(), kept);
    assert!(shelf.warnings.lock().unwrap().is_empty());
}

#[test]
fn a_spoilt_file_is_told_of_and_made_again() {
    let shelf = Arc::new(Shelf::default());
    let w = &rounding_products()[0];
    let Some(mut gpu) = tuned(&shelf) else { return };
    let got = run(&mut gpu, w).unwrap();
    let right = shelf.files.lock().unwrap().clone();
    for (name, bytes) in &right {
        let foreign = String::from_utf8_lossy(bytes).replace(&gpu.device().name, "another adapter").into_bytes();
        for spoilt in [&b""[..], b"{", &[0xff, 0], &bytes[..bytes.len() / 2], &foreign] {
            if spoilt == bytes {
                continue;
            }
            shelf.files.lock().unwrap().insert(name.clone(), spoilt.to_vec());
            let mut gpu = tuned(&shelf).unwrap();
            let said = std::mem::take(&mut *shelf.warnings.lock().unwrap());
            assert!(said.len() == 1 && said[0].starts_with(name) && !said[0].contains('\n'), "{said:?}");
            assert_eq!(run(&mut gpu, w).unwrap(), got);
            assert_ne!(shelf.files.lock().unwrap()[name], spoilt, "{name} was made again");
        }
    }
}

#[test]
fn what_other_processes_measured_stays() {
    let shelf = Arc::new(Shelf::default());
    let [one, other] = [&rounding_products()[0], &rounding_products()[1]];
    let (Some(mut first), Some(mut second)) = (tuned(&shelf), tuned(&shelf)) else { return };
    settle(&shelf, &mut first, one);
    let alone = shelf.tuning().unwrap()["choices"].as_object().unwrap().len();
    settle(&shelf, &mut second, other);
    let both = shelf.tuning().unwrap()["choices"].as_object().unwrap().len();
    assert!(both > alone, "{alone} choices, then {both}");
}
