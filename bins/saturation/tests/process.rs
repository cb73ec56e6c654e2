//! The binary as its users run it: exit codes, what goes to which stream, what is left on disk.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use plimsoll_records::{OfferedLoad, ResultsFolder, RunStatus, read_point};
use serde_json::Value;

/// A quick experiment on the simulator's small model: two points of a second and a half, and no
/// self-tests.
const QUICK: &str = r#"
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
window = { warm-up = "300ms", measure = "1200ms", drain-limit = "5s" }
"#;

fn saturation(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_saturation"));
    command.current_dir(folder).env_remove("PLIMSOLL_LOG").stdin(Stdio::null());
    command
}

fn matrix(folder: &Path, text: &str) -> PathBuf {
    let file = folder.join("matrix.toml");
    std::fs::write(&file, text).unwrap();
    file
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The one folder under `results/`.
fn results(folder: &Path) -> PathBuf {
    let mut runs = std::fs::read_dir(folder.join("results")).unwrap();
    let run = runs.next().unwrap().unwrap().path();
    assert!(runs.next().is_none(), "one run, one folder");
    run
}

#[test]
fn a_run_on_the_simulator_ends_with_an_object_and_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = matrix(folder.path(), QUICK);
    let flags = ["--json", "--quiet", "--definitions", "vllm"];
    let output = saturation(folder.path()).arg(&file).args(flags).output().unwrap();
    // A busy machine may make the client late, and then the tool must say so: 0 and 3 both are runs.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(&output));

    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "standard output has the object alone");
    let object: Value = serde_json::from_str(&text).unwrap();
    assert!(["valid", "qualified", "invalid"].contains(&object["verdict"].as_str().unwrap()));
    let points = object["points"].as_array().unwrap();
    assert_eq!(points.len(), 2);
    assert_eq!(points[0]["rate_per_s"], 20.0);
    assert!(points[0]["ttft_ms"].get("p50").is_some() && points[0]["ttft_ms"].get("p99").is_some());
    let vllm = &object["definitions"][0];
    assert_eq!(
        (&vllm["tool"], vllm["points"].as_array().unwrap().len()),
        (&Value::from("vllm"), 2)
    );
    assert!(vllm["points"][0]["figures"]["ttft_mean"]["value"].is_f64(), "{vllm}");
    for finding in object["findings"].as_array().unwrap() {
        for key in ["code", "severity", "point", "message"] {
            assert!(finding.get(key).is_some(), "{finding}");
        }
    }

    let run = PathBuf::from(object["results"].as_str().unwrap());
    let run = if run.is_absolute() { run } else { folder.path().join(run) };
    for file in ["manifest.json", "summary.parquet", "findings.json", "report.html", "report.md"] {
        assert!(run.join(file).is_file(), "{file}");
    }
    assert!(std::fs::read_dir(run.join("figs")).unwrap().count() >= 3);
    let opened = ResultsFolder::open(&run).unwrap();
    let manifest = opened.manifest().unwrap();
    assert_eq!((manifest.status, manifest.seed), (RunStatus::Complete, 11));
    for point in &manifest.points {
        let rows = read_point(&opened.point(point).unwrap()).unwrap();
        assert!(rows.complete && !rows.rows.is_empty(), "{point}");
        assert!(run.join("points").join(point).join("point.json").is_file());
    }
}

