//! What is read, when, and what becomes of it.

use std::time::Duration;

use plimsoll_server::{Scrape, ServerKind};
use plimsoll_units::{Clock as _, RunClock};

use crate::pages::{Server, eventually, vllm};

const LONG: Duration = Duration::from_secs(3_600);
const PATIENT: Duration = Duration::from_secs(30);

#[test]
fn pages_are_read_again_and_again_and_stamped() {
    let server = Server::of_pages(|number| vllm(3, 1, 10 * u32::try_from(number).unwrap()));
    let clock = RunClock::start();
    let sampler = server.sampler(clock, Duration::from_millis(20), PATIENT);
    eventually("ten pages", || server.asked().len() > 10);
    let samples = sampler.take();
    let end = clock.now();
    drop(sampler);

    assert_eq!(samples.period, Duration::from_millis(20));
    assert!(samples.scrapes.len() >= 9, "{}", samples.scrapes.len());
    let ends_before = |a: &Scrape, b: &Scrape| a.at + a.took / 2 <= b.at.saturating_sub(b.took / 2);
    assert!(samples.scrapes.is_sorted_by(ends_before), "one after the other");
    for (number, scrape) in samples.scrapes.iter().enumerate() {
        assert_eq!(scrape.sample.server, Some(ServerKind::Vllm));
        assert_eq!(scrape.sample.generation_tokens, Some(10.0 * number as f64));
        assert!(scrape.at < end && scrape.took > Duration::ZERO);
    }
    // Three series a page: the moment of creation is none.
    let rows: Vec<_> = samples.rows().collect();
    assert_eq!(rows.len(), 3 * samples.scrapes.len());
    let row = &rows[4];
    assert_eq!((row.name.as_str(), row.value), ("vllm:num_requests_waiting", 1.0));
    assert_eq!(row.labels, "engine=\"0\",model_name=\"tiny\"");
    assert_eq!(row.at, samples.scrapes[1].at);
    assert!(samples.failed.is_empty());
    assert!(samples.cpu.is_sorted() && samples.cpu.last().unwrap().1 > Duration::ZERO);
}

#[test]
fn a_page_is_read_when_asked_for_and_taken_once() {
    let server = Server::of_pages(|number| vllm(0, 0, u32::try_from(number).unwrap()));
    let clock = RunClock::start();
    let sampler = server.sampler(clock, LONG, PATIENT);
    eventually("the first page", || sampler.latest().is_some());
    let start = clock.now();
    sampler.scrape_now();
    let read_since = |moment| sampler.latest().is_some_and(|(at, _)| at >= moment);
    eventually("the page that was asked for", || read_since(start));
    let end = clock.now();
    sampler.scrape_now();
    eventually("the one after it", || read_since(end));

    let samples = sampler.take();
    assert_eq!(samples.scrapes.len(), 3);
    let (counters, sampling) = samples.window(start, end);
    assert_eq!(counters.generation_tokens, Some(1.0), "between the two that were asked for");
    assert_eq!((sampling.samples, sampling.failed, sampling.remark), (1, 0, None));
    assert!(sampler.latest().is_some(), "what was seen last is not taken away");
    assert!(!sampler.take().has_page());
}

#[test]
fn a_page_of_an_unknown_server_loses_only_the_typed_figures() {
    let page = "http_requests_total{path=\"/v1\"} 7\nmy_queue 3\nmy_ratio NaN\n";
    let server = Server::of_pages(move |_| page.to_owned());
    let clock = RunClock::start();
    let sampler = server.sampler(clock, Duration::from_millis(10), PATIENT);
    eventually("three pages", || server.asked().len() > 3);
    let samples = sampler.take();
    assert!(samples.has_page() && !sampler.is_blind());
    let names: Vec<_> = samples.rows().map(|row| row.name).collect();
    assert_eq!(names.len(), 2 * samples.scrapes.len());
    assert_eq!(names[..2], ["http_requests_total", "my_queue"]);
    let (first, last) = (samples.scrapes[0].at, samples.scrapes.last().unwrap().at);
    let (counters, sampling) = samples.window(first, last);
    assert_eq!(counters, plimsoll_records::ServerCounters::default());
    assert_eq!(sampling.samples, samples.scrapes.len() as u64);
}

#[test]
fn tensorrt_llm_has_its_page_elsewhere() {
    let page = "trtllm_num_requests_running{model_name=\"m\"} 2\n";
    let server = Server::new(move |_, path| {
        Some(match path {
            "/metrics" => (200, "[{\"numActiveRequests\":2}]".to_owned()),
            "/prometheus/metrics" => (200, page.to_owned()),
            _ => (404, String::new()),
        })
    });
    let sampler = server.sampler(RunClock::start(), Duration::from_millis(10), PATIENT);
    eventually("five questions", || server.asked().len() > 5);
    let samples = sampler.take();
    assert_eq!(samples.scrapes[0].sample.server, Some(ServerKind::TensorRtLlm));
    assert_eq!(samples.scrapes[0].sample.running, Some(2.0));
    // Each reading of the other path takes away what it shows.
    let asked = server.asked();
    assert_eq!(asked.iter().filter(|path| *path == "/metrics").count(), 1, "{asked:?}");
}
