use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Sums, gzip, record_file, record_manifest, tiny_files, tiny_manifest};
use smallbox::data::{Checked, FetchEvent, Manifest, fetch, fetch_entry};
use smallbox::error::{Error, Result};

/// What a mirror answers to every request.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    /// Whole files, whatever range is asked for.
    Files,
    /// The range that is asked for.
    Ranges,
    NotFound,
    /// Says the full length and hangs up half-way.
    Truncated,
    /// A valid archive of valid structure whose last element is another one.
    Changed,
    /// A page as captive portals deliver it.
    WebPage,
}

/// A file that a mirror has: its name, and its content.
type Served = (String, Vec<u8>);

/// A web server on this machine that counts the requests. Its thread ends with the process.
struct Mirror {
    address: String,
    /// Path of each request, with the range that it asks for.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    /// Serves the archives of `tiny_files(8, 4)`.
    fn new(answer: Answer) -> Self {
        let files = tiny_files(8, 4).into_iter().map(|(name, content)| {
            let content = match answer {
                Answer::Changed => [&content[..content.len() - 1], &[content[content.len() - 1] ^ 1]].concat(),
                _ => content,
            };
            (format!("{name}.gz"), gzip(&content))
        });
        Mirror::of(files.collect(), answer)
    }

    fn of(files: Vec<Served>, answer: Answer) -> Self {
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
                let (mut header, mut from) = (String::new(), None);
                while reader.read_line(&mut header).unwrap() > 2 {
                    let range = header.to_lowercase();
                    if let Some(range) = range.strip_prefix("range: bytes=") {
                        from = range.trim().trim_end_matches('-').parse().ok();
                    }
                    header.clear();
                }
                let path = request.split(' ').nth(1).unwrap_or("").to_string();
                seen.lock().unwrap().push(from.map_or(path.clone(), |from: usize| format!("{path} from {from}")));
                // A client that has seen enough hangs up.
                drop(stream.write_all(&respond(answer, &files, &path, from)));
            }
        });
        Mirror { address, requests }
    }

    fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

fn respond(answer: Answer, files: &[Served], path: &str, from: Option<usize>) -> Vec<u8> {
    let file = files.iter().find(|(name, _)| path == format!("/data/{name}"));
    let Some((_, content)) = file else { return message("404 Not Found", "", b"") };
    match answer {
        Answer::NotFound => message("404 Not Found", "", b"no such file"),
        Answer::WebPage => message("200 OK", "", b"<html>Please log in</html>"),
        Answer::Truncated => {
            let whole = message("200 OK", "", content);
            whole[..whole.len() - 12].to_vec()
        }
        Answer::Files | Answer::Changed | Answer::Ranges => match from {
            Some(from) if answer == Answer::Ranges && from >= content.len() => {
                message("416 Range Not Satisfiable", "", b"")
            }
            Some(from) if answer == Answer::Ranges => {
                let range = format!("Content-Range: bytes {from}-{}/{}\r\n", content.len() - 1, content.len());
                message("206 Partial Content", &range, &content[from..])
            }
            _ => message("200 OK", "", content),
        },
    }
}

fn message(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
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
        // What broke off is kept, hidden, and goes on next time; what is wrong is not.
        let kept: &[&str] = if bad == Answer::Truncated { &[".train-images-idx3-ubyte.gz.part"] } else { &[] };
        assert_eq!(names(&root.path().join("tiny")), kept);
    }
}

/// The archive of the first file, `bytes` of which an earlier download has left.
fn leave_part(root: &Path, content: &[u8]) {
    fs::create_dir_all(root.join("tiny")).unwrap();
    fs::write(root.join("tiny/.train-images-idx3-ubyte.gz.part"), content).unwrap();
}

#[test]
fn a_download_that_broke_off_goes_on() {
    let archive = gzip(&tiny_files(8, 4)[0].1);
    let other: Vec<u8> = archive.iter().map(|byte| byte ^ 1).collect();
    let first = "/data/train-images-idx3-ubyte.gz";
    for (answer, part, asked) in [
        // The rest is asked for, and comes.
        (Answer::Ranges, &archive[..20], vec![format!("{first} from 20")]),
        // The server knows no ranges and sends everything.
        (Answer::Files, &archive[..20], vec![format!("{first} from 20")]),
        // Everything was there but its name.
        (Answer::Ranges, &archive[..], vec![format!("{first} from {}", archive.len()), first.to_string()]),
        // The beginning of another file: noticed by the sum, and once more from the start.
        (Answer::Ranges, &other[..20], vec![format!("{first} from 20"), first.to_string()]),
    ] {
        let mirror = Mirror::new(answer);
        let root = tempfile::tempdir().unwrap();
        leave_part(root.path(), part);
        let (result, _) = get(&manifest(&[&mirror], Sums::Content), root.path());
        assert_eq!(names(&result.unwrap()), ARCHIVES);
        assert_eq!(fs::read(root.path().join("tiny/train-images-idx3-ubyte.gz")).unwrap(), archive);
        assert_eq!(mirror.requests.lock().unwrap()[..asked.len()], asked);
        assert_eq!(mirror.requests(), asked.len() + 3);
    }
}

