//! The ground-truth server, the null client and the whole client against each other over real sockets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use plimsoll_benches::{
    Bodies, BodyShape, DriveError, Load, NullClient, Pace, Pulse, PulseSettings, Run, Stamps,
    compare, drive, fetch,
};
use plimsoll_load::{ArrivalProcess, Schedule};
use plimsoll_units::Rate;

fn settings(ttft_ms: u64, itl_ms: u64) -> PulseSettings {
    let (ttft, itl) = (Duration::from_millis(ttft_ms), Duration::from_millis(itl_ms));
    PulseSettings { ttft, itl, ..PulseSettings::default() }
}

fn load(address: SocketAddr, pace: Pace, body_bytes: usize) -> Load {
    let shape = BodyShape { tokens: 6, bytes: body_bytes, counted: false };
    Load {
        address,
        bodies: Bodies::new(shape, 64),
        pace,
        length: Duration::from_millis(150),
        prewarm: 2,
        keep: usize::MAX,
    }
}

fn null(load: &Load) -> Run {
    NullClient::new(load).expect("descriptors are left").run().expect("the server is there")
}

fn user(load: &Load) -> Run {
    drive(load, Stamps::User, Duration::ZERO).expect("the server is there")
}

/// What holds on any machine: nobody sees a token before it was written, everything is joined, and the
/// server never writes before its time.
fn check(run: &Run, address: SocketAddr, settings: PulseSettings) {
    let truth = fetch(address).expect("the server is there");
    assert_eq!((run.failed, run.first_failure.as_deref()), (0, None));
    assert!(run.ended > 0 && run.ended == run.seen.len() as u64);
    assert_eq!(run.tokens, run.ended * 6);
    assert_eq!(truth.len() as u64, run.ended);
    for done in &truth {
        assert!(done.arrived_ns <= done.received_ns);
        assert_eq!((done.asked, done.before_ns.len(), done.after_ns.len()), (6, 6, 6));
        let (ttft, itl) = (settings.ttft.as_nanos() as u64, settings.itl.as_nanos() as u64);
        for (at, before) in done.before_ns.iter().enumerate() {
            assert!(*before >= done.received_ns + ttft + itl * at as u64, "a token left early");
        }
        assert!(done.before_ns.iter().zip(&done.after_ns).all(|(before, after)| before <= after));
    }
    let figures = compare(run, &truth, Duration::ZERO);
    assert_eq!((figures.joined as u64, figures.unjoined), (run.ended, 0));
    assert!(figures.one_way_ms.min >= 0.0, "a stamp before the write: {:?}", figures.one_way_ms);
    assert!(figures.start_lag_ms.min >= 0.0 && figures.start_lag_seen_ms.min >= 0.0);
}

#[test]
fn both_clients_agree_with_the_log_in_a_closed_loop() {
    for client in [null, user] {
        let settings = settings(5, 2);
        let address = Pulse::spawn(settings).unwrap();
        let load = load(address, Pace::Closed(7), 0);
        check(&client(&load), address, settings);
    }
}

#[test]
fn both_clients_agree_with_the_log_in_an_open_loop() {
    let schedule = || Schedule::new(ArrivalProcess::Poisson, Rate::new(200.0).unwrap(), 3);
    let due = schedule().take_while(|arrival| arrival.offset < Duration::from_millis(150)).count();
    for client in [null, user] {
        let settings = settings(3, 1);
        let address = Pulse::spawn(settings).unwrap();
        let run = client(&load(address, Pace::Open(Box::new(schedule())), 0));
        check(&run, address, settings);
        assert_eq!(run.ended, due as u64, "every arrival was sent, and no other");
    }
}

#[test]
fn flat_out_and_with_long_bodies_nothing_is_lost() {
    for client in [null, user] {
        for bytes in [0, 200_000] {
            let settings = settings(0, 0);
            let address = Pulse::spawn(settings).unwrap();
            check(&client(&load(address, Pace::Closed(4), bytes)), address, settings);
        }
    }
}

#[test]
fn rows_beyond_those_kept_are_counted() {
    for client in [null, user] {
        let address = Pulse::spawn(settings(0, 0)).unwrap();
        let run = client(&Load { keep: 3, ..load(address, Pace::Closed(2), 0) });
        assert_eq!(run.seen.len(), 3);
        assert!(run.ended > 3);
        let figures = compare(&run, &fetch(address).unwrap(), Duration::ZERO);
        assert_eq!((figures.joined, figures.unjoined), (3, 0));
        assert!(figures.one_way_ms.min >= 0.0, "joined with the right requests");
    }
}

