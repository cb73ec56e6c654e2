//! A CSV file with a header, read row by row, whose every mistake is told with its line.
//!
//! Line ends may be LF or CRLF, the last line may lack one, and a byte order mark is skipped: the
//! public Azure traces have the second and lack the third.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use csv::{ByteRecord, ReaderBuilder, Trim};

use super::instant::{self, Clock};
use crate::config::MAX_LENGTH_TOKENS;
use crate::error::WorkloadError;

/// What a cell may hold that is a length.
pub(super) const LENGTHS: &str = "whole numbers from 0 to 10000000";
const _: () = assert!(MAX_LENGTH_TOKENS == 10_000_000, "the text above names it");

/// A CSV file in memory.
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// One row, with its place in the file.
#[derive(Debug)]
pub(super) struct Row<'a> {
    table: &'a Table,
    record: &'a ByteRecord,
    columns: &'a [&'a str],
    places: &'a [usize],
}

impl Table {
    /// Reads the file.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn open(path: &Path) -> Result<Self, WorkloadError> {
        let bytes = fs::read(path)
            .map_err(|source| WorkloadError::Read { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), bytes })
    }

    /// Hands every row to `each`, which sees the cells of `columns` by their place in that list.
    ///
    /// # Errors
    /// When a column is missing, a row is unlike its header, there are no rows, or `each` fails.
    pub(super) fn each(
        &self,
        columns: &[&str],
        mut each: impl FnMut(Row<'_>) -> Result<(), WorkloadError>,
    ) -> Result<(), WorkloadError> {
        // Flexible, because a row of another length is better told here, with its line. Bytes,
        // because a column that nobody asked for may hold what it likes.
        let mut reader =
            ReaderBuilder::new().trim(Trim::All).flexible(true).from_reader(&*self.bytes);
        let csv_error = |source: csv::Error| WorkloadError::Read {
            path: self.path.clone(),
            source: source.into(),
        };
        let header = reader.byte_headers().map_err(csv_error)?.clone();
        let places = columns
            .iter()
            .map(|column| {
                header.iter().position(|name| name == column.as_bytes()).ok_or_else(|| {
                    WorkloadError::TraceColumn {
                        path: self.path.clone(),
                        column: (*column).to_owned(),
                        found: header.iter().map(shown).collect(),
                    }
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut record = ByteRecord::new();
        let mut rows = 0_u64;
        while reader.read_byte_record(&mut record).map_err(csv_error)? {
            if record.len() != header.len() {
                return Err(WorkloadError::TraceRow {
                    path: self.path.clone(),
                    line: self.line_of(&record),
                    fields: record.len(),
                    expected: header.len(),
                });
            }
            each(Row { table: self, record: &record, columns, places: &places })?;
            rows += 1;
        }
        if rows == 0 {
            return Err(WorkloadError::Empty { path: self.path.clone(), what: "rows" });
        }
        Ok(())
    }

    /// The line of `record` in the file, from 1. The reader's own count is one too low after CRLF:
    /// it ends a record at the CR.
    fn line_of(&self, record: &ByteRecord) -> u64 {
        let offset = record.position().map_or(0, csv::Position::byte) as usize;
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let before = self.bytes.iter().take(offset + blank);
        1 + before.filter(|byte| **byte == b'\n').count() as u64
    }
}

impl Row<'_> {
    /// The length in the column at `place` of the list, in tokens.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn tokens(&self, place: usize) -> Result<u32, WorkloadError> {
        let tokens = self.text(place).and_then(|cell| cell.parse().ok());
        let tokens = tokens.filter(|tokens| *tokens <= MAX_LENGTH_TOKENS);
        tokens.ok_or_else(|| self.wrong(place, "length", LENGTHS))
    }

    /// The instant in the column at `place` of the list, by `clock`.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn instant(&self, place: usize, clock: Clock) -> Result<Duration, WorkloadError> {
        let instant = self.text(place).and_then(|cell| instant::parse(cell, clock));
        instant.ok_or_else(|| self.wrong(place, "instant", clock.allowed()))
    }

    fn cell(&self, place: usize) -> &[u8] {
        self.record.get(self.places[place]).unwrap_or_default()
    }

    fn text(&self, place: usize) -> Option<&str> {
        std::str::from_utf8(self.cell(place)).ok()
    }

    /// What is to be said of the cell at `place`, which is no `what`.
    pub(super) fn wrong(
        &self,
        place: usize,
        what: &'static str,
        allowed: &'static str,
    ) -> WorkloadError {
        WorkloadError::TraceCell {
            path: self.table.path.clone(),
            line: self.table.line_of(self.record),
            column: self.columns[place].to_owned(),
            value: shown(self.cell(place)),
            what,
            allowed,
        }
    }
}

/// A cell as an error message shows it: at most 60 characters, in backquotes.
fn shown(cell: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(cell).chars().take(60).collect();
    format!("`{text}`")
}
