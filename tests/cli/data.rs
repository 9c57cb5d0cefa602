use super::{names, read, smallbox};

#[test]
fn the_list_says_where_each_dataset_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = smallbox(folder.path(), &["data", "list"]);
    for part in ["embedded", "in the program", "mnist", "smallbox data fetch mnist"] {
        assert!(text.text().contains(part), "{part}: {text:?}");
    }
    let list = smallbox(folder.path(), &["data", "list", "--json"]).json();
    let embedded = &list["datasets"][0];
    assert_eq!((embedded["name"].as_str(), embedded["location"].as_str()), (Some("embedded"), Some("built-in")));
    assert_eq!(list["datasets"][1]["name"], "plane");
    assert_eq!(list["datasets"][2]["location"], "missing");
}

#[test]
fn verify_checks_what_is_generated_and_fails_for_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let embedded = smallbox(folder.path(), &["data", "verify", "embedded", "--json"]).json();
    assert_eq!(embedded["ok"], true);
    assert_eq!(smallbox(folder.path(), &["data", "verify", "plane", "--json"]).json()["ok"], true);
    let mnist = smallbox(folder.path(), &["data", "verify", "mnist", "--json"]);
    assert_eq!(mnist.code, Some(5), "{mnist:?}");
    let document: serde_json::Value = serde_json::from_str(&mnist.stdout).unwrap();
    assert_eq!((&document["ok"], document["files"][0]["status"].as_str()), (&false.into(), Some("missing")));
    assert_eq!(mnist.stderr.lines().count(), 1, "{mnist:?}");
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn show_writes_one_png() {
    let folder = tempfile::tempdir().unwrap();
    let shown =
        smallbox(folder.path(), &["data", "show", "embedded", "--out", "sheet.png", "--rows", "2", "--columns", "3"]);
    assert_eq!(shown.text(), "sheet.png\n");
    assert_eq!(names(folder.path()), ["sheet.png"]);
    let png = read(folder.path().join("sheet.png"));
    assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
    // Width and height of three and two images of 28 pixels with gaps of 2.
    assert_eq!(png[16..24], [0, 0, 0, 92, 0, 0, 0, 62]);
    smallbox(folder.path(), &["data", "show", "embedded", "--out", "sheet.jpg"])
        .assert_error(2, &["sheet.jpg", ".png"]);
}
