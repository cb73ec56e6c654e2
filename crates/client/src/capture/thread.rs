//! The thread of a capture: empties the ring, takes rows in, settles, sleeps.

use std::io;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use plimsoll_records::RequestRow;
use plimsoll_units::{Clock, RunClock, RunNanos, Wall};

use super::CaptureReport;
use super::connections::Connections;
use super::ring::{RETIRE, Ring};
use super::segment::Segment;
use super::settle::{PATIENCE, Settling};
use crate::Measured;

/// What a handle says to the thread.
#[derive(Debug)]
pub(super) enum Message {
    /// Boxed: a channel moves what it carries several times.
    Settle(Box<Measured>),
    Stop,
}

/// How often the connections are swept.
const SWEEP: Duration = Duration::from_secs(1);

pub(super) struct Thread<S> {
    clock: RunClock,
    /// `None` once it failed.
    ring: Option<Ring>,
    inbox: Receiver<Message>,
    closed: Arc<RwLock<bool>>,
    /// When it was told to stop.
    stopped: Option<RunNanos>,
    wall: Wall,
    /// Stamps of the wall clock are not trusted before this moment.
    distrust: RunNanos,
    connections: Connections,
    settling: Settling<S>,
    swept: RunNanos,
    report: CaptureReport,
}

impl<S: FnMut(RequestRow)> Thread<S> {
    pub(super) fn new(
        clock: RunClock,
        ring: Option<Ring>,
        inbox: Receiver<Message>,
        closed: Arc<RwLock<bool>>,
        sink: S,
    ) -> Self {
        Self {
            clock,
            ring,
            inbox,
            closed,
            stopped: None,
            wall: Wall::new(clock),
            distrust: RunNanos::ZERO,
            connections: Connections::default(),
            settling: Settling::new(sink),
            swept: RunNanos::ZERO,
            report: CaptureReport::default(),
        }
    }

    /// Runs until it is told to stop and the rows of before that are settled.
    pub(super) fn run(mut self) -> CaptureReport {
        loop {
            let now = self.clock.now();
            self.segments(now);
            self.messages();
            if self.ring.is_some() {
                // Everything that was captured by `now` less the ring's own delay has been seen;
                // `PATIENCE` allows for that delay.
                self.settling.settle(&mut self.connections, now);
            } else {
                self.settling.fall_back_all();
            }
            // Whoever still hands rows in keeps nobody waiting for more than those of before.
            if self.stopped.is_some_and(|at| self.settling.is_empty() || now > at + PATIENCE) {
                break;
            }
            if now - self.swept > SWEEP {
                self.connections.sweep(now);
                self.swept = now;
            }
            self.sleep();
        }
        self.close()
    }

    /// Takes the packets that the kernel handed over.
    fn segments(&mut self, now: RunNanos) {
        let Some(ring) = &mut self.ring else { return };
        if self.wall.measure(now) {
            // What was stamped before the step and what after it cannot be told apart, for as long
            // as the ring may hold the former.
            self.report.clock_steps += 1;
            self.distrust = now + RETIRE * 2;
        }
        let trusted = now >= self.distrust;
        let (anchor, connections) = (self.wall.anchor(), &mut self.connections);
        let segments = &mut self.report.segments;
        ring.drain(|frame| {
            if let Some(segment) = Segment::parse(frame.bytes, frame.wire_len, frame.outgoing) {
                *segments += 1;
                connections.take(&segment, trusted.then(|| anchor.stamp(frame.wall_ns)), now);
            }
        });
    }

    fn messages(&mut self) {
        loop {
            match self.inbox.try_recv() {
                Ok(Message::Settle(measured)) => {
                    let until = self.clock.now() + PATIENCE;
                    self.settling.push(*measured, until);
                }
                Ok(Message::Stop) => self.stop(),
                // Every handle is gone, and the capture with them.
                Err(TryRecvError::Disconnected) => {
                    self.stop();
                    return;
                }
                Err(TryRecvError::Empty) => return,
            }
        }
    }

    fn stop(&mut self) {
        let now = self.clock.now();
        self.stopped.get_or_insert(now);
    }

    /// Until there are packets, or for so long as rows may wait to be taken in.
    fn sleep(&mut self) {
        let limit = RETIRE * 2;
        match self.ring.as_ref().map(|ring| ring.wait(limit)) {
            Some(Ok(())) => {}
            Some(Err(error)) => self.fail(&error),
            None => std::thread::sleep(limit),
        }
    }

    /// Goes on without packets.
    fn fail(&mut self, error: &io::Error) {
        tracing::warn!(%error, "packet capture failed; stamps fall back to those of the sockets");
        self.report.failure = Some(error.to_string());
        self.count_drops();
        self.ring = None;
    }

    fn count_drops(&mut self) {
        if let Some(ring) = &mut self.ring {
            match ring.dropped() {
                Ok(dropped) => self.report.dropped = dropped,
                Err(error) => tracing::warn!(%error, "the kernel did not say what it dropped"),
            }
        }
    }

    /// The last rows, and the sums.
    fn close(mut self) -> CaptureReport {
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = true;
        // From here on nobody sends; what was sent since the stop does not wait for its packets.
        while let Ok(message) = self.inbox.try_recv() {
            if let Message::Settle(measured) = message {
                self.settling.push(*measured, RunNanos::MAX);
            }
        }
        self.segments(self.clock.now());
        self.settling.settle(&mut self.connections, RunNanos::MAX);
        self.count_drops();
        let tally = self.settling.into_tally();
        CaptureReport {
            settled_by_packet: tally.by_packet,
            fell_back: tally.fell_back,
            without_bytes: tally.without_bytes,
            unstamped: tally.unstamped,
            delay: tally.delay,
            forgotten: self.connections.forgotten(),
            cpu: thread_cpu(),
            ..self.report
        }
    }
}

/// The CPU time of this thread so far.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
