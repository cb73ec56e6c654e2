//! One worker thread: its runtime, its shard, its connections, its bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread::JoinHandle;

use plimsoll_client::{Client, ClientConfig};
use plimsoll_load::{Driver, Stop, pacing_runtime};
use plimsoll_records::RowSender;
use plimsoll_units::{Clock as _, RunClock, RunNanos};
use plimsoll_workload::Feeder;

use crate::adapter::Requests;
use crate::error::RunError;
use crate::live::Live;

/// What a worker is made from.
pub(crate) struct WorkerPlan {
    pub(crate) worker: u32,
    pub(crate) driver: Driver,
    pub(crate) stop: Stop,
    pub(crate) client: ClientConfig,
    pub(crate) feeder: Feeder,
    pub(crate) rows: RowSender,
    pub(crate) live: Arc<Live>,
}

/// A running worker.
#[derive(Debug)]
pub(crate) struct Worker {
    thread: JoinHandle<Result<WorkerEnd, RunError>>,
    /// The kernel's id of the thread, 0 until it runs.
    tid: Arc<AtomicI32>,
    /// Set when the thread has failed.
    failed: Arc<AtomicBool>,
}

/// What a worker has to say when it is over.
#[derive(Debug)]
pub(crate) struct WorkerEnd {
    pub(crate) rows_deferred: u64,
    pub(crate) bodies_late: u64,
}

impl Worker {
    /// Starts the thread. It ends when the driver has stopped and no request is in flight.
    pub(crate) fn spawn(plan: WorkerPlan) -> Result<Self, RunError> {
        let (tid, failed) = (Arc::new(AtomicI32::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::Builder::new()
            .name(format!("plimsoll-load-{}", plan.worker))
            .spawn({
                let (tid, failed) = (Arc::clone(&tid), Arc::clone(&failed));
                move || {
                    tid.store(nix::unistd::gettid().as_raw(), Ordering::Relaxed);
                    let end = work(plan);
                    failed.store(end.is_err(), Ordering::Relaxed);
                    end
                }
            })
            .map_err(RunError::io("start a worker thread"))?;
        Ok(Self { thread, tid, failed })
    }

    /// CPU time that the thread has used so far, ns, and when it was read; `None` where the system
    /// does not say.
    pub(crate) fn cpu(&self, clock: RunClock) -> Option<(RunNanos, u64)> {
        let tid = self.tid.load(Ordering::Relaxed);
        let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).ok()?;
        let used = text.split_ascii_whitespace().next()?.parse().ok()?;
        Some((clock.now(), used))
    }

    /// Whether the thread has failed; [`Worker::join`] says why.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Waits for the thread.
    pub(crate) fn join(self) -> Result<WorkerEnd, RunError> {
        self.thread.join().map_err(|_| RunError::WorkerDied)?
    }
}

fn work(plan: WorkerPlan) -> Result<WorkerEnd, RunError> {
    let clock = plan.client.clock;
    let runtime = pacing_runtime().map_err(RunError::io("make a worker's runtime"))?;
    let client = Client::new(plan.client)?;
    let requests = Requests::new(plan.worker, clock, client, plan.feeder, plan.rows, plan.live);
    // The driver's own report is not needed: the lag of every start is in its row.
    runtime.block_on(async {
        let driven = plan.driver.run(&requests, &plan.stop).await;
        requests.idle().await;
        driven
    })?;
    if requests.lost_a_row() {
        return Err(RunError::WorkerDied);
    }
    // The sender goes with `requests`: dropping it hands over what it still holds.
    Ok(WorkerEnd { rows_deferred: requests.rows_deferred(), bodies_late: requests.bodies_late() })
}