#[test]
fn a_gate_that_is_not_passed_exits_with_5_and_stands_in_the_junit_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = matrix(folder.path(), QUICK);
    let flags = [
        "--quiet",
        "--fail-on",
        "plateau_per_s < 1e6",
        "--fail-on",
        "failed > 1e6",
        "--junit",
        "j.xml",
    ];
    let output = saturation(folder.path()).arg(&file).args(flags).output().unwrap();
    // What a busy machine made invalid says so first.
    assert!(matches!(output.status.code(), Some(5 | 3)), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Gates") && text.contains("plateau_per_s < 1e6"), "{text}");
    let junit = std::fs::read_to_string(folder.path().join("j.xml")).unwrap();
    assert!(junit.contains("name=\"plateau_per_s &lt; 1e6\""), "{junit}");
    assert!(junit.contains("<failure type="), "{junit}");
    let wrong =
        saturation(folder.path()).arg(&file).args(["--fail-on", "p99 > 3"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("`p99` is no figure"), "{}", stderr(&wrong));
}

#[test]
fn definitions_of_nobody_exit_with_2_and_name_the_known_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = matrix(folder.path(), QUICK);
    let flags = ["--definitions", "vllm", "--definitions", "wrk2"];
    let output = saturation(folder.path()).arg(&file).args(flags).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = stderr(&output);
    assert!(error.contains("--definitions: `wrk2`") && error.contains("mlperf and all"), "{error}");
    assert!(!folder.path().join("results").exists(), "nothing was started");
}

#[test]
fn a_wrong_matrix_exits_with_2_and_names_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = matrix(folder.path(), &QUICK.replace("rates =", "rate ="));
    let output = saturation(folder.path()).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = stderr(&output);
    assert!(error.contains("matrix.toml:13: unknown field `rate`"), "{error}");
    assert!(error.contains("did you mean `rates`?"), "{error}");
    assert!(!folder.path().join("results").exists(), "nothing was started");
}

#[test]
fn wrong_values_exit_with_2_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    matrix(folder.path(), QUICK);
    for (arguments, word) in [
        (&["nowhere.toml"][..], "nowhere.toml: cannot read"),
        (&["matrix.toml", "--set", "load.rates=[-5]"], "above zero"),
        (&["matrix.toml", "--set", "load.window.measure=7"], "unit is missing"),
        (
            &[
                "matrix.toml",
                "--set",
                "workload={ prompts = \"missing.jsonl\", output-tokens = 8 }",
            ],
            "missing.jsonl",
        ),
        (&["matrix.toml", "--set", "experiment.name=../up"], "no name for a folder"),
        (&["--url", "ftp://127.0.0.1:1"], "ftp://127.0.0.1:1"),
        (&["matrix.toml", "--set", "server.settings.max-num-seqz=4"], "max-num-seqs"),
        (&["matrix.toml", "--set", "server.model=unheard-of"], "unheard-of"),
        (&["matrix.toml", "--set", "workload.input-tokens=9999999"], "context"),
        (
            &["matrix.toml", "--api-key-env", "PLIMSOLL_TEST_NO_SUCH_KEY"],
            "PLIMSOLL_TEST_NO_SUCH_KEY",
        ),
        (&["--no-such-flag"], "--no-such-flag"),
    ] {
        let output = saturation(folder.path()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{arguments:?}: {}", stderr(&output));
    }
    let left = std::fs::read_dir(folder.path().join("results")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "nothing was measured, nothing is left behind");
}

#[test]
fn an_unreadable_prompt_line_is_named_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.jsonl"), "{\"prompt\": \"a\"}\n{\"prompt\": 5}\n")
        .unwrap();
    let text = QUICK.replace("input-tokens = 64", "prompts = \"p.jsonl\"");
    let file = matrix(folder.path(), &text);
    let output = saturation(folder.path()).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = stderr(&output);
    assert!(error.contains("p.jsonl") && error.contains('2'), "{error}");
}

#[test]
fn the_matrix_of_another_experiment_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = matrix(folder.path(), &QUICK.replace("\"saturation\"", "\"compare\""));
    let output = saturation(folder.path()).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = stderr(&output);
    assert!(error.contains("matrix.toml:3: experiment.kind: "), "{error}");
    assert!(error.contains("run the binary `compare`"), "{error}");
}

