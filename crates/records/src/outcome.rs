//! How a request ended. Every ending is a value of the row; none is an error that loses it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// The stream ended as the protocol says it ends.
    Ok,
    /// The server answered with a status other than 200; the row holds status and error body.
    HttpStatus,
    /// A limit of time ran out: connecting, first token, or whole request (the error text says which).
    Timeout,
    /// No connection could be made.
    Refused,
    /// The connection died: reset, or closed before the response was complete at the HTTP level.
    Reset,
    /// The response was complete HTTP, but the stream stopped without finish reason and `[DONE]`.
    Truncated,
    /// The bytes were not what the API speaks: not HTTP, not SSE, not JSON, or an over-long line.
    Malformed,
    /// The server sent an error object inside a stream that had begun with status 200.
    StreamError,
    /// We ended it: the run was interrupted or the point was over before the response.
    Aborted,
    /// It was due but never sent, because a cap on concurrency was reached.
    Shed,
}

impl Outcome {
    /// Every outcome, in the order of the table in docs/results-format.md.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::HttpStatus,
        Self::Timeout,
        Self::Refused,
        Self::Reset,
        Self::Truncated,
        Self::Malformed,
        Self::StreamError,
        Self::Aborted,
        Self::Shed,
    ];

    /// The name in files and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::HttpStatus => "http-status",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::StreamError => "stream-error",
            Self::Aborted => "aborted",
            Self::Shed => "shed",
        }
    }

    /// Whether the request succeeded.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        matches!(self, Self::Ok)
    }

    /// Whether the request failed by the server's or the network's doing, or was shed by ours.
    ///
    /// An aborted request is neither success nor failure: it was cut off by the end of its point.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        !matches!(self, Self::Ok | Self::Aborted)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that is no outcome.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not an outcome")]
pub struct UnknownOutcome(String);

impl FromStr for Outcome {
    type Err = UnknownOutcome;

    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or_else(|| UnknownOutcome(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_in_text_and_json() {
        for outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
            assert_eq!(serde_json::to_string(&outcome).unwrap(), format!("\"{outcome}\""));
        }
        assert!("fine".parse::<Outcome>().unwrap_err().to_string().contains("`fine`"));
    }

    #[test]
    fn an_abort_is_neither_success_nor_failure() {
        assert!(!Outcome::Aborted.is_ok() && !Outcome::Aborted.is_failure());
        assert_eq!(Outcome::ALL.iter().filter(|o| o.is_failure()).count(), 8);
    }
}
