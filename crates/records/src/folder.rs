//! The results folder of one run.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::atomic::write_atomically;
use crate::decode::decode_summary;
use crate::encode::encode_summary;
use crate::error::RecordsError;
use crate::finding::Finding;
use crate::json_file::{read_json, write_json};
use crate::manifest::Manifest;
use crate::parquet_file::{read_parquet, write_parquet};
use crate::point_dir::PointDir;
use crate::schema::Table;
use crate::summary::SummaryRow;
use crate::version::FormatVersion;

const MANIFEST: &str = "manifest.json";
const FINDINGS: &str = "findings.json";
const POINTS: &str = "points";

/// Longest name of a point or a results folder, bytes; file systems allow 255.
const NAME_BYTES: usize = 200;

/// The results folder of one run.
///
/// Every file in it is written whole or not at all; the streams of a running point are the one
/// exception, and readable at any length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultsFolder {
    path: PathBuf,
}

/// A results folder that is somebody's own; see [`ResultsFolder::lock`].
#[derive(Debug)]
pub struct FolderLock {
    /// The system holds the lock as long as this is open.
    _folder: File,
}

impl ResultsFolder {
    /// A new folder `name` under `root`, which is made where it is missing. If the name is taken,
    /// `name-2`, `name-3` and so on are tried.
    ///
    /// It is no results folder to [`ResultsFolder::open`] before its manifest is written.
    ///
    /// # Errors
    /// When the name cannot be a folder's, or the system refuses.
    pub fn create(root: &Path, name: &str) -> Result<Self, RecordsError> {
        check_name("results folder", name)?;
        fs::create_dir_all(root).map_err(RecordsError::io("create", root))?;
        let mut path = root.join(name);
        let mut next = 2_u32;
        loop {
            match fs::create_dir(&path) {
                Ok(()) => break,
                Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
                    path = root.join(format!("{name}-{next}"));
                    next += 1;
                }
                Err(cause) => return Err(RecordsError::io("create", &path)(cause)),
            }
        }
        let points = path.join(POINTS);
        fs::create_dir(&points).map_err(RecordsError::io("create", &points))?;
        Ok(Self { path })
    }

    /// The results folder at `path`.
    ///
    /// # Errors
    /// When there is none, or it is of another major format version than this build reads.
    pub fn open(path: &Path) -> Result<Self, RecordsError> {
        /// The one key that every version of the manifest has.
        #[derive(Deserialize)]
        struct Versioned {
            format: FormatVersion,
        }
        fs::read_dir(path).map_err(RecordsError::io("open", path))?;
        let folder = Self { path: path.to_owned() };
        // Before anything else in the manifest, which another version may have shaped otherwise.
        let Versioned { format } = folder.read_manifest()?;
        format
            .check_readable()
            .map_err(|cause| RecordsError::Version { path: path.to_owned(), cause })?;
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has the folder to oneself until the lock is dropped, or the process ends however it does.
    ///
    /// # Errors
    /// When another process has it, or the system cannot lock folders.
    pub fn lock(&self) -> Result<FolderLock, RecordsError> {
        let folder = File::open(&self.path).map_err(RecordsError::io("open", &self.path))?;
        match folder.try_lock() {
            Ok(()) => Ok(FolderLock { _folder: folder }),
            Err(TryLockError::WouldBlock) => Err(RecordsError::InUse { path: self.path.clone() }),
            Err(TryLockError::Error(cause)) => Err(RecordsError::io("lock", &self.path)(cause)),
        }
    }

    /// Its manifest, as it is on file now.
    ///
    /// # Errors
    /// When there is none, or it does not hold what a manifest must.
    pub fn manifest(&self) -> Result<Manifest, RecordsError> {
        self.read_manifest()
    }

    /// Writes the manifest, replacing the one that is there.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), RecordsError> {
        write_json(&self.path.join(MANIFEST), manifest)
    }

    /// The folder of the point `id`, whether it is there yet or not.
    ///
    /// # Errors
    /// When `id` cannot name a folder: empty, longer than 200 bytes, beginning with a dot, or with
    /// a slash, backslash or control character in it.
    pub fn point(&self, id: &str) -> Result<PointDir, RecordsError> {
        check_name("point", id)?;
        Ok(PointDir::new(self.path.join(POINTS).join(id), id))
    }

    /// Writes `summary.parquet`, replacing the one that is there.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_summary(&self, rows: &[SummaryRow]) -> Result<(), RecordsError> {
        let path = self.path.join(Table::Summary.parquet_name());
        write_parquet(&path, Table::Summary, |file| {
            file.append(&encode_summary(rows)).map_err(RecordsError::writing(&path))
        })
    }

    /// The rows of `summary.parquet`.
    ///
    /// # Errors
    /// When there is none, or it does not hold what it must.
    pub fn read_summary(&self) -> Result<Vec<SummaryRow>, RecordsError> {
        let path = self.path.join(Table::Summary.parquet_name());
        let mut rows = Vec::new();
        read_parquet(&path, |batch| {
            rows.append(&mut decode_summary(&batch).map_err(RecordsError::reading(&path))?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Writes `findings.json`, replacing the one that is there. Numbers that are not finite are
    /// left out: JSON has no form for them.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_findings(&self, findings: &[Finding]) -> Result<(), RecordsError> {
        let mut findings = findings.to_vec();
        for finding in &mut findings {
            finding.numbers.retain(|_, number| number.is_finite());
        }
        write_json(&self.path.join(FINDINGS), &findings)
    }

    /// The name of the matrix that the run proposes next for the group of points at `place` (from 0) of
    /// `groups`: `next.toml`, or `next-1.toml`, `next-2.toml`, ... where there are several.
    #[must_use]
    pub fn next_matrix_name(place: usize, groups: usize) -> String {
        if groups > 1 { format!("next-{}.toml", place + 1) } else { "next.toml".to_owned() }
    }

    /// Removes the matrices of next experiments that an earlier judgement of the run has left.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove_next_matrices(&self) -> Result<(), RecordsError> {
        let entries = fs::read_dir(&self.path).map_err(RecordsError::io("read", &self.path))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let is_next =
                name.to_str().and_then(|name| name.strip_prefix("next")).is_some_and(|it| {
                    let number =
                        it.strip_suffix(".toml").map(|it| it.strip_prefix('-').unwrap_or(it));
                    number.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                });
            if is_next {
                let path = entry.path();
                fs::remove_file(&path).map_err(RecordsError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Writes that matrix, replacing the one that is there.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_next_matrix(
        &self,
        place: usize,
        groups: usize,
        toml: &str,
    ) -> Result<(), RecordsError> {
        let path = self.path.join(Self::next_matrix_name(place, groups));
        write_atomically(&path, |file| {
            file.write_all(toml.as_bytes()).map_err(RecordsError::io("write", &path))
        })
    }

    /// The findings of `findings.json`.
    ///
    /// # Errors
    /// When there is none, or it does not hold what it must.
    pub fn read_findings(&self) -> Result<Vec<Finding>, RecordsError> {
        read_json(&self.path.join(FINDINGS))
    }

    /// The manifest, or the part of it that `T` asks for.
    fn read_manifest<T: DeserializeOwned>(&self) -> Result<T, RecordsError> {
        read_json(&self.path.join(MANIFEST)).map_err(|error| match error {
            RecordsError::Io { cause, .. } if cause.kind() == ErrorKind::NotFound => {
                RecordsError::NoManifest { path: self.path.clone() }
            }
            other => other,
        })
    }
}

/// Whether `name` can name a folder of its own inside another.
fn check_name(what: &'static str, name: &str) -> Result<(), RecordsError> {
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_BYTES {
        "it is longer than 200 bytes"
    } else if name.starts_with('.') {
        "it begins with a dot"
    } else if name.contains(|c: char| c == '/' || c == '\\' || c.is_control()) {
        "it holds a slash, a backslash or a control character"
    } else {
        return Ok(());
    };
    Err(RecordsError::Name { what, name: name.to_owned(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b");
        let names = [0; 3].map(|_| {
            let folder = ResultsFolder::create(&deep, "run").unwrap();
            folder.path().file_name().unwrap().to_owned()
        });
        assert_eq!(names, ["run", "run-2", "run-3"]);
    }

    #[test]
    fn names_that_lead_out_of_the_folder_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = ResultsFolder::create(root.path(), "run").unwrap();
        for (name, problem) in [
            ("", "empty"),
            ("..", "dot"),
            (".hidden", "dot"),
            ("a/b", "slash"),
            ("a\\b", "slash"),
            ("a\nb", "control"),
            (&"x".repeat(201), "200 bytes"),
        ] {
            let error = folder.point(name).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
            assert!(ResultsFolder::create(root.path(), name).is_err());
        }
        assert_eq!(folder.point("rate=10,gpus=4 r0").unwrap().id(), "rate=10,gpus=4 r0");
    }

    #[test]
    fn only_the_matrices_of_next_experiments_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let folder = ResultsFolder::create(root.path(), "run").unwrap();
        let names = ["next.toml", "next-1.toml", "next-12.toml", "next-best.toml", "mine.toml"];
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        folder.remove_next_matrices().unwrap();
        let left = names.map(|name| folder.path().join(name).exists());
        assert_eq!(left, [false, false, false, true, true]);
    }

    #[test]
    fn a_folder_is_locked_for_one_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let folder = ResultsFolder::create(root.path(), "run").unwrap();
        let lock = folder.lock().unwrap();
        let error = folder.lock().unwrap_err().to_string();
        assert!(error.contains("run is in use by another process"), "{error}");
        drop(lock);
        folder.lock().unwrap();
    }

    #[test]
    fn a_folder_without_manifest_is_no_results_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = ResultsFolder::create(root.path(), "run").unwrap();
        let error = ResultsFolder::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("run is no results folder"), "{error}");
        let error = ResultsFolder::open(&root.path().join("gone")).unwrap_err().to_string();
        assert!(error.contains("cannot open") && error.contains("gone"), "{error}");
    }

    #[test]
    fn another_major_version_is_refused_by_name_whatever_else_the_manifest_holds() {
        let root = tempfile::tempdir().unwrap();
        let folder = ResultsFolder::create(root.path(), "run").unwrap();
        for (version, readable) in [("0.9", false), ("1.7", true), ("2.0", false)] {
            fs::write(folder.path().join(MANIFEST), format!("{{\"format\": \"{version}\"}}"))
                .unwrap();
            let opened = ResultsFolder::open(folder.path());
            assert_eq!(opened.is_ok(), readable, "{version}");
            if let Err(error) = opened {
                let error = error.to_string();
                assert!(error.contains(&format!("format is {version}")), "{error}");
                assert!(error.contains(&folder.path().display().to_string()), "{error}");
            }
        }
        fs::write(folder.path().join(MANIFEST), "{\"format\": 2}").unwrap();
        let error = ResultsFolder::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("manifest.json"), "{error}");
    }
}