#[test]
fn stamps_of_the_kernel_lie_between_the_write_and_the_read() {
    for (stamps, grade) in [(Stamps::Socket, 1), (Stamps::Packet, 2)] {
        let address = Pulse::spawn(settings(5, 5)).unwrap();
        let load = load(address, Pace::Closed(3), 0);
        let run = match drive(&load, stamps, Duration::ZERO) {
            Err(DriveError::Capture(reason)) => {
                println!("skipped: {reason}");
                continue;
            }
            other => other.unwrap(),
        };
        assert!(run.failed == 0 && run.rows_by_grade[grade] > 0, "{:?}", run.rows_by_grade);
        let figures = compare(&run, &fetch(address).unwrap(), Duration::ZERO);
        assert_eq!(figures.joined as u64, run.ended);
        // Kernel stamps are converted from the wall clock: right to microseconds, not to none.
        assert!(figures.one_way_ms.min > -1.0, "{:?}", figures.one_way_ms);
    }
}

/// Sends `request` and reads until `end`.
fn ask(stream: &mut TcpStream, request: &str, end: &str) -> String {
    stream.write_all(request.as_bytes()).expect("the server reads");
    let (mut answer, mut buffer) = (String::new(), [0; 4096]);
    while !answer.ends_with(end) {
        let read = stream.read(&mut buffer).expect("the server writes");
        assert!(read > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&buffer[..read]).expect("it writes ASCII"));
    }
    answer
}

fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn a_connection_serves_what_a_client_asks_of_a_server_and_requests_are_named() {
    let address = Pulse::spawn(settings(0, 0)).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let health = ask(&mut stream, "GET /health HTTP/1.1\r\n\r\n", "\r\n\r\n");
    assert!(health.starts_with("HTTP/1.1 200"));
    assert!(ask(&mut stream, "GET /v1/models HTTP/1.1\r\n\r\n", "]}").contains("\"pulse\""));
    assert!(ask(&mut stream, "GET /x HTTP/1.1\r\n\r\n", "}").starts_with("HTTP/1.1 404"));
    let short = r#"{"stream":true,"max_tokens":1}"#;
    let end = "0\r\n\r\n";
    ask(&mut stream, &post("/v1/completions", "", short), end);
    ask(&mut stream, &post("/v1/completions", "X-Request-Id: mine\r\n", short), end);
    // Two requests in one write: the second is answered after the first.
    let two = post("/v1/chat/completions", "", r#"{"stream":true,"max_tokens":2,"user":"a\tb"}"#);
    let both = ask(&mut stream, &format!("{two}{two}"), end);
    let both =
        if both.matches(end).count() == 2 { both } else { both + &ask(&mut stream, "", end) };
    assert_eq!(both.matches("data: [DONE]").count(), 2);
    let truth = fetch(address).unwrap();
    let ids: Vec<_> = truth.iter().map(|done| done.id.as_str()).collect();
    assert_eq!(ids, ["#0", "mine", "a_b", "a_b"]);
    assert!(truth.iter().all(|done| done.connection == 0));
    ask(&mut stream, &post("/log/clear", "", ""), "{}");
    assert!(fetch(address).unwrap().is_empty());
}

#[test]
fn a_client_that_leaves_is_logged_as_far_as_it_came_and_disturbs_nobody() {
    let settings = PulseSettings { tokens: 10_000, ..settings(0, 1) };
    let address = Pulse::spawn(settings).unwrap();
    let mut leaver = TcpStream::connect(address).unwrap();
    leaver.write_all(post("/v1/chat/completions", "", r#"{"stream":true}"#).as_bytes()).unwrap();
    let mut byte = [0];
    leaver.read_exact(&mut byte).unwrap();
    drop(leaver);
    let load = load(address, Pace::Closed(2), 0);
    let run = user(&load);
    assert_eq!(run.failed, 0);
    let truth = loop {
        let truth = fetch(address).unwrap();
        if truth.iter().any(|done| done.asked == 10_000) {
            break truth;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let cut = truth.iter().find(|done| done.asked == 10_000).unwrap();
    assert!(!cut.after_ns.is_empty() && cut.after_ns.len() < 10_000);
}

#[test]
fn a_client_that_does_not_read_stops_its_stream_and_the_log_says_so() {
    let address = Pulse::spawn(settings(0, 0)).unwrap();
    let mut lazy = TcpStream::connect(address).unwrap();
    // More than any socket buffer holds.
    let asked = r#"{"stream":true,"max_tokens":60000,"user":"lazy"}"#;
    lazy.write_all(post("/v1/completions", "", asked).as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let load = load(address, Pace::Closed(2), 0);
    assert_eq!(user(&load).failed, 0, "the others go on");
    let events = ask(&mut lazy, "", "0\r\n\r\n").matches("data: ").count();
    assert_eq!(events, 60_000 + 1);
    let truth = fetch(address).unwrap();
    let lazy = truth.iter().find(|done| done.id == "lazy").unwrap();
    assert_eq!(lazy.after_ns.len(), 60_000);
    assert!(lazy.blocked > 0);
}
