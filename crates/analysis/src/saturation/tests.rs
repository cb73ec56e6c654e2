use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_units::RunNanos;

use super::*;
use crate::{Counts, Goodput, LatencySummary, Stability, Window};

/// A point of a ladder: offered, got through (with half width), stable or not; answers of 100
/// tokens.
fn point(rate: f64, through: f64, half: f64, stable: bool) -> PointSummary {
    let through = Estimate::around(through, half);
    PointSummary {
        id: format!("{rate}"),
        factors: BTreeMap::new(),
        repetition: 0,
        load: OfferedLoad::Open {
            arrivals: "poisson".to_owned(),
            rate_per_s: rate,
            gap_cv: Some(1.0),
            seed: 1,
            max_in_flight: None,
        },
        ended: PointEnd::Complete,
        window: Window { start: RunNanos::ZERO, end: RunNanos::from_secs_f64(10.0) },
        counts: Counts { rows: 1000, ..Counts::default() },
        failures: Vec::new(),
        achieved_rate_per_s: rate,
        throughput_per_s: through,
        output_tokens_per_s: through.scaled(100.0),
        long_run_tokens_per_s: None,
        input_tokens_per_s: None,
        prompt_tokens_planned: None,
        prompt_tokens: None,
        mean_output_tokens: Some(100.0),
        mean_output_tokens_error: Some(0.0),
        makespan_throughput_per_s: None,
        goodput: None,
        fall: None,
        stability: Stability {
            stable,
            drift_per_s: Estimate::exact(rate - through.value),
            in_flight_start: 0,
            in_flight_end: 0,
            in_flight_mean: 0.0,
            in_flight_max: 0,
        },
        ttft: LatencySummary::default(),
        service_ttft: LatencySummary::default(),
        tpot: LatencySummary::default(),
        itl: LatencySummary::default(),
        chunk_gap: LatencySummary::default(),
        chunks: crate::ChunkCounts::default(),
        decode: LatencySummary::default(),
        e2e: LatencySummary::default(),
        schedule_lag: LatencySummary::default(),
        connecting: LatencySummary::default(),
        client: crate::ClientSummary::default(),
        server: None,
        gpu: None,
        counters: plimsoll_records::ServerCounters::default(),
        ceilings: crate::Ceilings::default(),
        server_start: plimsoll_records::ServerStart::default(),
        first_arrivals: Vec::new(),
        timeline: Vec::new(),
        probe: None,
    }
}

fn stable(rate: f64) -> PointSummary {
    point(rate, rate, 0.03 * rate, true)
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-9 * expected.abs().max(1.0)
}

#[test]
fn the_capacity_is_the_pooled_plateau() {
    let points =
        [stable(5.0), point(14.0, 10.15, 0.2, false), stable(8.0), point(12.0, 9.9, 0.1, false)];
    let found = saturation(&points, &[]);
    let capacity = found.capacity_per_s.unwrap();
    // Weights 1 / 0.04 and 1 / 0.01: (25 * 10.15 + 100 * 9.9) / 125; one degree of freedom.
    assert!(near(capacity.value, 9.95));
    let birge = ((0.2 / 0.2 * 1.96_f64).powi(2) + (0.05 / 0.1 * 1.96_f64).powi(2)).sqrt();
    assert!(near(capacity.high - capacity.value, birge / 125_f64.sqrt()));
    assert_eq!((found.plateau_per_s, found.lower_bound), (found.capacity_per_s, false));
}

#[test]
fn one_point_keeps_its_own_interval() {
    let found = saturation(&[point(12.0, 10.0, 0.1, false)], &[]);
    let capacity = found.capacity_per_s.unwrap();
    assert!(near(capacity.value, 10.0) && near(capacity.low, 9.9) && near(capacity.high, 10.1));
    // No interval is believed that is narrower than 0.2 % to either side.
    let sharp = saturation(&[point(12.0, 10.0, 0.0, false)], &[]).capacity_per_s.unwrap();
    assert!(near(sharp.high, 10.02));
}

#[test]
fn an_unstable_point_far_below_the_others_was_not_saturated() {
    // Called unstable by chance at 8 a second: what it got through is not the plateau.
    let points = [point(8.0, 7.8, 0.2, false), point(12.0, 10.0, 0.1, false), stable(9.0)];
    let found = saturation(&points, &[]);
    assert!(near(found.plateau_per_s.unwrap().value, 10.0));
    assert!(near(found.capacity_per_s.unwrap().value, 10.0));
}

#[test]
fn uncertain_lengths_widen_the_capacity() {
    let mut points = [stable(5.0), point(12.0, 10.0, 0.0, false)];
    for point in &mut points {
        point.mean_output_tokens_error = Some(2.0);
    }
    let half = saturation(&points, &[]).capacity_per_s.unwrap().relative_half_width();
    // Two equal samples with 2 % each make 2 % / sqrt(2), at 1.96 standard errors.
    let expected = (0.0392_f64.powi(2) / 2.0 + 0.002_f64.powi(2)).sqrt();
    assert!((half - expected).abs() < 1e-9, "{half}");
}

