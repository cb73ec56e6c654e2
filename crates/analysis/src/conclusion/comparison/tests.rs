//! Runs that never were: settings of known capacity and latency, with a known noise.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_records::{FindingCode, Manifest, OfferedLoad};
use serde_json::{Value, json};

use super::*;
use crate::audit::fixture::Fixture;
use crate::{LatencySummary, PointSummary, Quantile, Saturation, Slo, saturation, summarise};

/// Tokens of each answer.
const TOKENS: f64 = 10.0;

fn manifest(experiment: Value, factors: Value) -> Manifest {
    serde_json::from_value(json!({
        "format": "1.0",
        "tool": {"name": "compare", "version": "0.1.0", "commit": null},
        "experiment": "compare",
        "clock": {"origin_monotonic_ns": 1, "origin_unix_ns": 1},
        "started": "2026-01-01T00:00:00Z",
        "status": "complete",
        "seed": 7,
        "matrix_written": "",
        "overrides": [],
        "matrix_resolved": {"experiment": experiment, "factors": factors},
        "machine": {"cpu": "c", "cores": 2, "memory_bytes": 1, "os": "o", "kernel": "k"},
        "target": {
            "launch": "sim", "url": "http://127.0.0.1:1", "model": "m", "server": null,
            "version": null, "max_model_len": null, "settings_declared": {}
        },
        "points": [],
        "left_out": [],
        "stamps": "user",
        "remarks": []
    }))
    .unwrap()
}

/// A latency of `ms` in the median, twice that in the p90, too few for a p99.
fn latency(ms: f64) -> LatencySummary {
    let known = |ms: f64| {
        let at = |ms: f64| Some(Duration::from_secs_f64(ms / 1e3));
        Quantile { value: at(ms), low: at(ms * 0.999), high: at(ms * 1.001) }
    };
    let p99 = Quantile::default();
    LatencySummary { n: 100, p50: known(ms), p90: known(2.0 * ms), p99, ..Default::default() }
}

/// What a setting truly is.
#[derive(Clone, Copy)]
struct Truth {
    capacity: f64,
    ttft_ms: f64,
}

/// The points of a setting at these rates in `repetitions`, each a little off the truth.
fn group(factors: &[(&str, &str)], truth: Truth, rates: &[f64], repetitions: u32) -> Group {
    let factors: BTreeMap<String, String> =
        factors.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    let clean = Fixture::clean();
    let clean = summarise(&clean.point, &clean.rows, &Slo::default());
    let mut points = Vec::new();
    for repetition in 0..repetitions {
        // One of -1, 0 and 1 %, other ones for others, the same in every run of the test.
        let seed = repetition + 2 * factors.values().map(String::len).sum::<usize>() as u32;
        let noise = 1.0 + 0.01 * (f64::from(seed * 7 % 3) - 1.0);
        for &rate in rates {
            let mut point: PointSummary = clean.clone();
            point.id = format!("r{rate}-{repetition}");
            point.factors.clone_from(&factors);
            point.repetition = repetition;
            point.load = OfferedLoad::Open {
                arrivals: "poisson".to_owned(),
                rate_per_s: rate,
                gap_cv: Some(1.0),
                seed: u64::from(repetition),
                max_in_flight: None,
            };
            point.stability.stable = rate <= truth.capacity;
            let served = rate.min(truth.capacity * noise);
            point.throughput_per_s = Estimate::around(served, 0.01 * served);
            point.output_tokens_per_s = point.throughput_per_s.scaled(TOKENS);
            point.mean_output_tokens = Some(TOKENS);
            point.mean_output_tokens_error = Some(0.0);
            point.ttft = latency(truth.ttft_ms * noise);
            point.tpot = latency(20.0 * noise);
            point.itl = LatencySummary::default();
            point.e2e = latency(200.0 * noise);
            point.server_start.number = repetition;
            points.push(point);
        }
    }
    let saturation = saturation(&points, &[]);
    Group { factors, points, saturation, ..Group::default() }
}

const SLOTS: &str = "server.settings.max-num-seqs";
const BUDGET: &str = "server.settings.max-num-batched-tokens";

