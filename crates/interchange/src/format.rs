//! Which tool wrote a file, by its content; and its points.

use std::fs;
use std::path::Path;

use serde_json::{Deserializer, Map, Value};

use crate::InterchangeError;
use crate::fields::Fields;
use crate::measured::Measured;
use crate::{aiperf, guidellm, sglang, vllm};

/// Reads a file. `None` where it is no JSON, or JSON of no known tool.
///
/// # Errors
/// When it is a known tool's and holds what that tool would not write.
pub(crate) fn read_file(path: &Path) -> Result<Option<Vec<Measured>>, InterchangeError> {
    let bytes = fs::read(path).map_err(InterchangeError::io("read", path))?;
    read_bytes(path, &bytes)
}

/// Reads what `path` holds.
pub(crate) fn read_bytes(
    path: &Path,
    bytes: &[u8],
) -> Result<Option<Vec<Measured>>, InterchangeError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Ok(None);
    }
    let mut known = Known::default();
    let values = Deserializer::from_slice(bytes).into_iter::<Map<String, Value>>();
    for (before, object) in values.enumerate() {
        match object {
            Ok(object) => known.take(path, before + 1, &object)?,
            // A file whose first object is no tool's is nobody's; one that names a tool's keys is broken
            // (Python writes NaN and Infinity, which are no JSON).
            Err(_) if known.is_empty() && !names_a_tool(bytes) => return Ok(None),
            Err(problem) => {
                return Err(InterchangeError::Json {
                    path: path.to_owned(),
                    line: problem.line(),
                    column: problem.column(),
                    problem: problem.to_string(),
                });
            }
        }
        if known.is_empty() {
            return Ok(None);
        }
    }
    known.finish(path).map(Some)
}

/// Whether the text has a key that only results have.
fn names_a_tool(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    ["\"request_throughput\"", "\"request_start_ns\"", "\"benchmarks\""]
        .iter()
        .any(|key| text.contains(key))
}

/// What the objects of a file have told so far.
#[derive(Default)]
struct Known {
    points: Vec<Measured>,
    aiperf: aiperf::Records,
}

impl Known {
    fn is_empty(&self) -> bool {
        self.points.is_empty() && self.aiperf.is_empty()
    }

    fn take(
        &mut self,
        path: &Path,
        number: usize,
        object: &Map<String, Value>,
    ) -> Result<(), InterchangeError> {
        let mut fields = Fields::top(path, object);
        if number > 1 {
            fields = fields.at(&format!("object {number}"));
        }
        if sglang::recognise(&fields) {
            self.points.push(sglang::read(&fields)?);
        } else if vllm::recognise(&fields) {
            self.points.push(vllm::read(&fields)?);
        } else if guidellm::recognise(&fields) {
            self.points.extend(guidellm::read(&fields)?);
        } else if aiperf::recognise(&fields) {
            self.aiperf.take(&fields)?;
        } else if aiperf::recognise_summary(&fields) {
            self.points.push(aiperf::read_summary(&fields)?);
        } else if !self.is_empty() {
            return Err(InterchangeError::Value {
                path: path.to_owned(),
                place: format!("object {number}"),
                found: "of another kind than the first".to_owned(),
                allowed: "one kind of result in a file",
            });
        }
        Ok(())
    }

    fn finish(mut self, path: &Path) -> Result<Vec<Measured>, InterchangeError> {
        self.points.extend(self.aiperf.finish(path)?);
        Ok(self.points)
    }
}
