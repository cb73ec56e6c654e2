//! A report of its own beside that of a run: sections of tables, figures and notes, in every form.

mod page;

use std::fmt::Write as _;

use crate::clean::markdown as escape;
use crate::grid::Grid;
use crate::markdown;
use crate::terminal::Paper;

pub(crate) use page::{Part, page, parts};

/// What a document says, before it is laid out. Its text is cleaned by whoever makes it.
pub(crate) struct Document {
    /// What was measured.
    pub(crate) title: String,
    /// The result in a sentence, without a full stop.
    pub(crate) headline: String,
    /// Its parts.
    pub(crate) sections: Vec<Section>,
}

/// One part of a document.
pub(crate) struct Section {
    /// Its heading.
    pub(crate) title: String,
    /// File name of its figure, if it has one.
    pub(crate) figure: Option<String>,
    /// Its table, if it has one.
    pub(crate) table: Option<Grid>,
    /// Sentences below, without full stops.
    pub(crate) notes: Vec<String>,
}

impl Document {
    /// For a terminal of `width` characters: tables give up columns from the right until they fit, and
    /// say which.
    pub(crate) fn terminal(&self, width: usize, colour: bool) -> String {
        self.on(&Paper::new(width, colour))
    }

    /// The same, as a part of something larger.
    pub(crate) fn on(&self, paper: &Paper) -> String {
        let mut text = paper.paragraph("", &paper.bold(&self.title));
        text.push('\n');
        text.push_str(&paper.paragraph("", &format!("{}.", self.headline)));
        // A figure alone has nothing to say here.
        for section in self.sections.iter().filter(|it| it.table.is_some() || !it.notes.is_empty())
        {
            text.push('\n');
            text.push_str(&paper.paragraph("", &paper.bold(&section.title)));
            if let Some(table) = &section.table {
                text.push_str(&paper.grid(table));
            }
            for note in &section.notes {
                text.push_str(&paper.paragraph(" · ", &paper.dim(note)));
            }
        }
        text
    }

    /// As GitHub-flavoured Markdown, figures by relative links to `figs/`.
    pub(crate) fn markdown(&self) -> String {
        self.markdown_at(1)
    }

    /// The same with its title as a heading of level `level`, as a part of something larger.
    pub(crate) fn markdown_at(&self, level: usize) -> String {
        let marks = "#".repeat(level);
        let (title, headline) = (escape(&self.title), escape(&self.headline));
        let mut text = format!("{marks} {title}\n\n{headline}.\n");
        for section in &self.sections {
            if !text.ends_with("\n\n") {
                text.push('\n');
            }
            let _ = writeln!(text, "{marks}# {}\n", escape(&section.title));
            if let Some(file) = &section.figure {
                let name = file.trim_end_matches(".svg").replace('-', " ");
                let _ = writeln!(text, "![{name}](figs/{file})\n");
            }
            if let Some(table) = &section.table {
                text.push_str(&markdown::grid(table));
            }
            for note in &section.notes {
                let _ = writeln!(text, "- {}", escape(note));
            }
        }
        text
    }
}
