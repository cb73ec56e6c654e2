//! What is asked, and what well-behaved answers become.

use bytes::Bytes;
use plimsoll_server::{Health, ServerError, ServerKind, TokenizeInput, choose_model};
use plimsoll_units::Tokens;
use serde_json::{Value, json as value};

use crate::stand_in::{Asked, StandIn, client, http, json, wait};

const MODELS: &str = r#"{"object":"list","data":[{"id":"a","max_model_len":4096},{"id":"b"}]}"#;

#[test]
fn every_form_of_the_url_asks_the_same_path() {
    let server = StandIn::always(json("200 OK", MODELS));
    for suffix in ["", "/", "/v1", "/v1/"] {
        let models = wait(client(&format!("{}{suffix}", server.url), None).models()).unwrap();
        assert_eq!(models.len(), 2);
        assert_eq!(models[0].max_model_len, Some(4096));
    }
    wait(client(&format!("{}/proxy/v1", server.url), None).models()).unwrap();
    let lines: Vec<_> = server.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines[..4], ["GET /v1/models"; 4]);
    assert_eq!(lines[4], "GET /proxy/v1/models");
}

#[test]
fn the_key_goes_into_its_header_and_without_one_there_is_none() {
    let server = StandIn::always(json("200 OK", MODELS));
    wait(client(&server.url, Some("sk-1")).models()).unwrap();
    wait(server.client().models()).unwrap();
    let asked = server.asked();
    assert!(asked[0].headers.contains("authorization: Bearer sk-1"), "{}", asked[0].headers);
    assert!(!asked[1].headers.contains("authorization"), "{}", asked[1].headers);
}

