//! A document as one HTML page.

use askama::Template;

use super::{Document, Section};
use crate::error::ReportError;
use crate::grid::Grid;
use crate::html::STYLE;

#[derive(Template)]
#[template(path = "document.html")]
struct Page<'a> {
    style: &'static str,
    title: &'a str,
    headline: &'a str,
    sections: Vec<Part<'a>>,
}

/// One section of a page; the text of a drawing is escaped already.
pub(crate) struct Part<'a> {
    pub(crate) title: &'a str,
    pub(crate) drawing: &'a str,
    pub(crate) table: Option<&'a Grid>,
    pub(crate) notes: &'a [String],
}

/// The sections of `document` with their drawings, of which `figures` holds the text by their file names.
pub(crate) fn parts<'a>(document: &'a Document, figures: &'a [(String, String)]) -> Vec<Part<'a>> {
    let part = |section: &'a Section| Part {
        title: &section.title,
        drawing: figures
            .iter()
            .find(|(file, _)| Some(file) == section.figure.as_ref())
            .map_or("", |(_, svg)| svg.as_str()),
        table: section.table.as_ref(),
        notes: &section.notes,
    };
    document.sections.iter().map(part).collect()
}

/// The document as one page that holds its figures as SVG, has no script and asks the network for
/// nothing. `figures` are the drawings by their file names.
///
/// # Errors
/// When the page cannot be filled in.
pub(crate) fn page(
    document: &Document,
    figures: &[(String, String)],
) -> Result<String, ReportError> {
    let page = Page {
        style: STYLE,
        title: &document.title,
        headline: &document.headline,
        sections: parts(document, figures),
    };
    Ok(page.render()?)
}