/// A server that answers every request with `answer`, raw.
fn canned(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn a_target_that_is_none_exits_with_4_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let html = canned(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 21\r\nconnection: close\r\n\r\n<html>welcome!</html>",
    );
    let other = canned(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\nconnection: close\r\n\r\n{\"object\":\"list\",\"data\":[{\"id\":\"another-model\"}]}\n",
    );
    let locked = canned(
        "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: 33\r\nconnection: close\r\n\r\n{\"error\":{\"message\":\"no entry\"}}\n",
    );
    for (url, model, word) in [
        ("http://127.0.0.1:1", "m", "127.0.0.1:1"),
        (html.as_str(), "m", "<html>"),
        (other.as_str(), "mine", "another-model"),
        (locked.as_str(), "m", "no entry"),
    ] {
        let output =
            saturation(folder.path()).args(["--url", url, "--model", model]).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{url}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{url}: {}", stderr(&output));
    }
    assert!(!folder.path().join("results").exists(), "no target, no folder");
}

/// A server that lists the model `m` and answers every other request with `answer`, raw.
fn model_but(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 65_536];
            let read = stream.read(&mut head).unwrap_or(0);
            let models = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 21\r\n\
                          connection: close\r\n\r\n{\"data\":[{\"id\":\"m\"}]}";
            let is_models = head[..read].starts_with(b"GET /v1/models");
            let _ = stream.write_all(if is_models { models } else { answer }.as_bytes());
        }
    });
    url
}

#[test]
fn a_target_that_refuses_every_request_exits_with_4_before_any_load() {
    let folder = tempfile::tempdir().unwrap();
    for (answer, word) in [
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 9\r\nconnection: close\r\n\r\nno entry!",
            "status 401: no entry!",
        ),
        (
            "HTTP/1.1 500 Oops\r\ncontent-length: 6\r\nconnection: close\r\n\r\nbroken",
            "status 500: broken",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 7\r\nconnection: close\r\n\r\nbad key",
            "status 400: bad key",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 13\r\nconnection: close\r\n\r\n<html></html>",
            "no event stream: <html>",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
             data: {\"error\":{\"message\":\"inside\"}}\n\ndata: [DONE]\n\n",
            "inside",
        ),
    ] {
        let url = model_but(answer);
        let output = saturation(folder.path()).args(["--url", &url]).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{answer}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{answer}: {}", stderr(&output));
    }
}

#[test]
fn a_url_puts_the_matrix_own_server_aside() {
    let folder = tempfile::tempdir().unwrap();
    let sim = plimsoll_sim::SimServer::start(plimsoll_sim::SimConfig {
        model: plimsoll_sim::ModelProfile::tiny(),
        ..plimsoll_sim::SimConfig::default()
    })
    .unwrap();
    // The matrix asks for another model; the one of the server at the URL is measured.
    let text = QUICK.replace("model = \"tiny\"", "model = \"qwen3-14b\"");
    let file = matrix(folder.path(), &text);
    let output = saturation(folder.path())
        .arg(&file)
        .args(["--url", &sim.url(), "--json", "-q", "--set", "load.rates=[20]"])
        .output()
        .unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(&output));
    let manifest = ResultsFolder::open(&results(folder.path())).unwrap().manifest().unwrap();
    assert_eq!(manifest.target.launch, "attach");
    assert_eq!(manifest.target.model, "tiny");
    assert!(manifest.target.settings_declared.is_empty());
}

#[test]
fn a_closed_loop_of_fewer_slots_than_workers_drains() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        QUICK.replace("rates = [20, 200]", "concurrency = [1, 4]") + "\n[client]\nworkers = 3\n";
    let file = matrix(folder.path(), &text);
    let output = saturation(folder.path()).arg(&file).args(["--json", "-q"]).output().unwrap();
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    for point in object["points"].as_array().unwrap() {
        assert_eq!(point["ended"], "complete", "{point}");
        assert_eq!(point["ok"], point["due"], "every request due in the window has ended: {point}");
    }
}

