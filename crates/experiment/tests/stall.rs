//! A worker's thread that stands still in mid-window, from the stall to the audit.
//!
//! The parts are put together as the workers of a run have them, but for the stall: driver, client,
//! capture and writer, beside the simulator, whose engine makes a token every 10 ms. Nothing here
//! depends on how fast the machine is: a stall of 200 ms is long beside whatever else holds a thread
//! up, and where that could be taken for a stall the test tries again.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its server fails")]
#![expect(clippy::print_stdout, reason = "a test says why it skips")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use plimsoll_analysis::{AuditedPoint, Slo};
use plimsoll_client::{Api, Capture, CaptureConfig, Client, ClientConfig, Due, Request};
use plimsoll_load::{ArrivalProcess, Driver, DriverReport, Schedule, Start, Stop, pacing_runtime};
use plimsoll_records::{
    ClockRecord, Finding, FindingCode, OfferedLoad, Outcome, Phases, PointEnd, PointFile,
    PointWriter, RequestRow, ResultsFolder, ServerCounters, ServerStart, Severity, StampSource,
    StampsRecord, WorkerRecord, WorkloadRecord, read_point,
};
use plimsoll_sim::{ModelProfile, Settings, SimConfig, SimServer};
use plimsoll_units::{Clock as _, Rate, RunClock, RunNanos, Span};
use serde_json::{Value, json};

const GAP: Duration = Duration::from_millis(10);
const TOKENS: u32 = 60;
const RATE: f64 = 20.0;
/// From the origin of the schedule: the window's start and end, and the end of the arrivals.
const WARM_UP: Duration = Duration::from_millis(600);
const WINDOW_END: Duration = Duration::from_millis(3100);
const ARRIVALS_END: Duration = Duration::from_millis(3800);
/// Words of the first prompt; each later one has a word more, by which the two sides' records of a
/// request are joined.
const SHORTEST: u64 = 10;

/// When, from the origin of the schedule, the thread stands still, and for how long each time.
struct Stalls {
    at: Vec<Duration>,
    length: Duration,
}

impl Stalls {
    /// Twenty tokens long, once in the middle of the window, right after a request has left.
    fn long() -> Self {
        let middle = (WARM_UP + WINDOW_END) / 2;
        let sent = schedule().find(|arrival| arrival.offset >= middle).unwrap().offset;
        Self { at: vec![sent + Duration::from_millis(3)], length: Duration::from_millis(200) }
    }

    /// Half a gap long, and spread over the phases of the server's steps.
    fn short() -> Self {
        let at = (0..14).map(|k| WARM_UP + k * Duration::from_millis(137)).collect();
        Self { at, length: Duration::from_millis(5) }
    }
}

/// What a point left.
struct Played {
    point: PointFile,
    rows: Vec<RequestRow>,
    findings: Vec<Finding>,
    driven: DriverReport,
    /// When the simulator's write of the first token had returned, by the length of the prompt.
    first_written: HashMap<u32, RunNanos>,
}

impl Played {
    /// The evidence of `client-late` that names `number`.
    fn late(&self, number: &str) -> Option<&Finding> {
        let mut of_code = self.findings.iter().filter(|f| f.code == FindingCode::ClientLate);
        of_code.find(|finding| finding.numbers.contains_key(number))
    }

    fn shared(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.chunks).filter(|chunk| chunk.shared).count()
    }

    /// How much later than the simulator had written it each first token is stamped: not at all where
    /// it has a segment's own time, for on the loopback device that is taken inside the write.
    fn first_tokens_late(&self) -> impl Iterator<Item = Duration> + use<'_> {
        self.rows.iter().map(|row| {
            let written = self.first_written[&row.prompt_tokens.unwrap()];
            row.first_token().unwrap().since(written)
        })
    }

    /// However the thread stood: every arrival has one row, due when the schedule said, and whole.
    fn assert_whole(&self, source: StampSource) {
        let arrivals = schedule().take_while(|arrival| arrival.offset < ARRIVALS_END);
        let due: Vec<_> = arrivals
            .map(|arrival| (arrival.index, self.point.phases.start_ns + arrival.offset))
            .collect();
        let rows: Vec<_> = self.rows.iter().map(|row| (row.id, row.intended)).collect();
        assert_eq!(rows, due);
        assert_eq!(self.driven.started, due.len() as u64);
        for row in &self.rows {
            assert_eq!((row.outcome, row.error.as_deref()), (Outcome::Ok, None));
            assert_eq!((row.stamp_source, row.output_count()), (source, u64::from(TOKENS)));
            assert_eq!(row.chunk_token_count(), u64::from(TOKENS));
            assert!(row.chunks.is_sorted_by_key(|chunk| chunk.at), "{row:?}");
            assert!(row.dequeued >= row.intended && row.sent >= Some(row.dequeued), "{row:?}");
            assert!(row.sent <= row.first_token() && row.last_token <= Some(row.done), "{row:?}");
        }
    }
}

