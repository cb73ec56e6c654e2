//! Servers that refuse, hang, lie and talk nonsense: each gives its own error, and none a hang.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use plimsoll_server::{ControlClient, ServerError, UnreachableCause};

use crate::stand_in::{StandIn, client, http, json, wait};

fn models_error(url: &str) -> ServerError {
    wait(client(url, None).models()).unwrap_err()
}

/// The error of a client that waits for `timeout`; the test fails if the call outlives it by much.
fn impatient_error(url: &str, timeout: Duration) -> ServerError {
    let client = ControlClient::new(url, None, timeout).unwrap();
    wait(async {
        // Far beyond the timeout, for a loaded machine; without a bound the test would never end.
        tokio::time::timeout(Duration::from_secs(60), client.models()).await
    })
    .expect("the client's own timeout comes long before this one")
    .unwrap_err()
}

fn unreachable_cause(error: &ServerError) -> UnreachableCause {
    match error {
        ServerError::Unreachable { cause, .. } => *cause,
        other => panic!("expected an unreachable server, got {other:?}"),
    }
}

fn status_of(answer: Vec<u8>) -> (u16, String) {
    let server = StandIn::always(answer);
    match wait(server.client().models()).unwrap_err() {
        ServerError::Status { status, message, .. } => (status, message),
        other => panic!("expected a status, got {other:?}"),
    }
}

fn not_open_ai(answer: Vec<u8>) -> String {
    let server = StandIn::always(answer);
    match wait(server.client().models()).unwrap_err() {
        ServerError::NotOpenAi { what, .. } => what,
        other => panic!("expected no OpenAI server, got {other:?}"),
    }
}

#[test]
fn a_refused_port() {
    // Bound once and let go, so that nothing listens there.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = models_error(&format!("http://{free}"));
    assert_eq!(unreachable_cause(&error), UnreachableCause::Refused);
    let text = error.to_string();
    assert!(text.starts_with(&format!("http://{free}/v1/models cannot be reached")), "{text}");
    assert!(text.contains("start the server"), "{text}");
}

#[test]
fn a_host_without_an_address() {
    // A label of 64 characters is refused by every resolver without asking the network.
    let error = models_error(&format!("http://{}.invalid:8000", "a".repeat(64)));
    assert_eq!(unreachable_cause(&error), UnreachableCause::Dns, "{error}");
}

#[test]
fn a_server_that_never_answers() {
    let url = StandIn::raw(|stream| {
        let _ = stream.read(&mut [0; 1024]);
        thread::sleep(Duration::from_secs(120));
    });
    let error = impatient_error(&url, Duration::from_millis(200));
    assert_eq!(unreachable_cause(&error), UnreachableCause::Timeout);
    assert!(error.to_string().contains("no answer within 200ms"), "{error}");
}

#[test]
fn a_server_that_answers_for_ever() {
    let url = StandIn::raw(|stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    });
    let error = impatient_error(&url, Duration::from_millis(300));
    assert_eq!(unreachable_cause(&error), UnreachableCause::Timeout);
}

