//! Compute-limited: the steps themselves take the time.

use super::super::evidence::{Hypothesis, Weighing};
use super::super::{Cause, Seen};

/// It needs a load past saturation; tokens that take longer than at a low load, or GPUs that are busy (which
/// at a tenth of the load they can be, too, so it comes second); and slots that are left or a queue that
/// is empty: slower tokens are what more slots cost on every batch server, and while a request waits for
/// a slot the slots are the limit that one can do something about. Clocks that were held down tell for it.
pub(super) fn weigh(seen: &Seen<'_>) -> Hypothesis {
    Weighing::of(Cause::Compute)
        .needs_one(vec![seen.slowed(), seen.gpus_busy()])
        .needs_one(vec![seen.slots_taken().not(), seen.waiting().not()])
        .hints(seen.throttled())
        .given(seen.past())
        .weighed()
}
