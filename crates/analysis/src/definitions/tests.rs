use plimsoll_records::{ChunkRow, Outcome};
use plimsoll_units::RunNanos;
use proptest::prelude::*;
use std::time::Duration;

use super::*;
use crate::audit::fixture::{Fixture, MS, delay, fail, row};
use crate::{SloMetric, SloTerm, summarise};

fn at(ms: u64) -> RunNanos {
    RunNanos::from_nanos(ms * MS)
}

/// Four requests, in milliseconds:
/// A: due 1000, taken up 1002, connected 1005, role chunk 1100, reasoning 1130, answer 1150 and 1180
///    (three tokens), done 1200; 5 tokens.
/// B: due, taken up and connected 2000, tokens at 2040, 2050, 2060, 2070, done 2070.
/// C: due 3000, refused at 3500.
/// D: due 4000, one token at 4100, done 4110.
fn four() -> (PointFile, Vec<RequestRow>) {
    let mut point = Fixture::clean().point;
    point.phases.start_ns = RunNanos::ZERO;
    point.phases.measure_start_ns = RunNanos::ZERO;
    point.phases.measure_end_ns = at(10_000);
    point.phases.arrivals_end_ns = at(10_000);
    point.phases.end_ns = at(10_000);
    let mut a = row(0, at(1000), 130 * MS, 20 * MS, 3);
    (a.dequeued, a.connected, a.role_chunk) = (at(1002), Some(at(1005)), Some(at(1100)));
    (a.first_reasoning, a.first_answer) = (Some(at(1130)), Some(at(1150)));
    (a.last_token, a.done, a.output_tokens) = (Some(at(1180)), at(1200), Some(5));
    a.chunks[0].reasoning = true;
    a.chunks[2] = ChunkRow { at: at(1180), tokens: 3, ..a.chunks[2] };
    let b = row(1, at(2000), 40 * MS, 10 * MS, 4);
    let mut c = row(2, at(3000), MS, MS, 1);
    fail(&mut c, Outcome::Refused);
    c.done = at(3500);
    let mut d = row(3, at(4000), 100 * MS, MS, 1);
    d.done = at(4110);
    (point, vec![a, b, c, d])
}

fn print(tool: PeerTool, point: &PointFile, rows: &[RequestRow], slo: &Slo) -> Printed {
    tool.printed(point, rows, slo, &summarise(point, rows, slo))
}

fn find(printed: &Printed, key: &str) -> Figure {
    printed.figures.iter().find(|figure| figure.measure.key() == key).unwrap().clone()
}

/// Holds figures against values that were worked out by hand, in the tool's own unit.
fn holds(tool: PeerTool, rows: &[RequestRow], expected: &[(&str, &str, f64)]) {
    let printed = print(tool, &four().0, rows, &Slo::default());
    for (key, name, value) in expected {
        let figure = find(&printed, key);
        assert_eq!(figure.name.as_deref(), Some(*name), "{tool}");
        let found = figure.value.unwrap_or_else(|missing| panic!("{tool} {key}: {missing:?}"));
        assert!((found / value - 1.0).abs() < 1e-9, "{tool} {key}: {found}, by hand {value}");
    }
}

