//! The samples of a latency under a tool's rules, and the figures they make.

use plimsoll_records::{Outcome, PointFile, RequestRow};
use plimsoll_units::RunNanos;

use super::statistic::Samples;
use super::{
    ClockZero, Completed, EndEvent, FirstEvent, Itl, Latency, Percentile, Population, Rules, Stat,
    TokenCount, Tpot,
};
use crate::Window;

/// Fastest pace after the first token that [`Completed::AtSaneSpeed`] believes, seconds a token.
const SANE_TOKEN_S: f64 = 1e-3;

impl Rules {
    /// Whether a request belongs to the population.
    pub(super) fn sees(&self, point: &PointFile, row: &RequestRow) -> bool {
        !matches!(row.outcome, Outcome::Shed | Outcome::Aborted)
            && match self.population {
                Population::Window => Window::of(&point.phases).contains(row.intended),
                Population::Whole => true,
                Population::EndedInTime => row.done <= point.phases.arrivals_end_ns,
            }
            && (self.completed != Completed::AtSaneSpeed || !self.is_insane(row))
    }

    /// Whether a request counts as completed.
    pub(super) fn is_completed(&self, row: &RequestRow) -> bool {
        match self.completed {
            Completed::StreamWithChoice => {
                self.first_event(row).is_some()
                    && matches!(
                        row.outcome,
                        Outcome::Ok | Outcome::Truncated | Outcome::StreamError
                    )
            }
            Completed::WithAnswer => row.outcome.is_ok() && row.first_answer.is_some(),
            Completed::EndedWell | Completed::AtSaneSpeed | Completed::AllOrNothing => {
                row.outcome.is_ok()
            }
        }
    }

    /// Whether a request that ended well was too fast to be believed.
    fn is_insane(&self, row: &RequestRow) -> bool {
        row.outcome.is_ok() && self.tpot_s(row).is_some_and(|seconds| seconds < SANE_TOKEN_S)
    }

    /// When the request's clock began.
    pub(super) fn zero(&self, row: &RequestRow) -> Option<RunNanos> {
        match self.clock_zero {
            ClockZero::Scheduled => Some(row.intended),
            ClockZero::Posted => Some(row.dequeued),
            ClockZero::HeadersWritten => row.connected,
        }
    }

    /// What ends its TTFT.
    fn first_event(&self, row: &RequestRow) -> Option<RunNanos> {
        match self.first {
            FirstEvent::AnyChoice => match (row.role_chunk, row.first_token()) {
                (Some(role), Some(token)) => Some(role.min(token)),
                (one, other) => one.or(other),
            },
            FirstEvent::AnyToken => row.first_token(),
            FirstEvent::AnswerToken => row.first_answer,
        }
    }

    /// What ends its E2E latency.
    pub(super) fn end_event(&self, row: &RequestRow) -> Option<RunNanos> {
        match self.end {
            EndEvent::LastChunk => row.last_token.max(self.first_event(row)),
            EndEvent::Done => Some(row.done),
        }
    }

    /// Its output tokens.
    pub(super) fn tokens(&self, row: &RequestRow) -> f64 {
        let all = row.output_count() as f64;
        let chunks = row.chunk_token_count();
        if self.tokens == TokenCount::All || chunks == 0 {
            return all;
        }
        let answer: u64 = row
            .chunks
            .iter()
            .filter(|chunk| !chunk.reasoning)
            .map(|chunk| u64::from(chunk.tokens))
            .sum();
        (all * answer as f64 / chunks as f64).round()
    }

    /// TTFT in seconds.
    pub(super) fn ttft_s(&self, row: &RequestRow) -> Option<f64> {
        if self.ttft_needs_two && self.tokens(row) < 2.0 {
            return None;
        }
        Some((self.first_event(row)? - self.zero(row)?).as_secs_f64())
    }

    /// E2E latency in seconds.
    pub(super) fn e2e_s(&self, row: &RequestRow) -> Option<f64> {
        Some((self.end_event(row)? - self.zero(row)?).as_secs_f64())
    }

