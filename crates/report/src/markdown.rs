//! `report.md`: the report for a repository, a ticket or a chat.

use std::fmt::Write as _;

use crate::clean::{clean_lines, fenced, markdown as escape};
use crate::conclusion;
use crate::definitions::{self, Section};
use crate::diagnosis::{self, Next};
use crate::environment::Environment;
use crate::figures::file_names;
use crate::findings::{Entry, entries, tally};
use crate::gate;
use crate::gpus::{self, Gpus};
use crate::grid::Grid;
use crate::groups::Groups;
use crate::input::ReportInput;
use crate::instrument::Instrument;
use crate::ladder::{Ladder, ladders};
use crate::resent::resent;
use crate::server_time;
use crate::settings::Settings;
use crate::table::{Form, Table};
use crate::wording::{
    facts, headline, how_to_read, left_out, run_rows, verdict_meaning, verdict_word,
};

/// Settings that the server filled in that are listed for one group; `report.html` has the rest.
const DEFAULTS: usize = 12;

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
        verdict_meaning(input, &entries)
    );
    let groups = Groups::of_run(input, &ladders).map(|groups| groups.document());
    let gates = gate::document(input.gates);
    for document in gates.into_iter().chain(conclusion::documents(input)).chain(groups) {
        text.push_str(&document.markdown_at(2));
        if !text.ends_with("\n\n") {
            text.push('\n');
        }
    }
    let settings = Settings::of(input, &ladders);
    text.push_str("## Environment\n\n");
    text.push_str(&pairs(&Environment::of(input, &settings).rows));
    text.push('\n');
    if ladders.is_empty() {
        text.push_str("No point was measured.\n\n");
    }
    let files = file_names(&ladders);
    for (place, (ladder, files)) in ladders.iter().zip(&files).enumerate() {
        text.push_str(&section(ladder, files, input));
        text.push_str(&diagnosis_section(ladder, place, input));
    }
    text.push_str(&settings_section(&settings));
    let gpus = Gpus::of(input, &ladders);
    text.push_str(&gpus_section(gpus.as_ref()));
    text.push_str(&definitions_section(&Section::all(input, &ladders)));
    text.push_str(&findings(&entries));
    text.push_str(&instrument(&Instrument::of(input, &ladders)));
    text.push_str("## How to read it\n\n");
    for (word, meaning) in how_to_read(&ladders, gpus.is_some()) {
        let _ = writeln!(text, "- **{word}**: {meaning}");
    }
    text.push_str(&run_section(input, gpus.is_some()));
    text
}

