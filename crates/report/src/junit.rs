//! JUnit XML, as GitHub, GitLab and Jenkins read it: what failed, where CI shows failed tests.

use std::fmt::Write as _;

use plimsoll_records::{Finding, Severity, Verdict};

use crate::clean::clean;
use crate::findings::entries;
use crate::input::ReportInput;
use crate::ladder::{Ladder, Rung, State, ladders};
use crate::wording::verdict_meaning;

/// The measurements as one JUnit file: `testsuites` with, for each run, a suite `audit` (the verdict, and
/// every error of the audit about the run as a whole), a suite for each group of points (a case a point,
/// failed where an error voids it, with its warnings as output) and a suite `gates` (a case a gate,
/// failed where it was not passed).
///
/// A case's `time` is the length of its measure window in seconds. Text from outside is cleaned and
/// escaped; the result is well-formed XML 1.0.
#[must_use]
pub fn junit(runs: &[ReportInput<'_>]) -> String {
    let suites: Vec<Suite> = runs.iter().flat_map(of_run).collect();
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let sum = |of: fn(&Suite) -> usize| suites.iter().map(of).sum::<usize>();
    let _ = writeln!(
        text,
        "<testsuites name=\"plimsoll\" tests=\"{}\" failures=\"{}\" errors=\"0\">",
        sum(|suite| suite.cases.len()),
        sum(Suite::failures)
    );
    for suite in &suites {
        suite.write(&mut text);
    }
    text.push_str("</testsuites>\n");
    text
}

struct Suite {
    name: String,
    timestamp: String,
    cases: Vec<Case>,
}

struct Case {
    class: String,
    name: String,
    seconds: f64,
    /// Each failure: what it is of, a sentence, and more.
    failures: Vec<(String, String, String)>,
    output: Vec<String>,
}

fn of_run(input: &ReportInput<'_>) -> Vec<Suite> {
    let ladders = ladders(&input.judgement.groups);
    let class = clean(&input.manifest.experiment);
    let suite = |name: &str, cases| Suite {
        name: format!("{}: {name}", input.title()),
        timestamp: input.manifest.started.trim_end_matches('Z').to_owned(),
        cases,
    };
    let mut suites = vec![suite("audit", audit(input, &ladders, &class))];
    for ladder in ladders.iter().filter(|ladder| !ladder.rungs.is_empty()) {
        let name = if ladder.label.is_empty() { "points" } else { &ladder.label };
        let class = format!("{class}.{name}");
        let case = |rung| point(rung, ladder, &input.judgement.findings, &class);
        suites.push(suite(name, ladder.rungs.iter().map(case).collect()));
    }
    let gate = |gated: &crate::Gated| {
        let standing = gated.standing.to_string();
        let failed =
            (!gated.standing.passes()).then(|| (standing, gated.said.clone(), String::new()));
        Case {
            class: format!("{class}.gates"),
            name: gated.condition.clone(),
            seconds: 0.0,
            failures: failed.into_iter().collect(),
            output: vec![gated.said.clone()],
        }
    };
    if !input.gates.is_empty() {
        suites.push(suite("gates", input.gates.iter().map(gate).collect()));
    }
    suites
}

/// The verdict, and a case for each error about the run as a whole.
fn audit(input: &ReportInput<'_>, ladders: &[Ladder<'_>], class: &str) -> Vec<Case> {
    let judgement = input.judgement;
    let of_run = |severity| {
        let findings = judgement.findings.iter();
        findings.filter(move |it| it.point.is_none() && it.severity == severity)
    };
    let meaning = verdict_meaning(input, &entries(&judgement.findings, ladders));
    let failed = (judgement.verdict == Verdict::Invalid)
        .then(|| ("invalid".to_owned(), meaning.clone(), String::new()));
    let mut output = vec![format!("{}: {meaning}", judgement.verdict)];
    output.extend(of_run(Severity::Warning).map(said));
    let class = format!("{class}.audit");
    let verdict = Case {
        class: class.clone(),
        name: "verdict".to_owned(),
        seconds: 0.0,
        failures: failed.into_iter().collect(),
        output,
    };
    let error = |finding: &Finding| Case {
        class: class.clone(),
        name: finding.code.to_string(),
        seconds: 0.0,
        failures: vec![failure(finding)],
        output: Vec::new(),
    };
    std::iter::once(verdict).chain(of_run(Severity::Error).map(error)).collect()
}

fn point(rung: &Rung<'_>, ladder: &Ladder<'_>, findings: &[Finding], class: &str) -> Case {
    let own = |severity| {
        findings
            .iter()
            .filter(move |it| it.point.as_ref() == Some(&rung.point.id) && it.severity == severity)
    };
    let state = match rung.state {
        State::Stable => "the server kept up",
        State::Unstable => "the server did not keep up",
        State::Void => "voided by the audit",
    };
    let mut output = vec![format!(
        "{} req/s completed; {state}",
        crate::numbers::three_digits(rung.point.throughput_per_s.value)
    )];
    output.extend(own(Severity::Warning).map(said));
    Case {
        class: class.to_owned(),
        name: format!("{} {}", rung.label, ladder.axis.unit()),
        seconds: rung.point.window.length().as_secs_f64(),
        failures: own(Severity::Error).map(failure).collect(),
        output,
    }
}

fn failure(finding: &Finding) -> (String, String, String) {
    (finding.code.to_string(), finding.message.clone(), format!("remedy: {}", finding.remedy))
}

fn said(finding: &Finding) -> String {
    format!("{} {}: {}", finding.severity, finding.code, finding.message)
}

impl Suite {
    fn failures(&self) -> usize {
        self.cases.iter().filter(|case| !case.failures.is_empty()).count()
    }

    fn write(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"0\" time=\"{:.3}\" \
             timestamp=\"{}\">",
            escape(&self.name),
            self.cases.len(),
            self.failures(),
            self.cases.iter().map(|case| case.seconds).sum::<f64>(),
            escape(&self.timestamp)
        );
        for case in &self.cases {
            case.write(text);
        }
        text.push_str("  </testsuite>\n");
    }
}

impl Case {
    fn write(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">",
            escape(&self.class),
            escape(&self.name),
            self.seconds
        );
        // Readers show one failure a case: the others stand in its text.
        if let Some((kind, message, more)) = self.failures.first() {
            let mut body = more.clone();
            for (kind, message, more) in &self.failures[1..] {
                let _ = write!(body, "\n{kind}: {message}\n{more}");
            }
            let _ = writeln!(
                text,
                "      <failure type=\"{}\" message=\"{}\">{}</failure>",
                escape(kind),
                escape(message),
                lines(&body)
            );
        }
        if !self.output.is_empty() {
            let _ =
                writeln!(text, "      <system-out>{}</system-out>", lines(&self.output.join("\n")));
        }
        text.push_str("    </testcase>\n");
    }
}

/// Text of several lines, each cleaned and escaped.
fn lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

/// `text` on one line, for an attribute or an element.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // No characters of XML 1.0.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}
