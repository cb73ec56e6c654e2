//! One point from its first body to its files: workers, writer, and the coordinator between them.
//!
//! The coordinator sleeps and looks, a few times in a hundred milliseconds; it stands outside the
//! measured path and decides only where the window lies and when the point is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_analysis::OverloadDetector;
use plimsoll_client::{Abort, ClientConfig, Meter};
use plimsoll_load::{ClosedLoop, Driver, OpenLoop, Schedule, Stop};
use plimsoll_records::{
    OfferedLoad, Phases, PointDir, PointEnd, PointFile, PointWriter, RequestRow, WorkerRecord,
    WorkloadRecord, read_point,
};
use plimsoll_units::{Clock as _, Rate, RunClock, RunNanos};
use plimsoll_workload::{Encoder, Feeder};

use crate::counters::Counters;
use crate::course::{Course, Phase, Sight};
use crate::error::RunError;
use crate::interrupt::Interrupt;
use crate::live::Live;
use crate::matrix::Matrix;
use crate::offered::PointLoad;
use crate::progress::{Event, Progress, Tick};
use crate::worker::{Worker, WorkerEnd, WorkerPlan};

/// How often the coordinator looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Looks between two ticks of the progress.
const LOOKS_PER_TICK: u32 = 12;
/// How far ahead of the first look the schedule begins, so that no worker starts late.
const LEAD: Duration = Duration::from_millis(50);
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
    pub(crate) client: &'a ClientConfig,
    pub(crate) encoder: &'a Encoder,
    pub(crate) workload: WorkloadRecord,
    pub(crate) workers: u32,
    /// Time that the points after this one will take.
    pub(crate) after: Duration,
}

/// Measures one point, and leaves its files in `dir`.
pub(crate) fn measure(
    plan: &PointPlan<'_>,
    dir: &PointDir,
    counters: &mut Counters<'_>,
    interrupt: &Interrupt,
    progress: &mut dyn Progress,
) -> Result<(PointFile, Vec<RequestRow>), RunError> {
    let live = Arc::new(Live::new(plan.workers));
    let observer = Arc::clone(&live);
    let writer = PointWriter::create(dir, move |row| observer.end(row))?;
    let feeders = feeders(plan)?;
    let switches = Switches { stop: Stop::new(), abort: Abort::new() };
    let origin = plan.clock.now() + LEAD;
    let mut workers = Vec::new();
    let mut meters = Vec::new();
    for (worker, feeder) in (0..plan.workers).zip(feeders) {
        let meter = Meter::new();
        meters.push(meter.clone());
        workers.push(Worker::spawn(WorkerPlan {
            worker,
            driver: driver(plan, worker, origin)?,
            stop: switches.stop.clone(),
            client: ClientConfig { abort: switches.abort.clone(), meter, ..plan.client.clone() },
            feeder,
            rows: writer.sender(),
            live: Arc::clone(&live),
        })?);
    }
    let overload = matches!(plan.load, PointLoad::Open(_))
        .then(|| OverloadDetector::new(plan.matrix.load.arrivals.gap_cv()));
    let mut coordinator = Coordinator {
        plan,
        live: &live,
        meters,
        course: Course::new(plan.matrix.load.window.plan(), origin, overload),
        arrivals: Arrivals::new(plan, origin),
        cpu: vec![[None; 2]; workers.len()],
        looks: 0,
    };
    let ended = coordinator.watch(&workers, &writer, counters, interrupt, progress);
    let arrivals_end = plan.clock.now();
    if ended != PointEnd::Interrupted {
        // What is overdue by now is still started, if only to be aborted: every arrival has its row.
        switches.stop.at(arrivals_end);
    }
    drop(switches);
    // Only now, with no load left to send, may reading the counters take its time.
    if ended != PointEnd::Interrupted {
        counters.end();
    }
    let ends = workers.into_iter().map(Worker::join).collect::<Result<Vec<_>, _>>()?;
    writer.finish()?;
    let rows = read_point(dir)?.rows;
    let file = PointFile {
        id: plan.id.to_owned(),
        factors: plan.factors.clone(),
        repetition: plan.repetition,
        load: offered(plan),
        phases: Phases {
            start_ns: origin,
            measure_start_ns: coordinator.course.window().start,
            measure_end_ns: coordinator.course.window().end,
            arrivals_end_ns: arrivals_end,
            end_ns: plan.clock.now(),
        },
        ended,
        workers: coordinator.worker_records(&ends),
        server: counters.finish(),
        workload: plan.workload.clone(),
    };
    dir.write_point_file(&file)?;
    Ok((file, rows))
}

