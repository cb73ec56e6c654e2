//! Why throughput does not grow, on simulators whose limit is known; and the next experiment, which must be a
//! matrix that can be run.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

use plimsoll_analysis::{
    AuditedPoint, Cause, Diagnosis, Evidence, Group, Hypothesis, Measured, Slo, Standing,
};
use plimsoll_experiment::{
    Interrupt, MatrixSource, Plan, RunOptions, RunResult, Silent, next_matrix, run,
};
use plimsoll_records::{FindingCode, Manifest, OfferedLoad, PointFile, Severity, Tool};
use serde_json::{Value, json};

/// A short run on the simulator with these settings, lengths and load.
fn live(settings: &str, lengths: [u32; 2], load: &str) -> String {
    format!(
        r#"
        [experiment]
        kind = "saturation"
        seed = 5
        self-test = false
        [server]
        settings = {{ {settings} }}
        [samplers]
        metrics-period = "100ms"
        [workload]
        input-tokens = {}
        output-tokens = {}
        [load]
        {load}
        window = {{ warm-up = "500ms", measure = "2s", drain-limit = "5s" }}
        "#,
        lengths[0], lengths[1]
    )
}

fn tiny(settings: &str, lengths: [u32; 2], load: &str) -> String {
    live(settings, lengths, load).replace("[server]", "[server]\n        model = \"tiny\"")
}

/// The diagnosis of a run of `matrix`, which must be `cause`. On a machine that others keep busy the audit
/// may void a point because of the client; then it is tried again.
fn must_be(cause: Cause, matrix: &str) -> (RunResult, tempfile::TempDir) {
    for _ in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let source = MatrixSource::new(Path::new("known.toml"), matrix.to_owned());
        let tool = Tool { name: "test".to_owned(), version: "0".to_owned(), commit: None };
        let options = RunOptions { results: folder.path().to_owned(), tool };
        let plan = Plan::new(source).unwrap();
        let result = run(&plan, &options, &Interrupt::new(), &mut Silent).unwrap();
        let diagnosis = &result.judgement.groups[0].diagnosis;
        if diagnosis.answer == Some(cause) {
            assert_eq!(diagnosis.hypotheses[0].cause, cause);
            assert!(diagnosis.hypotheses[0].supporting.iter().all(|it| !it.points.is_empty()));
            let path = result.folder.join("next.toml");
            let next = std::fs::read_to_string(&path).unwrap();
            let read = Plan::new(MatrixSource::new(&path, next.clone()));
            assert!(read.is_ok(), "{}\n{next}", read.unwrap_err());
            return (result, folder);
        }
        let of_the_client =
            |code| matches!(code, FindingCode::ClientLate | FindingCode::RateMissed);
        let late = result.judgement.findings.iter();
        let disturbed = late
            .filter(|it| it.severity == Severity::Error)
            .any(|finding| of_the_client(finding.code));
        assert!(disturbed, "{cause} was expected, found {diagnosis:#?}");
    }
    panic!("the machine was too busy, four times");
}

#[test]
fn few_slots() {
    // 59 requests a second, by docs/sim.md.
    let matrix = tiny("max-num-seqs = 4", [64, 32], "rates = [20, 150]");
    let (result, _folder) = must_be(Cause::Slots, &matrix);
    let next = std::fs::read_to_string(result.folder.join("next.toml")).unwrap();
    assert!(next.contains("\"server.settings.max-num-seqs\" = [4, 8, 16]"), "{next}");
    assert!(next.contains("\nmeasure = \"2s\"\n") && !next.contains("\nseed"), "{next}");
}

#[test]
fn a_small_kv_cache() {
    // Room for five or six requests of 64 + 32 tokens.
    let settings = "num-gpu-blocks-override = 32, max-model-len = 512";
    let matrix = tiny(settings, [64, 32], "rates = [20, 200]");
    let (result, _folder) = must_be(Cause::KvCache, &matrix);
    let next = std::fs::read_to_string(result.folder.join("next.toml")).unwrap();
    assert!(next.contains("num-gpu-blocks-override\" = [32, 64, 128]"), "{next}");
}

#[test]
fn a_small_token_budget() {
    let settings = "max-num-batched-tokens = 64, max-num-seqs = 64";
    let matrix = tiny(settings, [500, 4], "rates = [10, 120]");
    let (result, _folder) = must_be(Cause::TokenBudget, &matrix);
    let next = std::fs::read_to_string(result.folder.join("next.toml")).unwrap();
    assert!(next.contains("max-num-batched-tokens\" = [64, 128, 256]"), "{next}");
}

