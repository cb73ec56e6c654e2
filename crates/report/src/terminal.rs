//! What is printed at the end of a run.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Row, TableStyle};
use plimsoll_analysis::{Because, Question};
use plimsoll_records::{Severity, Verdict};

use crate::clean::clean;
use crate::conclusion;
use crate::definitions::{Part, Section, mark};
use crate::diagnosis::{self, Next};
use crate::environment::Environment;
use crate::findings::{Entry, entries, tally};
use crate::gate;
use crate::grid::{self, Grid, MINOR};
use crate::groups::Groups;
use crate::input::ReportInput;
use crate::instrument::Instrument;
use crate::ladder::{Ladder, State, ladders};
use crate::numbers::count;
use crate::resent::resent;
use crate::server_time;
use crate::settings::Settings;
use crate::table::{Form, Table};
use crate::wording::{facts, verdict_meaning, verdict_word};

/// The widest line that is still easy to read.
const WIDEST: usize = 100;
/// Messages of one finding that are shown; the files have the rest.
const MESSAGES: usize = 3;
/// One line under the head, none between rows.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// The report as text for a terminal: what was measured on what, a table of the points, the verdict,
/// what the ladder says, the findings with their remedies, the client's own error, and the path of the
/// HTML report.
///
/// `width` is the terminal's, in characters; lines stay within it (and within 100), down to 40, by
/// leaving out columns and breaking sentences. `colour` asks for ANSI colours; the caller decides
/// it (a terminal, no `NO_COLOR`).
#[must_use]
pub fn terminal(input: &ReportInput<'_>, width: usize, colour: bool) -> String {
    let paper = Paper::new(width, colour);
    let ladders = ladders(&input.judgement.groups);
    let entries = entries(&input.judgement.findings, &ladders);
    let mut text = String::new();

    let points: usize = ladders.iter().map(|ladder| ladder.rungs.len()).sum();
    let title = format!("{} ({})", input.title(), input.server());
    text.push_str(&paper.paragraph("", &paper.style(BOLD, &title)));
    let run = format!("{}, seed {}", count(points, "point"), input.manifest.seed);
    text.push_str(&paper.paragraph("", &paper.style(DIM, &run)));
    let settings = Settings::of(input, &ladders);
    for (name, words) in Environment::of(input, &settings).short {
        let style = if name == "settings" && settings.is_wrong() { RED } else { DIM };
        text.push_str(&paper.paragraph(&format!("  {name:<10}"), &paper.style(style, &words)));
    }
    let mut documents = conclusion::documents(input);
    // What a conclusion on latency has in its tables need not be said of each group once more.
    let is_said = input.judgement.question == Question::Latency && !documents.is_empty();
    let mut footnotes = Vec::new();
    for ladder in ladders.iter().filter(|_| !is_said) {
        text.push('\n');
        if !ladder.label.is_empty() {
            text.push_str(&paper.paragraph("", &paper.style(BOLD, &ladder.label)));
        }
        let table = paper.table(ladder, &mut text);
        for note in table.iter().flat_map(Table::footnotes) {
            if !footnotes.contains(&note) {
                footnotes.push(note);
            }
        }
    }
    for note in footnotes {
        let (mark, rest) = note.split_once(' ').unwrap_or((note, ""));
        text.push_str(&paper.paragraph(&format!(" {mark} "), &paper.style(DIM, rest)));
    }
    for ladder in &ladders {
        if let Some(note) = resent(ladder) {
            let of = if ladder.label.is_empty() { "" } else { ": " };
            let note = format!("{}{of}{note}", ladder.label);
            text.push_str(&paper.paragraph(" · ", &paper.style(DIM, &note)));
        }
    }

    let word =
        paper.style(verdict_style(input.judgement.verdict), verdict_word(input.judgement.verdict));
    let meaning = verdict_meaning(input, &entries);
    text.push('\n');
    text.push_str(&paper.paragraph("", &format!("{word}: {meaning}.")));
    if documents.is_empty() {
        documents.extend(Groups::of_run(input, &ladders).map(|groups| groups.document()));
    }
    let documents = gate::document(input.gates).into_iter().chain(documents);
    for document in documents {
        text.push('\n');
        text.push_str(&document.on(&paper));
    }
    for ladder in ladders.iter().filter(|_| !is_said) {
        text.push('\n');
        if !ladder.label.is_empty() {
            text.push_str(&paper.paragraph("  ", &ladder.label));
        }
        text.push_str(&paper.facts(ladder, input));
    }
    if !is_said {
        text.push_str(&paper.diagnoses(&ladders, input));
    }

    for section in Section::all(input, &ladders) {
        text.push_str(&paper.definitions(&section));
    }
    text.push_str(&paper.findings(&entries));
    text.push_str(&paper.instrument(&Instrument::of(input, &ladders)));
    let path = clean(&input.report_path().display().to_string());
    let _ = writeln!(text, "\nReport: {path}");
    text
}

