//! From audited points to the judgement of a run.

use plimsoll_records::{
    AuditPolicy, Finding, FindingCode, OfferedLoad, PointFile, RequestRow, Severity,
};

use crate::judgement::verdict;
use crate::searched;
use crate::{
    Conclusion, Diagnosis, Group, Judgement, PointSummary, Question, Slo, audit_group,
    audit_groups, audit_point, saturation, summarise,
};

/// A point with what the audit found at it.
#[derive(Clone, Debug)]
pub struct AuditedPoint {
    /// The point in numbers.
    pub summary: PointSummary,
    /// What the audit found.
    pub findings: Vec<Finding>,
}

impl AuditedPoint {
    /// Summarises a point and audits it: [`summarise()`], then [`audit_point`].
    #[must_use]
    pub fn of(point: &PointFile, rows: &[RequestRow], slo: &Slo) -> Self {
        let summary = summarise(point, rows, slo);
        let findings = audit_point(point, rows, &summary);
        Self { summary, findings }
    }

    /// The same with its findings as they count under `policy`.
    #[must_use]
    pub fn under(mut self, policy: &AuditPolicy) -> Self {
        self.findings = ruled(self.findings, policy);
        self
    }

    /// Whether an error of the audit voids it.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// The judgement of a run from its points, in the order of the plan.
///
/// Points with the same factors form a group; an error at a point voids it, and the group's
/// saturation leaves it out. Of points that were probes of a search the saturation is what the search
/// found, which is asked of their results again. The verdict: *invalid* when a finding about the whole run is an error,
/// or a group has no capacity (nothing was measured, or everything was voided); *qualified* when
/// any finding is a warning or an error; else *valid*. Notes say nothing against a result. What else
/// is to be said of the run comes in by [`Judgement::with_findings`].
#[must_use]
pub fn judge(points: Vec<AuditedPoint>) -> Judgement {
    judge_for(Question::Capacity, points, &AuditPolicy::default())
}

/// The same as [`judge()`], for an experiment that asks `question`: nobody misses a plateau where latency is
/// asked. Some findings are allowed or denied: those of the points as well as those about groups. Findings
/// that come in later have to be ruled by who brings them ([`AuditPolicy::rule`]).
#[must_use]
pub fn judge_for(question: Question, points: Vec<AuditedPoint>, policy: &AuditPolicy) -> Judgement {
    let mut members: Vec<Vec<AuditedPoint>> = Vec::new();
    for point in points {
        let point = asked(question, point).under(policy);
        let factors = &point.summary.factors;
        match members.iter_mut().find(|points| points[0].summary.factors == *factors) {
            Some(points) => points.push(point),
            None => members.push(vec![point]),
        }
    }
    let mut findings = Vec::new();
    let groups: Vec<Group> = members
        .into_iter()
        .map(|points| {
            let searches = searched::searches(&points.iter().collect::<Vec<_>>());
            let voided: Vec<String> = points
                .iter()
                .filter(|point| point.is_void())
                .map(|point| point.summary.id.clone())
                .collect();
            let mut summaries = Vec::new();
            for point in points {
                findings.extend(point.findings);
                summaries.push(point.summary);
            }
            summaries
                .sort_by(|a, b| load(a).total_cmp(&load(b)).then(a.repetition.cmp(&b.repetition)));
            let saturation = searched::saturation(&searches, voided.clone())
                .unwrap_or_else(|| saturation(&summaries, &voided));
            let factors = summaries[0].factors.clone();
            let diagnosis = Diagnosis::default();
            Group { factors, points: summaries, saturation, searches, diagnosis }
        })
        .collect();
    let mut together: Vec<Finding> =
        groups.iter().flat_map(|group| audit_group(question, group)).collect();
    if question == Question::Capacity {
        together.extend(audit_groups(&groups));
    }
    findings.extend(ruled(together, policy));
    let verdict = verdict(question, &groups, &findings);
    let conclusion = Conclusion::None;
    // Sorts them, too (the order of the plan is kept within a severity), and diagnoses the groups.
    Judgement { verdict, groups, findings, question, conclusion }.with_findings(Vec::new())
}

/// The point as it counts for the question: single requests and small closed loops are asked for their
/// latencies, whose intervals say how sure few requests are, so that they are few is worth a note.
fn asked(question: Question, mut point: AuditedPoint) -> AuditedPoint {
    let few =
        question == Question::Latency && matches!(point.summary.load, OfferedLoad::Closed { .. });
    for finding in point.findings.iter_mut().filter(|_| few) {
        if finding.code == FindingCode::WindowShort {
            (finding.severity, finding.was) = (Severity::Note, None);
        }
    }
    point
}

/// The findings as they count under `policy`, gravest first.
fn ruled(findings: impl IntoIterator<Item = Finding>, policy: &AuditPolicy) -> Vec<Finding> {
    let mut findings: Vec<Finding> = findings.into_iter().map(|it| policy.rule(it)).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// What a point is sorted by: its rate, or its concurrency.
fn load(point: &PointSummary) -> f64 {
    match &point.load {
        OfferedLoad::Open { rate_per_s, .. } => *rate_per_s,
        OfferedLoad::Closed { concurrency } => f64::from(*concurrency),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_records::{Denied, Outcome, PointEnd, Verdict};

    use super::*;
    use crate::Estimate;
    use crate::audit::fixture::{Fixture, MS, delay};

    /// A ladder of clean points, the last of them overloaded.
    fn ladder() -> Vec<Fixture> {
        let mut points: Vec<Fixture> = [20.0, 40.0, 60.0, 80.0]
            .iter()
            .map(|&rate| {
                let mut fixture = Fixture::with(11, rate, 20.0);
                fixture.point.id = format!("r{rate}");
                fixture
            })
            .collect();
        for row in &mut points[3].rows {
            delay(row, (300.0 * row.intended.as_secs_f64()) as u64 * MS);
        }
        points
    }

    fn judged(points: &[Fixture]) -> Judgement {
        judge(
            points
                .iter()
                .map(|fixture| AuditedPoint::of(&fixture.point, &fixture.rows, &Slo::default()))
                .collect(),
        )
    }

    #[test]
    fn a_clean_ladder_is_valid() {
        let judgement = judged(&ladder());
        assert_eq!(judgement.verdict, Verdict::Valid, "{:?}", judgement.findings);
        // 80 offered, and each second of arrivals takes 1.3: 61.5.
        let capacity = judgement.groups[0].saturation.capacity_per_s.unwrap();
        assert!((capacity.value - 80.0 / 1.3).abs() < 3.0, "{capacity:?}");
    }

    #[test]
    fn a_point_beyond_the_capacity_is_not_kept_up_with_whatever_its_own_test_says() {
        let mut group = judged(&ladder()).groups.remove(0);
        let kept = |group: &Group| -> Vec<bool> {
            group.points.iter().map(|point| group.keeps_up(point)).collect()
        };
        assert_eq!(kept(&group), [true, true, true, false]);
        group.saturation.capacity_per_s = Some(Estimate { value: 38.0, low: 37.0, high: 39.0 });
        assert_eq!(kept(&group), [true, false, false, false]);
        // What is only a lower bound says nothing of the loads beyond it.
        group.saturation.lower_bound = true;
        assert_eq!(kept(&group), [true, true, true, false]);
    }

    #[test]
    fn a_warning_qualifies() {
        let mut points = ladder();
        points[1].point.workers[0].cpu_share = Some(0.95);
        let judgement = judged(&points);
        assert_eq!(judgement.verdict, Verdict::Qualified);
        assert_eq!(judgement.findings[0].code, FindingCode::ClientBusy);
        assert_eq!(judgement.findings[0].point.as_deref(), Some("r40"));
    }

    #[test]
    fn what_is_allowed_no_longer_qualifies_and_what_is_denied_voids() {
        let mut points = ladder();
        points[1].point.workers[0].cpu_share = Some(0.95);
        let judged = |policy: &AuditPolicy| {
            let of = |it: &Fixture| AuditedPoint::of(&it.point, &it.rows, &Slo::default());
            judge_for(Question::Capacity, points.iter().map(of).collect(), policy)
        };
        let allow = vec![FindingCode::ClientBusy];
        let allowed = judged(&AuditPolicy { allow, ..AuditPolicy::default() });
        assert_eq!(allowed.verdict, Verdict::Valid);
        let busy = allowed.findings.iter().find(|f| f.code == FindingCode::ClientBusy).unwrap();
        assert_eq!((busy.severity, busy.was), (Severity::Note, Some(Severity::Warning)));
        let deny = vec![Denied::Warnings];
        let denied = judged(&AuditPolicy { deny, ..AuditPolicy::default() });
        assert_eq!(denied.groups[0].saturation.voided, ["r40"]);
        // About the ladder as a whole: the run is void.
        points.truncate(3);
        let judged = |deny| {
            let of = |it: &Fixture| AuditedPoint::of(&it.point, &it.rows, &Slo::default());
            let policy = AuditPolicy { deny, ..AuditPolicy::default() };
            judge_for(Question::Capacity, points.iter().map(of).collect(), &policy).verdict
        };
        assert_eq!(judged(Vec::new()), Verdict::Qualified);
        assert_eq!(judged(vec![Denied::Code(FindingCode::NoPlateau)]), Verdict::Invalid);
    }

    #[test]
    fn an_error_voids_its_point_and_qualifies_what_is_left() {
        let mut points = ladder();
        points[0].rows.iter_mut().for_each(|row| row.sent = None);
        let judgement = judged(&points);
        assert_eq!(judgement.groups[0].saturation.voided, ["r20"]);
        assert_eq!(judgement.verdict, Verdict::Qualified);
        assert!(judgement.groups[0].saturation.capacity_per_s.is_some());
    }

    #[test]
    fn few_requests_of_a_closed_loop_are_a_note_where_latency_is_asked() {
        let judged = |question, load: OfferedLoad, deny| {
            let mut fixture = Fixture::with(11, 1.0, 20.0);
            fixture.point.load = load;
            let point = AuditedPoint::of(&fixture.point, &fixture.rows, &Slo::default());
            let policy = AuditPolicy { deny, ..AuditPolicy::default() };
            // As a run does it: what is denied is so before the judgement.
            let found = judge_for(question, vec![point.under(&policy)], &policy).findings;
            let found = found.iter().find(|finding| finding.code == FindingCode::WindowShort);
            found.map(|finding| finding.severity)
        };
        let closed = || OfferedLoad::Closed { concurrency: 1 };
        let open = Fixture::clean().point.load;
        let latency = Question::Latency;
        assert_eq!(judged(latency, closed(), vec![]), Some(Severity::Note));
        assert_eq!(judged(latency, open, vec![]), Some(Severity::Warning));
        assert_eq!(judged(Question::Capacity, closed(), vec![]), Some(Severity::Warning));
        assert_eq!(judged(latency, closed(), vec![Denied::Warnings]), Some(Severity::Note));
        let code = vec![Denied::Code(FindingCode::WindowShort)];
        assert_eq!(judged(latency, closed(), code), Some(Severity::Error));
    }

    #[test]
    fn a_group_without_an_answer_leaves_the_others_theirs_where_latency_is_asked() {
        let judged = |question, all: bool| {
            let mut points = ladder();
            points[0].point.factors.insert("case".to_owned(), "long".to_owned());
            for point in points.iter_mut().take(if all { 9 } else { 1 }) {
                point.rows.iter_mut().for_each(|row| row.outcome = Outcome::HttpStatus);
            }
            let of = |it: &Fixture| AuditedPoint::of(&it.point, &it.rows, &Slo::default());
            judge_for(question, points.iter().map(of).collect(), &AuditPolicy::default()).verdict
        };
        assert_eq!(judged(Question::Latency, false), Verdict::Qualified);
        assert_eq!(judged(Question::Latency, true), Verdict::Invalid);
        assert_eq!(judged(Question::Difference, false), Verdict::Invalid);
    }

    #[test]
    fn nothing_left_is_invalid() {
        let mut points = ladder();
        for point in &mut points {
            point.rows.iter_mut().for_each(|row| row.sent = None);
        }
        assert_eq!(judged(&points).verdict, Verdict::Invalid);
        assert_eq!(judge(Vec::new()).verdict, Verdict::Invalid);
        let mut lost = ladder();
        lost.iter_mut().for_each(|point| point.point.ended = PointEnd::TargetLost);
        assert_eq!(judged(&lost).verdict, Verdict::Invalid);
    }

    #[test]
    fn findings_about_the_run_take_their_place_and_part_in_the_verdict() {
        let about_the_run = |severity: Severity| Finding {
            was: None,
            code: FindingCode::ClientLate,
            severity,
            point: None,
            message: "said elsewhere".to_owned(),
            numbers: std::collections::BTreeMap::new(),
            remedy: String::new(),
        };
        for (severity, verdict) in [
            (Severity::Note, Verdict::Valid),
            (Severity::Warning, Verdict::Qualified),
            (Severity::Error, Verdict::Invalid),
        ] {
            let judgement = judged(&ladder()).with_findings(vec![about_the_run(severity)]);
            assert_eq!(judgement.verdict, verdict);
            let place = judgement.findings.iter().position(|f| f.message == "said elsewhere");
            let graver = judgement.findings.iter().filter(|f| f.severity >= severity).count();
            assert_eq!(place, Some(graver - 1), "after those of the points");
        }
    }

    #[test]
    fn points_are_grouped_by_factors_and_sorted_by_rate() {
        let mut points = ladder();
        points.reverse();
        let mut others = ladder();
        for other in &mut others {
            other.point.factors.insert("server.gpus".to_owned(), "2".to_owned());
        }
        points.extend(others);
        let judgement = judged(&points);
        let labels: Vec<String> = judgement.groups.iter().map(Group::label).collect();
        assert_eq!(labels, ["", "server.gpus=2"]);
        let ids: Vec<&str> = judgement.groups[0].points.iter().map(|p| p.id.as_str()).collect();
        assert_eq!(ids, ["r20", "r40", "r60", "r80"]);
    }
}
