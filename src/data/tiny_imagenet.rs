//! Reader of TinyImageNet: the tree `tiny-imagenet-200/` as it is published, or archives of it, which need not be unpacked.
//!
//! ```text
//! wnids.txt                              one class a line
//! train/<wnid>/images/<wnid>_<n>.JPEG    training images
//! val/images/val_<n>.JPEG                test images: the labels of the test set proper were never published
//! val/val_annotations.txt                file name, wnid, …
//! ```
//! Classes are numbered in the order of their sorted names, as PyTorch's `ImageFolder` does. Training images come class by class in
//! turn, so that any run of them holds all classes alike. A tree with a part of the images is read as it is.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use image::{ImageDecoder, ImageFormat, ImageReader};
use rayon::prelude::*;

use super::manifest::Entry;
use super::split::Split;
use crate::error::{Error, Result};

/// Name of the tree's root.
const TREE: &str = "tiny-imagenet-200";
/// Largest file of the tree that is read (its annotations have 340 kB).
const MAX_FILE_BYTES: u64 = 1 << 22;

/// Where the images are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The unpacked tree.
    Tree(PathBuf),
    /// Archives that hold it, or parts of it.
    Archives(Vec<PathBuf>),
}

impl Source {
    /// The folder that the files are in.
    pub(super) fn folder(&self) -> &Path {
        match self {
            Source::Tree(folder) => folder,
            Source::Archives(files) => files[0].parent().unwrap_or(Path::new("")),
        }
    }
}

/// Looks for the tree, then for archives, in `folders`.
pub(super) fn find(folders: &[PathBuf]) -> Option<Source> {
    let trees = folders.iter().flat_map(|folder| [folder.join(TREE), folder.clone()]);
    if let Some(tree) = trees.into_iter().find(|folder| folder.join("wnids.txt").is_file()) {
        return Some(Source::Tree(tree));
    }
    folders.iter().map(|folder| archives(folder)).find(|files| !files.is_empty()).map(Source::Archives)
}

/// The archives in `folder`, in the order of their names.
fn archives(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| is_archive(p)).collect();
    found.sort();
    found
}

fn is_archive(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    // A download that is not finished is hidden.
    !name.starts_with('.')
        && [".tar", ".tar.gz", ".tgz", ".zip"].iter().any(|end| name.ends_with(end))
        && path.is_file()
}

/// A file of the tree: its path from the root, and its content.
type TreeFile = (String, Vec<u8>);

/// Training and test images of `source`.
///
/// # Errors
/// [`Error::Data`] naming the file: no classes, a picture of another size or of an unknown class, a picture that can't be decoded,
/// a damaged archive. [`Error::Io`] when the system can't read a file.
pub(super) fn read(source: &Source, entry: &Entry) -> Result<(Split, Split)> {
    let place = match source {
        Source::Tree(folder) => folder,
        Source::Archives(files) => &files[0],
    };
    let files = match source {
        Source::Tree(folder) => read_tree(folder)?,
        Source::Archives(paths) => {
            let mut files = Vec::new();
            for path in paths {
                read_archive(path, &mut files)?;
            }
            files
        }
    };
    let text = |name: &str| {
        let found = files.iter().find(|(path, _)| path == name);
        found.map(|(_, content)| String::from_utf8_lossy(content).into_owned())
    };
    let Some(wnids) = text("wnids.txt") else {
        return Err(Error::data(place, "no wnids.txt, which names the classes"));
    };
    let mut wnids: Vec<&str> = wnids.split_whitespace().collect();
    wnids.sort_unstable();
    if wnids.len() != entry.classes {
        let message = format!("wnids.txt names {} classes; {} has {}", wnids.len(), entry.name, entry.classes);
        return Err(Error::data(place, message));
    }
    let classes: HashMap<&str, u8> = wnids.iter().enumerate().map(|(i, &wnid)| (wnid, i as u8)).collect();
    let annotations = text("val/val_annotations.txt").unwrap_or_default();
    let annotated: HashMap<&str, &str> = annotations.lines().filter_map(|line| line.split_once('\t')).collect();

    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (path, content) in &files {
        if !path.ends_with(".JPEG") {
            continue;
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        let folder = path.split('/').nth(1).unwrap_or_default();
        let of_test = path.starts_with("val/");
        // Some tools sort the validation images into folders by class, as the training images are.
        let wnid = if of_test && folder == "images" {
            annotated.get(name).and_then(|rest| rest.split('\t').next())
        } else {
            Some(folder)
        };
        let Some(&class) = wnid.and_then(|wnid| classes.get(wnid)) else {
            return Err(Error::data(place, format!("{path}: no class of wnids.txt is known for it")));
        };
        let of = if of_test { &mut test } else { &mut train };
        of.push(Picture { class, number: number(name), path, content });
    }
    train.sort_by_key(|picture| (picture.class, picture.number));
    in_turn(&mut train);
    test.sort_by_key(|picture| picture.number);
    let split = |pictures: &[Picture<'_>], what: &str| {
        if pictures.is_empty() {
            return Err(Error::data(place, format!("holds no {what} images; expected at least 1")));
        }
        decode(pictures, entry, place)
    };
    Ok((split(&train, "training (train/)")?, split(&test, "test (val/)")?))
}

/// A picture that is not decoded yet.
struct Picture<'a> {
    class: u8,
    /// Its number among the class's (training) or among all (test).
    number: u32,
    path: &'a str,
    content: &'a [u8],
}

