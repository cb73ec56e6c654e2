use plimsoll_units::RunNanos;

use super::*;

fn sample(at: f64, generated: f64, running: u64, waiting: u64) -> EngineSample {
    EngineSample {
        at_ns: RunNanos::from_secs_f64(at),
        span_s: 10.0,
        prompt_tokens_per_s: 500.0,
        generation_tokens_per_s: generated,
        running,
        waiting,
        kv_cache_usage: 0.5,
        prefix_hit_share: Some(0.9),
    }
}

/// 400 requests of 100 tokens, answered in 100 * 20 ms.
pub(crate) fn record(duration: f64) -> ImportedRecord {
    ImportedRecord {
        requests: Some(400),
        completed: Some(400),
        duration_s: Some(duration),
        throughput_per_s: Some(400.0 / duration),
        output_tokens: Some(40_000),
        tpot_mean_ms: Some(20.0),
        ttft_mean_ms: Some(50.0),
        ..ImportedRecord::default()
    }
}

#[test]
fn a_saturated_stretch_is_the_longest_in_which_all_lines_saw_requests_wait() {
    let engine = vec![
        sample(10.0, 100.0, 90, 0),
        sample(20.0, 900.0, 200, 1),
        sample(30.0, 2100.0, 200, 50),
        sample(40.0, 1900.0, 200, 70),
        sample(50.0, 2000.0, 200, 3),
        sample(60.0, 1500.0, 20, 0),
        sample(70.0, 1.0, 1, 1),
    ];
    let log = LogRecord { engine, ..LogRecord::default() };
    let stretch = log.saturated().map(|(a, b)| (a.as_secs_f64(), b.as_secs_f64()));
    assert_eq!(stretch, Some((20.0, 50.0)));
    let window = Window { start: RunNanos::ZERO, end: RunNanos::from_secs_f64(80.0) };
    let samples = steady_samples(&log, window);
    let found = of_samples(samples, |it| it.generation_tokens_per_s).unwrap();
    assert!((found.value - 2000.0).abs() < 1e-9, "{found:?}");
    // 1800, 2000, 2200: sd 200, t(0.975, 2) = 4.303: 4.303 * 200 / sqrt(3) = 496.8.
    let rising = [1800.0, 2000.0, 2200.0].map(|it| sample(0.0, it, 1, 1));
    let found = of_samples(&rising, |it| it.generation_tokens_per_s).unwrap();
    assert!((found.high - 2496.8).abs() < 0.1, "{found:?}");
    let short = LogRecord { engine: log.engine[..3].to_vec(), ..LogRecord::default() };
    assert_eq!(short.saturated(), None, "two lines are no plateau");
}

#[test]
fn lines_that_agree_still_leave_open_how_many_waves_they_saw() {
    let samples = [1.0, 3.0, 1.0, 3.0].map(|it| sample(0.0, it, 1, 1));
    let found = of_samples(&samples, |it| it.generation_tokens_per_s).unwrap();
    // Four lines leave a wave of 2 open by a quarter of it: 2 / (2 * 4).
    assert!((found.high - 2.25).abs() < 1e-9, "{found:?}");
    let alike = [2.0, 2.0, 2.0].map(|it| sample(0.0, it, 1, 1));
    let found = of_samples(&alike, |it| it.generation_tokens_per_s).unwrap();
    assert!((found.high - 2.0 * (1.0 + 1.96 * 0.05 / 3_f64.sqrt())).abs() < 1e-9, "{found:?}");
    assert_eq!(of_samples(&samples[..1], |it| it.generation_tokens_per_s), None);
}

#[test]
fn what_is_left_of_the_duration_is_backlog() {
    // 40 s of sending and 2 s of answering: 43 s are no backlog at 10 a second, 55 s are one.
    assert!(!has_backlog(&record(43.0), Some(10.0)));
    assert!(has_backlog(&record(55.0), Some(10.0)));
    assert!(!has_backlog(&record(55.0), None), "nobody says what was offered");
}

#[test]
fn without_a_log_the_throughput_lies_between_its_bounds() {
    let found = bounds(&record(42.0), Some(101.0)).unwrap();
    assert!((found.low - 400.0 / 42.0).abs() < 1e-9 && (found.high - 10.0).abs() < 1e-9);
    assert_eq!(bounds(&ImportedRecord::default(), None), None);
}

#[test]
fn arrivals_are_known_to_the_second() {
    let log = LogRecord { arrivals_per_s: vec![5, 10, 10, 6], ..LogRecord::default() };
    let found = arrivals(&log).unwrap();
    assert_eq!((found.value, found.low, found.high), (10.0, 7.5, 15.0));
    assert_eq!(arrivals(&LogRecord { arrivals_per_s: vec![9, 9], ..LogRecord::default() }), None);
}
