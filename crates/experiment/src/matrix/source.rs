//! From text to [`Matrix`]: lines for errors, overrides, and a suggestion for a misspelled key.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use toml::de::{DeTable, DeValue};

use super::Matrix;

/// What is wrong with a matrix, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct MatrixError {
    /// The file, as the person named it.
    file: PathBuf,
    /// The line, from 1; `None` when the text has no such place (a missing key, an override).
    line: Option<usize>,
    /// What is wrong and what is allowed.
    message: String,
}

impl MatrixError {
    /// What is wrong, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line, from 1.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for MatrixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The text of a matrix with the overrides of the command line.
#[derive(Clone, Debug)]
pub struct MatrixSource {
    file: PathBuf,
    /// Whether the text was read from the file, which is only a name otherwise.
    is_file: bool,
    text: String,
    overrides: Vec<String>,
}

impl MatrixSource {
    /// The matrix in `file`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(file: &Path) -> Result<Self, MatrixError> {
        let text = std::fs::read_to_string(file).map_err(|error| MatrixError {
            file: file.to_owned(),
            line: None,
            message: format!("cannot read the matrix: {error}"),
        })?;
        Ok(Self { is_file: true, ..Self::new(file, text) })
    }

    /// The matrix `text`, called `file` in errors.
    #[must_use]
    pub fn new(file: &Path, text: String) -> Self {
        Self { file: file.to_owned(), is_file: false, text, overrides: Vec::new() }
    }

    /// Adds an override `PATH=VALUE`, such as `load.rates=[1, 2]` or `server.model=tiny`. A value
    /// that is not TOML is taken as text.
    pub fn set(&mut self, assignment: impl Into<String>) {
        self.overrides.push(assignment.into());
    }

    /// The text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file, or what the text is called in errors.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether the text was read from that file.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        self.is_file
    }

    /// The overrides, in order.
    #[must_use]
    pub fn overrides(&self) -> &[String] {
        &self.overrides
    }

    /// The folder that relative paths in the matrix start from.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// The matrix with the overrides in place.
    ///
    /// # Errors
    /// When the text is not TOML, or not a matrix: the error names the line, and suggests the key
    /// that was probably meant.
    pub fn parse(&self) -> Result<Matrix, MatrixError> {
        self.with(&[])
    }

    /// The matrix with the overrides and then `settings` (path and value) in place.
    ///
    /// # Errors
    /// As [`MatrixSource::parse`]; an error that only the settings cause names them.
    pub fn with(&self, settings: &[(String, toml::Value)]) -> Result<Matrix, MatrixError> {
        let written: Result<Matrix, _> = toml::from_str(&self.text);
        if self.overrides.is_empty() && settings.is_empty() {
            return written.map_err(|error| self.explain(&error));
        }
        let mut table: toml::Table =
            toml::from_str(&self.text).map_err(|error| self.explain(&error))?;
        let mut changes = Vec::new();
        for assignment in &self.overrides {
            let (path, value) = self.assignment(assignment)?;
            changes.push((path.clone(), value, path));
        }
        for (path, value) in settings {
            changes.push((path.clone(), value.clone(), format!("{path} = {value}")));
        }
        // One after the other, so that the error names the change that breaks the matrix, not all of
        // them. What is wrong before the first change is the text's own fault and has a line, unless
        // a later change mends it.
        let mut last_wrong = written.err().map(|error| self.explain(&error));
        let mut matrix = None;
        for (path, value, text) in changes {
            self.put(&mut table, &path, value)?;
            match Matrix::deserialize(table.clone()) {
                Ok(read) => (matrix, last_wrong) = (Some(read), None),
                Err(error) => {
                    let message =
                        format!("{} (with an override of {text})", advise(error.message()));
                    last_wrong.get_or_insert_with(|| self.error(None, message));
                }
            }
        }
        match (matrix, last_wrong) {
            (Some(matrix), None) => Ok(matrix),
            (_, Some(wrong)) => Err(wrong),
            (None, None) => self.with(&[]),
        }
    }

    /// Whether the text or an override has the key at `path`, whatever it says there.
    pub(crate) fn sets(&self, path: &str) -> bool {
        let overridden = |text: &String| {
            text.split_once('=').is_some_and(|(own, value)| {
                let below = path.strip_prefix(own.trim());
                below == Some("")
                    || below.and_then(|rest| rest.strip_prefix('.')).is_some_and(|rest| {
                        let value = toml::from_str::<toml::Table>(&format!("value = {value}"));
                        value.is_ok_and(|table| has(&table, &format!("value.{rest}")))
                    })
            })
        };
        self.overrides.iter().any(overridden)
            || toml::from_str::<toml::Table>(&self.text).is_ok_and(|table| has(&table, path))
    }

    /// An error about the key at `path`, with its line if the text has it, or the override that set it.
    #[must_use]
    pub fn error_at(&self, path: &str, message: impl fmt::Display) -> MatrixError {
        let sets =
            |own: &str| path == own || path.strip_prefix(own).is_some_and(|r| r.starts_with('.'));
        let own =
            self.overrides.iter().rev().filter_map(|text| Some(text.split_once('=')?.0.trim()));
        match { own }.find(|own| sets(own)) {
            Some(own) => {
                self.error(None, format!("{path}: {message} (set by an override of {own})"))
            }
            None => self.error(line_of_path(&self.text, path), format!("{path}: {message}")),
        }
    }

    fn error(&self, line: Option<usize>, message: String) -> MatrixError {
        MatrixError { file: self.file.clone(), line, message }
    }

    fn explain(&self, error: &toml::de::Error) -> MatrixError {
        let line = error.span().map(|span| line_of_byte(&self.text, span.start));
        self.error(line, advise(error.message()))
    }

    fn assignment(&self, text: &str) -> Result<(String, toml::Value), MatrixError> {
        let (path, value) = text.split_once('=').ok_or_else(|| {
            self.error(
                None,
                format!("override `{text}` has no `=`; write PATH=VALUE, like load.rates=[1, 2]"),
            )
        })?;
        let value = value.trim();
        let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"))
            .ok()
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| toml::Value::String(value.to_owned()));
        Ok((path.trim().to_owned(), parsed))
    }

    fn put(
        &self,
        table: &mut toml::Table,
        path: &str,
        value: toml::Value,
    ) -> Result<(), MatrixError> {
        let keys = keys(path).ok_or_else(|| {
            self.error(None, format!("`{path}` is not a path; write it like load.rates"))
        })?;
        let (last, parents) = keys.split_last().expect("a path that TOML reads has a key");
        let mut here = table;
        for key in parents {
            here = here
                .entry(key)
                .or_insert_with(|| toml::Value::Table(toml::Table::new()))
                .as_table_mut()
                .ok_or_else(|| {
                    self.error(None, format!("`{path}`: `{key}` is a value, not a table"))
                })?;
        }
        here.insert(last.clone(), value);
        Ok(())
    }
}