#[test]
fn the_measured_capacity_is_the_computed_one() {
    use plimsoll_sim::{LengthMix, Lengths, ModelProfile, Settings, capacity};
    let settings = Settings { max_num_seqs: 4, ..Settings::default() };
    let mix = LengthMix { input: Lengths::Constant(64), output: Lengths::Constant(32) };
    let truth =
        capacity(&ModelProfile::tiny(), &settings, &mix).unwrap().requests_per_s.per_second();

    let folder = tempfile::tempdir().unwrap();
    let file = matrix(folder.path(), &QUICK.replace("\"1200ms\"", "\"3s\""));
    let run = || -> Value {
        let output = saturation(folder.path()).arg(&file).args(["--json", "-q"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    // A machine so busy that the client's own lateness voids the overloaded point is asked again.
    let voided = |object: &Value| {
        let findings = object["findings"].as_array().unwrap();
        let by_client = |it: &Value| {
            it["severity"] == "error"
                && (it["code"] == "client-busy" || it["code"] == "client-late")
        };
        object["lower_bound"] == true && findings.iter().any(by_client)
    };
    let mut runs = (0..5).map(|_| run());
    let object = runs.find(|object| !voided(object)).expect("one of five runs is left standing");
    let measured = object["capacity_per_s"]["value"].as_f64().unwrap();
    // Far wider than what a quiet machine shows: this holds the arithmetic, not the precision.
    assert!((measured / truth - 1.0).abs() < 0.1, "measured {measured}, computed {truth}");
}

/// Starts a run of one long point and waits until some of its rows are on file.
fn long_run(folder: &Path) -> (Child, PathBuf) {
    let text = QUICK.replace("[20, 200]", "[100]").replace("\"1200ms\"", "\"60s\"");
    let file = matrix(folder, &text);
    let mut child =
        saturation(folder).arg(&file).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let stream = loop {
        std::thread::sleep(Duration::from_millis(50));
        if let Some(status) = child.try_wait().unwrap() {
            let mut text = String::new();
            child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            panic!("the run ended early with {status}: {text}");
        }
        let stream = std::fs::read_dir(folder.join("results")).ok().and_then(|mut runs| {
            let point = runs.next()?.ok()?.path().join("points/rate-100");
            std::fs::metadata(point.join("requests.arrows"))
                .ok()
                .filter(|file| file.len() > 60_000)?;
            Some(point)
        });
        if let Some(point) = stream {
            break point;
        }
    };
    (child, stream)
}

#[test]
fn a_killed_run_leaves_every_row_up_to_the_last_batch() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, point) = long_run(folder.path());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!point.join("requests.parquet").exists());
    let run = ResultsFolder::open(&results(folder.path())).unwrap();
    assert_eq!(run.manifest().unwrap().status, RunStatus::Running);
    let rows = read_point(&run.point("rate-100").unwrap()).unwrap();
    assert!(!rows.complete);
    assert!(rows.rows.len() > 50, "{}", rows.rows.len());
    // Requests end nearly in order, so nearly all ids up to the largest are there.
    let largest = rows.rows.iter().map(|row| row.id).max().unwrap();
    assert!(rows.rows.len() as u64 + 64 > largest, "{} rows up to {largest}", rows.rows.len());
    assert!(rows.rows.iter().all(|row| row.outcome.is_ok() && !row.chunks.is_empty()));
}

#[test]
fn an_interrupted_run_keeps_what_it_has_and_exits_with_130() {
    let folder = tempfile::tempdir().unwrap();
    let (child, point) = long_run(folder.path());
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(point.join("requests.parquet").is_file() && point.join("point.json").is_file());
    let run = ResultsFolder::open(&results(folder.path())).unwrap();
    assert_eq!(run.manifest().unwrap().status, RunStatus::Interrupted);
    assert!(results(folder.path()).join("report.html").is_file());
}

#[test]
fn an_interrupt_is_heard_while_a_silent_server_is_asked_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    // The kernel takes the connection; nobody ever answers on it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let child = saturation(folder.path())
        .args(["--url", &url])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (_connection, _) = silent.accept().unwrap();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(!folder.path().join("results").exists(), "nothing was measured");
}

