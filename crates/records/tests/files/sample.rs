//! Rows and files to write, the same each time.

mod circumstances;
mod imported;

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_records::{
    CacheState, ChunkRow, Claim, ClockRecord, ConnectionUse, ErrorRecord, Finding, FindingCode,
    FormatVersion, GpuLink, GpuRecord, LagRecord, LeftOut, Machine, Manifest, OfferedLoad, Outcome,
    Phases, PointDir, PointEnd, PointFile, PointWriter, ProbeRecord, QuantilesMs, RequestRow,
    RunStatus, SamplingRecord, SearchGoal, SearchRecord, SelfTest, SelfTestTime, ServerStart,
    Severity, StampSource, StampsRecord, SummaryRow, Tool, WorkerRecord, WorkloadRecord,
    WrittenPoint,
};
use plimsoll_units::RunNanos;

use circumstances::{counters, gpu_window, settings, target};
pub(crate) use circumstances::{gpu_rows, server_rows};
use imported::imported;

/// A request that went well: one chunk a token, 10 ms apart, `id % 5` of them.
pub(crate) fn row(id: u64) -> RequestRow {
    let at = |ms: u64| RunNanos::from_nanos(id * 1_000_000 + ms * 1_000_000);
    let tokens = u32::try_from(id % 5).unwrap();
    let chunks: Vec<_> = (0..tokens)
        .map(|place| ChunkRow {
            at: at(50 + 10 * u64::from(place)),
            tokens: 1,
            counted: true,
            reasoning: place == 0,
            shared: false,
        })
        .collect();
    RequestRow {
        id,
        session: None,
        turn: None,
        worker: u32::try_from(id % 2).unwrap(),
        intended: at(0),
        dequeued: at(0) + Duration::from_micros(40),
        connected: Some(at(0) + Duration::from_micros(60)),
        connection: Some(if id < 2 { ConnectionUse::New } else { ConnectionUse::Reused }),
        sent: Some(at(0) + Duration::from_micros(90)),
        first_byte: Some(at(49)),
        role_chunk: Some(at(49)),
        first_reasoning: chunks.first().map(|chunk| chunk.at),
        first_answer: chunks.get(1).map(|chunk| chunk.at),
        last_token: chunks.last().map(|chunk| chunk.at),
        usage: Some(at(99)),
        done: at(100),
        resent: false,
        outcome: Outcome::Ok,
        http_status: Some(200),
        error: None,
        finish_reason: Some("length".to_owned()),
        prompt_tokens_planned: Some(512),
        prompt_tokens: Some(512),
        output_tokens_planned: tokens,
        output_tokens: Some(tokens),
        cached_tokens: Some(0),
        stamp_source: StampSource::User,
        chunks,
    }
}

/// A request that no server took, with a prompt whose length nobody planned.
pub(crate) fn refused(id: u64) -> RequestRow {
    RequestRow {
        session: Some(7),
        turn: Some(1),
        connected: None,
        connection: None,
        sent: None,
        first_byte: None,
        role_chunk: None,
        first_reasoning: None,
        first_answer: None,
        last_token: None,
        usage: None,
        outcome: Outcome::Refused,
        http_status: None,
        error: Some("connection refused (os error 111)".to_owned()),
        finish_reason: None,
        prompt_tokens_planned: None,
        prompt_tokens: None,
        output_tokens: None,
        cached_tokens: None,
        chunks: Vec::new(),
        ..row(id)
    }
}

/// A request on a connection opened ahead, whose client woke late: two chunks share their stamp.
pub(crate) fn shared(id: u64) -> RequestRow {
    let mut row = row(5 * id + 3);
    row.chunks[1].at = row.chunks[2].at;
    row.chunks[1].shared = true;
    row.chunks[2].shared = true;
    RequestRow {
        id,
        connection: Some(ConnectionUse::Prewarmed),
        first_answer: row.last_token,
        stamp_source: StampSource::Socket,
        ..row
    }
}

/// Writes `rows` into `point`, to the end.
pub(crate) fn write(point: &PointDir, rows: impl IntoIterator<Item = RequestRow>) -> WrittenPoint {
    let writer = PointWriter::create(point, |_| {}).unwrap();
    let mut sender = writer.sender();
    for row in rows {
        sender.send(row);
    }
    sender.close();
    writer.finish().unwrap()
}

fn lag(count: u64) -> LagRecord {
    LagRecord { count, mean_ms: 0.0625, p50_ms: 0.03125, p99_ms: 0.5, max_ms: 0.75 }
}

