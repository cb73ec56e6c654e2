//! Every planted fault as a client meets it.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use plimsoll_sim::{Cut, Fault, FaultKind, ModelProfile, SimConfig, SimServer};
use plimsoll_units::{Clock, RunClock};

use crate::raw::{Response, ask, chat, connect, encode_json, post};

const CHAT: &str = "/v1/chat/completions";
const STREAM: &str = r#","stream":true,"max_tokens":6,"stream_options":{"include_usage":true}"#;

fn faulty(faults: Vec<Fault>) -> SimServer {
    let model = ModelProfile::tiny();
    SimServer::start(SimConfig { model, faults, ..SimConfig::default() }).unwrap()
}

fn stream(server: &SimServer) -> Response {
    post(server.addr(), CHAT, &chat("hi", STREAM))
}

/// Words of the answer that came.
fn tokens(response: &Response) -> usize {
    let text = response.text();
    let whole = &text[..text.rfind("\n\n").map_or(0, |end| end + 2)];
    crate::raw::events(whole)
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .map(|text| text.split_whitespace().count())
        .sum()
}

#[test]
fn statuses_strike_every_nth_request() {
    let server = faulty(vec![
        Fault { every: 2, after: 0, kind: FaultKind::Status { code: 429 } },
        Fault { every: 3, after: 0, kind: FaultKind::Status { code: 503 } },
    ]);
    let statuses: Vec<u16> = (0..6).map(|_| stream(&server).status).collect();
    assert_eq!(statuses, [200, 429, 503, 429, 200, 503]);
}

#[test]
fn streams_are_cut_in_three_ways_after_the_tokens_named() {
    let cut = |how| faulty(vec![Fault::always(FaultKind::Cut { after_tokens: 2, how })]);
    let ended = stream(&cut(Cut::End));
    assert_eq!((tokens(&ended), ended.complete), (2, true));
    assert!(!ended.text().contains("[DONE]"));
    let closed = stream(&cut(Cut::Close));
    assert_eq!((tokens(&closed), closed.complete), (2, false));

    let server = cut(Cut::Reset);
    let mut socket = connect(server.addr());
    socket.write_all(&encode_json(CHAT, &chat("hi", STREAM))).unwrap();
    let mut bytes = Vec::new();
    let error = socket.read_to_end(&mut bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn stalls_hold_the_stream_back_and_let_it_go_on() {
    for after_tokens in [0, 3] {
        let span = "400ms".parse().unwrap();
        let server = faulty(vec![Fault::always(FaultKind::Stall { after_tokens, span })]);
        let clock = RunClock::start();
        let begin = clock.now();
        let response = stream(&server);
        // Six tokens take 13 ms; a busy machine only makes it longer.
        assert!(clock.now() - begin >= Duration::from_millis(400));
        assert_eq!((tokens(&response), response.complete), (6, true));
    }
}

#[test]
fn answers_that_are_no_answers() {
    let garbage = faulty(vec![Fault::always(FaultKind::Garbage)]);
    let mut socket = connect(garbage.addr());
    socket.write_all(&encode_json(CHAT, &chat("hi", STREAM))).unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    assert!(bytes.starts_with(b"\x00\xff"), "{bytes:?}");
    assert!(!bytes.windows(5).any(|five| five == b"HTTP/"), "{bytes:?}");

    let html = stream(&faulty(vec![Fault::always(FaultKind::Html)]));
    assert_eq!(html.status, 200);
    assert!(html.head.contains("text/html") && html.text().contains("<html>"));

    let event = stream(&faulty(vec![Fault::always(FaultKind::ErrorEvent { after_tokens: 1 })]));
    assert_eq!(event.status, 200);
    assert!(event.text().contains("data: {\"error\":{") && event.text().ends_with("[DONE]\n\n"));
}

#[test]
fn what_was_asked_for_gets_lost() {
    let no_usage = stream(&faulty(vec![Fault::always(FaultKind::NoUsage)]));
    assert_eq!(tokens(&no_usage), 6);
    assert!(no_usage.events().iter().all(|event| event.get("usage").is_none()));

    let lost = faulty(vec![Fault::always(FaultKind::LostMaxTokens { becomes: 11 })]);
    assert_eq!(tokens(&stream(&lost)), 11);
}

#[test]
fn counts_are_wrong_after_a_while() {
    let usage = |response: &Response, key: &str| -> u64 {
        response.events().iter().rev().find_map(|event| event["usage"][key].as_u64()).unwrap()
    };
    let server = faulty(vec![
        Fault::from(1, FaultKind::UsageOff { tokens: 3 }),
        Fault::from(1, FaultKind::TemplateTwice { tokens: 8 }),
    ]);
    let (good, wrong) = (stream(&server), stream(&server));
    assert_eq!((tokens(&good), tokens(&wrong)), (6, 6));
    assert_eq!((usage(&good, "completion_tokens"), usage(&wrong, "completion_tokens")), (6, 9));
    assert_eq!(usage(&wrong, "prompt_tokens"), usage(&good, "prompt_tokens") + 8);
}

#[test]
fn the_first_requests_are_slow() {
    let extra = "400ms".parse().unwrap();
    let server = faulty(vec![Fault::always(FaultKind::SlowFirst { requests: 1, extra })]);
    let clock = RunClock::start();
    let begin = clock.now();
    stream(&server);
    assert!(clock.now() - begin >= Duration::from_millis(400));
    let page = crate::raw::metric(server.addr(), "vllm:time_to_first_token_seconds_sum");
    assert!(page < 0.3, "the engine saw the request late and served it as ever: {page}");
}

#[test]
fn a_line_that_does_not_end() {
    const BYTES: u64 = 10_000_000;
    let server = faulty(vec![Fault::always(FaultKind::LongLine { bytes: BYTES })]);
    let response = stream(&server);
    let line = response.body.iter().rev().take_while(|byte| **byte != b'\n').count();
    assert_eq!((line as u64, response.complete), (BYTES, true));
    assert_eq!(tokens(&response), 1);
}

#[test]
fn the_port_closes_after_the_requests_named() {
    let server = faulty(vec![Fault::always(FaultKind::Refuse { after: 2 })]);
    let mut kept = connect(server.addr());
    for _ in 0..2 {
        assert_eq!(stream(&server).status, 200);
    }
    crate::raw::eventually("connections to be refused", || {
        std::net::TcpStream::connect(server.addr())
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    // A connection that was open is served once more and then closed.
    kept.write_all(&encode_json(CHAT, &chat("hi", r#","max_tokens":1"#))).unwrap();
    let mut bytes = Vec::new();
    kept.read_to_end(&mut bytes).unwrap();
    let last = crate::raw::parse(&bytes);
    assert!(last.head.contains("connection: close"), "{}", last.head);
}

#[test]
fn a_server_without_faults_has_none() {
    let server = faulty(Vec::new());
    let response = ask(
        server.addr(),
        "POST",
        CHAT,
        "content-type: application/json; charset=utf-8\r\n",
        &chat("hi", STREAM),
    )
    .unwrap();
    assert_eq!((response.status, tokens(&response), response.complete), (200, 6, true));
}
