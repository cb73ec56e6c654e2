//! The vocabulary: in which respects tools that use one word differ.

use super::{Latency, Measure, PeerTool, Stat, Unit};

/// How one tool makes its figures of requests.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The tool.
    pub tool: PeerTool,
    /// Its rules.
    pub rules: Rules,
    /// What our rows cannot say of it, so that its own figure would be another one; empty where there
    /// is nothing.
    pub caveat: &'static str,
    /// Its own name and unit for a figure; `None` where it has no such figure.
    pub(super) name: fn(Measure) -> Option<(String, Unit)>,
}

impl Definition {
    /// The tool's words in ours: what differs from tool to tool, and how it is here.
    #[must_use]
    pub fn words(&self) -> [(&'static str, &'static str); 9] {
        let rules = &self.rules;
        let has = |latency| self.name(Measure::Latency(latency, Stat::Mean)).is_some();
        let or_none = |latency, words| if has(latency) { words } else { "none" };
        [
            ("requests", rules.population.as_str()),
            ("completed", rules.completed.as_str()),
            ("clock zero", rules.clock_zero.as_str()),
            ("first token", rules.first.as_str()),
            ("end of E2E", rules.end.as_str()),
            ("TPOT", or_none(Latency::Tpot, rules.tpot.as_str())),
            ("ITL", or_none(Latency::Itl, rules.itl.as_str())),
            ("throughput over", rules.time_base.as_str()),
            ("percentiles", rules.percentile.as_str()),
        ]
    }

    /// The tool's own name for a figure, and its unit; `None` where it has no such figure.
    #[must_use]
    pub fn name(&self, measure: Measure) -> Option<(String, Unit)> {
        (self.name)(measure)
    }
}

/// The rules by which samples become figures. Each field is one way in which tools differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Which requests there are at all.
    pub population: Population,
    /// Which of them count as completed.
    pub completed: Completed,
    /// From when on latencies count.
    pub clock_zero: ClockZero,
    /// What ends the TTFT.
    pub first: FirstEvent,
    /// What ends the E2E latency.
    pub end: EndEvent,
    /// What throughput is divided by.
    pub time_base: TimeBase,
    /// Which output tokens count.
    pub tokens: TokenCount,
    /// What it calls TPOT.
    pub tpot: Tpot,
    /// What it calls ITL.
    pub itl: Itl,
    /// Its percentiles.
    pub percentile: Percentile,
    /// Whether an answer must have two tokens to have a TTFT.
    pub ttft_needs_two: bool,
    /// Whether an answer without a TPOT meets any objective for it.
    pub single_token_is_good: bool,
}

impl Rules {
    /// Ours, as docs/definitions.md has them.
    pub const OURS: Self = Self {
        population: Population::Window,
        completed: Completed::EndedWell,
        clock_zero: ClockZero::Scheduled,
        first: FirstEvent::AnyToken,
        end: EndEvent::Done,
        time_base: TimeBase::RunStartToLastEnd,
        tokens: TokenCount::All,
        tpot: Tpot::ToLastToken,
        itl: Itl::PerToken,
        percentile: Percentile::NearestRank,
        ttft_needs_two: false,
        single_token_is_good: true,
    };
}

/// Which requests a tool's figures are of. Requests that we aborted, or never sent because a cap was
/// reached, belong to none: another tool would have waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Population {
    /// Ours: due in the measure window.
    Window,
    /// Everything that was sent, warm-up and drain included.
    Whole,
    /// Everything that ended before arrivals did; later answers are thrown away.
    EndedInTime,
}

impl Population {
    /// In a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Window => "due in the measure window",
            Self::Whole => "all of the run",
            Self::EndedInTime => "those that ended before arrivals did",
        }
    }
}

/// Which requests count as completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// Ended as the protocol says.
    EndedWell,
    /// An exchange without exception that brought at least one chunk with `choices`: a stream that was
    /// cut off after it, or ended in an error object, is one too.
    StreamWithChoice,
    /// Ended well with a token of the answer; reasoning alone is none.
    WithAnswer,
    /// Ended well, at no more than 1,000 tokens a second after the first; faster ones vanish from
    /// every count.
    AtSaneSpeed,
    /// Every one has to; one failure makes the run invalid.
    AllOrNothing,
}

impl Completed {
    /// In a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndedWell => "ended as the protocol says",
            Self::StreamWithChoice => "any stream without a broken connection",
            Self::WithAnswer => "ended well with a token of the answer",
            Self::AtSaneSpeed => "ended well, below 1,000 tokens/s",
            Self::AllOrNothing => "every one, or the run is invalid",
        }
    }
}

