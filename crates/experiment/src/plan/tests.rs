use std::path::Path;

use plimsoll_units::Rate;

use super::*;

const GOOD: &str = r#"[experiment]
kind = "saturation"
seed = 5
[server]
settings = { max-num-seqs = 8 }
[workload]
input-tokens = 64
output-tokens = 16
[load]
rates = [3, 1, 2, 1]
[slo]
"ttft-p99.9" = "500ms"
"#;

fn plan(text: &str) -> Result<Plan, MatrixError> {
    Plan::new(MatrixSource::new(Path::new("m.toml"), text.to_owned()))
}

/// The error of `GOOD` with one replacement.
fn refused(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    plan(&GOOD.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn a_ladder_is_sorted_and_a_double_rung_is_listed_as_left_out() {
    let plan = plan(GOOD).unwrap();
    let rate = |per_second| PointLoad::Open(Rate::new(per_second).unwrap());
    assert_eq!(plan.groups[0].loads, Loads::Ladder(vec![rate(1.0), rate(2.0), rate(3.0)]));
    assert_eq!(plan.left_out.len(), 1);
    assert_eq!(plan.left_out[0].point, "1 req/s");
    assert_eq!(plan.seed(), 5);
    assert!((plan.groups[0].slo.terms[0].quantile - 0.999).abs() < 1e-12);
}

#[test]
fn factors_multiply_and_name_themselves() {
    let text = GOOD.replace("[slo]\n\"ttft-p99.9\" = \"500ms\"\n", "")
        + "[factors]\n\"server.settings.max-num-seqs\" = [16, 32]\n\"client.api\" = [\"chat\", \"completions\"]\n";
    let plan = plan(&text).unwrap();
    let labels: Vec<_> = plan.groups.iter().map(|group| factor_text(&group.factors)).collect();
    assert_eq!(
        labels,
        [
            "client.api=chat server.settings.max-num-seqs=16",
            "client.api=completions server.settings.max-num-seqs=16",
            "client.api=chat server.settings.max-num-seqs=32",
            "client.api=completions server.settings.max-num-seqs=32",
        ],
        "those of one server side by side"
    );
    assert_eq!(plan.groups[2].matrix.server.settings["max-num-seqs"], 32);
}

#[test]
fn every_senseless_value_is_refused_with_its_place() {
    let base = "[slo]\n\"ttft-p99.9\" = \"500ms\"\n";
    for (from, to, start) in [
        ("rates = [3, 1, 2, 1]", "rates = []", "m.toml:10: load.rates: the ladder is empty"),
        ("rates = [3, 1, 2, 1]", "", "m.toml:9: load: a load needs"),
        (
            "rates = [3, 1, 2, 1]",
            "rates = [1]\nconcurrency = [1]",
            "m.toml:11: load.concurrency: rates and",
        ),
        ("rates = [3, 1, 2, 1]", "concurrency = [0]", "m.toml:10: load.concurrency: list"),
        (
            "rates = [3, 1, 2, 1]",
            "concurrency = [1]\nrequests = 100",
            "m.toml:11: load.requests: 100 requests need a ladder of rates",
        ),
        (
            "rates = [3, 1, 2, 1]",
            "rates = [1]\nrequests = 9",
            "m.toml:11: load.requests: 9 requests are too few to measure anything; at least 10",
        ),
        (
            "rates = [3, 1, 2, 1]",
            "rates = [1]\nrequests = 100\nwindow = { measure = \"5s\" }",
            "m.toml:11: load.requests: 100 requests and load.window.measure both say",
        ),
        ("seed = 5", "name = \"../up\"", "m.toml:3: experiment.name: `../up` is no name"),
        (
            "seed = 5",
            "self-test = \"1ms\"",
            "m.toml:3: experiment.self-test: 1ms is no length for a self-test",
        ),
        (
            "settings =",
            "model = \"gpt\"\nsettings =",
            "m.toml:5: server.model: the simulator has no model `gpt`",
        ),
        ("max-num-seqs = 8", "max-num-seqs = 0", "m.toml:5: server.settings: "),
        (
            "settings =",
            "launch = \"attach\"\nurl = \"ftp://x\"\nsettings =",
            "m.toml:6: server.url: `ftp://x`",
        ),
        ("rates = [3, 1, 2, 1]", "rates = [1]\nmax-in-flight = 0", "m.toml:11: load.max-in-flight"),
        (
            "rates = [3, 1, 2, 1]",
            "rates = [1]\nwindow.measure = \"1ms\"",
            "m.toml:11: load.window.measure: 1ms is too short",
        ),
        (
            "rates = [3, 1, 2, 1]",
            "rates = [1]\nwindow.drain-limit = \"0s\"",
            "m.toml:11: load.window.drain-limit",
        ),
        ("seed = 5", "repetitions = 0", "m.toml:3: experiment.repetitions: 0 repetitions"),
        (
            "settings =",
            "url = \"http://x\"\nsettings =",
            "m.toml:5: server.url: it means nothing with launch = \"sim\"",
        ),
        (
            "settings =",
            "launch = \"attach\"\nsettings =",
            "m.toml:4: server: launch = \"attach\" needs",
        ),
        (
            "settings =",
            "launch = \"attach\"\nurls = [\"http://x\", \"ftp://x\"]\nsettings =",
            "m.toml:6: server.urls: `ftp://x`",
        ),
        (
            "settings =",
            "launch = \"attach\"\nurls = [\"http://x:80\", \"http://x/v1\"]\nsettings =",
            "m.toml:6: server.urls: http://x/v1 stands there twice",
        ),
        (
            "settings =",
            "launch = \"attach\"\nurl = \"http://x\"\nurls = [\"http://y\"]\nsettings =",
            "m.toml:7: server.urls: a server has either `url`, or `urls`",
        ),
        (
            "settings =",
            "urls = [\"http://x\", \"http://y\"]\nsettings =",
            "m.toml:5: server.urls: it means nothing with launch = \"sim\"",
        ),
        (base, "[client]\nworkers = 0\n", "m.toml:12: client.workers"),
        (base, "[client]\nrequest-timeout = \"0s\"\n", "m.toml:12: client.request-timeout: 0s"),
        (base, "[client]\ntemperature = -1\n", "m.toml:12: client.temperature"),
        (base, "[slo]\nttft = \"5s\"\n", "m.toml:12: slo.ttft: write METRIC"),
        (base, "[slo]\nttfb-p99 = \"5s\"\n", "m.toml:12: slo.ttfb-p99: write METRIC"),
        (base, "[slo]\nttft-p100 = \"5s\"\n", "m.toml:12: slo.ttft-p100: the quantile"),
        (base, "[slo]\nttft-p50 = \"0s\"\n", "m.toml:12: slo.ttft-p50: a limit"),
        (
            base,
            "[factors]\n\"server.settings.max-num-seqs\" = []\n",
            "m.toml:12: factors.server.settings.max-num-seqs: the factor has no values",
        ),
        (
            base,
            "[factors]\n\"experiment.seed\" = [1]\n",
            "m.toml:12: factors.experiment.seed: a factor is the path",
        ),
        (base, "[factors]\n\"server.settigns\" = [1]\n", "m.toml: unknown field `settigns`"),
        ("input-tokens = 64", "prompts = \"nowhere.jsonl\"", "m.toml:6: workload: "),
    ] {
        let error = refused(from, to);
        assert!(error.starts_with(start), "{to}\n  gives  {error}\n  wanted {start}");
    }
}

#[test]
fn seeds_of_different_sources_and_runs_are_unrelated() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..50 {
        for source in 0..50 {
            assert!(seen.insert(derive_seed(seed, source)), "seed {seed} source {source}");
        }
    }
}

#[test]
fn the_settings_of_an_attached_server_cannot_be_a_factor() {
    let text = GOOD
        .replace("settings = { max-num-seqs = 8 }", "launch = \"attach\"\nurl = \"http://x\"")
        .replace("[slo]\n\"ttft-p99.9\" = \"500ms\"\n", "")
        + "[factors]\n\"server.settings.max-num-seqs\" = [16, 32]\n";
    let error = plan(&text).unwrap_err().to_string();
    assert!(error.contains("cannot be varied from here"), "{error}");
}

/// A plan whose requests come from the trace of the workload's own tests.
fn with_trace(trace: &str, load: &str) -> Result<Plan, MatrixError> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../workload/tests/fixtures/mooncake.jsonl");
    plan(&format!(
        "[experiment]\nkind = \"saturation\"\n[workload]\n\
         trace = {{ path = {path:?}, format = \"mooncake\", length = \"15s\" {trace} }}\n[load]\n{load}\n"
    ))
}