#[test]
fn vllm_by_hand() {
    for tool in [PeerTool::Vllm, PeerTool::VllmRust] {
        holds(
            tool,
            &four().1,
            &[
                // 98, 40 and 100 ms: from taking up to the role chunk, for A.
                ("ttft_mean", "mean_ttft_ms", 238.0 / 3.0),
                ("ttft_median", "median_ttft_ms", 98.0),
                ("ttft_p99", "p99_ttft_ms", 98.0 + 0.98 * 2.0),
                // (178 - 98) / 4 and 30 / 3; D has one token.
                ("tpot_mean", "mean_tpot_ms", 15.0),
                ("tpot_std", "std_tpot_ms", 5.0),
                // 30, 20, 30 and 10, 10, 10.
                ("itl_mean", "mean_itl_ms", 110.0 / 6.0),
                ("itl_median", "median_itl_ms", 15.0),
                // 178, 70 and 100.
                ("e2e_mean", "mean_e2el_ms", 116.0),
                ("request_throughput", "request_throughput", 3.0 / 4.11),
                ("output_throughput", "output_throughput", 10.0 / 4.11),
            ],
        );
    }
    let printed = print(PeerTool::Vllm, &four().0, &four().1, &Slo::default());
    assert_eq!((printed.completed, printed.failed, printed.unseen), (3, 1, 0));
    assert_eq!(printed.duration_s, Some(4.11));
    assert_eq!(find(&printed, "goodput").value, Err(Missing::NoObjectives));
    assert_eq!(find(&printed, "chunk_gap_mean").value, Err(Missing::NotPrinted));
}

#[test]
fn sglang_by_hand() {
    holds(
        PeerTool::Sglang,
        &four().1,
        &[
            // 128, 40, 100: the role chunk is none.
            ("ttft_median", "median_ttft_ms", 100.0),
            // (198 - 128) / 4 and 10.
            ("tpot_mean", "mean_tpot_ms", 13.75),
            ("itl_mean", "mean_itl_ms", 16.0),
            ("e2e_mean", "mean_e2e_latency_ms", (198.0 + 70.0 + 110.0) / 3.0),
            ("request_throughput", "request_throughput", 3.0 / 4.11),
        ],
    );
}

#[test]
fn guidellm_by_hand() {
    holds(
        PeerTool::Guidellm,
        &four().1,
        &[
            // 125, 40, 100 ms from the connection; the median is one of them.
            ("ttft_median", "time_to_first_token_ms.successful.median", 100.0),
            ("ttft_mean", "time_to_first_token_ms.successful.mean", 265.0 / 3.0),
            // 175 / 5, 70 / 4 and 100 / 1 ms, weighted by 5, 4 and 1 tokens.
            ("tpot_mean", "time_per_output_token_ms.successful.mean", 34.5),
            ("tpot_median", "time_per_output_token_ms.successful.median", 35.0),
            // 50 / 4 and 30 / 3 ms, weighted by 4 and 3.
            ("itl_mean", "inter_token_latency_ms.successful.mean", 80.0 / 7.0),
            ("e2e_median", "request_latency.successful.median", 0.110),
            ("output_throughput", "output_tokens_per_second.successful.mean", 10.0 / 4.11),
        ],
    );
}

#[test]
fn aiperf_by_hand() {
    holds(
        PeerTool::Aiperf,
        &four().1,
        &[
            ("ttft_mean", "time_to_first_token.avg", 268.0 / 3.0),
            // (178 - 128) / 4 and 30 / 3.
            ("itl_mean", "inter_token_latency.avg", 11.25),
            ("itl_std", "inter_token_latency.std", 1.25),
            // 20, 30, 10, 10, 10.
            ("chunk_gap_mean", "inter_chunk_latency.avg", 16.0),
            ("e2e_mean", "request_latency.avg", 116.0),
            // From 1002 to 4100 ms.
            ("request_throughput", "request_throughput.avg", 3.0 / 3.098),
        ],
    );
    let printed = print(PeerTool::Aiperf, &four().0, &four().1, &Slo::default());
    assert_eq!(find(&printed, "tpot_mean").value, Err(Missing::NotPrinted));
}

