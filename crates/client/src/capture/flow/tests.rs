use proptest::prelude::*;

use super::*;

fn nanos(nanos: u64) -> RunNanos {
    RunNanos::from_nanos(nanos)
}

/// The definition itself, byte by byte.
struct Oracle {
    /// When each byte came first; `None` for not yet.
    came: Vec<Option<u64>>,
    lost: Vec<bool>,
}

impl Oracle {
    fn new(len: usize) -> Self {
        Self { came: vec![None; len], lost: vec![false; len] }
    }

    fn take(&mut self, start: usize, len: usize, at: u64) {
        for byte in start..start + len {
            if !self.lost[byte] {
                self.came[byte].get_or_insert(at);
            }
        }
    }

    fn give_up(&mut self, position: usize) {
        for byte in 0..position {
            self.lost[byte] |= self.came[byte].is_none();
        }
    }

    /// The stamp of the byte at `position`: the latest coming among it and all before it.
    fn at(&self, position: usize) -> Option<u64> {
        let all = || self.came[..position].iter().zip(&self.lost[..position]);
        let in_order = all().all(|(came, lost)| came.is_some() || *lost);
        let latest = all().filter_map(|(came, _)| *came).max();
        latest.filter(|_| in_order && !self.lost[position - 1])
    }
}

#[derive(Clone, Debug)]
enum Event {
    Segment { start: usize, len: usize },
    GiveUp(usize),
}

const LEN: usize = 120;

fn events() -> impl Strategy<Value = Vec<Event>> {
    let segment = (0..LEN, 1_usize..30).prop_map(|(start, len)| {
        let len = len.min(LEN - start);
        Event::Segment { start, len }
    });
    let event = prop_oneof![30 => segment, 1 => (1..LEN).prop_map(Event::GiveUp)];
    proptest::collection::vec(event, 1..60)
}

fn check(flow: &Flow, oracle: &Oracle, forgotten: u64) {
    let (mut ascending, mut descending) = (0, 0);
    for position in 1..=LEN {
        let expected = oracle.at(position).map(nanos);
        if position as u64 > forgotten {
            assert_eq!(flow.at(position as u64, &mut ascending), expected, "position {position}");
        }
        let back = LEN + 1 - position;
        if back as u64 > forgotten {
            assert_eq!(flow.at(back as u64, &mut descending), oracle.at(back).map(nanos));
        }
    }
    assert_eq!(flow.at(0, &mut 0), None);
    assert_eq!(flow.at(LEN as u64 + 1, &mut 0), None);
}

proptest! {
    /// However the stream is cut, repeated, overlapped, reordered, lost and given up, wherever its
    /// sequence numbers begin, every byte has the stamp that the definition gives it; and what is
    /// forgotten changes nothing for the rest.
    #[test]
    fn stamps_are_those_of_the_definition(
        events in events(),
        first in prop_oneof![any::<u32>(), u32::MAX - 130..=u32::MAX],
        forget in 0_u64..LEN as u64,
    ) {
        let mut flow = Flow::from(first);
        let mut oracle = Oracle::new(LEN);
        for (event, at) in events.iter().zip((100..).step_by(10)) {
            match *event {
                Event::Segment { start, len } => {
                    let sequence = first.wrapping_add(start as u32);
                    flow.take(sequence, len as u32, Some(nanos(at)));
                    oracle.take(start, len, at);
                }
                Event::GiveUp(position) => {
                    flow.give_up(position as u64);
                    oracle.give_up(position);
                }
            }
            check(&flow, &oracle, 0);
        }
        flow.forget(forget);
        check(&flow, &oracle, forget);
        prop_assert!(flow.log.front().is_none_or(|mark| mark.end > forget));
    }

    /// A stream in pieces that come in a shuffled order, some twice, is complete at the end, and its
    /// last byte has the stamp of the last new piece.
    #[test]
    fn what_came_completely_is_complete(
        lengths in proptest::collection::vec(1_u32..2000, 1..40),
        order in any::<prop::sample::Selector>(),
        first in any::<u32>(),
    ) {
        let mut pieces = Vec::new();
        let mut start = 0;
        for length in lengths {
            pieces.push((start, length));
            start += length;
        }
        let mut left: Vec<_> = pieces.iter().chain(&pieces).copied().collect();
        let mut flow = Flow::from(first);
        let (mut at, mut completed) = (0, 0);
        let mut seen = std::collections::HashSet::new();
        while !left.is_empty() {
            let index = order.select(0..left.len());
            let (start, length) = left.swap_remove(index);
            at += 1;
            if seen.insert(start) && seen.len() == pieces.len() {
                completed = at;
            }
            flow.take(first.wrapping_add(start), length, Some(nanos(at)));
        }
        prop_assert_eq!(flow.covered(), u64::from(start));
        prop_assert_eq!(flow.at(u64::from(start), &mut 0), Some(nanos(completed)));
        prop_assert!(flow.early.is_empty());
    }
}