/// What ends the load of a point. Dropping it does, on whatever way out: nothing goes on being sent.
struct Switches {
    stop: Stop,
    abort: Abort,
}

impl Drop for Switches {
    fn drop(&mut self) {
        if self.stop.instant() == RunNanos::MAX {
            self.stop.now();
        }
        self.abort.raise();
    }
}

/// Who watches the point while it runs.
struct Coordinator<'a> {
    plan: &'a PointPlan<'a>,
    live: &'a Live,
    /// The count of tokens of each worker's client.
    meters: Vec<Meter>,
    course: Course,
    arrivals: Arrivals,
    /// CPU time of each worker near the window's start and end, ns, with the moment of reading.
    cpu: Vec<[Option<(RunNanos, u64)>; 2]>,
    looks: u32,
}

impl Coordinator<'_> {
    /// Looks until the point is over, and says why it is.
    fn watch(
        &mut self,
        workers: &[Worker],
        writer: &PointWriter,
        counters: &mut Counters<'_>,
        interrupt: &Interrupt,
        progress: &mut dyn Progress,
    ) -> PointEnd {
        loop {
            std::thread::sleep(LOOK_EVERY);
            let before = self.course.phase();
            let sight = self.sight();
            // A worker that failed, and rows that cannot be written, end the point: joining the one or
            // finishing the other then says why.
            let broken = writer.failed() || workers.iter().any(Worker::has_failed);
            let phase = if interrupt.is_raised() || broken {
                self.course.end(sight.now, PointEnd::Interrupted)
            } else {
                self.course.look(&sight)
            };
            if before == Phase::WarmUp && phase == Phase::Measure {
                self.begin_window();
                self.read_cpu(workers, 0);
                counters.start();
            }
            if before == Phase::Measure && phase != Phase::Measure {
                self.read_cpu(workers, 1);
                if phase == Phase::Drain {
                    counters.end();
                }
            }
            if phase == Phase::Measure {
                counters.sample(sight.now);
            }
            if let Phase::Over(why) = phase {
                return why;
            }
            self.looks += 1;
            if self.looks.is_multiple_of(LOOKS_PER_TICK) {
                progress.event(Event::Tick(self.tick(&sight, phase)));
            }
        }
    }

    /// The window is known from here on: so is what was or will be due before its end.
    fn begin_window(&mut self) {
        let end = self.course.window().end;
        self.live.set_window_end(end);
        self.arrivals.set_window_end(end);
    }

    fn read_cpu(&mut self, workers: &[Worker], side: usize) {
        for (cpu, worker) in self.cpu.iter_mut().zip(workers) {
            cpu[side] = worker.cpu(self.plan.clock);
        }
    }

    fn sight(&mut self) -> Sight {
        let now = self.plan.clock.now();
        let due = self.arrivals.due_before(now, self.live);
        let due_by_window_end = self.arrivals.due_by_window_end(self.live);
        let output_tokens = self.meters.iter().map(Meter::tokens).sum();
        self.live.look(|ended| Sight {
            now,
            due,
            ended: ended.all,
            ok: ended.ok,
            longest_e2e: ended.longest_e2e,
            output_tokens,
            lost_in_a_row: ended.lost_in_a_row,
            due_in_window_open: due_by_window_end.saturating_sub(ended.due),
        })
    }

    fn tick(&self, sight: &Sight, phase: Phase) -> Tick {
        let window = &self.plan.matrix.load.window;
        let rest = match phase {
            Phase::WarmUp => window.measure.get() + window.measure.get() / 8,
            Phase::Measure => self.course.window().end - sight.now,
            Phase::Drain | Phase::Over(_) => Duration::ZERO,
        };
        let (failed, ttft_p50) = self.live.look(|ended| (ended.failed, ended.ttft_p50()));
        Tick {
            phase: phase.name(),
            offered: self.plan.load.to_string(),
            in_flight: sight.due.saturating_sub(sight.ended),
            completed: sight.ok,
            failed,
            ttft_p50,
            left: rest + self.plan.after,
        }
    }

    fn worker_records(&self, ends: &[WorkerEnd]) -> Vec<WorkerRecord> {
        (0..)
            .zip(ends)
            .zip(&self.cpu)
            .map(|((worker, end), cpu)| WorkerRecord {
                worker,
                cpu_share: match cpu {
                    [Some((start, before)), Some((end, after))] if end > start => {
                        let between = (*end - *start).as_nanos() as f64;
                        Some(after.saturating_sub(*before) as f64 / between)
                    }
                    _ => None,
                },
                rows_deferred: end.rows_deferred,
                bodies_late: end.bodies_late,
            })
            .collect()
    }
}