#[test]
fn an_empty_list_is_a_list() {
    let server = StandIn::always(json("200 OK", r#"{"object":"list","data":[]}"#));
    let models = wait(server.client().models()).unwrap();
    assert!(models.is_empty());
    assert_eq!(choose_model(&models, Some("any")).unwrap().id, "any");
    assert_eq!(choose_model(&models, None), Err(ServerError::NoModel));
    let identity = wait(server.client().identify()).unwrap();
    assert_eq!((identity.server, identity.version), (None, None));
}

#[test]
fn health_is_ready_loading_or_not_said() {
    for (answer, expected) in [
        (http("200 OK", "text/plain", ""), Health::Ready),
        (
            json("503 Service Unavailable", r#"{"error":{"message":"Loading"}}"#),
            Health::NotReady(503),
        ),
        (json("500 Internal Server Error", ""), Health::NotReady(500)),
        (json("404 Not Found", ""), Health::NotOffered),
    ] {
        assert_eq!(wait(StandIn::always(answer).client().health()).unwrap(), expected);
    }
}

#[test]
fn tokenize_asks_as_prompt_or_as_chat() {
    let server = StandIn::always(json("200 OK", r#"{"count":10,"max_model_len":4096}"#));
    let client = server.client();
    let count = wait(client.tokenize("m", TokenizeInput::Prompt("say \"hi\"\n"))).unwrap();
    assert_eq!(count, Some(Tokens::new(10)));
    wait(client.tokenize("m", TokenizeInput::Chat("hi"))).unwrap();
    let bodies: Vec<Value> =
        server.asked().iter().map(|asked| serde_json::from_str(&asked.body).unwrap()).collect();
    assert_eq!(bodies[0], value!({ "model": "m", "prompt": "say \"hi\"\n" }));
    let chat = value!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
    assert_eq!(bodies[1], chat);
    assert_eq!(server.asked()[0].line, "POST /tokenize");
    assert!(server.asked()[0].headers.contains("content-type: application/json"));
}

#[test]
fn tokenize_gives_none_where_no_count_can_be_had() {
    for answer in [
        json("404 Not Found", r#"{"detail":"Not Found"}"#),
        json("405 Method Not Allowed", ""),
        json("501 Not Implemented", ""),
        // llama.cpp's route of that name, asked in vLLM's way.
        json("200 OK", r#"{"tokens":[]}"#),
        json("200 OK", r#"{"count":-1}"#),
        json("200 OK", r#"{"count":99999999999}"#),
        json("200 OK", "garbage"),
    ] {
        let server = StandIn::always(answer);
        let count = wait(server.client().tokenize("m", TokenizeInput::Prompt("x"))).unwrap();
        assert_eq!(count, None);
    }
}

#[test]
fn tokenize_of_a_missing_model_is_an_error() {
    let server = StandIn::always(json(
        "404 Not Found",
        r#"{"error":{"message":"The model `nope` does not exist.","type":"NotFoundError"}}"#,
    ));
    let error = wait(server.client().tokenize("nope", TokenizeInput::Prompt("x"))).unwrap_err();
    assert!(matches!(error, ServerError::Status { status: 404, .. }), "{error}");
    let server = StandIn::always(json("400 Bad Request", r#"{"error":{"message":"no template"}}"#));
    let error = wait(server.client().tokenize("m", TokenizeInput::Chat("x"))).unwrap_err();
    assert!(error.to_string().contains("no template"), "{error}");
}

#[test]
fn the_prefix_cache_is_reset_where_it_can_be() {
    for (answer, expected) in [
        (json("200 OK", r#"{"success":true}"#), true),
        (http("200 OK", "text/plain", ""), true),
        (json("200 OK", r#"{"success":false}"#), false),
        (json("404 Not Found", r#"{"detail":"Not Found"}"#), false),
        (http("200 OK", "text/html", "<html>"), false),
    ] {
        let server = StandIn::always(answer);
        assert_eq!(wait(server.client().reset_prefix_cache()).unwrap(), expected);
        assert_eq!(server.asked()[0].line, "POST /reset_prefix_cache");
    }
}

#[test]
fn probes_get_status_and_body_as_they_are() {
    let server = StandIn::new(|asked: &Asked| json("418 I'm a teapot", &asked.body));
    let body = Bytes::from_static(b"{\"x\":1}");
    let response = wait(server.client().post_json("/v1/completions", body.clone())).unwrap();
    assert_eq!((response.status, response.body), (418, body));
    assert_eq!(server.asked()[0].line, "POST /v1/completions");
    let error = wait(server.client().post_json("v1", Bytes::new())).unwrap_err();
    assert!(matches!(error, ServerError::BadUrl { .. }), "{error}");
}

#[test]
fn idle_follows_the_metrics() {
    let metrics = |running: u32, waiting: u32| {
        let page = format!(
            "vllm:num_requests_running{{engine=\"0\"}} {running}\n\
             vllm:num_requests_waiting{{engine=\"0\"}} {waiting}\n"
        );
        http("200 OK", "text/plain; version=0.0.4", &page)
    };
    for (answer, expected) in [
        (metrics(0, 0), Some(true)),
        (metrics(1, 0), Some(false)),
        (metrics(0, 3), Some(false)),
        (http("200 OK", "text/plain", "up 1\n"), None),
        (http("200 OK", "text/html", "<!doctype html>\n<p>hello"), None),
        (json("404 Not Found", ""), None),
    ] {
        assert_eq!(wait(StandIn::always(answer).client().idle()).unwrap(), expected);
    }
}

#[test]
fn metrics_are_looked_for_where_tensorrt_llm_has_them() {
    let server = StandIn::new(|asked| match asked.line.as_str() {
        "GET /metrics" => json("200 OK", r#"[{"numActiveRequests":2}]"#),
        "GET /prometheus/metrics" => {
            http("200 OK", "text/plain", "trtllm_num_requests_running 2\n")
        }
        _ => json("404 Not Found", ""),
    });
    let sample = wait(server.client().metrics()).unwrap().unwrap();
    assert_eq!((sample.server, sample.running), (Some(ServerKind::TensorRtLlm), Some(2.0)));
    // A server that has its page in the usual place is not asked for another.
    let usual = StandIn::always(http("200 OK", "text/plain", "up 1\n"));
    assert!(wait(usual.client().metrics()).unwrap().is_some());
    assert_eq!(usual.asked().len(), 1);
}

#[test]
fn a_chunked_answer_is_read_whole() {
    let server = StandIn::always(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\n{\"data\":[{\"\r\n8\r\nid\":\"a\"}\r\n\
          2\r\n]}\r\n0\r\n\r\n"
            .to_vec(),
    );
    assert_eq!(wait(server.client().models()).unwrap()[0].id, "a");
}

#[test]
fn identity_survives_failures_of_all_but_the_models() {
    let server = StandIn::new(|asked| match asked.line.as_str() {
        "GET /v1/models" => json("200 OK", MODELS),
        "GET /version" => json("500 Internal Server Error", "oops"),
        _ => b"garbage".to_vec(),
    });
    let identity = wait(server.client().identify()).unwrap();
    assert_eq!(identity.models.len(), 2);
    assert_eq!((identity.server, identity.version), (None, None));
}
