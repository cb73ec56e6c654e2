//! A table as text, which Markdown and HTML lay out alike.

use crate::ladder::State;
use crate::numbers::UNKNOWN;

/// The class of a row that a terminal passes over.
pub(crate) const MINOR: &str = "minor";

/// A table as text.
pub(crate) struct Grid {
    /// Its columns.
    pub(crate) columns: Vec<Column>,
    /// Its rows; the first cell of each is its name.
    pub(crate) rows: Vec<Row>,
}

/// One column of a [`Grid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its head, on two lines.
    pub(crate) head: [&'static str; 2],
    /// Whether it holds words, not numbers.
    pub(crate) words: bool,
}

/// One row of a [`Grid`].
pub(crate) struct Row {
    /// What the row is, as a class of the page; empty for an ordinary one.
    pub(crate) class: &'static str,
    /// Its cells, one a column.
    pub(crate) cells: Vec<String>,
}

impl Column {
    /// A column of numbers.
    pub(crate) const fn number(head: [&'static str; 2]) -> Self {
        Self { head, words: false }
    }

    /// A column of words.
    pub(crate) const fn words(head: [&'static str; 2]) -> Self {
        Self { head, words: true }
    }
}

impl Row {
    /// An ordinary row.
    pub(crate) const fn new(cells: Vec<String>) -> Self {
        Self { class: "", cells }
    }
}

impl Grid {
    /// The table without the columns in which nothing is known; the first always stays.
    pub(crate) fn of(columns: &[Column], rows: Vec<Row>) -> Self {
        let known = |place: usize| {
            let unknown = |cell: &String| cell == UNKNOWN || cell.is_empty();
            rows.iter().any(|row| row.cells.get(place).is_some_and(|cell| !unknown(cell)))
        };
        let kept: Vec<_> = (0..columns.len()).filter(|&place| place == 0 || known(place)).collect();
        let rows = rows
            .iter()
            .map(|row| Row {
                class: row.class,
                cells: kept
                    .iter()
                    .map(|&place| row.cells.get(place).cloned().unwrap_or_default())
                    .collect(),
            })
            .collect();
        Self { columns: kept.iter().map(|&place| columns[place]).collect(), rows }
    }
}

/// The class of a point's row.
pub(crate) const fn state_class(state: State) -> &'static str {
    match state {
        State::Stable => "stable",
        State::Unstable => "unstable",
        State::Void => "void",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_in_which_nothing_is_known_are_left_out() {
        let columns = ["name", "a", "b", "c"].map(|name| Column::number([name, ""]));
        let row = |cells: [&str; 4]| Row::new(cells.map(str::to_owned).to_vec());
        let grid = Grid::of(&columns, vec![row(["", "1", "–", ""]), row(["–", "–", "–", ""])]);
        let heads: Vec<_> = grid.columns.iter().map(|column| column.head[0]).collect();
        assert_eq!(heads, ["name", "a"]);
        assert_eq!(grid.rows[1].cells, ["–", "–"]);
    }
}
