//! Datasets: files, the embedded one, batches, downloads.

mod batches;
mod embedded;
mod fetch;
mod idx;
mod load;
mod loader;
mod pictures;
mod plane;
mod records;
mod verify;
mod views;

use std::io::Write;
use std::path::Path;

use smallbox::data::Manifest;

/// An IDX file of unsigned bytes.
fn idx_file(dims: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dims.len() as u8];
    for dim in dims {
        file.extend(dim.to_be_bytes());
    }
    file.extend(elements);
    file
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn sha256(content: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files of a dataset of `train` + `test` pictures of 2 × 3 pixels in 4 classes, by name.
fn tiny_files(train: usize, test: usize) -> [(&'static str, Vec<u8>); 4] {
    let images = |n: usize| {
        let pixels: Vec<u8> = (0..n * 6).map(|i| (i * 7 % 251) as u8).collect();
        idx_file(&[n as u32, 2, 3], &pixels)
    };
    let labels = |n: usize| idx_file(&[n as u32], &(0..n).map(|i| (i % 4) as u8).collect::<Vec<_>>());
    [
        ("train-images-idx3-ubyte", images(train)),
        ("train-labels-idx1-ubyte", labels(train)),
        ("t10k-images-idx3-ubyte", images(test)),
        ("t10k-labels-idx1-ubyte", labels(test)),
    ]
}

/// Which checksums a manifest made for a test knows.
#[derive(Clone, Copy, PartialEq)]
enum Sums {
    Content,
    Archive,
    None,
}

/// A manifest of one dataset, `tiny`, of the files of [`tiny_files`].
fn tiny_manifest(train: usize, test: usize, mirrors: &[String], sums: Sums) -> Manifest {
    let mut text = format!(
        "[[dataset]]\nname = \"tiny\"\ntitle = \"Tiny\"\nclasses = 4\nshape = [1, 2, 3]\ntrain = {train}\ntest = {test}\n\
         format = \"idx\"\nlicence = \"none\"\nhomepage = \"\"\nmirrors = {mirrors:?}\n"
    );
    for (name, content) in tiny_files(train, test) {
        let part = if name.starts_with("train") { "train" } else { "test" };
        let kind = if name.contains("images") { "images" } else { "labels" };
        let role = format!("{part}-{kind}");
        text += &format!("[[dataset.file]]\nname = {name:?}\nrole = {role:?}\nbytes = {}\n", content.len());
        match sums {
            Sums::Content => text += &format!("sha256 = {:?}\n", sha256(&content)),
            Sums::Archive => text += &format!("archive_sha256 = {:?}\n", sha256(&gzip(&content))),
            Sums::None => {}
        }
    }
    Manifest::parse(&text).unwrap()
}

/// A file of `n` records of one label and 2 channels of 2 × 3 pixels in 4 classes; another `seed` gives others.
fn record_file(n: usize, seed: u8) -> Vec<u8> {
    (0..n as u8)
        .flat_map(|i| std::iter::once((i + seed) % 4).chain((0..12).map(move |p| 20 * i + p + 7 * seed)))
        .collect()
}

/// A manifest of one dataset, `tiny`, of the first three `files` (training, training, test), which come as `archive`.
fn record_manifest(mirrors: &[String], archive: &[u8], files: &[(&str, Vec<u8>)]) -> Manifest {
    let mut text = format!(
        "[[dataset]]\nname = \"tiny\"\ntitle = \"Tiny\"\nclasses = 4\nshape = [2, 2, 3]\ntrain = 5\ntest = 2\n\
         format = \"cifar10\"\nlicence = \"none\"\nhomepage = \"\"\nmirrors = {mirrors:?}\n\
         archive = {{ name = \"tiny.tar.gz\", bytes = {}, sha256 = {:?} }}\n",
        archive.len(),
        sha256(archive)
    );
    for ((name, content), role) in files.iter().zip(["train-records", "train-records", "test-records"]) {
        let (bytes, sum) = (content.len(), sha256(content));
        text += &format!("[[dataset.file]]\nname = {name:?}\nrole = {role:?}\nbytes = {bytes}\nsha256 = {sum:?}\n");
    }
    Manifest::parse(&text).unwrap()
}

/// Small stand-ins for MNIST's files: 28 × 28 pictures, all labels below 10.
fn write_mnist_like(folder: &Path, train: usize, test: usize) {
    std::fs::create_dir_all(folder).unwrap();
    for (part, n) in [("train", train), ("t10k", test)] {
        let pixels: Vec<u8> = (0..n * 784).map(|i| (i % 256) as u8).collect();
        let labels: Vec<u8> = (0..n).map(|i| (i % 10) as u8).collect();
        let images = idx_file(&[n as u32, 28, 28], &pixels);
        std::fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
        // One kind plain, the other packed: both are to be read.
        let labels = gzip(&idx_file(&[n as u32], &labels));
        std::fs::write(folder.join(format!("{part}-labels-idx1-ubyte.gz")), labels).unwrap();
    }
}

/// The folder of the real datasets, or `None` after saying that the test is skipped.
fn real_data() -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("SMALLBOX_DATA_DIR").map(std::path::PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: SMALLBOX_DATA_DIR is not set");
    }
    folder
}
