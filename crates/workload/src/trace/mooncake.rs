//! Mooncake's traces: a JSON object a line with `timestamp` (ms from the start of the trace),
//! `input_length`, `output_length` (tokens) and `hash_ids`, the blocks of 512 tokens that make the
//! prompt, the last one perhaps shorter.
//!
//! An id stands for the whole prefix up to and including its block, so equal ids stand at equal
//! places, and ids that came before always form a prefix. Source: Qin et al., Mooncake, FAST 2025;
//! the traces of the project kvcache-ai/Mooncake.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

use super::instant::{self, Clock};
use super::table::LENGTHS;
use super::{BLOCK_TOKENS, Recorded};
use crate::config::MAX_LENGTH_TOKENS;
use crate::error::{ReplayLineProblem, WorkloadError, shorten};

/// The requests of the file at `path`.
pub(super) fn read(path: &Path) -> Result<Vec<Recorded>, WorkloadError> {
    let unreadable = |source| WorkloadError::Read { path: path.to_owned(), source };
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let (mut rows, mut bytes) = (Vec::new(), Vec::new());
    for line in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(unreadable)? == 0 {
            break;
        }
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").filter(|_| line == 1).unwrap_or(&bytes);
        if text.trim_ascii().is_empty() {
            continue;
        }
        let row = parse(text).map_err(|problem| WorkloadError::ReplayLine {
            path: path.to_owned(),
            line,
            problem,
        })?;
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(WorkloadError::Empty { path: path.to_owned(), what: "requests" });
    }
    Ok(rows)
}

fn parse(line: &[u8]) -> Result<Recorded, ReplayLineProblem> {
    let object: Map<String, Value> =
        serde_json::from_slice(line).map_err(ReplayLineProblem::Json)?;
    let value = |key: &'static str, what, allowed| {
        let value = object.get(key).unwrap_or(&Value::Null);
        let wrong = move || ReplayLineProblem::Value {
            key,
            value: shorten(&value.to_string()),
            what,
            allowed,
        };
        (value, wrong)
    };
    let tokens = |key| {
        let (value, wrong) = value(key, "length", LENGTHS);
        let tokens = value.as_u64().and_then(|tokens| u32::try_from(tokens).ok());
        tokens.filter(|tokens| *tokens <= MAX_LENGTH_TOKENS).ok_or_else(wrong)
    };
    let (stamp, wrong) = value("timestamp", "instant", "milliseconds from 0");
    let at = stamp.as_number().map(ToString::to_string);
    let at = at.and_then(|text| instant::parse(&text, Clock::MILLIS)).ok_or_else(wrong)?;
    let (input, output) = (tokens("input_length")?, tokens("output_length")?);
    let (ids, wrong) = value("hash_ids", "list of blocks", "a list of whole numbers from 0");
    let ids = ids.as_array().map(|ids| ids.iter().map(Value::as_u64).collect::<Option<Box<_>>>());
    let blocks = ids.flatten().ok_or_else(wrong)?;
    let needed = input.div_ceil(BLOCK_TOKENS);
    if blocks.len() != needed as usize {
        return Err(ReplayLineProblem::Blocks { found: blocks.len(), needed, input });
    }
    Ok(Recorded { at, input, output, blocks })
}
