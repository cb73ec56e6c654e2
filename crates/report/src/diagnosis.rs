//! Why throughput does not grow: the hypotheses as a table, the answer in a line, the next experiment.

use plimsoll_analysis::{
    Cause, Diagnosis, Evidence, NextExperiment, Question, Standing, next_experiment,
};
use plimsoll_records::ResultsFolder;

use crate::clean::clean;
use crate::grid::{Column, Grid, Row};
use crate::input::ReportInput;
use crate::ladder::Ladder;
use crate::wording::Fact;

/// The heading.
pub(crate) const TITLE: &str = "Why does throughput not grow?";
/// How to read the table.
pub(crate) const NOTE: &str = "Each hypothesis with what was measured for and against it. Supported: everything that it needs was seen. Contradicted: something that was seen rules it out. Of two that are supported the one that acts earlier on a request's way is the answer.";
/// What stands for nothing.
const NOTHING: &str = "–";
/// Pieces of evidence that the short form has.
const STRONGEST: usize = 2;

/// The answer, to be shown with the capacity; `None` where there is none.
pub(crate) fn fact(ladder: &Ladder<'_>) -> Option<Fact> {
    let diagnosis = &ladder.group.diagnosis;
    let answer = words(diagnosis.answer?);
    Some(Fact::new(LIMITED_BY, answer.to_owned(), String::new(), strongest(diagnosis)))
}

/// The name of that.
pub(crate) const LIMITED_BY: &str = "limited by";

/// The answer in one line with the strongest evidence, or that there is none.
pub(crate) fn line(diagnosis: &Diagnosis) -> String {
    match diagnosis.answer {
        Some(answer) => format!("{}: {}", answer.words(), strongest(diagnosis)),
        None => clean(&diagnosis.sentence),
    }
}

/// The whole answer as a sentence.
pub(crate) fn sentence(diagnosis: &Diagnosis) -> String {
    let text = clean(&diagnosis.sentence);
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

fn strongest(diagnosis: &Diagnosis) -> String {
    let Some(answer) = diagnosis.hypotheses.first() else { return String::new() };
    let first: Vec<String> =
        answer.supporting.iter().take(STRONGEST).map(|it| clean(&it.text)).collect();
    first.join("; ")
}

/// The hypotheses; `None` where nothing was weighed.
fn table(diagnosis: &Diagnosis) -> Option<Grid> {
    const COLUMNS: [Column; 5] = [
        Column::words(["hypothesis", ""]),
        Column::words(["standing", ""]),
        Column::words(["speaks for it", ""]),
        Column::words(["speaks against it", ""]),
        Column::words(["not known", ""]),
    ];
    let told = |evidence: &[Evidence]| {
        let texts: Vec<String> = evidence.iter().map(|it| clean(&it.text)).collect();
        if texts.is_empty() { NOTHING.to_owned() } else { texts.join("; ") }
    };
    let rows = diagnosis.hypotheses.iter().map(|it| Row {
        class: if Some(it.cause) == diagnosis.answer { "answer" } else { class(it.standing) },
        cells: vec![
            words(it.cause).to_owned(),
            standing(it.standing).to_owned(),
            told(&it.supporting),
            told(&it.contradicting),
            if it.unknown.is_empty() { NOTHING.to_owned() } else { clean(&it.unknown.join("; ")) },
        ],
    });
    let rows: Vec<Row> = rows.collect();
    (!rows.is_empty()).then(|| Grid::of(&COLUMNS, rows))
}

/// The hypotheses of a ladder, where they have something to say: where latency is asked and nothing keeps
/// throughput from growing, nobody misses an answer.
pub(crate) fn of_interest(question: Question, ladder: &Ladder<'_>) -> Option<Grid> {
    let diagnosis = &ladder.group.diagnosis;
    let silent = question == Question::Latency && diagnosis.answer.is_none();
    table(diagnosis).filter(|_| !silent)
}

/// The next experiment as it is shown.
pub(crate) struct Next {
    /// What it asks.
    pub(crate) question: String,
    /// What the server must be started with, where it is only attached.
    pub(crate) start: Option<String>,
    /// What differs from the matrix of the run, as TOML.
    pub(crate) changes: String,
    /// The command that runs it.
    pub(crate) command: String,
}

impl Next {
    /// That of the ladder at `place`; `None` where there is none.
    pub(crate) fn of(input: &ReportInput<'_>, ladder: &Ladder<'_>, place: usize) -> Option<Self> {
        let (next, file) = of_ladder(input, ladder, place)?;
        let lines: Vec<String> = next.changes.iter().map(|change| clean(&change.line())).collect();
        let path = input.results.join(file);
        Some(Self {
            question: clean(&next.question),
            start: next.start_server_with.as_deref().map(clean),
            changes: lines.join("\n"),
            command: clean(&format!("saturation {}", path.display())),
        })
    }
}

/// The next experiment of the ladder at `place`, with the name of its file in the results folder.
pub(crate) fn of_ladder(
    input: &ReportInput<'_>,
    ladder: &Ladder<'_>,
    place: usize,
) -> Option<(NextExperiment, String)> {
    // What would tell why throughput does not grow is no next step of who asks for latencies.
    let asked = input.judgement.question != Question::Latency;
    let next = next_experiment(input.manifest, ladder.group).filter(|_| asked)?;
    Some((next, ResultsFolder::next_matrix_name(place, input.judgement.groups.len())))
}

/// What a cause is called in a table.
pub(crate) const fn words(cause: Cause) -> &'static str {
    match cause {
        Cause::Load => "offered load",
        Cause::Network => "network",
        Cause::FrontEnd => "front end",
        Cause::KvCache => "KV cache",
        Cause::Slots => "slots",
        Cause::TokenBudget => "token budget",
        other => other.as_str(),
    }
}

const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Supported => "supported",
        Standing::NotEnoughEvidence => "not enough evidence",
        Standing::Contradicted => "contradicted",
    }
}

/// The class of a row.
const fn class(standing: Standing) -> &'static str {
    match standing {
        Standing::Contradicted => "ruled-out",
        _ => "",
    }
}