#[test]
fn inference_perf_by_hand() {
    holds(
        PeerTool::InferencePerf,
        &four().1,
        &[
            // 148 and 40 ms; D has one token. The unit is a second.
            ("ttft_mean", "latency.time_to_first_token.mean", 0.094),
            // Four tokens of A are answer: 30 / 3, as B.
            ("tpot_p99", "latency.time_per_output_token.p99", 0.010),
            // 30, 0, 0 and 10, 10, 10.
            ("itl_mean", "latency.inter_token_latency.mean", 0.010),
            ("itl_p99", "latency.inter_token_latency.p99", 0.010 + 0.95 * 0.020),
            // From 1002 to 4110 ms, 4 + 4 + 1 tokens.
            ("output_throughput", "throughput.output_tokens_per_sec", 9.0 / 3.108),
        ],
    );
    let printed = print(PeerTool::InferencePerf, &four().0, &four().1, &Slo::default());
    assert_eq!(find(&printed, "ttft_std").value, Err(Missing::NotPrinted));
}

#[test]
fn genai_bench_by_hand() {
    let mut rows = four().1;
    holds(
        PeerTool::GenaiBench,
        &rows,
        &[
            ("ttft_median", "stats.ttft.p50", 0.100),
            ("tpot_mean", "stats.tpot.mean", 0.013_75),
            ("e2e_std", "stats.e2e_latency.stddev", (8576.0_f64 / 3.0).sqrt() / 1e3),
            ("request_throughput", "requests_per_second", 3.0 / 4.11),
        ],
    );
    // B's four tokens at once: over 1,000 tokens a second, so that it vanishes.
    for chunk in &mut rows[1].chunks {
        chunk.at = at(2040);
    }
    (rows[1].last_token, rows[1].done) = (Some(at(2040)), at(2041));
    holds(
        PeerTool::GenaiBench,
        &rows,
        &[
            ("request_throughput", "requests_per_second", 2.0 / 4.11),
            ("ttft_mean", "stats.ttft.mean", 0.114),
        ],
    );
    let printed = print(PeerTool::GenaiBench, &four().0, &rows, &Slo::default());
    assert_eq!((printed.completed, printed.failed, printed.unseen), (2, 1, 1));
    assert_eq!(find(&printed, "itl_mean").value, Err(Missing::NotPrinted));
}

#[test]
fn inference_benchmarker_by_hand() {
    let (mut point, rows) = four();
    holds(
        PeerTool::InferenceBenchmarker,
        &rows,
        &[
            ("ttft_mean", "time_to_first_token_ms.avg", 96.0),
            // 30 / 3, 30 / 3 and 0 for the single chunk.
            ("itl_mean", "inter_token_latency_ms.avg", 20.0 / 3.0),
            // A ended first, its clock began at 1002; the last end is 4110.
            ("request_throughput", "request_rate", 3.0 / 3.108),
        ],
    );
    // What ends after the last arrival is thrown away: D, at 4110.
    point.phases.arrivals_end_ns = at(4105);
    let printed = print(PeerTool::InferenceBenchmarker, &point, &rows, &Slo::default());
    assert_eq!((printed.completed, printed.failed, printed.unseen), (2, 1, 1));
    assert!((printed.duration_s.unwrap() - 2.498).abs() < 1e-12);
}

#[test]
fn mlperf_by_hand() {
    let (point, mut rows) = four();
    let printed = print(PeerTool::Mlperf, &point, &rows, &Slo::default());
    assert_eq!(find(&printed, "ttft_mean").value, Err(Missing::RunInvalid));
    rows.remove(2);
    holds(
        PeerTool::Mlperf,
        &rows,
        &[
            // 130, 40 and 100 ms from the schedule; floor(0.5 x 3) is the second of three.
            ("ttft_mean", "Mean first token latency (ns)", 90e6),
            ("ttft_median", "50.00 percentile first token latency (ns)", 100e6),
            ("ttft_p99", "99.00 percentile first token latency (ns)", 130e6),
            ("tpot_mean", "Mean time to output token (ns)", 13.75e6),
            ("e2e_mean", "Mean latency (ns)", 380e6 / 3.0),
            // (3 - 1) / (4110 - 1000 ms).
            ("request_throughput", "Completed samples per second", 2.0 / 3.11),
            ("output_throughput", "Completed tokens per second", 10.0 / 3.11),
        ],
    );
}

