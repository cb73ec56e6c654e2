//! A clean point for the checks' tests: a server that is never full, met by regular Poisson
//! traffic.

use std::collections::BTreeMap;

use plimsoll_records::{
    ChunkRow, ClockRecord, ConnectionUse, Finding, FindingCode, GpuWindow, OfferedLoad, Outcome,
    Phases, PointEnd, PointFile, ProbeRecord, RequestRow, SearchGoal, SearchRecord, ServerCounters,
    ServerStart, SettingRecord, SettingState, StampSource, StampsRecord, WorkerRecord,
    WorkloadRecord,
};
use plimsoll_units::{RunNanos, Span};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Exp};

use crate::{Estimate, Group, Saturation, Slo, audit_point, summarise};

/// Nanoseconds of a millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// A point and its rows, to be spoiled by a test.
#[derive(Clone, Debug)]
pub(crate) struct Fixture {
    pub(crate) point: PointFile,
    pub(crate) rows: Vec<RequestRow>,
}

impl Fixture {
    /// 40 requests a second for 24 s, the window from 2 s to 22 s; TTFT 50 to 57 ms, then 9 tokens
    /// 10 ms apart; prompts of 400 tokens.
    pub(crate) fn clean() -> Self {
        Self::with(1, 40.0, 20.0)
    }

    /// The same with another seed, rate per second and window in seconds.
    pub(crate) fn with(seed: u64, rate: f64, window: f64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let gap = Exp::new(rate).unwrap();
        let mut at = 0.0;
        let mut rows = Vec::new();
        loop {
            at += gap.sample(&mut rng);
            if at > window + 4.0 {
                break;
            }
            let id = rows.len() as u64;
            let first = (50 + id % 8) * MS;
            rows.push(row(id, RunNanos::from_secs_f64(at), first, 10 * MS, 10));
        }
        let end = rows.iter().map(|row| row.done).max().unwrap();
        let point = PointFile {
            id: "p1".to_owned(),
            factors: BTreeMap::new(),
            repetition: 0,
            load: OfferedLoad::Open {
                arrivals: "poisson".to_owned(),
                rate_per_s: rate,
                gap_cv: Some(1.0),
                seed,
                max_in_flight: None,
            },
            phases: Phases {
                start_ns: RunNanos::ZERO,
                measure_start_ns: RunNanos::from_secs_f64(2.0),
                measure_end_ns: RunNanos::from_secs_f64(window + 2.0),
                arrivals_end_ns: RunNanos::from_secs_f64(window + 4.0),
                end_ns: end,
            },
            ended: PointEnd::Complete,
            workers: vec![WorkerRecord {
                worker: 0,
                cpu_share: Some(0.3),
                run_queue_share: Some(0.01),
                ..WorkerRecord::default()
            }],
            stamps: StampsRecord::default(),
            clock: ClockRecord::default(),
            server: ServerCounters::default(),
            server_sampling: None,
            server_start: ServerStart::default(),
            settings: Vec::new(),
            settings_allowed: false,
            gpus: Vec::new(),
            gpu_sampling: None,
            imported: None,
            probe: None,
            workload: WorkloadRecord {
                shared_prefix: Some(0.0),
                exact_output: true,
                exact_input: true,
                mean_output_tokens: Some(10.0),
            },
        };
        Self { point, rows }
    }

    /// The finding of this code, if the audit of the point has it.
    pub(crate) fn find(&self, code: FindingCode) -> Option<Finding> {
        self.audit().into_iter().find(|finding| finding.code == code)
    }

    /// Everything that the audit says.
    pub(crate) fn audit(&self) -> Vec<Finding> {
        audit_point(&self.point, &self.rows, &summarise(&self.point, &self.rows, &Slo::default()))
    }
}

/// A setting by the server's log, with values that are numbers.
pub(crate) fn setting(
    name: &str,
    declared: Option<u64>,
    in_effect: Option<u64>,
    state: SettingState,
) -> SettingRecord {
    SettingRecord {
        name: name.to_owned(),
        declared: declared.map(Into::into),
        in_effect: in_effect.map(Into::into),
        source: Some("log".to_owned()),
        state,
    }
}

