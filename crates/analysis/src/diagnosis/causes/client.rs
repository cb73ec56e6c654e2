//! Client-limited: the client could not offer more, so nothing is known of the server beyond.

use super::super::evidence::{Hypothesis, Weighing};
use super::super::{Cause, Seen};

/// It needs a point that the audit voided because of the client, beyond everything that the server kept up
/// with; a valid point past saturation rules it out, for there the server was the first to give out. How
/// busy and how late the client was only tells: a busy client may still send on time. Lateness that went into
/// opening connections rules it out: that is the network's.
pub(super) fn weigh(seen: &Seen<'_>) -> Hypothesis {
    Weighing::of(Cause::Client)
        .needs(seen.client_gave_out())
        .tells(seen.client_busy())
        .tells(seen.client_late())
        .unless(seen.late_by_connecting())
        .unless(seen.overtaken())
        .weighed()
}
