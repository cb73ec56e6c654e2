use proptest::prelude::*;

use super::*;
use crate::audit::fixture::{Fixture, MS, delay, fail, row};
use crate::{SloMetric, SloTerm};

fn at_ms(ms: u64) -> RunNanos {
    RunNanos::from_nanos(ms * MS)
}

/// A point whose window is second 1 to second 2, with these rows.
fn point_of(rows: Vec<RequestRow>) -> Fixture {
    let mut fixture = Fixture::clean();
    fixture.point.phases.measure_start_ns = at_ms(1000);
    fixture.point.phases.measure_end_ns = at_ms(2000);
    fixture.point.phases.end_ns = at_ms(3000);
    fixture.point.workload.exact_output = false;
    fixture.rows = rows;
    fixture
}

fn of(fixture: &Fixture) -> PointSummary {
    summarise(&fixture.point, &fixture.rows, &Slo::default())
}

#[test]
fn each_number_by_hand() {
    // Due in the window: b and c. Completed in it: a and b. Tokens each 100 ms.
    let a = row(0, at_ms(900), 50 * MS, 100 * MS, 3); // tokens at 950, 1050, 1150
    let b = row(1, at_ms(1200), 100 * MS, 100 * MS, 4); // 1300 to 1600
    let c = row(2, at_ms(1750), 150 * MS, 100 * MS, 3); // 1900, 2000, 2100
    let summary = of(&point_of(vec![c, a, b]));
    assert_eq!((summary.counts.due, summary.counts.ok, summary.counts.rows), (2, 2, 3));
    assert_eq!(summary.achieved_rate_per_s, 2.0);
    assert_eq!(summary.throughput_per_s.value, 2.0);
    // 1050, 1150; four of b; 1900 of c: the token at the window's end is outside.
    assert_eq!(summary.output_tokens_per_s.value, 7.0);
    assert_eq!(summary.input_tokens_per_s, Some(800.0));
    assert!((summary.mean_output_tokens.unwrap() - 10.0 / 3.0).abs() < 1e-12);
    // sd of 3, 4, 3 is sqrt(1/3); over sqrt(3): a third.
    assert!((summary.mean_output_tokens_error.unwrap() - 1.0 / 3.0).abs() < 1e-12);
    // First sent 900.05 ms, last done 2100 ms.
    assert!((summary.makespan_throughput_per_s.unwrap() - 3.0 / 1.199_95).abs() < 1e-9);
    assert_eq!(summary.ttft.mean, Some(Duration::from_millis(125)));
    assert_eq!(summary.service_ttft.min, Some(Duration::from_micros(99_950)));
    assert_eq!(summary.tpot.max, Some(Duration::from_millis(100)));
    assert_eq!((summary.itl.n, summary.itl.mean), (5, Some(Duration::from_millis(100))));
    assert_eq!(summary.e2e.max, Some(Duration::from_millis(400)));
    assert_eq!(summary.schedule_lag.max, Some(Duration::from_micros(50)));
    // In flight: a at the start, c at the end; a 150 ms, b 400 ms and c 250 ms of the second.
    let stability = summary.stability;
    assert_eq!(
        (stability.in_flight_start, stability.in_flight_end, stability.in_flight_max),
        (1, 1, 1)
    );
    assert!((stability.in_flight_mean - 0.8).abs() < 1e-9);
    assert_eq!(stability.drift_per_s.value, 0.0);
    // Two samples carry no quantile.
    assert_eq!(summary.ttft.p50.value, None);
}

