//! Requests that were sent a second time: no failure and no finding, but the reader shall know.

use crate::ladder::Ladder;
use crate::numbers::{count, list};

/// How many requests of a ladder died on a kept connection and were sent once more, at which points
/// and what that means, as a footnote without its full stop; `None` when there were none.
pub(crate) fn resent(ladder: &Ladder<'_>) -> Option<String> {
    let at: Vec<_> = ladder.rungs.iter().filter(|rung| rung.point.counts.resent > 0).collect();
    let requests: u64 = at.iter().map(|rung| rung.point.counts.resent).sum();
    let (were, latencies) = match requests {
        0 => return None,
        1 => ("was", "its latencies include"),
        _ => ("were", "their latencies include"),
    };
    let points: Vec<_> =
        at.iter().map(|rung| format!("{} at {}", rung.point.counts.resent, rung.label)).collect();
    Some(format!(
        "{} due in the measure window {were} sent a second time because the server had closed a \
         kept connection ({} {}); {latencies} the first sending",
        count(usize::try_from(requests).unwrap_or(usize::MAX), "request"),
        list(&points),
        ladder.axis.unit()
    ))
}