fn schedule() -> Schedule {
    Schedule::new(ArrivalProcess::Constant, Rate::new(RATE).unwrap(), 0)
}

/// A server that makes a token for each of its streams every 10 ms, and never lets one wait.
fn server(truth: &Path) -> SimServer {
    let model = ModelProfile {
        step_base: Span::new(GAP),
        step_per_sequence: Span::new(Duration::ZERO),
        step_per_sequence_squared: Span::new(Duration::ZERO),
        step_per_prefill_token: Span::new(Duration::ZERO),
        front_end: Span::new(Duration::ZERO),
        ..ModelProfile::tiny()
    };
    let settings = Settings { enable_prefix_caching: false, ..Settings::default() };
    let truth = Some(truth.to_owned());
    SimServer::start(SimConfig { model, settings, truth, ..SimConfig::default() }).unwrap()
}

fn request(id: u64) -> Request {
    let words = "one ".repeat((SHORTEST + id) as usize);
    let body = json!({
        "model": "tiny",
        "messages": [{"role": "user", "content": words.trim_end()}],
        "max_tokens": TOKENS,
        "ignore_eos": true,
        "stream": true,
        "stream_options": {"include_usage": true, "continuous_usage_stats": true},
    });
    Request { output_tokens_planned: TOKENS, ..Request::new(Bytes::from(body.to_string())) }
}

/// The simulator's log: when the first token of each prompt was with the kernel.
fn first_written(truth: &str, clock: &RunClock) -> HashMap<u32, RunNanos> {
    let origin = clock.monotonic(RunNanos::ZERO).as_nanos() as u64;
    let lines = truth.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|line| {
            let at = line["first_token_monotonic_ns"].as_u64().unwrap();
            let prompt = line["prompt_tokens"].as_u64().unwrap();
            (u32::try_from(prompt).unwrap(), RunNanos::from_nanos(at - origin))
        })
        .collect()
}

/// One point, measured with stamps of the kind `source` by a worker whose thread stands still as
/// `stalls` says; `None` where packets cannot be captured.
fn play(source: StampSource, stalls: Stalls) -> Option<Played> {
    // Points at once would be stalls of one another.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let truth = dir.path().join("truth.jsonl");
    let sim = server(&truth);
    let point = ResultsFolder::create(dir.path(), "stall").unwrap().point("point").unwrap();
    let writer = PointWriter::create(&point, |_| {}).unwrap();
    let clock = RunClock::start();

    let mut capture = None;
    if source == StampSource::Packet {
        let mut rows = writer.sender();
        let config = CaptureConfig::new(vec![sim.addr()], clock);
        match Capture::start(config, move |row| rows.send(row)) {
            Ok(started) => capture = Some(started),
            Err(error) => {
                println!("SKIP: {error}");
                return None;
            }
        }
    }
    let config = ClientConfig::new(sim.url().parse().unwrap(), Api::Chat, clock);
    let client = Rc::new(Client::new(ClientConfig { stamps: source, ..config }).unwrap());
    let packets = capture.as_ref().map(Capture::handle);
    let rows = Rc::new(RefCell::new(writer.sender()));
    let open = Rc::new(Cell::new(0_u64));
    let target = |start: Start| {
        let due =
            Due { id: start.index, worker: 0, intended: start.intended, dequeued: start.dequeued };
        let (client, packets, rows) = (Rc::clone(&client), packets.clone(), Rc::clone(&rows));
        let open = Rc::clone(&open);
        open.set(open.get() + 1);
        async move {
            let measured = client.measure(due, request(due.id)).await;
            let row = match &packets {
                None => Some(measured.settle()),
                Some(packets) => packets.settle(measured),
            };
            row.into_iter().for_each(|row| rows.borrow_mut().send(row));
            open.set(open.get() - 1);
        }
    };

    let stop = Stop::new();
    let runtime = pacing_runtime().unwrap();
    let (origin, driven) = runtime.block_on(async {
        client.warm_up(16).await;
        let origin = clock.now() + Duration::from_millis(50);
        stop.at(origin + ARRIVALS_END);
        tokio::task::spawn_local(async move {
            for at in stalls.at {
                tokio::time::sleep((origin + at).since(clock.now())).await;
                std::thread::sleep(stalls.length);
            }
        });
        let shard = schedule().shard(0, 1).unwrap();
        let driven = Driver::open(shard, clock, origin).run(&target, &stop).await.unwrap();
        while open.get() > 0 {
            tokio::time::sleep(GAP).await;
        }
        (origin, driven)
    });
    let end = clock.now();
    drop(rows);
    let packets = capture.map(Capture::finish);
    writer.finish().unwrap();
    sim.stop();

    let report = client.report();
    let point_file = PointFile {
        id: "stall".to_owned(),
        factors: BTreeMap::new(),
        repetition: 0,
        load: OfferedLoad::Open {
            arrivals: "constant".to_owned(),
            rate_per_s: RATE,
            gap_cv: Some(0.0),
            seed: 0,
            max_in_flight: None,
        },
        phases: Phases {
            start_ns: origin,
            measure_start_ns: origin + WARM_UP,
            measure_end_ns: origin + WINDOW_END,
            arrivals_end_ns: origin + ARRIVALS_END,
            end_ns: end,
        },
        ended: PointEnd::Complete,
        workers: vec![WorkerRecord { wake_up: (&driven.lag).into(), ..WorkerRecord::default() }],
        stamps: StampsRecord {
            source,
            read_delay: (&report.read_delay).into(),
            socket_fallbacks: report.socket_fallbacks,
            packet_fallbacks: packets.as_ref().map_or(0, |packets| packets.unstamped),
            packets: packets.as_ref().map(|packets| packets.segments),
            packets_dropped: packets.as_ref().map(|packets| packets.dropped),
        },
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
            shared_prefix: None,
            exact_output: true,
            exact_input: false,
            mean_output_tokens: Some(f64::from(TOKENS)),
        },
    };
    let mut rows = read_point(&point).unwrap().rows;
    rows.sort_by_key(|row| row.id);
    let audited = AuditedPoint::of(&point_file, &rows, &Slo::default());
    Some(Played {
        point: point_file,
        rows,
        findings: audited.findings,
        driven,
        first_written: first_written(&std::fs::read_to_string(&truth).unwrap(), &clock),
    })
}