/// A table of names and values.
fn pairs(rows: &[(&'static str, String)]) -> String {
    let mut text = "| | |\n|---|---|\n".to_owned();
    for (name, value) in rows {
        let _ = writeln!(text, "| {name} | {} |", escape(value));
    }
    text
}

/// The server's settings, declared and in effect; empty where nothing is known of them.
fn settings_section(settings: &Settings) -> String {
    let parts = settings.parts();
    if parts.is_empty() {
        return String::new();
    }
    let mut text = "## Server settings\n\n".to_owned();
    if let Some(sentence) = settings.sentence() {
        let _ = writeln!(text, "{}.\n", escape(&sentence));
    }
    for part in parts {
        if !part.title.is_empty() {
            let _ = writeln!(text, "### {}\n", escape(&part.title));
        }
        if let Some(declared) = &part.declared {
            text.push_str(&grid(declared));
        }
        let Some(mut defaults) = part.defaults else { continue };
        let all = defaults.rows.len();
        let _ = writeln!(text, "Not declared, filled in by the server ({all}):\n");
        defaults.rows.truncate(DEFAULTS);
        text.push_str(&grid(&defaults));
        if all > DEFAULTS {
            let _ = writeln!(text, "… and {} more in report.html.\n", all - DEFAULTS);
        }
    }
    text
}

/// What the GPUs did; empty where none was sampled.
fn gpus_section(gpus: Option<&Gpus<'_>>) -> String {
    let Some(gpus) = gpus else { return String::new() };
    let mut text = "## GPUs\n\n".to_owned();
    for table in [gpus.energy_table(), gpus.device_table()].into_iter().flatten() {
        text.push_str(&grid(&table));
    }
    for note in gpus.notes() {
        let _ = writeln!(text, "{}\n", escape(&note));
    }
    text
}

/// What other tools would have printed; empty where nobody asked.
fn definitions_section(sections: &[Section<'_>]) -> String {
    if sections.is_empty() {
        return String::new();
    }
    let mut text = format!("## Other tools' words\n\n{}\n\n", escape(definitions::NOTE));
    for section in sections {
        let _ = writeln!(text, "### {}\n", escape(&section.title()));
        for (name, words) in section.words() {
            let _ = writeln!(text, "- **{name}**: {}", escape(words));
        }
        text.push('\n');
        if let Some(counts) = section.counts() {
            let _ = writeln!(text, "{}.\n", escape(&counts));
        }
        for part in &section.parts {
            let of = if part.label().is_empty() { "the points" } else { part.label() };
            let _ = writeln!(text, "<details><summary>{}</summary>\n", escape(of));
            text.push_str(&grid(&part.grid()));
            text.push_str("</details>\n\n");
        }
    }
    text
}

/// One ladder: headline, facts, points, figures.
fn section(ladder: &Ladder<'_>, files: &[String], input: &ReportInput<'_>) -> String {
    let mut text = String::new();
    if !ladder.label.is_empty() {
        let _ = writeln!(text, "## {}\n", escape(&ladder.label));
    }
    let _ = writeln!(text, "{}\n", escape(&headline(ladder, input.judgement)));
    text.push_str("| | | 95 % interval | |\n|---|---:|---|---|\n");
    for fact in facts(ladder, input) {
        let interval = fact.interval.trim_start_matches("95 % interval ");
        let (value, note) = (escape(&fact.value), escape(&fact.note));
        let _ = writeln!(text, "| {} | **{value}** | {interval} | {note} |", fact.name);
    }
    text.push('\n');
    if ladder.rungs.is_empty() {
        return text;
    }
    text.push_str(&points(ladder));
    if let Some(table) = server_time::table(ladder) {
        text.push_str("### Where the time goes\n\n");
        text.push_str(&grid(&table));
        let _ = writeln!(text, "<sub>{}</sub>  \n", escape(server_time::NOTE));
    }
    for file in files {
        let name = file.trim_end_matches(".svg").replace('-', " ");
        let _ = writeln!(text, "![{name}](figs/{file})\n");
    }
    text
}

/// Why throughput does not grow, and what to run next; empty where no point was measured.
fn diagnosis_section(ladder: &Ladder<'_>, place: usize, input: &ReportInput<'_>) -> String {
    let diagnosis = &ladder.group.diagnosis;
    let Some(table) = diagnosis::of_interest(input.judgement.question, ladder) else {
        return String::new();
    };
    let mut text =
        format!("### {}\n\n{}\n\n", diagnosis::TITLE, escape(&diagnosis::sentence(diagnosis)));
    text.push_str(&grid(&table));
    let _ = writeln!(text, "<sub>{}</sub>  \n", escape(diagnosis::NOTE));
    let Some(next) = Next::of(input, ladder, place) else { return text };
    let _ = writeln!(text, "**The next experiment.** {}\n", escape(&next.question));
    if let Some(start) = &next.start {
        let _ = writeln!(text, "First start the server with `{}`.\n", escape(start));
    }
    text.push_str(&fenced("toml", &next.changes));
    let _ = writeln!(text, "\nThe whole matrix is written; run it with\n");
    text.push_str(&fenced("", &next.command));
    text.push('\n');
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

/// A table, what is wrong in it in bold.
pub(crate) fn grid(grid: &Grid) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let heads = grid.columns.iter().map(|column| column.head.join(" ").trim().to_owned());
    let mut text = row(heads.collect());
    let aligned = grid.columns.iter().map(|column| if column.words { "---" } else { "---:" });
    text.push_str(&row(aligned.map(str::to_owned).collect()));
    for line in &grid.rows {
        let bold = if line.class == "different" { "**" } else { "" };
        let cell = |cell: &String| format!("{bold}{}{bold}", escape(cell));
        text.push_str(&row(line.cells.iter().map(cell).collect()));
    }
    text.push('\n');
    text
}

/// How the run went, what was left out, remarks, and the matrix.
fn run_section(input: &ReportInput<'_>, gpus: bool) -> String {
    let mut text = "\n## The run\n\n".to_owned();
    text.push_str(&pairs(&run_rows(input.manifest)));
    if let Some(why) = gpus::why_none(input).filter(|_| !gpus) {
        let _ = writeln!(text, "\n{}", escape(&why));
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