#[test]
fn positions_go_on_where_sequence_numbers_wrap() {
    let mut flow = Flow::from(u32::MAX - 10);
    let piece = 1_u32 << 30;
    for turn in 0..20_u64 {
        let sequence = (u32::MAX - 10).wrapping_add(piece.wrapping_mul(turn as u32));
        flow.take(sequence, piece, Some(nanos(turn + 1)));
        flow.take(sequence, piece, Some(nanos(turn + 100)));
    }
    assert_eq!(flow.covered(), 20 << 30);
    assert_eq!(flow.at((19 << 30) + 1, &mut 0), Some(nanos(20)));
    assert_eq!(flow.at(19 << 30, &mut 0), Some(nanos(19)));
}

#[test]
fn an_unknown_beginning_gives_no_stamps() {
    let mut flow = Flow::default();
    flow.take(1000, 10, Some(nanos(1)));
    flow.give_up(10);
    assert_eq!((flow.covered(), flow.at(1, &mut 0)), (0, None));
}

#[test]
fn bytes_before_the_first_are_none_of_the_stream() {
    let mut flow = Flow::from(1000);
    // A probe repeats the number before the next one.
    flow.take(999, 1, Some(nanos(1)));
    assert_eq!(flow.covered(), 0);
    flow.take(999, 3, Some(nanos(2)));
    assert_eq!((flow.covered(), flow.at(2, &mut 0)), (2, Some(nanos(2))));
}

#[test]
fn an_untrusted_stamp_covers_without_a_time() {
    let mut flow = Flow::from(0);
    flow.take(0, 10, Some(nanos(5)));
    flow.take(10, 10, None);
    flow.take(20, 10, Some(nanos(7)));
    let stamps = [10, 11, 20, 21].map(|position| flow.at(position, &mut 0));
    assert_eq!(stamps, [Some(nanos(5)), None, None, Some(nanos(7))]);
}

#[test]
fn a_hole_that_nothing_fills_does_not_gather_pieces_for_ever() {
    let mut flow = Flow::from(0);
    for piece in 1..=2 * MOST_EARLY as u32 {
        flow.take(piece * 10, 10, Some(nanos(u64::from(piece))));
    }
    assert!(flow.early.len() <= MOST_EARLY);
    assert_eq!(flow.at(5, &mut 0), None);
    assert_eq!(flow.at(20, &mut 0), Some(nanos(1)));
    assert_eq!(flow.covered(), 20 * MOST_EARLY as u64 + 10);
}

#[test]
fn forgetting_all_leaves_what_comes_later() {
    let mut flow = Flow::from(0);
    flow.take(0, 10, Some(nanos(1)));
    flow.take(20, 10, Some(nanos(2)));
    assert_eq!(flow.size(), 2);
    assert_eq!(flow.forget_all(), 2);
    assert_eq!((flow.size(), flow.covered()), (0, 30));
    assert_eq!(flow.at(30, &mut 0), None);
    flow.take(30, 5, Some(nanos(9)));
    assert_eq!(flow.at(31, &mut 0), Some(nanos(9)));
}
