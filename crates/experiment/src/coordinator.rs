//! Who watches a point while it runs: decides where the window lies and when the point is over.
//!
//! It sleeps and looks, a few times in a hundred milliseconds, and stands outside the measured path.

use std::time::Duration;

use plimsoll_analysis::{OverloadDetector, Window};
use plimsoll_client::Meter;
use plimsoll_records::{ClockRecord, PointEnd, PointWriter, WorkerRecord};
use plimsoll_units::{Clock as _, RunNanos, Span, Wall};

use crate::arrivals::Arrivals;
use crate::circumstances::Circumstances;
use crate::course::{Course, Phase, Sight};
use crate::error::RunError;
use crate::interrupt::Interrupt;
use crate::live::Live;
use crate::offered::PointLoad;
use crate::pace::Pace;
use crate::point::PointPlan;
use crate::progress::{Event, Progress, Tick, Vitals};
use crate::worker::{CpuTime, Worker, WorkerEnd};

/// How often the coordinator looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Looks between two ticks of the progress.
const LOOKS_PER_TICK: u32 = 12;

/// Who watches the point while it runs.
pub(crate) struct Coordinator<'a> {
    plan: &'a PointPlan<'a>,
    live: &'a Live,
    /// The count of tokens of each worker's client.
    meters: Vec<Meter>,
    course: Course,
    arrivals: Arrivals,
    /// The CPU time of each worker near the window's start and end.
    cpu: Vec<[Option<CpuTime>; 2]>,
    /// The wall clock beside the run's, looked at all the time: steps show with any kind of stamps.
    wall: Wall,
    looks: u32,
    /// The end of the window that everybody was told.
    window_end: RunNanos,
    pace: Pace,
}

impl<'a> Coordinator<'a> {
    /// Who watches a point whose workers count tokens by `meters` and whose schedule begins at
    /// `origin`.
    pub(crate) fn new(
        plan: &'a PointPlan<'a>,
        live: &'a Live,
        meters: Vec<Meter>,
        origin: RunNanos,
    ) -> Result<Self, RunError> {
        let last_due = plan.last_due()?;
        let overload = (matches!(plan.load, PointLoad::Open(_)) && last_due.is_none())
            .then(|| OverloadDetector::new(plan.gap_cv()));
        let mut window = plan.matrix.load.window.plan();
        if let Some(last_due) = last_due {
            window.measure = Span::new(last_due);
        }
        let course = Course::new(window, origin, overload)
            .of_probe(plan.probe.as_ref())
            .of_requests(plan.matrix.load.window.requests)
            .until(last_due.map(|last_due| origin + last_due));
        // How many turns are due only the workers know.
        let mut arrivals = Arrivals::new(plan.schedule()?.filter(|_| plan.turns.is_none()), origin);
        if let Some(end) = course.last() {
            live.set_window_end(end);
            arrivals.set_window_end(end);
        }
        Ok(Self {
            plan,
            live,
            cpu: vec![[None; 2]; meters.len()],
            meters,
            course,
            arrivals,
            wall: Wall::new(plan.clock),
            looks: 0,
            window_end: RunNanos::MAX,
            pace: Pace::default(),
        })
    }

    /// Looks until the point is over, and says why it is.
    pub(crate) fn watch(
        &mut self,
        workers: &[Worker],
        writer: &PointWriter,
        circumstances: &mut Circumstances<'_>,
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
            } else if circumstances.is_lost(sight.now) {
                self.course.end(sight.now, PointEnd::TargetLost)
            } else {
                self.course.look(&sight)
            };
            if before == Phase::WarmUp && phase == Phase::Measure {
                self.read_cpu(workers, 0);
                circumstances.edge();
            }
            self.tell_window_end();
            if before == Phase::Measure && phase != Phase::Measure {
                self.read_cpu(workers, 1);
                circumstances.edge();
            }
            if let Phase::Over(why) = phase {
                return why;
            }
            self.looks += 1;
            if self.looks.is_multiple_of(LOOKS_PER_TICK) {
                progress.event(Event::Tick(self.tick(&sight, phase, circumstances.vitals())));
            }
        }
    }

    /// Where the window's end is known, or has come nearer: so is what was or will be due before it.
    fn tell_window_end(&mut self) {
        let end = self.course.window().end;
        if self.course.last().is_none() && end != self.window_end {
            self.window_end = end;
            self.live.set_window_end(end);
            self.arrivals.set_window_end(end);
        }
    }

    fn read_cpu(&mut self, workers: &[Worker], side: usize) {
        for (cpu, worker) in self.cpu.iter_mut().zip(workers) {
            cpu[side] = worker.cpu(self.plan.clock);
        }
    }

    fn sight(&mut self) -> Sight {
        let now = self.plan.clock.now();
        self.wall.renew(now);
        let due = self.arrivals.due_before(now, self.live);
        let due_by_window_end = self.arrivals.due_by_window_end(self.live);
        let output_tokens = self.meters.iter().map(Meter::tokens).sum();
        let clock = self.plan.clock;
        self.live.look(|ended| Sight {
            now,
            seen_by: clock.now(),
            due,
            ended: ended.all,
            ok: ended.ok,
            longest_e2e: ended.longest_e2e,
            output_tokens,
            lost_in_a_row: ended.lost_in_a_row,
            due_in_window_open: due_by_window_end.saturating_sub(ended.due),
        })
    }

    fn tick(&mut self, sight: &Sight, phase: Phase, vitals: Vitals) -> Tick {
        let window = &self.plan.matrix.load.window;
        let rest = match phase {
            Phase::WarmUp => window.measure.get() + window.measure.get() / 8,
            Phase::Measure => self.course.window().end - sight.now,
            Phase::Drain | Phase::Over(_) => Duration::ZERO,
        };
        let (failed, ttft_p50, lag_p50) =
            self.live.look(|ended| (ended.failed, ended.ttft_p50(), ended.lag_p50()));
        Tick {
            phase: phase.name(),
            offered: self.plan.load.to_string(),
            in_flight: sight.due.saturating_sub(sight.ended),
            completed: sight.ok,
            failed,
            done_per_s: self.pace.see(sight.now, sight.ok),
            ttft_p50,
            lag_p50,
            vitals,
            left: window.requests.is_none().then(|| rest + self.plan.after),
        }
    }

    /// The measure window, as far as it is known.
    pub(crate) const fn window(&self) -> Window {
        self.course.window()
    }

    /// What the system's clocks did so far.
    pub(crate) fn clock_record(&self) -> ClockRecord {
        ClockRecord {
            steps: self.wall.steps(),
            stepped_ms: self.wall.stepped().as_secs_f64() * 1e3,
            slew_ppm: self.wall.slew_ppm(),
        }
    }

    /// What each worker says of itself, with what the system says of its thread.
    pub(crate) fn worker_records(&self, ends: &[WorkerEnd]) -> Vec<WorkerRecord> {
        (0..)
            .zip(ends)
            .zip(&self.cpu)
            .map(|((worker, end), cpu)| {
                let shares = match cpu {
                    [Some(start), Some(end)] => end.shares_since(start),
                    _ => None,
                };
                WorkerRecord {
                    worker,
                    cpu_share: shares.map(|(running, _)| running),
                    run_queue_share: shares.map(|(_, waiting)| waiting),
                    rows_deferred: end.rows_deferred,
                    bodies_late: end.bodies_late,
                    wake_up: (&end.lag).into(),
                    connections_opened: end.client.connections_opened,
                }
            })
            .collect()
    }
}
