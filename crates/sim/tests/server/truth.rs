//! The server's own record of its requests.

use std::io::{Read, Write};

use plimsoll_sim::{ModelProfile, SimConfig, SimServer};
use plimsoll_units::{Clock, RunNanos};
use serde_json::Value;

use crate::raw::{ask, chat, connect, encode, post};

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