/// How many arrivals are due: by the schedule in an open loop (whatever the workers have got to),
/// by the workers' count in a closed one.
struct Arrivals {
    origin: RunNanos,
    schedule: Option<std::iter::Peekable<Schedule>>,
    due: u64,
    /// In an open loop: how many are due before the end of the window, once that is known.
    by_window_end: u64,
}

impl Arrivals {
    fn new(plan: &PointPlan<'_>, origin: RunNanos) -> Self {
        let schedule = match plan.load {
            PointLoad::Open(rate) => Some(schedule(plan, rate).peekable()),
            PointLoad::Closed(_) => None,
        };
        Self { origin, schedule, due: 0, by_window_end: 0 }
    }

    /// Arrivals due before `now`, which must not go back.
    fn due_before(&mut self, now: RunNanos, live: &Live) -> u64 {
        let Some(schedule) = &mut self.schedule else { return live.started() };
        let elapsed = now - self.origin;
        while schedule.next_if(|arrival| arrival.offset < elapsed).is_some() {
            self.due += 1;
        }
        self.due
    }

    fn set_window_end(&mut self, end: RunNanos) {
        let Some(schedule) = &self.schedule else { return };
        let length = end - self.origin;
        let coming = schedule.clone().take_while(|arrival| arrival.offset < length).count();
        self.by_window_end = self.due + coming as u64;
    }

    /// Arrivals due before the end of the window, those to come included.
    fn due_by_window_end(&self, live: &Live) -> u64 {
        if self.schedule.is_some() { self.by_window_end } else { live.started_due() }
    }
}

fn schedule(plan: &PointPlan<'_>, rate: Rate) -> Schedule {
    Schedule::new(plan.matrix.load.arrivals, rate, plan.seed)
}

fn driver(plan: &PointPlan<'_>, worker: u32, origin: RunNanos) -> Result<Driver, RunError> {
    Ok(match plan.load {
        PointLoad::Open(rate) => {
            let shard = schedule(plan, rate).shard(worker, plan.workers)?;
            // Dealt out so that the shares add up to the cap.
            let share = |cap: u32| cap / plan.workers + u32::from(worker < cap % plan.workers);
            let cap = plan.matrix.load.max_in_flight.map(share);
            Driver::open(OpenLoop::new(shard).max_in_flight(cap), plan.clock, origin)
        }
        PointLoad::Closed(concurrency) => {
            let slots = ClosedLoop::new(concurrency).shard(worker, plan.workers)?;
            Driver::closed(slots, plan.clock, origin)
        }
    })
}

/// Feeders that hold bodies enough for warm-up and window ready, within a limit of memory; they go
/// on encoding while the point runs.
fn feeders(plan: &PointPlan<'_>) -> Result<Vec<Feeder>, RunError> {
    let span = plan.matrix.load.window.measure.as_secs_f64() * 1.5 + 5.0;
    let requests = match plan.load {
        PointLoad::Open(rate) => rate.per_second() * span,
        PointLoad::Closed(concurrency) => f64::from(concurrency) * 16.0,
    };
    let encoder = plan.encoder.starting_at(plan.ordinal * PROMPTS_PER_POINT);
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

fn offered(plan: &PointPlan<'_>) -> OfferedLoad {
    match plan.load {
        PointLoad::Open(rate) => OfferedLoad::Open {
            arrivals: plan.matrix.load.arrivals.to_string(),
            rate_per_s: rate.per_second(),
            gap_cv: plan.matrix.load.arrivals.gap_cv(),
            seed: plan.seed,
            max_in_flight: plan.matrix.load.max_in_flight,
        },
        PointLoad::Closed(concurrency) => OfferedLoad::Closed { concurrency },
    }
}
