//! CIFAR's binary files.

use std::fs;

use super::{gzip, real_data, record_file, record_manifest};
use smallbox::data::{Checked, FileStatus, LoadOptions, load, verify_entry};

/// Files of the names and sizes that the real ones have, cut to `n` records each, in `folder`.
fn write_cifar_like(folder: &std::path::Path, label_bytes: usize, names: &[&str], n: usize, classes: usize) {
    fs::create_dir_all(folder).unwrap();
    for (f, name) in names.iter().enumerate() {
        let record = |i: usize| {
            let mut record = vec![(i % classes) as u8; label_bytes];
            // A coarse label before the fine one: it must not be taken for it.
            if label_bytes == 2 {
                record[0] = 3;
            }
            record.extend((0..3072).map(|p| (p * 5 + i * 11 + f * 17) as u8));
            record
        };
        fs::write(folder.join(name), (0..n).flat_map(record).collect::<Vec<u8>>()).unwrap();
    }
}

const CIFAR10: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

#[test]
fn every_layout_is_found_and_files_follow_each_other() {
    for layout in ["cifar10", "cifar10/cifar-10-batches-bin", ".", "cifar-10-batches-bin"] {
        let root = tempfile::tempdir().unwrap();
        write_cifar_like(&root.path().join(layout), 1, &CIFAR10, 12, 10);
        // One of them packed.
        let third = root.path().join(layout).join("data_batch_3.bin");
        fs::write(third.with_extension("bin.gz"), gzip(&fs::read(&third).unwrap())).unwrap();
        fs::remove_file(third).unwrap();
        let options = LoadOptions { data_dir: Some(root.path().to_path_buf()), ..Default::default() };
        let dataset = load("cifar10", &options).unwrap_or_else(|e| panic!("{layout}: {e}"));
        assert_eq!((dataset.train.len(), dataset.test.len()), (50, 12));
        assert_eq!(dataset.train.labels[..14], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 0, 1]);
        // Sample 25 is number 1 of the third file.
        assert_eq!(dataset.train.image(25)[..3], [45, 50, 55]);
        assert_eq!(dataset.input(), [3, 32, 32]);
        assert_eq!(dataset.normalisation.as_ref().unwrap().mean, [0.4914, 0.4822, 0.4465]);
    }
}

#[test]
fn the_fine_label_counts() {
    let root = tempfile::tempdir().unwrap();
    write_cifar_like(&root.path().join("cifar100"), 2, &["train.bin", "test.bin"], 120, 100);
    let options = LoadOptions { data_dir: Some(root.path().to_path_buf()), validation: Some(0), ..Default::default() };
    let dataset = load("cifar100", &options).unwrap();
    assert_eq!(dataset.train.labels[98..102], [98, 99, 0, 1]);
    assert_eq!(dataset.train.image(0)[..2], [0, 5]);
}

#[test]
fn wrong_files_are_named() {
    let root = tempfile::tempdir().unwrap();
    write_cifar_like(&root.path().join("cifar10"), 1, &CIFAR10, 12, 10);
    let file = root.path().join("cifar10/data_batch_2.bin");
    let whole = fs::read(&file).unwrap();
    let load_error = || {
        let options = LoadOptions { data_dir: Some(root.path().to_path_buf()), ..Default::default() };
        let error = load("cifar10", &options).unwrap_err();
        assert_eq!(error.exit_code(), 5);
        error.to_string()
    };
    for (content, reason) in [
        (whole[..whole.len() - 1].to_vec(), "records of 3073 bytes"),
        (Vec::new(), "found 0 bytes"),
        ([&[10], &whole[1..]].concat(), "label 10 at position 0"),
        (b"<html>".to_vec(), "not a file of cifar10"),
    ] {
        fs::write(&file, content).unwrap();
        let text = load_error();
        assert!(text.contains("data_batch_2.bin") && text.contains(reason), "{text}");
    }
    fs::remove_file(&file).unwrap();
    let text = load_error();
    assert!(text.contains("incomplete cifar10") && text.contains("data_batch_2.bin"), "{text}");
}

#[test]
fn sums_and_lengths_are_checked() {
    let files = [("a.bin", record_file(3, 0)), ("b.bin", record_file(2, 1)), ("t.bin", record_file(2, 2))];
    let manifest = record_manifest(&[], b"", &files);
    let root = tempfile::tempdir().unwrap();
    for (name, content) in &files {
        fs::write(root.path().join(name), content).unwrap();
    }
    let statuses = || {
        let rows = verify_entry(manifest.get("tiny").unwrap(), root.path());
        rows.into_iter().map(|row| row.status).collect::<Vec<_>>()
    };
    assert_eq!(statuses(), vec![FileStatus::Ok(Checked::Content); 3]);
    let mut changed = files[0].1.clone();
    changed[5] ^= 1;
    fs::write(root.path().join("a.bin"), changed).unwrap();
    fs::write(root.path().join("b.bin"), record_file(1, 1)).unwrap();
    let rows = statuses();
    assert!(matches!(&rows[0], FileStatus::Wrong(reason) if reason.contains("wrong SHA-256")), "{rows:?}");
    assert!(matches!(&rows[1], FileStatus::Wrong(reason) if reason.contains("of 26 bytes, found 13")), "{rows:?}");
    assert_eq!(rows[2], FileStatus::Ok(Checked::Content));
}

/// The real set, as far as it is known from elsewhere: counts, first labels, and the means that the field uses.
#[test]
fn real_cifar10() {
    let Some(folder) = real_data().filter(|folder| folder.join("cifar10/test_batch.bin").is_file()) else {
        eprintln!("skipped: no unpacked CIFAR-10");
        return;
    };
    let options = LoadOptions { data_dir: Some(folder), validation: Some(0), ..Default::default() };
    let dataset = load("cifar10", &options).unwrap();
    assert_eq!((dataset.train.len(), dataset.test.len()), (50_000, 10_000));
    assert_eq!(dataset.train.labels[..10], [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]);
    for (found, published) in dataset.statistics.mean.iter().zip([0.4914, 0.4822, 0.4465]) {
        assert!((found - published).abs() < 1e-4, "{found}");
    }
}
