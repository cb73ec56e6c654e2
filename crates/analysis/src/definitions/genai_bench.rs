//! genai-bench of the SGLang project.
//!
//! - Population: every request of the run (a warm-up and cool-down by share of requests only where asked
//!   for). A request that is faster than 1,000 tokens a second after its first vanishes altogether.
//! - Clock zero: before `requests.post` (our `dequeued`), on a new TCP connection for each request: where ours was
//!   kept or opened ahead, its latencies would be longer by a handshake.
//! - TTFT: the first content or reasoning. e2e_latency: the end of the response.
//! - TPOT: (e2e_latency - ttft) / (tokens - 1). It has no ITL.
//! - Throughput: completed requests, and the sum of their tokens, / the whole run.
//! - Statistics: numpy (linear percentiles, ddof = 0). Failed requests are in no figure. No goodput.
//!
//! Source: `genai_bench/metrics/aggregated_metrics_collector.py`, `request_metrics_collector.py`.

use super::{
    ClockZero, Completed, Definition, EndEvent, FirstEvent, Itl, Latency, Measure, PeerTool,
    Percentile, Population, Rules, Stat, TimeBase, TokenCount, Tpot, Unit,
};

pub(super) const DEFINITION: Definition = Definition {
    tool: PeerTool::GenaiBench,
    rules: Rules {
        population: Population::Whole,
        completed: Completed::AtSaneSpeed,
        clock_zero: ClockZero::Posted,
        first: FirstEvent::AnyToken,
        end: EndEvent::Done,
        time_base: TimeBase::RunStartToLastEnd,
        tokens: TokenCount::All,
        tpot: Tpot::ToEnd,
        itl: Itl::ChunkGaps,
        percentile: Percentile::Linear,
        ttft_needs_two: false,
        single_token_is_good: false,
    },
    caveat: "it opens a connection for each request, whose handshake would be in its latencies, and has \
             no open loop",
    name,
};

/// The path in its JSON, from `aggregated_metrics`.
fn name(measure: Measure) -> Option<(String, Unit)> {
    let rate = |name: &str| Some((name.to_owned(), Unit::PerSecond));
    match measure {
        Measure::RequestThroughput => rate("requests_per_second"),
        Measure::OutputThroughput => rate("mean_output_throughput_tokens_per_s"),
        Measure::Goodput => None,
        Measure::Latency(latency, stat) => {
            let latency = match latency {
                Latency::Ttft => "ttft",
                Latency::Tpot => "tpot",
                Latency::E2e => "e2e_latency",
                Latency::Itl | Latency::ChunkGap => return None,
            };
            let stat = match stat {
                Stat::Mean => "mean",
                Stat::Median => "p50",
                Stat::P99 => "p99",
                Stat::Std => "stddev",
            };
            Some((format!("stats.{latency}.{stat}"), Unit::Seconds))
        }
    }
}
