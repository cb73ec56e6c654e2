//! A request that is over, with the times of its response not yet looked up.
//!
//! Where they come from is a matter of what is there: a packet capture that knows when each segment
//! came, the kernel's time of each read, or the clock after it. The first needs a moment until the
//! capture has caught up, which no request may wait for: so a measured request is a value that can be
//! handed to another thread and settled there.

use std::net::SocketAddr;

use plimsoll_records::{ChunkRow, Outcome, RequestRow, StampSource};
use plimsoll_units::RunNanos;

use crate::position::{Lookup, Moment, Position, Read};

/// A request that is over; [`Measured::settle`] makes its row.
#[derive(Debug)]
pub struct Measured {
    /// The row, as far as it is known without the times of the response.
    pub(crate) row: RequestRow,
    pub(crate) marks: Marks,
    pub(crate) done: Moment,
    pub(crate) trail: Trail,
}

/// Where in the connection's bytes the marks of a response are.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    pub(crate) first_byte: Option<Position>,
    pub(crate) role_chunk: Option<Position>,
    pub(crate) first_reasoning: Option<Position>,
    pub(crate) first_answer: Option<Position>,
    pub(crate) usage: Option<Position>,
    /// In order of place.
    pub(crate) chunks: Vec<MarkedChunk>,
}

/// A chunk that carried tokens, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MarkedChunk {
    pub(crate) at: Position,
    pub(crate) tokens: u32,
    pub(crate) counted: bool,
    pub(crate) reasoning: bool,
}

/// What a request leaves behind for those who look its times up.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    /// The connection's two ends.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) remote: Option<SocketAddr>,
    /// When the connection was begun.
    pub(crate) opened: RunNanos,
    /// The place behind the request's last byte among the outgoing bytes. `None` if it never went out,
    /// or if it went out twice: the row then keeps the stamp of the first time.
    pub(crate) sent_end: Option<u64>,
    /// The reads that brought the response.
    pub(crate) reads: Vec<Read>,
    /// What a request without any response counts as.
    pub(crate) source: StampSource,
}

impl Measured {
    /// How the request ended.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.row.outcome
    }

    /// The row, by the times that the reads noted.
    #[must_use]
    pub fn settle(self) -> RequestRow {
        let source = self.trail.source;
        self.settle_with(source, None, &mut |_| None)
    }

    pub(crate) fn trail(&self) -> &Trail {
        &self.trail
    }

    /// The last place whose time the row needs.
    pub(crate) fn last_position(&self) -> Option<u64> {
        let done = if let Moment::At(place) = self.done { Some(place) } else { None };
        let chunk = self.marks.chunks.last().map(|chunk| chunk.at);
        let last = [done, chunk, self.marks.usage, self.marks.role_chunk, self.marks.first_byte];
        last.into_iter().flatten().map(|place| place.0).max()
    }

    /// The row, by the times that `stamp` has for the places it is asked for (in ascending order, but
    /// for `first_byte`, `usage` and the end), which are of the kind `best`, and by what the reads noted
    /// for the others. `sent` replaces the clock's stamp of the sending.
    pub(crate) fn settle_with(
        self,
        best: StampSource,
        sent: Option<RunNanos>,
        stamp: &mut dyn FnMut(u64) -> Option<RunNanos>,
    ) -> RequestRow {
        let Self { mut row, marks, done, trail } = self;
        let mut settler = Settler { stamp, reads: Lookup::new(&trail.reads), best, source: best };
        row.chunks = settler.chunks(&marks.chunks);
        row.last_token = row.chunks.last().map(|chunk| chunk.at);
        // The first token is a chunk: the two have one stamp.
        let of_chunk = |place: Option<Position>| {
            let at = marks.chunks.binary_search_by_key(&place?, |chunk| chunk.at).ok()?;
            row.chunks.get(at).map(|chunk| chunk.at)
        };
        row.first_reasoning = of_chunk(marks.first_reasoning);
        row.first_answer = of_chunk(marks.first_answer);
        let first = row.first_token().unwrap_or(RunNanos::MAX);
        row.role_chunk = settler.maybe(marks.role_chunk).map(|at| at.min(first));
        let role = row.role_chunk.unwrap_or(first);
        row.first_byte = settler.maybe(marks.first_byte).map(|at| at.min(role));
        row.usage = settler.maybe(marks.usage);
        row.done = match done {
            Moment::Clock(at) => at,
            Moment::At(place) => settler.maybe(Some(place)).unwrap_or(row.dequeued),
        };
        row.done = row.done.max(row.last_token.unwrap_or_default());
        row.sent = match (row.sent, sent) {
            (Some(_), Some(sent)) => Some(sent.max(row.dequeued)),
            (user, _) => user,
        };
        row.stamp_source = settler.source;
        row
    }
}