fn truth(capacity: f64) -> Truth {
    Truth { capacity, ttft_ms: 50.0 }
}

fn concluded(manifest: &Manifest, groups: &[Group]) -> (SettingsComparison, Vec<Finding>) {
    compared(manifest, groups)
}

fn verdict(found: &SettingsComparison, candidate: &str, figure: &str) -> ComparisonVerdict {
    let place = found.candidates.iter().position(|name| name == candidate).unwrap();
    let one = found.figures.iter().find(|it| it.candidate == place && it.figure.name() == figure);
    one.unwrap_or_else(|| panic!("{candidate} has no {figure}")).comparison.verdict
}

fn slots(values: [(&str, f64); 2]) -> Vec<Group> {
    let of = |(value, capacity)| group(&[(SLOTS, value)], truth(capacity), &[8.0, 40.0], 6);
    values.map(of).to_vec()
}

#[test]
fn a_planted_difference_is_found_and_none_is_equivalent() {
    let manifest = manifest(json!({}), json!({SLOTS: [16, 32]}));
    let (found, findings) = concluded(&manifest, &slots([("16", 13.5), ("32", 20.0)]));
    assert_eq!(
        (found.baseline.as_str(), &found.candidates[..]),
        ("max-num-seqs=16", &["max-num-seqs=32".to_owned()][..])
    );
    assert_eq!(found.main, Some((ComparedFigure::Capacity, None)));
    assert_eq!(verdict(&found, "max-num-seqs=32", "capacity"), ComparisonVerdict::Better);
    let answer = found.answer().next().unwrap();
    assert!((answer.comparison.ratio - 20.0 / 13.5).abs() < 0.02, "{answer:?}");
    assert!(
        (answer.candidate_value - 20.0).abs() < 0.2 && (answer.baseline_value - 13.5).abs() < 0.2
    );
    assert_eq!(verdict(&found, "max-num-seqs=32", "TTFT p50"), ComparisonVerdict::Equivalent);
    assert_eq!(findings, []);
    // At the low load everybody kept up, at the high one nobody did; p99 is not known of either.
    assert!(found.figures.iter().all(|one| one.figure != ComparedFigure::Latency(Wait::Ttft, 99)));
    let at = |figure| -> Vec<_> {
        found.figures.iter().filter(|it| it.figure == figure).map(|it| it.load).collect()
    };
    assert_eq!(at(ComparedFigure::Throughput), [Some(ComparedLoad::Rate(40.0))]);
    assert_eq!(at(ComparedFigure::Latency(Wait::Ttft, 50)), [Some(ComparedLoad::Rate(8.0))]);
    assert_eq!(
        found.remarks,
        [
            "throughput is not compared at 8 req/s: every setting kept up, so it is the load's",
            "no latency is compared at 40 req/s: no setting kept up, so theirs are the run's length and not \
             the server's"
        ]
    );
}

#[test]
fn a_latency_gets_better_downwards_and_only_where_both_kept_up() {
    let of = |value, capacity, ttft_ms| {
        group(&[(SLOTS, value)], Truth { capacity, ttft_ms }, &[8.0, 15.0, 40.0], 6)
    };
    let groups = [of("16", 20.0, 50.0), of("32", 20.0, 40.0), of("8", 10.0, 90.0)];
    let manifest = manifest(json!({"margin": 0.1}), json!({SLOTS: [16, 32, 8]}));
    let (found, _) = concluded(&manifest, &groups);
    assert_eq!(found.margin, 0.1);
    assert_eq!(verdict(&found, "max-num-seqs=32", "TTFT p90"), ComparisonVerdict::Better);
    assert_eq!(verdict(&found, "max-num-seqs=8", "TTFT p90"), ComparisonVerdict::Worse);
    let loads = |candidate: usize| -> Vec<String> {
        let ttft = ComparedFigure::Latency(Wait::Ttft, 50);
        let its = found.figures.iter().filter(|it| it.figure == ttft && it.candidate == candidate);
        its.map(|it| it.load.unwrap().to_string()).collect()
    };
    assert_eq!(
        (loads(0), loads(1)),
        (vec!["8 req/s".to_owned(), "15 req/s".to_owned()], vec!["8 req/s".to_owned()])
    );
    assert!(
        found
            .remarks
            .iter()
            .any(|it| it.starts_with("no latency of max-num-seqs=8 is compared at 15 req/s"))
    );
}