#[test]
fn steps_that_take_the_time() {
    // A step is 24 ms and 0.17 ms a request: 5,800 tokens a second at most, however many run at once.
    let settings =
        "max-num-batched-tokens = 8192, max-num-seqs = 2000, num-gpu-blocks-override = 20000";
    let matrix = live(settings, [16, 48], "rates = [5, 150]").replace("\"500ms\"", "\"1500ms\"");
    let (result, _folder) = must_be(Cause::Compute, &matrix);
    let diagnosis = &result.judgement.groups[0].diagnosis;
    assert!(diagnosis.sentence.starts_with("compute: a token took "), "{}", diagnosis.sentence);
    let next = std::fs::read_to_string(result.folder.join("next.toml")).unwrap();
    assert!(next.contains("data-parallel-size\" = [1, 2]"), "{next}");
}

#[test]
fn a_ladder_that_stops_early() {
    let matrix = live("max-num-seqs = 64", [64, 8], "rates = [5, 10]");
    let (result, _folder) = must_be(Cause::Load, &matrix);
    let next = std::fs::read_to_string(result.folder.join("next.toml")).unwrap();
    assert!(next.contains("rates = [10.0, 13.0, 18.0, 25.0]"), "{next}");
}

#[test]
fn a_client_that_must_not_send_more() {
    let load = "rates = [5, 100]\n        max-in-flight = 12";
    let matrix = live("max-num-seqs = 64", [64, 8], load);
    let (result, _folder) = must_be(Cause::Client, &matrix);
    let next = std::fs::read_to_string(result.folder.join("next.toml")).unwrap();
    assert!(next.contains("load.max-in-flight is taken out"), "{next}");
    assert!(!next.contains("\nmax-in-flight"), "{next}");
}

/// The ways of obtaining a server that a matrix can have, each with settings.
const SERVERS: [(&str, &str); 6] = [
    ("sim", "settings = { max-num-seqs = 8, max-num-batched-tokens = 16 }"),
    ("sim without settings", ""),
    ("attach", "launch = \"attach\"\nurl = \"http://gpu-box:8000\"\napi-key-env = \"MY_KEY\""),
    (
        "process",
        "launch = \"process\"\ncommand = \"vllm serve m\"\nsettings = { max-num-seqs = 8 }",
    ),
    (
        "another server",
        "launch = \"process\"\ncommand = \"other {settings}\"\nflags = { threads = \"-t {value}\" }\n\
         settings = { threads = 4 }",
    ),
    ("compose", "launch = \"compose\"\nfile = \"vllm.yaml\""),
];

const LOADS: [&str; 4] = [
    "rates = [10, 20]",
    "rates = \"auto\"",
    "concurrency = [4, 8]",
    // How long it measures is its own affair; a resolved matrix has the default all the same.
    "search = { precision = 0.05 }",
];

