//! Columns of token counts from a CSV file.
//!
//! Line ends may be LF or CRLF, the last line may lack one, and a byte order mark is skipped: the
//! public Azure traces have the second and lack the third.

use std::fs;
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder, Trim};

use crate::config::{MAX_LENGTH_TOKENS, TraceConfig};
use crate::error::WorkloadError;
use crate::remark::Remark;

/// The named columns of the file at `path`, row by row, in the order of `columns`.
///
/// # Errors
/// When the file cannot be read, has no such column, no rows, a row unlike its header, or a cell
/// that is no length.
pub(crate) fn read_columns(path: &Path, columns: &[&str]) -> Result<Vec<Vec<u32>>, WorkloadError> {
    let unreadable = |source| WorkloadError::Read { path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(unreadable)?;
    // Flexible, because a row of another length is better told here, with its line. Bytes, because
    // a column that nobody asked for may hold what it likes.
    let mut reader = ReaderBuilder::new().trim(Trim::All).flexible(true).from_reader(&*bytes);
    let csv_error = |source: csv::Error| unreadable(source.into());
    let header = reader.byte_headers().map_err(csv_error)?.clone();
    let places = columns
        .iter()
        .map(|column| {
            header.iter().position(|name| name == column.as_bytes()).ok_or_else(|| {
                WorkloadError::TraceColumn {
                    path: path.to_owned(),
                    column: (*column).to_owned(),
                    found: header.iter().map(shown).collect(),
                }
            })
        })
        .collect::<Result<Vec<_>, _>>()?;

    let mut values = vec![Vec::new(); columns.len()];
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(csv_error)? {
        if record.len() != header.len() {
            return Err(WorkloadError::TraceRow {
                path: path.to_owned(),
                line: line_of(&bytes, &record),
                fields: record.len(),
                expected: header.len(),
            });
        }
        for ((column, &place), values) in columns.iter().zip(&places).zip(&mut values) {
            let cell = record.get(place).unwrap_or_default();
            let tokens = std::str::from_utf8(cell).ok().and_then(|cell| cell.parse().ok());
            let tokens = tokens.filter(|tokens| *tokens <= MAX_LENGTH_TOKENS);
            values.push(tokens.ok_or_else(|| WorkloadError::TraceCell {
                path: path.to_owned(),
                line: line_of(&bytes, &record),
                column: (*column).to_owned(),
                value: shown(cell),
            })?);
        }
    }
    if values.iter().any(Vec::is_empty) {
        return Err(WorkloadError::Empty { path: path.to_owned(), what: "rows" });
    }
    Ok(values)
}

/// The line of `record` in the file, from 1. The reader's own count is one too low after CRLF: it
/// ends a record at the CR.
fn line_of(bytes: &[u8], record: &ByteRecord) -> u64 {
    let offset = record.position().map_or(0, csv::Position::byte) as usize;
    let rest = bytes.get(offset..).unwrap_or_default();
    let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    1 + bytes.iter().take(offset + blank).filter(|byte| **byte == b'\n').count() as u64
}

/// A cell as an error message shows it: at most 60 characters, in backquotes.
fn shown(cell: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(cell).chars().take(60).collect();
    format!("`{text}`")
}

/// Brings `values` into the bounds of `config`, and says so when that changed any.
pub(crate) fn clip(values: &mut [u32], config: &TraceConfig, path: &Path) -> Option<Remark> {
    let (min, max) = (config.min.unwrap_or(1), config.max.unwrap_or(MAX_LENGTH_TOKENS));
    let (mut cut, mut raised) = (0, 0);
    for value in &mut *values {
        cut += u64::from(*value > max);
        raised += u64::from(*value < min);
        *value = (*value).clamp(min, max);
    }
    (cut + raised > 0).then(|| Remark::TraceClipped {
        path: path.to_owned(),
        column: config.column.clone(),
        rows: values.len() as u64,
        cut,
        raised,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn reads_crlf_a_missing_last_newline_and_a_byte_order_mark() {
        for text in [
            "T,In,Out\r\nx,374,44\r\ny,396,109",
            "T,In,Out\nx,374,44\ny,396,109\n",
            "\u{feff}T, In ,Out\nx, 374,44\ny,396 ,109\n\n",
        ] {
            let file = file(text);
            let columns = read_columns(file.path(), &["Out", "In"]).unwrap();
            assert_eq!(columns, [vec![44, 109], vec![374, 396]], "{text:?}");
        }
    }

    #[test]
    fn a_bad_cell_is_named_by_file_line_and_column() {
        for (text, line, value) in [
            ("In,Out\r\n1,2\r\n3,many\r\n", 3, "`many`"),
            ("In,Out\n1,2\n3,4\n5,\n", 4, "``"),
            ("In,Out\n1,-2\n", 2, "`-2`"),
            ("In,Out\n1,2.5\n", 2, "`2.5`"),
            ("In,Out\n1,20000000\n", 2, "`20000000`"),
            ("In,Out\r\n1,2\r\n\r\n\r\n3,x\r\n", 5, "`x`"),
            ("\"In\nside\",Out\n1,x\n", 3, "`x`"),
        ] {
            let file = file(text);
            let error = read_columns(file.path(), &["Out"]).unwrap_err().to_string();
            let name = file.path().display().to_string();
            for part in [&name, &format!("line {line},"), "column `Out`", value, "0 to 10000000"] {
                assert!(error.contains(part), "{text:?}: {part}: {error}");
            }
        }
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        let message = |text: &str| {
            let file = file(text);
            read_columns(file.path(), &["Out"]).unwrap_err().to_string()
        };
        let error = message("In,Output\n1,2\n");
        assert!(error.contains("no column `Out`") && error.contains("`In`, `Output`"), "{error}");
        assert!(message("In,Out\n").contains("no rows"));
        assert!(message("").contains("no column"));
        let error = message("In,Out\r\n1,2\r\n3\r\n");
        assert!(error.contains("line 3") && error.contains("1 cells, its header 2"), "{error}");
        let error = read_columns(Path::new("/nowhere/x.csv"), &["Out"]).unwrap_err().to_string();
        assert!(error.contains("/nowhere/x.csv") && error.contains("No such file"), "{error}");
    }

    #[test]
    fn clipping_is_counted() {
        let config = TraceConfig {
            path: "x.csv".into(),
            column: "Out".to_owned(),
            min: Some(5),
            max: Some(10),
            order: crate::TraceOrder::File,
        };
        let mut values = [4, 5, 7, 10, 11, 0];
        let remark = clip(&mut values, &config, Path::new("/a/x.csv")).unwrap();
        assert_eq!(values, [5, 5, 7, 10, 10, 5]);
        assert_eq!(
            remark.to_string(),
            "/a/x.csv, column `Out`: of 6 rows, 1 were cut to `max` and 2 raised to `min`"
        );
        assert_eq!(clip(&mut values, &config, Path::new("/a/x.csv")), None);
    }
}
