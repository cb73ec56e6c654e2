//! The judgement of a run, whether it has just ended or its folder is read again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use plimsoll_analysis::{
    AuditedPoint, Judgement, Question, Slo, conclude, judge_for, judge_imported, judge_self_tests,
    judge_settings,
};
use plimsoll_records::{
    AuditPolicy, Finding, LeftOut, Manifest, PointFile, RecordsError, ResultsFolder, RunStatus,
    read_point,
};
use plimsoll_units::Span;
use serde::Deserialize;
use thiserror::Error;

use crate::pilot::is_pilot;
use crate::plan::read_slo;

/// A results folder, judged from its files.
#[derive(Debug)]
pub struct JudgedFolder {
    /// Its manifest.
    pub manifest: Manifest,
    /// The files of its points, in the order in which they were measured; those of a pilot, too,
    /// which the judgement leaves out.
    pub points: Vec<PointFile>,
    /// What its points say.
    pub judgement: Judgement,
    /// Which findings were allowed and denied for it, by its matrix and by who judged it again.
    pub policy: AuditPolicy,
    /// Points that were begun and have no end on file, because the run ended before them, and why
    /// nothing is said of them.
    pub unfinished: Vec<LeftOut>,
}

/// A folder that cannot be judged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JudgeFolderError {
    /// It is no results folder, is of another major format version, or a file of it cannot be read.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The matrix in its manifest has objectives that are none, or allows or denies what is no code.
    #[error("{}: matrix_resolved: {problem}", path.display())]
    Matrix {
        /// The manifest.
        path: PathBuf,
        /// What is wrong, and what is allowed.
        problem: String,
    },
    /// Rows of a point that ended are not all there: the machine lost power, or somebody cut them.
    #[error(
        "{}: {missing}; the point ended, so all rows must be there: restore the folder, or remove \
         this point's folder and its id from the manifest",
        path.display()
    )]
    Cut {
        /// The point's folder.
        path: PathBuf,
        /// What is not there.
        missing: String,
    },
}

/// Judges the results folder at `path` again, from its manifest and its points' files and rows: the
/// same findings, verdict and capacity as the run that wrote it, by this build's audit.
///
/// Of a run that was killed, interrupted or failed, the points that ended are judged.
///
/// # Errors
/// When there is no results folder of this format's major version, a file of it does not hold what
/// it must, or rows of a point that ended are missing.
pub fn judge_folder(path: &Path) -> Result<JudgedFolder, JudgeFolderError> {
    judge_folder_under(path, &AuditPolicy::default())
}

/// The same as [`judge_folder`], with `more` allowed or denied than the run's own matrix has; where the
/// two disagree about a code, `more` wins. Nothing is written into the folder.
///
/// # Errors
/// As [`judge_folder`].
pub fn judge_folder_under(
    path: &Path,
    more: &AuditPolicy,
) -> Result<JudgedFolder, JudgeFolderError> {
    let folder = ResultsFolder::open(path)?;
    let manifest = folder.manifest()?;
    let wrong = |problem| JudgeFolderError::Matrix { path: path.join("manifest.json"), problem };
    let slo = objectives(path, &manifest)?;
    let own = manifest.policy().map_err(|error| wrong(format!("experiment: {error}")))?;
    let policy = own.and(more);
    let mut points = Vec::new();
    let mut audited = Vec::new();
    let mut unfinished = Vec::new();
    for id in &manifest.points {
        let dir = folder.point(id)?;
        let point = match dir.read_point_file() {
            Ok(point) => point,
            Err(RecordsError::Io { cause, .. })
                if cause.kind() == std::io::ErrorKind::NotFound
                    && manifest.status != RunStatus::Complete =>
            {
                let reason = "the run ended before the point did: it has no point.json".to_owned();
                unfinished.push(LeftOut { point: id.clone(), reason });
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let rows = read_point(&dir)?;
        let missing = if !rows.complete {
            Some("requests.parquet is missing, and the streams hold a part at best".to_owned())
        } else if rows.short_of_chunks.is_empty() {
            None
        } else {
            let requests = rows.short_of_chunks.len();
            Some(format!("tokens.parquet lacks tokens of {requests} requests"))
        };
        if let Some(missing) = missing {
            return Err(JudgeFolderError::Cut { path: dir.path().to_owned(), missing });
        }
        if !is_pilot(id) {
            audited.push(AuditedPoint::of(&point, &rows.rows, &slo));
        }
        points.push(point);
    }
    let judgement = judgement(&manifest, &points, audited, &policy);
    Ok(JudgedFolder { manifest, points, judgement, policy, unfinished })
}

/// The judgement of a run: of its points, in their order, and of what its manifest says of the run as
/// a whole. `files` are the files of all points, those of a pilot too.
pub(crate) fn judgement(
    manifest: &Manifest,
    files: &[PointFile],
    points: Vec<AuditedPoint>,
    policy: &AuditPolicy,
) -> Judgement {
    let mut judgement = judge_for(Question::of(&manifest.experiment), points, policy);
    let (conclusion, against_it) = conclude(manifest, files, &judgement.groups);
    judgement.conclusion = conclusion;
    let of_run = judge_self_tests(&manifest.self_tests)
        .into_iter()
        .chain(against_it)
        .chain(settings(manifest, files))
        .chain(judge_imported(files, &manifest.claims, &judgement.groups));
    let of_run = of_run.map(|finding| policy.rule(finding)).collect();
    judgement.with_findings(of_run)
}

/// What is found of servers on which nothing was measured, because they do not run as declared.
fn settings(manifest: &Manifest, files: &[PointFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let measured =
        |number: usize| files.iter().any(|file| file.server_start.number as usize == number);
    for (number, target) in manifest.targets.iter().enumerate() {
        // Another start of the same server was measured: the run was resumed after it was put right.
        let put_right = manifest.targets.iter().enumerate().any(|(other, its)| {
            measured(other)
                && (&its.launch, &its.model, &its.settings_declared)
                    == (&target.launch, &target.model, &target.settings_declared)
        });
        if measured(number) || put_right {
            continue; // Its points have the finding, if there still is one.
        }
        // Servers that were started for groups that differ in other things have it in common.
        findings
            .extend(judge_settings(&target.settings).filter(|finding| !findings.contains(finding)));
    }
    findings
}

/// The objectives of the matrix that the manifest of the results folder at `path` holds.
pub(crate) fn objectives(path: &Path, manifest: &Manifest) -> Result<Slo, JudgeFolderError> {
    slo(manifest)
        .map_err(|problem| JudgeFolderError::Matrix { path: path.join("manifest.json"), problem })
}

/// The objectives of the matrix that a manifest holds; none where it holds none.
fn slo(manifest: &Manifest) -> Result<Slo, String> {
    let Some(lines) = manifest.matrix_resolved.get("slo") else { return Ok(Slo::default()) };
    let lines = BTreeMap::<String, Span>::deserialize(lines)
        .map_err(|error| format!("slo: {error}; it holds METRIC-pQUANTILE = \"LIMIT\""))?;
    read_slo(&lines).map_err(|wrong| wrong.to_string())
}
