//! Any CSV file with a header, whose columns the configuration names.

use std::path::Path;

use super::instant::Clock;
use super::{Recorded, three_columns};
use crate::config::ReplayConfig;
use crate::error::{ReplayProblem, WorkloadError};

/// The requests of the file at `path`.
pub(super) fn read(config: &ReplayConfig, path: &Path) -> Result<Vec<Recorded>, WorkloadError> {
    let missing = |key| WorkloadError::Replay(ReplayProblem::ColumnMissing { key });
    let time = config.time.as_deref().ok_or_else(|| missing("time"))?;
    let unit = config.time_unit.ok_or_else(|| missing("time-unit"))?;
    let input = config.input.as_deref().ok_or_else(|| missing("input"))?;
    let output = config.output.as_deref().ok_or_else(|| missing("output"))?;
    three_columns(path, [time, input, output], Clock::from(unit))
}
