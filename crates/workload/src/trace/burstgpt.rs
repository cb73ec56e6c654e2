//! `BurstGPT`: `Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type`.
//!
//! Stamps are seconds from midnight of the first day. A request without an answer has 0 response
//! tokens: it failed at the time. Source: Wang et al., `BurstGPT`, KDD 2025, CC-BY-4.0.

use std::path::Path;

use super::Recorded;
use super::instant::Clock;
use super::table::Table;
use crate::error::WorkloadError;

/// The columns that are read, and those that make sure that it is such a file.
const COLUMNS: [&str; 6] =
    ["Timestamp", "Request tokens", "Response tokens", "Total tokens", "Model", "Log Type"];

/// The requests of the file at `path`.
pub(super) fn read(path: &Path) -> Result<Vec<Recorded>, WorkloadError> {
    let mut rows = Vec::new();
    Table::open(path)?.each(&COLUMNS, |row| {
        let (input, output, total) = (row.tokens(1)?, row.tokens(2)?, row.tokens(3)?);
        if input + output != total {
            return Err(row.wrong(
                3,
                "total",
                "the sum of the request's and the response's tokens",
            ));
        }
        let at = row.instant(0, Clock::SECONDS)?;
        rows.push(Recorded { at, input, output, blocks: Box::default() });
        Ok(())
    })?;
    Ok(rows)
}
