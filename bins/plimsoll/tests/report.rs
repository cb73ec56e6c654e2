//! `plimsoll report` as its users run it: on the folder of a run, and on what is none.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use plimsoll_experiment::{Interrupt, MatrixSource, Plan, RunOptions, Silent, run};
use plimsoll_records::Tool;
use serde_json::Value;
use tempfile::TempDir;

const MATRIX: &str = r#"
[experiment]
kind = "saturation"
seed = 11
self-test = false
[server]
model = "tiny"
settings = { max-num-seqs = 4 }
[workload]
input-tokens = 64
output-tokens = 32
[load]
rates = [20, 200]
window = { warm-up = "300ms", measure = "1s", drain-limit = "5s" }
"#;

/// The folder of one run, which every test here reads; those that write make a copy.
fn results() -> &'static Path {
    static RUN: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_folder, path) = RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::new(MatrixSource::new(Path::new("m.toml"), MATRIX.to_owned())).unwrap();
        let tool = Tool { name: "test".to_owned(), version: "0".to_owned(), commit: None };
        let options = RunOptions { results: folder.path().join("results"), tool };
        let result = run(&plan, &options, &Interrupt::new(), &mut Silent).unwrap();
        let path = result.folder;
        (folder, path)
    });
    path
}

fn report(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.arg("report").args(arguments).env_remove("PLIMSOLL_LOG").env("COLUMNS", "100");
    command.stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let output = report(arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    for word in words {
        assert!(error.contains(word), "`{word}` is not in {error}");
    }
    assert!(output.stdout.is_empty());
}

/// A text path.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_report_goes_elsewhere_and_says_what_vllm_would_have() {
    let out = tempfile::tempdir().unwrap();
    let there = out.path().join("deep/report");
    let run = results();
    let shown = stdout(&report(&[text(run), "--definitions", "vllm", "--out", text(&there)]));
    assert!(shown.contains("Saturation of tiny"), "{shown}");
    assert!(shown.contains("As vllm bench serve 0.32 would print it"), "{shown}");
    assert!(shown.contains("overload: grows with the run"), "{shown}");
    assert!(shown.replace('\n', "").contains("report.html"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours into a pipe");
    for file in ["report.html", "report.md"] {
        let written = fs::read_to_string(there.join(file)).unwrap();
        assert!(written.contains("mean") && written.contains("ttft"), "{file}");
        assert!(!run.join(file).exists(), "a library run wrote none, and neither did this");
    }
    assert!(fs::read_dir(there.join("figs")).unwrap().count() >= 3);
}

#[test]
fn one_object_a_folder_with_every_tools_figures() {
    let out = tempfile::tempdir().unwrap();
    let shown = stdout(&report(&[
        text(results()),
        "--json",
        "--definitions",
        "all",
        "--out",
        text(out.path()),
    ]));
    assert_eq!(shown.lines().count(), 1);
    let object: Value = serde_json::from_str(&shown).unwrap();
    let tools = object["definitions"].as_array().unwrap();
    assert_eq!(tools.len(), 9);
    let vllm = &tools[0];
    assert_eq!(vllm["tool"], "vllm");
    assert_eq!(vllm["points"].as_array().unwrap().len(), 2);
    let ttft = &vllm["points"][0]["figures"]["ttft_mean"];
    assert_eq!((&ttft["name"], &ttft["unit"]), (&Value::from("mean_ttft_ms"), &Value::from("ms")));
    assert!(ttft["value"].as_f64().unwrap() > 0.0);
    // The tool's throughput is of the whole run: completed / duration.
    let point = &vllm["points"][0];
    let rate = point["completed"].as_f64().unwrap() / point["duration_s"].as_f64().unwrap();
    let printed = point["figures"]["request_throughput"]["value"].as_f64().unwrap();
    assert!((rate / printed - 1.0).abs() < 1e-4, "{rate} {printed}");
}

#[test]
fn other_forms_and_several_folders() {
    let out = tempfile::tempdir().unwrap();
    let one = ["--format", "markdown", "--out", text(out.path())];
    let shown = stdout(&report(&[&[text(results())], one.as_slice()].concat()));
    assert!(shown.starts_with("# Saturation of tiny"), "{shown}");
    assert!(!shown.contains("Other tools' words"));
    let html = ["--format", "html", "--out", text(out.path())];
    assert!(
        stdout(&report(&[&[text(results())], html.as_slice()].concat())).starts_with("<!doctype")
    );

    // A copy of the folder, reported together with the first, each into itself.
    let copy = out.path().join("copy");
    copy_all(results(), &copy);
    let second = out.path().join("second");
    copy_all(results(), &second);
    let shown = stdout(&report(&[text(&copy), text(&second)]));
    assert_eq!(shown.matches("Saturation of tiny").count(), 2);
    assert!(copy.join("report.html").is_file() && second.join("report.md").is_file());
    let both = out.path().join("both");
    stdout(&report(&[text(&copy), text(&second), "--out", text(&both)]));
    assert!(both.join("copy/report.md").is_file() && both.join("second/report.html").is_file());
    refused(
        &[text(&copy), text(&copy), "--out", text(&both)],
        1,
        &["two results folders are named copy"],
    );
}

#[test]
fn what_cannot_be_reported_is_named() {
    let out = tempfile::tempdir().unwrap();
    refused(&[text(out.path())], 1, &[text(out.path()), "no results folder"]);
    refused(&["/nowhere/at/all"], 1, &["/nowhere/at/all"]);
    refused(
        &[text(results()), "--definitions", "vlm"],
        2,
        &["`vlm`", "vllm, vllm-rust, sglang", "mlperf and all"],
    );
    refused(&[], 2, &["RESULTS"]);
    let file = out.path().join("file");
    fs::write(&file, "").unwrap();
    refused(&[text(results()), "--out", text(&file)], 1, &["cannot make", text(&file)]);
}

#[test]
fn several_folders_make_one_report_together() {
    let out = tempfile::tempdir().unwrap();
    let copy = out.path().join("copy");
    copy_all(results(), &copy);
    let there = out.path().join("there");
    let both = [text(results()), text(&copy), "--together"];
    let shown = stdout(&report(&[both.as_slice(), &["--out", text(&there)]].concat()));
    assert!(shown.starts_with("2 runs together"), "{shown}");
    assert!(shown.contains("What differs between them") && shown.contains("copy"), "{shown}");
    let written: Value =
        serde_json::from_slice(&fs::read(there.join("report.json")).unwrap()).unwrap();
    assert_eq!(written["runs"][1]["name"], "copy");
    assert_eq!(written["differences"], serde_json::json!([]));
    assert!(there.join("report.html").is_file() && there.join("report.md").is_file());
    // Without a folder for it nothing is written.
    let printed: Value =
        serde_json::from_str(&stdout(&report(&[both.as_slice(), &["--json"]].concat()))).unwrap();
    assert_eq!(printed, written);
    assert!(!copy.join("report.md").exists());
    refused(&[both.as_slice(), &["--definitions", "vllm"]].concat(), 2, &["--together"]);
}

#[test]
fn points_are_one_table_of_commas() {
    let out = tempfile::tempdir().unwrap();
    let both = [text(results()), text(results()), "--format", "csv"];
    let there = out.path().join("there");
    let table = stdout(&report(&[both.as_slice(), &["--out", text(&there)]].concat()));
    assert!(table.starts_with("run,experiment,started,status,"), "{table}");
    assert_eq!(table.lines().count(), 1 + 2 * 2);
    assert_eq!(fs::read_to_string(there.join("points.csv")).unwrap(), table);
    refused(&[both.as_slice(), &["--together"]].concat(), 1, &["--format csv", "--together"]);
    refused(&[text(out.path()), "--format", "csv"], 1, &[text(out.path())]);
}

#[test]
fn gates_are_shown_and_decide_the_exit_code_of_reports_and_audits() {
    let out = tempfile::tempdir().unwrap();
    let run = |command: &str, gates: &[&str]| {
        let file = out.path().join("junit.xml");
        let mut process = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        process.args([command, text(results()), "--json", "--junit", text(&file)]);
        if command == "report" {
            process.args(["--out", text(out.path())]);
        }
        for gate in gates {
            process.args(["--fail-on", gate]);
        }
        let output = process.env_remove("PLIMSOLL_LOG").output().unwrap();
        let object: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), object, fs::read_to_string(file).unwrap_or_default(), error)
    };
    for command in ["report", "audit"] {
        // A busy machine may make the client late: such a measurement is invalid, and passes no gate.
        let (code, object, junit, error) = run(command, &["capacity_per_s < 0.1", "failed > 1e9"]);
        let invalid = object["verdict"] == "invalid";
        assert_eq!(code, Some(if invalid { 3 } else { 0 }), "{error}");
        assert_eq!(object["gates"].as_array().unwrap().len(), 2, "{object}");
        assert!(junit.contains("name=\"capacity_per_s &lt; 0.1\""), "{junit}");
        let (code, object, junit, _) = run(command, &["plateau_per_s < 1e6"]);
        assert_eq!(code, Some(if invalid { 3 } else { 5 }));
        assert_ne!(object["gates"][0]["standing"], "passed");
        assert!(junit.contains("<failure type="), "{junit}");
        let (code, _, _, error) = run(command, &["capacity < 5"]);
        assert_eq!(code, Some(2));
        assert!(
            error.contains("`capacity` is no figure; there are verdict, capacity_per_s"),
            "{error}"
        );
    }
    let nowhere = out.path().join("none/junit.xml");
    let written = report(&[text(results()), "--out", text(out.path()), "--junit", text(&nowhere)]);
    assert_eq!(written.status.code(), Some(1));
    let error = String::from_utf8_lossy(&written.stderr).into_owned();
    assert!(error.contains("cannot write") && error.contains("none/junit.xml"), "{error}");
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
