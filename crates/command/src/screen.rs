//! What a report is written on.

use std::io::IsTerminal;

/// Columns to write in: the terminal's own as the shell exports them, else 100.
#[must_use]
pub fn width() -> usize {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(100)
}

/// Whether a stream shows colours: it is a terminal, and `NO_COLOR` is not set.
#[must_use]
pub fn has_colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
