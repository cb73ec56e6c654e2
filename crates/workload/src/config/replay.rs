//! What a person writes about a whole trace: `[workload] trace`.

use std::path::PathBuf;

use plimsoll_units::Span;
use serde::{Deserialize, Serialize};

use crate::config::in_range;
use crate::error::ReplayProblem;

/// A recorded trace of requests, of which each brings its own lengths and its own instant.
///
/// The lengths replace `input-tokens` and `output-tokens`; the instants are used where the load
/// asks for them (`load.arrivals = "trace"`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReplayConfig {
    /// The file.
    pub path: PathBuf,
    /// How it is written.
    pub format: ReplayFormat,
    /// The column of the instants; for [`ReplayFormat::Csv`] alone, which needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// What the instants are counted in; for [`ReplayFormat::Csv`] alone, which needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_unit: Option<TimeUnit>,
    /// The column of the prompt's tokens; for [`ReplayFormat::Csv`] alone, which needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The column of the answer's tokens; for [`ReplayFormat::Csv`] alone, which needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Where the part that is used begins, from the first request of the trace on. The beginning
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Span>,
    /// How long that part is. Up to the end when absent: then one mean gap is reckoned behind the
    /// last request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<Span>,
    /// How many times faster than recorded it is played; 1 when absent. Rates of the load say the
    /// same thing in another way and exclude it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// Over how long the requests of one stamp are spread, by chance and in their order: for traces
    /// whose stamps are rounded. Not at all when absent. In the trace's own time, before `speed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Span>,
    /// What comes when the part is over.
    #[serde(default)]
    pub at_end: AtEnd,
    /// Longer prompts become this long, and are counted. No limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_input: Option<u32>,
    /// Longer answers become this long, and are counted. No limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u32>,
}

/// How a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ReplayFormat {
    /// Azure's LLM inference traces: `TIMESTAMP,ContextTokens,GeneratedTokens`.
    Azure,
    /// `BurstGPT`: `Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type`.
    Burstgpt,
    /// Mooncake: a JSON object a line, with the blocks of its prompt's prefix.
    Mooncake,
    /// As written from `ServeGen`: `t_s,client,input_tokens,output_tokens`.
    Servegen,
    /// Any CSV file whose columns the configuration names.
    Csv,
}

impl ReplayFormat {
    /// The name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Azure => "azure",
            Self::Burstgpt => "burstgpt",
            Self::Mooncake => "mooncake",
            Self::Servegen => "servegen",
            Self::Csv => "csv",
        }
    }
}

/// What the instants of a plain CSV file are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TimeUnit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
    /// Minutes.
    Min,
    /// Hours.
    H,
    /// Dates with times: `2023-11-16 18:15:46.6805900`.
    Datetime,
}

/// What comes when a trace is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtEnd {
    /// It begins again, with prompts that were not sent before: requests go on coming until those
    /// that are measured have ended.
    #[default]
    Loop,
    /// Nothing: the last requests meet an emptying server.
    End,
}

impl ReplayConfig {
    /// Whether the keys and numbers make sense, as far as that shows without the file.
    ///
    /// # Errors
    /// The first that does not, with what is allowed.
    pub fn check(&self) -> Result<(), ReplayProblem> {
        let csv = self.format == ReplayFormat::Csv;
        for (key, given) in [
            ("time", self.time.is_some()),
            ("time-unit", self.time_unit.is_some()),
            ("input", self.input.is_some()),
            ("output", self.output.is_some()),
        ] {
            if given != csv {
                let format = self.format.as_str();
                return Err(if csv {
                    ReplayProblem::ColumnMissing { key }
                } else {
                    ReplayProblem::ColumnKnown { key, format }
                });
            }
        }
        for (key, span) in [("length", self.length), ("spread", self.spread)] {
            if span.is_some_and(|span| span.is_zero()) {
                return Err(ReplayProblem::Zero { key });
            }
        }
        if let Some(speed) = self.speed
            && !(speed > 0.0 && speed.is_finite())
        {
            return Err(ReplayProblem::Speed { speed });
        }
        for (key, max) in [("max-input", self.max_input), ("max-output", self.max_output)] {
            if let Some(max) = max {
                in_range(key, max).map_err(ReplayProblem::Length)?;
            }
        }
        Ok(())
    }
}
