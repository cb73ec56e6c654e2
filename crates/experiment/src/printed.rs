//! What other tools would have printed of a run, from its folder.

use std::path::Path;

use plimsoll_analysis::{Judgement, PeerTool, Printed};
use plimsoll_records::{ResultsFolder, read_point};

use crate::judged::{JudgeFolderError, objectives};

/// What each of `tools` would have printed of each judged point of the results folder at `path`, beside
/// the figures of `judgement`, which is of the same folder. One point's rows are in memory at a time.
///
/// # Errors
/// When the folder, its manifest or a judged point's files cannot be read.
pub fn printed(
    path: &Path,
    judgement: &Judgement,
    tools: &[PeerTool],
) -> Result<Vec<Printed>, JudgeFolderError> {
    if tools.is_empty() {
        return Ok(Vec::new());
    }
    let folder = ResultsFolder::open(path)?;
    let slo = objectives(path, &folder.manifest()?)?;
    let mut all = Vec::new();
    for summary in judgement.groups.iter().flat_map(|group| &group.points) {
        let dir = folder.point(&summary.id)?;
        let (point, rows) = (dir.read_point_file()?, read_point(&dir)?.rows);
        all.extend(tools.iter().map(|tool| tool.printed(&point, &rows, &slo, summary)));
    }
    Ok(all)
}
