//! Front-end-limited: requests wait in the server's HTTP side, before the engine knows them, or their
//! answers behind it.

use super::super::evidence::{Hypothesis, Weighing};
use super::super::{Cause, Seen};

/// It needs a load past saturation at which the engine does not know most of the requests in flight.
/// Connecting that takes the time tells against it (and for the network, which comes first on the way);
/// the part of the TTFT that is neither queue nor prefill tells for it.
pub(super) fn weigh(seen: &Seen<'_>) -> Hypothesis {
    let on_the_way = seen.on_the_way();
    let is_so = on_the_way.holds == Some(true);
    let weighing = Weighing::of(Cause::FrontEnd).needs(on_the_way);
    // Open connections say nothing for it where nobody is on the way.
    let weighing = if is_so { weighing.tells(seen.connecting().not()) } else { weighing };
    weighing.tells(seen.rest()).given(seen.past()).weighed()
}
