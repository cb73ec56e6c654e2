//! The null client: the least that anything that measures streams must do, and so the floor.
//!
//! One thread, epoll, kept connections. It writes a body, reads, stamps each read with the clock, and
//! counts the events in it. It parses neither HTTP nor JSON, looks at no status and keeps no text: what
//! a client costs more than this is the price of its being right.

mod stream;

use std::io;

use bytes::Bytes;
use plimsoll_load::Schedule;

use crate::load::{LEAD, PATIENCE};
use crate::poll::{Poll, Source};
use crate::seen::Account;
use crate::{Load, Pace, Run, Seen, monotonic_ns};
use stream::{Progress, Stream};

/// Drives a load with next to nothing.
#[derive(Debug)]
pub struct NullClient<'a> {
    load: &'a Load,
    poll: Poll,
    streams: Vec<Stream>,
    idle: Vec<u32>,
    in_flight: u64,
    run: Run,
    scratch: Box<[u8]>,
}

/// When the next request is due.
#[derive(Debug)]
enum Starts {
    /// Offsets from the origin, the next one last. Unit: ns.
    Open(Vec<u64>),
    /// When each free slot fell free.
    Closed(std::collections::VecDeque<u64>),
}

impl Starts {
    fn new(load: &Load, origin_ns: u64) -> Self {
        match &load.pace {
            Pace::Open(schedule) => {
                let due = Schedule::clone(schedule).map(|arrival| arrival.offset);
                let mut due: Vec<u64> = due
                    .take_while(|offset| *offset < load.length)
                    .map(|offset| origin_ns + offset.as_nanos() as u64)
                    .collect();
                due.reverse();
                Self::Open(due)
            }
            Pace::Closed(streams) => {
                Self::Closed(std::iter::repeat_n(origin_ns, *streams as usize).collect())
            }
        }
    }

    fn next(&self) -> Option<u64> {
        match self {
            Self::Open(due) => due.last().copied(),
            Self::Closed(free) => free.front().copied(),
        }
    }

    fn take(&mut self) {
        match self {
            Self::Open(due) => drop(due.pop()),
            Self::Closed(free) => drop(free.pop_front()),
        }
    }

    /// A request ended at `now`.
    fn ended(&mut self, now_ns: u64, stop_ns: u64) {
        if let Self::Closed(free) = self
            && now_ns < stop_ns
        {
            free.push_back(now_ns);
        }
    }
}

impl<'a> NullClient<'a> {
    /// A client of `load`.
    ///
    /// # Errors
    /// When the system gives no descriptors.
    pub fn new(load: &'a Load) -> io::Result<Self> {
        Ok(Self {
            load,
            poll: Poll::new()?,
            streams: Vec::new(),
            idle: Vec::new(),
            in_flight: 0,
            run: Run::default(),
            scratch: vec![0; 64 * 1024].into(),
        })
    }

    /// Drives the load to its end.
    ///
    /// # Errors
    /// When the server cannot be reached, or the system refuses to poll.
    pub fn run(mut self) -> io::Result<Run> {
        let mut account = Account::open();
        for _ in 0..self.load.prewarm {
            let slot = self.connect()?;
            self.idle.push(slot);
        }
        account.begin();
        let origin_ns = monotonic_ns() + LEAD.as_nanos() as u64;
        let stop_ns = origin_ns + self.load.length.as_nanos() as u64;
        let give_up_ns = stop_ns + PATIENCE.as_nanos() as u64;
        self.run.origin_ns = origin_ns;
        let mut starts = Starts::new(self.load, origin_ns);
        let (mut index, mut ready) = (0, Vec::with_capacity(1024));
        loop {
            let mut now = monotonic_ns();
            while let Some(due) = starts.next().filter(|&due| due <= now) {
                starts.take();
                self.start(index, due, now)?;
                index += 1;
                now = monotonic_ns();
            }
            let next = starts.next();
            if (next.is_none() && self.in_flight == 0) || now >= give_up_ns {
                break;
            }
            self.poll.wait(Some(next.unwrap_or(give_up_ns)), &mut ready)?;
            for source in ready.drain(..) {
                if let Source::Connection { slot, readable, writable } = source
                    && let Some(ended_ns) = self.attend(slot, readable, writable)
                {
                    starts.ended(ended_ns, stop_ns);
                }
            }
        }
        self.run.failed += self.in_flight;
        account.close(&mut self.run);
        Ok(self.run)
    }

    fn connect(&mut self) -> io::Result<u32> {
        let stream = Stream::connect(self.load.address)?;
        // Descriptors run out long before slots do.
        let slot = self.streams.len() as u32;
        self.poll.add(stream.socket(), Source::of(slot))?;
        self.streams.push(stream);
        Ok(slot)
    }

    fn start(&mut self, index: u64, intended_ns: u64, dequeued_ns: u64) -> io::Result<()> {
        let slot = match self.idle.pop() {
            Some(slot) => slot,
            None => self.connect()?,
        };
        let bodies = &self.load.bodies;
        let seen = Seen {
            name: index % bodies.count(),
            intended_ns,
            dequeued_ns,
            sent_ns: 0,
            tokens_ns: Vec::with_capacity(bodies.shape().tokens as usize + EXTRA_EVENTS),
        };
        self.in_flight += 1;
        let body: Bytes = bodies.of(index);
        let stream = &mut self.streams[slot as usize];
        if !stream.begin(seen, body)? {
            self.poll.modify(stream.socket(), Source::of(slot), true)?;
        }
        Ok(())
    }

    /// Moves a stream on; gives the instant if its request ended.
    fn attend(&mut self, slot: u32, readable: bool, writable: bool) -> Option<u64> {
        let stream = &mut self.streams[slot as usize];
        if writable && stream.write_on().is_ok_and(|done| done) {
            // A stream that cannot be polled any more is found out by the next read.
            self.poll.modify(stream.socket(), Source::of(slot), false).ok()?;
        }
        if !readable {
            return None;
        }
        match stream.read(&mut self.scratch) {
            Progress::More => None,
            Progress::Ended(seen, now_ns) => {
                self.in_flight -= 1;
                self.idle.push(slot);
                self.keep(seen);
                Some(now_ns)
            }
            Progress::Failed { in_flight } => {
                // It stays in its slot, and is never taken again.
                stream.abandon();
                self.idle.retain(|idle| *idle != slot);
                if !in_flight {
                    return None;
                }
                self.in_flight -= 1;
                self.run.failed += 1;
                Some(monotonic_ns())
            }
        }
    }

    fn keep(&mut self, mut seen: Seen) {
        let asked = self.load.bodies.shape().tokens as usize;
        let events = seen.tokens_ns.len();
        // Behind the tokens come the usage and `[DONE]`, in front of them at most a role chunk.
        let Some(lead) = events.checked_sub(asked + 2).filter(|lead| *lead <= 1) else {
            self.run.failed += 1;
            self.run.first_failure.get_or_insert_with(|| {
                format!("{events} events for {asked} tokens, usage and end")
            });
            return;
        };
        self.run.ended += 1;
        self.run.tokens += asked as u64;
        if self.run.seen.len() < self.load.keep {
            seen.tokens_ns.truncate(lead + asked);
            seen.tokens_ns.drain(..lead);
            self.run.seen.push(seen);
        }
    }
}

/// Events that are no tokens: role, usage, `[DONE]`.
const EXTRA_EVENTS: usize = 3;
