//! Load-limited: the server keeps up with all that it is offered, so throughput is what was offered.

use super::super::evidence::{Hypothesis, Weighing};
use super::super::{Cause, Seen};

/// It needs completions that keep up with arrivals at the highest load (in a closed loop: throughput that
/// still grows with the requests in flight). A client that gave out beyond it rules it out: then the load
/// that was meant was higher. Slots that are left and an empty queue tell for it.
pub(super) fn weigh(seen: &Seen<'_>) -> Hypothesis {
    Weighing::of(Cause::Load)
        .needs(seen.overtaken().not())
        .tells(seen.waiting().not())
        .tells(seen.slots_taken().not())
        .unless(seen.client_gave_out())
        .weighed()
}