#[test]
fn a_prompt_length_is_the_servers_else_the_planned_one_else_not_known() {
    let rows = || -> Vec<RequestRow> { (0..2).map(|k| row(k, at_ms(1200), MS, MS, 3)).collect() };
    let input = |spoil: fn(&mut RequestRow)| {
        let mut rows = rows();
        spoil(&mut rows[1]);
        of(&point_of(rows)).input_tokens_per_s
    };
    let from_file = |row: &mut RequestRow| row.prompt_tokens_planned = None;
    assert_eq!(input(from_file), Some(800.0));
    let silent_server = |row: &mut RequestRow| {
        row.prompt_tokens_planned = Some(300);
        row.prompt_tokens = None;
    };
    assert_eq!(input(silent_server), Some(700.0));
    let neither = |row: &mut RequestRow| {
        row.prompt_tokens_planned = None;
        row.prompt_tokens = None;
    };
    assert_eq!(input(neither), None);
    // One that did not end in the window is not asked.
    let elsewhere = |row: &mut RequestRow| {
        row.prompt_tokens_planned = None;
        row.prompt_tokens = None;
        row.done = at_ms(2500);
    };
    assert_eq!(input(elsewhere), Some(400.0));
    assert_eq!(of(&point_of(Vec::new())).input_tokens_per_s, Some(0.0));
}

#[test]
fn failed_requests_are_missing_from_latency_and_counted_by_outcome() {
    let mut rows: Vec<RequestRow> =
        (0..10).map(|k| row(k, at_ms(1000 + 50 * k), 20 * MS, MS, 5)).collect();
    fail(&mut rows[3], Outcome::Reset);
    fail(&mut rows[4], Outcome::Shed);
    fail(&mut rows[5], Outcome::Aborted);
    rows[6].resent = true;
    rows[7].connection = Some(ConnectionUse::New);
    let summary = of(&point_of(rows));
    let counts = &summary.counts;
    assert_eq!((counts.ok, counts.failed, counts.aborted), (7, 2, 1));
    assert_eq!((counts.resent, counts.new_connections), (1, 1));
    assert_eq!((counts.of(Outcome::Reset), counts.of(Outcome::Timeout)), (1, 0));
    assert_eq!((summary.ttft.n, summary.ttft.missing), (7, 3));
    assert_eq!((summary.schedule_lag.n, summary.schedule_lag.missing), (9, 1));
    assert_eq!((summary.itl.n, summary.itl.missing), (28, 3));
    assert!(summary.ttft.p50.value.is_some());
}

#[test]
fn a_request_that_failed_after_its_first_token_is_missing_too() {
    let mut broken = row(0, at_ms(1100), 20 * MS, MS, 5);
    broken.outcome = Outcome::Truncated;
    let summary = of(&point_of(vec![broken]));
    assert_eq!((summary.ttft.n, summary.ttft.missing), (0, 1));
    // The server did deliver those tokens.
    assert_eq!(summary.output_tokens_per_s.value, 5.0);
}

#[test]
fn a_point_without_rows_has_zeros_and_nothing_known() {
    let summary = of(&point_of(Vec::new()));
    assert_eq!(summary.throughput_per_s, crate::Estimate::exact(0.0));
    assert_eq!((summary.mean_output_tokens, summary.makespan_throughput_per_s), (None, None));
    assert_eq!(summary.ttft.mean, None);
    assert!(summary.stability.stable);
}

#[test]
fn a_window_without_length_gives_zeros() {
    let mut fixture = Fixture::clean();
    fixture.point.phases.measure_end_ns = fixture.point.phases.measure_start_ns;
    let summary = of(&fixture);
    assert_eq!(summary.throughput_per_s.value, 0.0);
    assert_eq!(summary.achieved_rate_per_s, 0.0);
}

#[test]
fn the_length_asked_for_counts_when_it_is_kept() {
    let mut fixture = Fixture::clean();
    fixture.point.workload.mean_output_tokens = Some(10.25);
    let summary = of(&fixture);
    assert_eq!(
        (summary.mean_output_tokens, summary.mean_output_tokens_error),
        (Some(10.25), Some(0.0))
    );
    fixture.point.workload.mean_output_tokens = None;
    let summary = of(&fixture);
    assert_eq!(
        (summary.mean_output_tokens, summary.mean_output_tokens_error),
        (Some(10.0), Some(0.0))
    );
    // The server stops half of them at 5 tokens: what was asked for is not what was done.
    for row in fixture.rows.iter_mut().step_by(2) {
        row.output_tokens = Some(5);
    }
    fixture.point.workload.mean_output_tokens = Some(10.25);
    assert!((of(&fixture).mean_output_tokens.unwrap() - 7.5).abs() < 0.01);
}

