//! The audit's findings as a person reads them: the same finding of several points is one entry.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use plimsoll_records::{Finding, FindingCode, Severity};

use crate::clean::clean;
use crate::ladder::Ladder;
use crate::numbers::{count, list};

/// Findings of one code and severity, joined.
pub(crate) struct Entry {
    /// The code.
    pub(crate) code: FindingCode,
    /// What it does to the result.
    pub(crate) severity: Severity,
    /// The points it concerns, `10, 20 and 30 req/s`; empty when it concerns the run.
    pub(crate) points: String,
    /// Each different message with its points (empty when all say the same), in order.
    pub(crate) messages: Vec<(String, String)>,
    /// What to do, each different sentence once.
    pub(crate) remedies: Vec<String>,
}

/// The findings joined, gravest first, else in the order of the audit.
pub(crate) fn entries(findings: &[Finding], ladders: &[Ladder<'_>]) -> Vec<Entry> {
    let names = Names::new(ladders);
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings {
        let alike = |group: &&mut Vec<&Finding>| {
            let first = group[0];
            first.code == finding.code
                && first.severity == finding.severity
                && first.point.is_some() == finding.point.is_some()
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups.sort_by_key(|group| Reverse(group[0].severity));
    groups.iter().map(|group| entry(group, &names)).collect()
}

/// `1 error, 2 warnings and 3 notes`, or `none`.
pub(crate) fn tally(entries: &[Entry]) -> String {
    let counts: Vec<_> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .filter_map(|severity| {
            let n = entries.iter().filter(|entry| entry.severity == severity).count();
            (n > 0).then(|| count(n, &severity.to_string()))
        })
        .collect();
    if counts.is_empty() { "none".to_owned() } else { list(&counts) }
}

fn entry(group: &[&Finding], names: &Names<'_>) -> Entry {
    let mut messages: Vec<(Vec<&str>, String)> = Vec::new();
    for finding in group {
        let message = match finding.was {
            None => clean(&finding.message),
            Some(was) => {
                let by = if finding.severity < was { "allowed" } else { "denied" };
                format!("{} ({by}; the audit has it as: {was})", clean(&finding.message))
            }
        };
        let point = finding.point.as_deref();
        match messages.iter_mut().find(|(_, other)| *other == message) {
            Some((points, _)) => points.extend(point),
            None => messages.push((point.into_iter().collect(), message)),
        }
    }
    let all: Vec<_> = group.iter().filter_map(|finding| finding.point.as_deref()).collect();
    let differ = messages.len() > 1;
    Entry {
        code: group[0].code,
        severity: group[0].severity,
        points: names.list(&all),
        messages: messages
            .into_iter()
            .map(|(points, message)| {
                (if differ { names.list(&points) } else { String::new() }, message)
            })
            .collect(),
        remedies: remedies(group),
    }
}

/// Each different remedy once. Those that differ in their numbers alone (`measure for 20 s`,
/// `measure for 35 s`) are one: that with the largest, which covers the others.
fn remedies(group: &[&Finding]) -> Vec<String> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let shape = |text: &str| text.replace(is_number, "");
    let size = |text: &str| -> f64 {
        text.split(|c| !is_number(c)).filter_map(|number| number.parse::<f64>().ok()).sum()
    };
    let mut remedies: Vec<String> = Vec::new();
    for remedy in group.iter().map(|finding| clean(&finding.remedy)).filter(|r| !r.is_empty()) {
        match remedies.iter_mut().find(|other| shape(other) == shape(&remedy)) {
            Some(other) if size(other) < size(&remedy) => *other = remedy,
            Some(_) => {}
            None => remedies.push(remedy),
        }
    }
    remedies
}

/// How points are called: by what was offered, not by their ids.
struct Names<'a> {
    /// Place of the ladder, its rung's label and unit, by id.
    points: BTreeMap<&'a str, (usize, String, &'static str)>,
    /// The label of each ladder.
    ladders: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn new(ladders: &'a [Ladder<'a>]) -> Self {
        let points = ladders
            .iter()
            .enumerate()
            .flat_map(|(place, ladder)| {
                ladder.rungs.iter().map(move |rung| {
                    (rung.point.id.as_str(), (place, rung.label.clone(), ladder.axis.unit()))
                })
            })
            .collect();
        Self { points, ladders: ladders.iter().map(|ladder| ladder.label.as_str()).collect() }
    }

    /// `10, 20 and 30 req/s`; with several ladders `10 and 20 req/s (a=1); 40 req/s (a=2)`.
    fn list(&self, ids: &[&str]) -> String {
        let mut parts: Vec<(usize, &'static str, Vec<String>)> = Vec::new();
        let mut strangers = Vec::new();
        for id in ids {
            let Some((place, label, unit)) = self.points.get(id) else {
                strangers.push(clean(id));
                continue;
            };
            let part = match parts.iter().position(|(other, ..)| other == place) {
                Some(part) => &mut parts[part],
                None => {
                    parts.push((*place, unit, Vec::new()));
                    parts.last_mut().expect("one was pushed just now")
                }
            };
            if !part.2.contains(label) {
                part.2.push(label.clone());
            }
        }
        let several = self.ladders.len() > 1;
        let mut text: Vec<_> = parts
            .into_iter()
            .map(|(place, unit, labels)| {
                let name = self.ladders[place];
                let of =
                    if several && !name.is_empty() { format!(" ({name})") } else { String::new() };
                format!("{} {unit}{of}", list(&labels))
            })
            .collect();
        if !strangers.is_empty() {
            text.push(format!("point {}", list(&strangers)));
        }
        text.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_analysis::Group;

    use super::*;

    fn finding(point: Option<&str>, message: &str, remedy: &str) -> Finding {
        Finding {
            was: None,
            code: FindingCode::WindowShort,
            severity: Severity::Warning,
            point: point.map(str::to_owned),
            message: message.to_owned(),
            numbers: BTreeMap::new(),
            remedy: remedy.to_owned(),
        }
    }

    #[test]
    fn what_was_allowed_or_denied_says_so() {
        let ruled = |severity, was| Finding {
            severity,
            was: Some(was),
            ..finding(None, "it is short", "measure for 20 s")
        };
        let findings =
            [ruled(Severity::Note, Severity::Warning), ruled(Severity::Error, Severity::Warning)];
        let messages: Vec<String> =
            entries(&findings, &[]).into_iter().map(|entry| entry.messages[0].1.clone()).collect();
        assert_eq!(
            messages,
            [
                "it is short (denied; the audit has it as: warning)",
                "it is short (allowed; the audit has it as: warning)"
            ]
        );
    }

    #[test]
    fn the_same_finding_of_several_points_is_one_entry() {
        let findings = [
            finding(Some("a"), "it is short", "measure for 20 s"),
            finding(Some("b"), "it is short", "measure for 35.5 s"),
            finding(Some("c"), "it is very short", "measure for 30 s"),
            finding(None, "the run is short", "stay calm"),
        ];
        let entries = entries(&findings, &[]);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].points, "point a, b and c");
        let messages = [("point a and b", "it is short"), ("point c", "it is very short")];
        assert_eq!(entries[0].messages, messages.map(|(p, m)| (p.to_owned(), m.to_owned())));
        assert_eq!(entries[0].remedies, ["measure for 35.5 s"]);
        assert_eq!(entries[1].points, "");
        assert_eq!(tally(&entries), "2 warnings");
    }

    #[test]
    fn grave_findings_come_first() {
        let mut findings = vec![finding(None, "mild", ""); 3];
        findings[0].severity = Severity::Note;
        findings[2].severity = Severity::Error;
        let entries = entries(&findings, &crate::ladder::ladders(&[] as &[Group]));
        let severities: Vec<_> = entries.iter().map(|entry| entry.severity).collect();
        assert_eq!(severities, [Severity::Error, Severity::Warning, Severity::Note]);
        assert_eq!(tally(&entries), "1 error, 1 warning and 1 note");
        assert!(entries[0].remedies.is_empty());
    }
}