/// Looks places up and remembers the poorest source it had to use.
struct Settler<'a> {
    stamp: &'a mut dyn FnMut(u64) -> Option<RunNanos>,
    reads: Lookup<'a>,
    best: StampSource,
    source: StampSource,
}

impl Settler<'_> {
    fn at(&mut self, place: Position) -> Option<RunNanos> {
        let found = match (self.stamp)(place.0) {
            Some(at) => Some((at, self.best)),
            None => self.reads.stamp(place),
        };
        let (at, source) = found?;
        self.source = self.source.min(source);
        Some(at)
    }

    fn maybe(&mut self, place: Option<Position>) -> Option<RunNanos> {
        self.at(place?)
    }

    fn chunks(&mut self, marked: &[MarkedChunk]) -> Vec<ChunkRow> {
        let mut chunks: Vec<ChunkRow> = Vec::with_capacity(marked.len());
        for &MarkedChunk { at: place, tokens, counted, reasoning } in marked {
            let before = chunks.last_mut();
            let floor = before.as_ref().map_or(RunNanos::ZERO, |before| before.at);
            // A place that no read reached does not occur; it would have the stamp before it.
            let at = self.at(place).unwrap_or(floor).max(floor);
            let mut shared = false;
            if let Some(before) = before.filter(|before| before.at == at) {
                before.shared = true;
                shared = true;
            }
            chunks.push(ChunkRow { at, tokens, counted, reasoning, shared });
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn nanos(nanos: u64) -> RunNanos {
        RunNanos::from_nanos(nanos)
    }

    fn chunk(place: u64) -> MarkedChunk {
        MarkedChunk { at: Position(place), tokens: 1, counted: false, reasoning: false }
    }

    /// Three chunks: the first read alone, the others together; the first read has no kernel stamp.
    fn measured() -> Measured {
        let reads = vec![
            Read::new(Position(100), nanos(10 * MS), None),
            Read::new(Position(300), nanos(30 * MS), Some(nanos(20 * MS))),
        ];
        Measured {
            row: RequestRow { sent: Some(nanos(2 * MS)), ..RequestRow::default() },
            marks: Marks {
                first_byte: Some(Position(1)),
                first_answer: Some(Position(100)),
                usage: Some(Position(300)),
                chunks: vec![chunk(100), chunk(200), chunk(290)],
                ..Marks::default()
            },
            done: Moment::At(Position(300)),
            trail: Trail { reads, source: StampSource::Socket, ..Trail::default() },
        }
    }

    #[test]
    fn reads_give_their_best_stamp_and_the_row_names_the_poorest() {
        let row = measured().settle();
        let stamps: Vec<_> = row.chunks.iter().map(|chunk| (chunk.at, chunk.shared)).collect();
        let [first, later] = [nanos(10 * MS), nanos(20 * MS)];
        assert_eq!(stamps, [(first, false), (later, true), (later, true)]);
        assert_eq!((row.first_byte, row.first_answer), (Some(first), Some(first)));
        assert_eq!((row.usage, row.done, row.sent), (Some(later), later, Some(nanos(2 * MS))));
        assert_eq!(row.stamp_source, StampSource::User);
    }

    #[test]
    fn better_stamps_go_before_the_reads_and_fill_in_what_they_have() {
        // The capture knows all but the last chunk.
        let mut stamp = |place: u64| (place < 290).then(|| nanos(place * 1000));
        let sent = Some(nanos(MS));
        let row = measured().settle_with(StampSource::Packet, sent, &mut stamp);
        let stamps: Vec<_> = row.chunks.iter().map(|chunk| chunk.at).collect();
        assert_eq!(stamps, [nanos(100_000), nanos(200_000), nanos(20 * MS)]);
        assert!(row.chunks.iter().all(|chunk| !chunk.shared));
        assert_eq!((row.first_byte, row.sent), (Some(nanos(1000)), sent));
        assert_eq!(row.stamp_source, StampSource::Socket);
    }

    #[test]
    fn stamps_never_run_backwards() {
        let mut stamp = |place: u64| (place == 200).then(|| nanos(5 * MS));
        let row = measured().settle_with(StampSource::Packet, None, &mut stamp);
        assert!(row.chunks.is_sorted_by_key(|chunk| chunk.at));
        assert!(row.first_byte <= row.first_answer && row.done >= row.chunks[2].at);
    }

    #[test]
    fn a_request_without_response_has_the_source_that_was_in_effect() {
        let trail = Trail { source: StampSource::Socket, ..Trail::default() };
        let row = RequestRow { dequeued: nanos(3), ..RequestRow::default() };
        let done = Moment::Clock(nanos(7));
        let measured = Measured { row, marks: Marks::default(), done, trail };
        assert_eq!(measured.last_position(), None);
        let row = measured.settle();
        assert_eq!((row.stamp_source, row.done), (StampSource::Socket, nanos(7)));
    }
}
