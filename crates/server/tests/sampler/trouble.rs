//! Servers that hang, fail, start anew or have nothing to say.

use std::thread;
use std::time::Duration;

use plimsoll_units::{Clock as _, RunClock};

use crate::pages::{Server, eventually, vllm};

const PATIENT: Duration = Duration::from_secs(3_600);

/// Far less than the patience above, far more than a busy machine needs.
const PROMPT: Duration = Duration::from_secs(30);

#[test]
fn a_page_that_never_comes_blocks_nobody() {
    let server = Server::new(|_, _| None);
    let clock = RunClock::start();
    let sampler = server.sampler(clock, Duration::from_millis(10), PATIENT);
    eventually("the question", || !server.asked().is_empty());
    sampler.scrape_now();
    assert_eq!(sampler.latest(), None);
    assert!(!sampler.take().has_page());
    let before = clock.now();
    drop(sampler);
    assert!(clock.now() - before < PROMPT, "the thread waited for its page");
}

#[test]
fn a_page_that_never_comes_leaves_a_gap() {
    // The first page is there, and none after it.
    let server = Server::new(|number, _| (number == 0).then(|| (200, vllm(1, 0, 5))));
    let clock = RunClock::start();
    let sampler = server.sampler(clock, Duration::from_millis(20), Duration::from_millis(100));
    eventually("questions that were given up", || server.asked().len() > 3);
    let end = clock.now();
    let samples = sampler.take();
    let first = samples.scrapes[0].at;
    assert_eq!(samples.scrapes.len(), 1);
    assert!(samples.failed.len() >= 2 && samples.failed[0].1.contains("100ms"));
    assert!(!samples.missed.is_empty(), "deadlines passed while it waited");
    let (counters, sampling) = samples.window(first, end);
    assert_eq!(counters.generation_tokens, None);
    assert_eq!(sampling.samples, 1);
    assert!(sampling.failed >= 4);
    let length = (end - first).as_secs_f64() * 1e3;
    assert!((sampling.longest_gap_ms - length).abs() < 1e-6);
    let remark = sampling.remark.unwrap();
    assert!(remark.contains("that failed") && remark.contains("were skipped"), "{remark}");
}

#[test]
fn a_server_that_starts_anew_is_noticed() {
    // It counts past where it was between two looks at the ends of the window.
    let counts = [100, 200, 3, 400];
    let server = Server::of_pages(move |number| vllm(1, 0, counts[number.min(3)]));
    let clock = RunClock::start();
    let sampler = server.sampler(clock, Duration::from_millis(20), PATIENT);
    eventually("five pages", || server.asked().len() > 5);
    let samples = sampler.take();
    let window =
        |from: usize, to: usize| samples.window(samples.scrapes[from].at, samples.scrapes[to].at).0;
    assert!(!window(0, 1).restarted);
    assert_eq!(window(0, 1).generation_tokens, Some(100.0));
    assert!(window(0, 3).restarted);
    assert_eq!(window(0, 3).generation_tokens, None);
    assert!(!window(3, 4).restarted);
}

#[test]
fn a_server_without_a_page_is_asked_once_and_left_alone() {
    let server = Server::new(|_, _| Some((404, String::new())));
    let sampler = server.sampler(RunClock::start(), Duration::from_millis(1), PATIENT);
    assert!(!sampler.is_blind() || server.asked().len() == 2);
    eventually("the answer", || sampler.is_blind());
    for _ in 0..10 {
        sampler.scrape_now();
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.asked(), ["/metrics", "/prometheus/metrics"]);
    assert!(!sampler.take().has_page());
    assert_eq!(sampler.latest(), None);
}

#[test]
fn errors_in_between_are_kept_and_reading_goes_on() {
    let server = Server::new(|number, _| {
        Some(match number {
            1 => (500, "out of order".to_owned()),
            2 => (404, String::new()),
            _ => (200, vllm(0, 0, 1)),
        })
    });
    let sampler = server.sampler(RunClock::start(), Duration::from_millis(10), PATIENT);
    eventually("pages after the errors", || server.asked().len() > 5);
    let samples = sampler.take();
    assert!(samples.scrapes.len() >= 3);
    let reasons: Vec<_> = samples.failed.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].contains("500") && reasons[0].contains("out of order"), "{reasons:?}");
    assert!(reasons[1].contains("no longer"), "{reasons:?}");
    assert!(!sampler.is_blind());
}

#[test]
fn a_server_that_is_gone_is_a_failure_and_no_absence() {
    // Bound once and let go, so that nothing listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let control =
        plimsoll_server::ControlClient::new(&format!("http://{free}"), None, PATIENT).unwrap();
    let period = Duration::from_millis(10);
    let sampler =
        plimsoll_server::MetricsSampler::start(control, RunClock::start(), period).unwrap();
    thread::sleep(Duration::from_millis(50));
    let seen = std::cell::RefCell::new(plimsoll_server::ServerSamples::default());
    eventually("an attempt", || {
        *seen.borrow_mut() = sampler.take();
        seen.borrow().has_page()
    });
    let samples = seen.into_inner();
    assert!(samples.scrapes.is_empty() && samples.rows().next().is_none());
    assert!(samples.failed[0].1.contains("cannot be reached"), "{}", samples.failed[0].1);
    assert!(!sampler.is_blind());
}