/// The keys of a path as TOML reads them: dotted, quoted where a key has a dot of its own.
fn keys(path: &str) -> Option<Vec<String>> {
    let mut table: toml::Table = toml::from_str(&format!("{path} = 0")).ok()?;
    let mut keys = Vec::new();
    loop {
        let (key, value) = std::mem::take(&mut table).into_iter().next()?;
        keys.push(key);
        match value {
            toml::Value::Table(inner) => table = inner,
            _ => return Some(keys),
        }
    }
}

/// Whether a table has the key at a path of plain names.
fn has(table: &toml::Table, path: &str) -> bool {
    match path.split_once('.') {
        None => table.contains_key(path),
        Some((first, rest)) => {
            table.get(first).and_then(toml::Value::as_table).is_some_and(|inner| has(inner, rest))
        }
    }
}

/// The message of a deserialisation error, with the nearest known key where one was misspelled.
fn advise(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let one_line = message.trim().replace('\n', "; ");
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return one_line;
    }
    let Some(given) = quoted.next() else { return one_line };
    let nearest = quoted
        .map(|known| (strsim::damerau_levenshtein(given, known), known))
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((distance, known)) if distance <= 1 + given.len() / 3 => {
            format!("{one_line}; did you mean `{known}`?")
        }
        _ => one_line,
    }
}

fn line_of_byte(text: &str, byte: usize) -> usize {
    text.as_bytes().iter().take(byte).filter(|b| **b == b'\n').count() + 1
}

/// The line of the deepest key of `path` that the text has; keys with dots match as wholes first.
fn line_of_path(text: &str, path: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut here = root.get_ref();
    let mut rest = path;
    let mut line = None;
    while !rest.is_empty() {
        let step = here.iter().find_map(|(key, value)| {
            let name: &str = key.get_ref();
            let after = rest.strip_prefix(name)?;
            let after = if after.is_empty() { after } else { after.strip_prefix('.')? };
            Some((key.span().start, value, after))
        });
        let Some((byte, value, after)) = step else { break };
        line = Some(line_of_byte(text, byte));
        rest = after;
        match value.get_ref() {
            DeValue::Table(table) => here = table,
            _ => break,
        }
    }
    line
}
