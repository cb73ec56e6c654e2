//! The binary as its users run it: what it concludes, held against the law of the simulator.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Two lengths one at a time, the shorter also two at a time, three requests each.
const LAW: &str = r#"
[experiment]
kind = "scenarios"
seed = 5
self-test = false
[server]
model = "qwen3-14b"
[workload]
input-tokens = 500
output-tokens = 8
[load]
concurrency = [1]
window = { requests = 3, measure = "1m" }
[factors]
scenario = [
    { name = "short", "workload.input-tokens" = 500, "load.concurrency" = [1, 2] },
    { name = "long", "workload.input-tokens" = 3000 },
]
"#;

/// The simulator's constants for that model, ms (docs/sim.md).
const FRONT_END: f64 = 19.0;
const STEP: f64 = 26.2 + 0.0706 + 0.000_157;
const PER_PROMPT_TOKEN: f64 = 0.160;
const STEP_TOKENS: f64 = 2048.0;

fn scenarios(folder: &Path, text: &str, flags: &[&str]) -> Output {
    let file = folder.join("matrix.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_scenarios"));
    command.current_dir(folder).env_remove("PLIMSOLL_LOG").stdin(Stdio::null());
    command.arg(&file).args(flags).output().unwrap()
}

fn object(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    // A busy machine may make the client late, and then the tool must say so: 0 and 3 both are runs.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether a mean in ms is what the law says: never less, and more only as a busy machine makes it.
fn is_by_law(found: &Value, law: f64) -> bool {
    let mean = found["mean"].as_f64().unwrap();
    law - 0.5 <= mean && mean <= law * 1.2 + 40.0
}

#[test]
fn what_is_concluded_is_the_law_of_the_simulator() {
    let folder = tempfile::tempdir().unwrap();
    let output = scenarios(folder.path(), LAW, &["--json", "--quiet"]);
    let object = object(&output);
    let found = &object["conclusion"];
    let cases = found["cases"].as_array().unwrap();
    let shape: Vec<_> = cases
        .iter()
        .map(|it| (it["name"].as_str().unwrap(), it["concurrency"].as_u64().unwrap()))
        .collect();
    assert_eq!(shape, [("short", 1), ("short", 2), ("long", 1)]);
    let mut late_short = 0.0;
    for (case, tokens) in [(&cases[0], 500.0), (&cases[2], 3000.0_f64)] {
        assert_eq!(case["input_tokens"], tokens, "{case}");
        assert_eq!(case["output_tokens"], 8.0);
        assert!(case["ok"].as_u64().unwrap() >= 3 && case["failed"] == 0, "{case}");
        let steps = (tokens / STEP_TOKENS).ceil();
        let engine = steps * STEP + PER_PROMPT_TOKEN * tokens;
        assert!(is_by_law(&case["service_ttft_ms"], FRONT_END + engine), "{case} {engine}");
        // A busy machine may be late with the first token, and what follows it is shorter by that.
        let late = case["service_ttft_ms"]["mean"].as_f64().unwrap() - FRONT_END - engine;
        let [decode, tpot] =
            ["decode_ms", "tpot_ms"].map(|name| case[name]["mean"].as_f64().unwrap());
        let law = 7.0 * STEP;
        assert!(law - 0.5 - late <= decode && decode <= law * 1.2 + 40.0, "{case}");
        assert!((tpot - decode / 7.0).abs() < 1e-3, "{case}");
        if case["name"] == "short" {
            late_short = late;
        }
        assert!(is_by_law(&case["e2e_ms"], FRONT_END + engine + 7.0 * STEP), "{case}");
        // The server's own prefill has no front end in it.
        let own = case["prefill_server_ms"].as_f64().unwrap();
        assert!((own / engine - 1.0).abs() < 0.1, "{own} {engine}");
        let speed = case["tokens_per_s_request"]["value"].as_f64().unwrap();
        let e2e = case["e2e_ms"]["mean"].as_f64().unwrap();
        assert!((speed * e2e / 8e3 - 1.0).abs() < 1e-3, "{speed} {e2e}");
    }
    // Two steps more than the shorter prompt, and its tokens.
    let law = PER_PROMPT_TOKEN + STEP / 2500.0;
    let marginal = found["prefill"]["per_token_ms"]["value"].as_f64().unwrap();
    let least = law - 0.01 - late_short.max(0.0) / 2500.0;
    assert!((least..law + 0.05).contains(&marginal), "{marginal} {law}");
    assert_eq!(found["model"]["parameters_billions"], 14.0);
    let said: Vec<_> =
        found["conclusion"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(said.iter().any(|it| it.contains("of 14 billion parameters")), "{said:?}");
    assert!(said.iter().any(|it| it.starts_with("Memory: no case ran out")), "{said:?}");

    let run = folder.path().join(object["results"].as_str().unwrap());
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    for words in ["# Benchmark summary", "# Prefill and decode", "# Concurrency", "# Conclusion"] {
        assert!(report.contains(words), "{words}");
    }
    assert!(!report.contains("sustains"), "nobody asked what the server sustains");
    for figure in ["scenarios-length.svg", "scenarios-concurrency.svg"] {
        assert!(run.join("figs").join(figure).is_file() && report.contains(figure), "{figure}");
    }
}

#[test]
fn a_prompt_that_does_not_fit_is_a_row_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let text = LAW
        .replace("qwen3-14b", "tiny")
        .replace("\"workload.input-tokens\" = 500, ", "\"workload.input-tokens\" = 6000, ");
    let output = scenarios(folder.path(), &text, &["--json", "--quiet"]);
    let object = object(&output);
    let cases = object["conclusion"]["cases"].as_array().unwrap();
    let states: Vec<_> = cases.iter().map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["failed", "failed", "known"], "{cases:?}");
    let short = &cases[0];
    assert_eq!(short["input_tokens_planned"], 6000.0);
    assert!(short["failed"].as_u64().unwrap() >= 3 && short["ok"] == 0, "{short}");
    let failure = &short["failures"][0];
    assert_eq!((&failure["status"], &failure["too_long"]), (&400.into(), &true.into()), "{short}");
    let report = folder.path().join(object["results"].as_str().unwrap()).join("report.md");
    let report = std::fs::read_to_string(report).unwrap();
    assert!(report.contains("too long for the context"), "{report}");
    assert!(report.contains("did not fit into the server's context"), "{report}");
}

#[test]
fn a_window_of_requests_is_refused_where_it_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    for (set, wrong) in [
        ("load.window.requests=0", "0 requests measure nothing; write 1 or more"),
        (
            "load={ rates = [1], window = { requests = 3 } }",
            "a window of so many requests is for a closed loop (load.concurrency)",
        ),
    ] {
        let text = LAW.split("[factors]").next().unwrap();
        let output = scenarios(folder.path(), text, &["--set", set]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("load.window.requests") && error.contains(wrong), "{error}");
    }
    assert!(!folder.path().join("results").exists(), "nothing was started");
}
