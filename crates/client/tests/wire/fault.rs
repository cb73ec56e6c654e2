//! The script of what goes wrong on the wire, and the hand that does it.
//!
//! Faults are counted, never drawn: a script strikes the same segments of every connection in every
//! run.

use std::collections::HashMap;

use crate::segment::{Segment, Side};

/// What befalls a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// It is lost, and so are its next retransmissions: this many copies in all.
    Lost(u32),
    /// It arrives behind this many segments that were sent after it. If so many never come, it is
    /// lost.
    Overtaken(u32),
    /// It arrives twice.
    Doubled,
}

/// A mishap with its place: the `nth` segment (from 1) that carries new data of one side of a
/// connection. Retransmissions do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) from: Side,
    pub(crate) nth: u32,
    pub(crate) mishap: Mishap,
}

/// The `nth` data segment of the server.
pub(crate) const fn server(nth: u32, mishap: Mishap) -> Fault {
    Fault { from: Side::Server, nth, mishap }
}

/// The `nth` data segment of the client.
pub(crate) const fn client(nth: u32, mishap: Mishap) -> Fault {
    Fault { from: Side::Client, nth, mishap }
}

/// Applies a script to every connection that passes.
#[derive(Debug)]
pub(crate) struct Faults {
    script: Vec<Fault>,
    flows: HashMap<(u16, Side), Flow>,
    /// What was done, with the connection's port.
    pub(crate) done: Vec<(u16, Fault)>,
}

/// One direction of one connection.
#[derive(Debug, Default)]
struct Flow {
    /// Sequence number behind the newest data seen.
    end: Option<u32>,
    /// Segments with new data seen.
    count: u32,
    /// Sequence number of a lost segment, and how many more copies of it are to be lost.
    lost: Option<(u32, u32)>,
    /// A segment that waits until so many more have passed.
    held: Option<(u32, Vec<u8>)>,
}

impl Faults {
    pub(crate) fn new(script: &[Fault]) -> Self {
        Self { script: script.to_vec(), flows: HashMap::new(), done: Vec::new() }
    }

    /// What goes on now, in this order, when `frame` comes in.
    pub(crate) fn apply(&mut self, frame: Vec<u8>, segment: Option<Segment>) -> Vec<Vec<u8>> {
        let Some(segment) = segment.filter(|segment| segment.len > 0) else {
            return vec![frame];
        };
        let flow = self.flows.entry((segment.port, segment.from)).or_default();
        let is_new = flow.end.is_none_or(|end| segment.end().wrapping_sub(end).cast_signed() > 0);
        if let Some((seq, more @ 1..)) = flow.lost
            && seq == segment.seq
        {
            flow.lost = Some((seq, more - 1));
            return Vec::new();
        }
        if !is_new {
            return vec![frame];
        }
        flow.end = Some(segment.end());
        flow.count += 1;
        let is_here = |fault: &&Fault| fault.from == segment.from && fault.nth == flow.count;
        if let Some(&fault) = self.script.iter().find(is_here) {
            self.done.push((segment.port, fault));
            match fault.mishap {
                Mishap::Lost(copies) => flow.lost = Some((segment.seq, copies - 1)),
                Mishap::Overtaken(by) => flow.held = Some((by, frame)),
                Mishap::Doubled => return vec![frame.clone(), frame],
            }
            return Vec::new();
        }
        let mut on = vec![frame];
        if let Some((wait, late)) = flow.held.take() {
            if wait > 1 {
                flow.held = Some((wait - 1, late));
            } else {
                on.push(late);
            }
        }
        on
    }
}
