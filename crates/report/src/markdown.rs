//! `report.md`: the report for a repository, a ticket or a chat.

use std::fmt::Write as _;

use crate::clean::{clean_lines, fenced, markdown as escape};
use crate::figures::file_names;
use crate::findings::{Entry, entries, tally};
use crate::input::ReportInput;
use crate::instrument::{Grid, Instrument};
use crate::ladder::{Ladder, ladders};
use crate::resent::resent;
use crate::table::{Form, Table};
use crate::wording::{
    HOW_TO_READ, environment, facts, headline, left_out, verdict_meaning, verdict_word,
};

/// The report as GitHub-flavoured Markdown, figures by relative links to `figs/`.
#[must_use]
pub fn markdown(input: &ReportInput<'_>) -> String {
    let ladders = ladders(&input.judgement.groups);
    let entries = entries(&input.judgement.findings, &ladders);
    let mut text = format!("# {}\n\n", escape(&input.title()));
    let _ = writeln!(
        text,
        "{}, started {}.\n",
        escape(&input.server()),
        escape(&input.manifest.started)
    );
    let _ = writeln!(
        text,
        "**{}**: {}.\n",
        verdict_word(input.judgement.verdict),
        verdict_meaning(input.judgement, &entries)
    );
    if ladders.is_empty() {
        text.push_str("No point was measured.\n\n");
    }
    let files = file_names(ladders.len());
    for (ladder, files) in ladders.iter().zip(&files) {
        text.push_str(&section(ladder, files, input));
    }
    text.push_str(&findings(&entries));
    text.push_str(&instrument(&Instrument::of(input, &ladders)));
    text.push_str("## How to read it\n\n");
    for (word, meaning) in HOW_TO_READ {
        let _ = writeln!(text, "- **{word}**: {meaning}");
    }
    text.push_str(&conditions(input));
    text
}

/// One ladder: headline, facts, points, figures.
fn section(ladder: &Ladder<'_>, files: &[String], input: &ReportInput<'_>) -> String {
    let mut text = String::new();
    if !ladder.label.is_empty() {
        let _ = writeln!(text, "## {}\n", escape(&ladder.label));
    }
    let _ = writeln!(text, "{}\n", escape(&headline(ladder, input.judgement.verdict)));
    text.push_str("| | | 95 % interval | |\n|---|---:|---|---|\n");
    for fact in facts(ladder, input.manifest) {
        let interval = fact.interval.trim_start_matches("95 % interval ");
        let (value, note) = (escape(&fact.value), escape(&fact.note));
        let _ = writeln!(text, "| {} | **{value}** | {interval} | {note} |", fact.name);
    }
    text.push('\n');
    if ladder.rungs.is_empty() {
        return text;
    }
    text.push_str(&points(ladder));
    for file in files {
        let name = file.trim_end_matches(".svg").replace('-', " ");
        let _ = writeln!(text, "![{name}](figs/{file})\n");
    }
    text
}

fn points(ladder: &Ladder<'_>) -> String {
    let table = Table::of(ladder, Form::Wide);
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text =
        row(table.columns.iter().map(|(head, _)| head.join(" ").trim().to_owned()).collect());
    let align = |(head, _): &([&str; 2], u8)| if head[0] == "stable" { "---" } else { "---:" };
    text.push_str(&row(table.columns.iter().map(|column| align(column).to_owned()).collect()));
    for (_, cells) in &table.rows {
        text.push_str(&row(cells.iter().map(|cell| escape(cell)).collect()));
    }
    text.push('\n');
    for note in table.footnotes() {
        let _ = writeln!(text, "<sub>{}</sub>  ", escape(note));
    }
    if let Some(note) = resent(ladder) {
        let _ = writeln!(text, "<sub>{}</sub>  ", escape(&note));
    }
    text.push('\n');
    text
}

fn findings(entries: &[Entry]) -> String {
    let mut text = format!("## Findings of the audit: {}\n\n", tally(entries));
    for entry in entries {
        let at = if entry.points.is_empty() {
            String::new()
        } else {
            format!(" at {}", escape(&entry.points))
        };
        let _ = writeln!(text, "- **{}** `{}`{at}", entry.severity, entry.code);
        for (points, message) in &entry.messages {
            let of =
                if points.is_empty() { String::new() } else { format!("{}: ", escape(points)) };
            let _ = writeln!(text, "  - {of}{}", escape(message));
        }
        for remedy in &entry.remedies {
            let _ = writeln!(text, "  - *Remedy:* {}", escape(remedy));
        }
    }
    if !entries.is_empty() {
        text.push('\n');
    }
    text
}

/// What the client knows of itself.
fn instrument(instrument: &Instrument<'_>) -> String {
    let mut text = format!("## The instrument\n\n{}\n\n", escape(&instrument.sentence()));
    for (name, words) in instrument.facts(Form::Wide) {
        let _ = writeln!(text, "- **{name}**: {}", escape(&words));
    }
    text.push('\n');
    for table in [instrument.test_table(), instrument.point_table()].into_iter().flatten() {
        text.push_str(&grid(&table));
    }
    for note in instrument.notes() {
        let _ = writeln!(text, "{}\n", escape(note));
    }
    text
}

/// A table whose first column is words and whose others are numbers.
fn grid(grid: &Grid) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = row(grid.head.iter().map(|head| head.join(" ").trim().to_owned()).collect());
    let align = |place| if place == 0 { "---" } else { "---:" };
    text.push_str(&row((0..grid.head.len()).map(|place| align(place).to_owned()).collect()));
    for cells in &grid.rows {
        text.push_str(&row(cells.iter().map(|cell| escape(cell)).collect()));
    }
    text.push('\n');
    text
}

/// Environment, what was left out, remarks, and the matrix.
fn conditions(input: &ReportInput<'_>) -> String {
    let mut text = "\n## Environment\n\n| | |\n|---|---|\n".to_owned();
    for (name, value) in environment(input.manifest) {
        let _ = writeln!(text, "| {name} | {} |", escape(&value));
    }
    for (title, lines) in [
        ("Points left out", input.manifest.left_out.iter().map(left_out).collect::<Vec<_>>()),
        ("Remarks of the run", input.manifest.remarks.clone()),
    ] {
        if !lines.is_empty() {
            let _ = writeln!(text, "\n### {title}\n");
            for line in lines {
                let _ = writeln!(text, "- {}", escape(&line));
            }
        }
    }
    text.push_str("\n<details><summary>The matrix as it was written</summary>\n\n");
    text.push_str(&fenced("toml", &input.manifest.matrix_written));
    text.push_str("\n</details>\n\n<details><summary>The matrix with overrides and defaults in place</summary>\n\n");
    text.push_str(&fenced("json", &clean_lines(&resolved(input))));
    text.push_str("\n</details>\n");
    text
}

/// The resolved matrix as indented JSON.
pub(crate) fn resolved(input: &ReportInput<'_>) -> String {
    serde_json::to_string_pretty(&input.manifest.matrix_resolved)
        .expect("a JSON value has text keys and finite numbers")
}
