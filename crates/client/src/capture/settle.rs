//! Rows that wait for their packets, and what becomes of them.
//!
//! A row is settled as soon as all the bytes that it asks about were seen. If they were not when the
//! ring has been emptied of everything that was in it a while after the row came, they never
//! will be: the ring was full when they passed. Then the row has the stamps that there are, and the
//! socket's for the rest. Rows of one connection are settled in the order in which they came.

use std::collections::VecDeque;
use std::time::Duration;

use plimsoll_records::{RequestRow, StampSource};
use plimsoll_units::{Lags, RunNanos};

use super::connections::{Connection, Connections};
use super::ring::RETIRE;
use super::segment::Ends;
use crate::measured::Measured;
use crate::position::Read;

/// How long a row waits for packets that may be on their way through the ring: five times the span
/// after which the kernel hands over what it has, of which it may need two.
pub(crate) const PATIENCE: Duration = RETIRE.saturating_mul(5);

/// What was settled, and by what.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Rows whose every stamp is that of a packet.
    pub(crate) by_packet: u64,
    /// Rows with at least one stamp that is not.
    pub(crate) fell_back: u64,
    /// Rows without a byte to stamp.
    pub(crate) without_bytes: u64,
    /// Stamps that were asked for and not there.
    pub(crate) unstamped: u64,
    /// The user's stamp of a place less the packet's.
    pub(crate) delay: Lags,
}

/// The rows that wait.
pub(crate) struct Settling<S> {
    waiting: VecDeque<Waiting>,
    sink: S,
    tally: Tally,
    /// Kept for its memory.
    reads: Vec<Read>,
}

struct Waiting {
    measured: Measured,
    /// When nothing of it can come any more.
    until: RunNanos,
}

impl<S: FnMut(RequestRow)> Settling<S> {
    /// Nothing waits; settled rows go to `sink`.
    pub(crate) fn new(sink: S) -> Self {
        Self { waiting: VecDeque::new(), sink, tally: Tally::default(), reads: Vec::new() }
    }

    /// Lets a row wait for packets that are seen by `until`.
    pub(crate) fn push(&mut self, measured: Measured, until: RunNanos) {
        self.waiting.push_back(Waiting { measured, until });
    }

    /// Whether no row waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Settles the rows that have all their packets, and those that were to wait until `seen` or
    /// before: everything captured up to `seen` is in `connections`.
    pub(crate) fn settle(&mut self, connections: &mut Connections, seen: RunNanos) {
        for _ in 0..self.waiting.len() {
            let Some(first) = self.waiting.pop_front() else { return };
            let late = first.until <= seen;
            let connection =
                Wanted::of(&first.measured).map(|wanted| (wanted.find(connections), wanted));
            match connection {
                None => {
                    self.tally.without_bytes += 1;
                    (self.sink)(first.measured.settle());
                }
                Some((Some(connection), wanted)) if late || wanted.is_met(connection) => {
                    self.by_packets(first.measured, &wanted, connection);
                }
                Some((None, _)) if late => self.fall_back(first.measured),
                Some(_) => self.waiting.push_back(first),
            }
        }
    }

    /// Settles all rows without packets.
    pub(crate) fn fall_back_all(&mut self) {
        while let Some(first) = self.waiting.pop_front() {
            self.fall_back(first.measured);
        }
    }

    /// What was settled so far.
    pub(crate) fn into_tally(self) -> Tally {
        self.tally
    }

    fn fall_back(&mut self, measured: Measured) {
        let (tally, source) = (&mut self.tally, measured.trail().source);
        let row = measured.settle_with(source, None, &mut |_| {
            tally.unstamped += 1;
            None
        });
        tally.fell_back += 1;
        (self.sink)(row);
    }

    fn by_packets(&mut self, measured: Measured, wanted: &Wanted, connection: &mut Connection) {
        // What was read had arrived, and what was answered had been sent.
        connection.incoming.give_up(wanted.incoming);
        if wanted.incoming > 0 {
            connection.outgoing.give_up(wanted.outgoing);
        }
        let trail = measured.trail();
        let reads = &mut self.reads;
        reads.clear();
        reads.extend_from_slice(&trail.reads);
        let read_up_to = reads.last().map_or(0, |read| read.end.0);

        let tally = &mut self.tally;
        let missed_before = tally.unstamped;
        let sent = connection.outgoing.at(wanted.outgoing, &mut 0);
        tally.unstamped += u64::from(wanted.outgoing > 0 && sent.is_none());
        let anything = wanted.incoming > 0 || sent.is_some();
        let best = if anything { StampSource::Packet } else { trail.source };
        let (mut read, mut hint, mut furthest) = (0, 0, 0);
        let row = measured.settle_with(best, sent, &mut |position| {
            let Some(at) = connection.incoming.at(position, &mut hint) else {
                tally.unstamped += 1;
                return None;
            };
            if position <= furthest {
                // Asked out of order, and perhaps again: looked up, and not counted.
                read = reads.partition_point(|read| read.end.0 < position);
                return Some(at.min(reads.get(read)?.user));
            }
            furthest = position;
            read += reads[read..].iter().take_while(|read| read.end.0 < position).count();
            let user = reads.get(read)?.user;
            tally.delay.record(user.since(at));
            // Nothing is read before it arrives: a stamp that says so is off by what the conversion
            // between the clocks is off.
            Some(at.min(user))
        });
        let complete = self.tally.unstamped == missed_before;
        let count = if complete { &mut self.tally.by_packet } else { &mut self.tally.fell_back };
        *count += 1;
        connection.settled(wanted.outgoing, read_up_to);
        (self.sink)(row);
    }
}

/// What a row asks the capture about.
struct Wanted {
    /// `None` when the socket could not say where it was connected.
    ends: Option<Ends>,
    /// When the client set out to connect.
    since: RunNanos,
    /// When it first read something.
    until: Option<RunNanos>,
    /// The last position of the request, 0 for none.
    outgoing: u64,
    /// The last position of the response, 0 for none.
    incoming: u64,
}

impl Wanted {
    /// `None` for a row that has nothing to ask.
    fn of(measured: &Measured) -> Option<Self> {
        let trail = measured.trail();
        let outgoing = trail.sent_end.unwrap_or(0);
        let incoming = measured.last_position().unwrap_or(0);
        let ends = trail.local.zip(trail.remote).map(|(local, remote)| Ends::new(local, remote));
        (outgoing > 0 || incoming > 0).then(|| Self {
            ends,
            since: trail.opened,
            until: trail.reads.first().map(|read| read.user),
            outgoing,
            incoming,
        })
    }

    fn find<'a>(&self, connections: &'a mut Connections) -> Option<&'a mut Connection> {
        connections.find(self.ends.as_ref()?, self.since, self.until)
    }

    fn is_met(&self, connection: &Connection) -> bool {
        connection.incoming.covered() >= self.incoming
            && connection.outgoing.covered() >= self.outgoing
    }
}

#[cfg(test)]
mod tests;
