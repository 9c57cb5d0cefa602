use std::fs;

use super::{gzip, idx_file, real_data, write_mnist_like};
use smallbox::data::{Dataset, LoadOptions, load};
use smallbox::error::{Error, Result};

fn load_from(folder: &std::path::Path, name: &str) -> Result<Dataset> {
    load(name, &LoadOptions { data_dir: Some(folder.to_path_buf()), ..Default::default() })
}

#[test]
fn every_layout_is_found() {
    for layout in ["mnist", "mnist/raw", ".", "MNIST/raw"] {
        let folder = tempfile::tempdir().unwrap();
        write_mnist_like(&folder.path().join(layout), 30, 7);
        let dataset = load_from(folder.path(), "mnist").unwrap_or_else(|e| panic!("{layout}: {e}"));
        assert_eq!(dataset.test.len(), 7);
        // 30 samples are fewer than the default would hold back: a sixth.
        assert_eq!(dataset.train.len(), 25);
        assert_eq!(dataset.validation.unwrap().len(), 5);
    }
    let folder = tempfile::tempdir().unwrap();
    write_mnist_like(&folder.path().join("FashionMNIST/raw"), 30, 7);
    assert!(load_from(folder.path(), "fashion-mnist").is_ok());
    assert!(load_from(folder.path(), "mnist").is_err());
}

#[test]
fn validation_is_the_end_of_the_training_files_and_limit_comes_last() {
    let folder = tempfile::tempdir().unwrap();
    write_mnist_like(folder.path(), 30, 7);
    let whole = |validation, limit| {
        let data_dir = Some(folder.path().to_path_buf());
        load("mnist", &LoadOptions { data_dir, validation, limit, crop: None }).unwrap()
    };
    let all = whole(Some(0), None);
    assert_eq!(all.train.len(), 30);
    assert!(all.validation.is_none());
    let split = whole(Some(4), None);
    let held_back = split.validation.unwrap();
    assert_eq!(split.train.images, all.train.images[..26 * 784]);
    assert_eq!(held_back.images, all.train.images[26 * 784..]);
    assert_eq!(held_back.labels, all.train.labels[26..]);
    let limited = whole(Some(4), Some(3));
    assert_eq!(limited.train.labels, all.train.labels[..3]);
    assert_eq!(limited.validation.unwrap().labels, all.train.labels[26..29]);
    assert_eq!(limited.test.len(), 3);
    assert_eq!(limited.statistics, all.statistics, "the input layer must not depend on the limit");
}

#[test]
fn statistics_are_those_of_the_pixels() {
    let folder = tempfile::tempdir().unwrap();
    write_mnist_like(folder.path(), 30, 7);
    let dataset = load(
        "mnist",
        &LoadOptions { data_dir: Some(folder.path().to_path_buf()), validation: Some(0), limit: None, crop: None },
    )
    .unwrap();
    let values: Vec<f64> = dataset.train.images.iter().map(|&p| f64::from(p) / 255.0).collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    // n roundings of relative 2⁻⁵³ each in the sums here; the ones in the library are exact.
    let slack = n * f64::EPSILON;
    assert!((dataset.statistics.mean[0] - mean).abs() < slack);
    assert!((dataset.statistics.std[0] - deviation).abs() < slack);
}

#[test]
fn missing_files_name_every_place_and_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let error = load_from(folder.path(), "mnist").unwrap_err();
    assert_eq!(error.exit_code(), 5);
    let text = error.to_string();
    for place in ["mnist", "mnist/raw", "MNIST/raw"] {
        assert!(text.contains(&folder.path().join(place).display().to_string()), "{text}");
    }
    assert!(text.contains("smallbox data fetch mnist"), "{text}");
    assert!(!text.contains('\n'), "{text}");

    write_mnist_like(&folder.path().join("mnist"), 6, 6);
    fs::remove_file(folder.path().join("mnist/t10k-images-idx3-ubyte")).unwrap();
    let text = load_from(folder.path(), "mnist").unwrap_err().to_string();
    assert!(text.contains("incomplete mnist: no t10k-images-idx3-ubyte (plain or .gz)"), "{text}");
}

