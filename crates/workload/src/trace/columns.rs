//! Columns of token counts from a CSV file.

use std::path::Path;

use super::table::Table;
use crate::config::{MAX_LENGTH_TOKENS, TraceConfig};
use crate::error::WorkloadError;
use crate::remark::Remark;

/// The named columns of the file at `path`, row by row, in the order of `columns`.
///
/// # Errors
/// When the file cannot be read, has no such column, no rows, a row unlike its header, or a cell
/// that is no length.
pub(crate) fn read_columns(path: &Path, columns: &[&str]) -> Result<Vec<Vec<u32>>, WorkloadError> {
    let mut values = vec![Vec::new(); columns.len()];
    Table::open(path)?.each(columns, |row| {
        for (place, values) in values.iter_mut().enumerate() {
            values.push(row.tokens(place)?);
        }
        Ok(())
    })?;
    Ok(values)
}

/// Brings the values of `column` to at least `min` and at most `max`, and says so when that changed
/// any.
pub(crate) fn clip_to(
    values: &mut [u32],
    (min, max): (u32, u32),
    column: &str,
    path: &Path,
) -> Option<Remark> {
    let (mut cut, mut raised) = (0, 0);
    for value in &mut *values {
        cut += u64::from(*value > max);
        raised += u64::from(*value < min);
        *value = (*value).clamp(min, max);
    }
    (cut + raised > 0).then(|| Remark::TraceClipped {
        path: path.to_owned(),
        column: column.to_owned(),
        rows: values.len() as u64,
        cut,
        raised,
    })
}

/// Brings `values` into the bounds of `config`, and says so when that changed any.
pub(crate) fn clip(values: &mut [u32], config: &TraceConfig, path: &Path) -> Option<Remark> {
    let bounds = (config.min.unwrap_or(1), config.max.unwrap_or(MAX_LENGTH_TOKENS));
    clip_to(values, bounds, &config.column, path)
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