#[test]
fn without_tokens_completions_count() {
    let mut only = point(12.0, 10.0, 0.3, false);
    only.mean_output_tokens = None;
    only.output_tokens_per_s = Estimate::exact(0.0);
    assert!(near(saturation(&[only], &[]).capacity_per_s.unwrap().high, 10.3));
}

#[test]
fn a_ladder_that_ends_early_gives_a_lower_bound() {
    let found = saturation(&[stable(5.0), point(8.0, 7.9, 0.3, true)], &[]);
    assert_eq!((found.capacity_per_s, found.lower_bound), (Some(Estimate::exact(7.9)), true));
    assert_eq!(found.plateau_per_s, None);
}

#[test]
fn a_weak_test_above_the_plateau_is_not_believed() {
    let weak = point(11.0, 10.05, 0.4, true);
    let found = saturation(&[stable(8.0), weak, point(14.0, 10.0, 0.1, false)], &[]);
    assert!(near(found.capacity_per_s.unwrap().value, 10.0));
    assert!(!found.lower_bound);
}

#[test]
fn a_server_that_falls_under_overload_has_its_capacity_below_the_fall() {
    let points = [stable(8.0), point(9.5, 9.5, 0.3, true), point(12.0, 7.0, 0.1, false)];
    let found = saturation(&points, &[]);
    let capacity = found.capacity_per_s.unwrap();
    assert!(near(found.plateau_per_s.unwrap().value, 7.0));
    assert!(near(capacity.value, 9.5) && near(capacity.low, 9.2) && near(capacity.high, 12.0));
}

#[test]
fn the_peak_of_the_unstable_points_is_the_plateau() {
    let points = [point(12.0, 10.0, 0.1, false), point(16.0, 8.0, 0.1, false)];
    assert!(near(saturation(&points, &[]).plateau_per_s.unwrap().value, 10.0));
}

#[test]
fn voided_and_cut_off_points_say_nothing() {
    let mut lost = point(20.0, 3.0, 0.1, false);
    lost.ended = PointEnd::TargetLost;
    let points = [stable(5.0), point(12.0, 10.0, 0.1, false), lost];
    let found = saturation(&points, &["12".to_owned()]);
    assert_eq!((found.plateau_per_s, found.lower_bound), (None, true));
    assert_eq!(found.voided, ["12"]);
    assert_eq!(saturation(&[], &[]).capacity_per_s, None);
}

#[test]
fn slo_capacity_ends_at_the_first_rate_that_misses() {
    let with = |rate: f64, met: bool| {
        let goodput = Goodput {
            good: 1,
            due: 1,
            share: Estimate::exact(1.0),
            share_error: 0.0,
            per_s: rate,
            met,
        };
        PointSummary { goodput: Some(goodput), ..stable(rate) }
    };
    let of = |points: &[PointSummary]| saturation(points, &[]).slo_capacity_per_s;
    assert_eq!(of(&[with(1.0, true), with(2.0, true), with(3.0, false)]), Some(2.0));
    assert_eq!(of(&[with(1.0, true), with(2.0, false), with(3.0, true)]), Some(1.0));
    assert_eq!(of(&[with(1.0, false), with(2.0, true)]), None);
    // One repetition that misses is enough.
    assert_eq!(of(&[with(1.0, true), with(2.0, true), with(2.0, false)]), Some(1.0));
    assert_eq!(of(&[stable(1.0)]), None);
}

#[test]
fn the_knee_is_where_power_is_largest() {
    let with = |rate: f64, latency_ms: u64| {
        let mut point = stable(rate);
        point.e2e.mean = Some(Duration::from_millis(latency_ms));
        point
    };
    // An M/M/1 queue of 10 a second: power rate * (10 - rate), largest at 5.
    let ladder: Vec<PointSummary> =
        [2.0, 4.0, 5.0, 6.0, 8.0].map(|r| with(r, (1000.0 / (10.0 - r)) as u64)).to_vec();
    assert_eq!(saturation(&ladder, &[]).knee_per_s, Some(5.0));
    assert_eq!(saturation(&ladder[..2], &[]).knee_per_s, None);
}

/// A point of a closed loop.
fn closed(concurrency: u32, through: f64) -> PointSummary {
    let load = OfferedLoad::Closed { concurrency };
    PointSummary { load, id: concurrency.to_string(), ..point(1.0, through, 0.1, true) }
}

#[test]
fn a_closed_loop_has_a_plateau_when_concurrency_no_longer_helps() {
    let flat = [closed(1, 3.0), closed(4, 9.0), closed(8, 10.0), closed(16, 10.05)];
    let found = saturation(&flat, &[]);
    assert!(found.capacity_per_s.unwrap().contains(10.02) && !found.lower_bound);
    let rising = [closed(1, 3.0), closed(4, 9.0), closed(8, 14.0)];
    let found = saturation(&rising, &[]);
    assert!(near(found.capacity_per_s.unwrap().value, 14.0) && found.lower_bound);
}
