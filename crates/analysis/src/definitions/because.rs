//! Why a tool's figure differs from ours: our rules become the tool's one at a time, and the steps that
//! move the figure are the reasons.

use plimsoll_records::{PointFile, RequestRow};

use super::{
    ClockZero, Figure, FirstEvent, Itl, Latency, Measure, Population, Rules, Stat, TokenCount,
};
use crate::{PointSummary, Slo, tokens};

/// From which difference on a reason is asked for, and half of which makes a step one.
const WORTH: f64 = 0.05;

/// Reasons that are named at most.
const REASONS: usize = 2;

/// One reason why a tool's figure differs from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// The server did not keep up: the tool averages a latency that grows with the run.
    Overload,
    /// The tool's requests include those of warm-up and drain.
    WholeRun,
    /// Its time includes the ramp, until the first requests end, and the drain, while the server runs
    /// empty.
    Drain,
    /// It throws answers away that came after the last arrival.
    LateAnswers,
    /// It counts other requests as completed, or only the tokens of completed ones.
    OnlyCompleted,
    /// Its clock starts when the client gets to the request, not when it was due.
    ClientLag,
    /// Its clock starts when the connection is ready.
    Connecting,
    /// It takes a chunk that only names the role for the first token.
    RoleChunk,
    /// It does not see reasoning.
    Reasoning,
    /// Its latency ends with the last token, ours with the response.
    End,
    /// Its TPOT has the wait for the first token in it, or the end of the response.
    TpotFormula,
    /// Its ITL is a gap between chunks, whatever they carry.
    ChunkGaps,
    /// Its ITL is 0 for all but one token of a chunk.
    ZerosInChunks,
    /// Its ITL is one mean a request.
    RequestMeans,
    /// Another rule for percentiles, on few samples.
    PercentileRule,
    /// It judges the objectives by its own latencies.
    Objectives,
}

impl Because {
    /// Every reason.
    pub const ALL: [Self; 16] = [
        Self::Overload,
        Self::WholeRun,
        Self::Drain,
        Self::LateAnswers,
        Self::OnlyCompleted,
        Self::ClientLag,
        Self::Connecting,
        Self::RoleChunk,
        Self::Reasoning,
        Self::End,
        Self::TpotFormula,
        Self::ChunkGaps,
        Self::ZerosInChunks,
        Self::RequestMeans,
        Self::PercentileRule,
        Self::Objectives,
    ];

    /// The reason in a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overload => "overload: grows with the run",
            Self::WholeRun => "warm-up and drain are in it",
            Self::Drain => "ramp and drain are in its time",
            Self::LateAnswers => "late answers thrown away",
            Self::OnlyCompleted => "completed requests alone",
            Self::ClientLag => "the client's lateness left out",
            Self::Connecting => "connecting left out",
            Self::RoleChunk => "a role chunk counts as first token",
            Self::Reasoning => "reasoning not seen",
            Self::End => "ends with the last token",
            Self::TpotFormula => "another formula of TPOT",
            Self::ChunkGaps => "gaps of chunks, not of tokens",
            Self::ZerosInChunks => "0 for the other tokens of a chunk",
            Self::RequestMeans => "one mean a request",
            Self::PercentileRule => "another rule for percentiles",
            Self::Objectives => "objectives on its own latencies",
        }
    }

    /// The key in JSON.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Overload => "overload",
            Self::WholeRun => "whole-run",
            Self::Drain => "drain",
            Self::LateAnswers => "late-answers",
            Self::OnlyCompleted => "only-completed",
            Self::ClientLag => "client-lag",
            Self::Connecting => "connecting",
            Self::RoleChunk => "role-chunk",
            Self::Reasoning => "reasoning",
            Self::End => "end",
            Self::TpotFormula => "tpot-formula",
            Self::ChunkGaps => "chunk-gaps",
            Self::ZerosInChunks => "zeros-in-chunks",
            Self::RequestMeans => "request-means",
            Self::PercentileRule => "percentile-rule",
            Self::Objectives => "objectives",
        }
    }
}

