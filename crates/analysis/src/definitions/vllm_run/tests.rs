use plimsoll_records::ChunkRow;
use proptest::prelude::*;

use super::*;
use crate::SloTerm;
use crate::audit::fixture::{Fixture, MS, fail, row};

fn at(ms: u64) -> RunNanos {
    RunNanos::from_nanos(ms * MS)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Due at 1 s, taken up 2 ms late, role chunk at 100 ms, tokens at 130, 140 and 170 ms after the due
/// time; the last chunk carries three tokens.
fn request() -> RequestRow {
    let mut row = row(7, at(1000), 130 * MS, 10 * MS, 3);
    row.dequeued = at(1002);
    row.role_chunk = Some(at(1100));
    row.chunks[2] = ChunkRow { at: at(1170), tokens: 3, ..row.chunks[2] };
    row.last_token = Some(at(1170));
    row.done = at(1180);
    row.output_tokens = Some(5);
    row
}

/// A point that starts at 0.5 s with these rows.
fn run(rows: &[RequestRow], slo: &Slo) -> VllmRun {
    let mut point = Fixture::clean().point;
    point.phases.start_ns = at(500);
    VllmRun::of(&point, rows, slo)
}

fn metric(run: &VllmRun, key: &str) -> f64 {
    run.metrics.iter().find(|(name, _)| name == key).unwrap().1
}

#[test]
fn the_role_chunk_is_vllms_first_token_and_the_first_gap_follows_it() {
    let found = VllmRequest::of(&request()).unwrap();
    assert_eq!((found.ttft, found.queue, found.latency), (ms(98), ms(2), ms(168)));
    assert_eq!(found.itls, [ms(30), ms(10), ms(30)]);
    // (168 - 98) / (5 - 1) ms.
    assert!((found.tpot_s().unwrap() - 0.0175).abs() < 1e-12);
    assert_eq!((found.prompt_tokens, found.output_tokens, found.success), (400, 5, true));
    assert_eq!(found.error, "");
}

#[test]
fn what_vllm_calls_completed() {
    for (outcome, completed) in [
        (Outcome::Ok, true),
        (Outcome::Truncated, true),
        (Outcome::StreamError, true),
        (Outcome::Reset, false),
        (Outcome::Malformed, false),
        (Outcome::Timeout, false),
    ] {
        let mut row = request();
        row.outcome = outcome;
        let found = VllmRequest::of(&row).unwrap();
        assert_eq!(found.success, completed, "{outcome}");
        assert_eq!(found.error.is_empty(), completed, "{outcome}");
        assert_eq!(found.output_tokens > 0, completed, "{outcome}");
    }
    // Not one chunk: failed, whatever the status.
    let mut row = request();
    fail(&mut row, Outcome::Ok);
    row.role_chunk = None;
    let found = VllmRequest::of(&row).unwrap();
    assert_eq!((found.success, found.ttft, found.latency), (false, Duration::ZERO, Duration::ZERO));
    for outcome in [Outcome::Shed, Outcome::Aborted] {
        let mut row = request();
        row.outcome = outcome;
        assert_eq!(VllmRequest::of(&row), None);
    }
}

#[test]
fn a_row_without_chunks_has_first_and_last() {
    let mut row = request();
    row.chunks.clear();
    row.role_chunk = None;
    let found = VllmRequest::of(&row).unwrap();
    assert_eq!((found.ttft, found.latency, found.itls), (ms(128), ms(168), vec![ms(40)]));
}

#[test]
fn a_run_by_hand() {
    // A second request: due at 1.5 s, first token after 40 ms, then 9 tokens 10 ms apart.
    let second = row(8, at(1500), 40 * MS, 10 * MS, 10);
    let mut refused = row(9, at(1600), 0, 0, 1);
    fail(&mut refused, Outcome::Refused);
    refused.done = at(2500);
    // The order of the rows does not matter; the arrays are in that of the schedule.
    let run = run(&[second, refused, request()], &Slo::default());
    assert_eq!(run.requests.iter().map(|r| r.id).collect::<Vec<_>>(), [7, 8, 9]);
    assert_eq!((run.completed, run.failed), (2, 1));
    assert_eq!((run.total_input_tokens, run.total_output_tokens), (800, 15));
    // From the schedule's start at 0.5 s to the failed request's end at 2.5 s.
    assert!((run.duration_s - 2.0).abs() < 1e-12);
    assert_eq!((run.request_throughput(), run.output_throughput()), (1.0, 7.5));
    assert_eq!(run.total_token_throughput(), 407.5);
    assert_eq!(run.request_goodput, None);
    // TTFT 98 and 40 ms: mean and median 69, deviation 29, p99 98 - 0.01 x 58.
    for (key, value) in [
        ("mean_ttft_ms", 69.0),
        ("median_ttft_ms", 69.0),
        ("std_ttft_ms", 29.0),
        ("p99_ttft_ms", 97.42),
        // 17.5 and 90 / 9 ms.
        ("mean_tpot_ms", 13.75),
        // 70 ms in three gaps and 90 ms in nine.
        ("mean_itl_ms", 160.0 / 12.0),
        ("median_itl_ms", 10.0),
        ("mean_e2el_ms", (168.0 + 130.0) / 2.0),
    ] {
        assert!((metric(&run, key) - value).abs() < 1e-9, "{key}: {}", metric(&run, key));
    }
}

#[test]
fn chunks_and_overlaps_are_counted_by_the_second() {
    // Starts at 0.2 and 1.1 s; the first ends at 1.4 s, so both touch the second that begins one
    // second after the first start, and the first touches two.
    let rows = [row(0, at(200), 100 * MS, 275 * MS, 5), row(1, at(1100), 50 * MS, 10 * MS, 3)];
    let run = run(&rows, &Slo::default());
    // The first one's chunks at 0.1, 0.375, 0.65, 0.925, 1.2 s after its start; the other's at 0.95,
    // 0.96, 0.97.
    assert_eq!((run.max_output_tokens_per_s, run.max_concurrent_requests), (7, 2));
}

#[test]
fn goodput_lets_a_single_token_pass_any_tpot() {
    let slo =
        Slo { terms: vec![SloTerm { metric: SloMetric::Tpot, quantile: 0.5, limit: ms(12) }] };
    let single = row(1, at(600), 10 * MS, MS, 1);
    // 17.5 ms a token: too slow.
    let run = run(&[single, request()], &slo);
    assert!((run.request_goodput.unwrap() - 1.0 / run.duration_s).abs() < 1e-12);
}

#[test]
fn nothing_gives_zeros() {
    let run = run(&[], &Slo::default());
    assert_eq!((run.completed, run.failed, run.duration_s), (0, 0, 0.0));
    assert_eq!((run.request_throughput(), run.max_concurrent_requests), (0.0, 0));
    assert!(run.metrics.len() == 16 && run.metrics.iter().all(|(_, value)| *value == 0.0));
}

proptest! {
    /// No stamps, in whatever order, make it panic; every figure stays finite.
    #[test]
    fn any_stamps_are_survived(
        stamps in prop::collection::vec(prop::collection::vec(any::<u64>(), 7), 0..6),
        tokens in prop::option::of(any::<u32>()),
    ) {
        let rows: Vec<RequestRow> = stamps
            .iter()
            .enumerate()
            .map(|(id, s)| {
                let at = |k: usize| RunNanos::from_nanos(s[k]);
                let mut row = row(id as u64, RunNanos::ZERO, MS, MS, 2);
                (row.intended, row.dequeued, row.done) = (at(0), at(1), at(2));
                row.role_chunk = (s[3] % 2 == 0).then(|| at(3));
                (row.chunks[0].at, row.chunks[1].at) = (at(4), at(5));
                row.output_tokens = tokens;
                row.outcome = Outcome::ALL[(s[6] % 10) as usize];
                row
            })
            .collect();
        let found = run(&rows, &Slo::default());
        prop_assert_eq!(found.completed + found.failed, found.requests.len() as u64);
        prop_assert!(found.metrics.iter().all(|(_, value)| value.is_finite()));
        prop_assert!(found.total_token_throughput().is_finite());
    }
}
