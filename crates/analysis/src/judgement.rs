//! What is said of a whole run: per group of points, then as a verdict.

use std::collections::BTreeMap;

use plimsoll_records::{Finding, Severity, Verdict};

use crate::saturation::usable;
use crate::{Conclusion, Diagnosis, Estimate, PointSummary, Question, Searched, diagnose};

/// The judgement of a run.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What the measurement is worth.
    pub verdict: Verdict,
    /// Each group of points that share their factors, in the order of the plan.
    pub groups: Vec<Group>,
    /// Every finding of the audit, gravest first.
    pub findings: Vec<Finding>,
    /// What the experiment asked.
    pub question: Question,
    /// What it concludes from the groups together.
    pub conclusion: Conclusion,
}

impl Judgement {
    /// The judgement of an experiment that asks for the capacity and concludes nothing beyond its groups.
    #[must_use]
    pub const fn new(verdict: Verdict, groups: Vec<Group>, findings: Vec<Finding>) -> Self {
        let (question, conclusion) = (Question::Capacity, Conclusion::None);
        Self { verdict, groups, findings, question, conclusion }
    }

    /// The same with findings about the run as a whole, from elsewhere than its points
    /// ([`judge_self_tests`](crate::judge_self_tests)): they take their place by severity, after
    /// those of the points, and the verdict and the diagnoses are by all of them.
    #[must_use]
    pub fn with_findings(mut self, findings: Vec<Finding>) -> Self {
        self.findings.extend(findings);
        // The sort keeps the order within a severity.
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        for group in &mut self.groups {
            group.diagnosis = diagnose(group, &self.findings);
        }
        self.verdict = verdict(self.question, &self.groups, &self.findings);
        self
    }
}

/// What the run is worth: *invalid* when a finding about the whole run is an error, or a group has
/// no answer to the question (no capacity, or no point that is left); *qualified* when any finding is a
/// warning or an error; else *valid*. Where latency is asked, a group without a point that is left is an
/// answer of its own (this prompt does not fit, say), as long as another one has some.
pub(crate) fn verdict(question: Question, groups: &[Group], findings: &[Finding]) -> Verdict {
    let is_unknown = |group: &Group| {
        let found = &group.saturation;
        if question.needs_capacity() {
            found.capacity_per_s.is_none()
        } else {
            usable(&group.points, &found.voided).next().is_none()
        }
    };
    let unknown = match question {
        Question::Latency => groups.iter().all(is_unknown),
        _ => groups.iter().any(is_unknown),
    };
    let run_error = findings.iter().any(|f| f.severity == Severity::Error && f.point.is_none());
    if groups.is_empty() || unknown || run_error {
        Verdict::Invalid
    } else if findings.iter().any(|f| f.severity >= Severity::Warning) {
        Verdict::Qualified
    } else {
        Verdict::Valid
    }
}

/// The points that share their factors: one ladder of rates, or the probes of their searches.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The values of the factors; empty when the matrix has none.
    pub factors: BTreeMap<String, String>,
    /// Its points, by rising offered rate.
    pub points: Vec<PointSummary>,
    /// What the ladder says, or the searches.
    pub saturation: Saturation,
    /// The searches that the points were probes of; empty for a ladder.
    pub searches: Vec<Searched>,
    /// Why its throughput does not grow.
    pub diagnosis: Diagnosis,
}

impl Group {
    /// The factors as one line, `a=1 b=2`; empty when there are none.
    #[must_use]
    pub fn label(&self) -> String {
        in_line(&self.factors)
    }

    /// Whether the server kept up with a point of the group: it was stable, and was not offered more than
    /// the group's capacity, its interval included. Where it was, the point's own test was too weak to
    /// see a queue that grows slowly, and its latencies are no more the server's than those of the others
    /// beyond.
    #[must_use]
    pub fn keeps_up(&self, point: &PointSummary) -> bool {
        let bound = self.saturation.capacity_per_s.filter(|_| !self.saturation.lower_bound);
        let beyond = point.load.rate_per_s().zip(bound).is_some_and(|(rate, it)| rate > it.high);
        point.stability.stable && !beyond
    }
}

/// Factors as one line, `a=1 b=2`.
pub(crate) fn in_line(factors: &BTreeMap<String, String>) -> String {
    let parts: Vec<_> = factors.iter().map(|(path, value)| format!("{path}={value}")).collect();
    parts.join(" ")
}

/// What a ladder of rates, or a search, says of the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Saturation {
    /// The highest offered rate that is stable, requests per second; `None` when nothing was
    /// measured that bounds it.
    pub capacity_per_s: Option<Estimate>,
    /// Whether the ladder ended before saturation: the capacity is then a lower bound.
    pub lower_bound: bool,
    /// Throughput of the unstable points, requests per second.
    pub plateau_per_s: Option<Estimate>,
    /// The highest offered rate that is stable and meets the SLO; `None` without SLO or when no
    /// point meets it.
    pub slo_capacity_per_s: Option<f64>,
    /// The offered rate where power (throughput / mean latency) is largest.
    pub knee_per_s: Option<f64>,
    /// Ids of points that an error of the audit voided, left out of the above.
    pub voided: Vec<String>,
}
