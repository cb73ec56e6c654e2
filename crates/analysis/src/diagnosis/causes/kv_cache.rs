//! KV-limited: there is no memory for another request's keys and values.

use super::super::evidence::{Hypothesis, Weighing};
use super::super::{Cause, Seen};

/// It needs a load past saturation, a cache that is full (or preemptions: who lost its place was too many)
/// and requests that wait. Slots that are taken all the time rule it out: whoever has no slot does not
/// ask for memory.
pub(super) fn weigh(seen: &Seen<'_>) -> Hypothesis {
    Weighing::of(Cause::KvCache)
        .needs(seen.cache_full())
        .needs(seen.waiting())
        .unless(seen.slots_taken_throughout())
        .given(seen.past())
        .weighed()
}
