//! What can go wrong with a results folder.
//!
//! Each message holds its cause's text, so that it is whole wherever only `Display` is printed;
//! `source` therefore stays empty, lest a printer of chains says the cause twice.

use std::io;
use std::path::{Path, PathBuf};

use arrow::error::ArrowError;
use parquet::errors::ParquetError;
use thiserror::Error;

use crate::{ParseVersionError, UnreadableVersion};

/// A results folder, or a file in it, that cannot be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordsError {
    /// The system refused an operation on a file or folder.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was tried: `create`, `read`, ...
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        cause: io::Error,
    },
    /// A JSON file does not hold what it must.
    #[error("cannot read {}: {cause}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        cause: serde_json::Error,
    },
    /// A table cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    ReadTable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: TableError,
    },
    /// A table cannot be written.
    #[error("cannot write {}: {cause}", path.display())]
    WriteTable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: TableError,
    },
    /// Writing failed while a point ran; what was written before is readable.
    #[error(
        "cannot write {}: {cause}; {rows_not_written} rows of the point are not in the file",
        path.display()
    )]
    RowsNotWritten {
        /// The file that failed.
        path: PathBuf,
        /// Why.
        cause: TableError,
        /// Requests whose rows were given to the writer and are not in the file.
        rows_not_written: u64,
    },
    /// The folder has another major format version.
    #[error("cannot read {}: {cause}", path.display())]
    Version {
        /// The folder.
        path: PathBuf,
        /// Which version it has, and which one is read.
        cause: UnreadableVersion,
    },
    /// There is no manifest where a results folder was expected.
    #[error("{} is no results folder: it has no manifest.json", path.display())]
    NoManifest {
        /// The folder.
        path: PathBuf,
    },
    /// Another process writes into the folder.
    #[error("{} is in use by another process, which must end first", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A point has no rows at all.
    #[error("{} holds no rows: neither requests.parquet nor requests.arrows is there", path.display())]
    NoRows {
        /// The point's folder.
        path: PathBuf,
    },
    /// A point has rows already, and a second writer would mix them up.
    #[error("{} exists already; a new attempt needs a point folder without rows", path.display())]
    HasRows {
        /// The file that is there.
        path: PathBuf,
    },
    /// A name that cannot be that of a folder.
    #[error("`{name}` cannot name a {what}: {problem}")]
    Name {
        /// What it should name: `point` or `results folder`.
        what: &'static str,
        /// The name.
        name: String,
        /// Why not.
        problem: &'static str,
    },
    /// The writer was told to finish while rows could still come.
    #[error(
        "cannot finish the point, row senders still open: {open}; close or drop each one first"
    )]
    SendersOpen {
        /// How many were.
        open: usize,
    },
    /// The writer's thread panicked, in its observer for instance.
    #[error("the thread that writes {} panicked; its streams are readable up to there", path.display())]
    WriterPanicked {
        /// The point's folder.
        path: PathBuf,
    },
}

impl RecordsError {
    /// Names action and path of an I/O error; for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { action, path: path.to_owned(), cause }
    }

    /// Names the file of a table that cannot be read; for `map_err`.
    pub(crate) fn reading<E: Into<TableError>>(path: &Path) -> impl FnOnce(E) -> Self {
        move |cause| Self::ReadTable { path: path.to_owned(), cause: cause.into() }
    }

    /// Names the file of a table that cannot be written; for `map_err`.
    pub(crate) fn writing<E: Into<TableError>>(path: &Path) -> impl FnOnce(E) -> Self {
        move |cause| Self::WriteTable { path: path.to_owned(), cause: cause.into() }
    }
}

/// What is wrong with a table.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file is no table of ours.
    #[error("its metadata has no `plimsoll.format`; plimsoll did not write it")]
    NoFormat,
    /// The metadata's version cannot be read.
    #[error(transparent)]
    Format(#[from] ParseVersionError),
    /// The table has another major format version.
    #[error(transparent)]
    Version(#[from] UnreadableVersion),
    /// A column is not there.
    #[error("column `{0}` is missing")]
    NoColumn(String),
    /// A column has another type.
    #[error("column `{column}` is of type {found}, not {expected}")]
    ColumnType {
        /// The column.
        column: String,
        /// Its type in the file.
        found: String,
        /// The type it must have.
        expected: String,
    },
    /// A column that must have a value in each row lacks one.
    #[error("column `{column}` has no value in row {row}; each row must have one")]
    Null {
        /// The column.
        column: String,
        /// The row in its batch, from 0.
        row: usize,
    },
    /// A value outside its range.
    #[error("column `{column}` holds `{value}` in row {row}; allowed is {allowed}")]
    Value {
        /// The column.
        column: String,
        /// The row in its batch, from 0.
        row: usize,
        /// The value.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// Two rows of one request.
    #[error("request {0} has two rows")]
    TwiceTheSame(u64),
    /// Rows are gone that were written.
    #[error("it holds {found} rows of {expected} that were written")]
    RowCount {
        /// Rows in the file.
        found: u64,
        /// Rows written.
        expected: u64,
    },
    /// Arrow refused.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// Parquet refused.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}