/// What the reasons are sought in.
pub(super) struct Evidence<'a> {
    pub(super) point: &'a PointFile,
    pub(super) rows: &'a [RequestRow],
    pub(super) slo: &'a Slo,
    pub(super) summary: &'a PointSummary,
}

impl Evidence<'_> {
    /// Fills in the reasons of figures that differ from ours by more than 5 %.
    pub(super) fn explain(&self, rules: Rules, figures: &mut [Figure]) {
        // The samples of every step are those of all four statistics of a latency.
        for latency in Latency::ALL {
            let mut steps = None;
            for figure in figures.iter_mut() {
                let Measure::Latency(which, stat) = figure.measure else { continue };
                if which != latency || figure.value.is_err() {
                    continue;
                }
                if !self.summary.stability.stable {
                    figure.because = vec![Because::Overload];
                } else if worth(figure) {
                    let steps = steps.get_or_insert_with(|| self.latency_steps(rules, latency));
                    figure.because = greatest(steps.iter().map(|(because, values)| {
                        (*because, values[Stat::ALL.iter().position(|s| *s == stat).unwrap_or(0)])
                    }));
                }
            }
        }
        for figure in figures.iter_mut().filter(|figure| worth(figure)) {
            let steps = match figure.measure {
                Measure::RequestThroughput => self.request_steps(rules),
                Measure::OutputThroughput => self.token_steps(rules),
                Measure::Goodput => self.goodput_steps(rules),
                Measure::Latency(..) => continue,
            };
            figure.because = greatest(steps.into_iter());
        }
    }

    /// The four statistics of a latency while our rules become the tool's.
    fn latency_steps(
        &self,
        rules: Rules,
        latency: Latency,
    ) -> Vec<(Option<Because>, [Option<f64>; 4])> {
        let values = |rules: &Rules| {
            let samples = rules.samples(latency, self.point, self.rows);
            Stat::ALL.map(|stat| rules.statistic(stat, &samples))
        };
        let mut steps = vec![(None, values(&Rules::OURS))];
        for (because, step) in path(rules) {
            steps.push((Some(because), values(&step)));
        }
        steps
    }

    fn request_steps(&self, rules: Rules) -> Vec<(Option<Because>, Option<f64>)> {
        let whole =
            Rules { population: Population::Whole, completed: Rules::OURS.completed, ..rules };
        vec![
            (None, Some(self.summary.throughput_per_s.value)),
            (Some(Because::Drain), whole.request_rate(self.point, self.rows)),
            (
                Some(Because::OnlyCompleted),
                Rules { completed: rules.completed, ..whole }.request_rate(self.point, self.rows),
            ),
            (Some(Because::LateAnswers), rules.request_rate(self.point, self.rows)),
        ]
    }

    fn token_steps(&self, rules: Rules) -> Vec<(Option<Because>, Option<f64>)> {
        let whole = Rules {
            population: Population::Whole,
            completed: Rules::OURS.completed,
            tokens: TokenCount::All,
            ..rules
        };
        let all: f64 = tokens::delivered(self.rows).map(|(_, tokens)| tokens).sum();
        vec![
            (None, Some(self.summary.output_tokens_per_s.value)),
            (Some(Because::Drain), whole.base_s(self.point, self.rows).map(|base| all / base)),
            (Some(Because::OnlyCompleted), whole.token_rate(self.point, self.rows)),
            (
                Some(Because::LateAnswers),
                Rules { tokens: TokenCount::All, ..rules }.token_rate(self.point, self.rows),
            ),
            (Some(Because::Reasoning), rules.token_rate(self.point, self.rows)),
        ]
    }

    fn goodput_steps(&self, rules: Rules) -> Vec<(Option<Because>, Option<f64>)> {
        let ours =
            Rules { time_base: rules.time_base, population: Population::Whole, ..Rules::OURS };
        vec![
            (None, self.summary.goodput.map(|goodput| goodput.per_s)),
            (Some(Because::Drain), ours.goodput(self.point, self.rows, self.slo)),
            (Some(Because::Objectives), rules.goodput(self.point, self.rows, self.slo)),
        ]
    }
}

