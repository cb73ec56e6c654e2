//! When each byte of a stream had arrived in order, by the forwarder's log, byte by byte.
//!
//! A byte has arrived in order when it and all bytes before it are there: no reader can have it
//! earlier. Of several copies the first counts.

use std::collections::HashMap;
use std::time::Duration;

use plimsoll_units::RunNanos;

use crate::forwarder::Sighting;
use crate::segment::Side;

/// When a byte had arrived in order: not before the one, not after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) before: RunNanos,
    pub(crate) after: RunNanos,
    /// How long it had waited by then for bytes before it.
    pub(crate) waited: Duration,
}

/// The moment of each byte that `from` sent on the connection of the client's `port`, as far as the
/// sightings go without a gap. The index is the byte's offset in the stream.
pub(crate) fn in_order(sightings: &[Sighting], port: u16, from: Side) -> Vec<Moment> {
    let mut first: HashMap<u32, (RunNanos, RunNanos)> = HashMap::new();
    let mut origin = None;
    for sighting in sightings {
        let segment = sighting.segment;
        if (segment.port, segment.from) != (port, from) {
            continue;
        }
        if segment.syn {
            origin = Some(segment.seq.wrapping_add(1));
            continue;
        }
        let origin = origin.expect("a connection begins with SYN");
        for byte in 0..segment.len {
            let offset = segment.seq.wrapping_sub(origin).wrapping_add(byte);
            first.entry(offset).or_insert((sighting.before, sighting.after));
        }
    }
    let mut moments = Vec::new();
    let mut so_far = (RunNanos::ZERO, RunNanos::ZERO);
    for offset in 0.. {
        let Some(own) = first.get(&offset) else { break };
        so_far = (so_far.0.max(own.0), so_far.1.max(own.1));
        let (before, after) = so_far;
        moments.push(Moment { before, after, waited: before - own.0 });
    }
    moments
}
