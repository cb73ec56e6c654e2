//! What a plan asks of a load of conversations.

use plimsoll_workload::{Api, Workload};

use crate::matrix::{Matrix, MatrixError, MatrixSource, Rates};

/// Refuses loads under which conversations would not be what they claim.
pub(super) fn check(
    source: &MatrixSource,
    matrix: &Matrix,
    workload: &Workload,
) -> Result<(), MatrixError> {
    if !workload.has_sessions() {
        return Ok(());
    }
    let load = &matrix.load;
    let wrong = |path: &str, problem: &str| Err(source.error_at(path, problem));
    if load.concurrency.is_some() {
        return wrong(
            "load.concurrency",
            "conversations arrive in an open loop, and each is a closed one in itself: write rates, in \
             requests per second with all turns counted",
        );
    }
    if load.search.is_some() {
        return wrong(
            "load.search",
            "the windows of a search may be shorter than a conversation: write the rates, in requests per \
             second with all turns counted",
        );
    }
    if load.rates == Some(Rates::Auto) {
        return wrong(
            "load.rates",
            "the pilot of \"auto\" sends no conversations: write the rates, in requests per second with all \
             turns counted",
        );
    }
    if load.max_in_flight.is_some() {
        return wrong(
            "load.max-in-flight",
            "a cap would cut conversations off in the middle: remove it, or workload.sessions",
        );
    }
    if matrix.client.api == Api::Completions {
        return wrong(
            "client.api",
            "conversations need the chat API: write chat, or remove the key",
        );
    }
    Ok(())
}