/// The number at the end of a name such as `n01443537_12.JPEG`.
fn number(name: &str) -> u32 {
    let stem = name.strip_suffix(".JPEG").unwrap_or(name);
    stem.rsplit('_').next().and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX)
}

/// From sorted by class to one of each class in turn.
fn in_turn(pictures: &mut [Picture<'_>]) {
    let mut counts = [0u32; 256];
    for picture in pictures.iter_mut() {
        let count = &mut counts[usize::from(picture.class)];
        picture.number = *count;
        *count += 1;
    }
    pictures.sort_by_key(|picture| (picture.number, picture.class));
}

fn decode(pictures: &[Picture<'_>], entry: &Entry, place: &Path) -> Result<Split> {
    let pixels: usize = entry.shape.iter().product();
    let mut images = vec![0; pictures.len() * pixels];
    images.par_chunks_mut(pixels).zip(pictures).try_for_each(|(image, picture)| {
        let wrong = |what: String| Error::data(place, format!("{}: {what}", picture.path));
        decode_one(picture.content, entry.shape, image).map_err(wrong)
    })?;
    Split::new(images, pictures.iter().map(|picture| picture.class).collect(), entry.shape, entry.classes)
}

/// Decodes a JPEG of the extents `[3, H, W]`; a grey one counts as coloured.
fn decode_one(content: &[u8], [_, height, width]: [usize; 3], image: &mut [u8]) -> std::result::Result<(), String> {
    let broken = |error: image::ImageError| format!("not a readable JPEG picture ({error})");
    let decoder = ImageReader::with_format(Cursor::new(content), ImageFormat::Jpeg).into_decoder().map_err(broken)?;
    let (found_width, found_height) = decoder.dimensions();
    // Looked at before anything is decoded: a header may ask for any amount of memory.
    if (found_width as usize, found_height as usize) != (width, height) {
        return Err(format!("a picture of {found_width}×{found_height}; expected {width}×{height}"));
    }
    let picture = image::DynamicImage::from_decoder(decoder).map_err(broken)?.into_rgb8();
    let plane = height * width;
    for (at, pixel) in picture.pixels().enumerate() {
        for (channel, &value) in pixel.0.iter().enumerate() {
            image[channel * plane + at] = value;
        }
    }
    Ok(())
}

/// Whether a file of the tree is read at all.
fn wanted(path: &str) -> bool {
    path == "wnids.txt"
        || path == "val/val_annotations.txt"
        || (path.ends_with(".JPEG") && (path.starts_with("train/") || path.starts_with("val/")))
}

/// The path from the tree's root of an archive's entry.
fn from_root(path: &str) -> &str {
    let path = path.strip_prefix("./").unwrap_or(path);
    path.strip_prefix(TREE).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
}

fn read_tree(root: &Path) -> Result<Vec<TreeFile>> {
    let mut paths = Vec::new();
    walk(root, String::new(), &mut paths)?;
    paths
        .into_par_iter()
        .map(|relative| {
            let path = root.join(&relative);
            let content = std::fs::read(&path).map_err(Error::io(&path))?;
            Ok((relative, content))
        })
        .collect()
}

/// Collects the wanted files under `root`/`folder`.
fn walk(root: &Path, folder: String, found: &mut Vec<String>) -> Result<()> {
    let path = root.join(&folder);
    for entry in std::fs::read_dir(&path).map_err(Error::io(&path))? {
        let entry = entry.map_err(Error::io(&path))?;
        // A name that is not Unicode is none of the tree's.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let relative = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let part_of_it = ["train", "val"].iter().any(|part| relative.split('/').next() == Some(part));
        if entry.path().is_dir() {
            if part_of_it {
                walk(root, relative, found)?;
            }
        } else if wanted(&relative) {
            found.push(relative);
        }
    }
    Ok(())
}

fn read_archive(path: &Path, files: &mut Vec<TreeFile>) -> Result<()> {
    let file = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let damaged = |error: &dyn std::fmt::Display| Error::data(path, format!("damaged or truncated archive ({error})"));
    let name = path.to_string_lossy().to_lowercase();
    if name.ends_with(".zip") {
        let mut archive = zip::ZipArchive::new(file).map_err(|error| damaged(&error))?;
        for index in 0..archive.len() {
            let entry = archive.by_index(index).map_err(|error| damaged(&error))?;
            let relative = from_root(entry.name()).to_string();
            if wanted(&relative) {
                files.push((relative, read_entry(entry).map_err(|error| damaged(&error))?));
            }
        }
        return Ok(());
    }
    let content: Box<dyn Read> =
        if name.ends_with("gz") { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut archive = tar::Archive::new(content);
    for entry in archive.entries().map_err(|error| damaged(&error))? {
        let entry = entry.map_err(|error| damaged(&error))?;
        let relative = {
            let path = entry.path().map_err(|error| damaged(&error))?;
            from_root(&path.to_string_lossy()).to_string()
        };
        if wanted(&relative) {
            files.push((relative, read_entry(entry).map_err(|error| damaged(&error))?));
        }
    }
    Ok(())
}

fn read_entry(entry: impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    entry.take(MAX_FILE_BYTES).read_to_end(&mut content)?;
    Ok(content)
}
