//! The connections that the capture has seen, each with its two directions.
//!
//! The ends of a connection do not name it for ever: a local port is used again. A SYN begins a new
//! *generation* of its pair of ends. A row belongs to the first generation that began after the
//! client set out to connect.
//!
//! Other programs on the machine may talk to the same server, and their connections look like the
//! client's own until a row claims one. So memory is bounded whoever they are: what ended is
//! dropped after a while, what stays idle and unclaimed too, and above [`MOST_ENTRIES`] stamps are
//! forgotten, unclaimed ones first (their rows, if any, then have the stamps of the socket).

use std::collections::HashMap;
use std::time::Duration;

use plimsoll_units::RunNanos;

use super::flow::Flow;
use super::segment::{Ends, Segment};

/// The most stamps kept, over all connections: 16 bytes each, so 256 MiB. The rows of so many chunks
/// in flight take more than that by themselves.
const MOST_ENTRIES: usize = 16 << 20;

/// How long a connection that ended is kept for rows that are still to come.
const LINGER: Duration = Duration::from_secs(30);

/// How long a connection without rows is kept while nothing happens on it.
const MOST_IDLE: Duration = Duration::from_secs(15 * 60);

/// How far the stamp of a SYN may seem to lie before the moment when the client set out to connect,
/// or after the first read: an allowance for the conversion from the wall clock, far below the time
/// after which a port is used again.
const CLOCK_SLACK: Duration = Duration::from_millis(1);

/// One generation of a pair of ends.
#[derive(Debug)]
pub(crate) struct Connection {
    /// When its first SYN was seen.
    opened: RunNanos,
    /// When anything of it was last seen, by the clock of whoever looked.
    seen: RunNanos,
    /// Whether either side ended it.
    ended: bool,
    /// Whether a row was settled with it.
    claimed: bool,
    /// What left this machine.
    pub(crate) outgoing: Flow,
    /// What arrived.
    pub(crate) incoming: Flow,
}

/// All connections of the run's servers.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// The generations of each pair of ends, in order of their beginning.
    table: HashMap<Ends, Vec<Connection>>,
    /// Stamps that were forgotten for want of room.
    forgotten: u64,
}

impl Connections {
    /// Takes a segment with its stamp (`None`: not to be trusted), at `now` by the reader's clock.
    pub(crate) fn take(&mut self, segment: &Segment, at: Option<RunNanos>, now: RunNanos) {
        if segment.syn {
            self.begin(segment, at.unwrap_or(now), now);
        }
        let Some(connection) = self.table.get_mut(&segment.ends).and_then(|all| all.last_mut())
        else {
            // It was open before the capture began: nobody knows where its numbers began.
            return;
        };
        connection.seen = now;
        connection.ended |= segment.fin || segment.rst;
        if segment.payload > 0 {
            let flow =
                if segment.outgoing { &mut connection.outgoing } else { &mut connection.incoming };
            // A SYN takes a number of its own; what it carries begins behind it.
            let first = segment.sequence.wrapping_add(u32::from(segment.syn));
            flow.take(first, segment.payload, at);
        }
    }

    /// A SYN of either side: a new generation, or the second half of the last one, or a repetition.
    fn begin(&mut self, segment: &Segment, opened: RunNanos, now: RunNanos) {
        let first = Some(segment.sequence.wrapping_add(1));
        let generations = self.table.entry(segment.ends).or_default();
        let last = generations.last_mut();
        if segment.outgoing {
            if last.is_some_and(|last| last.outgoing.first() == first) {
                return;
            }
        } else if let Some(last) = last
            && last.outgoing.first() == segment.acknowledged
        {
            if last.incoming.first().is_none() {
                last.incoming = Flow::from(segment.sequence.wrapping_add(1));
            }
            return;
        }
        // An answer to a SYN that was not seen tells both beginnings.
        let known = |first: Option<u32>| first.map_or_else(Flow::default, Flow::from);
        let (outgoing, incoming) =
            if segment.outgoing { (first, None) } else { (segment.acknowledged, first) };
        generations.push(Connection {
            opened,
            seen: now,
            ended: false,
            claimed: false,
            outgoing: known(outgoing),
            incoming: known(incoming),
        });
    }

    /// The connection between `ends` that was opened after `since` and, if it is known when it was
    /// first read from, before `until`.
    pub(crate) fn find(
        &mut self,
        ends: &Ends,
        since: RunNanos,
        until: Option<RunNanos>,
    ) -> Option<&mut Connection> {
        let since = since.saturating_sub(CLOCK_SLACK);
        let found = self.table.get_mut(ends)?.iter_mut().find(|one| one.opened >= since)?;
        until.is_none_or(|until| found.opened <= until + CLOCK_SLACK).then_some(found)
    }

    /// Drops what nobody will ask for any more, and forgets what is too much.
    pub(crate) fn sweep(&mut self, now: RunNanos) {
        self.sweep_to(now, MOST_ENTRIES);
    }

    fn sweep_to(&mut self, now: RunNanos, most: usize) {
        self.table.retain(|_, generations| {
            generations.retain(|one| {
                let idle = now - one.seen;
                !(one.ended && idle > LINGER || !one.claimed && idle > MOST_IDLE)
            });
            !generations.is_empty()
        });
        let all = self.table.values().flatten();
        let mut entries: usize = all.map(Connection::size).sum();
        for claimed in [false, true] {
            if entries <= most {
                return;
            }
            for one in self.table.values_mut().flatten().filter(|one| one.claimed == claimed) {
                let freed = one.outgoing.forget_all() + one.incoming.forget_all();
                entries -= freed;
                self.forgotten += freed as u64;
            }
        }
    }

    /// How many stamps were forgotten for want of room.
    pub(crate) const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl Connection {
    /// Forgets what the rows up to these positions were settled with.
    pub(crate) fn settled(&mut self, outgoing: u64, incoming: u64) {
        self.claimed = true;
        self.outgoing.forget(outgoing);
        self.incoming.forget(incoming);
    }

    fn size(&self) -> usize {
        self.outgoing.size() + self.incoming.size()
    }
}

#[cfg(test)]
mod tests;
