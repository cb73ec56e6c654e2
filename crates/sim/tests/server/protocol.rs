//! Routes, shapes and counts.

use std::io::{Read, Write};
use std::path::PathBuf;

use plimsoll_sim::{Lengths, ModelProfile, Settings, SimConfig, SimServer, StartError};
use serde_json::{Value, json};

use crate::raw::{
    ask, chat, connect, encode_json, events, eventually, get, metric, parse, post, start,
};

const CHAT: &str = "/v1/chat/completions";

/// Recorded answers of a real vLLM server, where they are at hand.
fn captures() -> Option<PathBuf> {
    let shared = std::env::var_os("PLIMSOLL_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("servers/captures/vllm");
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder)
}

/// The shape of a JSON value: keys, nesting and kinds, without the values that must differ.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| match key.as_str() {
                "finish_reason" | "object" | "role" | "code" | "type" | "param" => {
                    (key.clone(), value.clone())
                }
                _ => (key.clone(), shape(value)),
            })
            .collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(_) => json!("text"),
        Value::Number(_) => json!(0),
        other => other.clone(),
    }
}

/// The request body that a capture's first line shows.
fn body_of_capture(text: &str) -> &str {
    text.lines().next().unwrap().split_once(" -d ").map_or("", |(_, body)| body)
}

#[test]
fn streams_have_the_shape_that_vllm_gave_to_the_same_request() {
    let Some(folder) = captures() else { return };
    let settings = Settings { enable_prompt_tokens_details: false, ..Settings::default() };
    let server = start(settings);
    for (name, path) in [
        ("chat_stream_usage", CHAT),
        ("chat_stream_nousage", CHAT),
        ("chat_stream_continuous_usage", CHAT),
        ("chat_stream_maxtok1", CHAT),
        ("chat_stream_max_completion_tokens", CHAT),
        ("completion_stream_usage", "/v1/completions"),
    ] {
        let capture = std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
        let theirs: Vec<Value> = events(&capture).iter().map(shape).collect();
        let response = post(server.addr(), path, body_of_capture(&capture));
        assert!(response.text().ends_with("data: [DONE]\n\n"), "{name}");
        assert!(response.head.contains("content-type: text/event-stream; charset=utf-8"));
        let ours: Vec<Value> = response.events().iter().map(shape).collect();
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (our, their) in ours.iter().zip(&theirs) {
            assert_eq!(our, their, "{name}");
        }
    }
}

#[test]
fn errors_have_the_shape_that_vllm_gave_to_the_same_request() {
    let Some(folder) = captures() else { return };
    let server = start(Settings::default());
    for name in [
        "err_bad_model",
        "err_bad_param",
        "err_max_tokens_zero",
        "err_missing_messages",
        "err_prompt_plus_max_tokens_too_long",
        "err_404",
        "err_405",
        "err_no_content_type",
    ] {
        let capture = std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
        let body = capture.trim_end().lines().last().unwrap();
        let status = capture.lines().nth(1).unwrap().split(' ').nth(1).unwrap();
        let theirs: Value = serde_json::from_str(body).unwrap();
        let response = match name {
            "err_404" => get(server.addr(), "/v1/nothing"),
            "err_405" => get(server.addr(), CHAT),
            "err_no_content_type" => {
                ask(server.addr(), "POST", CHAT, "", body_of_capture(&capture)).unwrap()
            }
            _ => post(server.addr(), CHAT, body_of_capture(&capture)),
        };
        assert_eq!(response.status.to_string(), status, "{name}");
        assert_eq!(shape(&response.json()), shape(&theirs), "{name}");
        let allows = name == "err_405";
        assert_eq!(response.head.contains("\r\nallow: post"), allows, "{}", response.head);
    }
}