fn loads_of(plan: &Plan) -> Vec<f64> {
    let rate = |load: &PointLoad| match load {
        PointLoad::Open(rate) => rate.per_second(),
        PointLoad::Closed(level) => f64::from(*level),
    };
    plan.groups[0].loads.known().iter().map(rate).collect()
}

#[test]
fn a_trace_has_a_rate_of_its_own_or_those_of_the_ladder() {
    // Twelve requests in 15 s.
    let own = with_trace("", "arrivals = \"trace\"").unwrap();
    assert_eq!(loads_of(&own), [0.8]);
    assert_eq!(loads_of(&with_trace(", speed = 2.5", "arrivals = \"trace\"").unwrap()), [2.0]);
    let ladder = with_trace("", "arrivals = \"trace\"\nrates = [4, 1]").unwrap();
    assert_eq!(loads_of(&ladder), [1.0, 4.0]);
    // The lengths of a trace under arrivals of another kind.
    assert_eq!(loads_of(&with_trace(", speed = 2", "rates = [3]").unwrap()), [3.0]);
}

#[test]
fn a_replay_that_contradicts_itself_is_refused() {
    for (trace, load, parts) in [
        ("", "", &["a load needs rates"][..]),
        (
            ", speed = 2",
            "arrivals = \"trace\"\nrates = [1]",
            &["workload.trace", "speed and load.rates"],
        ),
        (", speed = 2", "arrivals = \"trace\"\nrates = \"auto\"", &["speed and load.rates"]),
        (
            "",
            "arrivals = \"trace\"\nconcurrency = [1]",
            &["load.concurrency", "no instants to replay"],
        ),
        ("", "arrivals = \"traces\"", &["`traces` is not an arrival process", "or trace with"]),
        (
            ", at-end = \"end\"",
            "arrivals = \"trace\"\nwindow = { measure = \"12s\" }",
            &["at 0.8 req/s the trace is over after 15s", "may take 18s", "loop"],
        ),
    ] {
        let error = with_trace(trace, load).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{load}: {error}");
        }
    }
    let long_enough = "arrivals = \"trace\"\nwindow = { measure = \"10s\" }";
    with_trace(", at-end = \"end\"", long_enough).unwrap();
    let error = refused("rates = [3, 1, 2, 1]", "arrivals = \"trace\"");
    assert!(error.contains("workload.trace, which is not there"), "{error}");
}

