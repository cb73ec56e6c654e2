//! The load through the whole Plimsoll client: its driver, its runtime, its connections, its rows.

mod sink;

use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::ValueEnum;
use plimsoll_client::{
    Api, Capture, CaptureConfig, CaptureError, Client, ClientConfig, ClientError, Due, Request,
};
use plimsoll_load::{
    ClosedLoop, Driver, DriverError, Schedule, ScheduleError, Start, Stop, pacing_runtime,
};
use plimsoll_records::{RequestRow, StampSource};
use plimsoll_units::{Clock as _, Lags, RunClock, RunNanos};
use thiserror::Error;

use crate::load::{LEAD, PATIENCE};
use crate::seen::Account;
use crate::{Load, OwnDelay, Pace, Run, Seen};
use sink::{Flight, Kept};

/// Where the client takes its stamps from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Stamps {
    /// The clock, right after the read.
    User,
    /// The kernel's receive time of the bytes.
    #[default]
    Socket,
    /// The arrival of each segment, by packet capture.
    Packet,
}

impl From<Stamps> for StampSource {
    fn from(stamps: Stamps) -> Self {
        match stamps {
            Stamps::User => Self::User,
            Stamps::Socket => Self::Socket,
            Stamps::Packet => Self::Packet,
        }
    }
}

/// Why a load could not be driven.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DriveError {
    /// No client could be made.
    #[error("no client for this load")]
    Client(#[from] ClientError),
    /// Packets cannot be captured.
    #[error("no stamps by packet; `--stamps socket` needs no rights")]
    Capture(#[from] CaptureError),
    /// The driver could not run.
    #[error("the driver of this load gave up")]
    Driver(#[from] DriverError),
    /// The load cannot be dealt out to the workers.
    #[error("the load cannot be dealt out")]
    Schedule(#[from] ScheduleError),
    /// The system gave no runtime.
    #[error("no runtime for the client; the limit on open files (ulimit -n) may be too low")]
    Runtime(#[from] io::Error),
    /// Some answers never ended.
    #[error("{0} requests had not ended {PATIENCE:?} after the last start; does the server live?")]
    Unfinished(u64),
}

/// Drives `load` on this thread with the whole client; its driver wakes `spin` ahead of each start.
///
/// # Errors
/// [`DriveError`] when it cannot be driven to its end. A request that fails is counted and no error.
pub fn drive(load: &Load, stamps: Stamps, spin: Duration) -> Result<Run, DriveError> {
    let mut account = Account::open();
    let clock = RunClock::start();
    let kept = Arc::new(Mutex::new(Kept::new(load)));
    let capture = capture(load, stamps, clock, &kept)?;
    let (mut run, origin) = pacing_runtime()?.block_on(async {
        let client = Rc::new(connect(load, stamps, clock).await?);
        account.begin();
        let origin = clock.now() + LEAD;
        let stop = Stop::new();
        stop.at(origin + load.length);
        let driver = match &load.pace {
            Pace::Open(schedule) => {
                Driver::open(Schedule::clone(schedule).shard(0, 1)?, clock, origin)
            }
            Pace::Closed(streams) => Driver::closed(ClosedLoop::new(*streams), clock, origin),
        };
        let flight = Rc::new(Flight::default());
        let handle = capture.as_ref().map(Capture::handle);
        let target = |start: Start| {
            let request = request(load, start);
            let (client, flight) = (Rc::clone(&client), Rc::clone(&flight));
            let (kept, handle) = (Arc::clone(&kept), handle.clone());
            async move {
                let measured = client.measure(due(start), request).await;
                let row = match handle {
                    Some(handle) => handle.settle(measured),
                    None => Some(measured.settle()),
                };
                sink::take(&kept, row);
                flight.ended();
            }
        };
        let started = driver.spin(spin).run(&target, &stop).await?.started;
        flight.wait_for(started).await?;
        let mut run = Run::default();
        account.close(&mut run);
        run.own_delay = Some(own_delay(&client.report().read_delay));
        Ok::<_, DriveError>((run, origin))
    })?;
    if let Some(capture) = capture {
        let report = capture.finish();
        run.own_delay = Some(own_delay(&report.delay));
        run.packets_dropped = report.dropped;
    }
    run.origin_ns = monotonic(&clock, origin);
    let mut kept = sink::lock(&kept);
    kept.count(&mut run);
    run.seen = kept.rows.drain(..).map(|row| seen(&row, load, &clock)).collect();
    Ok(run)
}

/// The client for a load, with its connections opened ahead.
async fn connect(load: &Load, stamps: Stamps, clock: RunClock) -> Result<Client, DriveError> {
    let endpoint = format!("http://{}/v1", load.address).parse().expect("an address makes a URL");
    let mut config = ClientConfig::new(endpoint, Api::Chat, clock);
    config.stamps = stamps.into();
    let client = Client::new(config)?;
    client.warm_up(load.prewarm as usize).await;
    Ok(client)
}

/// The capture where stamps come by packet.
fn capture(
    load: &Load,
    stamps: Stamps,
    clock: RunClock,
    kept: &Arc<Mutex<Kept>>,
) -> Result<Option<Capture>, DriveError> {
    if stamps != Stamps::Packet {
        return Ok(None);
    }
    let kept = Arc::clone(kept);
    let config = CaptureConfig::new(vec![load.address], clock);
    Ok(Some(Capture::start(config, move |row| sink::take(&kept, Some(row)))?))
}

fn request(load: &Load, start: Start) -> Request {
    let output_tokens_planned = load.bodies.shape().tokens;
    Request { output_tokens_planned, ..Request::new(load.bodies.of(start.index)) }
}

const fn due(start: Start) -> Due {
    Due { id: start.index, worker: 0, intended: start.intended, dequeued: start.dequeued }
}

fn own_delay(lags: &Lags) -> OwnDelay {
    let ms = |lag: Option<Duration>| lag.unwrap_or_default().as_secs_f64() * 1e3;
    OwnDelay {
        p50: ms(lags.quantile(0.5)),
        p99: ms(lags.quantile(0.99)),
        max: ms(Some(lags.max())),
    }
}

/// A row in terms of the clock that the server shares.
fn seen(row: &RequestRow, load: &Load, clock: &RunClock) -> Seen {
    let at = |stamp| monotonic(clock, stamp);
    Seen {
        name: row.id % load.bodies.count(),
        intended_ns: at(row.intended),
        dequeued_ns: at(row.dequeued),
        sent_ns: at(row.sent.unwrap_or(row.dequeued)),
        tokens_ns: row.chunks.iter().map(|chunk| at(chunk.at)).collect(),
    }
}

fn monotonic(clock: &RunClock, stamp: RunNanos) -> u64 {
    // The nanoseconds since boot fit 584 years.
    clock.monotonic(stamp).as_nanos() as u64
}
