//! `client-late`: what the client did late, by four kinds of evidence at a point, and what its
//! self-tests say of the machine.
//!
//! **What.** The client was late, and its figures show that instead of the server. Four kinds at a point,
//! each a finding of its own, and one about the run:
//! - *Lag*: requests left later than the schedule meant. **Warning**; **error** when over 10 ms and over a
//!   tenth of the median TTFT.
//! - *Read delay*, with `user` stamps only: what arrived lay in the kernel before the client read it.
//!   **Warning** and **error** as for lag.
//! - *Shared stamps*, with `user` and `socket` stamps: chunks that the server sent apart were read together
//!   and have one stamp. **Note** from 0.1 % of the chunks, **warning** from 0.5 %.
//! - *Poorer stamps*: responses with a poorer stamp source than the point's. **Note** over 0.1 % of the
//!   responses, **warning** over 1 %.
//! - *Self-test*: the client's own error on this machine. **Note** when a mean error is over 0.2 ms or the
//!   p99 of TTFT's over 2 ms; **warning** when a mean is over 0.5 ms, when it grew by over 0.25 ms from the
//!   test before the run to the one after it, and when requests were lost.
//!
//! **Why.** TTFT counts from the intended time, so lag is in it: beyond a tenth of it one reads the client
//! as much as the server. A stamp that is read off the clock after a read contains the wait for that read,
//! too, in TTFT and in every gap. Stamps of the kernel do not: a read delay does no harm to them as long as
//! it stays below the gap between two chunks. Beyond that the kernel has one time for several segments,
//! that of the last, and gaps of nothing stand beside one long gap. Packet stamps have a time for each;
//! with them lag is all that can be wrong.
//! **Evidence.** Lag: its p99 over max(1 ms, 1 % of the median TTFT), with the part of it that had passed
//! before the client got to the request, the p99 of the worst thread's wake-ups, and the number of new
//! connections. Read delay: its p99 over max(1 ms, the lesser of 1 % of the median TTFT and 5 % of the
//! median chunk gap). Shared stamps: chunks in larger groups of one stamp than the server's usual ones,
//! *and* a client that was late enough to have joined them, by its read delay or by its wake-ups for
//! requests: at worst for over half the median time between stamps (and 1 ms), or, where over 2 % of the
//! reads brought such groups, for over a quarter of it (and 1 ms) in 1 % of the cases. Half and quarter,
//! because of a stall into which chunks keep arriving only the time since the last of them is seen. Without
//! such a delay the server sent them together, and nothing is said. One stall of 200 ms in a point of some
//! seconds is found by this, one of 5 ms between chunks 10 ms apart joins nothing. Poorer stamps: the rows'
//! `stamp_source`, with the counts of fallbacks and of lost packets. Self-test: `ttft_error` and `tpot_error`
//! ([definitions.md](definitions.md#self-test-error-ttft_error-tpot_error)), before the run and after it.
//! **Remedy.** Free the client's cores; where the lag comes after the client got to the request,
//! connections are opened too often. Let the kernel stamp; capture packets where chunks share stamps.

// Requests that leave late are in every TTFT (`check_lag`). Bytes that are read late are in every
// latency when the clock is read after them (`check_read_delay`); a stamp of the socket forgives
// that until the next chunk arrives (`check_shared`); one of the packet capture forgives it
// always, where there is one (`check_fallback`).

mod fallback;
mod lag;
mod read_delay;
mod self_test;
mod shared;

use plimsoll_records::Severity;

pub(super) use fallback::check as check_fallback;
pub(super) use lag::check as check_lag;
pub(super) use read_delay::check as check_read_delay;
pub(super) use self_test::judge as judge_self_tests;
pub(super) use shared::check as check_shared;

/// The delay that is always allowed, ms: below it no server of this kind notices.
const ALLOWED_MS: f64 = 1.0;

/// The share of the median TTFT that is allowed.
const ALLOWED_SHARE: f64 = 0.01;

/// The share of the median TTFT that voids the point, with the delay that is needed for it, ms. TTFT
/// counts from the intended time: from here on it is the client's as much as the server's. Under 10
/// ms a delay bends the arrivals too little to touch throughput, so the warning says enough.
const VOIDS_SHARE: f64 = 0.10;
const VOIDS_MS: f64 = 10.0;

/// The delay of a request that is allowed against this median TTFT, ms.
pub(crate) fn allowed_ms(median_ttft_ms: Option<f64>) -> f64 {
    ALLOWED_MS.max(ALLOWED_SHARE * median_ttft_ms.unwrap_or(0.0))
}

/// What a delay beyond that does to the point.
fn severity(delay_ms: f64, median_ttft_ms: Option<f64>) -> Severity {
    let voids = VOIDS_MS.max(VOIDS_SHARE * median_ttft_ms.unwrap_or(0.0));
    if delay_ms > voids { Severity::Error } else { Severity::Warning }
}
