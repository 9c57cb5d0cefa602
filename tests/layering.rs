//! Dependencies point one way: the `use crate::` lines and paths of every file under src/ against the order of the modules, from
//! the ground up; nothing below the command line prints; every op has both devices.

use std::path::{Path, PathBuf};

/// Modules, from the ground up: a module may use itself and those listed with it.
const MAY_USE: [(&str, &[&str]); 20] = [
    ("error", &[]),
    ("shape", &["error"]),
    ("kernel", &["error", "shape"]),
    ("philox", &[]),
    ("graph", &["error", "shape", "kernel"]),
    ("ops", &["error", "shape", "kernel", "philox", "graph"]),
    ("device", &["error", "shape", "kernel", "graph", "ops::simd"]),
    ("profile", &["error", "shape", "graph", "ops", "device"]),
    ("interval", &["error", "shape", "graph", "ops"]),
    ("nn", &["error", "shape", "philox", "graph", "ops", "interval"]),
    ("data", &["error", "shape", "philox"]),
    ("formats", &["error", "shape"]),
    ("export", &["error", "shape", "nn", "formats"]),
    ("train", &["error", "shape", "philox", "kernel", "graph", "ops", "device", "interval", "nn", "data", "formats"]),
    ("certify", &["error", "shape", "philox", "kernel", "graph", "ops", "device", "interval", "nn", "data", "formats"]),
    ("numbers", &[]),
    ("figure", &["error", "numbers"]),
    (
        "analyze",
        &[
            "error", "shape", "philox", "kernel", "graph", "ops", "device", "interval", "nn", "data", "formats",
            "train", "certify", "numbers", "figure",
        ],
    ),
    ("report", &["error", "formats", "train", "numbers", "figure", "analyze"]),
    (
        "cli",
        &[
            "error", "shape", "philox", "kernel", "graph", "ops", "device", "interval", "nn", "data", "formats",
            "train", "certify", "export", "numbers", "figure", "analyze", "report", "profile",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Rust files under `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Code without comments and string literals, which may name anything. A quote within a `char` does not occur in the sources
/// except as '"', which is taken out first.
fn code(text: &str) -> String {
    let mut code = String::new();
    for line in text.replace("'\"'", "' '").lines() {
        let mut in_string = false;
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if in_string => drop(chars.next()),
                '"' => in_string = !in_string,
                '/' if !in_string && chars.peek() == Some(&'/') => break,
                c if !in_string => code.push(c),
                _ => {}
            }
        }
        code.push('\n');
    }
    code
}

/// What comes after each `crate::` in `text`, two segments of it, braces opened: `crate::{a, b::c}` → a, b::c.
fn uses(text: &str) -> Vec<String> {
    let code = code(text);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` within a macro is a path of this crate too.
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let (mut depth, mut item) = (0, String::new());
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(std::mem::take(&mut item)),
                    c if depth == 0 && !c.is_whitespace() => item.push(c),
                    _ => {}
                }
            }
            found.push(item);
        } else {
            found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect());
        }
    }
    found.retain(|path| !path.is_empty());
    found
}

/// The lines of a file of `module` that reach up or sideways.
fn violations(module: &str, text: &str) -> Vec<String> {
    let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
        return vec![format!("module {module} has no place in the order")];
    };
    let permitted = |path: &str| {
        let inside =
            |prefix: &str| path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with("::"));
        // `crate::Error`, `crate::Result`: names that lib.rs hands on from the ground.
        let on_the_ground = path.starts_with(char::is_uppercase);
        on_the_ground || inside(module) || allowed.iter().any(|a| inside(a))
    };
    uses(text).into_iter().filter(|path| !permitted(path)).collect()
}

/// Module of a file: the first part of its path under src/; `None` for lib.rs and main.rs, which stand above all.
fn module(file: &Path) -> Option<String> {
    let first = file.strip_prefix(root()).expect("under src").components().next()?;
    let name = Path::new(first.as_os_str()).file_stem()?.to_str()?.to_string();
    (name != "lib" && name != "main").then_some(name)
}

#[test]
fn dependencies_point_one_way() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for file in files(&root()) {
        let Some(module) = module(&file) else { continue };
        let text = std::fs::read_to_string(&file).expect("readable");
        seen += uses(&text).len();
        wrong.extend(violations(&module, &text).into_iter().map(|path| format!("{}: crate::{path}", file.display())));
    }
    assert!(seen > 100, "only {seen} uses were found");
    assert!(wrong.is_empty(), "against the order of the modules:\n{}", wrong.join("\n"));
}

#[test]
fn an_arrow_upwards_is_noticed() {
    assert_eq!(violations("graph", "use crate::ops::relu;\n"), ["ops::relu"]);
    assert_eq!(
        violations("graph", "use crate::error::Result;\nfn f() { crate::device::cpu::g() }"),
        ["device::cpu::g"]
    );
    assert_eq!(
        violations("ops", "use crate::{\n    error::{Error, Result},\n    device::Session,\n};"),
        ["device::Session"]
    );
    assert_eq!(violations("device", "use crate::ops::simd::level;\nuse crate::ops::relu;"), ["ops::relu"]);
    assert_eq!(violations("data", "use crate::graph;"), ["graph"]);
    assert_eq!(violations("errors", "").len(), 1, "a module that the order does not know");
    let clean = "// use crate::ops;\nuse crate::shape::Shape;\nlet s = \"crate::ops\";\nuse crate::Result;";
    assert!(violations("graph", clean).is_empty());
}

