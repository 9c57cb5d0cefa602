use super::smallbox;

#[test]
fn version_is_the_crates() {
    let folder = tempfile::tempdir().unwrap();
    let ran = smallbox(folder.path(), &["--version"]);
    assert_eq!(ran.text(), format!("smallbox {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_subcommand_has_help_on_the_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        &[][..],
        &["train"],
        &["attack"],
        &["eval"],
        &["check"],
        &["verify"],
        &["export"],
        &["report"],
        &["analyze"],
        &["analyze", "exact"],
        &["analyze", "growth"],
        &["analyze", "regularisation"],
        &["analyze", "results"],
        &["devices"],
        &["data"],
        &["data", "list"],
        &["data", "fetch"],
        &["data", "verify"],
        &["data", "show"],
        &["analyze"],
        &["analyze", "loss-growth"],
        &["analyze", "loss-precision"],
        &["bench"],
        &["bench", "attack"],
        &["bench", "crown"],
        &["bench", "kernels"],
        &["bench", "report"],
        &["bench", "run"],
        &["bench", "scaling"],
        &["bench", "step"],
        &["profile"],
    ] {
        let ran = smallbox(folder.path(), &[command, &["--help"]].concat());
        assert!(ran.text().contains("Usage: smallbox"), "{ran:?}");
        assert_eq!(ran.stderr, "", "{command:?}");
    }
}

#[test]
fn the_help_names_every_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let help = smallbox(folder.path(), &["--help"]).stdout;
    for code in ["2 usage", "3 configuration", "4 device", "5 data", "6 diverged", "7 gate", "130 interrupted"] {
        // Line breaks depend on the width of the terminal.
        let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(code), "{code}: {help}");
    }
}

#[test]
fn no_arguments_show_the_help_as_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let ran = smallbox(folder.path(), &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("Usage: smallbox"), "{ran:?}");
}
