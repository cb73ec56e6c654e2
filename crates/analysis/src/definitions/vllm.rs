//! `vllm bench serve` 0.32, the Python client.
//!
//! - Population: every request of the run, warm-up and drain included.
//! - Clock zero: `time.perf_counter()` right before `session.post`, so connecting and waiting for a
//!   connection are in every latency (our `dequeued`).
//! - TTFT: the first chunk with `choices`, even one that only names the role. E2EL: the last such chunk.
//! - TPOT: (latency - ttft) / (output_len - 1), where output_len > 1. ITL: gaps between such chunks, pooled
//!   over requests.
//! - Throughput: completed / duration, the duration from before the schedule to the last request's end.
//! - Statistics: numpy (linear percentiles, ddof = 0).
//! - Failed requests: in no figure. Goodput: per second, a single token passes any TPOT.
//!
//! Source: `vllm/benchmarks/serve.py`, `vllm/benchmarks/lib/endpoint_request_func.py`.

use super::{
    ClockZero, Completed, Definition, EndEvent, FirstEvent, Itl, Latency, Measure, PeerTool,
    Percentile, Population, Rules, TimeBase, TokenCount, Tpot, Unit,
};

pub(super) const DEFINITION: Definition = Definition {
    tool: PeerTool::Vllm,
    rules: RULES,
    caveat: "it sends a schedule that is stretched to end on time; an empty last chunk with the finish \
             reason would end its E2EL",
    name,
};

pub(super) const RULES: Rules = Rules {
    population: Population::Whole,
    completed: Completed::StreamWithChoice,
    clock_zero: ClockZero::Posted,
    first: FirstEvent::AnyChoice,
    end: EndEvent::LastChunk,
    time_base: TimeBase::RunStartToLastEnd,
    tokens: TokenCount::All,
    tpot: Tpot::ToEnd,
    itl: Itl::ChunkGaps,
    percentile: Percentile::Linear,
    ttft_needs_two: false,
    single_token_is_good: true,
};

/// The key of its result file.
pub(super) fn name(measure: Measure) -> Option<(String, Unit)> {
    let rate = |name: &str| Some((name.to_owned(), Unit::PerSecond));
    match measure {
        Measure::RequestThroughput => rate("request_throughput"),
        Measure::OutputThroughput => rate("output_throughput"),
        Measure::Goodput => rate("request_goodput"),
        Measure::Latency(latency, stat) => {
            let latency = match latency {
                Latency::Ttft => "ttft",
                Latency::Tpot => "tpot",
                Latency::Itl => "itl",
                Latency::E2e => "e2el",
                Latency::ChunkGap => return None,
            };
            Some((format!("{}_{latency}_ms", stat.as_str()), Unit::Milliseconds))
        }
    }
}
