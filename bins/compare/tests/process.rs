//! The binary as its users run it: two settings of the simulator, two servers, and what cannot be compared.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use plimsoll_records::{Manifest, ResultsFolder};
use plimsoll_sim::{ModelProfile, SimConfig, SimServer};
use serde_json::Value;

/// Two against sixteen slots under sixteen users: several times the throughput, however busy the machine is.
const QUICK: &str = r#"
[experiment]
kind = "compare"
seed = 11
repetitions = 2
margin = "10%"
self-test = false
[server]
model = "tiny"
[workload]
input-tokens = 32
output-tokens = 32
[load]
concurrency = [16]
window = { warm-up = "300ms", measure = "1s", drain-limit = "5s" }
[factors]
"server.settings.max-num-seqs" = [2, 16]
"#;

fn compare(folder: &Path, text: &str, flags: &[&str]) -> Output {
    let file = folder.join("matrix.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.current_dir(folder).env_remove("PLIMSOLL_LOG").stdin(Stdio::null());
    command.arg(&file).args(["--json", "--quiet"]).args(flags).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The object that a run printed, and its manifest.
fn result(folder: &Path, output: &Output) -> (Value, Manifest, PathBuf) {
    // A busy machine may make the client late, and then the tool must say so: 0 and 3 both are runs.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(output));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = folder.join(object["results"].as_str().unwrap());
    let manifest = ResultsFolder::open(&run).unwrap().manifest().unwrap();
    (object, manifest, run)
}

/// The comparison of the throughput; `None` where the audit voided every pair, as it may on a busy machine.
fn throughput(object: &Value) -> Option<&Value> {
    let all = object["conclusion"]["comparisons"].as_array().unwrap();
    all.iter().find(|one| one["figure"] == "throughput")
}

#[test]
fn two_settings_take_turns_and_the_planted_difference_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let output = compare(folder.path(), QUICK, &[]);
    let (object, manifest, run) = result(folder.path(), &output);
    let turns: Vec<&str> = manifest.points.iter().map(|id| &id[..3]).collect();
    assert_eq!(turns, ["g00", "g01", "g01", "g00"], "there and back");
    assert_eq!(manifest.matrix_resolved["experiment"]["margin"], 0.1);
    let conclusion = &object["conclusion"];
    assert_eq!(conclusion["baseline"], "max-num-seqs=2");
    if let Some(found) = throughput(&object) {
        assert_eq!(
            (&found["candidate"], &found["at"]),
            (&"max-num-seqs=16".into(), &"16 in flight".into())
        );
        assert!(found["ratio"].as_f64().unwrap() > 1.5, "{found}");
        assert_ne!(found["verdict"], "worse", "{found}");
        assert_ne!(found["verdict"], "equivalent", "{found}");
        assert_eq!(found["margin"], 0.1);
        let report = std::fs::read_to_string(run.join("report.md")).unwrap();
        assert!(report.contains("## The settings compared") && report.contains("max-num-seqs=16"));
        assert!(run.join("figs/comparison.svg").is_file());
    }
}

#[test]
fn two_servers_are_compared_without_being_attached_to_again() {
    let folder = tempfile::tempdir().unwrap();
    let start = |slots: u32| {
        let mut config = SimConfig { model: ModelProfile::tiny(), ..SimConfig::default() };
        config.settings.max_num_seqs = slots;
        SimServer::start(config).unwrap()
    };
    let (small, large) = (start(2), start(16));
    let flags = ["--url", &small.url(), "--url", &large.url()];
    let output = compare(folder.path(), QUICK, &flags);
    let (object, manifest, _) = result(folder.path(), &output);
    let urls: Vec<&str> = manifest.targets.iter().map(|target| target.url.as_str()).collect();
    assert_eq!(urls, [small.url(), large.url()], "each once, for four turns");
    assert_eq!(manifest.points.len(), 4);
    assert_eq!(object["conclusion"]["baseline"], format!("url={}", small.url()));
    let remarks = object["conclusion"]["remarks"].to_string();
    assert!(remarks.contains("the same start of its server"), "{remarks}");
    if let Some(found) = throughput(&object) {
        assert!(found["ratio"].as_f64().unwrap() > 1.5, "{found}");
    }
}

#[test]
fn what_cannot_be_compared_exits_with_2_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let urls = "\"server.url\" = [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]";
    let two_urls = QUICK.replace("\"server.settings.max-num-seqs\" = [2, 16]", urls);
    for (text, flags, word) in [
        (QUICK, &["--set", "factors={}"][..], "one setting has nothing to be compared with"),
        (QUICK, &["--set", "experiment.margin=5"], "`5` is no margin"),
        (QUICK, &["--set", "experiment.kind=saturation"], "run the binary `saturation`"),
        (&two_urls, &["--url", "http://127.0.0.1:3"], "one --url fits none of them"),
    ] {
        let output = compare(folder.path(), text, flags);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(word), "{word}: {}", stderr(&output));
        assert!(!folder.path().join("results").exists(), "nothing was started");
    }
}
