//! TinyImageNet: the tree, and archives of it.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};

use super::real_data;
use smallbox::data::{Dataset, FileStatus, LoadOptions, load, verify};
use smallbox::error::Result;

/// A JPEG of one colour.
fn jpeg(side: u32, color: [u8; 3]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(side, side, Rgb(color)).write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

fn wnid(class: usize) -> String {
    format!("n{:08}", 7 * class + 1)
}

/// A tree with all 200 classes, two training images for the first three of them, and four test images.
fn tree() -> Vec<(String, Vec<u8>)> {
    // Not sorted, as in the original.
    let names: Vec<String> = (0..200).rev().map(wnid).collect();
    let mut files = vec![("wnids.txt".to_string(), names.join("\n").into_bytes())];
    for class in 0..3 {
        for number in 0..2 {
            let name = format!("train/{0}/images/{0}_{number}.JPEG", wnid(class));
            files.push((name, jpeg(64, [80 * class as u8, 60 + 100 * number, 10])));
        }
        files.push((format!("train/{0}/{0}_boxes.txt", wnid(class)), b"not wanted".to_vec()));
    }
    let mut annotations = String::new();
    for number in 0..4 {
        files.push((format!("val/images/val_{number}.JPEG"), jpeg(64, [200, 50 * number as u8, 90])));
        annotations += &format!("val_{number}.JPEG\t{}\t0\t1\t2\t3\n", wnid(199 - number));
    }
    files.push(("val/val_annotations.txt".to_string(), annotations.into_bytes()));
    files
}

fn write_tree(root: &Path, files: &[(String, Vec<u8>)]) {
    for (name, content) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn tar(files: &[(String, Vec<u8>)], prefix: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("{prefix}{name}"), content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(format!("tiny-imagenet-200/{name}"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn load_from(root: &Path) -> Result<Dataset> {
    load("tinyimagenet", &LoadOptions { data_dir: Some(root.to_path_buf()), validation: Some(0), ..Default::default() })
}

#[test]
fn tree_and_archives_hold_the_same_images() {
    let files = tree();
    let mut seen = Vec::new();
    for form in ["tree", "bare", "zip", "tar", "tar.gz", "parts"] {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("tinyimagenet");
        fs::create_dir_all(&own).unwrap();
        match form {
            "tree" => write_tree(&own.join("tiny-imagenet-200"), &files),
            "bare" => write_tree(&root.path().join("tiny-imagenet-200"), &files),
            "zip" => fs::write(own.join("tiny-imagenet-200.zip"), zip(&files)).unwrap(),
            "tar" => fs::write(own.join("tiny-imagenet-200.tar"), tar(&files, "./")).unwrap(),
            "tar.gz" => fs::write(own.join("all.tar.gz"), super::gzip(&tar(&files, "tiny-imagenet-200/"))).unwrap(),
            _ => {
                fs::write(own.join("train.tar"), tar(&files[1..8], "tiny-imagenet-200/")).unwrap();
                let rest = [&files[..1], &files[8..]].concat();
                fs::write(own.join("val.tar"), tar(&rest, "tiny-imagenet-200/")).unwrap();
            }
        }
        let dataset = load_from(root.path()).unwrap_or_else(|e| panic!("{form}: {e}"));
        seen.push((dataset.train, dataset.test));
    }
    let (train, test) = &seen[0];
    assert!(seen.iter().all(|other| other == &seen[0]), "every form gives the same samples in the same order");
    // Classes by their sorted names, in turn.
    assert_eq!(train.labels, [0, 1, 2, 0, 1, 2]);
    assert_eq!(test.labels, [199, 198, 197, 196]);
    // JPEG is not exact, but a colour stays what it is.
    let near = |image: &[u8], color: [u8; 3]| {
        image.chunks(64 * 64).zip(color).all(|(plane, value)| plane.iter().all(|p| p.abs_diff(value) <= 4))
    };
    assert!(near(train.image(1), [80, 60, 10]) && near(train.image(4), [80, 160, 10]), "{:?}", &train.image(1)[..4]);
    assert!(near(test.image(3), [200, 150, 90]));
}

#[test]
fn the_network_sees_the_middle() {
    let root = tempfile::tempdir().unwrap();
    let mut files = tree();
    let mut picture = RgbImage::from_pixel(64, 64, Rgb([0, 0, 0]));
    for y in 4..60 {
        for x in 4..60 {
            picture.put_pixel(x, y, Rgb([255, 255, 255]));
        }
    }
    let mut bytes = Cursor::new(Vec::new());
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 100).encode_image(&picture).unwrap();
    files.iter_mut().find(|(name, _)| name == "val/images/val_0.JPEG").unwrap().1 = bytes.into_inner();
    write_tree(&root.path().join("tinyimagenet"), &files);
    let dataset = load_from(root.path()).unwrap();
    assert_eq!(dataset.input(), [3, 56, 56]);
    let mut image = vec![0.0; 3 * 56 * 56];
    dataset.test.write_view(0, smallbox::data::View::middle(&dataset.test), &mut image);
    // Nothing of the black frame of four pixels is left.
    assert!(image.iter().all(|&v| v > 0.8), "{:?}", image.iter().cloned().fold(1.0, f32::min));
}

#[test]
fn what_is_wrong_is_named() {
    let change = |name: &str, content: Option<Vec<u8>>| {
        let mut files = tree();
        let at = files.iter().position(|(path, _)| path == name).unwrap();
        match content {
            Some(content) => files[at].1 = content,
            None => drop(files.remove(at)),
        }
        let root = tempfile::tempdir().unwrap();
        write_tree(&root.path().join("tinyimagenet"), &files);
        let error = load_from(root.path()).unwrap_err();
        assert_eq!(error.exit_code(), 5);
        error.to_string()
    };
    let first = format!("train/{0}/images/{0}_0.JPEG", wnid(0));
    for (name, content, parts) in [
        (first.as_str(), Some(jpeg(32, [0; 3])), [first.as_str(), "32×32; expected 64×64"]),
        (first.as_str(), Some(b"no picture".to_vec()), [first.as_str(), "not a readable JPEG"]),
        ("wnids.txt", Some(b"n1 n2".to_vec()), ["2 classes", "200"]),
        ("wnids.txt", None, ["no tinyimagenet files", "data fetch tinyimagenet"]),
        ("val/val_annotations.txt", None, ["val/images/val_", "no class"]),
    ] {
        let text = change(name, content);
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("tinyimagenet")).unwrap();
    let whole = zip(&tree());
    fs::write(root.path().join("tinyimagenet/x.zip"), &whole[..whole.len() / 2]).unwrap();
    let text = load_from(root.path()).unwrap_err().to_string();
    assert!(text.contains("x.zip") && text.contains("damaged"), "{text}");
}

#[test]
fn a_part_of_the_set_is_told_from_the_whole() {
    let root = tempfile::tempdir().unwrap();
    write_tree(&root.path().join("tinyimagenet"), &tree());
    let rows = verify("tinyimagenet", Some(root.path())).unwrap();
    assert!(matches!(&rows[0].status, FileStatus::Wrong(why) if why.contains("6 images") && why.contains("100000")));
}

#[test]
fn real_tinyimagenet() {
    let Some(folder) = real_data().filter(|folder| folder.join("tinyimagenet/tiny-imagenet-200").is_dir()) else {
        eprintln!("skipped: no unpacked TinyImageNet");
        return;
    };
    let dataset = load_from(&folder).unwrap();
    assert_eq!(dataset.test.len(), 10_000);
    assert!((0..200).all(|class| dataset.test.labels.iter().filter(|&&l| l == class).count() == 50));
    assert_eq!(dataset.input(), [3, 56, 56]);
    // By another decoder. Decoders may round each step their own way, which comes to less than half a level in the mean.
    for (found, known) in dataset.test.channel_statistics().mean.iter().zip([0.4824, 0.4495, 0.3981]) {
        assert!((found - known).abs() < 0.5 / 255.0, "{found}");
    }
}
