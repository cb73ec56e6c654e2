//! The small commands of the toolbox, as processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

fn plimsoll(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A results folder that an earlier build wrote.
fn golden() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/records/tests/golden");
    root.join("format-1.2").to_str().unwrap().to_owned()
}

#[test]
fn aggregate_writes_parquet_and_csv() {
    let folder = tempfile::tempdir().unwrap();
    let run = golden();
    let output = plimsoll(&["aggregate", &run, &run, "-o", "both.parquet"], folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let csv = std::fs::read_to_string(folder.path().join("both.csv")).unwrap();
    assert!(csv.starts_with("run,experiment,started,status,"), "{csv}");
    assert_eq!(
        text(&output.stdout).split(' ').next().unwrap(),
        (csv.lines().count() - 1).to_string()
    );
    assert!(folder.path().join("both.parquet").is_file());
}

#[test]
fn aggregate_refuses_what_is_no_results_folder() {
    let folder = tempfile::tempdir().unwrap();
    let run = golden();
    let output = plimsoll(&["aggregate", &run, "nowhere"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("nowhere"), "{}", text(&output.stderr));
    let output = plimsoll(&["aggregate", &run, "-o", "x.csv"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("its CSV would replace it"), "{}", text(&output.stderr));
    assert_eq!(plimsoll(&["aggregate"], folder.path()).status.code(), Some(2));
}

#[test]
fn completions_know_the_flags_of_each_program() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, flag) in [
        (&["completions", "bash"][..], "max-num-batched-tokens"),
        (&["completions", "zsh", "saturation"], "api-key-env"),
        (&["completions", "fish", "compare"], "api-key-env"),
    ] {
        let output = plimsoll(arguments, folder.path());
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains(flag), "{arguments:?}");
    }
    let output = plimsoll(&["completions", "bash", "oha"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("scenarios"), "{}", text(&output.stderr));
}

#[test]
fn check_measures_this_machine_and_says_how_fit_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let output = plimsoll(&["check", "--json"], folder.path());
    // A busy machine is unfit, and that is no fault of the check.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", text(&output.stderr));
    let checked: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let tests = checked["self_tests"].as_array().unwrap();
    assert!(tests.len() >= 4, "{checked}");
    assert!(tests.iter().all(|test| test["requests"].as_u64().unwrap() > 0), "{checked}");
    let names: Vec<&str> =
        checked["checks"].as_array().unwrap().iter().filter_map(|c| c["name"].as_str()).collect();
    for name in ["cores", "time stamps", "timers", "wall clock", "own error, 100 req/s"] {
        assert!(names.contains(&name), "{names:?}");
    }
}
