//! Runs that never were: a server of known capacity, described as the analysis would.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_analysis::{
    Ceilings, ChunkCounts, ClientSummary, Counts, Diagnosis, Estimate, Found, Goal, Goodput, Group,
    Judgement, LatencySummary, PeakAndFall, PointSummary, ProbeResult, Quantile, Saturation,
    SearchConfig, Searched, Stability, Stopped, TimelineSample, Window, diagnose,
};
use plimsoll_records::{
    ClockRecord, Finding, FindingCode, LagRecord, Manifest, OfferedLoad, Phases, PointEnd,
    PointFile, ServerCounters, ServerStart, Severity, StampSource, StampsRecord, Verdict,
    WorkerRecord, WorkloadRecord,
};
use plimsoll_units::RunNanos;
use serde_json::json;

/// What the server of the fixtures sustains, requests per second.
const CAPACITY: f64 = 36.4;
/// Output tokens of each request.
const TOKENS: f64 = 128.0;
const WARM_UP: f64 = 5.0;
const MEASURE: f64 = 20.0;

pub(crate) fn manifest() -> Manifest {
    serde_json::from_value(json!({
        "format": "1.0",
        "tool": {"name": "saturation", "version": "0.1.0", "commit": "0123abc"},
        "experiment": "saturation",
        "clock": {"origin_monotonic_ns": 12_345_678_901_u64, "origin_unix_ns": 1_767_225_600_000_000_000_u64},
        "started": "2026-01-01T00:00:00Z",
        "status": "complete",
        "seed": 7,
        "matrix_written": "[experiment]\nkind = \"saturation\"\n",
        "overrides": ["load.rates=[10,20,30,40,50,60]"],
        "matrix_resolved": {
            "experiment": {"kind": "saturation"},
            "slo": {"ttft-p99": "500ms", "tpot-p99": "60ms"}
        },
        "machine": {
            "cpu": "AMD EPYC 7763", "cores": 16, "memory_bytes": 68_719_476_736_u64,
            "os": "Debian GNU/Linux 12", "kernel": "6.1.0",
            "open_files": 1_048_576, "local_ports": 28_232
        },
        "target": {
            "launch": "attach", "url": "http://127.0.0.1:8000", "model": "qwen3-14b",
            "server": "vllm", "version": "0.9.2", "max_model_len": 40960,
            "settings_declared": {"data-parallel-size": 1, "max-num-seqs": 256}
        },
        "points": ["r10", "r20", "r30", "r40", "r50", "r60"],
        "left_out": [{"point": "data-parallel-size=8", "reason": "there are only 4 GPUs"}],
        "stamps": "packet",
        "self_tests": [self_test("before", 0.031, 25.2), self_test("after", 0.036, 24.9)],
        "remarks": ["the client sends 200 requests per second with a lag p99 of 0.08 ms"]
    }))
    .expect("the manifest is one")
}

/// A self-test at 40 requests per second whose mean TTFT error was `error` ms.
fn self_test(when: &str, error: f64, streams: f64) -> serde_json::Value {
    let of = |mean: f64| json!({"count": 200, "mean_ms": mean, "p50_ms": mean * 0.9, "p99_ms": mean.abs() * 2.6, "max_ms": mean.abs() * 4.0});
    json!({
        "when": when, "rate_per_s": 40.0, "streams": streams, "requests": 200, "lost": 0,
        "stamps": "packet", "ttft_error": of(error), "tpot_error": of(-0.001), "schedule_lag": of(0.05)
    })
}

/// A lag whose median is `p50` ms.
pub(crate) fn lag(p50: f64) -> LagRecord {
    LagRecord {
        count: 10_000,
        mean_ms: p50 * 1.2,
        p50_ms: p50,
        p99_ms: p50 * 6.0,
        max_ms: p50 * 80.0,
    }
}

/// The files of the points of a judgement, of a client with two threads and packet stamps.
pub(crate) fn point_files(judgement: &Judgement) -> Vec<PointFile> {
    let points = judgement.groups.iter().flat_map(|group| &group.points);
    points.map(point_file).collect()
}