const BOLD: &str = "1";
const DIM: &str = "2";
pub(crate) const RED: &str = "1;31";
pub(crate) const GREEN: &str = "1;32";
const YELLOW: &str = "1;33";

pub(crate) const fn verdict_style(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => GREEN,
        Verdict::Qualified => YELLOW,
        Verdict::Invalid => RED,
    }
}

pub(crate) const fn severity_style(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => RED,
        Severity::Warning => YELLOW,
        Severity::Note => DIM,
    }
}

/// How wide a line may be, and whether it may have colours.
pub(crate) struct Paper {
    pub(crate) width: usize,
    pub(crate) colour: bool,
}

impl Paper {
    /// Lines of `width` characters, within what can be read and what has room for anything.
    pub(crate) fn new(width: usize, colour: bool) -> Self {
        Self { width: width.clamp(40, WIDEST), colour }
    }

    /// What stands out.
    pub(crate) fn bold(&self, text: &str) -> String {
        self.style(BOLD, text)
    }

    /// What stands back.
    pub(crate) fn dim(&self, text: &str) -> String {
        self.style(DIM, text)
    }

    /// A table without the columns at its right that have no room, and a line that names those.
    pub(crate) fn grid(&self, grid: &Grid) -> String {
        let mut kept = grid.columns.len();
        let mut drawn = draw_grid(grid, kept);
        while kept > 1 && drawn.iter().any(|line| columns_of(line) > self.width) {
            kept -= 1;
            drawn = draw_grid(grid, kept);
        }
        let rows = shown(grid).count();
        let head = drawn.len().saturating_sub(rows);
        let mut text = String::new();
        for (place, line) in drawn.iter().enumerate() {
            let line = if place + 1 < head { self.bold(line) } else { line.clone() };
            text.push_str(&line);
            text.push('\n');
        }
        let names: Vec<_> = grid.columns[kept..]
            .iter()
            .map(|column| column.head.join(" ").trim().to_owned())
            .collect();
        if !names.is_empty() {
            let left_out = format!("no room for: {}", names.join(", "));
            text.push_str(&self.paragraph(" · ", &self.dim(&left_out)));
        }
        if rows < grid.rows.len() {
            let more = format!("{} more in the report", count(grid.rows.len() - rows, "row"));
            text.push_str(&self.paragraph(" · ", &self.dim(&more)));
        }
        text
    }

