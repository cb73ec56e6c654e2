//! Network-limited: requests spend their time between client and server.

use super::super::evidence::{Fact, Hypothesis, Weighing};
use super::super::{Cause, Seen};

/// It needs requests that left late because they had to wait for a connection; or a load past saturation at
/// which the engine does not know most of the requests in flight, and then either connecting that accounts
/// for half of the time outside the engine, or connections that fail, or a link that is full. The last is
/// never known, for no row has the bytes of a request. The part of the TTFT that is neither queue nor
/// prefill tells.
pub(super) fn weigh(seen: &Seen<'_>) -> Hypothesis {
    let late = seen.late_by_connecting();
    let weighing = Weighing::of(Cause::Network);
    let weighing = if late.holds == Some(true) {
        weighing.needs(late)
    } else {
        let full = Fact::unknown("how many bytes a second the link carries, and how many it can");
        weighing
            .needs(seen.on_the_way())
            .needs_one(vec![seen.connecting(), seen.broken(), full])
            .given(seen.past())
    };
    weighing.tells(seen.rest()).weighed()
}
