//! `python -m sglang.bench_serving`.
//!
//! - Population: every request of the run.
//! - Clock zero: before the POST (our `dequeued`), on a new TCP connection for each request: where ours was
//!   kept or opened ahead, its latencies would be longer by a handshake.
//! - TTFT: the first content or reasoning. E2E: the usage chunk or `[DONE]` (our `done`).
//! - TPOT: (latency - ttft) / (output_len - 1). ITL: gaps between chunks, pooled over requests.
//! - Throughput: completed / duration; the duration includes a request to `/server_info` at the end, which
//!   our rows do not have.
//! - Statistics: numpy (linear percentiles, ddof = 0). Failed requests are in no figure.
//!
//! Source: `python/sglang/bench_serving.py`, `calculate_metrics`.

use super::{
    ClockZero, Completed, Definition, EndEvent, FirstEvent, Itl, Latency, Measure, PeerTool,
    Percentile, Population, Rules, TimeBase, TokenCount, Tpot, Unit,
};

pub(super) const DEFINITION: Definition = Definition {
    tool: PeerTool::Sglang,
    rules: Rules {
        population: Population::Whole,
        completed: Completed::EndedWell,
        clock_zero: ClockZero::Posted,
        first: FirstEvent::AnyToken,
        end: EndEvent::Done,
        time_base: TimeBase::RunStartToLastEnd,
        tokens: TokenCount::All,
        tpot: Tpot::ToEnd,
        itl: Itl::ChunkGaps,
        percentile: Percentile::Linear,
        ttft_needs_two: false,
        single_token_is_good: true,
    },
    caveat: "it opens a connection for each request, whose handshake would be in its latencies, and asks \
             for /server_info within its duration",
    name,
};

/// The key of its JSON lines.
fn name(measure: Measure) -> Option<(String, Unit)> {
    let rate = |name: &str| Some((name.to_owned(), Unit::PerSecond));
    match measure {
        Measure::RequestThroughput => rate("request_throughput"),
        Measure::OutputThroughput => rate("output_throughput"),
        Measure::Goodput => None,
        Measure::Latency(latency, stat) => {
            let latency = match latency {
                Latency::Ttft => "ttft",
                Latency::Tpot => "tpot",
                Latency::Itl => "itl",
                Latency::E2e => "e2e_latency",
                Latency::ChunkGap => return None,
            };
            Some((format!("{}_{latency}_ms", stat.as_str()), Unit::Milliseconds))
        }
    }
}