    pub(crate) fn style(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Appends the points, with as many columns as fit; `None` when there are none.
    fn table(&self, ladder: &Ladder<'_>, text: &mut String) -> Option<Table> {
        if ladder.rungs.is_empty() {
            text.push_str("no point was measured\n");
            return None;
        }
        let mut table = Table::of(ladder, Form::Narrow);
        let mut drawn = draw(&table);
        while drawn.iter().any(|line| columns_of(line) > self.width) && table.give_up_a_column() {
            drawn = draw(&table);
        }
        // Rows hold no line ends, so the last lines are the rows, one each.
        let head = drawn.len().saturating_sub(table.rows.len());
        for (place, line) in drawn.iter().enumerate() {
            let style = match place.checked_sub(head).map(|row| table.rows[row].0) {
                Some(State::Stable) => None,
                Some(State::Unstable | State::Void) => Some(DIM),
                None => (place + 1 < head).then_some(BOLD),
            };
            match style {
                Some(code) => text.push_str(&self.style(code, line)),
                None => text.push_str(line),
            }
            text.push('\n');
        }
        Some(table)
    }

    /// What another tool would have printed, with as many columns as fit.
    fn definitions(&self, section: &Section<'_>) -> String {
        let mut text = format!("\n{}", self.paragraph("", &self.style(BOLD, &section.title())));
        let mut marks: Vec<Because> = Vec::new();
        let mut missing = Vec::new();
        for part in &section.parts {
            missing.extend(part.missing());
            if !part.label().is_empty() {
                text.push_str(&self.paragraph("", part.label()));
            }
            let drawn = (1..=Part::NARROW_COLUMNS).rev().find_map(|columns| {
                let mut marks = marks.clone();
                let table = part.narrow(section.tool, columns, &mut marks);
                let lines = draw_grid(&table, table.columns.len());
                let fits = lines.iter().all(|line| columns_of(line) <= self.width);
                fits.then_some((lines, marks))
            });
            let Some((lines, with_new)) = drawn else { continue };
            for line in lines {
                text.push_str(&line);
                text.push('\n');
            }
            marks = with_new;
        }
        for (place, why) in marks.iter().enumerate() {
            let why = self.style(DIM, why.as_str());
            text.push_str(&self.paragraph(&format!(" {} ", mark(place)), &why));
        }
        missing.dedup();
        for why in missing {
            text.push_str(&self.paragraph(" – ", &self.style(DIM, why.as_str())));
        }
        if let Some(counts) = section.counts() {
            text.push_str(&self.paragraph(" · ", &self.style(DIM, &counts)));
        }
        let words: Vec<_> =
            section.words().iter().map(|(name, words)| format!("{name}: {words}")).collect();
        text.push_str(&self.paragraph(" · ", &self.style(DIM, &words.join("; "))));
        text
    }

    fn facts(&self, ladder: &Ladder<'_>, input: &ReportInput<'_>) -> String {
        let mut text = String::new();
        // The numbers of an invalid measurement do not stand out.
        let style = if input.judgement.verdict == Verdict::Invalid { DIM } else { BOLD };
        let facts = facts(ladder, input).into_iter().chain(server_time::fact(ladder));
        // What limits the server has a section of its own here.
        for fact in facts.filter(|fact| fact.name != diagnosis::LIMITED_BY) {
            let mut said = self.style(style, &fact.value);
            if !fact.interval.is_empty() {
                let _ = write!(said, " ({})", fact.interval);
            }
            if !fact.note.is_empty() {
                let _ = write!(said, ": {}", fact.note);
            }
            text.push_str(&self.paragraph(&format!("  {:<14}", fact.name), &said));
        }
        text
    }

    /// Why throughput does not grow, with the strongest evidence, and what to run next; empty where no
    /// point was measured.
    fn diagnoses(&self, ladders: &[Ladder<'_>], input: &ReportInput<'_>) -> String {
        let mut text = String::new();
        for (place, ladder) in ladders.iter().enumerate() {
            let diagnosis = &ladder.group.diagnosis;
            if diagnosis.hypotheses.is_empty() {
                continue;
            }
            if text.is_empty() {
                let _ = writeln!(text, "\n{}", diagnosis::TITLE);
            }
            let of = if ladder.label.is_empty() { "" } else { ": " };
            let line = format!("{}{of}{}", ladder.label, diagnosis::line(diagnosis));
            text.push_str(&self.paragraph("  ", &line));
            let Some(next) = Next::of(input, ladder, place) else { continue };
            text.push_str(&self.paragraph("  → ", &self.style(DIM, &next.question)));
            if let Some(start) = &next.start {
                let words = format!("first start the server with {start}");
                text.push_str(&self.paragraph("    ", &self.style(DIM, &words)));
            }
            let _ = writeln!(text, "    {}", next.command);
        }
        text
    }

    /// The findings, notes briefly.
    fn findings(&self, entries: &[Entry]) -> String {
        let mut text = format!("\nFindings of the audit: {}\n", tally(entries));
        for entry in entries {
            let name = self.style(
                severity_style(entry.severity),
                &format!("{:<8}", entry.severity.to_string()),
            );
            let mut head = self.style(BOLD, entry.code.as_str());
            if !entry.points.is_empty() {
                let _ = write!(head, " at {}", entry.points);
            }
            if entry.severity == Severity::Note {
                // A note says nothing against the result: its first message alone.
                if let Some((_, message)) = entry.messages.first() {
                    let _ = write!(head, ": {message}");
                }
                if entry.messages.len() > 1 {
                    head.push_str(" (others alike)");
                }
                text.push_str(&self.paragraph(&format!("  {name} "), &head));
                continue;
            }
            text.push_str(&self.paragraph(&format!("  {name} "), &head));
            for (points, message) in entry.messages.iter().take(MESSAGES) {
                let of = if points.is_empty() { String::new() } else { format!("{points}: ") };
                text.push_str(&self.paragraph("           ", &format!("{of}{message}")));
            }
            if entry.messages.len() > MESSAGES {
                let more = format!("… and {} more in the report", entry.messages.len() - MESSAGES);
                text.push_str(&self.paragraph("           ", &more));
            }
            for remedy in &entry.remedies {
                text.push_str(&self.paragraph("           → ", remedy));
            }
        }
        text
    }

    /// What the client's own error was, and what else it knows of itself.
    fn instrument(&self, instrument: &Instrument<'_>) -> String {
        let mut text = format!("\n{}", self.paragraph("", &instrument.sentence()));
        for (name, words) in instrument.facts(Form::Narrow) {
            text.push_str(&self.paragraph(&format!("  {name:<12}  "), &self.style(DIM, &words)));
        }
        text
    }

    /// `text` broken between words, its first line after `lead`, the others indented as far.
    pub(crate) fn paragraph(&self, lead: &str, text: &str) -> String {
        let indent = columns_of(lead);
        let mut lines = String::from(lead);
        let mut used = indent;
        for (place, word) in text.split(' ').enumerate() {
            let length = columns_of(word);
            if place > 0 && used + 1 + length > self.width {
                lines.push('\n');
                lines.push_str(&" ".repeat(indent));
                used = indent;
            } else if place > 0 {
                lines.push(' ');
                used += 1;
            }
            lines.push_str(word);
            used += length;
        }
        lines.push('\n');
        lines
    }
}

/// The lines of the points' table.
fn draw(table: &Table) -> Vec<String> {
    let heads: Vec<_> =
        table.columns.iter().map(|(head, _)| (*head, head[0] == "stable")).collect();
    draw_lines(&heads, table.rows.iter().map(|(_, cells)| cells.as_slice()))
}

/// The lines of the first `kept` columns of any other.
fn draw_grid(grid: &Grid, kept: usize) -> Vec<String> {
    let columns = grid.columns[..kept].iter();
    let heads: Vec<_> = columns.map(|column| (column.head, column.words)).collect();
    draw_lines(&heads, shown(grid).map(|row| &row.cells[..kept]))
}

/// The rows that a terminal has room for.
fn shown(grid: &Grid) -> impl Iterator<Item = &grid::Row> {
    grid.rows.iter().filter(|row| row.class != MINOR)
}

/// The lines of a table of `heads`, each with whether its column holds words, and `rows`.
fn draw_lines<'a>(
    heads: &[([&str; 2], bool)],
    rows: impl Iterator<Item = &'a [String]>,
) -> Vec<String> {
    let mut drawn = comfy_table::Table::new();
    drawn.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
    let cell = |place: usize, text: &str| match heads.get(place) {
        Some((_, true)) => Cell::new(text),
        _ => Cell::new(text).set_alignment(CellAlignment::Right),
    };
    let head = heads.iter().enumerate().map(|(place, (head, _))| cell(place, &head.join("\n")));
    drawn.set_header(Row::from(head.collect::<Vec<_>>()));
    for cells in rows {
        let cells = cells.iter().enumerate().map(|(place, text)| cell(place, text));
        drawn.add_row(Row::from(cells.collect::<Vec<_>>()));
    }
    drawn.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// How many columns of a terminal a text takes: characters, escape sequences left out. (Wide
/// characters of some scripts take two; a line of theirs may be broken late.)
fn columns_of(text: &str) -> usize {
    let mut columns = 0;
    let mut inside = false;
    for c in text.chars() {
        match c {
            '\u{1b}' => inside = true,
            'm' if inside => inside = false,
            _ if !inside => columns += 1,
            _ => {}
        }
    }
    columns
}