/// Whether a figure differs from ours by more than 5 %.
fn worth(figure: &Figure) -> bool {
    figure.difference().is_some_and(|difference| difference.abs() > WORTH)
}

/// The steps from our rules to others, each with its name; steps that change nothing are left out.
fn path(to: Rules) -> Vec<(Because, Rules)> {
    let mut steps = Vec::new();
    let mut now = Rules::OURS;
    let mut step = |because: Because, change: &dyn Fn(&mut Rules)| {
        let before = now;
        change(&mut now);
        if now != before {
            steps.push((because, now));
        }
    };
    step(Because::WholeRun, &|now| now.population = Population::Whole);
    step(Because::LateAnswers, &|now| now.population = to.population);
    step(Because::OnlyCompleted, &|now| {
        now.completed = to.completed;
        now.ttft_needs_two = to.ttft_needs_two;
    });
    step(Because::ClientLag, &|now| {
        if to.clock_zero != ClockZero::Scheduled {
            now.clock_zero = ClockZero::Posted;
        }
    });
    step(Because::Connecting, &|now| now.clock_zero = to.clock_zero);
    let first = match to.first {
        FirstEvent::AnyChoice => Because::RoleChunk,
        FirstEvent::AnyToken | FirstEvent::AnswerToken => Because::Reasoning,
    };
    // What is counted as a first token decides what is counted at all.
    step(first, &|now| {
        now.first = to.first;
        now.tokens = to.tokens;
    });
    step(Because::End, &|now| now.end = to.end);
    step(Because::TpotFormula, &|now| now.tpot = to.tpot);
    let gaps = match to.itl {
        Itl::PerToken | Itl::ChunkGaps => Because::ChunkGaps,
        Itl::ZerosInChunks => Because::ZerosInChunks,
        Itl::RequestMeans | Itl::WeightedRequestMeans | Itl::RequestMeansOrZero => {
            Because::RequestMeans
        }
    };
    step(gaps, &|now| now.itl = to.itl);
    step(Because::PercentileRule, &|now| now.percentile = to.percentile);
    steps
}

/// The steps that moved the figure by more than half of what is worth a reason, the greatest first; if
/// none did, the one that moved it most.
fn greatest(steps: impl Iterator<Item = (Option<Because>, Option<f64>)>) -> Vec<Because> {
    let mut before: Option<f64> = None;
    let mut moved: Vec<(Because, f64)> = Vec::new();
    for (because, value) in steps {
        let Some(value) = value.filter(|value| value.is_finite()) else { continue };
        if let (Some(because), Some(before)) = (because, before) {
            let by = (value - before).abs() / before.abs().max(value.abs()).max(f64::MIN_POSITIVE);
            moved.push((because, by));
        }
        before = Some(value);
    }
    moved.retain(|(_, by)| *by > 0.0);
    moved.sort_by(|a, b| b.1.total_cmp(&a.1));
    let named = moved.iter().filter(|(_, by)| *by > WORTH / 2.0).count().clamp(1, REASONS);
    moved.into_iter().take(named).map(|(because, _)| because).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_steps_are_named() {
        let steps = |values: [f64; 4]| {
            let names = [
                None,
                Some(Because::Drain),
                Some(Because::LateAnswers),
                Some(Because::OnlyCompleted),
            ];
            greatest(names.into_iter().zip(values.map(Some)))
        };
        assert_eq!(steps([100.0, 99.0, 60.0, 60.0]), [Because::LateAnswers]);
        assert_eq!(steps([100.0, 90.0, 60.0, 60.0]), [Because::LateAnswers, Because::Drain]);
        // Three small steps that are worth one together.
        assert_eq!(steps([100.0, 98.0, 95.9, 94.5]), [Because::LateAnswers]);
        assert_eq!(steps([100.0; 4]), []);
        assert_eq!(steps([0.0, 0.0, 5.0, f64::NAN]), [Because::LateAnswers]);
    }
}
