//! What can go wrong when a report is made.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use thiserror::Error as ThisError;

/// Why a report could not be made or written.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum ReportError {
    /// The page could not be filled in.
    #[error("failed to render report.html")]
    Page(#[from] askama::Error),
    /// The interactive figures could not be turned into JSON.
    #[error("failed to encode the interactive figure `{figure}`")]
    Encode {
        /// The figure's id.
        figure: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The plotting library did not hand out its script in the form that this crate knows.
    #[error("the embedded plotting script is not between script tags; rebuild with plotly 0.14")]
    Script,
    /// A figure could not be drawn.
    #[error("failed to draw the figure `{figure}`")]
    Draw {
        /// The file name of the figure.
        figure: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A file could not be written.
    #[error("failed to write {}: check that the folder exists, is writable and has space left", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
