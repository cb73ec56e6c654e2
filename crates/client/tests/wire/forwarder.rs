//! The wire: carries frames from one host to the other, late by a fixed time, and keeps a log.
//!
//! The log is the ground truth of the tests. The clock is read right before and right after a frame
//! is handed to a host, whose kernel takes it in meanwhile (see `namespace`), so its arrival lies
//! between the two, however long the forwarder itself was kept from the processor.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::libc;
use plimsoll_units::{Clock, RunClock, RunNanos};

use crate::fault::{Fault, Faults};
use crate::segment::{Segment, Side};

/// How long a frame is on its way: a round trip takes twice this.
const DELAY: Duration = Duration::from_millis(1);

/// How often the forwarder looks whether it is to end.
const LOOK: Duration = Duration::from_millis(5);

/// A segment at one end of the wire, between two readings of the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    pub(crate) segment: Segment,
    pub(crate) before: RunNanos,
    pub(crate) after: RunNanos,
}

/// Everything that happened on the wire, in order.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Segments as their sender's kernel let them go, those that came to grief included. `after` is
    /// when the forwarder had it; `before` is not known, and 0.
    pub(crate) departures: Vec<Sighting>,
    /// Segments as their receiver's kernel took them.
    pub(crate) arrivals: Vec<Sighting>,
    /// What was done to which connection.
    pub(crate) mishaps: Vec<(u16, Fault)>,
}

/// The thread between the two cables.
#[derive(Debug)]
pub(crate) struct Forwarder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Log>,
}

impl Forwarder {
    /// Connects the cables of the client and of the server.
    pub(crate) fn start(client: &File, server: &File, script: &[Fault], clock: RunClock) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut wire = Wire {
            client: client.try_clone().unwrap(),
            server: server.try_clone().unwrap(),
            clock,
            faults: Faults::new(script),
            under_way: BTreeMap::new(),
            taken: 0,
            log: Log::default(),
        };
        let flag = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                wire.turn();
            }
            Log { mishaps: wire.faults.done, ..wire.log }
        });
        Self { stop, thread }
    }

    /// Cuts the wire.
    pub(crate) fn finish(self) -> Log {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

struct Wire {
    client: File,
    server: File,
    clock: RunClock,
    faults: Faults,
    /// Sender and frame, by the moment it is due and the order in which they came.
    under_way: BTreeMap<(RunNanos, u64), (Side, Vec<u8>)>,
    taken: u64,
    log: Log,
}

impl Wire {
    /// Delivers what is due, waits for what is next, takes what came.
    fn turn(&mut self) {
        let mut wait = LOOK;
        while let Some(next) = self.under_way.first_entry() {
            let (due, now) = (next.key().0, self.clock.now());
            if due > now {
                wait = wait.min(due - now);
                break;
            }
            let (from, frame) = next.remove();
            self.deliver(from, &frame);
        }
        self.wait(wait);
        self.take(Side::Client);
        self.take(Side::Server);
    }

    fn deliver(&mut self, from: Side, frame: &[u8]) {
        let mut cable = self.cable(from.other());
        let before = self.clock.now();
        let written = cable.write(frame);
        let after = self.clock.now();
        // A host that has gone takes nothing any more; whatever misses it will show in its row.
        if let (Ok(_), Some(segment)) = (written, Segment::parse(from, frame)) {
            self.log.arrivals.push(Sighting { segment, before, after });
        }
    }

    fn take(&mut self, from: Side) {
        let mut buffer = [0; 4096];
        loop {
            let read = match self.cable(from).read(&mut buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the cable of the {from:?} is broken: {error}"),
            };
            let after = self.clock.now();
            let segment = Segment::parse(from, &buffer[..read]);
            if let Some(segment) = segment {
                let before = RunNanos::ZERO;
                self.log.departures.push(Sighting { segment, before, after });
            }
            for frame in self.faults.apply(buffer[..read].to_vec(), segment) {
                self.taken += 1;
                self.under_way.insert((after + DELAY, self.taken), (from, frame));
            }
        }
    }

    fn cable(&self, side: Side) -> &File {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// Waits until a host sends something, at most as long as `wait`.
    fn wait(&self, wait: Duration) {
        let ask =
            |file: &File| libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut files = [ask(&self.client), ask(&self.server)];
        let wait = libc::timespec {
            tv_sec: wait.as_secs().cast_signed(),
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        // SAFETY: the pointers are to two live `pollfd` and a live `timespec`; no signal mask. What
        // it returns does not matter, since the files are read without blocking.
        unsafe { libc::ppoll(files.as_mut_ptr(), 2, &raw const wait, ptr::null()) };
    }
}