#[test]
fn a_long_stall_leaves_marked_chunks_with_the_socket_and_the_audit_says_so() {
    let played = play(StampSource::Socket, Stalls::long()).unwrap();
    played.assert_whole(StampSource::Socket);
    // Twelve streams are open on average, and each goes on for up to twenty tokens.
    assert!(played.shared() > 100, "{} chunks are marked", played.shared());
    let found = played.late("shared_chunks").expect("the shared stamps are found");
    assert_eq!(found.severity, Severity::Warning, "{found:?}");
    assert!(found.numbers["shared_chunks"] > 100.0, "{found:?}");
    assert!(found.numbers["delay_max_ms"] > 100.0, "requests were due in the stall: {found:?}");
    // The first token of the request that left before it is one of them.
    let latest = played.first_tokens_late().max().unwrap();
    assert!(latest > 5 * GAP, "{latest:?}");
    // What was due in the stall left late, which no stamp can mend.
    let lag = played.late("lag_p99_ms").expect("the late requests are found");
    assert!(lag.numbers["lag_p99_ms"] > 100.0, "{lag:?}");
}

#[test]
fn short_stalls_join_no_chunks() {
    let mut last = None;
    // The machine, too, can keep the thread or the server from running for longer than a gap between
    // tokens: then chunks are joined, and rightly found. It will not do so all the time.
    for _ in 0..4 {
        let played = play(StampSource::Socket, Stalls::short()).unwrap();
        played.assert_whole(StampSource::Socket);
        // The stalls were there.
        assert!(played.point.stamps.read_delay.max_ms > 2.0, "{:?}", played.point.stamps);
        match played.late("shared_chunks") {
            None => return,
            Some(found) => last = Some(found.clone()),
        }
    }
    panic!("stalls of half a gap are taken for longer ones: {last:?}");
}

#[test]
fn a_long_stall_moves_no_stamp_of_a_packet() {
    let Some(played) = play(StampSource::Packet, Stalls::long()) else { return };
    played.assert_whole(StampSource::Packet);
    assert_eq!(played.point.stamps.packets_dropped, Some(0));
    // Not even the first token of the request that left right before the stall.
    let latest = played.first_tokens_late().max().unwrap();
    assert!(latest < GAP / 2, "{latest:?}");
    assert!(played.late("shared_chunks").is_none(), "{:?}", played.findings);
    assert!(played.late("poorer_responses").is_none(), "{:?}", played.findings);
    // The stall is known all the same, and what left late is still late.
    assert!(played.point.stamps.read_delay.max_ms > 20.0, "{:?}", played.point.stamps);
    let lag = played.late("lag_p99_ms").expect("the late requests are found");
    assert!(lag.numbers["lag_p99_ms"] > 100.0, "{lag:?}");
}