pub(crate) fn manifest() -> Manifest {
    Manifest {
        format: FormatVersion { major: 1, minor: 3 },
        tool: Tool {
            name: "saturation".to_owned(),
            version: "0.1.0".to_owned(),
            commit: Some("0123abc".to_owned()),
        },
        experiment: "saturation".to_owned(),
        // A clock has no public constructor but `start`; its file form makes one that stands still.
        clock: serde_json::from_str(
            r#"{"origin_monotonic_ns": 1000, "origin_unix_ns": 1750000000000000000}"#,
        )
        .unwrap(),
        started: "2025-06-15T15:06:40Z".to_owned(),
        status: RunStatus::Complete,
        seed: 42,
        matrix_written: "[load]\nrates = [10]\n".to_owned(),
        matrix_file: Some("mine.toml".to_owned()),
        overrides: vec!["load.rates=[10]".to_owned()],
        matrix_resolved: serde_json::json!({"load": {"rates": [10.0]}}),
        machine: Machine {
            cpu: "a CPU".to_owned(),
            cores: 2,
            memory_bytes: 8 << 30,
            os: "Debian 12".to_owned(),
            kernel: "6.1".to_owned(),
            open_files: Some(65_536),
            local_ports: Some(28_232),
            container: Some("docker".to_owned()),
            gpus: vec![GpuRecord {
                gpu: 0,
                name: "NVIDIA H100".to_owned(),
                uuid: Some("GPU-0".to_owned()),
                memory_bytes: Some(80 << 30),
                power_limit_mw: Some(700_000),
                sm_clock_max_mhz: Some(1_980),
            }],
            gpu_driver: Some("570.86".to_owned()),
            cuda: Some("12.8".to_owned()),
            gpu_links: vec![GpuLink { a: 0, b: 1, link: "NV18".to_owned() }],
            gpu_remark: Some("GPU 1 does not tell its power".to_owned()),
        },
        target: target(),
        targets: vec![target()],
        points: vec!["rate-10".to_owned()],
        left_out: vec![LeftOut { point: "gpus=8".to_owned(), reason: "4 GPUs".to_owned() }],
        stamps: StampSource::Socket,
        stamps_remark: Some("packet stamps need CAP_NET_RAW".to_owned()),
        self_tests: vec![SelfTest {
            when: SelfTestTime::Before,
            rate_per_s: 10.0,
            streams: 1.5,
            requests: 20,
            lost: 0,
            stamps: StampSource::Socket,
            ttft_error: ErrorRecord {
                count: 20,
                mean_ms: -0.0625,
                p50_ms: -0.03125,
                p99_ms: 0.25,
                max_ms: 0.25,
            },
            tpot_error: ErrorRecord { count: 20, ..ErrorRecord::default() },
            schedule_lag: lag(20),
        }],
        remarks: vec!["prompts calibrated with 3 requests".to_owned()],
        claims: vec![Claim::Amdahl {
            source: "agg/amdahl_fit.csv".to_owned(),
            gpus: 4,
            speedup: 1.0625,
            serial_share: 0.9375,
        }],
    }
}