/// What a run of a matrix leaves of it: a manifest with it resolved, and a group of two points, the second
/// voided or unstable, whose diagnosis is `answer`.
fn left(text: &str, closed: bool, answer: Option<Cause>) -> (Manifest, Group) {
    let source = MatrixSource::new(Path::new("m.toml"), text.to_owned());
    let resolved = serde_json::to_value(source.parse().unwrap()).unwrap();
    // The simulator's own where the matrix says nothing.
    let (slots, budget) = if text.contains("[server]\n\n") { (256, 2048) } else { (8, 16) };
    let in_effect = |name: &str, value: Value| json!({"name": name, "declared": null, "in_effect": value, "source": "log", "state": "default"});
    let manifest = json!({
        "format": "1.2", "tool": {"name": "saturation", "version": "0", "commit": null},
        "experiment": "saturation", "clock": {"origin_monotonic_ns": 0, "origin_unix_ns": 0},
        "started": "2026-01-01T00:00:00Z", "status": "complete", "seed": 7, "matrix_written": text,
        "overrides": [], "matrix_resolved": resolved,
        "machine": {"cpu": "", "cores": 8, "memory_bytes": 0, "os": "", "kernel": ""},
        "target": {
            "launch": "sim", "url": "", "model": "m", "server": null, "version": null,
            "max_model_len": null, "settings_declared": {},
            "settings": [
                in_effect("max-num-seqs", json!(slots)), in_effect("max-num-batched-tokens", json!(budget)),
                in_effect("num-gpu-blocks", json!(4096)), in_effect("gpu-memory-utilization", json!(0.9))
            ]
        },
        "points": [], "left_out": [], "stamps": "user", "remarks": []
    });
    let manifest: Manifest = serde_json::from_value(manifest).unwrap();
    let points = [10.0, 20.0].map(|load: f64| {
        let point = json!({
            "id": format!("p{load}"), "factors": {}, "repetition": 0,
            "load": {
                "kind": "open", "arrivals": "poisson", "rate_per_s": load, "gap_cv": 1.0, "seed": 1,
                "max_in_flight": null
            },
            "phases": {
                "start_ns": 0, "measure_start_ns": 0, "measure_end_ns": 1_000_000_000,
                "arrivals_end_ns": 1_000_000_000, "end_ns": 1_000_000_000
            },
            "ended": "complete", "workers": [], "server": {},
            "workload": {"exact_output": true, "exact_input": true}
        });
        let mut point: PointFile = serde_json::from_value(point).unwrap();
        if closed {
            point.load = OfferedLoad::Closed { concurrency: load as u32 };
        }
        AuditedPoint::of(&point, &[], &Slo::default()).summary
    });
    let number = |name: &str, value| Measured { name: name.to_owned(), value, unit: "" };
    let told = Evidence {
        text: "so\n[it] is".to_owned(),
        numbers: vec![number("in_flight_mean", 40.0), number("running_max", 8.0)],
        points: vec!["p20".to_owned()],
    };
    let hypotheses = answer.map(|cause| Hypothesis {
        cause,
        standing: Standing::Supported,
        supporting: vec![told],
        contradicting: vec![],
        unknown: vec![],
    });
    let diagnosis = Diagnosis {
        at: "20 req/s offered".to_owned(),
        hypotheses: hypotheses.into_iter().collect(),
        answer,
        sentence: "so\n[it] is".to_owned(),
    };
    (manifest, Group { points: points.into(), diagnosis, ..Group::default() })
}

fn text(server: &str, load: &str) -> String {
    let window = if load.starts_with("search") { "" } else { "window = { measure = \"7s\" }\n" };
    format!(
        "[experiment]\nkind = \"saturation\"\nseed = 7\nname = \"mine\"\n[server]\n{server}\n\
         [workload]\ninput-tokens = 64\noutput-tokens = 16\n[load]\n{load}\n{window}\
         [slo]\nttft-p99 = \"500ms\"\n"
    )
}

#[test]
fn every_next_experiment_is_a_matrix_that_can_be_run() {
    let answers = Cause::ALL.into_iter().map(Some).chain([None]);
    for answer in answers {
        for (name, server) in SERVERS {
            for load in LOADS {
                let what = format!("{answer:?} of {name} with {load}");
                let (manifest, group) =
                    left(&text(server, load), load.starts_with("concurrency"), answer);
                let next = next_matrix(&manifest, &group, Path::new("/runs")).unwrap();
                let source = MatrixSource::new(Path::new("/elsewhere/next.toml"), next.clone());
                let plan = Plan::new(source.clone());
                assert!(plan.is_ok(), "{what}: {}\n{next}", plan.unwrap_err());
                // Everything but what the question needs is kept, and the arrivals are fresh.
                let matrix = source.parse().unwrap();
                assert_eq!(matrix.experiment.name.as_deref(), Some("mine"), "{what}");
                assert_eq!((matrix.experiment.seed, matrix.slo.len()), (None, 1), "{what}");
                let looks_closer = next.contains("# What is it?");
                assert!(looks_closer || answer.is_some(), "{what}");
                let own = if load.starts_with("search") { 20 } else { 7 };
                let measure = if looks_closer { 2 * own } else { own };
                assert_eq!(matrix.load.window.measure.as_secs(), measure, "{what}");
                assert_eq!(matrix.load.concurrency.is_some(), load.starts_with("conc"), "{what}");
                let head = next.split("\n\n").next().unwrap();
                assert!(head.lines().all(|line| line.starts_with('#')), "{what}\n{next}");
            }
        }
    }
}

