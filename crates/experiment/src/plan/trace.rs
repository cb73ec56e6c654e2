//! What a plan asks of a load that replays a trace.

use std::time::Duration;

use plimsoll_units::{Rate, Span};
use plimsoll_workload::{AtEnd, Workload};

use crate::matrix::{LoadArrivals, Matrix, MatrixError, MatrixSource, Rates, WarmUp};
use crate::offered::PointLoad;

/// The rate that a trace has by itself, where the load names no other; `None` where it does, or
/// replays none.
pub(super) fn own_rate(
    source: &MatrixSource,
    matrix: &Matrix,
    workload: &Workload,
) -> Result<Option<Rate>, MatrixError> {
    if matrix.load.arrivals != LoadArrivals::Trace {
        return Ok(None);
    }
    let Some(replay) = workload.replay() else {
        return Err(source.error_at(
            "load.arrivals",
            "\"trace\" replays the instants of workload.trace, which is not there: add it, like \
             trace = { path = \"conv.csv\", format = \"azure\" }",
        ));
    };
    if matrix.load.concurrency.is_some() {
        return Err(source.error_at(
            "load.concurrency",
            "a closed loop has no instants to replay: remove concurrency, or arrivals = \"trace\"",
        ));
    }
    match matrix.load.rates {
        None if matrix.load.search.is_none() => Ok(Some(replay.rate())),
        // What a search does not go with is said there.
        None => Ok(None),
        Some(Rates::Ladder(_) | Rates::Auto) if replay.config().speed.is_some() => Err(source
            .error_at(
                "workload.trace.speed",
                "speed and load.rates both say how fast the trace is played: remove one of them",
            )),
        Some(_) => Ok(None),
    }
}

/// Refuses a trace that ends before the window of one of `loads` surely does.
pub(super) fn check_length(
    source: &MatrixSource,
    matrix: &Matrix,
    workload: &Workload,
    loads: &[PointLoad],
) -> Result<(), MatrixError> {
    let Some(replay) = workload.replay() else { return Ok(()) };
    if matrix.load.arrivals != LoadArrivals::Trace || replay.at_end() != AtEnd::End {
        return Ok(());
    }
    let window = &matrix.load.window;
    let measure = window.measure.get();
    let needed = measure
        + match window.warm_up {
            WarmUp::Fixed(span) => span.get(),
            // At the latest.
            WarmUp::Auto => measure / 2,
        };
    for load in loads {
        let PointLoad::Open(rate) = load else { continue };
        let length = replay.period(*rate);
        if length < needed {
            // Nobody needs its nanoseconds.
            let length = Duration::from_millis(length.as_millis() as u64);
            return Err(source.error_at(
                "workload.trace",
                format!(
                    "at {load} the trace is over after {}, but warm-up and measure may take {}: shorten \
                     load.window, or let it go on with at-end = \"loop\"",
                    Span::new(length),
                    Span::new(needed)
                ),
            ));
        }
    }
    Ok(())
}
