//! Slot-limited: as many requests run as may (`max-num-seqs`), and others wait.

use super::super::evidence::{Hypothesis, Weighing};
use super::super::{Cause, Seen};

/// It needs a load past saturation, slots that are all taken at some moment, and requests that wait. Memory
/// that is left tells for it; slots that are not taken throughout tell against it, but replicas that are
/// unequally full leave some empty, too.
pub(super) fn weigh(seen: &Seen<'_>) -> Hypothesis {
    Weighing::of(Cause::Slots)
        .needs(seen.slots_taken())
        .needs(seen.waiting())
        .tells(seen.slots_taken_throughout())
        .tells(seen.cache_full().not())
        .given(seen.past())
        .weighed()
}