#[test]
fn two_downloads_of_one_file_do_not_mix() {
    let mirror = Mirror::new(Answer::Files);
    let root = tempfile::tempdir().unwrap();
    leave_part(root.path(), b"");
    let held = fs::File::open(root.path().join("tiny/.train-images-idx3-ubyte.gz.part")).unwrap();
    held.lock().unwrap();
    let error = get(&manifest(&[&mirror], Sums::Content), root.path()).0.unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    assert_eq!(mirror.requests(), 0);
}

/// A `.tar.gz` of two files of records in a folder, as CIFAR comes; `extra` lies beside them.
fn records_archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("folder/{name}"), content.as_slice()).unwrap();
    }
    gzip(&tar.into_inner().unwrap())
}

#[test]
fn records_are_taken_out_of_their_archive() {
    let files = [
        ("a.bin", record_file(3, 0)),
        ("b.bin", record_file(2, 1)),
        ("t.bin", record_file(2, 2)),
        ("readme.html", b"not wanted".to_vec()),
    ];
    let archive = records_archive(&files);
    let mirror = Mirror::of(vec![("tiny.tar.gz".to_string(), archive.clone())], Answer::Ranges);
    let manifest = record_manifest(std::slice::from_ref(&mirror.address), &archive, &files);
    let root = tempfile::tempdir().unwrap();
    let (result, events) = get(&manifest, root.path());
    let folder = result.unwrap();
    // The archive is gone, and so is what nobody asked for.
    assert_eq!(names(&folder), ["a.bin", "b.bin", "t.bin"]);
    for (name, content) in &files[..3] {
        assert_eq!(fs::read(folder.join(name)).unwrap(), *content);
    }
    let stored = |event: &&FetchEvent| matches!(event, FetchEvent::Stored { checked: Checked::Content, .. });
    assert_eq!(events.iter().filter(stored).count(), 3, "{events:?}");
    assert_eq!(get(&manifest, root.path()).0.unwrap(), folder);
    assert_eq!(mirror.requests(), 1, "nothing is downloaded twice");

    // An archive that somebody put there is used.
    let by_hand = tempfile::tempdir().unwrap();
    fs::create_dir_all(by_hand.path().join("tiny")).unwrap();
    fs::write(by_hand.path().join("tiny/tiny.tar.gz"), &archive).unwrap();
    assert_eq!(names(&get(&manifest, by_hand.path()).0.unwrap()), ["a.bin", "b.bin", "t.bin"]);
    assert_eq!(mirror.requests(), 1);
}

#[test]
fn an_archive_that_is_wrong_or_incomplete_is_refused() {
    let files = [("a.bin", record_file(3, 0)), ("b.bin", record_file(2, 1)), ("t.bin", record_file(2, 2))];
    let archive = records_archive(&files);
    let lacking = records_archive(&files[..2]);
    for (sent, known, reason) in
        [(&lacking, &archive, "wrong SHA-256 of the archive"), (&lacking, &lacking, "holds no t.bin")]
    {
        let mirror = Mirror::of(vec![("tiny.tar.gz".to_string(), sent.clone())], Answer::Files);
        let manifest = record_manifest(std::slice::from_ref(&mirror.address), known, &files);
        let root = tempfile::tempdir().unwrap();
        let error = get(&manifest, root.path()).0.unwrap_err();
        assert_eq!(error.exit_code(), 5);
        assert!(error.to_string().contains(reason), "{error}");
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
    // The second goes on where it stopped.
    assert_eq!(names(&root.path().join("tiny")), [".train-labels-idx1-ubyte.gz.part", "train-images-idx3-ubyte.gz"]);
    assert_eq!(names(&get(&manifest, root.path()).0.unwrap()), ARCHIVES);
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
    for (name, part) in [("embedded", "nothing to fetch"), ("plane", "nothing to fetch"), ("mnits", "expected one of")]
    {
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