fn point_file(point: &PointSummary) -> PointFile {
    let share = point.achieved_rate_per_s / 200.0;
    let worker = |worker: u32| WorkerRecord {
        worker,
        cpu_share: Some(share * (1.0 - 0.1 * f64::from(worker))),
        run_queue_share: Some(share / 50.0),
        wake_up: lag(0.03 + share * 0.1),
        connections_opened: 12,
        ..WorkerRecord::default()
    };
    let start = point.window.start;
    PointFile {
        id: point.id.clone(),
        factors: point.factors.clone(),
        repetition: point.repetition,
        load: point.load.clone(),
        phases: Phases {
            start_ns: start,
            measure_start_ns: start,
            measure_end_ns: point.window.end,
            arrivals_end_ns: point.window.end,
            end_ns: point.window.end,
        },
        ended: point.ended,
        workers: vec![worker(0), worker(1)],
        stamps: StampsRecord {
            source: StampSource::Packet,
            read_delay: lag(0.04 + share * 0.1),
            packets: Some(point.counts.due * 130),
            packets_dropped: Some(0),
            ..StampsRecord::default()
        },
        clock: ClockRecord { slew_ppm: Some(11.6), ..ClockRecord::default() },
        server: ServerCounters::default(),
        server_sampling: None,
        server_start: ServerStart::default(),
        settings: vec![],
        settings_allowed: false,
        gpus: vec![],
        gpu_sampling: None,
        imported: None,
        probe: None,
        workload: WorkloadRecord {
            shared_prefix: Some(0.0),
            exact_output: true,
            exact_input: true,
            mean_output_tokens: Some(TOKENS),
        },
    }
}

/// An estimate whose interval is `relative` to either side.
pub(crate) fn about(value: f64, relative: f64) -> Estimate {
    Estimate { value, low: value * (1.0 - relative), high: value * (1.0 + relative) }
}

fn known(ms: f64) -> Quantile {
    let span = |ms: f64| Some(Duration::from_secs_f64(ms / 1e3));
    Quantile { value: span(ms), low: span(ms * 0.95), high: span(ms * 1.06) }
}

/// A latency whose median is `ms`.
pub(crate) fn latency(ms: f64) -> LatencySummary {
    LatencySummary {
        n: 400,
        missing: 0,
        mean: Some(Duration::from_secs_f64(ms * 1.1 / 1e3)),
        mean_low: Some(Duration::from_secs_f64(ms * 1.05 / 1e3)),
        mean_high: Some(Duration::from_secs_f64(ms * 1.15 / 1e3)),
        min: Some(Duration::from_secs_f64(ms * 0.6 / 1e3)),
        max: Some(Duration::from_secs_f64(ms * 3.1 / 1e3)),
        p50: known(ms),
        p90: known(ms * 1.8),
        p99: known(ms * 2.6),
    }
}

/// A point at `rate` on a server that sustains `capacity`.
pub(crate) fn point(rate: f64, capacity: f64) -> PointSummary {
    let stable = rate <= capacity;
    let load = (rate / capacity).min(0.97);
    let throughput = rate.min(capacity * 0.995);
    let excess = (rate - capacity).max(0.0);
    let ttft = if stable { 42.0 / (1.0 - load * load) } else { 200.0 + excess * 400.0 };
    let e2e = TOKENS * (14.0 + 16.0 * load) + ttft;
    let due = (rate * MEASURE).round() as u64;
    let start = RunNanos::from_secs_f64(100.0);
    let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
    let timeline = (0..120)
        .map(|bucket| {
            let time = f64::from(bucket) * 0.25;
            let filled = (time / 3.0).min(1.0) * throughput * e2e.min(4000.0) / 1e3;
            TimelineSample {
                at: at(time),
                length: Duration::from_millis(250),
                in_flight: (filled + excess * time + f64::from(bucket % 5)).round() as u64,
                arrivals: (rate / 4.0).round() as u64,
                completions: (throughput / 4.0).round() as u64,
                output_tokens: (throughput * TOKENS / 4.0).round() as u64,
                ttft_p50: None,
            }
        })
        .collect();
    PointSummary {
        id: format!("r{rate}"),
        factors: BTreeMap::new(),
        repetition: 0,
        load: OfferedLoad::Open {
            arrivals: "poisson".to_owned(),
            rate_per_s: rate,
            gap_cv: Some(1.0),
            seed: 1,
            max_in_flight: None,
        },
        ended: if stable { PointEnd::Complete } else { PointEnd::Overloaded },
        window: Window { start: at(WARM_UP), end: at(WARM_UP + MEASURE) },
        counts: Counts {
            due,
            ok: due,
            by_outcome: BTreeMap::from([("ok", due)]),
            rows: due * 3 / 2,
            ..Counts::default()
        },
        failures: Vec::new(),
        achieved_rate_per_s: rate * 1.003,
        throughput_per_s: about(throughput, 0.015),
        output_tokens_per_s: about(throughput * TOKENS, 0.015),
        long_run_tokens_per_s: None,
        input_tokens_per_s: Some(throughput * 512.0),
        prompt_tokens_planned: Some(512.0),
        prompt_tokens: Some(512.0),
        mean_output_tokens: Some(TOKENS),
        mean_output_tokens_error: Some(0.0),
        makespan_throughput_per_s: Some(throughput * 0.9),
        goodput: Some(Goodput {
            good: if stable { due } else { 0 },
            due,
            share: Estimate::exact(if stable { 1.0 } else { 0.0 }),
            share_error: 0.0,
            per_s: if stable { rate } else { 0.0 },
            met: ttft * 2.6 < 500.0,
        }),
        fall: None,
        stability: Stability {
            stable,
            drift_per_s: about(excess, 0.1),
            in_flight_start: 10,
            in_flight_end: 12 + (excess * MEASURE) as u64,
            in_flight_mean: throughput * e2e / 1e3,
            in_flight_max: 40,
        },
        ttft: latency(ttft),
        service_ttft: latency(ttft - 0.1),
        tpot: latency(14.0 + 16.0 * load),
        itl: latency(13.5 + 15.0 * load),
        chunk_gap: latency(13.6 + 15.0 * load),
        chunks: ChunkCounts { all: due * 128, ..ChunkCounts::default() },
        decode: latency(e2e - ttft),
        e2e: latency(e2e),
        schedule_lag: latency(0.021 + rate / 4000.0),
        connecting: LatencySummary::default(),
        client: ClientSummary {
            cpu_share_max: Some(rate / 200.0),
            run_queue_share_max: Some(rate / 10_000.0),
        },
        server: None,
        gpu: None,
        counters: ServerCounters::default(),
        ceilings: Ceilings::default(),
        server_start: ServerStart::default(),
        first_arrivals: Vec::new(),
        timeline,
        probe: None,
    }
}

