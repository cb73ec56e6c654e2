//! Going on with a run that ended before its plan did.
//!
//! What makes that possible: points are named by the plan alone, their seeds come from the run's one seed
//! and their place, and a point has a `point.json` only when it was measured to its end. So the same plan
//! is carried out again, and what is there already is taken instead of measured.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use plimsoll_analysis::{AuditedPoint, Slo};
use plimsoll_records::{
    AuditPolicy, FolderLock, Manifest, PointDir, PointEnd, PointFile, RecordsError, ResultsFolder,
    RunStatus, read_point,
};
use plimsoll_units::{Clock as _, RunClock};
use thiserror::Error;

use crate::error::RunError;
use crate::matrix::{MatrixError, MatrixSource};
use crate::plan::Plan;

/// Most lines of a difference that are quoted.
const QUOTED_LINES: usize = 12;

/// A run that can be gone on with.
#[derive(Debug)]
pub struct Unfinished {
    pub(crate) folder: ResultsFolder,
    /// Nobody else goes on with it meanwhile.
    pub(crate) lock: FolderLock,
    pub(crate) manifest: Manifest,
    pub(crate) plan: Plan,
    /// The run's own clock, as it goes on in this process.
    pub(crate) clock: RunClock,
    /// The points that were measured to their end, in order.
    pub(crate) kept: Vec<PointFile>,
}

/// A run that cannot be gone on with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// It is no results folder of this format, or a file of it cannot be read.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// There is nothing left to measure.
    #[error("{}: the run is complete: every point of its plan was measured", path.display())]
    Complete {
        /// The folder.
        path: PathBuf,
    },
    /// The wall clock, by which the run's clock goes on after a restart of the machine, stands before
    /// the end of what was measured.
    #[error(
        "{}: by this machine's wall clock the run's last point has not ended yet; set the clock right first",
        path.display()
    )]
    Clock {
        /// The folder.
        path: PathBuf,
    },
    /// Another tool measured it.
    #[error("{}: the run was imported from another tool, and cannot be gone on with", path.display())]
    Imported {
        /// The folder.
        path: PathBuf,
    },
    /// The matrix of the run is no longer one to this build.
    #[error("the matrix in {}: {cause}", path.display())]
    Matrix {
        /// The manifest that holds it.
        path: PathBuf,
        /// What is wrong with it.
        cause: MatrixError,
    },
    /// The matrix file cannot be read.
    #[error(transparent)]
    File(MatrixError),
    /// The matrix file is no longer what the run was begun with.
    #[error(
        "{} is not the matrix that the run was begun with; begin a new run with it, or restore it \
         (- then, + now):\n{difference}",
        file.display()
    )]
    Changed {
        /// The file.
        file: PathBuf,
        /// Lines that differ.
        difference: String,
    },
    /// The same matrix means another plan to this build.
    #[error(
        "{}: the same matrix means something else to this build; go on with the one that began it \
         (- then, + now):\n{difference}",
        path.display()
    )]
    OtherPlan {
        /// The manifest.
        path: PathBuf,
        /// Lines of the resolved matrix that differ.
        difference: String,
    },
}