/// The four files come from one folder: half a dataset in one place is not completed from another.
#[test]
fn files_of_two_folders_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("mnist"), folder.path().join("mnist/raw"));
    write_mnist_like(&first, 30, 7);
    write_mnist_like(&second, 12, 5);
    fs::remove_file(first.join("t10k-images-idx3-ubyte")).unwrap();
    let dataset = load_from(folder.path(), "mnist").unwrap();
    assert_eq!((dataset.train.len(), dataset.test.len()), (10, 5));
}

#[test]
fn contents_that_do_not_fit_together_are_refused() {
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("train-labels-idx1-ubyte", idx_file(&[29], &[0; 29]), "30 images, but 29 labels"),
        ("train-labels-idx1-ubyte", idx_file(&[30], &[[0; 29].as_slice(), &[10]].concat()), "label 10 at position 29"),
        ("t10k-images-idx3-ubyte", idx_file(&[7, 28, 29], &[0; 7 * 28 * 29]), "expected pictures of 28x28"),
        ("t10k-images-idx3-ubyte", idx_file(&[7], &[0; 7]), "found labels"),
    ];
    for (name, content, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        write_mnist_like(folder.path(), 30, 7);
        // The plain file is preferred to a packed one.
        fs::write(folder.path().join(name), content).unwrap();
        let error = load_from(folder.path(), "mnist").unwrap_err();
        assert_eq!(error.exit_code(), 5);
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains("idx"), "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    write_mnist_like(folder.path(), 0, 7);
    let text = load_from(folder.path(), "mnist").unwrap_err().to_string();
    assert!(text.contains("holds no images"), "{text}");
}

#[test]
fn options_that_do_not_fit_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    write_mnist_like(folder.path(), 30, 7);
    let with = |name: &str, validation, limit| {
        let data_dir = Some(folder.path().to_path_buf());
        load(name, &LoadOptions { data_dir, validation, limit, crop: None }).unwrap_err()
    };
    for (error, part) in [
        (with("mnits", None, None), "\"mnits\": expected one of embedded, plane, mnist, fashion-mnist"),
        (with("mnist", Some(30), None), "validation 30: expected fewer than the 30"),
        (with("mnist", None, Some(0)), "limit 0"),
    ] {
        assert!(matches!(error, Error::Usage(_)), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn real_mnist() {
    let Some(folder) = real_data() else { return };
    let dataset = load_from(&folder, "mnist").unwrap();
    let validation = dataset.validation.unwrap();
    assert_eq!([dataset.train.len(), validation.len(), dataset.test.len()], [55_000, 5_000, 10_000]);
    assert_eq!(dataset.train.labels[..5], [5, 0, 4, 1, 9]);
    assert_eq!(dataset.test.labels[..5], [7, 2, 1, 0, 4]);
    // The published normalisation constants.
    assert!((dataset.statistics.mean[0] - 0.1307).abs() < 5e-5);
    assert!((dataset.statistics.std[0] - 0.3081).abs() < 5e-5);
}

/// MNIST's and Fashion-MNIST's files have the same names: a folder with the wrong ones is not taken for the other dataset.
#[test]
fn another_datasets_files_are_recognised() {
    let Some(data) = real_data() else { return };
    let folder = tempfile::tempdir().unwrap();
    for part in ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"] {
        let name = format!("{part}-ubyte.gz");
        let plain_name = format!("{part}-ubyte");
        let from = data.join("mnist");
        if from.join(&name).exists() {
            fs::copy(from.join(&name), folder.path().join(&name)).unwrap();
        } else {
            fs::write(folder.path().join(&name), gzip(&fs::read(from.join(plain_name)).unwrap())).unwrap();
        }
    }
    assert!(load_from(folder.path(), "mnist").is_ok());
    let text = load_from(folder.path(), "fashion-mnist").unwrap_err().to_string();
    assert!(text.contains("labels of mnist; expected fashion-mnist"), "{text}");
}
