//! One direction of a connection: when each byte was there *in order*.
//!
//! The stamp of a byte is the moment when it and every byte before it had arrived (or, for the
//! outgoing direction, left) for the first time: before that nobody could have been given it. A
//! segment that overtook another counts from the arrival of the one it overtook; a retransmission
//! of what was there already counts for nothing.
//!
//! ```text
//! segments      [ a ]t1        [ c ]t2   [ b ]t3        [ a ]t4 (again)
//! stamps        a: t1                    b: t3, c: t3
//! ```
//! A byte is named by its *position*, the count of payload bytes up to and with it, so the first has
//! position 1. Sequence numbers wrap at 2^32; positions do not.
//!
//! A capture may itself have missed a segment, when its ring was full. Whoever knows that the bytes
//! were read all the same says so with [`Flow::give_up`]: bytes that were never seen then have no
//! stamp, and those behind the hole have the time of their own segment.

use std::collections::{BTreeMap, VecDeque};

use plimsoll_units::RunNanos;

/// The most pieces that wait behind a hole. A token stream has a handful in flight; when thousands
/// follow, the hole is one of the capture and not of the network.
const MOST_EARLY: usize = 4096;

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// The sequence number of position 1; unknown until the SYN was seen.
    first: Option<u32>,
    /// The position up to which all is there (or was given up).
    covered: u64,
    /// The latest stamp so far.
    latest: RunNanos,
    /// When `covered` reached each position, in ascending order of both.
    log: VecDeque<Mark>,
    /// The position up to which the log was thrown away.
    forgotten: u64,
    /// What arrived before its turn: from the key on, up to `end`. Pieces do not overlap.
    early: BTreeMap<u64, Piece>,
}

/// All bytes behind the mark before it, up to position `end`, were there in order at `at`.
#[derive(Clone, Copy, Debug)]
struct Mark {
    end: u64,
    /// `LOST` when nobody saw.
    at: RunNanos,
}

/// The stamp of a byte that was not seen.
const LOST: RunNanos = RunNanos::MAX;

#[derive(Clone, Copy, Debug)]
struct Piece {
    end: u64,
    at: Option<RunNanos>,
}

impl Flow {
    /// A direction whose first payload byte has the sequence number `first`.
    pub(crate) fn from(first: u32) -> Self {
        Self { first: Some(first), ..Self::default() }
    }

    /// The sequence number of the first payload byte, if known.
    pub(crate) const fn first(&self) -> Option<u32> {
        self.first
    }

    /// The position up to which all is there.
    pub(crate) const fn covered(&self) -> u64 {
        self.covered
    }

    /// How many entries the log and the waiting pieces have.
    pub(crate) fn size(&self) -> usize {
        self.log.len() + self.early.len()
    }

    /// Takes a segment: `payload` bytes from `sequence` on. `None` for a stamp that is not to be
    /// trusted: its bytes are there, and nobody knows since when.
    pub(crate) fn take(&mut self, sequence: u32, payload: u32, at: Option<RunNanos>) {
        let Some(first) = self.first else { return };
        // The low half of `covered` is all that a sequence number can be compared with; what is
        // within 2 GiB on either side of it is told right.
        let expected = first.wrapping_add(self.covered as u32);
        let ahead = i64::from(sequence.wrapping_sub(expected).cast_signed());
        let Some(end) = self.covered.checked_add_signed(ahead + i64::from(payload)) else { return };
        if end <= self.covered {
            return;
        }
        if ahead > 0 {
            self.wait(self.covered + ahead.unsigned_abs(), end, at);
            if self.early.len() > MOST_EARLY {
                self.skip_to_next();
            }
        } else {
            self.cover(end, at);
            self.absorb();
        }
    }

    /// When the byte at `position` was there in order. `None` when that is not known: not yet, not
    /// seen, or forgotten. `hint` speeds up a lookup near the one before: start with 0.
    pub(crate) fn at(&self, position: u64, hint: &mut usize) -> Option<RunNanos> {
        if position <= self.forgotten || position > self.covered {
            return None;
        }
        let holds = |index: usize| {
            let before = index.checked_sub(1).map(|index| self.log.get(index));
            let after_start = before.is_none_or(|mark| mark.is_some_and(|m| m.end < position));
            after_start && self.log.get(index).is_some_and(|mark| position <= mark.end)
        };
        if holds(*hint + 1) {
            *hint += 1;
        } else if !holds(*hint) {
            *hint = self.log.partition_point(|mark| mark.end < position);
        }
        self.log.get(*hint).map(|mark| mark.at).filter(|at| *at != LOST)
    }

    /// Declares what is missing up to `position` as lost: it was read, so it had arrived, and was not
    /// seen.
    pub(crate) fn give_up(&mut self, position: u64) {
        if self.first.is_none() {
            return;
        }
        while self.covered < position {
            let next = self.early.first_key_value().map_or(position, |(start, _)| *start);
            self.cover(next.min(position), None);
            self.absorb();
        }
    }

    /// Forgets the stamps up to `position`.
    pub(crate) fn forget(&mut self, position: u64) {
        while let Some(mark) = self.log.front()
            && mark.end <= position
        {
            self.forgotten = mark.end;
            self.log.pop_front();
        }
    }

    /// Forgets every stamp and gives the memory back. Returns how many entries that were.
    pub(crate) fn forget_all(&mut self) -> usize {
        let size = self.size();
        while !self.early.is_empty() {
            self.skip_to_next();
        }
        self.forgotten = self.covered;
        self.log = VecDeque::new();
        size
    }

    /// Gives up the hole before the first waiting piece.
    fn skip_to_next(&mut self) {
        if let Some((start, _)) = self.early.first_key_value() {
            self.give_up(*start);
        }
    }

    /// Keeps what is new in `start..end`, which lies beyond `covered`.
    fn wait(&mut self, start: u64, end: u64, at: Option<RunNanos>) {
        let mut from = start;
        while from < end {
            if let Some((_, piece)) = self.early.range(..=from).next_back()
                && piece.end > from
            {
                from = piece.end;
                continue;
            }
            let next = self.early.range(from..).next().map_or(end, |(start, _)| *start);
            let piece = Piece { end: next.min(end), at };
            self.early.insert(from, piece);
            from = piece.end;
        }
    }

    /// Takes over the waiting pieces whose turn has come.
    fn absorb(&mut self) {
        while let Some(entry) = self.early.first_entry()
            && *entry.key() <= self.covered
        {
            let piece = entry.remove();
            if piece.end > self.covered {
                self.cover(piece.end, piece.at);
            }
        }
    }

    /// All up to `end` is there.
    fn cover(&mut self, end: u64, at: Option<RunNanos>) {
        self.covered = end;
        let at = at.map_or(LOST, |at| {
            self.latest = self.latest.max(at);
            self.latest
        });
        match self.log.back_mut() {
            Some(last) if last.at == at => last.end = end,
            _ => self.log.push_back(Mark { end, at }),
        }
    }
}

#[cfg(test)]
mod tests;
