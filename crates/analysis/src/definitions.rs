//! What other tools would have printed for the same requests.
//!
//! Each tool's words are a [`Definition`]: nine ways in which tools differ ([`Rules`]), its own names, and
//! what our rows cannot say. Applied to the rows of a point they give a [`Printed`]: the tool's figures,
//! each beside ours, with the reason where the two differ by more than 5 %. Nothing here is one of our
//! results; docs/definitions.md has the words side by side.
//!
//! The population is the whole run, warm-up and drain included, as it is theirs. That is the point of the
//! comparison, not an oversight.

mod aiperf;
mod because;
mod definition;
mod figure;
mod genai_bench;
mod guidellm;
mod inference_benchmarker;
mod inference_perf;
mod mlperf;
mod rates;
mod samples;
mod sglang;
mod statistic;
mod tool;
mod vllm;
mod vllm_run;
mod vllm_rust;

use plimsoll_records::{PointFile, RequestRow};

use crate::{LatencySummary, PointSummary, Slo};
pub use because::Because;
use because::Evidence;
pub use definition::{
    ClockZero, Completed, Definition, EndEvent, FirstEvent, Itl, Percentile, Population, Rules,
    TimeBase, TokenCount, Tpot,
};
pub use figure::{Figure, Latency, Measure, Missing, Printed, Stat, Unit};
pub use tool::{PeerTool, UnknownTool};
pub use vllm_run::{VllmRequest, VllmRun};

impl PeerTool {
    /// How the tool makes its figures.
    #[must_use]
    pub const fn definition(self) -> &'static Definition {
        match self {
            Self::Vllm => &vllm::DEFINITION,
            Self::VllmRust => &vllm_rust::DEFINITION,
            Self::Sglang => &sglang::DEFINITION,
            Self::Guidellm => &guidellm::DEFINITION,
            Self::Aiperf => &aiperf::DEFINITION,
            Self::InferencePerf => &inference_perf::DEFINITION,
            Self::GenaiBench => &genai_bench::DEFINITION,
            Self::InferenceBenchmarker => &inference_benchmarker::DEFINITION,
            Self::Mlperf => &mlperf::DEFINITION,
        }
    }

    /// A point as the tool would have printed it, beside our `summary` of the same rows.
    ///
    /// Population, clock zero, formulas and statistics are those of [`Self::definition`]. The order of the
    /// rows does not matter. A point without requests gives no value; one request is enough for any figure
    /// that the tool has, and its deviations are 0.
    #[must_use]
    pub fn printed(
        self,
        point: &PointFile,
        rows: &[RequestRow],
        slo: &Slo,
        summary: &PointSummary,
    ) -> Printed {
        let definition = self.definition();
        let rules = definition.rules;
        let completed = rules.completed(point, rows).count() as u64;
        let seen = rows.iter().filter(|row| rules.sees(point, row)).count() as u64;
        let invalid = rules.completed == Completed::AllOrNothing && completed < rows.len() as u64;
        let samples = Latency::ALL.map(|latency| {
            let printed = |stat: &Stat| definition.name(Measure::Latency(latency, *stat)).is_some();
            (!invalid && Stat::ALL.iter().any(printed)).then(|| rules.samples(latency, point, rows))
        });
        let mut figures: Vec<Figure> = Measure::all()
            .map(|measure| {
                let named = (definition.name)(measure);
                let seconds = match (measure, &named) {
                    (_, None) => Err(Missing::NotPrinted),
                    _ if invalid => Err(Missing::RunInvalid),
                    (Measure::Goodput, _) if slo.terms.is_empty() => Err(Missing::NoObjectives),
                    (Measure::RequestThroughput, _) => known(rules.request_rate(point, rows)),
                    (Measure::OutputThroughput, _) => known(rules.token_rate(point, rows)),
                    (Measure::Goodput, _) => known(rules.goodput(point, rows, slo)),
                    (Measure::Latency(latency, stat), _) => known(
                        Latency::ALL
                            .iter()
                            .position(|&which| which == latency)
                            .and_then(|place| samples[place].as_ref())
                            .and_then(|samples| rules.statistic(stat, samples)),
                    ),
                };
                let unit = named.as_ref().map_or(Unit::of(measure), |(_, unit)| *unit);
                Figure {
                    measure,
                    name: named.map(|(name, _)| name),
                    unit,
                    value: seconds.map(|seconds| seconds * unit.per_second()),
                    ours: ours(measure, summary).map(|seconds| seconds * unit.per_second()),
                    because: Vec::new(),
                }
            })
            .collect();
        Evidence { point, rows, slo, summary }.explain(rules, &mut figures);
        Printed {
            tool: self,
            point: point.id.clone(),
            completed,
            failed: seen - completed,
            unseen: rows.len() as u64 - seen,
            duration_s: rules.base_s(point, rows),
            figures,
        }
    }
}

fn known(value: Option<f64>) -> Result<f64, Missing> {
    value.filter(|value| value.is_finite()).ok_or(Missing::NoSamples)
}

/// Our figure, in seconds or per second. The latencies of a point where the server did not keep up are
/// not the server's, and are not known.
fn ours(measure: Measure, summary: &PointSummary) -> Option<f64> {
    let value = match measure {
        Measure::RequestThroughput => Some(summary.throughput_per_s.value),
        Measure::OutputThroughput => Some(summary.output_tokens_per_s.value),
        Measure::Goodput => summary.goodput.map(|goodput| goodput.per_s),
        Measure::Latency(..) if !summary.stability.stable => None,
        Measure::Latency(latency, stat) => {
            let of: &LatencySummary = match latency {
                Latency::Ttft => &summary.ttft,
                Latency::Tpot => &summary.tpot,
                Latency::Itl => &summary.itl,
                Latency::ChunkGap => &summary.chunk_gap,
                Latency::E2e => &summary.e2e,
            };
            let span = match stat {
                Stat::Mean => of.mean,
                Stat::Median => of.p50.value,
                Stat::P99 => of.p99.value,
                Stat::Std => None,
            };
            span.map(|span| span.as_secs_f64())
        }
    };
    value.filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests;
