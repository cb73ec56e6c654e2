//! What was changed or noticed while the files were read. Nothing of it is silent.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Something a reader of the results should know about the workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "remark", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Remark {
    /// Rows of a trace were cut or raised to the bounds given.
    TraceClipped {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Rows of the file.
        rows: u64,
        /// Rows above `max`.
        cut: u64,
        /// Rows below `min` (1 when none is given).
        raised: u64,
    },
    /// Requests of a trace did not stand in the order of their instants; they were put into it.
    TraceSorted {
        /// The file.
        path: PathBuf,
        /// Requests that stood behind a later one.
        rows: u64,
        /// Of how many.
        of: u64,
    },
    /// A part of a trace ends in silence: its length goes beyond the last request by more than 5 %.
    TraceSilence {
        /// The file.
        path: PathBuf,
        /// How long the part is, ms.
        length_ms: u64,
        /// When its last request comes, ms.
        last_ms: u64,
    },
    /// Conversations ended with an answer, which was left out so that something is left to answer.
    AnswersCut {
        /// The file.
        path: PathBuf,
        /// How many lines.
        lines: u64,
        /// Of how many.
        of: u64,
    },
    /// Lines gave several turns; only the first is sent.
    LaterTurnsUnused {
        /// The file.
        path: PathBuf,
        /// How many lines.
        lines: u64,
        /// Of how many.
        of: u64,
    },
    /// Lines repeat the prompt of an earlier line, which a prefix cache will notice.
    SamePrompts {
        /// The file.
        path: PathBuf,
        /// How many lines.
        lines: u64,
        /// Of how many.
        of: u64,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TraceClipped { path, column, rows, cut, raised } => write!(
                f,
                "{}, column `{column}`: of {rows} rows, {cut} were cut to `max` and {raised} \
                 raised to `min`",
                path.display()
            ),
            Self::TraceSorted { path, rows, of } => write!(
                f,
                "{}: {rows} of {of} requests stood behind a later one and were put in order",
                path.display()
            ),
            Self::TraceSilence { path, length_ms, last_ms } => write!(
                f,
                "{}: the part of {:.1} s that is used has no request after {:.1} s",
                path.display(),
                *length_ms as f64 / 1e3,
                *last_ms as f64 / 1e3
            ),
            Self::AnswersCut { path, lines, of } => write!(
                f,
                "{}: {lines} of {of} conversations ended with an answer, which is left out",
                path.display()
            ),
            Self::LaterTurnsUnused { path, lines, of } => write!(
                f,
                "{}: {lines} of {of} lines hold several turns, of which the first is sent",
                path.display()
            ),
            Self::SamePrompts { path, lines, of } => write!(
                f,
                "{}: {lines} of {of} lines repeat an earlier prompt, which a prefix cache will find",
                path.display()
            ),
        }
    }
}
