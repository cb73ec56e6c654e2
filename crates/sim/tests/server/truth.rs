//! The server's own record of its requests.

use std::io::{Read, Write};

use plimsoll_sim::{ModelProfile, Settings, SimConfig, SimServer};
use plimsoll_units::{Clock, RunNanos};
use serde_json::Value;

use crate::raw::{ask, chat, connect, encode, eventually, get, metric, post};

const CHAT: &str = "/v1/chat/completions";

#[test]
fn every_request_leaves_one_line_with_its_true_times() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.jsonl");
    let config =
        SimConfig { model: ModelProfile::tiny(), truth: Some(path.clone()), ..Default::default() };
    let server = SimServer::start(config).unwrap();
    let clock = server.clock();

    let headers = |id: &str| format!("content-type: application/json\r\nx-request-id: {id}\r\n");
    let before = clock.now();
    let stream = chat("one two", r#","stream":true,"max_tokens":5"#);
    ask(server.addr(), "POST", CHAT, &headers("streamed"), &stream).unwrap();
    let after = clock.now();
    ask(server.addr(), "POST", CHAT, &headers("whole"), &chat("hi", r#","max_tokens":3"#)).unwrap();
    post(server.addr(), CHAT, &chat("hi", r#","max_tokens":1"#));
    // Refused, so not a request of the engine's and not in the record.
    post(server.addr(), CHAT, &chat("hi", r#","max_tokens":0"#));
    let mut socket = connect(server.addr());
    let long = chat("hi", r#","stream":true,"max_tokens":4000"#);
    socket.write_all(&encode("POST", CHAT, &headers("left"), &long)).unwrap();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&piece).contains("assistant") {
        assert_ne!(socket.read(&mut piece).unwrap(), 0);
    }
    drop(socket);
    // A clean stop writes everything, also what was under way.
    server.stop();

    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "{text}");
    let find = |id: &str| lines.iter().find(|line| line["id"] == id).unwrap();
    let at = |line: &Value, key: &str| RunNanos::from_nanos(line[key].as_u64().unwrap());

    let streamed = find("streamed");
    let order = [
        before,
        at(streamed, "arrival_ns"),
        at(streamed, "scheduled_ns"),
        at(streamed, "engine_first_token_ns"),
        at(streamed, "first_token_ns"),
        at(streamed, "last_token_ns"),
        after,
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert!(at(streamed, "last_token_ns") >= at(streamed, "engine_last_token_ns"));
    let offset = streamed["arrival_monotonic_ns"].as_u64().unwrap()
        - streamed["arrival_ns"].as_u64().unwrap();
    let origin = clock.monotonic(RunNanos::ZERO).as_nanos();
    assert_eq!(u128::from(offset), origin, "both clocks name the same instant");
    assert_eq!(
        (&streamed["prompt_tokens"], &streamed["output_tokens"], &streamed["end"]),
        (&Value::from(11), &Value::from(5), &Value::from("length"))
    );
    // The reference value comes from another implementation of the hash.
    assert_eq!(streamed["body_fnv1a"], "8c5284e83429dc08");
    let whole = find("whole");
    assert_ne!(whole["body_fnv1a"], streamed["body_fnv1a"]);
    assert_eq!(whole["first_token_ns"], whole["last_token_ns"], "both were one write");
    let left = find("left");
    assert_eq!((&left["end"], &left["last_token_ns"]), (&Value::from("abort"), &Value::Null));
    assert!(left["output_tokens"].as_u64().unwrap() >= 1);
    assert!(lines.iter().any(|line| line["id"].as_str().unwrap().starts_with("chatcmpl-")));
}

/// The sums that the metrics page gives are those of the server's own record of each request, which
/// takes its times from the engine by another way.
#[test]
fn the_phases_on_the_metrics_page_are_those_of_the_record() {
    const REQUESTS: usize = 10;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.jsonl");
    // Two slots for ten requests at once, so that most of them wait.
    let settings = Settings { max_num_seqs: 2, ..Settings::default() };
    let model = ModelProfile::tiny();
    let config = SimConfig { model, settings, truth: Some(path.clone()), ..Default::default() };
    let server = SimServer::start(config).unwrap();
    let address = server.addr();
    std::thread::scope(|scope| {
        for number in 0..REQUESTS {
            scope.spawn(move || {
                let words = format!("{number} ") + &"w ".repeat(30 * number);
                post(address, CHAT, &chat(&words, r#","max_tokens":9"#));
            });
        }
    });
    eventually("all requests to be counted", || {
        metric(address, "vllm:request_success_total") == REQUESTS as f64
    });
    let page = get(address, "/metrics");
    let on_page = |name: &str| {
        let line = page.text().lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let started = server.clock().wall_anchor().as_secs_f64();
    assert!((on_page("process_start_time_seconds ") - started).abs() < 1e-3);
    server.stop();

    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), REQUESTS);
    let sum = |from: &str, to: &str| -> f64 {
        let ns = |line: &Value, key: &str| line[key].as_u64().unwrap();
        lines.iter().map(|line| (ns(line, to) - ns(line, from)) as f64 / 1e9).sum()
    };
    assert!(sum("arrival_ns", "scheduled_ns") > 0.01, "the load makes a queue");
    for (name, from, to) in [
        ("request_queue_time_seconds", "arrival_ns", "scheduled_ns"),
        ("request_prefill_time_seconds", "scheduled_ns", "engine_first_token_ns"),
        ("request_decode_time_seconds", "engine_first_token_ns", "engine_last_token_ns"),
        ("request_inference_time_seconds", "scheduled_ns", "engine_last_token_ns"),
        ("time_to_first_token_seconds", "arrival_ns", "engine_first_token_ns"),
        ("e2e_request_latency_seconds", "arrival_ns", "engine_last_token_ns"),
    ] {
        assert_eq!(on_page(&format!("vllm:{name}_count{{")), REQUESTS as f64, "{name}");
        let (page, record) = (on_page(&format!("vllm:{name}_sum{{")), sum(from, to));
        assert!((page - record).abs() < 1e-6, "{name}: {page} on the page, {record} recorded");
    }
}