#[test]
fn a_search_excludes_what_it_decides_itself() {
    let search = GOOD.replace("rates = [3, 1, 2, 1]", "search = { precision = 0.01 }");
    assert!(matches!(plan(&search).unwrap().groups[0].loads, Loads::Search(_)));
    let refused = |from: &str, to: &str| {
        assert!(search.contains(from), "{from}");
        plan(&search.replacen(from, to, 1)).unwrap_err().to_string()
    };
    for (from, to, place, word) in [
        ("[load]", "[load]\nrates = [1]", "m.toml:11: load.search", "search and rates exclude"),
        ("[load]", "[load]\nrates = \"auto\"", "m.toml:11: load.search", "search and rates"),
        ("[load]", "[load]\nconcurrency = [1]", "m.toml:11: load.search", "search and concurrency"),
        ("[load]", "[load]\nmax-in-flight = 9", "m.toml:10: load.max-in-flight", "a cap of 9"),
        (
            "[load]",
            "[load]\narrivals = \"ramp(to=60, over=30s)\"",
            "m.toml:10: load.arrivals",
            "`ramp(to=60/s, over=30s)` has no one rate",
        ),
        (
            "[load]",
            "[load]\nwindow = { measure = \"9s\" }",
            "m.toml:10: load.window.measure",
            "9s is not",
        ),
        ("0.01", "3", "m.toml:10: load.search.precision", "precision 3 is not within 0.002 to 0.5"),
        ("0.01", "0.01, from = 5, to = 4", "m.toml:10: load.search.from", "5 to 4"),
        ("0.01", "0.01, requests = 7", "m.toml:10: load.search.requests", "7 requests"),
        ("precision", "precison", "m.toml:10:", "did you mean `precision`?"),
        ("0.01", "0.01, goal = \"knee\"", "m.toml:10:", "`capacity`"),
    ] {
        let error = refused(from, to);
        assert!(error.starts_with(place) && error.contains(word), "{to}: {error}");
    }
    let error = with_trace("", "arrivals = \"trace\"\nsearch = {}").unwrap_err().to_string();
    assert!(error.contains("load.arrivals: `trace` has no one rate"), "{error}");
    // A window's length is refused wherever it is written, and only if it is.
    let mut source = MatrixSource::new(Path::new("m.toml"), search.clone());
    source.set("load.window={ warm-up = \"1s\" }");
    assert!(Plan::new(source.clone()).is_ok());
    source.set("load.window.measure=9s");
    let error = Plan::new(source.clone()).unwrap_err().to_string();
    assert!(error.contains("load.window.measure: 9s is not for a search"), "{error}");
    let mut table = MatrixSource::new(Path::new("m.toml"), search.clone());
    table.set("load.window={ measure = \"9s\" }");
    assert!(Plan::new(table).is_err());
    let factor = format!("{search}[factors]\n\"load.window.measure\" = [\"8s\"]\n");
    assert!(plan(&factor).unwrap_err().to_string().contains("8s is not for a search"));
}

#[test]
fn loads_under_which_conversations_would_not_be_what_they_claim_are_refused() {
    let sessions = "output-tokens = 16\nsessions = { turns = 2 }";
    let with = |load: &str| {
        plan(&GOOD.replace("output-tokens = 16", sessions).replace("rates = [3, 1, 2, 1]", load))
    };
    with("rates = [3]").unwrap();
    for (load, parts) in [
        ("concurrency = [2]", &["load.concurrency", "all turns counted"][..]),
        ("search = {}", &["load.search", "write the rates"]),
        ("rates = \"auto\"", &["load.rates", "sends no conversations"]),
        ("rates = [1]\nmax-in-flight = 9", &["load.max-in-flight", "cut conversations off"]),
        ("rates = [1]\n[client]\napi = \"completions\"", &["client.api", "chat"]),
    ] {
        let error = with(load).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{load}: {error}");
        }
    }
}
