//! `report.html`: one file with everything in it, to be opened anywhere without a network.

use std::hash::{DefaultHasher, Hash, Hasher};

use askama::Template;
use plimsoll_records::Manifest;
use plimsoll_units::RunNanos;
use plotly::Plot;

use crate::clean::{clean, clean_lines};
use crate::conclusion;
use crate::definitions::{self, Section};
use crate::diagnosis::{self, Next};
use crate::document::{self, Document};
use crate::environment::Environment;
use crate::error::ReportError;
use crate::figures;
use crate::findings::{Entry, entries, tally};
use crate::gate;
use crate::gpus::{self, Gpus};
use crate::grid::{Grid, state_class};
use crate::groups::Groups;
use crate::input::ReportInput;
use crate::instrument::Instrument;
use crate::interactive::{self, Figure};
use crate::ladder::{Ladder, ladders};
use crate::markdown::resolved;
use crate::resent::resent;
use crate::server_time;
use crate::settings::{Part, Settings};
use crate::table::{Form, Table};
use crate::wording::{
    Fact, facts, headline, how_to_read, left_out, run_rows, verdict_meaning, verdict_word,
};

/// Groups whose figures are open when the page opens; the others' are drawn when opened.
const OPEN_GROUPS: usize = 3;

pub(crate) const STYLE: &str = include_str!("../templates/report.css");
const SCRIPT: &str = include_str!("../templates/report.js");

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    nonce: String,
    style: &'static str,
    script: &'static str,
    plotting: String,
    title: String,
    server: String,
    started: String,
    verdict: &'static str,
    verdict_class: String,
    meaning: String,
    conclusions: Vec<ConclusionPart<'a>>,
    environment: Vec<(&'static str, String)>,
    groups: Vec<GroupPart>,
    settings: SettingsPart,
    gpus: Vec<Grid>,
    gpu_notes: Vec<String>,
    definitions: Vec<DefinitionsPart>,
    definitions_note: &'static str,
    tally: String,
    findings: Vec<Entry>,
    instrument: InstrumentPart,
    how_to_read: Vec<(&'static str, &'static str)>,
    run: Vec<(&'static str, String)>,
    no_gpu: String,
    left_out: Vec<String>,
    remarks: Vec<String>,
    written: String,
    resolved: String,
}

/// One thing that the experiment concludes, its gates, or its groups beside each other.
struct ConclusionPart<'a> {
    title: &'a str,
    headline: &'a str,
    sections: Vec<document::Part<'a>>,
}

impl<'a> ConclusionPart<'a> {
    fn of(document: &'a Document, drawings: &'a [(String, String)]) -> Self {
        let Document { title, headline, .. } = document;
        Self { title, headline, sections: document::parts(document, drawings) }
    }
}

