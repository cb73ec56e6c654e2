//! One figure of a tool, beside ours.

use super::{Because, PeerTool};

/// A point as a tool would have printed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Printed {
    /// The tool.
    pub tool: PeerTool,
    /// The point's id.
    pub point: String,
    /// Requests that the tool counts as completed.
    pub completed: u64,
    /// Requests that it counts as failed.
    pub failed: u64,
    /// Requests that our rows have and the tool would not, or not so: those that we aborted or shed, and
    /// those that it throws away.
    pub unseen: u64,
    /// What it divides by for throughput, seconds; `None` without a request.
    pub duration_s: Option<f64>,
    /// Its figures, in the order of [`Measure::all`].
    pub figures: Vec<Figure>,
}

/// One figure of a tool, beside ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is.
    pub measure: Measure,
    /// The tool's own name for it; `None` where it has no such figure.
    pub name: Option<String>,
    /// The unit of `value` and `ours`: the tool's own.
    pub unit: Unit,
    /// Its value, or why there is none.
    pub value: Result<f64, Missing>,
    /// Ours in the same unit; `None` where it is not known, or where the server did not keep up and the
    /// latency is not the server's.
    pub ours: Option<f64>,
    /// Why the two differ, the greatest reason first; empty where they differ by 5 % or less, or one of
    /// them is not known.
    pub because: Vec<Because>,
}

impl Figure {
    /// value / ours - 1; `None` where one is not known or ours is 0.
    #[must_use]
    pub fn difference(&self) -> Option<f64> {
        let (value, ours) = (self.value.ok()?, self.ours.filter(|&ours| ours > 0.0)?);
        Some(value / ours - 1.0)
    }
}

/// What a figure is. The words are ours where tools agree, and each tool's own where they do not: its
/// ITL stands at ITL, whatever it means by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Completed requests per second.
    RequestThroughput,
    /// Output tokens per second.
    OutputThroughput,
    /// Requests per second that met every objective.
    Goodput,
    /// A statistic of a latency.
    Latency(Latency, Stat),
}

impl Measure {
    /// Every figure, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        let latencies = Latency::ALL.into_iter();
        [Self::RequestThroughput, Self::OutputThroughput, Self::Goodput].into_iter().chain(
            latencies.flat_map(|latency| {
                Stat::ALL.into_iter().map(move |stat| Self::Latency(latency, stat))
            }),
        )
    }

    /// The key in JSON: `request_throughput`, `ttft_p99`.
    #[must_use]
    pub fn key(self) -> String {
        match self {
            Self::RequestThroughput => "request_throughput".to_owned(),
            Self::OutputThroughput => "output_throughput".to_owned(),
            Self::Goodput => "goodput".to_owned(),
            Self::Latency(latency, stat) => format!("{}_{}", latency.as_str(), stat.as_str()),
        }
    }
}

/// A latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Time to first token.
    Ttft,
    /// Time per output token.
    Tpot,
    /// Inter-token latency.
    Itl,
    /// Gap between chunks, where a tool names it apart from its ITL.
    ChunkGap,
    /// End to end.
    E2e,
}

impl Latency {
    /// Every latency, in order.
    pub const ALL: [Self; 5] = [Self::Ttft, Self::Tpot, Self::Itl, Self::ChunkGap, Self::E2e];

    /// Its key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ttft => "ttft",
            Self::Tpot => "tpot",
            Self::Itl => "itl",
            Self::ChunkGap => "chunk_gap",
            Self::E2e => "e2e",
        }
    }
}

/// A statistic of a latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// Arithmetic mean.
    Mean,
    /// 50th percentile.
    Median,
    /// 99th percentile.
    P99,
    /// Standard deviation of the population (ddof = 0). We print none.
    Std,
}

impl Stat {
    /// Every statistic, in order.
    pub const ALL: [Self; 4] = [Self::Mean, Self::Median, Self::P99, Self::Std];

    /// Its key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Median => "median",
            Self::P99 => "p99",
            Self::Std => "std",
        }
    }
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Requests or tokens per second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Nanoseconds.
    Nanoseconds,
}

impl Unit {
    /// The unit of a figure that a tool does not have.
    pub(super) const fn of(measure: Measure) -> Self {
        match measure {
            Measure::RequestThroughput | Measure::OutputThroughput | Measure::Goodput => {
                Self::PerSecond
            }
            Measure::Latency(..) => Self::Milliseconds,
        }
    }

    /// As it is written after a number.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PerSecond => "/s",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Nanoseconds => "ns",
        }
    }

    /// How many of it make a second; 1 for a rate.
    #[must_use]
    pub const fn per_second(self) -> f64 {
        match self {
            Self::PerSecond | Self::Seconds => 1.0,
            Self::Milliseconds => 1e3,
            Self::Nanoseconds => 1e9,
        }
    }
}

/// Why a tool's figure has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The tool has no such figure.
    NotPrinted,
    /// No request has a sample for it. (Some tools print 0 then.)
    NoSamples,
    /// It needs objectives, and the matrix has none.
    NoObjectives,
    /// A request did not complete, which makes the tool's whole run invalid.
    RunInvalid,
}

impl Missing {
    /// The reason in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotPrinted => "the tool has no such figure",
            Self::NoSamples => "no request has a sample",
            Self::NoObjectives => "no objective was set",
            Self::RunInvalid => "a request did not complete: the tool's run is invalid",
        }
    }
}
