//! What can be wrong with a file that another tool wrote.

use std::io;
use std::path::{Path, PathBuf};

use plimsoll_records::RecordsError;
use thiserror::Error;

/// A result that cannot be read, or written in another tool's format.
///
/// Each message holds its cause's text; `source` therefore stays empty.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InterchangeError {
    /// The system refused an operation.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was tried: `read`, `write`, ...
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        cause: io::Error,
    },
    /// The file is no JSON.
    #[error("{}, line {line}, column {column}: {problem}; allowed is one JSON object, or one a line", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1; 0 where the line ended too early.
        column: usize,
        /// What the parser says.
        problem: String,
    },
    /// A value is not what the format has in its place.
    #[error("{}: `{place}` is {found}; allowed is {allowed}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, with the keys and places above it: `benchmarks[0].duration`.
        place: String,
        /// What is there.
        found: String,
        /// What may be there.
        allowed: &'static str,
    },
    /// The file is JSON of no known tool.
    #[error(
        "{} is no result of a known tool: it has neither the keys of `vllm bench serve` \
         (request_throughput, total_output_tokens), sglang (total_output_tokens_retokenized), guidellm \
         (benchmarks) nor aiperf (metadata and metrics in each line)",
        path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// No file below the given paths is a result.
    #[error("{} holds no result of a known tool ({looked_at} files looked at)", path.display())]
    Nothing {
        /// The path that was given.
        path: PathBuf,
        /// Files that were looked at.
        looked_at: usize,
    },
    /// A mapping of names to factors that cannot be used.
    #[error("{}: {problem}", path.display())]
    Mapping {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what is allowed.
        problem: String,
    },
    /// A point that cannot be put into another tool's words.
    #[error("point `{point}` cannot be exported: {problem}")]
    Export {
        /// The point.
        point: String,
        /// Why not.
        problem: String,
    },
    /// The results folder cannot be read or written.
    #[error(transparent)]
    Records(#[from] RecordsError),
}

impl InterchangeError {
    /// Names action and path of an I/O error; for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { action, path: path.to_owned(), cause }
    }
}
