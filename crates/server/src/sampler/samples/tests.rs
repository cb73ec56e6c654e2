//! Windows whose figures were worked out by hand.

use plimsoll_records::Tally;

use super::*;
use crate::sampler::page::PageReader;

fn at(ms: u64) -> RunNanos {
    RunNanos::from_nanos(ms * 1_000_000)
}

/// A page `ms` after the origin: requests running and waiting, cache in use, tokens generated so far.
fn scrape(ms: u64, running: f64, waiting: f64, cache: f64, tokens: f64) -> Scrape {
    Scrape {
        at: at(ms),
        took: Duration::from_millis(2),
        sample: MetricsSample {
            running: Some(running),
            waiting: Some(waiting),
            kv_cache_usage: Some(cache),
            generation_tokens: Some(tokens),
            queue_time_s: Some(Tally { count: tokens / 10.0, sum: tokens / 100.0 }),
            ..MetricsSample::default()
        },
        page: Page::default(),
    }
}

/// Pages every second from 0 to 6 s, and those at the ends of a window from 1.5 s to 4.5 s.
fn samples() -> ServerSamples {
    ServerSamples {
        period: Duration::from_secs(1),
        scrapes: vec![
            scrape(0, 0.0, 0.0, 0.0, 0.0),
            scrape(1_000, 2.0, 0.0, 0.1, 100.0),
            scrape(1_502, 4.0, 0.0, 0.2, 200.0),
            scrape(2_000, 8.0, 3.0, 0.3, 300.0),
            scrape(3_000, 8.0, 5.0, 0.9, 500.0),
            scrape(4_000, 8.0, 1.0, 0.6, 700.0),
            scrape(4_503, 6.0, 0.0, 0.5, 900.0),
            scrape(5_000, 99.0, 99.0, 1.0, 1_000.0),
        ],
        cpu: (0..6).map(|s| (at(s * 1_000 + 5), Duration::from_millis(10 + s))).collect(),
        ..ServerSamples::default()
    }
}

#[test]
fn counters_are_of_the_nearest_pages_and_gauges_of_those_inside() {
    let (counters, sampling) = samples().window(at(1_500), at(4_500));
    let expected = ServerCounters {
        generation_tokens: Some(700.0),
        queue_time_s: Some(Tally { count: 70.0, sum: 7.0 }),
        running_max: Some(8.0),
        running_mean: Some(7.0),
        waiting_max: Some(5.0),
        waiting_mean: Some(2.25),
        waiting_share: Some(0.75),
        kv_cache_usage_max: Some(0.9),
        kv_cache_usage_mean: Some(0.5),
        ..ServerCounters::default()
    };
    assert_eq!(counters, expected);
    assert_eq!(
        sampling,
        SamplingRecord {
            period_ms: 1_000.0,
            samples: 4,
            failed: 0,
            longest_gap_ms: 1_000.0,
            // 1 s and 5 s are as near to the ends as it gets: 3 ms of 3 s.
            cpu_share: Some(0.001),
            remark: None,
        }
    );
}

#[test]
fn gaps_are_found_inside_and_at_the_ends() {
    let mut samples = samples();
    samples.scrapes.retain(|scrape| scrape.at != at(3_000));
    samples.failed = vec![
        (at(900), "before".to_owned()),
        (at(2_900), "refused".to_owned()),
        (at(3_100), "no answer within 1s".to_owned()),
    ];
    samples.missed = vec![at(3_500), at(4_600)];
    let (_, sampling) = samples.window(at(1_500), at(4_500));
    assert_eq!((sampling.samples, sampling.failed), (3, 3));
    assert_eq!(sampling.longest_gap_ms, 2_000.0);
    let remark = sampling.remark.unwrap();
    assert_eq!(
        remark,
        "the last of 2 that failed: no answer within 1s; 1 were skipped, because the one before \
         took too long"
    );
    let (_, late) = samples.window(at(1_500), at(9_000));
    assert_eq!(late.longest_gap_ms, 4_000.0, "to the window's end");
}

#[test]
fn a_page_too_far_from_an_end_counts_nothing() {
    let (counters, sampling) = samples().window(at(1_500), at(9_000));
    assert_eq!((counters.generation_tokens, counters.restarted), (None, false));
    assert_eq!(counters.waiting_max, Some(99.0), "the gauges are what they were");
    assert!(sampling.remark.unwrap().contains("4.0 s off"));
    // Half a second is five periods then, but less than a tenth of the window.
    let quick = ServerSamples { period: Duration::from_millis(100), ..samples() };
    let (counters, sampling) = quick.window(at(0), at(5_500));
    assert_eq!((counters.generation_tokens, sampling.remark), (Some(1_000.0), None));
}

#[test]
fn a_server_that_started_anew_in_between_counts_nothing() {
    let mut samples = samples();
    // It counts past where it was, so that its ends alone would not show it.
    samples.scrapes[4].sample.generation_tokens = Some(1.0);
    let (counters, _) = samples.window(at(1_500), at(4_500));
    assert!(counters.restarted);
    assert_eq!((counters.generation_tokens, counters.queue_time_s), (None, None));
    assert_eq!(counters.running_max, Some(8.0));
    let (before, _) = samples.window(at(0), at(2_000));
    assert!(!before.restarted);
    assert_eq!(before.generation_tokens, Some(300.0));
}

#[test]
fn rows_are_those_of_each_page_at_its_moment() {
    let mut pages = PageReader::default();
    let mut scrape = |ms: u64, page: &str| Scrape {
        page: pages.read(page.as_bytes()),
        ..scrape(ms, 0.0, 0.0, 0.0, 0.0)
    };
    let scrapes = vec![
        scrape(1, "a{x=\"1\"} 1\na_created 7\nb 2\n"),
        scrape(2, "a{x=\"1\"} 3\na_created 7\nb NaN\n"),
        scrape(3, "b 4\n"),
    ];
    let mut samples = ServerSamples { scrapes, ..ServerSamples::default() };
    let row = |ms: u64, name: &str, labels: &str, value: f64| ServerRow {
        at: at(ms),
        name: name.to_owned(),
        labels: labels.to_owned(),
        value,
    };
    let a = "x=\"1\"";
    let expected =
        [row(1, "a", a, 1.0), row(1, "b", "", 2.0), row(2, "a", a, 3.0), row(3, "b", "", 4.0)];
    assert!(samples.rows().eq(expected.clone()));
    assert!(samples.rows().eq(expected.clone()), "the same again");
    // A page that is left out takes its rows with it.
    samples.scrapes.remove(0);
    assert!(samples.rows().eq(expected[2..].iter().cloned()));
}

#[test]
fn nothing_seen_is_nothing_said() {
    let empty = ServerSamples { period: Duration::from_secs(1), ..ServerSamples::default() };
    assert!(!empty.has_page());
    let (counters, sampling) = empty.window(at(1_000), at(3_000));
    assert_eq!(counters, ServerCounters::default());
    let expected =
        SamplingRecord { period_ms: 1_000.0, longest_gap_ms: 2_000.0, ..SamplingRecord::default() };
    assert_eq!(sampling, expected);

    // One page is a reading of the gauges, and no difference.
    let one = ServerSamples { scrapes: vec![scrape(2_000, 1.0, 0.0, 0.0, 5.0)], ..empty };
    let (counters, _) = one.window(at(1_500), at(2_500));
    assert_eq!((counters.running_max, counters.generation_tokens), (Some(1.0), None));
    assert!(one.has_page());
}
