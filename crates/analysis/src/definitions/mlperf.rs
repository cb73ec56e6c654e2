//! MLPerf LoadGen, Server scenario with token latencies.
//!
//! - Population: every sample of the run. One that fails makes the run invalid: then there is no figure.
//! - Clock zero: the scheduled time, as ours.
//! - First token: when the system under test reports it (here our first token of any kind); latency: its
//!   completion.
//! - TPOT: (latency - first token latency) / (tokens - 1). It has no ITL.
//! - Throughput: (samples - 1) / (end of the sample that was scheduled last - start), tokens / the same.
//! - Statistics: mean, and the value at index floor(q n) of the sorted ones; no deviation. It divides whole
//!   nanoseconds, so that its means are up to 1 ns lower. An answer with one token has no TPOT here; LoadGen
//!   calls it an error. No goodput: the objectives are a gate for the whole run.
//!
//! Source: `loadgen/results.cc`, `loadgen/loadgen.cc`.

use super::{
    ClockZero, Completed, Definition, EndEvent, FirstEvent, Itl, Latency, Measure, PeerTool,
    Percentile, Population, Rules, Stat, TimeBase, TokenCount, Tpot, Unit,
};

pub(super) const DEFINITION: Definition = Definition {
    tool: PeerTool::Mlperf,
    rules: Rules {
        population: Population::Whole,
        completed: Completed::AllOrNothing,
        clock_zero: ClockZero::Scheduled,
        first: FirstEvent::AnyToken,
        end: EndEvent::Done,
        time_base: TimeBase::FirstDueToFinalEnd,
        tokens: TokenCount::All,
        tpot: Tpot::ToEnd,
        itl: Itl::ChunkGaps,
        percentile: Percentile::Index,
        ttft_needs_two: false,
        single_token_is_good: true,
    },
    caveat: "it asks for 600 s and calls shorter runs invalid",
    name,
};

/// The line of its summary, or the key of its detail log.
fn name(measure: Measure) -> Option<(String, Unit)> {
    match measure {
        Measure::RequestThroughput => {
            Some(("Completed samples per second".to_owned(), Unit::PerSecond))
        }
        Measure::OutputThroughput => {
            Some(("Completed tokens per second".to_owned(), Unit::PerSecond))
        }
        Measure::Goodput => None,
        Measure::Latency(latency, stat) => {
            let latency = match latency {
                Latency::Ttft => "first token latency (ns)",
                Latency::Tpot => "time to output token (ns)",
                Latency::E2e => "latency (ns)",
                Latency::Itl | Latency::ChunkGap => return None,
            };
            let stat = match stat {
                Stat::Mean => "Mean",
                Stat::Median => "50.00 percentile",
                Stat::P99 => "99.00 percentile",
                Stat::Std => return None,
            };
            Some((format!("{stat} {latency}"), Unit::Nanoseconds))
        }
    }
}