#[test]
fn an_answer_without_bound_is_cut_off() {
    let url = StandIn::raw(|stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let block = vec![b'x'; 1 << 20];
        while stream.write_all(&block).is_ok() {}
    });
    match wait(client(&url, None).post_json("/v1/completions", Bytes::new())).unwrap_err() {
        ServerError::NotOpenAi { what, .. } => assert_eq!(what, "it sent more than 16 MiB"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_that_ends_too_soon() {
    for head in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"data\""] {
        let server = StandIn::always(head.as_bytes().to_vec());
        let error = wait(server.client().models()).unwrap_err();
        assert_eq!(unreachable_cause(&error), UnreachableCause::Closed, "{head:?}: {error}");
    }
}

#[test]
fn a_reset_connection() {
    let url = StandIn::raw(|stream| {
        // Closing with unread bytes in the buffer makes the kernel send a reset.
        let _ = stream.read(&mut [0; 1]);
    });
    assert_eq!(unreachable_cause(&models_error(&url)), UnreachableCause::Closed);
}

#[test]
fn garbage_instead_of_http() {
    assert!(not_open_ai(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()).contains("does not speak HTTP"));
    assert!(not_open_ai(vec![0xff; 4096]).contains("does not speak HTTP"));
    // A greeting that does not wait to be asked.
    let url = StandIn::raw(|stream| {
        let _ = stream.write_all(b"220 mail.example.org ESMTP\r\n");
        let _ = stream.read(&mut [0; 1024]);
        thread::sleep(Duration::from_millis(200));
    });
    match models_error(&url) {
        ServerError::NotOpenAi { .. } | ServerError::Unreachable { .. } => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_web_page() {
    let page = format!("<!DOCTYPE html>\n<html><title>Router</title>{}", "x".repeat(500));
    for status in ["200 OK", "404 Not Found"] {
        let what = not_open_ai(http(status, "text/html; charset=utf-8", &page));
        assert!(
            what.contains("a web page, `<!DOCTYPE html> <html><title>Router</title>"),
            "{what}"
        );
        assert!(what.chars().count() < 140, "{what}");
    }
    // The content type may lie.
    assert!(not_open_ai(json("200 OK", "  <html>")).contains("web page"));
}

#[test]
fn json_that_is_no_list_of_models() {
    assert!(not_open_ai(json("200 OK", r#"{"hello":"world"}"#)).contains("no list `data`"));
    assert!(not_open_ai(json("200 OK", "")).contains("it answered ``"));
    assert!(not_open_ai(json("200 OK", "Ollama is running")).contains("`Ollama is running`"));
    let escapes = not_open_ai(json("200 OK", "\u{1b}[2J\u{7}evil"));
    assert_eq!(escapes, "it answered `?[2J?evil`");
}

#[test]
fn statuses_carry_the_servers_own_words() {
    let nested = r#"{"error":{"message":"Unauthorized","type":"x","code":401}}"#;
    assert_eq!(status_of(json("401 Unauthorized", nested)), (401, "Unauthorized".to_owned()));
    for (body, words) in [
        (r#"{"error":"Unauthorized"}"#, "Unauthorized"),
        (r#"{"message":"Model not found","code":404}"#, "Model not found"),
        (r#"{"detail":"Not Found"}"#, "Not Found"),
        (r#"{"detail":[{"msg":"field required"}]}"#, "field required"),
        ("plain\r\n words", "plain words"),
        ("", ""),
    ] {
        assert_eq!(status_of(json("404 Not Found", body)), (404, words.to_owned()));
    }
    let (status, message) = status_of(json("500 Internal Server Error", &"x".repeat(5000)));
    assert_eq!((status, message.chars().count()), (500, 201));
    // A proxy's page for a status is that status.
    let page = "<html>502 Bad Gateway</html>";
    assert_eq!(status_of(http("502 Bad Gateway", "text/html", page)), (502, page.to_owned()));
    assert_eq!(status_of(json("429 Too Many Requests", "")).0, 429);
    assert_eq!(status_of(json("503 Service Unavailable", "")).0, 503);
}

#[test]
fn statuses_come_with_a_remedy() {
    for (status, remedy) in [
        ("401 Unauthorized", "API key"),
        ("403 Forbidden", "API key"),
        ("404 Not Found", "ends in /v1"),
        ("429 Too Many Requests", "has room"),
        ("500 Internal Server Error", "server's log"),
        ("503 Service Unavailable", "still be loading"),
    ] {
        let server = StandIn::always(json(status, ""));
        let text = wait(server.client().models()).unwrap_err().to_string();
        assert!(text.contains(remedy), "{text}");
    }
}

#[test]
fn a_redirect_is_named_and_not_followed() {
    let server = StandIn::always(
        b"HTTP/1.1 301 Moved Permanently\r\nlocation: https://other/v1/models\r\n\
          content-length: 0\r\n\r\n"
            .to_vec(),
    );
    let error = wait(server.client().models()).unwrap_err();
    assert!(error.to_string().contains("it redirects to https://other/v1/models"), "{error}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn metrics_that_fail_are_an_error_and_metrics_that_are_not_offered_are_none() {
    let server = StandIn::always(json("500 Internal Server Error", "boom"));
    assert!(wait(server.client().metrics()).is_err());
    let server = StandIn::always(json("404 Not Found", ""));
    assert_eq!(wait(server.client().metrics()).unwrap(), None);
    assert_eq!(wait(server.client().version()).unwrap(), None);
}
