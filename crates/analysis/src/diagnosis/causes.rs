//! The hypotheses, a file each: the facts that it needs, those that rule it out, and those that only tell.
//! The weightiest fact comes first: reports show the first two.

mod client;
mod compute;
mod front_end;
mod kv_cache;
mod load;
mod network;
mod slots;
mod token_budget;

use super::evidence::Hypothesis;
use super::seen::Seen;

/// Every hypothesis, weighed by what was seen.
pub(super) fn weigh(seen: &Seen<'_>) -> Vec<Hypothesis> {
    vec![
        client::weigh(seen),
        load::weigh(seen),
        network::weigh(seen),
        front_end::weigh(seen),
        kv_cache::weigh(seen),
        slots::weigh(seen),
        token_budget::weigh(seen),
        compute::weigh(seen),
    ]
}