#[test]
fn goodput_by_hand() {
    let (point, rows) = four();
    let term = |metric, ms| SloTerm { metric, quantile: 0.9, limit: Duration::from_millis(ms) };
    // vLLM: A's TPOT is 20 ms, B's 10, D has none, which passes. aiperf: A is 12.5, D fails.
    let slo = Slo { terms: vec![term(SloMetric::Tpot, 15), term(SloMetric::E2e, 150)] };
    for (tool, good) in [
        (PeerTool::Vllm, 2.0 / 4.11),
        (PeerTool::Aiperf, 1.0 / 3.098),
        (PeerTool::InferencePerf, 1.0 / 3.108),
    ] {
        let value = find(&print(tool, &point, &rows, &slo), "goodput").value.unwrap();
        assert!((value / good - 1.0).abs() < 1e-9, "{tool}: {value}");
    }
}

#[test]
fn the_arrays_and_the_rules_of_vllm_agree() {
    let mut fixture = Fixture::clean();
    for (k, row) in fixture.rows.iter_mut().enumerate() {
        row.role_chunk = (k % 3 == 0).then(|| row.intended + Duration::from_millis(20));
        if k % 50 == 7 {
            fail(row, Outcome::Timeout);
        }
    }
    let slo = Slo {
        terms: vec![SloTerm {
            metric: SloMetric::Ttft,
            quantile: 0.9,
            limit: Duration::from_millis(54),
        }],
    };
    let run = VllmRun::of(&fixture.point, &fixture.rows, &slo);
    let printed = print(PeerTool::Vllm, &fixture.point, &fixture.rows, &slo);
    let mut compared = 0;
    for figure in &printed.figures {
        let Some(name) = &figure.name else { continue };
        let theirs = match name.as_str() {
            "request_throughput" => run.request_throughput(),
            "output_throughput" => run.output_throughput(),
            "request_goodput" => run.request_goodput.unwrap(),
            name => run.metrics.iter().find(|(key, _)| key == name).unwrap().1,
        };
        let value = figure.value.unwrap();
        assert!((value - theirs).abs() <= 1e-9 * theirs.abs(), "{name}: {value} {theirs}");
        compared += 1;
    }
    assert_eq!((compared, printed.completed, printed.failed), (19, run.completed, run.failed));
}

#[test]
fn our_own_rules_are_our_summary() {
    let fixture = Fixture::clean();
    let summary = summarise(&fixture.point, &fixture.rows, &Slo::default());
    for latency in Latency::ALL {
        let samples = Rules::OURS.samples(latency, &fixture.point, &fixture.rows);
        for stat in [Stat::Mean, Stat::Median, Stat::P99] {
            let found = Rules::OURS.statistic(stat, &samples).unwrap();
            let known = ours(Measure::Latency(latency, stat), &summary).unwrap();
            assert!((found - known).abs() < 2e-9, "{latency:?} {stat:?}: {found} {known}");
        }
    }
}

/// The reasons of one figure after `spoil`, at every tool that has it.
fn reasons(tool: PeerTool, key: &str, spoil: impl Fn(&mut Fixture)) -> Vec<Because> {
    let mut fixture = Fixture::clean();
    spoil(&mut fixture);
    find(&print(tool, &fixture.point, &fixture.rows, &Slo::default()), key).because
}

#[test]
fn a_clean_point_differs_in_little() {
    for tool in PeerTool::ALL {
        let fixture = Fixture::clean();
        let printed = print(tool, &fixture.point, &fixture.rows, &Slo::default());
        for figure in printed.figures {
            let same_word = !matches!(
                (tool, figure.measure),
                (PeerTool::Guidellm, Measure::Latency(Latency::Tpot, _))
            );
            if same_word {
                assert_eq!(figure.because, [], "{tool} {figure:?}");
            }
        }
    }
}

