//! Arrivals written from `ServeGen`'s client parameters: `t_s,client,input_tokens,output_tokens`.
//!
//! Stamps are seconds. `ServeGen` publishes rates and lengths a client and not requests (Xiang et al.,
//! arXiv 2505.09999); these are the columns that generated arrivals are written with.

use std::path::Path;

use super::Recorded;
use super::instant::Clock;
use super::table::Table;
use crate::error::WorkloadError;

/// The requests of the file at `path`, all clients together.
pub(super) fn read(path: &Path) -> Result<Vec<Recorded>, WorkloadError> {
    let mut rows = Vec::new();
    // The column of the client is not needed, and makes sure that it is such a file.
    Table::open(path)?.each(&["t_s", "input_tokens", "output_tokens", "client"], |row| {
        rows.push(Recorded {
            at: row.instant(0, Clock::SECONDS)?,
            input: row.tokens(1)?,
            output: row.tokens(2)?,
            blocks: Box::default(),
        });
        Ok(())
    })?;
    Ok(rows)
}
