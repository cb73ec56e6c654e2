//! The audit alone, finding by finding, as a compiler prints its lints.

use std::fmt::Write as _;
use std::path::Path;

use plimsoll_analysis::Judgement;
use plimsoll_records::{AuditPolicy, Finding, LeftOut, Severity};
use serde_json::{Value, json};

use crate::clean::clean;
use crate::gate::{self, Gated};
use crate::json::finding as finding_json;
use crate::numbers::{count, list, plain};
use crate::terminal::{GREEN, Paper, RED, severity_style, verdict_style};
use crate::wording::verdict_word;

const BOLD: &str = "1";

/// A results folder and what the audit says of it.
#[derive(Clone, Copy, Debug)]
pub struct Audited<'a> {
    /// The folder, as it is to be shown.
    pub results: &'a Path,
    /// The judgement of its points.
    pub judgement: &'a Judgement,
    /// What was allowed and denied for it.
    pub policy: &'a AuditPolicy,
    /// Points that were begun and of which nothing is said, and why.
    pub unfinished: &'a [LeftOut],
    /// The gates that it was held against.
    pub gates: &'a [Gated],
}

/// Every finding with its severity, code, point, numbers and remedy, gravest first, then the verdict in one
/// line: for a terminal of `width` columns, with colours if `colour`. Ends with a line end.
#[must_use]
pub fn lints(audited: &Audited<'_>, width: usize, colour: bool) -> String {
    let paper = Paper { width: width.max(40), colour };
    let findings = &audited.judgement.findings;
    let mut text: String = findings.iter().map(|finding| lint(finding, &paper)).collect();
    for left_out in audited.unfinished {
        let words = format!("point {}: {}", clean(&left_out.point), clean(&left_out.reason));
        text.push_str(&paper.paragraph("not judged: ", &words));
        text.push('\n');
    }
    for gated in audited.gates {
        let passes = gated.standing.passes();
        let code = if passes { GREEN } else { RED };
        let head = format!("gate {}", paper.style(code, &gated.standing.to_string()));
        let words = format!("{}: {}", clean(&gated.condition), clean(&gated.said));
        text.push_str(&paper.paragraph(&format!("{head}: "), &words));
    }
    if !audited.gates.is_empty() {
        text.push('\n');
    }
    let verdict = audited.judgement.verdict;
    let counts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .map(|severity| (findings.iter().filter(|it| it.severity == severity).count(), severity))
        .filter(|(n, _)| *n > 0)
        .map(|(n, severity)| count(n, &severity.to_string()))
        .collect();
    let mut said = paper.style(verdict_style(verdict), verdict_word(verdict));
    let findings = if counts.is_empty() { "no finding".to_owned() } else { list(&counts) };
    let _ = write!(said, ": {}: {findings}", clean(&audited.results.display().to_string()));
    if !audited.policy.is_empty() {
        let _ = write!(said, " ({})", audited.policy.in_words());
    }
    text.push_str(&paper.paragraph("", &said));
    text
}

/// The same as one JSON object: `results`, `verdict`, `allowed`, `denied`, `findings` (each as in
/// `findings.json`, `was` null where nobody touched it), `unfinished`, `gates`.
#[must_use]
pub fn lints_json(audited: &Audited<'_>) -> Value {
    json!({
        "results": audited.results.display().to_string(),
        "verdict": audited.judgement.verdict.to_string(),
        "allowed": audited.policy.allow,
        "denied": audited.policy.deny,
        "findings": audited.judgement.findings.iter().map(finding_json).collect::<Vec<_>>(),
        "unfinished": audited.unfinished,
        "gates": gate::json(audited.gates),
    })
}

fn lint(finding: &Finding, paper: &Paper) -> String {
    let severity = format!("{}[{}]", finding.severity, finding.code);
    let lead = paper.style(severity_style(finding.severity), &severity);
    let point = finding.point.as_deref().map(|point| format!(" point {}", clean(point)));
    let message = paper.style(BOLD, &clean(&finding.message));
    let mut text = paper.paragraph("", &format!("{lead}{}: {message}", point.unwrap_or_default()));
    if !finding.numbers.is_empty() {
        let numbers: Vec<String> = finding
            .numbers
            .iter()
            .map(|(name, number)| format!("{} {}", clean(name), plain(*number)))
            .collect();
        text.push_str(&paper.paragraph("  = numbers: ", &numbers.join(", ")));
    }
    if !finding.remedy.is_empty() {
        text.push_str(&paper.paragraph("  = remedy: ", &clean(&finding.remedy)));
    }
    if let Some(was) = finding.was {
        let by = if finding.severity < was { "allowed" } else { "denied" };
        text.push_str(&paper.paragraph("  = note: ", &format!("{by}; the audit has it as: {was}")));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use plimsoll_records::{Denied, FindingCode, Verdict};

    use super::*;

    fn finding(severity: Severity, point: Option<&str>) -> Finding {
        Finding {
            code: FindingCode::ClientLate,
            severity,
            was: None,
            point: point.map(str::to_owned),
            message: "requests left late\u{1b}[2J".to_owned(),
            numbers: BTreeMap::from([("lag_p99_ms".to_owned(), 12.345_6)]),
            remedy: "free the client's cores".to_owned(),
        }
    }

    fn shown(findings: Vec<Finding>, policy: &AuditPolicy) -> (String, Value) {
        let judgement = Judgement::new(Verdict::Qualified, vec![], findings);
        let unfinished = [LeftOut { point: "r9".to_owned(), reason: "it was killed".to_owned() }];
        let results = Path::new("results/run-1");
        let audited =
            Audited { results, judgement: &judgement, policy, unfinished: &unfinished, gates: &[] };
        (lints(&audited, 80, false), lints_json(&audited))
    }

    #[test]
    fn findings_are_shown_with_all_that_they_say() {
        let mut allowed = finding(Severity::Note, None);
        allowed.was = Some(Severity::Error);
        let allow = vec![FindingCode::ClientLate];
        let policy = AuditPolicy { allow, deny: vec![Denied::Warnings] };
        let (text, json) = shown(vec![finding(Severity::Warning, Some("r1")), allowed], &policy);
        assert_eq!(
            text,
            "warning[client-late] point r1: requests left late\n\
             \x20 = numbers: lag_p99_ms 12.35\n\
             \x20 = remedy: free the client's cores\n\
             \n\
             note[client-late]: requests left late\n\
             \x20 = numbers: lag_p99_ms 12.35\n\
             \x20 = remedy: free the client's cores\n\
             \x20 = note: allowed; the audit has it as: error\n\
             \n\
             not judged: point r9: it was killed\n\
             \n\
             QUALIFIED: results/run-1: 1 warning and 1 note (allowed: client-late; denied:\n\
             warnings)\n"
        );
        assert_eq!(json["findings"][1]["was"], "error");
        assert_eq!(json["findings"][0]["was"], Value::Null);
        assert_eq!(json["denied"], json!(["warnings"]));
        assert_eq!(json["unfinished"][0]["point"], "r9");
    }

    #[test]
    fn nothing_found_is_said() {
        let (text, _) = shown(Vec::new(), &AuditPolicy::default());
        assert!(text.ends_with("QUALIFIED: results/run-1: no finding\n"), "{text}");
    }
}
