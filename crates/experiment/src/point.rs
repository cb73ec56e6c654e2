//! One point from its first body to its files.
//!
//! The workers ([`Crew`]) and the writer of their rows run by themselves; the coordinator decides when
//! the point is over.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_analysis::Window;
use plimsoll_client::ClientConfig;
use plimsoll_load::{ClosedLoop, Driver, OpenLoop, Schedule};
use plimsoll_records::{
    FindingCode, OfferedLoad, Phases, PointDir, PointEnd, PointFile, PointWriter, ProbeRecord,
    RequestRow, StampSource, WorkloadRecord, read_point,
};
use plimsoll_server::LaunchError;
use plimsoll_units::{Clock as _, Rate, RunClock, RunNanos};
use plimsoll_workload::{AtEnd, Encoder, Feeder, History, Replay};

use crate::circumstances::Circumstances;
use crate::coordinator::Coordinator;
use crate::crew::{Crew, CrewEnd};
use crate::error::RunError;
use crate::interrupt::Interrupt;
use crate::live::Live;
use crate::matrix::{LoadArrivals, Matrix};
use crate::offered::{PointLoad, share};
use crate::progress::Progress;
use crate::stamping::stamps_record;

/// Prompts set aside for each point, so that no prompt is sent twice in a run and no point profits
/// from a prefix cache that the one before it has filled.
const PROMPTS_PER_POINT: u64 = 1_000_000;
/// Bytes of bodies that one point may hold ready.
const BODIES_BYTES: usize = 256 << 20;

/// What a point is made from.
pub(crate) struct PointPlan<'a> {
    pub(crate) id: &'a str,
    /// Its place among all points of the run, from 0: its prompts are taken from a range of their own.
    pub(crate) ordinal: u64,
    pub(crate) factors: &'a BTreeMap<String, String>,
    pub(crate) repetition: u32,
    pub(crate) matrix: &'a Matrix,
    pub(crate) load: PointLoad,
    pub(crate) seed: u64,
    pub(crate) clock: RunClock,
    /// For each replica one, with the stamps that are asked for; alike but for their endpoints.
    pub(crate) clients: &'a [ClientConfig],
    pub(crate) encoder: &'a Encoder,
    pub(crate) workload: WorkloadRecord,
    /// The trace that the requests come from, if they do.
    pub(crate) replay: Option<&'a Replay>,
    /// Turns of a conversation on average, where requests are turns.
    pub(crate) turns: Option<f64>,
    pub(crate) workers: u32,
    /// What is asked of it as a probe of a search.
    pub(crate) probe: Option<ProbeRecord>,
    /// Time that the points after this one will take.
    pub(crate) after: Duration,
}

/// A point that was measured.
#[derive(Debug)]
pub(crate) struct MeasuredPoint {
    pub(crate) file: PointFile,
    pub(crate) rows: Vec<RequestRow>,
    /// What is to be said of how it was measured.
    pub(crate) remarks: Vec<String>,
    /// How the server ended, if it did.
    pub(crate) lost: Option<LaunchError>,
    /// Which of the server's GPUs could not be watched, if any.
    pub(crate) gpu_lost: Option<String>,
}