#[test]
fn a_window_that_tests_as_behind_far_below_the_capacity_is_chance() {
    let mut groups = slots([("16", 13.5), ("32", 20.0)]);
    let manifest = manifest(json!({}), json!({SLOTS: [16, 32]}));
    let at_low = |point: &&mut PointSummary| point.load.rate_per_s() == Some(8.0);
    let spoil = |group: &mut Group, n: usize| {
        group.points.iter_mut().filter(at_low).take(n).for_each(|it| it.stability.stable = false);
    };
    spoil(&mut groups[1], 2);
    let (found, _) = concluded(&manifest, &groups);
    assert_eq!(verdict(&found, "max-num-seqs=32", "TTFT p50"), ComparisonVerdict::Equivalent);
    assert!(
        found.remarks[0].starts_with("2 of 6 windows of max-num-seqs=32"),
        "{:?}",
        found.remarks
    );
    // Half of them are no chance.
    spoil(&mut groups[1], 3);
    let (found, _) = concluded(&manifest, &groups);
    assert!(found.figures.iter().all(|it| !matches!(it.figure, ComparedFigure::Latency(..))));
}

#[test]
fn the_baseline_is_the_first_value_as_written_whatever_was_measured_first() {
    let manifest = manifest(json!({}), json!({SLOTS: [32, 16]}));
    let (found, _) = concluded(&manifest, &slots([("16", 13.5), ("32", 20.0)]));
    assert_eq!(
        (found.baseline.as_str(), found.candidates[0].as_str()),
        ("max-num-seqs=32", "max-num-seqs=16")
    );
    assert_eq!(verdict(&found, "max-num-seqs=16", "capacity"), ComparisonVerdict::Worse);
    // The first one is not there: the server refused it, say.
    let manifest = self::manifest(json!({}), json!({SLOTS: [64, 16, 32]}));
    let (found, _) = concluded(&manifest, &slots([("16", 13.5), ("32", 20.0)]));
    assert_eq!(found.baseline, "max-num-seqs=16");
    assert!(
        found.remarks[0].contains("first setting of the matrix was not measured"),
        "{:?}",
        found.remarks
    );
}

#[test]
fn a_bound_allows_only_what_it_bounds() {
    // Nobody offered the candidate more than it kept up with: it is better at least.
    let manifest = manifest(json!({}), json!({SLOTS: [16, 32]}));
    let (found, findings) = concluded(&manifest, &slots([("16", 13.5), ("32", 70.0)]));
    let answer = found.answer().next().unwrap();
    assert_eq!(
        (answer.lower_bound, answer.comparison.verdict),
        ([false, true], ComparisonVerdict::Better)
    );
    assert_eq!(findings.iter().map(|it| it.code).collect::<Vec<_>>(), [FindingCode::LoadLimited]);
    // The baseline was not: that the candidate reaches as much says nothing.
    let (found, _) = concluded(&manifest, &slots([("16", 70.0), ("32", 39.9)]));
    let undecided = ComparisonVerdict::Undecided { repetitions_that_would_decide: None };
    assert_eq!(verdict(&found, "max-num-seqs=32", "capacity"), undecided);
    // Nobody was: nothing is claimed of capacities, and the answer is about latency.
    let (found, findings) = concluded(&manifest, &slots([("16", 70.0), ("32", 80.0)]));
    assert_eq!(
        found.main,
        Some((ComparedFigure::Latency(Wait::E2e, 50), Some(ComparedLoad::Rate(40.0))))
    );
    assert!(found.remarks[0].starts_with("the capacity is not compared"), "{:?}", found.remarks);
    assert_eq!(findings, []);
}