pub(crate) fn finding(
    code: FindingCode,
    severity: Severity,
    point: Option<&str>,
    message: &str,
) -> Finding {
    Finding {
        was: None,
        code,
        severity,
        point: point.map(str::to_owned),
        message: message.to_owned(),
        numbers: BTreeMap::from([("lag_p99_ms".to_owned(), 1.62)]),
        remedy: format!("What to do about {code}."),
    }
}

/// A ladder of 10 to 60 requests per second on a server that sustains `capacity`.
pub(crate) fn group(capacity: f64) -> Group {
    let group = Group {
        factors: BTreeMap::new(),
        points: (1..=6).map(|step| point(f64::from(step) * 10.0, capacity)).collect(),
        saturation: Saturation {
            capacity_per_s: Some(about(capacity, 0.012)),
            lower_bound: false,
            plateau_per_s: Some(about(capacity * 0.995, 0.01)),
            slo_capacity_per_s: Some(30.0),
            knee_per_s: Some((capacity * 0.06).floor() * 10.0),
            voided: vec![],
        },
        searches: vec![],
        diagnosis: Diagnosis::default(),
    };
    diagnosed(group)
}

/// The group with the diagnosis that its numbers ask for.
pub(crate) fn diagnosed(mut group: Group) -> Group {
    group.diagnosis = diagnose(&group, &[]);
    group
}

pub(crate) fn judgement(verdict: Verdict, groups: Vec<Group>, findings: Vec<Finding>) -> Judgement {
    Judgement::new(verdict, groups, findings)
}

/// Nothing to say against it, beyond notes.
pub(crate) fn valid() -> Judgement {
    let note = |point| {
        let message = "the makespan throughput is 10 % below the steady one";
        finding(FindingCode::DrainBias, Severity::Note, Some(point), message)
    };
    judgement(Verdict::Valid, vec![group(CAPACITY)], vec![note("r10"), note("r20"), note("r60")])
}

/// The same, but the server closed kept connections under three requests.
pub(crate) fn resent() -> Judgement {
    let mut judgement = valid();
    judgement.groups[0].points[2].counts.resent = 1;
    judgement.groups[0].points[3].counts.resent = 2;
    judgement
}

/// Two searches on a server whose throughput falls under overload: one for its capacity, with a probe
/// that the audit voided, and one for the SLO's that ran out of time.
pub(crate) fn searched() -> Judgement {
    let mut config = SearchConfig::new(2.0, 10_000.0);
    (config.precision, config.confidence) = (0.01, 0.99);
    let peak = about(CAPACITY, 0.008);
    let probes = |rates: &[f64]| {
        rates.iter().map(|&rate| ProbeResult::nothing(rate, Duration::from_secs(4))).collect()
    };
    let capacity = Searched {
        repetition: 0,
        config: config.clone(),
        found: Found {
            capacity_per_s: Some(peak),
            lower_bound: false,
            stopped: Stopped::Precision,
            peak_and_fall: Some(PeakAndFall {
                peak_per_s: peak,
                overloaded_per_s: about(CAPACITY * 0.75, 0.02),
                at_rate_per_s: 54.0,
            }),
            probes: probes(&[2.0, 6.0, 18.0, 54.0, 45.5, 35.0]),
            requests: 1893,
            time: Duration::from_millis(48_300),
        },
        void: 1,
    };
    let slo = Searched {
        repetition: 0,
        config: SearchConfig { goal: Goal::Slo { attainment: 0.9 }, ..config },
        found: Found {
            capacity_per_s: Some(about(24.2, 0.05)),
            stopped: Stopped::Time,
            peak_and_fall: None,
            probes: probes(&[22.75, 45.5]),
            requests: 1210,
            time: Duration::from_secs(60),
            ..capacity.found.clone()
        },
        void: 0,
    };
    let points = [2.0, 6.0, 18.0, 35.0, 45.5, 54.0].map(|rate| point(rate, CAPACITY)).to_vec();
    let group = Group {
        points,
        saturation: Saturation {
            capacity_per_s: Some(peak),
            plateau_per_s: Some(about(CAPACITY * 0.75, 0.02)),
            slo_capacity_per_s: Some(24.2),
            ..Saturation::default()
        },
        searches: vec![capacity, slo],
        ..group(CAPACITY)
    };
    judgement(Verdict::Valid, vec![group], vec![])
}

