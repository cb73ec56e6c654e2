//! A document as one HTML page.

use askama::Template;

use super::Document;
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

/// One section of the page; the text of a drawing is escaped already.
struct Part<'a> {
    title: &'static str,
    drawing: &'a str,
    table: Option<&'a Grid>,
    notes: &'a [String],
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
    let sections = document.sections.iter().map(|section| Part {
        title: section.title,
        drawing: figures
            .iter()
            .find(|(file, _)| Some(file.as_str()) == section.figure)
            .map_or("", |(_, svg)| svg.as_str()),
        table: section.table.as_ref(),
        notes: &section.notes,
    });
    let page = Page {
        style: STYLE,
        title: &document.title,
        headline: &document.headline,
        sections: sections.collect(),
    };
    Ok(page.render()?)
}