#[test]
fn what_is_missing_leaves_its_own_repetition_out_and_nothing_else() {
    let mut groups = slots([("16", 13.5), ("32", 20.0)]);
    groups.push(group(&[(SLOTS, "64")], truth(25.0), &[8.0, 40.0], 6));
    // The run was cut off in the last repetition of the second setting; the audit voids a point of the third.
    groups[1].points.retain(|point| point.repetition != 5 || point.load.rate_per_s() != Some(40.0));
    let void = groups[2].points[0].id.clone();
    assert_eq!(
        (groups[2].points[0].repetition, groups[2].points[0].load.rate_per_s()),
        (0, Some(8.0))
    );
    groups[2].saturation = Saturation { voided: vec![void], ..groups[2].saturation.clone() };
    let manifest = manifest(json!({}), json!({SLOTS: [16, 32, 64]}));
    let (found, _) = concluded(&manifest, &groups);
    let repetitions = |candidate: usize, figure: ComparedFigure| {
        let one = found.figures.iter().find(|it| it.candidate == candidate && it.figure == figure);
        one.map(|it| it.comparison.repetitions)
    };
    let ttft = ComparedFigure::Latency(Wait::Ttft, 50);
    assert_eq!([0, 1].map(|it| repetitions(it, ComparedFigure::Capacity)), [Some(5), Some(6)]);
    assert_eq!([0, 1].map(|it| repetitions(it, ttft)), [Some(6), Some(5)]);
    let said = |part: &str| found.remarks.iter().any(|remark| remark.contains(part));
    assert!(
        said("repetition 6 of the capacity is left out where max-num-seqs=32 is in it"),
        "{:?}",
        found.remarks
    );
    assert!(
        said("repetition 1 at 8 req/s is left out where max-num-seqs=64 is in it"),
        "{:?}",
        found.remarks
    );
    // The rung that saturates the third is voided once: its low one alone is no capacity.
    let high = groups[2].points.iter().find(|it| it.repetition == 1 && !it.stability.stable);
    let void = high.unwrap().id.clone();
    groups[2].saturation.voided.push(void);
    let (found, _) = concluded(&manifest, &groups);
    let of_third = |it: &&FigureComparison| it.candidate == 1 && it.load.is_none();
    let capacity = found.figures.iter().find(of_third).unwrap();
    assert_eq!((capacity.comparison.repetitions, capacity.lower_bound), (5, [false, false]));
}

#[test]
fn planted_effects_of_two_factors_are_ranked_right_with_their_interaction() {
    // Slots by a factor of 1.5, the budget by 0.95, and together another 0.9.
    let mut groups = Vec::new();
    for (slots, by_slots) in [("16", 1.0), ("32", 1.5)] {
        for (budget, by_budget) in [("2048", 1.0), ("128", 0.95)] {
            let both = if (slots, budget) == ("32", "128") { 0.9 } else { 1.0 };
            let capacity = 12.0 * by_slots * by_budget * both;
            groups.push(group(
                &[(SLOTS, slots), (BUDGET, budget)],
                truth(capacity),
                &[8.0, 40.0],
                6,
            ));
        }
    }
    let manifest = manifest(json!({}), json!({SLOTS: [16, 32], BUDGET: [2048, 128]}));
    let (found, _) = concluded(&manifest, &groups);
    assert_eq!(found.baseline, "max-num-batched-tokens=2048, max-num-seqs=16");
    assert!(found.candidates.contains(&"max-num-batched-tokens=128, max-num-seqs=32".to_owned()));
    let effects = &found.effects[0];
    assert_eq!((effects.figure, effects.load), (ComparedFigure::Capacity, None));
    let ranks: Vec<_> = effects
        .effects
        .ranking
        .iter()
        .map(|it| (it.factor.as_str(), it.highest.as_str()))
        .collect();
    assert_eq!(ranks, [("max-num-seqs", "32"), ("max-num-batched-tokens", "2048")]);
    assert!((effects.effects.ranking[0].ratio - 1.5 * 0.9_f64.sqrt()).abs() < 0.02);
    let [both] = &effects.effects.interactions[..] else { panic!("{effects:?}") };
    assert!((both.ratio - 0.9).abs() < 0.02 && both.claimed, "{both:?}");
    // Neither does anything to the latencies.
    let [_, ttft, tpot] = &found.effects[..] else { panic!("{:?}", found.effects) };
    assert_eq!(
        (ttft.figure, ttft.load),
        (ComparedFigure::Latency(Wait::Ttft, 90), Some(ComparedLoad::Rate(8.0)))
    );
    assert_eq!(tpot.figure, ComparedFigure::Latency(Wait::Tpot, 50));
    // One combination fewer: nothing is said of factors, and that is said.
    groups.pop();
    let (found, _) = concluded(&manifest, &groups);
    assert_eq!(found.effects, []);
    assert!(
        found.remarks.iter().any(|it| it.starts_with("not every combination")),
        "{:?}",
        found.remarks
    );
}