/// From when on latencies count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockZero {
    /// The schedule (`intended`).
    Scheduled,
    /// Right before the request is handed to the HTTP library (`dequeued`): connecting and waiting for a
    /// connection are inside, the client's own lateness is not.
    Posted,
    /// When its headers are written (`connected`): connecting is outside, too.
    HeadersWritten,
}

impl ClockZero {
    /// In a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "the schedule (intended)",
            Self::Posted => "before the POST, connecting inside (dequeued)",
            Self::HeadersWritten => "when headers are written (connected)",
        }
    }
}

/// What ends the TTFT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstEvent {
    /// The first chunk with `choices`, even an empty one that only names the role.
    AnyChoice,
    /// The first token, reasoning or answer.
    AnyToken,
    /// The first token that is no reasoning.
    AnswerToken,
}

impl FirstEvent {
    /// In a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AnyChoice => "first chunk with choices, a role chunk too",
            Self::AnyToken => "first token, reasoning too",
            Self::AnswerToken => "first token of the answer",
        }
    }
}

/// What ends the E2E latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndEvent {
    /// The last chunk with `choices` or content.
    LastChunk,
    /// The end of the response (`done`).
    Done,
}

impl EndEvent {
    /// In a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LastChunk => "last chunk with content",
            Self::Done => "end of the response",
        }
    }
}

/// What throughput is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeBase {
    /// From the start of the schedule to the end of the last request: the first gap, the ramp and the
    /// drain are inside. (Ours is the measure window.)
    RunStartToLastEnd,
    /// From the first request's clock zero to the end of the last request.
    FirstStartToLastEnd,
    /// From the first request's clock zero to the last content of a completed one.
    FirstStartToLastContent,
    /// From the clock zero of the request that ended first to the end of the one that ended last.
    CompletionOrder,
    /// From the first due request to the end of the one that was due last, which need not be the last to
    /// end; the last request is not counted.
    FirstDueToFinalEnd,
}

impl TimeBase {
    /// In a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RunStartToLastEnd => "start of the run to the last end",
            Self::FirstStartToLastEnd => "first start to the last end",
            Self::FirstStartToLastContent => "first start to the last content",
            Self::CompletionOrder => "start of the first to end, to the last end",
            Self::FirstDueToFinalEnd => "first due to the end of the one due last",
        }
    }
}

/// Which output tokens count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCount {
    /// All, by usage.
    All,
    /// Those of the answer; the share of reasoning is that of the chunks.
    Answer,
}

/// What a tool calls TPOT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tpot {
    /// (last token - first event) / (tokens - 1).
    ToLastToken,
    /// (end of the E2E latency - first event) / (tokens - 1).
    ToEnd,
    /// (last token - clock zero) / tokens, weighted by tokens: the first token's wait is inside.
    FromStart,
}

impl Tpot {
    /// In a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ToLastToken => "(last - first) / (n - 1)",
            Self::ToEnd => "(E2E - TTFT) / (n - 1)",
            Self::FromStart => "(last - clock zero) / n, weighted by n",
        }
    }
}

/// What a tool calls ITL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Itl {
    /// Ours: the gap before a chunk / its tokens, once for each of them.
    PerToken,
    /// Gaps between chunks from the first event on, whatever they carry, pooled over requests.
    ChunkGaps,
    /// A gap for each token, all but one of a chunk's tokens with 0.
    ZerosInChunks,
    /// One mean a request, (last token - first) / (tokens - 1).
    RequestMeans,
    /// The same weighted by tokens - 1.
    WeightedRequestMeans,
    /// One mean a request, and 0 for an answer in one chunk.
    RequestMeansOrZero,
}

impl Itl {
    /// In a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PerToken => "gap before a chunk / its tokens, for each",
            Self::ChunkGaps => "gaps of chunks, pooled",
            Self::ZerosInChunks => "gaps of tokens, 0 within a chunk",
            Self::RequestMeans => "one mean a request",
            Self::WeightedRequestMeans => "one mean a request, weighted by n - 1",
            Self::RequestMeansOrZero => "one mean a request, 0 for a single chunk",
        }
    }
}

/// How a tool makes a percentile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Percentile {
    /// Ours: nearest rank.
    NearestRank,
    /// Straight between neighbours, numpy's default.
    Linear,
    /// The first value at which the summed weights reach the share.
    Cumulative,
    /// The value at index floor(q n), from 0.
    Index,
}

impl Percentile {
    /// In a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NearestRank => "nearest rank",
            Self::Linear => "linear",
            Self::Cumulative => "weighted, a sample value",
            Self::Index => "the value at index floor(q n)",
        }
    }
}
