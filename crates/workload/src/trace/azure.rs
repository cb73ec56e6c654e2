//! Azure's LLM inference traces: `TIMESTAMP,ContextTokens,GeneratedTokens`.
//!
//! The stamps are dates with seven fractional digits and no zone (2023) or six and `+00:00` (2024).
//! Lines end in CRLF, and the last one in nothing. Source: Azure Public Dataset, CC-BY-4.0; Patel et
//! al., Splitwise, ISCA 2024.

use std::path::Path;

use super::instant::Clock;
use super::{Recorded, three_columns};
use crate::error::WorkloadError;

/// The requests of the file at `path`.
pub(super) fn read(path: &Path) -> Result<Vec<Recorded>, WorkloadError> {
    three_columns(path, ["TIMESTAMP", "ContextTokens", "GeneratedTokens"], Clock::Date)
}