#[test]
fn the_reason_is_the_step_that_moves_the_figure() {
    let with_role = |fixture: &mut Fixture| {
        for row in &mut fixture.rows {
            row.role_chunk = Some(row.intended + Duration::from_millis(10));
        }
    };
    assert_eq!(reasons(PeerTool::Vllm, "ttft_mean", with_role), [Because::RoleChunk]);
    assert_eq!(reasons(PeerTool::Sglang, "ttft_mean", with_role), []);
    let late = |fixture: &mut Fixture| {
        for row in &mut fixture.rows {
            row.dequeued = row.intended + Duration::from_millis(10);
            row.connected = Some(row.intended + Duration::from_millis(25));
        }
    };
    assert_eq!(reasons(PeerTool::Aiperf, "ttft_mean", late), [Because::ClientLag]);
    assert_eq!(
        reasons(PeerTool::Guidellm, "ttft_mean", late),
        [Because::Connecting, Because::ClientLag]
    );
    assert_eq!(reasons(PeerTool::Mlperf, "ttft_mean", late), []);
    let reasoning = |fixture: &mut Fixture| {
        for row in &mut fixture.rows {
            row.first_reasoning = row.first_answer;
            row.first_answer = Some(row.chunks[4].at);
            row.chunks[..4].iter_mut().for_each(|chunk| chunk.reasoning = true);
        }
    };
    assert_eq!(reasons(PeerTool::InferencePerf, "ttft_mean", reasoning), [Because::Reasoning]);
    assert_eq!(
        reasons(PeerTool::InferencePerf, "output_throughput", reasoning),
        [Because::Reasoning]
    );
    assert_eq!(reasons(PeerTool::Vllm, "ttft_mean", reasoning), []);
    let bundled = |fixture: &mut Fixture| {
        for row in &mut fixture.rows {
            row.output_tokens = Some(40);
            row.chunks.iter_mut().for_each(|chunk| chunk.tokens = 4);
        }
    };
    assert_eq!(reasons(PeerTool::Vllm, "itl_mean", bundled), [Because::ChunkGaps]);
    assert_eq!(reasons(PeerTool::InferencePerf, "itl_median", bundled), [Because::ZerosInChunks]);
    assert_eq!(reasons(PeerTool::Guidellm, "tpot_mean", |_| ()), [Because::TpotFormula]);
}

#[test]
fn a_drain_a_failure_and_an_overload_are_named() {
    // Requests of four seconds, and a window that begins when the first have ended.
    let long = |fixture: &mut Fixture| {
        for row in &mut fixture.rows {
            *row = crate::audit::fixture::row(row.id, row.intended, 400 * MS, 400 * MS, 10);
        }
        fixture.point.phases.measure_start_ns = at(6000);
        fixture.point.phases.end_ns = at(28_000);
    };
    for tool in [PeerTool::Vllm, PeerTool::Guidellm, PeerTool::GenaiBench] {
        assert_eq!(reasons(tool, "request_throughput", long), [Because::Drain], "{tool}");
        assert_eq!(reasons(tool, "output_throughput", long), [Because::Drain], "{tool}");
    }
    assert_eq!(
        reasons(PeerTool::InferenceBenchmarker, "request_throughput", long),
        [Because::Drain, Because::LateAnswers]
    );
    // A fifth of the answers is cut off after its last token: their tokens count for us alone.
    let failing = |fixture: &mut Fixture| {
        for row in fixture.rows.iter_mut().filter(|row| row.id % 5 == 0) {
            row.outcome = Outcome::Reset;
        }
    };
    assert_eq!(reasons(PeerTool::Sglang, "output_throughput", failing), [Because::OnlyCompleted]);
    // vLLM takes a stream that ended in an error object for a completed request; we do not.
    let cut = |fixture: &mut Fixture| {
        for row in fixture.rows.iter_mut().filter(|row| row.id % 5 == 0) {
            row.outcome = Outcome::StreamError;
        }
    };
    assert_eq!(reasons(PeerTool::Vllm, "request_throughput", cut), [Because::OnlyCompleted]);
    let overloaded = |fixture: &mut Fixture| {
        for row in &mut fixture.rows {
            let by = (500.0 * row.intended.as_secs_f64()) as u64 * MS;
            delay(row, by);
        }
    };
    assert_eq!(reasons(PeerTool::Vllm, "ttft_mean", overloaded), [Because::Overload]);
    let mut fixture = Fixture::clean();
    overloaded(&mut fixture);
    let figure =
        find(&print(PeerTool::Vllm, &fixture.point, &fixture.rows, &Slo::default()), "ttft_mean");
    assert!(figure.value.is_ok() && figure.ours.is_none() && figure.difference().is_none());
}

