//! `client-late`: what the client did late, by four kinds of evidence at a point, and what its
//! self-tests say of the machine.
//!
//! Requests that leave late are in every TTFT ([`check_lag`]). Bytes that are read late are in every
//! latency when the clock is read after them ([`check_read_delay`]); a stamp of the socket forgives
//! that until the next chunk arrives ([`check_shared`]); one of the packet capture forgives it
//! always, where there is one ([`check_fallback`]).

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
fn allowed_ms(median_ttft_ms: Option<f64>) -> f64 {
    ALLOWED_MS.max(ALLOWED_SHARE * median_ttft_ms.unwrap_or(0.0))
}

/// What a delay beyond that does to the point.
fn severity(delay_ms: f64, median_ttft_ms: Option<f64>) -> Severity {
    let voids = VOIDS_MS.max(VOIDS_SHARE * median_ttft_ms.unwrap_or(0.0));
    if delay_ms > voids { Severity::Error } else { Severity::Warning }
}