impl PointPlan<'_> {
    /// The bodies of the point, by the index of the arrival.
    pub(crate) fn encoder(&self) -> Encoder {
        self.encoder.starting_at(self.ordinal * PROMPTS_PER_POINT)
    }

    /// The stamps that are asked for.
    pub(crate) fn stamps(&self) -> StampSource {
        self.clients.first().map_or(StampSource::User, |client| client.stamps)
    }

    /// The arrivals of an open loop.
    pub(crate) fn schedule(&self) -> Result<Option<Schedule>, RunError> {
        match self.load {
            PointLoad::Open(rate) => self.schedule_at(rate).map(Some),
            PointLoad::Closed(_) => Ok(None),
        }
    }

    /// When the last arrival is due, from the start of the schedule, where a number of them is all there
    /// is.
    pub(crate) fn last_due(&self) -> Result<Option<Duration>, RunError> {
        if self.matrix.load.requests.is_none() {
            return Ok(None);
        }
        Ok(self.schedule()?.and_then(Iterator::last).map(|arrival| arrival.offset))
    }

    /// The coefficient of variation of the gaps between requests, where it is known.
    pub(crate) fn gap_cv(&self) -> Option<f64> {
        self.matrix.load.arrivals.gap_cv().filter(|_| self.turns.is_none())
    }

    fn schedule_at(&self, rate: Rate) -> Result<Schedule, RunError> {
        // What arrives are conversations; the rate counts all their turns.
        let per_second = rate.per_second() / self.turns.unwrap_or(1.0).max(1.0);
        let rate = Rate::new(per_second).unwrap_or(rate);
        match (self.matrix.load.arrivals, self.replay) {
            (LoadArrivals::Process(process), _) => {
                let endless = Schedule::new(process, rate, self.seed);
                Ok(match self.matrix.load.requests {
                    Some(requests) => Schedule::replay(
                        endless.take(requests as usize).map(|arrival| arrival.offset),
                    )?,
                    None => endless,
                })
            }
            // Without a trace there is nothing to replay, which the plan refuses.
            (LoadArrivals::Trace, None) => Ok(Schedule::replay([])?),
            (LoadArrivals::Trace, Some(replay)) => {
                let schedule = Schedule::replay(replay.instants(rate, self.seed))?;
                Ok(match replay.at_end() {
                    AtEnd::Loop => schedule.again_after(replay.period(rate))?,
                    AtEnd::End => schedule,
                })
            }
        }
    }

    /// The driver of one worker, whose instants count from `origin`.
    pub(crate) fn driver(&self, worker: u32, origin: RunNanos) -> Result<Driver, RunError> {
        Ok(match self.load {
            PointLoad::Open(rate) => {
                let shard = self.schedule_at(rate)?.shard(worker, self.workers)?;
                let cap = self.matrix.load.max_in_flight;
                let cap = cap.map(|cap| share(cap, worker, self.workers));
                Driver::open(OpenLoop::new(shard).max_in_flight(cap), self.clock, origin)
            }
            PointLoad::Closed(concurrency) => {
                let slots = ClosedLoop::new(concurrency).shard(worker, self.workers)?;
                Driver::closed(slots, self.clock, origin)
            }
        })
    }
}

/// Measures one point, and leaves its files in `dir`.
pub(crate) fn measure(
    plan: &PointPlan<'_>,
    dir: &PointDir,
    circumstances: &mut Circumstances<'_>,
    interrupt: &Interrupt,
    progress: &mut dyn Progress,
) -> Result<MeasuredPoint, RunError> {
    let live = Arc::new(Live::new(plan.workers));
    let observer = Arc::clone(&live);
    let writer = PointWriter::create(dir, move |row| observer.end(row))?;
    let crew = Crew::start(plan, feeders(plan)?, &writer, &live, interrupt)?;
    let origin = crew.origin();
    let mut coordinator = Coordinator::new(plan, &live, crew.meters().to_vec(), origin)?;
    let ended = coordinator.watch(crew.workers(), &writer, circumstances, interrupt, progress);
    let arrivals_end = plan.clock.now();
    // What is overdue by now is still started, if only to be aborted: every arrival has its row.
    let crew = crew.stop((ended != PointEnd::Interrupted).then_some(arrivals_end));
    let CrewEnd { workers, capture, remarks } = crew.join()?;
    writer.finish()?;
    // Only now, with no load left to send, may reading the samplers take its time.
    let seen = circumstances.finish(coordinator.window(), dir)?;
    let rows = read_point(dir)?.rows;
    let clients = workers.iter().map(|worker| &worker.client);
    let window = coordinator.window();
    let file = PointFile {
        id: plan.id.to_owned(),
        factors: plan.factors.clone(),
        repetition: plan.repetition,
        load: offered(plan),
        phases: Phases {
            start_ns: origin,
            measure_start_ns: window.start,
            measure_end_ns: window.end,
            arrivals_end_ns: arrivals_end,
            end_ns: plan.clock.now(),
        },
        ended,
        workers: coordinator.worker_records(&workers),
        stamps: stamps_record(plan.stamps(), clients, capture.as_ref()),
        clock: coordinator.clock_record(),
        server: seen.server,
        server_sampling: seen.server_sampling,
        server_start: seen.server_start,
        settings: seen.settings,
        settings_allowed: plan.matrix.experiment.policy().allows(FindingCode::SettingNotApplied),
        gpus: seen.gpus,
        gpu_sampling: seen.gpu_sampling,
        imported: None,
        workload: WorkloadRecord {
            shared_prefix: repeated_share(plan, &rows, window)
                .or_else(|| said_before(plan, &rows, window))
                .or(plan.workload.shared_prefix),
            ..plan.workload.clone()
        },
        probe: plan.probe.clone(),
    };
    dir.write_point_file(&file)?;
    Ok(MeasuredPoint { file, rows, remarks, lost: seen.lost, gpu_lost: seen.gpu_lost })
}