#[test]
fn a_target_that_dies_in_mid_run_exits_with_4_and_loses_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let sim = plimsoll_sim::SimServer::start(plimsoll_sim::SimConfig {
        model: plimsoll_sim::ModelProfile::tiny(),
        ..plimsoll_sim::SimConfig::default()
    })
    .unwrap();
    let text = QUICK.replace("[20, 200]", "[100]").replace("\"1200ms\"", "\"60s\"").replace(
        "settings = { max-num-seqs = 4 }",
        &format!("launch = \"attach\"\nurl = \"{}\"", sim.url()),
    );
    let file = matrix(folder.path(), &text);
    let mut child = saturation(folder.path())
        .arg(&file)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // The first line on standard error is about the calibration; load follows.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    drop(sim);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let run = ResultsFolder::open(&results(folder.path())).unwrap();
    let rows = read_point(&run.point("rate-100").unwrap()).unwrap().rows;
    let ids: std::collections::BTreeSet<_> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), rows.len(), "no row twice");
    assert_eq!(ids.last().copied(), Some(rows.len() as u64 - 1), "no row lost");
    assert!(rows.iter().any(|row| row.outcome.is_ok()));
    assert!(rows.iter().any(|row| row.outcome.is_failure()));
}

#[test]
fn lengths_from_a_real_trace_reach_the_server() {
    let trace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../crates/workload/tests/fixtures/azure_conv_20.csv")
        .canonicalize()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let lengths = |column: &str, max: u32| {
        format!(
            "{{ trace = {{ path = {:?}, column = \"{column}\", max = {max} }} }}",
            trace.to_str().unwrap()
        )
    };
    let text = QUICK
        .replace("input-tokens = 64", &format!("input-tokens = {}", lengths("ContextTokens", 512)))
        .replace(
            "output-tokens = 32",
            &format!("output-tokens = {}", lengths("GeneratedTokens", 64)),
        )
        .replace("[20, 200]", "[30]");
    let file = matrix(folder.path(), &text);
    let output = saturation(folder.path()).arg(&file).args(["--json", "-q"]).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(&output));
    let run = ResultsFolder::open(&results(folder.path())).unwrap();
    let rows = read_point(&run.point("rate-30").unwrap()).unwrap().rows;
    let ok: Vec<_> = rows.iter().filter(|row| row.outcome.is_ok()).collect();
    assert!(ok.len() > 10);
    for row in &ok {
        assert_eq!(row.prompt_tokens, row.prompt_tokens_planned, "request {}", row.id);
        assert_eq!(row.output_tokens, Some(row.output_tokens_planned), "request {}", row.id);
    }
    let lengths: std::collections::BTreeSet<_> = ok.iter().map(|row| row.prompt_tokens).collect();
    assert!(lengths.len() > 5, "the trace's lengths vary");
}

