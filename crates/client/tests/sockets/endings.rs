//! Every way in which a response can be wrong, late, or not there.

use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use plimsoll_client::{Client, ClientConfig, ClientError, Secret, Timeouts};
use plimsoll_records::{Outcome, RequestRow};
use tokio::time::sleep;

use crate::server::{DONE, FINISH, Peer, ROLE, Server, TOKEN, plain};
use crate::{PATIENT, Sender, answer, assert_failed, config, run};

#[test]
fn nobody_there_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let row = run(Sender::new(config(&url)).send());
    assert_failed(&row, Outcome::Refused, "connecting to 127.0.0.1");
    assert_eq!((row.connected, row.connection, row.sent), (None, None, None));
    // A label of 64 characters is no name: that fails without asking anyone.
    let url = format!("http://{}.example", "a".repeat(64));
    assert_failed(&run(Sender::new(config(&url)).send()), Outcome::Refused, "has no address");
}

#[test]
fn statuses_keep_the_servers_words_and_the_connection() {
    let cases = [
        ("401 Unauthorized", r#"{"error":{"message":"bad key","code":401}}"#, "bad key"),
        ("404 Not Found", r#"{"detail":"Not Found"}"#, "Not Found"),
        ("429 Too Many Requests", r#"{"message":"slow down","code":429}"#, "slow down"),
        ("500 Internal Server Error", "<html>oops</html>", "<html>oops</html>"),
        ("503 Service Unavailable", "", "Service Unavailable"),
    ];
    let server = Server::start(move |_, mut peer| {
        for (status, body, _) in cases {
            peer.request();
            peer.send(&plain(status, "application/json", body));
        }
        peer.wait_for_close();
    });
    run(async {
        let sender = Sender::to(&server);
        for (status, _, words) in cases {
            let row = sender.send().await;
            assert_failed(&row, Outcome::HttpStatus, words);
            assert_eq!(row.http_status, status[..3].parse().ok());
            assert!(row.first_byte.is_some() && row.first_token().is_none());
        }
    });
    assert_eq!(server.connections(), 1);
}

#[test]
fn html_is_no_stream() {
    let page = "<html><title>Welcome</title></html>";
    let row = answer(plain("200 OK", "text/html; charset=utf-8", page));
    assert_failed(&row, Outcome::Malformed, "`text/html; charset=utf-8` and no event stream");
    assert_failed(&row, Outcome::Malformed, "Welcome");
    assert_eq!(row.http_status, Some(200));
    let row = answer(plain("502 Bad Gateway", "text/html", page));
    assert_failed(&row, Outcome::HttpStatus, "Welcome");
}

#[test]
fn the_api_key_is_sent_and_never_shown() {
    let (asked, request) = mpsc::channel();
    let server = Server::start(move |_, mut peer| {
        asked.send(peer.request().unwrap()).unwrap();
        let body = format!("{}{}", "z".repeat(990), "wrong key sk-very-secret");
        peer.send(&plain("401 Unauthorized", "text/plain", &body));
    });
    let key = Secret::new("sk-very-secret");
    let config = ClientConfig { api_key: Some(key), ..config(&server.url()) };
    let sender = Sender::new(config);
    assert!(!format!("{:?}", sender.client).contains("very-secret"));
    let row = run(sender.send());
    let text = row.error.unwrap();
    assert!(text.contains("wrong key") && !text.contains("sk-"), "{text}");
    assert!(text.chars().count() <= 1000);
    let request = request.recv().unwrap().to_ascii_lowercase();
    assert!(request.contains("\r\nauthorization: bearer sk-very-secret\r\n"), "{request}");
    assert!(request.starts_with("post /v1/chat/completions http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: {}\r\n", server.address)), "{request}");

    let bad = ClientConfig { api_key: Some(Secret::new("a\nb")), ..crate::config(&server.url()) };
    let error = Client::new(bad).unwrap_err();
    assert!(matches!(error, ClientError::ApiKey), "{error}");
}

/// Sends two tokens, then lets `after` decide.
fn half_way(after: impl Fn(Peer) + Send + Sync + 'static) -> RequestRow {
    let server = Server::start(move |_, mut peer| {
        peer.request();
        peer.begin();
        peer.event(TOKEN);
        peer.event(TOKEN);
        // The tokens shall be read before a reset throws away what is not.
        std::thread::sleep(Duration::from_millis(200));
        after(peer);
    });
    run(Sender::to(&server).send())
}

#[test]
fn a_stream_that_stops_half_way_keeps_its_tokens() {
    let closed = half_way(drop);
    assert_failed(&closed, Outcome::Reset, "died during the response");
    let reset = half_way(Peer::reset);
    assert_failed(&reset, Outcome::Reset, "died during the response");
    let ended = half_way(|mut peer| {
        peer.end();
        peer.wait_for_close();
    });
    assert_failed(&ended, Outcome::Truncated, "without finish reason");
    for row in [closed, reset, ended] {
        assert_eq!((row.chunks.len(), row.http_status), (2, Some(200)));
    }
}

#[test]
fn a_stream_that_never_starts_meets_the_limit_for_the_first_token() {
    let silent: fn(&mut Peer) = |_| {};
    let head: fn(&mut Peer) = Peer::begin;
    let role: fn(&mut Peer) = |peer| {
        peer.begin();
        peer.event(ROLE);
        while peer.chunk(b": keep-alive\n\n") {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    for talk in [silent, head, role] {
        let server = Server::start(move |_, mut peer| {
            peer.request();
            talk(&mut peer);
            peer.wait_for_close();
        });
        let timeouts = Timeouts { first_token: Duration::from_millis(200), ..PATIENT };
        let row = run(Sender::new(ClientConfig { timeouts, ..config(&server.url()) }).send());
        assert_failed(&row, Outcome::Timeout, "no first token within 200ms");
        assert!(row.sent.is_some() && row.done - row.dequeued >= Duration::from_millis(200));
    }
}

#[test]
fn a_stream_that_goes_on_meets_the_limit_for_the_request() {
    let server = Server::start(|_, mut peer| {
        peer.request();
        peer.begin();
        while peer.event(TOKEN) {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let timeouts = Timeouts { request: Duration::from_millis(400), ..PATIENT };
    let row = run(Sender::new(ClientConfig { timeouts, ..config(&server.url()) }).send());
    assert_failed(&row, Outcome::Timeout, "not over within 400ms");
    assert!(!row.chunks.is_empty() && row.first_answer.is_some());
}

#[test]
fn a_flood_does_not_hide_the_limit_for_the_request() {
    let flood = format!("data: {TOKEN}\n\n").repeat(500);
    let server = Server::start(move |_, mut peer| {
        peer.request();
        peer.begin();
        while peer.chunk(flood.as_bytes()) {}
    });
    let timeouts = Timeouts { request: Duration::from_millis(300), ..PATIENT };
    let row = run(Sender::new(ClientConfig { timeouts, ..config(&server.url()) }).send());
    assert_failed(&row, Outcome::Timeout, "not over within 300ms");
    assert!(row.chunks.len() > 500);
}

#[test]
fn connecting_has_a_limit_too() {
    // A server that says nothing never finishes a TLS handshake.
    let server = Server::start(|_, mut peer| {
        peer.wait_for_close();
    });
    let url = format!("https://{}", server.address);
    let timeouts = Timeouts { connect: Duration::from_millis(150), ..PATIENT };
    let row = run(Sender::new(ClientConfig { timeouts, ..config(&url) }).send());
    assert_failed(&row, Outcome::Timeout, "no connection within 150ms");
    assert_eq!((row.connected, row.sent), (None, None));
}

#[test]
fn garbage_is_malformed() {
    assert_failed(&answer(&b"\x16\x03\x01\x02garbage\r\n\r\n"[..]), Outcome::Malformed, "not HTTP");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let row = answer(format!("{head}data: {TOKEN}\n\ndata: \u{1}\u{2}\n\n"));
    assert_failed(&row, Outcome::Malformed, "no chunk");
    assert_eq!(row.chunks.len(), 1);
    let mut bytes = format!("{head}data: {{\"choices\":[{{\"text\":\"").into_bytes();
    bytes.extend_from_slice(b"\xff\xfe\"}]}\n\n");
    assert_failed(&answer(bytes), Outcome::Malformed, "no chunk");
}

#[test]
fn a_line_of_ten_megabytes_is_left_unread() {
    let (told, taken) = mpsc::channel();
    let server = Server::start(move |_, mut peer| {
        peer.request();
        peer.begin();
        peer.event(TOKEN);
        let piece = [b'x'; 100_000];
        let pieces = (0..100).take_while(|_| peer.chunk(&piece)).count();
        told.send(peer.wait_for_close() || pieces < 100).unwrap();
    });
    let row = run(async {
        let row = Sender::to(&server).send().await;
        sleep(Duration::from_millis(1)).await;
        row
    });
    assert_failed(&row, Outcome::Malformed, "longer than 1048576 bytes");
    assert_eq!(row.chunks.len(), 1);
    assert!(taken.recv().unwrap(), "the connection was closed before all of it was read");
}

#[test]
fn comments_come_first_and_characters_are_cut_in_two() {
    let text = "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\u{1f600}\u{20ac}\"}}]}";
    let server = Server::start(move |_, mut peer| {
        peer.request();
        peer.begin();
        for _ in 0..3 {
            peer.chunk(b":\n\n");
        }
        let event = format!("data:{text}\r\n\r\n");
        for piece in event.as_bytes().chunks(1) {
            peer.chunk(piece);
            std::thread::sleep(Duration::from_micros(200));
        }
        peer.event(FINISH);
        peer.event(DONE);
        peer.end();
        peer.wait_for_close();
    });
    let row = run(Sender::to(&server).send());
    assert_eq!((row.outcome, row.chunks.len()), (Outcome::Ok, 1), "{row:?}");
    assert!(row.first_token() > row.first_byte, "a comment is no token");
}
