//! `plimsoll audit` as a process: findings, verdicts, exit codes, and what is allowed and denied.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use plimsoll_experiment::{Interrupt, MatrixSource, Plan, RunOptions, Silent, run};
use plimsoll_records::Tool;
use serde_json::Value;
use tempfile::TempDir;

/// A ladder that ends before saturation, with a window too short for a p99: at least a warning
/// `no-plateau`, and `window-short`.
const MATRIX: &str = r#"
[experiment]
kind = "saturation"
seed = 11
self-test = false
[server]
model = "tiny"
[workload]
input-tokens = 64
output-tokens = 8
[load]
rates = [40]
window = { warm-up = "300ms", measure = "1500ms", drain-limit = "5s" }
"#;

fn results() -> &'static Path {
    static RUN: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_folder, path) = RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let source = MatrixSource::new(Path::new("m.toml"), MATRIX.to_owned());
        let tool = Tool { name: "test".to_owned(), version: "0".to_owned(), commit: None };
        let options = RunOptions { results: folder.path().to_owned(), tool };
        let plan = Plan::new(source).unwrap();
        let result = run(&plan, &options, &Interrupt::new(), &mut Silent).unwrap();
        (folder, result.folder)
    });
    path
}

fn audit(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.arg("audit").args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What `--json` says, with the flags `more`.
fn json(more: &[&str]) -> (Option<i32>, Value) {
    let mut arguments = vec![results().to_str().unwrap(), "--json"];
    arguments.extend(more);
    let output = audit(&arguments);
    (output.status.code(), serde_json::from_str(&out(&output)).unwrap())
}

/// The severity of the finding `code`, and what it was.
fn severity(judged: &Value, code: &str) -> (String, Value) {
    let findings = judged["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["code"] == code).unwrap();
    (found["severity"].as_str().unwrap().to_owned(), found["was"].clone())
}

#[test]
fn findings_are_printed_like_lints_and_the_folder_stays_as_it_is() {
    let before = std::fs::read(results().join("findings.json")).unwrap();
    let output = audit(&[results().to_str().unwrap()]);
    let text = out(&output);
    assert!(text.contains("warning[no-plateau]: the ladder ended before"), "{text}");
    assert!(text.contains("  = remedy: add rates"), "{text}");
    assert!(text.contains("highest_stable_per_s 40"), "{text}");
    assert!(text.lines().last().unwrap().contains("warning"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours into a pipe");
    assert_eq!(std::fs::read(results().join("findings.json")).unwrap(), before);
}

#[test]
fn what_is_allowed_is_a_note_and_what_is_denied_voids() {
    let (_, own) = json(&[]);
    assert_eq!(severity(&own, "no-plateau"), ("warning".to_owned(), Value::Null));
    let (_, allowed) = json(&["--allow", "no-plateau"]);
    assert_eq!(severity(&allowed, "no-plateau"), ("note".to_owned(), "warning".into()));
    assert_eq!(allowed["allowed"][0], "no-plateau");
    let (code, denied) = json(&["--deny", "no-plateau"]);
    assert_eq!(severity(&denied, "no-plateau"), ("error".to_owned(), "warning".into()));
    assert_eq!((code, &denied["verdict"]), (Some(3), &"invalid".into()));
    let (code, _) = json(&["--deny", "warnings"]);
    assert_eq!(code, Some(3));
}

#[test]
fn folders_that_cannot_be_judged_are_named_and_the_others_judged() {
    let output = audit(&["nowhere", results().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("nowhere"), "{}", err(&output));
    assert!(out(&output).contains("no-plateau"));
}

#[test]
fn codes_are_explained_and_unknown_ones_refused_with_the_nearest() {
    let output = audit(&["--explain", "drain-bias"]);
    assert_eq!(output.status.code(), Some(0));
    let text = out(&output);
    assert!(text.starts_with("## drain-bias\n**What.**") && text.contains("**Remedy.**"), "{text}");
    for (arguments, said) in [
        (&["--explain", "drain-bais"][..], "did you mean `drain-bias`?"),
        (&["x", "--allow", "drain-bais"], "did you mean `drain-bias`?"),
        (&["x", "--deny", "warning"], "did you mean `warnings`?"),
        (&["x", "--deny", "drain-bias", "--allow", "drain-bias"], "allowed and denied"),
        (&[], "RESULTS"),
    ] {
        let output = audit(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(err(&output).contains(said), "{}", err(&output));
    }
}