#[test]
fn nothing_and_one_request() {
    let (point, rows) = four();
    for tool in PeerTool::ALL {
        let none = print(tool, &point, &[], &Slo::default());
        assert_eq!((none.completed, none.failed, none.duration_s), (0, 0, None));
        assert!(none.figures.iter().all(|figure| figure.value.is_err()), "{tool}");
        let one = print(tool, &point, &rows[1..2], &Slo::default());
        assert_eq!((one.completed, one.failed), (1, 0), "{tool}");
        assert!(find(&one, "ttft_p99").value.unwrap() > 0.0, "{tool}");
        if let Ok(std) = find(&one, "e2e_std").value {
            assert_eq!(std, 0.0, "{tool}");
        }
    }
}

#[test]
fn every_figure_has_a_key_of_its_own() {
    let keys: std::collections::BTreeSet<String> = Measure::all().map(Measure::key).collect();
    assert_eq!((keys.len(), Measure::all().count()), (23, 23));
    assert!(keys.contains("itl_p99") && keys.contains("chunk_gap_std"));
}

proptest! {
    /// No stamps, counts or outcomes make any tool's figures panic or lose their finiteness.
    #[test]
    fn any_rows_are_survived(
        stamps in prop::collection::vec(prop::collection::vec(0_u64..u64::MAX, 10), 0..5),
        tokens in prop::option::of(any::<u32>()),
    ) {
        let rows: Vec<RequestRow> = stamps
            .iter()
            .enumerate()
            .map(|(id, s)| {
                let at = |k: usize| RunNanos::from_nanos(s[k]);
                let mut row = row(id as u64, RunNanos::ZERO, MS, MS, 3);
                (row.intended, row.dequeued, row.done) = (at(0), at(1), at(2));
                row.connected = (s[3] % 3 > 0).then(|| at(3));
                row.role_chunk = (s[4] % 2 == 0).then(|| at(4));
                row.first_reasoning = (s[5] % 2 == 0).then(|| at(5));
                row.first_answer = (s[6] % 3 > 0).then(|| at(6));
                row.last_token = (s[7] % 3 > 0).then(|| at(7));
                for (k, chunk) in row.chunks.iter_mut().enumerate() {
                    chunk.at = at(7 + k);
                    chunk.tokens = s[k] as u32;
                    chunk.reasoning = s[k] % 2 == 0;
                }
                row.output_tokens = tokens;
                row.outcome = Outcome::ALL[(s[9] % 10) as usize];
                row
            })
            .collect();
        let fixture = Fixture::clean();
        let summary = summarise(&fixture.point, &fixture.rows, &Slo::default());
        for tool in PeerTool::ALL {
            let printed = tool.printed(&fixture.point, &rows, &Slo::default(), &summary);
            prop_assert_eq!(printed.completed + printed.failed + printed.unseen, rows.len() as u64);
            for figure in printed.figures {
                prop_assert!(figure.value.is_err() || figure.value.is_ok_and(f64::is_finite));
                prop_assert!(figure.because.len() <= 2);
            }
        }
    }
}