impl Unfinished {
    /// The run in the results folder at `path`. `matrix` is the file that it was begun with, where that
    /// is no longer at the path that the run has noted.
    ///
    /// # Errors
    /// When there is no such run, it is complete, or its matrix file has changed since: with the
    /// difference.
    pub fn open(path: &Path, matrix: Option<&Path>) -> Result<Self, ResumeError> {
        let folder = ResultsFolder::open(path)?;
        let lock = folder.lock()?;
        let manifest = folder.manifest()?;
        let at = || path.join("manifest.json");
        if manifest.status == RunStatus::Complete {
            return Err(ResumeError::Complete { path: path.to_owned() });
        }
        if manifest.matrix_resolved.is_null() {
            return Err(ResumeError::Imported { path: path.to_owned() });
        }
        let noted = manifest.matrix_file.as_ref().map(PathBuf::from);
        let file = matrix.map(Path::to_owned).or(noted);
        if let Some(file) = file.as_deref().filter(|file| matrix.is_some() || file.is_file()) {
            let now = MatrixSource::read(file).map_err(ResumeError::File)?;
            if let Some(difference) = difference(&manifest.matrix_written, now.text()) {
                return Err(ResumeError::Changed { file: file.to_owned(), difference });
            }
        }
        let name = file.unwrap_or_else(at);
        let mut source = MatrixSource::new(&name, manifest.matrix_written.clone());
        manifest.overrides.iter().for_each(|assignment| source.set(assignment));
        let plan = Plan::with_seed(source, Some(manifest.seed))
            .map_err(|cause| ResumeError::Matrix { path: at(), cause })?;
        let lines = |value: &serde_json::Value| format!("{value:#}");
        let (then, now) = (lines(&manifest.matrix_resolved), lines(&plan.resolved()));
        if let Some(difference) = difference(&then, &now) {
            return Err(ResumeError::OtherPlan { path: at(), difference });
        }
        let mut kept = Vec::new();
        for id in &manifest.points {
            kept.extend(finished(&folder.point(id)?)?);
        }
        let clock = manifest.clock.resumed();
        let now = clock.now();
        let last = kept.iter().map(|file| file.phases.end_ns).max().unwrap_or_default();
        // An origin that lies in the future makes stamps wrap around.
        if now < last || now.as_nanos() > i64::MAX.unsigned_abs() {
            return Err(ResumeError::Clock { path: path.to_owned() });
        }
        Ok(Self { folder, lock, manifest, plan, clock, kept })
    }

    /// How many points need not be measured again.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept.len()
    }
}

/// The file of a point that was measured to its end; `None` where there is none, or the run's own end cut
/// the point short.
fn finished(dir: &PointDir) -> Result<Option<PointFile>, RecordsError> {
    match dir.read_point_file() {
        Ok(file) if matches!(file.ended, PointEnd::Interrupted | PointEnd::TargetLost) => Ok(None),
        Ok(file) => {
            let rows = read_point(dir)?;
            Ok((rows.complete && rows.short_of_chunks.is_empty()).then_some(file))
        }
        Err(RecordsError::Io { cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The point `id` as it was measured, audited, if it is among the `kept`; else its folder is made ready
/// for another attempt.
pub(crate) fn take(
    kept: &[PointFile],
    dir: &PointDir,
    slo: &Slo,
    policy: &AuditPolicy,
) -> Result<Option<(PointFile, AuditedPoint)>, RunError> {
    let Some(file) = kept.iter().find(|file| file.id == dir.id()) else {
        dir.remove_rows()?;
        return Ok(None);
    };
    let rows = read_point(dir)?.rows;
    let audited = AuditedPoint::of(file, &rows, slo).under(policy);
    Ok(Some((file.clone(), audited)))
}

/// The lines in which two texts differ, those that both begin and end with left out; `None` where
/// they are the same.
fn difference(then: &str, now: &str) -> Option<String> {
    if then == now {
        return None;
    }
    let (then, now): (Vec<&str>, Vec<&str>) = (then.lines().collect(), now.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let begin = then.iter().zip(&now).take_while(same).count();
    let rest = then.len().min(now.len()) - begin;
    let end = then.iter().rev().zip(now.iter().rev()).take(rest).take_while(same).count();
    let mut text = String::new();
    for (sign, lines) in [('-', &then), ('+', &now)] {
        let lines = &lines[begin..lines.len() - end];
        for (line, number) in lines.iter().zip(begin + 1..).take(QUOTED_LINES) {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{sign} {number}: {line}");
        }
        if lines.len() > QUOTED_LINES {
            let _ = writeln!(text, "{sign} ... and {} lines more", lines.len() - QUOTED_LINES);
        }
    }
    if text.is_empty() {
        text.push_str("(only line ends)\n");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_the_lines_between_what_is_the_same() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\nc\n", "a\nx\nc\n").unwrap(), "- 2: b\n+ 2: x\n");
        assert_eq!(difference("a\nc\n", "a\nb\nc\n").unwrap(), "+ 2: b\n");
        assert_eq!(difference("a\na\n", "a\n").unwrap(), "- 2: a\n");
        assert_eq!(difference("", "a\n").unwrap(), "+ 1: a\n");
        assert_eq!(difference("a\r\n", "a\n").unwrap(), "(only line ends)\n");
        let long: String = (0..40).map(|n| format!("{n}\n")).collect();
        assert!(difference(&long, "").unwrap().ends_with("- ... and 28 lines more\n"));
    }
}
