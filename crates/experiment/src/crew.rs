//! The workers of a point with what they share: the capture of their packets, the moment from which
//! they count, and the switches that end them.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use plimsoll_client::{Abort, Capture, CaptureReport, ClientConfig, Meter};
use plimsoll_load::Stop;
use plimsoll_records::{PointWriter, StampSource};
use plimsoll_units::{Clock as _, RunNanos};
use plimsoll_workload::Feeder;

use crate::error::RunError;
use crate::interrupt::Interrupt;
use crate::live::Live;
use crate::point::PointPlan;
use crate::prewarm::Reserve;
use crate::stamping::{capture, capture_remark};
use crate::worker::{Begin, PREWARM_LIMIT, Worker, WorkerEnd, WorkerPlan};

/// How far ahead of the first look the schedule begins, so that no worker starts late.
const LEAD: Duration = Duration::from_millis(50);
/// How often an interrupt is looked for while connections are opened ahead.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The workers of a point at work.
pub(crate) struct Crew {
    workers: Vec<Worker>,
    meters: Vec<Meter>,
    /// Outlives the workers, so that each of their rows is settled.
    capture: Option<Capture>,
    switches: Switches,
    origin: RunNanos,
    remarks: Vec<String>,
}

/// A crew that was told to end.
pub(crate) struct Leaving(Crew);

/// What a crew leaves.
pub(crate) struct CrewEnd {
    /// Of each worker, in order.
    pub(crate) workers: Vec<WorkerEnd>,
    pub(crate) capture: Option<CaptureReport>,
    /// What is to be said of how it worked.
    pub(crate) remarks: Vec<String>,
}

impl Crew {
    /// Starts to capture where packets are asked for, lets the workers open their connections, and sets
    /// the moment from which all of them count.
    pub(crate) fn start(
        plan: &PointPlan<'_>,
        feeders: Vec<Feeder>,
        writer: &PointWriter,
        live: &Arc<Live>,
        interrupt: &Interrupt,
    ) -> Result<Self, RunError> {
        let mut remarks = Vec::new();
        let mut packets = None;
        if plan.stamps() >= StampSource::Packet {
            let endpoints = plan.clients.iter().map(|client| &client.endpoint);
            match capture(endpoints, plan.clock, writer.sender()) {
                Ok(capture) => packets = Some(capture),
                Err(why) => remarks.push(format!(
                    "{}: packets are not captured ({why}); stamps are those of the sockets",
                    plan.id
                )),
            }
        }
        let switches = Switches { stop: Stop::new(), abort: Abort::new() };
        let (ready, all_ready) = channel();
        let (mut workers, mut meters, mut begins) = (Vec::new(), Vec::new(), Vec::new());
        for (worker, feeder) in (0..plan.workers).zip(feeders) {
            let meter = Meter::new();
            meters.push(meter.clone());
            let (begin, told) = channel();
            begins.push(begin);
            let (wish, cap) = (plan.matrix.client.prewarm, plan.matrix.load.max_in_flight);
            workers.push(Worker::spawn(WorkerPlan {
                worker,
                clients: plan
                    .clients
                    .iter()
                    .map(|client| ClientConfig {
                        abort: switches.abort.clone(),
                        meter: meter.clone(),
                        ..client.clone()
                    })
                    .collect(),
                clock: plan.clock,
                stamps: plan.stamps(),
                feeder,
                encoder: plan.encoder(),
                rows: writer.sender(),
                capture: packets.as_ref().map(Capture::handle),
                live: Arc::clone(live),
                reserve: Reserve::new(wish, plan.load, cap, worker, plan.workers),
                ready: ready.clone(),
                begin: told,
            })?);
        }
        drop(ready);
        let patience = plan.clock.now() + PREWARM_LIMIT + LEAD;
        // Each worker drops its end when its connections are open; nothing is ever sent.
        while all_ready.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Disconnected) {
            if interrupt.is_raised() || plan.clock.now() > patience {
                break;
            }
        }
        let origin = plan.clock.now() + LEAD;
        for (worker, begin) in (0..).zip(begins) {
            let driver = plan.driver(worker, origin)?;
            // A worker that has failed already says why when it is joined.
            let _ = begin.send(Begin { driver, stop: switches.stop.clone() });
        }
        Ok(Self { workers, meters, capture: packets, switches, origin, remarks })
    }

    /// The moment from which the schedule counts.
    pub(crate) const fn origin(&self) -> RunNanos {
        self.origin
    }

    /// The workers, to be looked at.
    pub(crate) fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// What counts each worker's tokens.
    pub(crate) fn meters(&self) -> &[Meter] {
        &self.meters
    }

    /// Ends the load: arrivals due before `at` are still started (without it none is), and whatever is
    /// in flight is aborted.
    pub(crate) fn stop(self, at: Option<RunNanos>) -> Leaving {
        if let Some(at) = at {
            self.switches.stop.at(at);
        }
        self.switches.flip();
        Leaving(self)
    }
}

impl Leaving {
    /// Waits for the workers, then for the capture, which settles what they left.
    pub(crate) fn join(self) -> Result<CrewEnd, RunError> {
        let Crew { workers, capture, mut remarks, .. } = self.0;
        let workers = workers.into_iter().map(Worker::join).collect::<Result<Vec<_>, _>>()?;
        let capture = capture.map(Capture::finish);
        remarks.extend(capture.as_ref().and_then(capture_remark));
        Ok(CrewEnd { workers, capture, remarks })
    }
}

/// What ends the load of a point. Dropping it does, on whatever way out: nothing goes on being sent.
struct Switches {
    stop: Stop,
    abort: Abort,
}

impl Switches {
    fn flip(&self) {
        if self.stop.instant() == RunNanos::MAX {
            self.stop.now();
        }
        self.abort.raise();
    }
}

impl Drop for Switches {
    fn drop(&mut self) {
        self.flip();
    }
}