#[test]
fn a_trace_is_replayed_at_its_instants_and_its_blocks_reach_the_cache() {
    let trace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../crates/workload/tests/fixtures/mooncake.jsonl")
        .canonicalize()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Twelve requests in 15 s, ten times faster, again and again.
    let text = QUICK
        .replace(
            "input-tokens = 64\noutput-tokens = 32",
            &format!(
                "trace = {{ path = {:?}, format = \"mooncake\", length = \"15s\", speed = 10 }}",
                trace.to_str().unwrap()
            ),
        )
        .replace("rates = [20, 200]", "arrivals = \"trace\"")
        .replace(
            "warm-up = \"300ms\", measure = \"1200ms\"",
            "warm-up = \"750ms\", measure = \"3s\"",
        );
    let file = matrix(folder.path(), &text);
    let output = saturation(folder.path()).arg(&file).args(["--json", "-q"]).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(&output));
    let run = ResultsFolder::open(&results(folder.path())).unwrap();
    let point = run.point("rate-8").unwrap().read_point_file().unwrap();
    let rows = read_point(&run.point("rate-8").unwrap()).unwrap().rows;
    let stamps_ms = [0, 0, 0, 3000, 3000, 6001, 6001, 6001, 8998, 8998, 12000, 12000];
    for row in &rows {
        let (pass, place) = (row.id / 12, (row.id % 12) as usize);
        let offset = (row.intended - point.phases.start_ns).as_nanos() as u64;
        let expected = pass * 1_500_000_000 + stamps_ms[place] * 100_000;
        assert!(offset.abs_diff(expected) <= 1, "request {}: {offset} {expected}", row.id);
    }
    let OfferedLoad::Open { rate_per_s, gap_cv, arrivals, .. } = &point.load else {
        panic!("a replay is an open loop")
    };
    assert_eq!((*rate_per_s, *gap_cv), (8.0, None));
    assert_eq!(arrivals, "trace(mooncake.jsonl, mooncake, length=15s, at-end=loop, speed=10)");
    // What the cache finds of each prompt is never more than its blocks imply, nor is it much less
    // where the request that brought them had ended before.
    let ok: Vec<_> = rows.iter().filter(|row| row.outcome.is_ok()).collect();
    assert!(ok.len() > 20, "{}", ok.len());
    let (mut found, mut prompts) = (0, 0);
    for row in &ok {
        assert_eq!(row.prompt_tokens, row.prompt_tokens_planned, "request {}", row.id);
        found += row.cached_tokens.unwrap();
        prompts += row.prompt_tokens.unwrap();
    }
    let implied = point.workload.shared_prefix.unwrap();
    let share = f64::from(found) / f64::from(prompts);
    assert!(implied > 0.5 && share > 0.3 && share < implied + 0.02, "{share} of {implied}");
    let findings = std::fs::read_to_string(run.path().join("findings.json")).unwrap();
    assert!(!findings.contains("prefix-reuse"), "{findings}");
    assert!(!findings.contains("rate-missed"), "{findings}");
}

#[test]
fn turns_of_a_conversation_follow_on_their_answers() {
    let folder = tempfile::tempdir().unwrap();
    let text = QUICK
        .replace(
            "input-tokens = 64\noutput-tokens = 32",
            "input-tokens = 40\noutput-tokens = 8\nsessions = { turns = 3, think-time = \"50ms\" }",
        )
        .replace("[20, 200]", "[60]");
    let file = matrix(folder.path(), &text);
    let output = saturation(folder.path()).arg(&file).args(["--json", "-q"]).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(&output));
    let run = ResultsFolder::open(&results(folder.path())).unwrap();
    let rows = read_point(&run.point("rate-60").unwrap()).unwrap().rows;
    let turns: std::collections::BTreeMap<_, _> =
        rows.iter().map(|row| ((row.session.unwrap(), row.turn.unwrap()), row)).collect();
    assert_eq!(turns.len(), rows.len(), "no turn twice");
    let mut later = 0;
    for (&(session, turn), row) in &turns {
        assert_eq!(row.id, session * 1_000 + u64::from(turn));
        if !row.outcome.is_ok() {
            continue;
        }
        // The simulator counts words: 31 a turn of the user's and 8 an answer, behind 9 of template.
        assert_eq!(row.prompt_tokens, Some(40 + turn * 39), "{session} {turn}");
        let Some(before) = turn.checked_sub(1) else { continue };
        let before = turns[&(session, before)];
        assert!(before.outcome.is_ok());
        assert!(row.intended - before.done >= Duration::from_millis(50));
        // What was said before is in the cache, in whole blocks of 16.
        assert_eq!(row.cached_tokens, Some((before.prompt_tokens.unwrap() + 7) / 16 * 16));
        later += 1;
    }
    assert!(later > 30, "{later}");
    let point = run.point("rate-60").unwrap().read_point_file().unwrap();
    let share = point.workload.shared_prefix.unwrap();
    assert!(share > 0.3 && share < 0.7, "{share}");
    let OfferedLoad::Open { rate_per_s, gap_cv, arrivals, .. } = &point.load else {
        panic!("conversations arrive in an open loop")
    };
    assert_eq!((*rate_per_s, *gap_cv), (60.0, None));
    assert_eq!(arrivals, "poisson, conversations of 3.00 turns");
    let findings = std::fs::read_to_string(run.path().join("findings.json")).unwrap();
    assert!(!findings.contains("prefix-reuse"), "{findings}");
}
