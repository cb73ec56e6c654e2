//! Prompt tokens counted in this process, by the model's own tokenizer file (`workload.tokenizer`).

use crate::error::RunError;
use crate::matrix::{Matrix, MatrixError, MatrixSource};

const KEY: &str = "workload.tokenizer";

/// The tokenizer of a group's model.
#[derive(Debug)]
pub(crate) struct Tokenizer(File);

#[cfg(feature = "tokenizer")]
type File = plimsoll_workload::TokenizerFile;
/// Without the feature there is none.
#[cfg(not(feature = "tokenizer"))]
type File = std::convert::Infallible;

impl Tokenizer {
    /// The one that the workload of `matrix` names, if it names one.
    ///
    /// # Errors
    /// When it is no tokenizer, nothing is counted by it, or this build cannot read it.
    pub(crate) fn of(source: &MatrixSource, matrix: &Matrix) -> Result<Option<Self>, MatrixError> {
        let Some(path) = &matrix.workload.tokenizer else { return Ok(None) };
        if matrix.workload.input_tokens.is_none() && matrix.workload.trace.is_none() {
            return Err(source.error_at(
                KEY,
                "only synthetic prompts are measured by a tokenizer, and these come from a file; remove it",
            ));
        }
        open(source.folder().join(path)).map_err(|error| source.error_at(KEY, error)).map(Some)
    }

    /// The tokens of `text`.
    #[cfg(feature = "tokenizer")]
    pub(crate) fn count(&self, text: &str) -> Result<u32, RunError> {
        self.0.count(text).map_err(|error| RunError::Probe(error.to_string()))
    }

    /// The tokens of `text`.
    #[cfg(not(feature = "tokenizer"))]
    pub(crate) fn count(&self, _text: &str) -> Result<u32, RunError> {
        match self.0 {}
    }
}

#[cfg(feature = "tokenizer")]
fn open(path: std::path::PathBuf) -> Result<Tokenizer, plimsoll_workload::TokenizerError> {
    File::open(&path).map(Tokenizer)
}

#[cfg(not(feature = "tokenizer"))]
fn open(path: std::path::PathBuf) -> Result<Tokenizer, String> {
    Err(format!(
        "this build reads no tokenizers such as {}: build with `--features tokenizer`, or remove the key and \
         let the server count",
        path.display()
    ))
}
