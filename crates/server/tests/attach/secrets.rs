//! The API key stays where it belongs, whatever the server does with it.

use plimsoll_server::TokenizeInput;

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
