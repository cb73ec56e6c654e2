//! What an experiment claims of its results as a whole: tables beside the runs.

use std::fs::File;
use std::path::{Path, PathBuf};

use plimsoll_records::Claim;

use crate::InterchangeError;

/// The fits of Amdahl's law below `folder`: CSV files with the columns `gpu_count`, `speedup` and
/// `estimated_s`, in the folder itself or one level below it.
///
/// # Errors
/// When such a file cannot be read, or holds what is no number.
pub(crate) fn read_claims(folder: &Path) -> Result<Vec<Claim>, InterchangeError> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    };
    let mut files = list(folder);
    files.extend(files.clone().iter().filter(|it| it.is_dir()).flat_map(|it| list(it)));
    files.retain(|it| it.is_file() && it.extension().is_some_and(|ending| ending == "csv"));
    files.sort();
    let mut claims = Vec::new();
    for file in files {
        let source = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().into_owned();
        claims.extend(amdahl(&file, &source)?);
    }
    Ok(claims)
}

/// The rows of a fit; nothing for another table.
fn amdahl(path: &Path, source: &str) -> Result<Vec<Claim>, InterchangeError> {
    let file = File::open(path).map_err(InterchangeError::io("read", path))?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let Ok(header) = reader.headers().cloned() else { return Ok(Vec::new()) };
    let column = |name: &str| header.iter().position(|it| it.trim() == name);
    let (Some(gpus), Some(speedup), Some(share)) =
        (column("gpu_count"), column("speedup"), column("estimated_s"))
    else {
        return Ok(Vec::new());
    };
    let mut claims = Vec::new();
    for (row, record) in reader.records().enumerate() {
        let wrong = |name: &str, found: String, allowed| InterchangeError::Value {
            path: path.to_owned(),
            place: format!("line {}: {name}", row + 2),
            found,
            allowed,
        };
        let record =
            record.map_err(|error| wrong("row", error.to_string(), "a row of a CSV file"))?;
        let number = |at: usize, name: &str| -> Result<f64, InterchangeError> {
            let text = record.get(at).unwrap_or_default().trim();
            let number = text.parse().ok().filter(|it: &f64| it.is_finite() && *it >= 0.0);
            number.ok_or_else(|| wrong(name, format!("`{text}`"), "a number, 0 or more"))
        };
        let count = number(gpus, "gpu_count")?;
        if count.fract() != 0.0 || !(1.0..1e6).contains(&count) {
            return Err(wrong("gpu_count", format!("`{count}`"), "a whole number from 1"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number from 1 to 10^6"
        )]
        claims.push(Claim::Amdahl {
            source: source.to_owned(),
            gpus: count as u32,
            speedup: number(speedup, "speedup")?,
            serial_share: number(share, "estimated_s")?,
        });
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_are_found_and_other_tables_are_not() {
        let root = tempfile::tempdir().unwrap();
        let agg = root.path().join("agg");
        std::fs::create_dir(&agg).unwrap();
        std::fs::write(agg.join("fit.csv"), "gpu_count,speedup,estimated_s\n4,1.5,0.25\n").unwrap();
        std::fs::write(root.path().join("other.csv"), "a,b\n1,2\n").unwrap();
        std::fs::write(root.path().join("bytes.csv"), b"\xff\xfe\x00,\"").unwrap();
        let claims = read_claims(root.path()).unwrap();
        let wanted = Claim::Amdahl {
            source: "agg/fit.csv".to_owned(),
            gpus: 4,
            speedup: 1.5,
            serial_share: 0.25,
        };
        assert_eq!(claims, [wanted]);
        for (text, problem) in [
            ("4,fast,0.25", "line 2: speedup` is `fast`; allowed is a number"),
            ("0,1,0.25", "line 2: gpu_count` is `0`; allowed is a whole number from 1"),
            ("4,1", "line 2: estimated_s` is ``"),
        ] {
            let file = agg.join("fit.csv");
            std::fs::write(&file, format!("gpu_count,speedup,estimated_s\n{text}\n")).unwrap();
            let error = read_claims(root.path()).unwrap_err().to_string();
            assert!(error.contains("fit.csv") && error.contains(problem), "{error}");
        }
    }
}
