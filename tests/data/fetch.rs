use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Sums, gzip, tiny_files, tiny_manifest};
use smallbox::data::{Checked, FetchEvent, Manifest, fetch, fetch_entry};
use smallbox::error::{Error, Result};

/// What a mirror answers to every request.
#[derive(Clone, Copy)]
enum Answer {
    Files,
    NotFound,
    /// Says the full length and hangs up half-way.
    Truncated,
    /// A valid archive of valid structure whose last element is another one.
    Changed,
    /// A page as captive portals deliver it.
    WebPage,
}

/// A web server on this machine that knows the files of `tiny_files(8, 4)` and counts the requests. Its thread ends with the process.
struct Mirror {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    fn new(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/data", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut request = String::new();
                reader.read_line(&mut request).unwrap();
                let mut header = String::new();
                while reader.read_line(&mut header).unwrap() > 2 {
                    header.clear();
                }
                let path = request.split(' ').nth(1).unwrap_or("").to_string();
                seen.lock().unwrap().push(path.clone());
                stream.write_all(&respond(answer, &path)).unwrap();
            }
        });
        Mirror { address, requests }
    }

    fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

fn respond(answer: Answer, path: &str) -> Vec<u8> {
    let file = tiny_files(8, 4).into_iter().find(|(name, _)| path == format!("/data/{name}.gz"));
    let Some((_, mut content)) = file else { return message("404 Not Found", b"") };
    match answer {
        Answer::Files => message("200 OK", &gzip(&content)),
        Answer::NotFound => message("404 Not Found", b"no such file"),
        Answer::WebPage => message("200 OK", b"<html>Please log in</html>"),
        Answer::Changed => {
            *content.last_mut().unwrap() ^= 1;
            message("200 OK", &gzip(&content))
        }
        Answer::Truncated => {
            let whole = message("200 OK", &gzip(&content));
            whole[..whole.len() - 12].to_vec()
        }
    }
}

fn message(status: &str, body: &[u8]) -> Vec<u8> {
    let mut message =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len()).into_bytes();
    message.extend(body);
    message
}

fn manifest(mirrors: &[&Mirror], sums: Sums) -> Manifest {
    let mirrors: Vec<String> = mirrors.iter().map(|mirror| mirror.address.clone()).collect();
    tiny_manifest(8, 4, &mirrors, sums)
}

fn get(manifest: &Manifest, root: &Path) -> (Result<PathBuf>, Vec<FetchEvent>) {
    let mut events = Vec::new();
    let result = fetch_entry(manifest.get("tiny").unwrap(), root, &mut |event| {
        events.push(event.clone());
        ControlFlow::Continue(())
    });
    (result, events)
}

/// Names in `folder`, hidden ones included.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const ARCHIVES: [&str; 4] = [
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
];

#[test]
fn files_are_stored_checked_and_not_fetched_again() {
    for (sums, depth) in
        [(Sums::Content, Checked::Content), (Sums::Archive, Checked::Archive), (Sums::None, Checked::Structure)]
    {
        let mirror = Mirror::new(Answer::Files);
        let manifest = manifest(&[&mirror], sums);
        let root = tempfile::tempdir().unwrap();
        let (result, events) = get(&manifest, root.path());
        let folder = result.unwrap();
        assert_eq!(folder, root.path().join("tiny"));
        assert_eq!(names(&folder), ARCHIVES);
        for (name, content) in tiny_files(8, 4) {
            assert_eq!(fs::read(folder.join(format!("{name}.gz"))).unwrap(), gzip(&content));
        }
        let stored = |event: &&FetchEvent| matches!(event, FetchEvent::Stored { checked, .. } if *checked == depth);
        assert_eq!(events.iter().filter(stored).count(), 4, "{events:?}");
        assert_eq!(mirror.requests(), 4);

        let (again, events) = get(&manifest, root.path());
        assert_eq!(again.unwrap(), folder);
        assert_eq!(mirror.requests(), 4, "nothing is downloaded twice");
        assert!(events.iter().all(|event| matches!(event, FetchEvent::Present { .. })), "{events:?}");

        // A damaged file is replaced, the others are kept.
        fs::write(folder.join(ARCHIVES[0]), b"\x1f\x8b garbage").unwrap();
        get(&manifest, root.path()).0.unwrap();
        assert_eq!(mirror.requests(), 5);
        assert_eq!(names(&folder), ARCHIVES);
    }
}

