//! The API key stays where it belongs, whatever the server does with it.

use std::time::Duration;

use bytes::Bytes;
use plimsoll_server::{Attached, TokenizeInput, wait_ready};

use crate::stand_in::{StandIn, client, http, json, wait};

const KEY: &str = "sk-very-secret-4711";

#[test]
fn the_key_is_in_no_debug_text() {
    let client = client("http://localhost:8000", Some(KEY));
    let text = format!("{client:?} {client:#?}");
    assert!(!text.contains(KEY) && text.contains("[redacted]"), "{text}");
}

#[test]
fn a_server_that_echoes_the_key_does_not_get_it_into_an_error() {
    let echo = format!("Incorrect API key provided: {KEY}.");
    for answer in [
        json("401 Unauthorized", &format!(r#"{{"error":{{"message":"{echo}"}}}}"#)),
        json("400 Bad Request", &echo),
        json("200 OK", &echo),
        http("200 OK", "text/html", &format!("<html>{echo}")),
        format!("HTTP/1.1 302 Found\r\nlocation: http://h/?key={KEY}\r\ncontent-length: 0\r\n\r\n")
            .into_bytes(),
        format!("{KEY}\r\n\r\n").into_bytes(),
        format!("HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n").into_bytes(),
    ] {
        let server = StandIn::always(answer);
        let client = client(&server.url, Some(KEY));
        let error = wait(client.models()).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("4711"), "{text}");
        if let Err(error) = wait(client.tokenize("m", TokenizeInput::Prompt("x"))) {
            let text = format!("{error} {error:?}");
            assert!(!text.contains("4711"), "{text}");
        }
        assert!(server.asked()[0].headers.contains(KEY), "the server must have had the key");
    }
}

#[test]
fn a_key_cut_by_the_length_of_a_message_does_not_leave_its_first_half() {
    // The message is cut at 200 characters; the key must be taken out before.
    let echo = format!("{}{KEY}", "x".repeat(190));
    let server = StandIn::always(json("401 Unauthorized", &echo));
    let error = wait(client(&server.url, Some(KEY)).models()).unwrap_err().to_string();
    assert!(!error.contains("sk-very"), "{error}");
    let page = format!("<html>{}{KEY}", "x".repeat(64));
    let server = StandIn::always(http("200 OK", "text/html", &page));
    let error = wait(client(&server.url, Some(KEY)).models()).unwrap_err().to_string();
    assert!(!error.contains("sk-very"), "{error}");
}

#[test]
fn a_probe_gets_its_answer_without_the_key() {
    for status in ["200 OK", "400 Bad Request"] {
        let echo = format!(r#"{{"error":{{"message":"bad key {KEY}"}}}}"#);
        let server = StandIn::always(json(status, &echo));
        let client = client(&server.url, Some(KEY));
        let answer = wait(client.post_json("/v1/completions", Bytes::new())).unwrap();
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(body, r#"{"error":{"message":"bad key [api key]"}}"#);
    }
}

#[test]
fn a_server_that_echoes_the_key_while_it_is_waited_for() {
    // A key so short that no body is searched for it, and one that is.
    for key in [KEY, "k4711"] {
        let refused = format!(r#"{{"error":{{"message":"bad key {key}"}}}}"#);
        let stream = format!("data: {{\"error\":{{\"message\":\"bad key {key}\"}}}}\n\n");
        for token in
            [json("400 Bad Request", &refused), json("200 OK", &stream), json("200 OK", key)]
        {
            let server = StandIn::new(move |asked| match asked.line.as_str() {
                "GET /health" => json("200 OK", ""),
                "GET /v1/models" => json("200 OK", r#"{"data":[{"id":"tiny"}]}"#),
                _ => token.clone(),
            });
            let client = client(&server.url, Some(key));
            let mut owned = Attached::new(server.url.clone());
            let limit = Duration::from_millis(600);
            let error = wait(wait_ready(&mut owned, &client, None, limit, &|| false)).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(!text.contains("4711") && text.contains("[api key]"), "{text}");
        }
    }
}
