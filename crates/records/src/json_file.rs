//! A value as a JSON file: written whole or not at all.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::atomic::write_atomically;
use crate::error::RecordsError;

/// Writes `value` as JSON that a person can read.
pub(crate) fn write_json<T: Serialize + ?Sized>(
    path: &Path,
    value: &T,
) -> Result<(), RecordsError> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|cause| RecordsError::Json { path: path.to_owned(), cause })?;
    text.push('\n');
    write_atomically(path, |file| {
        file.write_all(text.as_bytes()).map_err(RecordsError::io("write", path))
    })
}

/// The value that the JSON file at `path` holds.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, RecordsError> {
    let text = fs::read_to_string(path).map_err(RecordsError::io("read", path))?;
    serde_json::from_str(&text).map_err(|cause| RecordsError::Json { path: path.to_owned(), cause })
}
