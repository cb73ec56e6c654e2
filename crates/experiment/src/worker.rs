//! One worker thread: its runtime, its shard, its connections, its bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use plimsoll_client::{CaptureHandle, Client, ClientConfig, ClientReport};
use plimsoll_load::{Driver, Lags, Stop, pacing_runtime};
use plimsoll_records::{RowSender, StampSource};
use plimsoll_units::{Clock as _, RunClock, RunNanos};
use plimsoll_workload::{Encoder, Feeder};

use crate::adapter::{Requests, RequestsPlan};
use crate::conversations::Conversations;
use crate::error::RunError;
use crate::live::Live;
use crate::prewarm::Reserve;

/// Longest time for opening connections ahead of a point: what is not open by then is opened when it
/// is needed.
pub(crate) const PREWARM_LIMIT: Duration = Duration::from_secs(3);

/// What a worker is made from.
pub(crate) struct WorkerPlan {
    pub(crate) worker: u32,
    /// For each replica one.
    pub(crate) clients: Vec<ClientConfig>,
    pub(crate) clock: RunClock,
    pub(crate) stamps: StampSource,
    pub(crate) feeder: Feeder,
    /// What encodes the further turns, where requests are turns of conversations.
    pub(crate) encoder: Encoder,
    pub(crate) rows: RowSender,
    pub(crate) capture: Option<CaptureHandle>,
    pub(crate) live: Arc<Live>,
    pub(crate) reserve: Reserve,
    /// Dropped when the worker has opened its connections.
    pub(crate) ready: Sender<()>,
    /// Told when to begin; a worker that is never told ends without a request.
    pub(crate) begin: Receiver<Begin>,
}

/// When a worker is to send what, and until when.
pub(crate) struct Begin {
    pub(crate) driver: Driver,
    pub(crate) stop: Stop,
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
    /// Dequeued - intended of each start.
    pub(crate) lag: Lags,
    pub(crate) client: ClientReport,
}

/// What a thread had used of the CPU, and waited for it, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuTime {
    at: RunNanos,
    running_ns: u64,
    /// Ready to run while others had the core.
    waiting_ns: u64,
}

impl CpuTime {
    /// Reads `running waiting timeslices`, the form of `/proc/self/task/TID/schedstat`.
    fn parse(schedstat: &str, at: RunNanos) -> Option<Self> {
        let mut fields = schedstat.split_ascii_whitespace().map(|field| field.parse().ok());
        Some(Self { at, running_ns: fields.next()??, waiting_ns: fields.next()?? })
    }

    /// The shares of the time since `earlier` that the thread ran and waited; `None` of no time.
    pub(crate) fn shares_since(&self, earlier: &Self) -> Option<(f64, f64)> {
        let between = (self.at > earlier.at).then(|| (self.at - earlier.at).as_nanos() as f64)?;
        let share = |now: u64, then: u64| now.saturating_sub(then) as f64 / between;
        Some((
            share(self.running_ns, earlier.running_ns),
            share(self.waiting_ns, earlier.waiting_ns),
        ))
    }
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

    /// What the thread has used of the CPU so far; `None` where the system does not say.
    pub(crate) fn cpu(&self, clock: RunClock) -> Option<CpuTime> {
        let tid = self.tid.load(Ordering::Relaxed);
        let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).ok()?;
        CpuTime::parse(&text, clock.now())
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
    let runtime = pacing_runtime().map_err(RunError::io("make a worker's runtime"))?;
    let requests = Requests::new(RequestsPlan {
        worker: plan.worker,
        clock: plan.clock,
        clients: plan.clients.into_iter().map(Client::new).collect::<Result<_, _>>()?,
        feeder: plan.feeder,
        conversations: Conversations::new(plan.encoder),
        rows: plan.rows,
        capture: plan.capture,
        stamps: plan.stamps,
        live: plan.live,
    });
    if plan.reserve.ahead > 0 {
        let opening = async {
            // Fewer than wished for are no failure: each request opens what it lacks.
            let _ = tokio::time::timeout(PREWARM_LIMIT, requests.warm_up(plan.reserve.ahead)).await;
        };
        runtime.block_on(opening);
    }
    drop(plan.ready);
    let mut lag = Lags::new();
    if let Ok(Begin { driver, stop }) = plan.begin.recv() {
        let driven = runtime.block_on(async {
            let kept = requests.keep_warm(plan.reserve.kept);
            let driven = driver.run(&requests, &stop).await;
            drop(kept);
            requests.idle().await;
            driven
        })?;
        lag = driven.lag;
    }
    if requests.lost_a_row() {
        return Err(RunError::WorkerDied);
    }
    // The sender goes with `requests`: dropping it hands over what it still holds.
    Ok(WorkerEnd {
        rows_deferred: requests.rows_deferred(),
        bodies_late: requests.bodies_late(),
        lag,
        client: requests.client_report(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_time_between_two_readings() {
        let at = RunNanos::from_nanos;
        let early = CpuTime::parse("1000 200 7\n", at(10_000)).unwrap();
        let late = CpuTime::parse("4000 700 9\n", at(20_000)).unwrap();
        assert_eq!(late.shares_since(&early), Some((0.3, 0.05)));
        assert_eq!(early.shares_since(&early), None);
        assert_eq!(CpuTime::parse("1000", at(1)), None);
        assert_eq!(CpuTime::parse("a b c", at(1)), None);
    }
}