#[test]
fn one_repetition_claims_nothing_and_is_found_once() {
    let of = |value, capacity| group(&[(SLOTS, value)], truth(capacity), &[8.0, 40.0], 1);
    let groups = [of("16", 13.5), of("32", 20.0), of("64", 14.0)];
    let manifest = manifest(json!({}), json!({SLOTS: [16, 32, 64]}));
    let (found, findings) = concluded(&manifest, &groups);
    assert!(
        found
            .answer()
            .all(|it| matches!(it.comparison.verdict, ComparisonVerdict::Undecided { .. }))
    );
    let [only] = &findings[..] else { panic!("{findings:?}") };
    // The one whose difference is most in doubt stands for all.
    assert!(
        only.code == FindingCode::SingleRun && only.message.contains("max-num-seqs=64"),
        "{only:?}"
    );
}

#[test]
fn what_the_order_and_the_starts_leave_in_the_differences_is_said() {
    let mut groups = slots([("16", 13.5), ("32", 20.0)]);
    let factors = json!({SLOTS: [16, 32]});
    let said = |manifest: &Manifest, groups: &[Group], part: &str| {
        concluded(manifest, groups).0.remarks.iter().any(|it| it.contains(part))
    };
    let turns = manifest(json!({}), factors.clone());
    let grouped = manifest(json!({"order": "grouped"}), factors);
    assert!(!said(&turns, &groups, "not by turns") && said(&grouped, &groups, "not by turns"));
    assert!(!said(&turns, &groups, "same start"));
    groups[0].points.iter_mut().for_each(|point| point.server_start.number = 0);
    assert!(said(&turns, &groups, "same start"));
}

#[test]
fn a_closed_loop_compares_throughput_and_latency_at_each_concurrency() {
    let mut groups = slots([("16", 13.5), ("32", 20.0)]);
    for group in &mut groups {
        for point in &mut group.points {
            let concurrency = if point.load.rate_per_s() == Some(8.0) { 8 } else { 40 };
            point.load = OfferedLoad::Closed { concurrency };
            point.stability.stable = true;
        }
        group.saturation = saturation(&group.points, &[]);
    }
    let (found, _) = concluded(&manifest(json!({}), json!({SLOTS: [16, 32]})), &groups);
    let loads: Vec<_> = found
        .figures
        .iter()
        .filter(|it| it.figure == ComparedFigure::Throughput)
        .map(|it| it.load.unwrap().to_string())
        .collect();
    assert_eq!(loads, ["8 in flight", "40 in flight"]);
    assert_eq!(found.main, Some((ComparedFigure::Throughput, Some(ComparedLoad::Concurrency(40)))));
}

#[test]
fn nothing_to_compare_is_said() {
    let groups = &slots([("16", 13.5), ("32", 20.0)])[..1];
    let (found, findings) = concluded(&manifest(json!({}), json!({SLOTS: [16, 32]})), groups);
    assert_eq!((found.main, found.figures.len(), findings.len()), (None, 0, 0));
    assert_eq!(found.remarks, ["one setting alone has nothing to be compared with"]);
    let (found, _) = concluded(&manifest(json!({}), json!({})), &[]);
    assert_eq!((found.baseline.as_str(), found.candidates.len()), ("", 0));
}
