//! guidellm 0.8.
//!
//! - Population: the group of successful requests of the whole run (it cuts warm-up and cool-down only where
//!   asked to); errored and incomplete ones are groups of their own.
//! - Clock zero: when the headers are written, so connecting is outside (our `connected`).
//! - TTFT: the first token, reasoning included. Latency: the end of the request.
//! - TPOT: (last token - clock zero) / tokens, the first token's wait included, weighted by tokens.
//!   ITL: (last - first token) / (tokens - 1), one value a request, weighted by tokens - 1.
//! - Throughput: the mean of a distribution of rates, each weighted by the time it lasted, from the start of
//!   the requests to the last one's end: that mean is count / time.
//! - Statistics: weighted; a percentile is the first sample at which the summed weights reach it; ddof = 0.
//! - Goodput: judged by its search alone, as a share that counts errored requests as misses.
//!
//! Source: `schemas/base/request_stats.py`, `schemas/base/statistics.py`, `benchmark/schemas/metrics.py`.

use super::{
    ClockZero, Completed, Definition, EndEvent, FirstEvent, Itl, Latency, Measure, PeerTool,
    Percentile, Population, Rules, Stat, TimeBase, TokenCount, Tpot, Unit,
};

pub(super) const DEFINITION: Definition = Definition {
    tool: PeerTool::Guidellm,
    rules: Rules {
        population: Population::Whole,
        completed: Completed::EndedWell,
        clock_zero: ClockZero::HeadersWritten,
        first: FirstEvent::AnyToken,
        end: EndEvent::Done,
        time_base: TimeBase::RunStartToLastEnd,
        tokens: TokenCount::All,
        tpot: Tpot::FromStart,
        itl: Itl::WeightedRequestMeans,
        percentile: Percentile::Cumulative,
        ttft_needs_two: false,
        single_token_is_good: false,
    },
    caveat: "its processes share one seed, so that it would have sent other arrivals",
    name,
};

/// The path in its JSON report, from `metrics`.
fn name(measure: Measure) -> Option<(String, Unit)> {
    let rate = |name: &str| Some((format!("{name}.successful.mean"), Unit::PerSecond));
    match measure {
        Measure::RequestThroughput => rate("requests_per_second"),
        Measure::OutputThroughput => rate("output_tokens_per_second"),
        Measure::Goodput => None,
        Measure::Latency(latency, stat) => {
            let (latency, unit) = match latency {
                Latency::Ttft => ("time_to_first_token_ms", Unit::Milliseconds),
                Latency::Tpot => ("time_per_output_token_ms", Unit::Milliseconds),
                Latency::Itl => ("inter_token_latency_ms", Unit::Milliseconds),
                Latency::E2e => ("request_latency", Unit::Seconds),
                Latency::ChunkGap => return None,
            };
            let stat = match stat {
                Stat::Mean => "mean",
                Stat::Median => "median",
                Stat::P99 => "percentiles.p99",
                Stat::Std => "std_dev",
            };
            Some((format!("{latency}.successful.{stat}"), unit))
        }
    }
}