/// What may prove: the checker of certificates must not rest on the search, on devices or on training.
const CHECKER: [(&str, &[&str]); 2] = [
    ("certify/proof", &["error", "shape", "ops::Conv2dSpec", "ops::simd", "certify::network", "certify::property"]),
    ("certify/certificate", &["error", "formats", "certify::network", "certify::property", "certify::proof"]),
];

/// Paths of the crate in a file of a part of the checker that it may not use. `super::` stays within `certify`: it must be spelled
/// `crate::certify::`, or lead to what is allowed.
fn leaning(part: &str, depth: usize, text: &str) -> Vec<String> {
    let allowed = CHECKER.iter().find(|(name, _)| *name == part).expect("a part of the checker").1;
    let inside = |path: &str| {
        let own = part.replace('/', "::");
        allowed
            .iter()
            .copied()
            .chain([own.as_str()])
            .any(|a| path == a || path.strip_prefix(a).is_some_and(|rest| rest.starts_with("::")))
    };
    let mut paths: Vec<String> = uses(text);
    // In the part's mod.rs `super` is `certify`, in its other files `super::super` is.
    let up = format!("{}::", vec!["super"; depth].join("::"));
    let code = code(text);
    for (at, _) in code.match_indices(&up) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + up.len()..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
        paths.push(format!("certify::{name}"));
    }
    paths.retain(|path| !path.starts_with(char::is_uppercase) && !inside(path.trim_end_matches(':')));
    paths
}

#[test]
fn the_checker_stands_alone() {
    let mut seen = 0;
    for (part, _) in CHECKER {
        let folder = root().join(part);
        for file in files(&folder) {
            let text = std::fs::read_to_string(&file).expect("readable");
            let depth = file.strip_prefix(&folder).expect("inside").components().count();
            let depth = if file.file_name().is_some_and(|name| name == "mod.rs") { depth } else { depth + 1 };
            let wrong = leaning(part, depth, &text);
            assert!(wrong.is_empty(), "{}: {wrong:?}", file.display());
            seen += uses(&text).len();
        }
    }
    assert!(seen > 10, "only {seen} uses were found");
    // It must notice.
    assert_eq!(leaning("certify/proof", 2, "use crate::device::Session;"), ["device::Session"]);
    assert_eq!(leaning("certify/proof", 2, "use crate::ops::relu;"), ["ops::relu"]);
    assert_eq!(leaning("certify/proof", 2, "use super::super::search::go;"), ["certify::search::go"]);
    assert_eq!(leaning("certify/certificate", 1, "use super::search::go;"), ["certify::search::go"]);
    assert_eq!(leaning("certify/certificate", 1, "use super::proof::Leaf;"), Vec::<String>::new());
    assert_eq!(leaning("certify/proof", 1, "use crate::certify::certificate::Part;").len(), 1);
    assert_eq!(leaning("certify/proof", 2, "use super::rows::LANES; use crate::Error;"), Vec::<String>::new());
}

/// Text that the library would write to the terminal.
fn prints(text: &str) -> bool {
    let code = code(text);
    ["println!", "print!", "eprintln!", "eprint!", "dbg!"].iter().any(|name| {
        code.match_indices(name).any(|(at, _)| {
            let before = code[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
        })
    })
}

#[test]
fn nothing_below_the_command_line_prints() {
    let library = files(&root()).into_iter().filter(|f| module(f).is_some_and(|m| m != "cli"));
    let chatty: Vec<PathBuf> = library.filter(|f| prints(&std::fs::read_to_string(f).expect("readable"))).collect();
    assert!(chatty.is_empty(), "{chatty:?}");
    assert!(prints("fn f() { println!(\"x\") }") && prints("dbg!(x)"));
    assert!(!prints("// println!()\nlet s = \"print!\"; writeln!(out)"));
}

/// wgpu is named in its own folder alone.
#[test]
fn only_the_gpu_device_names_wgpu() {
    let elsewhere = files(&root()).into_iter().filter(|f| !f.starts_with(root().join("device/gpu")));
    let naming: Vec<PathBuf> =
        elsewhere.filter(|f| code(&std::fs::read_to_string(f).expect("readable")).contains("wgpu::")).collect();
    assert!(naming.is_empty(), "{naming:?}");
}

/// Names in the list `ops! { … }`.
fn registered(text: &str) -> Vec<String> {
    let list = text.split("\nops! {").nth(1).and_then(|rest| rest.split('}').next()).expect("the list of ops");
    list.split(',').map(|name| name.trim().to_string()).filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_op_has_both_devices() {
    let folder = root().join("ops");
    let ops = registered(&std::fs::read_to_string(folder.join("mod.rs")).expect("readable"));
    assert!(ops.len() > 20, "{ops:?}");
    for op in &ops {
        for part in ["mod", "cpu", "gpu"] {
            let place = folder.join(op).join(part);
            let found = place.with_extension("rs").is_file() || place.is_dir();
            assert!(found, "{op} has no {part}");
        }
    }
}