/// One group of the page.
struct GroupPart {
    label: String,
    headline: String,
    facts: Vec<Fact>,
    figures: Vec<Figure>,
    /// The same figures as SVG, for a reader without scripts; their text is escaped already.
    drawings: Vec<String>,
    open: bool,
    head: Vec<[&'static str; 2]>,
    rows: Vec<(&'static str, Vec<String>)>,
    footnotes: Vec<String>,
    /// Where the time goes, with how to read it.
    time: Option<(Grid, &'static str)>,
    /// Why throughput does not grow.
    diagnosis: Option<DiagnosisPart>,
}

/// Why throughput does not grow, and what to run next.
struct DiagnosisPart {
    title: &'static str,
    sentence: String,
    table: Grid,
    note: &'static str,
    next: Option<Next>,
}

/// The server's settings.
struct SettingsPart {
    sentence: String,
    /// Whether a declared one is not in effect.
    wrong: bool,
    parts: Vec<Part>,
}

/// What one other tool would have printed.
struct DefinitionsPart {
    title: String,
    words: Vec<(&'static str, &'static str)>,
    counts: String,
    /// Each group's label and table.
    tables: Vec<(String, Grid)>,
}

impl DefinitionsPart {
    fn of(section: &Section<'_>) -> Self {
        let table = |part: &definitions::Part<'_>| (part.label().to_owned(), part.grid());
        Self {
            title: section.title(),
            words: section.words(),
            counts: section.counts().unwrap_or_default(),
            tables: section.parts.iter().map(table).collect(),
        }
    }
}

/// What the client knows of itself.
struct InstrumentPart {
    sentence: String,
    facts: Vec<(&'static str, String)>,
    tables: Vec<Grid>,
    notes: Vec<&'static str>,
}

/// The report as one HTML page: figures to zoom and switch, points, findings, environment.
///
/// It holds the plotting script (about 4.5 MB) and asks the network for nothing; its content
/// security policy lets only its own scripts run. Without scripts it shows the SVG figures.
///
/// # Errors
/// When a figure or the page cannot be made.
pub fn html(input: &ReportInput<'_>) -> Result<String, ReportError> {
    let ladders = ladders(&input.judgement.groups);
    let findings = entries(&input.judgement.findings, &ladders);
    let files = figures::file_names(&ladders);
    let mut groups = Vec::with_capacity(ladders.len());
    for (place, (ladder, files)) in ladders.iter().zip(files).enumerate() {
        groups.push(group(ladder, place, files, input)?);
    }
    let mut documents: Vec<_> = gate::document(input.gates).into_iter().collect();
    documents.extend(conclusion::documents(input));
    let mut drawings = conclusion::figures(input)?;
    if let Some(groups) = Groups::of_run(input, &ladders) {
        documents.push(groups.document());
        drawings.extend(groups.figures()?);
    }
    let manifest = input.manifest;
    let instrument = Instrument::of(input, &ladders);
    let settings = Settings::of(input, &ladders);
    let gpus = Gpus::of(input, &ladders);
    let page = Page {
        nonce: nonce(manifest),
        style: STYLE,
        script: SCRIPT,
        plotting: plotting_script()?,
        title: input.title(),
        server: input.server(),
        started: clean(&manifest.started),
        verdict: verdict_word(input.judgement.verdict),
        verdict_class: input.judgement.verdict.to_string(),
        meaning: verdict_meaning(input, &findings),
        conclusions: documents.iter().map(|one| ConclusionPart::of(one, &drawings)).collect(),
        environment: Environment::of(input, &settings).rows,
        groups,
        settings: SettingsPart {
            sentence: settings.sentence().unwrap_or_default(),
            wrong: settings.is_wrong(),
            parts: settings.parts(),
        },
        gpus: gpus
            .iter()
            .flat_map(|gpus| [gpus.energy_table(), gpus.device_table()])
            .flatten()
            .collect(),
        gpu_notes: gpus.as_ref().map(Gpus::notes).unwrap_or_default(),
        definitions: Section::all(input, &ladders).iter().map(DefinitionsPart::of).collect(),
        definitions_note: definitions::NOTE,
        tally: tally(&findings),
        findings,
        instrument: InstrumentPart {
            sentence: instrument.sentence(),
            facts: instrument.facts(Form::Wide),
            tables: [instrument.test_table(), instrument.point_table()]
                .into_iter()
                .flatten()
                .collect(),
            notes: instrument.notes(),
        },
        how_to_read: how_to_read(&ladders, gpus.is_some()),
        run: run_rows(manifest),
        no_gpu: gpus::why_none(input).filter(|_| gpus.is_none()).unwrap_or_default(),
        left_out: manifest.left_out.iter().map(left_out).collect(),
        remarks: manifest.remarks.iter().map(|remark| clean(remark)).collect(),
        written: clean_lines(&manifest.matrix_written),
        resolved: clean_lines(&resolved(input)),
    };
    Ok(page.render()?)
}

fn group(
    ladder: &Ladder<'_>,
    place: usize,
    files: Vec<String>,
    input: &ReportInput<'_>,
) -> Result<GroupPart, ReportError> {
    let table = Table::of(ladder, Form::Wide);
    let footnotes = table.footnotes().map(str::to_owned).chain(resent(ladder)).collect();
    let drawings = figures::of_ladder(ladder, files)?;
    Ok(GroupPart {
        label: ladder.label.clone(),
        headline: headline(ladder, input.judgement),
        facts: facts(ladder, input),
        figures: interactive::of_ladder(ladder, place)?,
        drawings: drawings.into_iter().map(|(_, svg)| svg).collect(),
        open: place < OPEN_GROUPS,
        head: table.columns.iter().map(|(head, _)| *head).collect(),
        rows: table.rows.into_iter().map(|(state, cells)| (state_class(state), cells)).collect(),
        footnotes,
        time: server_time::table(ladder).map(|table| (table, server_time::NOTE)),
        diagnosis: diagnosis::of_interest(input.judgement.question, ladder).map(|table| {
            DiagnosisPart {
                title: diagnosis::TITLE,
                sentence: diagnosis::sentence(&ladder.group.diagnosis),
                table,
                note: diagnosis::NOTE,
                next: Next::of(input, ladder, place),
            }
        }),
    })
}

/// The plotting script alone: the crate hands it out in a script element, followed by one that
/// typesets formulas, which this report has none of.
fn plotting_script() -> Result<String, ReportError> {
    let sources = Plot::offline_js_sources();
    let (_, rest) = sources.split_once('>').ok_or(ReportError::Script)?;
    let (script, _) = rest.split_once("</script>").ok_or(ReportError::Script)?;
    if script.contains("plotly.js") { Ok(script.to_owned()) } else { Err(ReportError::Script) }
}

/// The word that lets the page's own scripts run and no other. It is the same for the same run, and
/// a server that sneaks markup into its answers cannot know it: it depends on the client's clocks
/// to the nanosecond.
fn nonce(manifest: &Manifest) -> String {
    let mut hasher = DefaultHasher::new();
    manifest.clock.monotonic(RunNanos::ZERO).hash(&mut hasher);
    manifest.clock.wall_anchor().hash(&mut hasher);
    manifest.seed.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
