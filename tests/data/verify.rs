use std::fs;
use std::path::Path;

use super::{Sums, gzip, idx_file, real_data, tiny_files, tiny_manifest, write_mnist_like};
use smallbox::data::{Checked, FileStatus, Location, embedded, list, verify, verify_entry};
use smallbox::error::Error;

fn statuses(folder: &Path, sums: Sums) -> Vec<FileStatus> {
    let manifest = tiny_manifest(8, 4, &[], sums);
    verify_entry(manifest.get("tiny").unwrap(), folder).into_iter().map(|row| row.status).collect()
}

fn write_tiny(folder: &Path, packed: bool) {
    fs::create_dir_all(folder).unwrap();
    for (name, content) in tiny_files(8, 4) {
        if packed {
            fs::write(folder.join(format!("{name}.gz")), gzip(&content)).unwrap();
        } else {
            fs::write(folder.join(name), content).unwrap();
        }
    }
}

#[test]
fn depth_of_the_check_is_what_the_manifest_allows() {
    for (packed, sums, expected) in [
        (false, Sums::Content, Checked::Content),
        (true, Sums::Content, Checked::Content),
        (true, Sums::Archive, Checked::Archive),
        // A plain file can't be held against the sum of an archive.
        (false, Sums::Archive, Checked::Structure),
        (true, Sums::None, Checked::Structure),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write_tiny(&folder.path().join("tiny"), packed);
        assert_eq!(statuses(folder.path(), sums), vec![FileStatus::Ok(expected); 4]);
    }
    let plain = FileStatus::Ok(Checked::Structure).to_string();
    assert!(plain.contains("structure only") && plain.contains("no checksum is known"), "{plain}");
}

#[test]
fn each_file_has_its_own_row() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(statuses(folder.path(), Sums::Content), vec![FileStatus::Missing; 4]);
    write_tiny(folder.path(), false);
    let [(_, mut images), _, _, (test_labels, _)] = tiny_files(8, 4);
    // The last pixel: the structure is right, the content is not.
    *images.last_mut().unwrap() ^= 1;
    fs::write(folder.path().join("train-images-idx3-ubyte"), images).unwrap();
    fs::remove_file(folder.path().join("train-labels-idx1-ubyte")).unwrap();
    fs::write(folder.path().join(test_labels), idx_file(&[5], &[0; 5])).unwrap();
    let rows = statuses(folder.path(), Sums::Content);
    assert!(matches!(&rows[0], FileStatus::Wrong(reason) if reason.contains("wrong SHA-256")), "{rows:?}");
    assert_eq!(rows[1], FileStatus::Missing);
    assert_eq!(rows[2], FileStatus::Ok(Checked::Content));
    assert!(matches!(&rows[3], FileStatus::Wrong(reason) if reason.contains("sizes [4], found [5]")), "{rows:?}");
    // Without a sum the changed pixel can't be seen; a label out of range can.
    let rows = statuses(folder.path(), Sums::None);
    assert_eq!(rows[0], FileStatus::Ok(Checked::Structure));
    fs::write(folder.path().join("t10k-labels-idx1-ubyte"), idx_file(&[4], &[0, 1, 4, 0])).unwrap();
    let rows = statuses(folder.path(), Sums::None);
    assert!(matches!(&rows[3], FileStatus::Wrong(reason) if reason.contains("label 4 at position 2")), "{rows:?}");
}

#[test]
fn embedded_is_verified_by_generating_it() {
    let rows = verify(embedded::NAME, None).unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.status == FileStatus::Ok(Checked::Content)), "{rows:?}");
    assert!(matches!(verify("mnits", None), Err(Error::Usage(_))));
}

#[test]
fn real_mnist_has_the_recorded_sums() {
    let Some(folder) = real_data() else { return };
    let rows = verify("mnist", Some(&folder)).unwrap();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row.status == FileStatus::Ok(Checked::Content)), "{rows:?}");
}

#[test]
fn list_says_what_is_where() {
    let folder = tempfile::tempdir().unwrap();
    write_mnist_like(&folder.path().join("mnist"), 12, 2);
    let infos = list(Some(folder.path()));
    let location = |name: &str| infos.iter().find(|info| info.name == name).unwrap().location.clone();
    assert_eq!(location("embedded"), Location::BuiltIn);
    assert_eq!(location("mnist"), Location::Folder(folder.path().join("mnist")));
    let Location::Missing(places) = location("fashion-mnist") else { panic!("{infos:?}") };
    assert!(places.contains(&folder.path().join("fashion-mnist")));
    let kinds: Vec<_> = infos.iter().map(|info| (info.name.as_str(), info.classes, info.shape)).collect();
    assert!(
        kinds.contains(&("mnist", 10, [1, 28, 28])) && kinds.contains(&("cifar100", 100, [3, 32, 32])),
        "{kinds:?}"
    );
    assert!(kinds.contains(&("tinyimagenet", 200, [3, 64, 64])), "{kinds:?}");
}