#[test]
fn lengths_of_a_cut_off_point_are_not_known_unless_they_were_asked_for() {
    let mut fixture = Fixture::clean();
    fixture.point.workload.mean_output_tokens = None;
    for row in fixture.rows.iter_mut().step_by(10) {
        row.outcome = Outcome::Aborted;
    }
    assert_eq!(of(&fixture).mean_output_tokens, Some(10.0));
    fixture.point.workload.exact_output = false;
    assert_eq!(of(&fixture).mean_output_tokens, None);
}

#[test]
fn growth_without_end_is_unstable_and_a_burst_at_the_end_is_not() {
    let mut growing = Fixture::clean();
    for row in &mut growing.rows {
        delay(row, (200.0 * row.intended.as_secs_f64()) as u64 * MS);
    }
    let found = of(&growing).stability;
    assert!(!found.stable && found.drift_per_s.low > 0.0, "{found:?}");

    let mut burst = Fixture::clean();
    let last = burst.rows.len() as u64;
    for k in 0..60 {
        burst.rows.push(row(last + k, at_ms(21_900), 200 * MS, MS, 2));
    }
    let found = of(&burst).stability;
    assert!(found.stable && found.in_flight_end >= 60, "{found:?}");
}

#[test]
fn a_timeline_has_every_arrival_completion_and_token_once() {
    let fixture = Fixture::with(9, 30.0, 100.0);
    let timeline = of(&fixture).timeline;
    assert!(timeline.len() <= 240 && timeline[0].at == fixture.point.phases.start_ns);
    assert!(timeline.windows(2).all(|pair| pair[0].at + pair[0].length == pair[1].at));
    let sum = |value: fn(&crate::TimelineSample) -> u64| timeline.iter().map(value).sum::<u64>();
    let rows = fixture.rows.len() as u64;
    assert_eq!(
        (sum(|s| s.arrivals), sum(|s| s.completions), sum(|s| s.output_tokens)),
        (rows, rows, 10 * rows)
    );
    assert_eq!(timeline[timeline.len() - 1].in_flight, 0);
    assert!(timeline[40].ttft_p50.unwrap() >= Duration::from_millis(50));
}

proptest! {
    /// The order of the rows does not matter, and moving the whole point in time changes nothing
    /// but stamps.
    #[test]
    fn summaries_do_not_depend_on_order_or_origin(seed in 1_u64..200, shift in 0_u64..100_000) {
        let slo = Slo {
            terms: vec![SloTerm {
                metric: SloMetric::Ttft,
                quantile: 0.9,
                limit: Duration::from_millis(55),
            }],
        };
        let fixture = Fixture::with(seed, 20.0, 5.0);
        let plain = summarise(&fixture.point, &fixture.rows, &slo);
        let mut moved = fixture.clone();
        moved.rows.reverse();
        let later = |at: RunNanos| at + Duration::from_millis(shift);
        for row in &mut moved.rows {
            delay(row, shift * MS);
            row.intended = later(row.intended);
            row.dequeued = later(row.dequeued);
            row.sent = row.sent.map(later);
        }
        let phases = &mut moved.point.phases;
        for stamp in [
            &mut phases.start_ns,
            &mut phases.measure_start_ns,
            &mut phases.measure_end_ns,
            &mut phases.arrivals_end_ns,
            &mut phases.end_ns,
        ] {
            *stamp = later(*stamp);
        }
        let other = summarise(&moved.point, &moved.rows, &slo);
        prop_assert_eq!(plain.counts, other.counts);
        prop_assert_eq!(plain.throughput_per_s, other.throughput_per_s);
        prop_assert_eq!(plain.output_tokens_per_s, other.output_tokens_per_s);
        prop_assert_eq!(plain.ttft, other.ttft);
        prop_assert_eq!(plain.itl, other.itl);
        prop_assert_eq!(plain.e2e, other.e2e);
        prop_assert_eq!(plain.goodput, other.goodput);
        prop_assert_eq!(plain.stability, other.stability);
    }
}