#[test]
fn the_server_tells_about_itself() {
    let server = start(Settings { max_num_seqs: 7, ..Settings::default() });
    for path in ["/health", "/ping"] {
        let response = get(server.addr(), path);
        assert_eq!((response.status, response.body.len()), (200, 0), "{path}");
    }
    let models = get(server.addr(), "/v1/models").json();
    assert_eq!(models["data"][0]["id"], "tiny");
    assert_eq!(models["data"][0]["max_model_len"], 4096);
    assert!(models["data"][0]["root"].is_string());
    assert!(get(server.addr(), "/version").json()["version"].is_string());
    let info = get(server.addr(), "/server_info").json();
    assert_eq!(info["vllm_config"]["scheduler_config"]["max_num_seqs"], 7);
    let same = get(server.addr(), "/server_info?config_format=json").json();
    assert_eq!(same, info, "the simulator's one form is JSON");
    assert_eq!(info["plimsoll_sim"]["settings"]["max-num-seqs"], 7);
    assert_eq!(server.url(), format!("http://{}", server.addr()));
}

#[test]
fn the_settings_page_has_vllms_structure() {
    let Some(folder) = captures() else { return };
    let text = std::fs::read_to_string(folder.join("server_info_devmode_json.txt")).unwrap();
    let body = &text[text.find('{').unwrap()..];
    let theirs: Value = serde_json::from_str(body).unwrap();
    let ours = get(start(Settings::default()).addr(), "/server_info").json();
    for (section, fields) in ours["vllm_config"].as_object().unwrap() {
        for name in fields.as_object().unwrap().keys() {
            let there = theirs["vllm_config"][section].get(name);
            assert!(there.is_some(), "vLLM has no {section}.{name}");
        }
    }
}

