//! inference-benchmarker of Hugging Face.
//!
//! - Population: answers that came before its duration ended (here: before arrivals did); later ones are
//!   thrown away, which hides the slow half of an overload.
//! - Clock zero: before the event source is made, which connects (our `dequeued`).
//! - TTFT: the first content, after it was tokenised; reasoning is not seen, and an answer of reasoning
//!   alone has failed. E2E: `[DONE]`.
//! - ITL: (last - first content) / (tokens - 1), one mean a request, and 0 for an answer in one chunk. It has no TPOT.
//! - Tokens: its own count of each chunk; here by usage, less the share of reasoning.
//! - Throughput: from the start of the request that ended first to the end of the one that ended last.
//! - Statistics: mean and linear percentiles; no deviation. Failed requests are in no figure. No goodput.
//!
//! Source: `src/results.rs`, `src/requests.rs`.

use super::{
    ClockZero, Completed, Definition, EndEvent, FirstEvent, Itl, Latency, Measure, PeerTool,
    Percentile, Population, Rules, Stat, TimeBase, TokenCount, Tpot, Unit,
};

pub(super) const DEFINITION: Definition = Definition {
    tool: PeerTool::InferenceBenchmarker,
    rules: Rules {
        population: Population::EndedInTime,
        completed: Completed::WithAnswer,
        clock_zero: ClockZero::Posted,
        first: FirstEvent::AnswerToken,
        end: EndEvent::Done,
        time_base: TimeBase::CompletionOrder,
        tokens: TokenCount::Answer,
        tpot: Tpot::ToLastToken,
        itl: Itl::RequestMeansOrZero,
        percentile: Percentile::Linear,
        ttft_needs_two: false,
        single_token_is_good: false,
    },
    caveat: "it sends whole batches each 10 ms, stamps a chunk after tokenising it, and counts tokens with \
             a tokenizer of its own",
    name,
};

/// The name in its results.
fn name(measure: Measure) -> Option<(String, Unit)> {
    let rate = |name: &str| Some((name.to_owned(), Unit::PerSecond));
    match measure {
        Measure::RequestThroughput => rate("request_rate"),
        Measure::OutputThroughput => rate("token_throughput_secs"),
        Measure::Goodput => None,
        Measure::Latency(latency, stat) => {
            let latency = match latency {
                Latency::Ttft => "time_to_first_token_ms",
                Latency::Itl => "inter_token_latency_ms",
                Latency::E2e => "e2e_latency_ms",
                Latency::Tpot | Latency::ChunkGap => return None,
            };
            let stat = match stat {
                Stat::Mean => "avg",
                Stat::Median => "p50",
                Stat::P99 => "p99",
                Stat::Std => return None,
            };
            Some((format!("{latency}.{stat}"), Unit::Milliseconds))
        }
    }
}
