//! The report's files in the results folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{ReportError, ReportInput, Together, figures, html, markdown};

/// Writes `report.md`, `report.html` and `figs/*.svg` into `dir`, and says where the HTML is.
///
/// Each file appears whole or not at all; an earlier report is replaced.
///
/// # Errors
/// When a figure or the page cannot be made, or a file cannot be written.
pub fn write_all(input: &ReportInput<'_>, dir: &Path) -> Result<PathBuf, ReportError> {
    write_forms(dir, &figures(input)?, &markdown(input), &html(input)?)
}

/// The same for several runs in one report, and `report.json` besides: there is no results folder that has
/// its numbers.
///
/// # Errors
/// As [`write_all`].
pub fn write_together(together: &Together<'_>, dir: &Path) -> Result<PathBuf, ReportError> {
    let path = write_forms(dir, &together.figures()?, &together.markdown(), &together.html()?)?;
    write(&dir.join("report.json"), &format!("{}\n", together.json()))?;
    Ok(path)
}

fn write_forms(
    dir: &Path,
    figures: &[(String, String)],
    markdown: &str,
    html: &str,
) -> Result<PathBuf, ReportError> {
    let figs = dir.join("figs");
    fs::create_dir_all(&figs)
        .map_err(|source| ReportError::Write { path: figs.clone(), source })?;
    for (name, svg) in figures {
        write(&figs.join(name), svg)?;
    }
    write(&dir.join("report.md"), markdown)?;
    let path = dir.join("report.html");
    write(&path, html)?;
    Ok(path)
}

/// Writes beside the file and renames, so a reader never sees half of it.
fn write(path: &Path, text: &str) -> Result<(), ReportError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written: io::Result<()> =
        fs::write(&partial, text).and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| {
        // What is left of a failed attempt is of no use; that it cannot be removed is no news.
        let _ = fs::remove_file(&partial);
        ReportError::Write { path: path.to_owned(), source }
    })
}