#[test]
fn the_next_mirror_is_tried() {
    for bad in [Answer::NotFound, Answer::Truncated, Answer::Changed, Answer::WebPage] {
        let (first, second) = (Mirror::new(bad), Mirror::new(Answer::Files));
        let root = tempfile::tempdir().unwrap();
        let (result, events) = get(&manifest(&[&first, &second], Sums::Content), root.path());
        assert_eq!(names(&result.unwrap()), ARCHIVES);
        let failed = |event: &&FetchEvent| matches!(event, FetchEvent::MirrorFailed { .. });
        assert_eq!(events.iter().filter(failed).count(), 4, "{events:?}");
        assert_eq!((first.requests(), second.requests()), (4, 4));
    }
}

#[test]
fn nothing_is_left_behind_when_no_mirror_delivers() {
    for (bad, sums, reason) in [
        (Answer::NotFound, Sums::Content, "404"),
        (Answer::Truncated, Sums::Content, "broke off"),
        (Answer::Changed, Sums::Content, "wrong SHA-256 of the uncompressed content"),
        (Answer::Changed, Sums::Archive, "wrong SHA-256 of the .gz"),
        (Answer::WebPage, Sums::None, "web page"),
    ] {
        let mirror = Mirror::new(bad);
        let root = tempfile::tempdir().unwrap();
        let (result, _) = get(&manifest(&[&mirror], sums), root.path());
        let error = result.unwrap_err();
        assert_eq!(error.exit_code(), 5);
        let text = error.to_string();
        assert!(text.contains(reason), "{text}");
        assert!(!text.contains(".part"), "the temporary file is nobody's business: {text}");
        // What to do by hand: which files, from where, to where, and the check.
        for part in ARCHIVES.iter().copied().chain([
            mirror.address.as_str(),
            root.path().join("tiny").to_str().unwrap(),
            "smallbox data verify tiny",
        ]) {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(names(&root.path().join("tiny")).is_empty());
    }
}

#[test]
fn an_unreachable_mirror_is_a_data_error() {
    // A port that was free a moment ago: the connection is refused.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let manifest = tiny_manifest(8, 4, &[format!("http://{address}")], Sums::Content);
    let root = tempfile::tempdir().unwrap();
    let error = get(&manifest, root.path()).0.unwrap_err();
    assert_eq!(error.exit_code(), 5, "{error}");
    assert!(error.to_string().contains("by hand"), "{error}");
}

#[test]
fn stopping_leaves_complete_files_only() {
    let mirror = Mirror::new(Answer::Files);
    let manifest = manifest(&[&mirror], Sums::Content);
    let root = tempfile::tempdir().unwrap();
    let mut stored = 0;
    let result = fetch_entry(manifest.get("tiny").unwrap(), root.path(), &mut |event| {
        stored += usize::from(matches!(event, FetchEvent::Stored { .. }));
        // In the middle of the second file.
        let stop = stored == 1 && matches!(event, FetchEvent::Received { .. });
        if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Interrupted(_)), "{error:?}");
    assert_eq!(names(&root.path().join("tiny")), ["train-images-idx3-ubyte.gz"]);
}

#[test]
fn a_wrong_plain_file_in_the_way_is_kept_and_named() {
    let mirror = Mirror::new(Answer::Files);
    let manifest = manifest(&[&mirror], Sums::Content);
    let root = tempfile::tempdir().unwrap();
    let mine = root.path().join("tiny/train-images-idx3-ubyte");
    fs::create_dir_all(mine.parent().unwrap()).unwrap();
    fs::write(&mine, b"my notes").unwrap();
    let text = get(&manifest, root.path()).0.unwrap_err().to_string();
    assert!(text.contains("delete it and try again") && text.contains(mine.to_str().unwrap()), "{text}");
    assert_eq!(fs::read(&mine).unwrap(), b"my notes");
}

#[test]
fn names_without_files_are_usage_errors() {
    for (name, part) in [("embedded", "nothing to fetch"), ("mnits", "expected one of")] {
        let error = fetch(name, None, &mut |_| ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

/// A folder that can't be written is the user's folder, not a mirror's failure.
#[test]
fn a_folder_that_cannot_be_made_is_an_io_error() {
    let mirror = Mirror::new(Answer::Files);
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("tiny"), b"a file where the folder should be").unwrap();
    let error = get(&manifest(&[&mirror], Sums::Content), root.path()).0.unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert_eq!(mirror.requests(), 0);
}