    /// TPOT in seconds.
    pub(super) fn tpot_s(&self, row: &RequestRow) -> Option<f64> {
        let tokens = self.tokens(row);
        let (span, divisor) = match self.tpot {
            Tpot::ToLastToken => (row.last_token? - self.first_event(row)?, tokens - 1.0),
            Tpot::ToEnd => (self.end_event(row)? - self.first_event(row)?, tokens - 1.0),
            Tpot::FromStart => (row.last_token? - self.zero(row)?, tokens),
        };
        (divisor > 0.0).then(|| span.as_secs_f64() / divisor)
    }

    /// The gaps of one answer that the rules call `what`, with their weights.
    fn gaps(&self, what: Itl, row: &RequestRow, into: &mut Vec<(f64, f64)>) {
        match what {
            Itl::PerToken | Itl::ChunkGaps | Itl::ZerosInChunks => {
                if what == Itl::PerToken && !row.chunks.iter().all(|chunk| chunk.counted) {
                    return;
                }
                let events = self.events(row);
                if let (Itl::ZerosInChunks, Some((_, tokens))) = (what, events.first()) {
                    into.push((0.0, tokens - 1.0));
                }
                for pair in events.windows(2) {
                    let (gap, tokens) = ((pair[1].0 - pair[0].0).as_secs_f64(), pair[1].1);
                    match what {
                        Itl::PerToken => into.push((gap / tokens, tokens)),
                        Itl::ZerosInChunks if tokens > 1.0 => {
                            into.extend([(gap, 1.0), (0.0, tokens - 1.0)]);
                        }
                        _ => into.push((gap, 1.0)),
                    }
                }
            }
            Itl::RequestMeans | Itl::WeightedRequestMeans | Itl::RequestMeansOrZero => {
                let gaps = self.tokens(row) - 1.0;
                let span = self.first_event(row).zip(row.last_token).map(|(a, b)| b - a);
                let weight = if what == Itl::WeightedRequestMeans { gaps } else { 1.0 };
                match span {
                    Some(span) if gaps > 0.0 => into.push((span.as_secs_f64() / gaps, weight)),
                    Some(_) if what == Itl::RequestMeansOrZero => into.push((0.0, 1.0)),
                    _ => {}
                }
            }
        }
    }

    /// The chunks of an answer that the rules see, with their tokens (at least 1).
    fn events(&self, row: &RequestRow) -> Vec<(RunNanos, f64)> {
        let role = row.role_chunk.filter(|_| self.first == FirstEvent::AnyChoice);
        let mut events: Vec<(RunNanos, f64)> = role.into_iter().map(|at| (at, 1.0)).collect();
        let answer_only = self.first == FirstEvent::AnswerToken;
        events.extend(
            row.chunks
                .iter()
                .filter(|chunk| !(answer_only && chunk.reasoning))
                .map(|chunk| (chunk.at, f64::from(chunk.tokens.max(1)))),
        );
        events
    }

    /// The samples of a latency in seconds, over the completed requests of the population.
    pub(super) fn samples(
        &self,
        latency: Latency,
        point: &PointFile,
        rows: &[RequestRow],
    ) -> Samples {
        let completed = rows.iter().filter(|row| self.sees(point, row) && self.is_completed(row));
        let mut values = Vec::new();
        for row in completed {
            match latency {
                Latency::Ttft => values.extend(self.ttft_s(row).map(|value| (value, 1.0))),
                Latency::E2e => values.extend(self.e2e_s(row).map(|value| (value, 1.0))),
                Latency::Tpot => {
                    let weight = if self.tpot == Tpot::FromStart { self.tokens(row) } else { 1.0 };
                    values.extend(self.tpot_s(row).map(|value| (value, weight)));
                }
                Latency::Itl => self.gaps(self.itl, row, &mut values),
                Latency::ChunkGap => self.gaps(Itl::ChunkGaps, row, &mut values),
            }
        }
        Samples::weighted(values)
    }

    /// A statistic of samples, seconds.
    pub(super) fn statistic(&self, stat: Stat, samples: &Samples) -> Option<f64> {
        let percentile = |q: f64| match self.percentile {
            Percentile::Linear => samples.linear(q),
            Percentile::NearestRank | Percentile::Cumulative => samples.cumulative(q),
            Percentile::Index => samples.index(q),
        };
        match stat {
            Stat::Mean => samples.mean(),
            Stat::Std => samples.deviation(),
            Stat::Median => percentile(0.5),
            Stat::P99 => percentile(0.99),
        }
    }
}
