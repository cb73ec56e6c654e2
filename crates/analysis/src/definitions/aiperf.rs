//! aiperf 0.13.
//!
//! - Population: every request of the profiling phase; failed ones are left out (its `adj_` percentiles,
//!   which count them as infinite, are not computed here).
//! - Clock zero: before `session.request`, so connecting is inside (our `dequeued`).
//! - TTFT: the first content, reasoning included. Request latency: the last content.
//! - It has no TPOT. Its ITL is (request latency - TTFT) / (tokens - 1), one value a request, which others call
//!   TPOT; the gap between chunks is its inter_chunk_latency, pooled over requests.
//! - Throughput: from the first request's start to the last content.
//! - Statistics: numpy (linear percentiles, ddof = 0).
//! - Goodput: good requests per second of the same time.
//!
//! Source: `src/aiperf/metrics/types/` (`ttft_metric.py`, `inter_token_latency_metric.py`,
//! `max_response_metric.py`, ...).

use super::{
    ClockZero, Completed, Definition, EndEvent, FirstEvent, Itl, Latency, Measure, PeerTool,
    Percentile, Population, Rules, Stat, TimeBase, TokenCount, Tpot, Unit,
};

pub(super) const DEFINITION: Definition = Definition {
    tool: PeerTool::Aiperf,
    rules: Rules {
        population: Population::Whole,
        completed: Completed::EndedWell,
        clock_zero: ClockZero::Posted,
        first: FirstEvent::AnyToken,
        end: EndEvent::LastChunk,
        time_base: TimeBase::FirstStartToLastContent,
        tokens: TokenCount::All,
        tpot: Tpot::ToEnd,
        itl: Itl::RequestMeans,
        percentile: Percentile::Linear,
        ttft_needs_two: false,
        single_token_is_good: false,
    },
    caveat: "it skips arrivals that it is over 10 ms late for, so that it may have offered less",
    name,
};

/// The path in its JSON export.
fn name(measure: Measure) -> Option<(String, Unit)> {
    let rate = |name: &str| Some((format!("{name}.avg"), Unit::PerSecond));
    match measure {
        Measure::RequestThroughput => rate("request_throughput"),
        Measure::OutputThroughput => rate("output_token_throughput"),
        Measure::Goodput => rate("goodput"),
        Measure::Latency(latency, stat) => {
            let latency = match latency {
                Latency::Ttft => "time_to_first_token",
                Latency::Itl => "inter_token_latency",
                Latency::ChunkGap => "inter_chunk_latency",
                Latency::E2e => "request_latency",
                Latency::Tpot => return None,
            };
            let stat = match stat {
                Stat::Mean => "avg",
                Stat::Median => "p50",
                Stat::P99 => "p99",
                Stat::Std => "std",
            };
            Some((format!("{latency}.{stat}"), Unit::Milliseconds))
        }
    }
}