#[test]
fn each_cause_varies_what_would_lift_it() {
    let changed = |answer, server: usize| {
        let (manifest, group) = left(&text(SERVERS[server].1, LOADS[0]), false, Some(answer));
        next_matrix(&manifest, &group, Path::new("/runs")).unwrap()
    };
    for (answer, server, expected) in [
        (Cause::Slots, 0, "\"server.settings.max-num-seqs\" = [8, 16, 32]"),
        // A step must have room for a token of each.
        (Cause::Slots, 0, "max-num-batched-tokens = 32"),
        (
            Cause::Slots,
            2,
            "# First start the server with --max-num-seqs 16 --max-num-batched-tokens 32.",
        ),
        (Cause::Slots, 3, "\"server.settings.max-num-seqs\" = [8, 16, 32]"),
        (Cause::Slots, 4, "# What is it?"),
        (Cause::KvCache, 0, "\"server.settings.num-gpu-blocks-override\" = [4096, 8192, 16384]"),
        (Cause::KvCache, 3, "\"server.settings.gpu-memory-utilization\" = [0.9, 0.95]"),
        (Cause::KvCache, 2, "# First start the server with --gpu-memory-utilization 0.95."),
        (Cause::TokenBudget, 3, "\"server.settings.max-num-batched-tokens\" = [16, 32, 64]"),
        (Cause::Compute, 0, "\"server.settings.data-parallel-size\" = [1, 2]"),
        // No second GPU is there: fewer slots.
        (Cause::Compute, 3, "\"server.settings.max-num-seqs\" = [2, 4, 8]"),
        (Cause::FrontEnd, 0, "\"server.settings.stream-interval\" = [1, 2, 4]"),
        (Cause::FrontEnd, 3, "\"server.settings.api-server-count\" = [1, 2, 4]"),
        (Cause::Network, 2, "\"client.prewarm\" = [0, 80]"),
        (Cause::Client, 2, "\"client.workers\" = [7, 8]"),
        (Cause::Load, 2, "rates = [20.0, 26.0, 36.0, 50.0]"),
    ] {
        let next = changed(answer, server);
        assert!(next.contains(expected), "{answer}: {expected} is not in\n{next}");
    }
    // What cannot be varied from here is declared, so that the wrong server is refused.
    assert!(
        changed(Cause::Slots, 2)
            .contains("[server.settings]\nmax-num-batched-tokens = 32\nmax-num-seqs = 16")
    );
    assert!(!changed(Cause::Slots, 2).contains("[factors]"));
}

#[test]
fn the_group_is_kept_and_what_else_was_varied_is_not() {
    let more = "[factors]\n\"server.settings.max-num-seqs\" = [4, 8]\n\
                profile = [{ name = \"short\", \"workload.output-tokens\" = 5 }, \
                { name = \"long\", workload.output-tokens = 500, server.settings.block-size = 32 }]\n";
    let (manifest, mut group) = left(&(text("", LOADS[0]) + more), false, Some(Cause::TokenBudget));
    let named = |slots: &str, profile: &str| {
        [("server.settings.max-num-seqs", slots), ("profile", profile)]
            .map(|(factor, value)| (factor.to_owned(), value.to_owned()))
            .into()
    };
    group.factors = named("4", "long");
    let next = next_matrix(&manifest, &group, Path::new("/runs")).unwrap();
    let matrix = MatrixSource::new(Path::new("next.toml"), next.clone()).parse().unwrap();
    assert_eq!(
        matrix.factors.keys().collect::<Vec<_>>(),
        ["server.settings.max-num-batched-tokens"]
    );
    assert_eq!(matrix.server.settings["max-num-seqs"], 4);
    assert_eq!(matrix.server.settings["block-size"], 32);
    assert!(next.contains("output-tokens = 500\n"), "{next}");
    // A value that the matrix does not have cannot be kept.
    group.factors = named("16", "long");
    assert_eq!(next_matrix(&manifest, &group, Path::new("/runs")), None);
}

#[test]
fn a_prompt_file_is_found_from_the_results_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.jsonl"), "{\"prompt\": \"one two\"}\n").unwrap();
    let text = text("", LOADS[0]).replace("input-tokens = 64", "prompts = \"p.jsonl\"");
    let (manifest, group) = left(&text, false, Some(Cause::Load));
    let next = next_matrix(&manifest, &group, folder.path()).unwrap();
    Plan::new(MatrixSource::new(Path::new("/elsewhere/next.toml"), next)).unwrap();
}
