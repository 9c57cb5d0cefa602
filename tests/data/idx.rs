use std::path::PathBuf;

use super::{gzip, idx_file};
use smallbox::data::idx::{Kind, read};
use smallbox::error::Error;

/// Reads `content` as a file called `name`.
fn read_bytes(name: &str, content: &[u8], kind: Kind) -> smallbox::error::Result<smallbox::data::idx::Idx> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    read(&path, kind)
}

/// The message of the data error that reading `content` must give; it must name the file.
fn refusal(content: &[u8], kind: Kind) -> String {
    match read_bytes("the-file", content, kind) {
        Err(error @ Error::Data { .. }) => {
            assert_eq!(error.exit_code(), 5);
            let text = error.to_string();
            assert!(text.contains("the-file"), "{text}");
            assert!(!text.contains('\n'), "{text}");
            text
        }
        other => panic!("expected a data error, got {other:?}"),
    }
}

#[test]
fn plain_and_packed_files_are_told_apart_by_content() {
    let images = idx_file(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
    for (name, content) in [("a.gz", images.clone()), ("a", gzip(&images)), ("a", images.clone())] {
        let idx = read_bytes(name, &content, Kind::Images).unwrap();
        assert_eq!(idx.dims, [2, 1, 3]);
        assert_eq!(idx.bytes, [1, 2, 3, 4, 5, 6]);
    }
    // A .gz of several members is one content (RFC 1952 §2.2).
    let members = [gzip(&images[..9]), gzip(&images[9..])].concat();
    assert_eq!(read_bytes("a", &members, Kind::Images).unwrap().bytes, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn truncated_files_say_expected_and_found() {
    let images = idx_file(&[2, 1, 3], &[0; 6]);
    let plain = refusal(&images[..20], Kind::Images);
    assert!(plain.contains("asks for 22 bytes") && plain.contains("found 20"), "{plain}");
    let packed = refusal(&gzip(&images[..20]), Kind::Images);
    assert!(packed.contains("asks for 22 bytes (unpacked)") && packed.contains("found 20"), "{packed}");
    let header = refusal(&images[..10], Kind::Images);
    assert!(header.contains("header of 16 bytes, found 10"), "{header}");
    let magic = refusal(&images[..3], Kind::Images);
    assert!(magic.contains("found 3 bytes"), "{magic}");
    assert!(refusal(&[], Kind::Images).contains("found 0 bytes"));
    let archive = gzip(&images);
    for length in [2, 9, archive.len() - 9, archive.len() - 1] {
        let cut = refusal(&archive[..length], Kind::Images);
        assert!(cut.contains("gzip"), "{length}: {cut}");
    }
}

#[test]
fn overlong_and_damaged_files_are_refused() {
    let images = idx_file(&[2, 1, 3], &[0; 7]);
    for content in [images.clone(), gzip(&images)] {
        let text = refusal(&content, Kind::Images);
        assert!(text.contains("too long") && text.contains("22 bytes"), "{text}");
    }
    let mut garbage_behind = gzip(&images[..22]);
    garbage_behind.extend(b"garbage");
    refusal(&garbage_behind, Kind::Images);
    let mut damaged = gzip(&images[..22]);
    let crc = damaged.len() - 8;
    damaged[crc] ^= 1;
    assert!(refusal(&damaged, Kind::Images).contains("gzip"));
}

#[test]
fn foreign_files_are_named() {
    let labels = idx_file(&[4], &[0, 1, 2, 3]);
    let text = refusal(&labels, Kind::Images);
    assert!(text.contains("expected an IDX images file") && text.contains("found labels"), "{text}");
    let images = idx_file(&[1, 1, 1], &[0]);
    let text = refusal(&images, Kind::Labels);
    assert!(text.contains("expected an IDX labels file") && text.contains("found images"), "{text}");
    for (content, name) in [
        (&b"PK\x03\x04...."[..], "ZIP"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\x93NUMPY\x01", "NumPy"),
        (b"hello", "[68, 65, 6c, 6c]"),
    ] {
        let text = refusal(content, Kind::Images);
        assert!(text.contains("not an IDX file") && text.contains(name), "{text}");
    }
    assert!(refusal(&gzip(&gzip(&images)), Kind::Images).contains("a second time"));
    let mut floats = images.clone();
    floats[2] = 0x0d;
    assert!(refusal(&floats, Kind::Images).contains("32-bit floats"));
    let rank2 = idx_file(&[1, 1], &[0]);
    assert!(refusal(&rank2, Kind::Images).contains("rank 2"));
}

/// A header can't make the reader allocate what is not there: too large a size is refused, a large one is read as far as it goes.
#[test]
fn declared_sizes_are_bounded() {
    for dims in [[u32::MAX; 3], [1 << 20, 1 << 20, 1 << 20], [(1 << 28) + 1, 1, 1]] {
        let text = refusal(&idx_file(&dims, &[0; 5]), Kind::Images);
        assert!(text.contains("at most 268435456"), "{text}");
    }
    let text = refusal(&idx_file(&[1 << 28, 1, 1], &[0; 5]), Kind::Images);
    assert!(text.contains("truncated") && text.contains("found 21"), "{text}");
    // 64 MiB of zeros behind a header that declares six elements: not unpacked.
    let mut bomb = idx_file(&[2, 1, 3], &[0; 6]);
    bomb.resize(64 << 20, 0);
    assert!(refusal(&gzip(&bomb), Kind::Images).contains("too long"));
}

#[test]
fn a_missing_file_is_an_io_error_with_its_path() {
    let error = read("no/such/file".as_ref(), Kind::Labels).unwrap_err();
    assert!(matches!(error, Error::Io { .. }));
    assert!(error.to_string().contains("no/such/file"));
}
