//! The binary as its users run it: what it concludes of profiles and settings on the simulator.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Two profiles on one and on two replicas of the small model, twice each.
const MATRIX: &str = r#"
[experiment]
kind = "lowload"
seed = 5
repetitions = 2
order = "interleaved"
self-test = false
[server]
model = "tiny"
[workload]
input-tokens = 64
output-tokens = 8
[load]
rates = [20]
window = { warm-up = "200ms", measure = "1s", drain-limit = "5s" }
[factors]
profile = [
    { name = "short", "workload.input-tokens" = 32 },
    { name = "long", "workload.input-tokens" = 4000 },
]
"server.settings.data-parallel-size" = [1, 2]
"#;

fn lowload(folder: &Path, flags: &[&str]) -> Output {
    let file = folder.join("matrix.toml");
    std::fs::write(&file, MATRIX).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lowload"));
    command.current_dir(folder).env_remove("PLIMSOLL_LOG").stdin(Stdio::null());
    command.arg(&file).args(flags).output().unwrap()
}

#[test]
fn a_run_says_what_users_wait_for_and_which_factor_matters() {
    let folder = tempfile::tempdir().unwrap();
    let output = lowload(folder.path(), &["--json", "--quiet"]);
    let error = String::from_utf8_lossy(&output.stderr);
    // A busy machine may make the client late, and then the tool must say so: 0 and 3 both are runs.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{error}");
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = &object["conclusion"];
    let cases = found["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    // The lateness of a busy machine may void a point, and then its case says so and there are no effects.
    if cases.iter().all(|case| case["counted"] == 2) {
        for case in cases {
            // A step takes 2.02 ms with one request, and a prompt token 4 us.
            let tokens = case["input_tokens"].as_f64().unwrap();
            let law = 2.02 + 0.004 * tokens;
            let ttft = case["ttft_ms"]["mean"].as_f64().unwrap();
            assert!(law - 0.5 <= ttft, "{ttft} {law}");
            let interval = &case["ttft_ms"]["mean_interval"];
            assert!(interval["low"].as_f64().unwrap() <= ttft, "{interval}");
            assert!(case["tpot_ms"]["mean"].as_f64().unwrap() >= 2.0, "{case}");
        }
        let latencies: Vec<_> = found["effects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|effects| (effects["figure"].as_str().unwrap(), &effects["ranking"][0]))
            .collect();
        assert_eq!(latencies.iter().map(|it| it.0).collect::<Vec<_>>(), ["TTFT", "TPOT", "E2E"]);
        // 18 against 2.2 ms by the law: no busy machine hides that.
        let (_, first) = latencies[0];
        assert_eq!((&first["factor"], &first["highest"]), (&"profile".into(), &"long".into()));
        assert!(first["ratio"].as_f64().unwrap() > 1.5, "{first}");
    } else {
        assert!(
            found["no_effects"].is_string() || !found["effects"].as_array().unwrap().is_empty()
        );
    }
    let run = folder.path().join(object["results"].as_str().unwrap());
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    assert!(report.contains("What users wait for at a low load"));
    assert!(report.contains("neither a speed-up nor a serial share (Amdahl) can be read off it"));
    assert!(!report.contains("sustains at least"), "nobody asked what the server sustains");
    assert!(!run.join("next-1.toml").exists(), "nobody asked why throughput does not grow");
}

#[test]
fn another_experiment_is_refused_with_the_binary_that_measures_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = lowload(folder.path(), &["--set", "experiment.kind=saturation"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("run the binary `saturation` on this matrix"), "{error}");
}
