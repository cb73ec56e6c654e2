//! Which files of the given paths are results.

use std::fs;
use std::path::{Path, PathBuf};

use crate::InterchangeError;
use crate::format::read_file;
use crate::measured::Measured;

/// Larger files are no result of a benchmark: a day of per-request records has a few hundred MB.
const MOST_BYTES: u64 = 2 << 30;

/// How deep folders are gone into.
const DEEPEST: usize = 12;

/// A result file with its points.
#[derive(Debug)]
pub(crate) struct Found {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its path below the one that was given.
    pub(crate) source: String,
    /// Its points, in the order of the file.
    pub(crate) points: Vec<Measured>,
}

/// The results below `given`, in the order of their paths. A file that was named itself must be one.
pub(crate) fn find(given: &Path) -> Result<Vec<Found>, InterchangeError> {
    let kind = fs::metadata(given).map_err(InterchangeError::io("read", given))?;
    if !kind.is_dir() {
        let points = read_file(given)?
            .ok_or_else(|| InterchangeError::Unknown { path: given.to_owned() })?;
        let source = given.file_name().unwrap_or(given.as_os_str()).to_string_lossy().into_owned();
        return Ok(vec![Found { path: given.to_owned(), source, points }]);
    }
    let mut files = Vec::new();
    walk(given, 0, &mut files)?;
    files.sort();
    let looked_at = files.len();
    let mut found = Vec::new();
    for path in files {
        let Some(points) = read_file(&path)? else { continue };
        let source = path.strip_prefix(given).unwrap_or(&path).to_string_lossy().into_owned();
        found.push(Found { path, source, points });
    }
    if found.is_empty() {
        return Err(InterchangeError::Nothing { path: given.to_owned(), looked_at });
    }
    Ok(found)
}

/// Every file of a folder and the folders in it; links are not followed.
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), InterchangeError> {
    let error = || InterchangeError::io("read", folder);
    for entry in fs::read_dir(folder).map_err(error())? {
        let entry = entry.map_err(error())?;
        let kind = entry.file_type().map_err(error())?;
        if kind.is_dir() && depth < DEEPEST {
            walk(&entry.path(), depth + 1, files)?;
        } else if kind.is_file() && entry.metadata().is_ok_and(|it| it.len() <= MOST_BYTES) {
            files.push(entry.path());
        }
    }
    Ok(())
}