/// A GPU over a window of 20 s: busy by half, 300 W, nothing in its way.
pub(crate) fn gpu(gpu: u32) -> GpuWindow {
    GpuWindow {
        gpu,
        samples: 200,
        used: Some(true),
        sm_utilisation_mean_pct: Some(50.0),
        power_mean_w: Some(300.0),
        energy_j: Some(6000.0),
        memory_used_max_bytes: Some(60 << 30),
        throttled_share: Some(0.0),
        ..GpuWindow::default()
    }
}

/// A request whose answer has `tokens` tokens, the first `first` ns after `intended` and one each
/// `gap` ns.
pub(crate) fn row(id: u64, intended: RunNanos, first: u64, gap: u64, tokens: u32) -> RequestRow {
    let at = |k: u32| RunNanos::from_nanos(intended.as_nanos() + first + u64::from(k) * gap);
    let chunks: Vec<ChunkRow> = (0..tokens)
        .map(|k| ChunkRow { at: at(k), tokens: 1, counted: true, reasoning: false, shared: false })
        .collect();
    RequestRow {
        id,
        session: None,
        turn: None,
        worker: 0,
        intended,
        dequeued: intended,
        connected: Some(intended),
        connection: Some(ConnectionUse::Reused),
        sent: Some(RunNanos::from_nanos(intended.as_nanos() + 50_000)),
        first_byte: chunks.first().map(|chunk| chunk.at),
        role_chunk: None,
        first_reasoning: None,
        first_answer: chunks.first().map(|chunk| chunk.at),
        last_token: chunks.last().map(|chunk| chunk.at),
        usage: None,
        done: at(tokens.saturating_sub(1)),
        resent: false,
        outcome: Outcome::Ok,
        http_status: Some(200),
        error: None,
        finish_reason: Some("length".to_owned()),
        prompt_tokens_planned: Some(400),
        prompt_tokens: Some(400),
        output_tokens_planned: tokens,
        output_tokens: Some(tokens),
        cached_tokens: Some(0),
        stamp_source: StampSource::User,
        chunks,
    }
}

/// Moves every response stamp of a request `by` ns later.
pub(crate) fn delay(row: &mut RequestRow, by: u64) {
    let later = |at: RunNanos| RunNanos::from_nanos(at.as_nanos() + by);
    row.first_byte = row.first_byte.map(later);
    row.first_answer = row.first_answer.map(later);
    row.last_token = row.last_token.map(later);
    row.done = later(row.done);
    for chunk in &mut row.chunks {
        chunk.at = later(chunk.at);
    }
}

/// Lets a request fail before its first token.
pub(crate) fn fail(row: &mut RequestRow, outcome: Outcome) {
    row.outcome = outcome;
    row.first_answer = None;
    row.last_token = None;
    row.output_tokens = None;
    row.chunks.clear();
    if outcome == Outcome::Shed {
        row.sent = None;
        row.connected = None;
        row.done = row.intended;
    }
}

/// A group `n=VALUE` of one clean point in as many repetitions beyond the first as `more`, of which
/// nothing but its capacity is looked at.
pub(crate) fn group(value: &str, more: u32, capacity: Estimate) -> Group {
    let fixture = Fixture::clean();
    let points = (0..=more).map(|repetition| {
        let point = PointFile { repetition, ..fixture.point.clone() };
        summarise(&point, &[], &Slo::default())
    });
    Group {
        factors: BTreeMap::from([("n".to_owned(), value.to_owned())]),
        points: points.collect(),
        saturation: Saturation { capacity_per_s: Some(capacity), ..Saturation::default() },
        searches: Vec::new(),
        diagnosis: crate::Diagnosis::default(),
    }
}

/// What is asked of the `number`th probe of a search for the capacity between 20 and 1,000 req/s.
pub(crate) fn probe_record(number: u32) -> ProbeRecord {
    let span = |seconds| Span::new(std::time::Duration::from_secs(seconds));
    ProbeRecord {
        number,
        since_ns: RunNanos::ZERO,
        window: span(4),
        warm_up_at_most: span(2),
        end_when_overloaded: Some(0.1),
        drain: true,
        search: SearchRecord {
            goal: SearchGoal::Capacity,
            from_per_s: 20.0,
            to_per_s: 1000.0,
            precision: 0.03,
            confidence: 0.95,
            shortest_window: span(2),
            time: None,
            requests: None,
        },
    }
}
