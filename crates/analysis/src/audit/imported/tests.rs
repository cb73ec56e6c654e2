//! Points of another tool, clean and with each fault.

use plimsoll_records::{
    Claim, EngineSample, FindingCode, GpuWindow, ImportedRecord, LogRecord, MaxTokens, OfferedLoad,
    PointFile,
};
use plimsoll_units::RunNanos;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Exp};

use super::super::fixture::Fixture;
use super::*;
use crate::{Slo, audit_point, judge_imported, summarise};

/// 2000 requests at `rate`, `delay` s late each, by the gaps of `seed`: a server that keeps up, prompts of 40
/// tokens, answers of 10 tokens 10 ms apart.
fn logged(id: &str, seed: u64, rate: f64, delay: f64) -> PointFile {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let gap = Exp::new(1.0).unwrap();
    let mut at = 0.3;
    let mut arrivals: Vec<u32> = Vec::new();
    for _ in 0..2000 {
        let second = at as usize;
        if arrivals.len() <= second {
            arrivals.resize(second + 1, 0);
        }
        arrivals[second] += 1;
        at += gap.sample(&mut rng) / rate + delay;
    }
    let engine = (1..=(at / 10.0) as u64)
        .map(|line| EngineSample {
            at_ns: RunNanos::from_secs_f64(10.0 * line as f64),
            span_s: 10.0,
            prompt_tokens_per_s: 40.0 * rate,
            generation_tokens_per_s: 10.0 * rate,
            running: 2,
            waiting: 0,
            kv_cache_usage: 0.01,
            prefix_hit_share: Some(0.0),
        })
        .collect();
    let end = RunNanos::from_secs_f64(at + 0.2);
    let mut point = Fixture::clean().point;
    point.id = id.to_owned();
    point.load = OfferedLoad::Open {
        arrivals: "poisson".to_owned(),
        rate_per_s: rate,
        gap_cv: Some(1.0),
        seed: 0,
        max_in_flight: None,
    };
    point.phases.measure_start_ns = RunNanos::from_secs_f64(1.0);
    point.phases.measure_end_ns = RunNanos::from_secs_f64(at);
    point.phases.arrivals_end_ns = point.phases.measure_end_ns;
    point.phases.end_ns = end;
    point.workers.clear();
    point.workload.shared_prefix = None;
    point.workload.exact_output = false;
    point.server.prompt_tokens = Some(80_000.0);
    point.imported = Some(ImportedRecord {
        format: "vllm-bench-0.9".to_owned(),
        requests: Some(2000),
        completed: Some(2000),
        failed: Some(0),
        duration_s: Some(at + 0.2),
        throughput_per_s: Some(2000.0 / (at + 0.2)),
        input_tokens: Some(80_000),
        output_tokens: Some(20_000),
        ttft_mean_ms: Some(50.0),
        tpot_mean_ms: Some(10.0),
        max_tokens_stated: Some(10),
        log: Some(LogRecord {
            received: 2000,
            first_arrival_ns: Some(RunNanos::ZERO),
            arrivals_per_s: arrivals,
            prompt_order: (0..512).map(|place| (seed as u32 * 31 + place * place) % 7).collect(),
            max_tokens: vec![MaxTokens { max_tokens: 10, requests: 2000 }],
            engine,
            ..LogRecord::default()
        }),
        ..ImportedRecord::default()
    });
    point
}

fn find(point: &PointFile, code: FindingCode) -> Option<Finding> {
    let summary = summarise(point, &[], &Slo::default());
    audit_point(point, &[], &summary).into_iter().find(|finding| finding.code == code)
}

fn record(point: &mut PointFile) -> &mut ImportedRecord {
    point.imported.as_mut().unwrap()
}

#[test]
fn a_clean_point_of_another_tool_has_nothing_against_it() {
    let point = logged("p", 1, 20.0, 0.0);
    let summary = summarise(&point, &[], &Slo::default());
    assert!(summary.stability.stable);
    assert!(summary.throughput_per_s.contains(20.0), "{:?}", summary.throughput_per_s);
    let grave: Vec<Finding> = audit_point(&point, &[], &summary)
        .into_iter()
        .filter(|finding| finding.severity > Severity::Note)
        .collect();
    assert!(grave.is_empty(), "{grave:?}");
}

#[test]
fn a_client_that_sleeps_after_each_send_misses_its_rate() {
    let found = find(&logged("p", 1, 60.0, 0.0025), FindingCode::RateMissed).unwrap();
    assert_eq!(found.severity, Severity::Warning);
    assert!((found.numbers["arrived_per_s"] - 52.0).abs() < 3.0, "{found:?}");
    let all: Vec<PointFile> =
        [10.0, 20.0, 30.0, 60.0].map(|rate| logged("p", 1, rate, 0.0025)).into();
    let of_run = judge_imported(&all, &[], &[]);
    let missed = of_run.iter().find(|it| it.code == FindingCode::RateMissed).unwrap();
    assert!((missed.numbers["delay_ms"] - 2.5).abs() < 0.4, "{missed:?}");
    assert!(of_run.iter().any(|it| it.code == FindingCode::SameArrivals));
}

