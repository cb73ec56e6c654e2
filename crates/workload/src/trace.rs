//! Files of recorded requests: single columns of lengths, and whole traces with their instants.

mod azure;
mod burstgpt;
mod columns;
mod instant;
mod mooncake;
mod named;
mod servegen;
mod table;

use std::path::Path;
use std::time::Duration;

use crate::config::{ReplayConfig, ReplayFormat};
use crate::error::WorkloadError;

pub(crate) use self::columns::{clip, clip_to, read_columns};

/// Tokens of a block of Mooncake's prefixes. Source: the traces' own description (Qin et al.,
/// Mooncake, FAST 2025).
pub(crate) const BLOCK_TOKENS: u32 = 512;

/// One recorded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// When it came, from wherever the trace counts.
    pub(crate) at: Duration,
    /// Tokens of the prompt.
    pub(crate) input: u32,
    /// Tokens of the answer.
    pub(crate) output: u32,
    /// The blocks of its prompt, each of [`BLOCK_TOKENS`] but the last; empty where a format has
    /// none. An id stands for the whole prefix up to the end of its block.
    pub(crate) blocks: Box<[u64]>,
}

/// The requests of the file at `path`, as they stand there.
///
/// # Errors
/// When the file cannot be read or is not what its format says: with the line, the value and what is
/// allowed.
pub(crate) fn read(config: &ReplayConfig, path: &Path) -> Result<Vec<Recorded>, WorkloadError> {
    match config.format {
        ReplayFormat::Azure => azure::read(path),
        ReplayFormat::Burstgpt => burstgpt::read(path),
        ReplayFormat::Mooncake => mooncake::read(path),
        ReplayFormat::Servegen => servegen::read(path),
        ReplayFormat::Csv => named::read(config, path),
    }
}

/// Reads instants, prompts' and answers' tokens from three columns.
fn three_columns(
    path: &Path,
    columns: [&str; 3],
    clock: instant::Clock,
) -> Result<Vec<Recorded>, WorkloadError> {
    let mut rows = Vec::new();
    table::Table::open(path)?.each(&columns, |row| {
        rows.push(Recorded {
            at: row.instant(0, clock)?,
            input: row.tokens(1)?,
            output: row.tokens(2)?,
            blocks: Box::default(),
        });
        Ok(())
    })?;
    Ok(rows)
}

#[cfg(test)]
mod tests;
