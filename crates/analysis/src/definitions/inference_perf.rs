//! inference-perf of the Kubernetes serving group.
//!
//! - Population: every request of the stage; failed ones are a block of their own.
//! - Clock zero: after the payload is built, before the POST (our `dequeued`).
//! - TTFT: the first content, of answers with two tokens or more; reasoning is not seen.
//!   Request latency: the end of the request.
//! - TPOT: (last - first token) / (tokens - 1). ITL: a gap for each token, 0 for all but one token of a chunk, pooled
//!   over requests.
//! - Tokens: its own count of the text, which is that of the answer alone; here by usage, less the
//!   share of reasoning.
//! - Throughput: successes / (last end - first start), failed requests included in the time.
//! - Statistics: mean and linear percentiles; no deviation. Goodput: good successes per second; an answer
//!   without a TPOT misses an objective for it.
//!
//! Source: `inference_perf/reportgen/base.py`, `inference_perf/apis/chat.py`.

use super::{
    ClockZero, Completed, Definition, EndEvent, FirstEvent, Itl, Latency, Measure, PeerTool,
    Percentile, Population, Rules, Stat, TimeBase, TokenCount, Tpot, Unit,
};

pub(super) const DEFINITION: Definition = Definition {
    tool: PeerTool::InferencePerf,
    rules: Rules {
        population: Population::Whole,
        completed: Completed::EndedWell,
        clock_zero: ClockZero::Posted,
        first: FirstEvent::AnswerToken,
        end: EndEvent::Done,
        time_base: TimeBase::FirstStartToLastEnd,
        tokens: TokenCount::Answer,
        tpot: Tpot::ToLastToken,
        itl: Itl::ZerosInChunks,
        percentile: Percentile::Linear,
        ttft_needs_two: true,
        single_token_is_good: false,
    },
    caveat: "it counts tokens with a tokenizer of its own",
    name,
};

/// The path in its stage report, from `successes`.
fn name(measure: Measure) -> Option<(String, Unit)> {
    let rate = |name: &str| Some((name.to_owned(), Unit::PerSecond));
    match measure {
        Measure::RequestThroughput => rate("throughput.requests_per_sec"),
        Measure::OutputThroughput => rate("throughput.output_tokens_per_sec"),
        Measure::Goodput => rate("goodput_metrics.request_goodput"),
        Measure::Latency(latency, stat) => {
            let latency = match latency {
                Latency::Ttft => "time_to_first_token",
                Latency::Tpot => "time_per_output_token",
                Latency::Itl => "inter_token_latency",
                Latency::E2e => "request_latency",
                Latency::ChunkGap => return None,
            };
            let stat = match stat {
                Stat::Mean => "mean",
                Stat::Median => "median",
                Stat::P99 => "p99",
                Stat::Std => return None,
            };
            Some((format!("latency.{latency}.{stat}"), Unit::Seconds))
        }
    }
}