#[test]
fn repetitions_with_one_seed_are_found_and_others_are_not() {
    let same = [logged("a", 3, 20.0, 0.0), logged("b", 3, 20.0, 0.0)];
    let found = judge_imported(&same, &[], &[]);
    assert_eq!((found[0].code, found[0].severity), (FindingCode::SameArrivals, Severity::Warning));
    for seed in 10..40 {
        let others = [logged("a", seed, 20.0, 0.0), logged("b", seed + 100, 20.0, 0.0)];
        assert!(judge_imported(&others, &[], &[]).is_empty(), "seed {seed}");
        let ladder: Vec<PointFile> = [10.0, 20.0, 30.0, 60.0]
            .map(|rate| logged("p", seed * 7 + rate as u64, rate, 0.0))
            .into();
        assert!(judge_imported(&ladder, &[], &[]).is_empty(), "seed {seed}");
    }
}

#[test]
fn lengths_that_were_not_asked_for_are_found() {
    let mut point = logged("p", 1, 20.0, 0.0);
    record(&mut point).max_tokens_stated = Some(5);
    let found = find(&point, FindingCode::OutputLength).unwrap();
    assert!(found.message.contains("2000 of 2000 requests asked for another, mostly 10"));
    record(&mut point).log = None;
    let found = find(&point, FindingCode::OutputLength).unwrap();
    assert!(found.message.contains("was not obeyed"), "{}", found.message);
    record(&mut point).max_tokens_stated = Some(16);
    assert_eq!(find(&point, FindingCode::OutputLength), None, "an answer may be shorter");
}

#[test]
fn a_doubled_template_is_found_by_the_prompts_or_by_their_length() {
    let mut point = logged("p", 1, 20.0, 0.0);
    assert_eq!(find(&point, FindingCode::TemplateDoubled), None);
    point.server.prompt_tokens = Some(96_000.0);
    let found = find(&point, FindingCode::TemplateDoubled).unwrap();
    assert_eq!(found.numbers["excess_tokens"], 8.0);
    point.server.prompt_tokens = None;
    let log = record(&mut point).log.as_mut().unwrap();
    (log.prompts_doubled, log.doubled_mark) = (2000, Some("<|im_start|>".to_owned()));
    let found = find(&point, FindingCode::TemplateDoubled).unwrap();
    assert!(found.message.contains("2000 of 2000 prompts"), "{}", found.message);
}

#[test]
fn a_short_run_shows_little_of_what_it_was_offered() {
    let mut point = logged("p", 1, 200.0, 0.0);
    record(&mut point).tpot_mean_ms = Some(1000.0);
    let found = find(&point, FindingCode::DrainBias).unwrap();
    // Sent in 10 s, the last answer takes 9 s: 105 of 200 at most.
    assert!((found.numbers["most_per_s"] - 2000.0 / 19.0).abs() < 0.1, "{found:?}");
}

#[test]
fn overload_failures_reuse_and_neighbours_are_found() {
    let mut point = logged("p", 1, 20.0, 0.0);
    for sample in &mut record(&mut point).log.as_mut().unwrap().engine {
        sample.waiting = 5;
    }
    let found = find(&point, FindingCode::OverloadLatency).unwrap();
    assert!(found.message.contains("up to 5 requests waited"), "{}", found.message);
    record(&mut point).failed = Some(150);
    assert_eq!(find(&point, FindingCode::ErrorsExcluded).unwrap().severity, Severity::Error);
    point.server.prefix_cache_queries_tokens = Some(100.0);
    point.server.prefix_cache_hits_tokens = Some(90.0);
    assert!(find(&point, FindingCode::PrefixReuse).is_some());
    let gpu = |gpu, used, busy| GpuWindow {
        gpu,
        samples: 9,
        used: Some(used),
        sm_utilisation_mean_pct: Some(busy),
        ..GpuWindow::default()
    };
    point.gpus = vec![gpu(0, false, 0.0), gpu(1, true, 90.0)];
    assert_eq!(find(&point, FindingCode::GpuShared), None);
    point.gpus[0].sm_utilisation_mean_pct = Some(35.0);
    let found = find(&point, FindingCode::GpuShared).unwrap();
    assert!(found.message.contains("GPU 0 beside it was busy for 35 %"), "{}", found.message);
}

#[test]
fn a_claim_about_a_system_that_was_not_loaded_is_found() {
    let mut points = Vec::new();
    for gpus in ["1", "4"] {
        let mut point = logged(gpus, 1, 10.0, 0.0);
        point.factors.insert("gpus".to_owned(), gpus.to_owned());
        points.push(point);
    }
    let audited =
        points.iter().map(|point| crate::AuditedPoint::of(point, &[], &Slo::default())).collect();
    let groups = crate::judge(audited).groups;
    let claim =
        Claim::Amdahl { source: "fit.csv".to_owned(), gpus: 4, speedup: 1.01, serial_share: 0.98 };
    let found = judge_imported(&points, std::slice::from_ref(&claim), &groups);
    let found = found.iter().find(|it| it.code == FindingCode::LoadLimited).unwrap();
    assert!(found.message.contains("offered 10 req/s at most"), "{}", found.message);
    assert!(
        judge_imported(&points, &[claim], &groups[..1])
            .iter()
            .all(|it| it.code != FindingCode::LoadLimited)
    );
}