#[test]
fn usage_counts_what_tokenize_counts() {
    let server = start(Settings::default());
    let body = chat("one two three four", r#","max_tokens":5"#);
    let count = post(server.addr(), "/tokenize", &body).json();
    assert_eq!((count["count"].as_u64(), count["max_model_len"].as_u64()), (Some(13), Some(4096)));
    assert_eq!(count["tokens"].as_array().unwrap().len(), 13);
    assert_eq!(count["token_strs"], Value::Null);
    let plain = post(server.addr(), "/tokenize", r#"{"prompt":"one two three four"}"#).json();
    assert_eq!(plain["count"], 4);

    let whole = post(server.addr(), CHAT, &body).json();
    assert_eq!(whole["usage"]["prompt_tokens"], 13);
    assert_eq!(whole["usage"]["completion_tokens"], 5);
    let text = whole["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(text.split(' ').count(), 5, "one word a token");
}

#[test]
fn a_connection_serves_request_after_request() {
    let server = start(Settings::default());
    let mut socket = connect(server.addr());
    for tokens in [1, 4, 2] {
        let rest = format!(r#","stream":true,"max_tokens":{tokens}"#);
        socket.write_all(&encode_json(CHAT, &chat("hi", &rest))).unwrap();
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        while !bytes.ends_with(b"\r\n0\r\n\r\n") {
            let count = socket.read(&mut piece).unwrap();
            assert_ne!(count, 0, "the server closed a connection that should be kept");
            bytes.extend_from_slice(&piece[..count]);
        }
        assert_eq!(parse(&bytes).events().len(), 1 + tokens);
    }
}

#[test]
fn the_head_comes_at_once_and_the_role_comes_with_the_first_token() {
    // Steps so long that head and first token cannot share a read by accident.
    let model = ModelProfile { step_base: "300ms".parse().unwrap(), ..ModelProfile::tiny() };
    let server = SimServer::start(SimConfig { model, ..SimConfig::default() }).unwrap();
    let mut socket = connect(server.addr());
    let body = chat("hi", r#","stream":true,"max_tokens":1"#);
    socket.write_all(&encode_json(CHAT, &body)).unwrap();
    let mut piece = [0; 16_384];
    let head = socket.read(&mut piece).unwrap();
    assert!(piece[..head].ends_with(b"\r\n\r\n"), "the head comes alone");
    let first = socket.read(&mut piece).unwrap();
    let text = String::from_utf8_lossy(&piece[..first]);
    assert!(text.contains("assistant") && text.contains("finish_reason\":\"length"), "{text}");
}

#[test]
fn request_ids_are_taken_over_and_answers_follow_the_seed() {
    let server = start(Settings::default());
    let body = chat("hi", r#","max_tokens":20"#);
    let extra = "content-type: application/json\r\nx-request-id: my-id-123\r\n";
    let named = ask(server.addr(), "POST", CHAT, extra, &body).unwrap().json();
    assert_eq!(named["id"], "chatcmpl-my-id-123");
    let again = start(Settings::default());
    let same = post(again.addr(), CHAT, &body).json();
    assert_eq!(same["choices"][0]["message"], named["choices"][0]["message"]);
    let other = post(again.addr(), CHAT, &body).json();
    assert_ne!(other["choices"][0]["message"], named["choices"][0]["message"]);
}

#[test]
fn a_repeated_prompt_shows_as_cached_until_the_cache_is_reset() {
    let server = start(Settings::default());
    let words = "w ".repeat(55);
    let cached = || {
        let response = post(server.addr(), CHAT, &chat(&words, r#","max_tokens":1"#)).json();
        response["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap()
    };
    // 9 + 55 tokens are 4 blocks, of which the last is computed again.
    assert_eq!((cached(), cached()), (0, 48));
    let hits = || metric(server.addr(), "vllm:prefix_cache_hits_total");
    eventually("the hits to be counted", || hits() == 48.0);
    assert_eq!(metric(server.addr(), "vllm:prefix_cache_queries_total"), 128.0);
    eventually("the cache to be reset", || {
        post(server.addr(), "/reset_prefix_cache", "").json() == json!({"success": true})
    });
    assert_eq!(cached(), 0);
}

#[test]
fn metrics_have_vllms_names_for_every_replica() {
    let server = start(Settings { data_parallel_size: 2, ..Settings::default() });
    for _ in 0..2 {
        post(server.addr(), CHAT, &chat("one two", r#","max_tokens":3"#));
    }
    eventually("both requests to be counted", || {
        metric(server.addr(), "vllm:request_success_total") == 2.0
    });
    let page = get(server.addr(), "/metrics");
    let Some(folder) = captures() else { return };
    let theirs = std::fs::read_to_string(folder.join("metrics_dp2.txt")).unwrap();
    for name in [
        "num_requests_running",
        "num_requests_waiting",
        "kv_cache_usage_perc",
        "prompt_tokens_total",
        "generation_tokens_total",
        "prefix_cache_queries_total",
        "prefix_cache_hits_total",
        "num_preemptions_total",
        "request_success_total",
        "cache_config_info",
        "time_to_first_token_seconds_bucket",
        "inter_token_latency_seconds_bucket",
        "e2e_request_latency_seconds_bucket",
        "request_queue_time_seconds_bucket",
        "request_inference_time_seconds_bucket",
        "request_prefill_time_seconds_bucket",
        "request_decode_time_seconds_bucket",
        "iteration_tokens_total_bucket",
        "request_prompt_tokens_sum",
        "request_generation_tokens_count",
    ] {
        // Both servers label by engine; other labels may be more on theirs, none on ours.
        for (which, text) in [("vLLM", theirs.as_str()), ("the simulator", page.text())] {
            for engine in ["engine=\"0\"", "engine=\"1\""] {
                let start = format!("vllm:{name}{{");
                assert!(
                    text.lines().any(|line| line.starts_with(&start) && line.contains(engine)),
                    "{which} does not give {name} for {engine}"
                );
            }
        }
    }
}

#[test]
fn a_client_that_leaves_frees_its_slot() {
    let server = start(Settings { max_num_seqs: 1, ..Settings::default() });
    let mut socket = connect(server.addr());
    let body = chat("hi", r#","stream":true,"max_tokens":4000"#);
    socket.write_all(&encode_json(CHAT, &body)).unwrap();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&piece).contains("assistant") {
        assert_ne!(socket.read(&mut piece).unwrap(), 0);
    }
    drop(socket);
    // 4,000 tokens would take eight seconds; the next request is served long before.
    post(server.addr(), CHAT, &chat("hi", r#","max_tokens":1"#));
    eventually("nothing to be running", || {
        metric(server.addr(), "vllm:num_requests_running") == 0.0
    });
    let made = metric(server.addr(), "vllm:generation_tokens_total");
    assert!(made < 3_000.0, "{made} tokens were made for a client that had gone");
}

#[test]
fn the_stream_interval_gathers_tokens() {
    let server = start(Settings { stream_interval: 8, ..Settings::default() });
    let rest = r#","stream":true,"max_tokens":20,"stream_options":{"include_usage":true}"#;
    let events = post(server.addr(), CHAT, &chat("hi", rest)).events();
    let counts: Vec<usize> = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .map(|text| text.split_whitespace().count())
        .collect();
    assert_eq!(counts, [0, 1, 8, 8, 3], "the role, the first token, then eight at a time");
    assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], 20);
}

#[test]
fn a_full_queue_is_refused_at_once() {
    let settings =
        Settings { max_num_seqs: 1, max_num_queued_reqs: Some(1), ..Settings::default() };
    let server = start(settings);
    let mut socket = connect(server.addr());
    let body = chat("hi", r#","stream":true,"max_tokens":4000"#);
    socket.write_all(&encode_json(CHAT, &body)).unwrap();
    assert_ne!(socket.read(&mut [0; 4096]).unwrap(), 0);
    let refused = post(server.addr(), CHAT, &chat("hi", r#","max_tokens":1"#));
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["error"]["type"], "Service Unavailable");
}

#[test]
fn answers_end_by_themselves_only_where_the_model_does() {
    let model = ModelProfile { natural_stop: Some(Lengths::Constant(4)), ..ModelProfile::tiny() };
    let server = SimServer::start(SimConfig { model, ..SimConfig::default() }).unwrap();
    let end = |rest: &str| {
        let body = post(server.addr(), CHAT, &chat("hi", rest)).json();
        let reason = body["choices"][0]["finish_reason"].as_str().unwrap().to_owned();
        (body["usage"]["completion_tokens"].as_u64().unwrap(), reason)
    };
    assert_eq!(end(r#","max_tokens":9"#), (4, "stop".to_owned()));
    assert_eq!(end(r#","max_tokens":9,"min_tokens":6"#), (6, "stop".to_owned()));
    assert_eq!(end(r#","max_tokens":3"#), (3, "length".to_owned()));
    assert_eq!(end(r#","max_tokens":9,"ignore_eos":true"#), (9, "length".to_owned()));
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let taken = start(Settings::default());
    let port = taken.addr().port();
    let config = || SimConfig { model: ModelProfile::tiny(), ..SimConfig::default() };
    let refuse = |config: SimConfig| SimServer::start(config).unwrap_err();
    let error = refuse(SimConfig { port, ..config() });
    assert!(matches!(error, StartError::Bind { .. }) && error.to_string().contains("another port"));
    let error = refuse(SimConfig { http_threads: 0, ..config() });
    assert!(error.to_string().contains("http_threads = 0"), "{error}");
    let error = refuse(SimConfig { truth: Some("/nowhere/truth.jsonl".into()), ..config() });
    assert!(error.to_string().contains("/nowhere/truth.jsonl"), "{error}");
    let named = ModelProfile { name: "a\"b".to_owned(), ..ModelProfile::tiny() };
    assert!(refuse(SimConfig { model: named, ..config() }).to_string().contains("a\"b"));
    let small = Settings { num_gpu_blocks_override: Some(2), ..Settings::default() };
    let error = refuse(SimConfig { settings: small, ..config() });
    assert!(error.to_string().contains("num-gpu-blocks-override"), "{error}");
}
