//! Files that are there whole or not at all.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::RecordsError;

/// Writes `path` through `fill`: into a file beside it that takes its name once it is on the disk.
///
/// Whoever reads `path` sees what was there before or all of what `fill` wrote, whenever the
/// process or the machine dies. On an error the file beside it is removed.
pub(crate) fn write_atomically<T>(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<T, RecordsError>,
) -> Result<T, RecordsError> {
    let beside = beside(path);
    let write = || {
        let mut file = File::create(&beside).map_err(RecordsError::io("create", &beside))?;
        let value = fill(&mut file)?;
        file.sync_all().map_err(RecordsError::io("write", &beside))?;
        std::fs::rename(&beside, path).map_err(RecordsError::io("write", path))?;
        Ok(value)
    };
    let written = write().inspect_err(|_| {
        // The error at hand says more than a failure to clean up after it.
        let _ = std::fs::remove_file(&beside);
    })?;
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        // The new name is in the folder's own data; without this it may be lost with the power.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(RecordsError::io("write", folder))?;
    }
    Ok(written)
}

/// The name that the file has until it is whole: `x.json.partial`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, "old").unwrap();
        let failed = write_atomically(&path, |file| {
            file.write_all(b"half").unwrap();
            Err::<(), _>(RecordsError::NoRows { path: path.clone() })
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

        write_atomically(&path, |file| {
            file.write_all(b"new").map_err(RecordsError::io("write", &path))
        })
        .unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