/// Feeders that hold bodies enough for warm-up and window ready, within a limit of memory; they go
/// on encoding while the point runs.
fn feeders(plan: &PointPlan<'_>) -> Result<Vec<Feeder>, RunError> {
    let span = plan.matrix.load.window.measure.as_secs_f64() * 1.5 + 5.0;
    let requests = match plan.load {
        PointLoad::Open(rate) => rate.per_second() * span,
        PointLoad::Closed(concurrency) => f64::from(concurrency) * 16.0,
    };
    let encoder = plan.encoder();
    // Lengths vary: the largest of a few says how much room a body may take.
    let body_bytes =
        (0..32).map(|index| encoder.encode(index).body.len()).max().unwrap_or(1).max(1);
    let workers = plan.workers as usize;
    let ahead = (requests as usize).min(BODIES_BYTES / body_bytes).max(64).div_ceil(workers);
    let mut feeders = (0..u64::from(plan.workers))
        .map(|shard| Feeder::start(encoder.clone(), shard, u64::from(plan.workers), ahead))
        .collect::<Result<Vec<_>, _>>()?;
    feeders.iter_mut().for_each(Feeder::ready);
    Ok(feeders)
}

/// The share of the prompt tokens due in `window` that the trace's blocks say were there before.
fn repeated_share(plan: &PointPlan<'_>, rows: &[RequestRow], window: Window) -> Option<f64> {
    let due = rows.iter().filter(|row| window.contains(row.intended));
    plan.replay?.implied_hits(due.map(|row| row.id)).map(|hits| hits.share())
}

/// The share of the prompt tokens due in `window` that the turn before had in its prompt, or, where
/// turns carry the server's own answers, in its answer.
///
/// By the server's counts; an upper bound, for what the template puts behind a prompt is no part of the
/// next one.
fn said_before(plan: &PointPlan<'_>, rows: &[RequestRow], window: Window) -> Option<f64> {
    let history = plan.encoder.history()?;
    let known: HashMap<_, u32> = rows
        .iter()
        .filter_map(|row| {
            let answer = row.output_tokens.filter(|_| history == History::Answer);
            Some((
                (row.session?, row.turn?),
                row.prompt_tokens?.saturating_add(answer.unwrap_or_default()),
            ))
        })
        .collect();
    let (mut before, mut all) = (0, 0);
    for row in rows.iter().filter(|row| window.contains(row.intended)) {
        let Some(prompt) = row.prompt_tokens else { continue };
        let last = row.turn.and_then(|turn| turn.checked_sub(1));
        let said = last.and_then(|turn| known.get(&(row.session?, turn)));
        before += u64::from(said.copied().unwrap_or_default().min(prompt));
        all += u64::from(prompt);
    }
    (all > 0).then(|| before as f64 / all as f64)
}

fn offered(plan: &PointPlan<'_>) -> OfferedLoad {
    match plan.load {
        PointLoad::Open(rate) => OfferedLoad::Open {
            arrivals: match (plan.matrix.load.arrivals, plan.replay) {
                (LoadArrivals::Trace, Some(replay)) => replay.describe(rate),
                (arrivals, _) => match (plan.turns, plan.matrix.load.requests) {
                    (Some(turns), _) => {
                        format!("{arrivals}, conversations of {turns:.2} turns")
                    }
                    (None, Some(requests)) => format!("{arrivals}, {requests} requests"),
                    (None, None) => arrivals.to_string(),
                },
            },
            rate_per_s: rate.per_second(),
            gap_cv: plan.gap_cv(),
            seed: plan.seed,
            max_in_flight: plan.matrix.load.max_in_flight,
        },
        PointLoad::Closed(concurrency) => OfferedLoad::Closed { concurrency },
    }
}