/// Warnings that differ from point to point, a p99 that is not known, and failures.
pub(crate) fn qualified() -> Judgement {
    let mut group = group(CAPACITY);
    group.points[0].ttft.p99 = Quantile::default();
    group.points[0].schedule_lag.p99 = Quantile::default();
    group.points[2].counts.failed = 3;
    group.points[2].counts.ok -= 3;
    let late = |point, ms| {
        let message = format!("99 % of the requests left within {ms} ms, over the 1 ms allowed");
        finding(FindingCode::ClientLate, Severity::Warning, Some(point), &message)
    };
    let findings = vec![
        finding(
            FindingCode::DrainBias,
            Severity::Note,
            None,
            "the makespan throughput is 10 % below the steady one",
        ),
        late("r20", 1.2),
        late("r30", 1.4),
        late("r40", 1.9),
        late("r50", 2.8),
        finding(
            FindingCode::ErrorsExcluded,
            Severity::Warning,
            Some("r30"),
            "3 of 600 requests failed (0.5 %)",
        ),
    ];
    judgement(Verdict::Qualified, vec![group], findings)
}

/// An error voids a point.
pub(crate) fn invalid() -> Judgement {
    let mut group = group(CAPACITY);
    group.saturation.voided = vec!["r30".to_owned()];
    group.saturation.capacity_per_s = None;
    group.saturation.slo_capacity_per_s = None;
    group.saturation.knee_per_s = None;
    let message = "30 requests per second were offered, 24.1 arrived";
    let findings = vec![
        finding(FindingCode::RateMissed, Severity::Error, Some("r30"), message),
        finding(
            FindingCode::ClientBusy,
            Severity::Error,
            None,
            "worker 0 was busy 97 % of the window",
        ),
    ];
    judgement(Verdict::Invalid, vec![group], findings)
}

/// Every point is stable.
pub(crate) fn no_plateau() -> Judgement {
    let mut group = group(80.0);
    group.saturation = Saturation {
        capacity_per_s: Some(Estimate::exact(60.0)),
        lower_bound: true,
        slo_capacity_per_s: Some(60.0),
        ..Saturation::default()
    };
    let group = diagnosed(group);
    let message = "the server kept up with 60 requests per second, the most that was offered";
    let finding = finding(FindingCode::NoPlateau, Severity::Warning, None, message);
    judgement(Verdict::Qualified, vec![group], vec![finding])
}

/// Two server settings.
pub(crate) fn several_groups() -> Judgement {
    let path = "server.settings.data-parallel-size";
    let mut groups = vec![group(18.3), group(CAPACITY)];
    for (group, value) in groups.iter_mut().zip(["1", "2"]) {
        group.factors.insert(path.to_owned(), value.to_owned());
        for point in &mut group.points {
            point.id = format!("dp{value}-{}", point.id);
            point.factors = group.factors.clone();
            point.goodput = None;
        }
        group.saturation.slo_capacity_per_s = None;
    }
    let at = |point| {
        let message = "latencies of an unstable point grow with the run";
        finding(FindingCode::OverloadLatency, Severity::Note, Some(point), message)
    };
    let findings = vec![at("dp1-r20"), at("dp1-r30"), at("dp2-r40")];
    judgement(Verdict::Valid, groups, findings)
}

/// A closed loop of 1 to 8 requests in flight, climbed twice.
pub(crate) fn closed_loop() -> Judgement {
    let points = [1, 2, 4, 8].into_iter().flat_map(|concurrency| {
        (0..2).map(move |repetition| {
            let mut point = point(f64::from(concurrency) * 2.0, 100.0);
            point.id = format!("c{concurrency}-{repetition}");
            point.load = OfferedLoad::Closed { concurrency };
            point.repetition = repetition;
            point
        })
    });
    let group = Group {
        factors: BTreeMap::new(),
        points: points.collect(),
        saturation: Saturation::default(),
        searches: vec![],
        diagnosis: Diagnosis::default(),
    };
    judgement(Verdict::Valid, vec![diagnosed(group)], vec![])
}