pub(crate) fn point_file() -> PointFile {
    let at = RunNanos::from_nanos;
    PointFile {
        id: "rate-10".to_owned(),
        factors: BTreeMap::from([("server.settings.max-num-seqs".to_owned(), "256".to_owned())]),
        repetition: 0,
        load: OfferedLoad::Open {
            arrivals: "poisson".to_owned(),
            rate_per_s: 10.0,
            gap_cv: Some(1.0),
            seed: 42,
            max_in_flight: None,
        },
        phases: Phases {
            start_ns: at(0),
            measure_start_ns: at(1),
            measure_end_ns: at(2),
            arrivals_end_ns: at(3),
            end_ns: at(4),
        },
        ended: PointEnd::Complete,
        workers: vec![WorkerRecord {
            worker: 0,
            cpu_share: Some(0.125),
            run_queue_share: Some(0.0625),
            rows_deferred: 0,
            bodies_late: 0,
            wake_up: lag(10),
            connections_opened: 4,
        }],
        stamps: StampsRecord {
            source: StampSource::Packet,
            read_delay: lag(40),
            socket_fallbacks: 1,
            packet_fallbacks: 2,
            packets: Some(80),
            packets_dropped: Some(3),
        },
        clock: ClockRecord { steps: 1, stepped_ms: 2.5, slew_ppm: Some(-0.5) },
        server: counters(),
        server_sampling: Some(SamplingRecord {
            period_ms: 1000.0,
            samples: 20,
            failed: 1,
            longest_gap_ms: 2000.5,
            cpu_share: Some(0.00390625),
            remark: Some("1 scrape timed out".to_owned()),
        }),
        server_start: ServerStart { number: 0, prefix_cache: CacheState::Fresh, replicas: 2 },
        settings: settings(),
        settings_allowed: true,
        gpus: vec![gpu_window()],
        gpu_sampling: Some(SamplingRecord {
            period_ms: 100.0,
            samples: 200,
            failed: 0,
            longest_gap_ms: 100.25,
            cpu_share: None,
            remark: None,
        }),
        probe: Some(ProbeRecord {
            number: 3,
            since_ns: at(0),
            window: "2s".parse().unwrap(),
            warm_up_at_most: "1s".parse().unwrap(),
            end_when_overloaded: Some(0.125),
            drain: true,
            search: SearchRecord {
                goal: SearchGoal::Slo { attainment: 0.75 },
                from_per_s: 1.0,
                to_per_s: 100.0,
                precision: 0.03125,
                confidence: 0.9375,
                shortest_window: "1500ms".parse().unwrap(),
                time: Some("1m".parse().unwrap()),
                requests: Some(2000),
            },
        }),
        workload: WorkloadRecord {
            shared_prefix: Some(0.0),
            exact_output: true,
            exact_input: true,
            mean_output_tokens: Some(2.0),
        },
        imported: Some(imported()),
    }
}

pub(crate) fn findings() -> Vec<Finding> {
    vec![Finding {
        was: None,
        code: FindingCode::WindowShort,
        severity: Severity::Warning,
        point: Some("rate-10".to_owned()),
        message: "the window is 0.5 s".to_owned(),
        numbers: BTreeMap::from([("window_s".to_owned(), 0.5)]),
        remedy: "measure for longer".to_owned(),
    }]
}

pub(crate) fn summary() -> Vec<SummaryRow> {
    let of =
        |mean, p50, p90, p99| QuantilesMs { mean: Some(mean), p50: Some(p50), p90: Some(p90), p99 };
    vec![SummaryRow {
        point: "rate-10".to_owned(),
        group: "server.settings.max-num-seqs=256".to_owned(),
        repetition: 0,
        rate_per_s: Some(10.0),
        concurrency: None,
        achieved_rate_per_s: 9.875,
        window_s: 20.0,
        due: 200,
        ok: 198,
        failed: 1,
        aborted: 1,
        resent: 2,
        throughput_per_s: 9.75,
        throughput_low_per_s: Some(9.5),
        throughput_high_per_s: Some(10.0),
        output_tokens_per_s: 1248.0,
        input_tokens_per_s: Some(4992.0),
        makespan_throughput_per_s: Some(9.25),
        goodput_per_s: Some(9.5),
        goodput_share: Some(0.95),
        stable: true,
        drift_per_s: 0.125,
        in_flight_mean: 12.5,
        probe: Some(3),
        ttft: of(61.5, 60.0, 75.0, None),
        service_ttft: of(61.0, 59.5, 74.5, None),
        tpot: of(11.0, 10.5, 12.0, Some(14.0)),
        itl: of(11.0, 10.5, 12.5, Some(20.0)),
        chunk_gap: of(11.5, 11.0, 12.75, Some(21.0)),
        e2e: of(1400.0, 1390.0, 1500.0, None),
        schedule_lag: of(0.0625, 0.0625, 0.125, None),
        queue_time_mean_ms: Some(6.25),
        prefill_time_mean_ms: Some(50.0),
        decode_time_mean_ms: Some(1250.0),
        ttft_rest_mean_ms: Some(5.25),
        prefix_hit_share: Some(0.0),
        preemptions: Some(0.0),
        running_mean: Some(2.5),
        waiting_mean: Some(0.0),
        kv_cache_usage_max: Some(0.25),
        gpus: Some(1),
        gpu_sm_utilisation_mean_pct: Some(91.5),
        gpu_power_mean_w: Some(512.0),
        energy_j_per_output_token: Some(0.41),
        energy_j_per_request: Some(52.5),
        output_tokens_per_s_per_w: Some(2.4375),
        gpu_throttled_share: Some(0.125),
    }]
}
