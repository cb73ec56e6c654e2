//! `prefix-reuse`: prompts came out of the prefix cache more than the workload intends, or points
//! with a cold and with a warm cache stand side by side.
//!
//! **What.** Prompt tokens came from the prefix cache beyond the intended share. **Warning.** Where the
//! intention is not known (prompts from a file): over 10 % a **note**, over 50 % a **warning**. About a group:
//! the share rises from point to point of one start of the server, or points with a cold cache (a fresh
//! server, or one that was told to forget) stand beside points with a warm one whose share is higher: a
//! **note** from 5 % of the prompt tokens, a **warning** from 20 %.
//! **Why.** Prefill that the cache spares is not measured: repeated prompts have made servers look twice as
//! fast. A cache that each point leaves warmer for the next makes the later points of a ladder look better
//! than the first, and the ladder is then no comparison of loads.
//! **Evidence.** The server's counters over the window, and the rows' `cached_tokens`; the larger counts.
//! 32 tokens a prompt are allowed for the head of the chat template, and 2 % on top. About a group: the
//! server's counters alone, its points in the order in which they were measured, with what was done about
//! the cache before each (`server_start`). A share that falls under load is a cache that is too small, and
//! one that goes up and down is chance.
//! **Remedy.** Prompts that differ from their first token on, fresh at every point; or declare
//! `shared-prefix`. A new start or a reset before every point.

use plimsoll_records::{CacheState, Finding, FindingCode, PointEnd, Severity};

use crate::breakdown::hit_share;
use crate::{Group, PointSummary};

use super::{Evidence, finding};

/// Share of prompt tokens that may hit beyond the intended share.
const SLACK: f64 = 0.02;

/// Tokens of each prompt that may hit: the chat template's head is the same in all of them.
const TEMPLATE_TOKENS: f64 = 32.0;

/// Where the intended share is not known: the shares that are worth a note and a warning.
const UNKNOWN_NOTE: f64 = 0.10;
const UNKNOWN_WARNING: f64 = 0.50;

/// Compares the share of prompt tokens that were found in the cache (by the server's counters over
/// the window, and by the rows' own `cached_tokens`; the larger one counts) with the share of
/// prompts that were meant to repeat a prefix.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let by_server = hit_share(&evidence.point.server);
    let (mut cached, mut prompts, mut n) = (0.0, 0.0, 0_u64);
    for row in evidence.ok() {
        // A prompt of unknown length has no share, and would only inflate that of the others.
        let Some(tokens) = row.prompt_tokens.or(row.prompt_tokens_planned) else { continue };
        n += 1;
        prompts += f64::from(tokens);
        cached += f64::from(row.cached_tokens.unwrap_or(0));
    }
    let by_rows = (prompts > 0.0).then(|| cached / prompts);
    let share = match (by_server, by_rows) {
        (Some(server), Some(rows)) => server.max(rows),
        (one, other) => one.or(other)?,
    };
    let template =
        if prompts > 0.0 { (TEMPLATE_TOKENS * n as f64 / prompts).min(1.0) } else { 0.0 };
    let intended = evidence.point.workload.shared_prefix;
    let severity = match intended {
        Some(intended) if share > intended + template + SLACK => Severity::Warning,
        None if share > UNKNOWN_WARNING.max(template) => Severity::Warning,
        None if share > UNKNOWN_NOTE.max(template) => Severity::Note,
        _ => return None,
    };
    let intention = intended.map_or_else(
        || "what the workload intends is not known".to_owned(),
        |intended| format!("the workload intends {:.0} %", 100.0 * intended),
    );
    Some(finding(
        FindingCode::PrefixReuse,
        severity,
        format!(
            "{:.1} % of the prompt tokens came from the prefix cache, {intention}",
            100.0 * share
        ),
        &[
            ("hit_share", share),
            ("intended_share", intended.unwrap_or(f64::NAN)),
            ("template_share", template),
            ("hit_share_by_server", by_server.unwrap_or(f64::NAN)),
            ("hit_share_by_rows", by_rows.unwrap_or(f64::NAN)),
        ],
        "use prompts that differ from their first token on and fresh ones at every point, or declare \
         shared-prefix: prefill that the cache spares is not measured",
    ))
}

/// Difference of the hit shares of two points that is worth a note, and a warning.
const APART_NOTE: f64 = 0.05;
const APART_WARNING: f64 = 0.20;

/// How far a share may fall between two points of a rising row, by chance.
const DIP: f64 = 0.02;

/// Looks at the points of a group together, in the order in which they were measured: does the cache
/// get warmer from one to the next, or had some a cold cache and others a warm one?
pub(super) fn check_group(group: &Group) -> Option<Finding> {
    let mut known: Vec<(&PointSummary, f64)> = group
        .points
        .iter()
        .filter(|point| point.ended != PointEnd::TargetLost)
        .filter_map(|point| Some((point, hit_share(&point.counters)?)))
        .collect();
    known.sort_by_key(|(point, _)| point.window.start);
    warmed_up(group, &known).or_else(|| cold_beside_warm(group, &known))
}

/// A cache that each point left warmer for the next: shares that rise over the points of one start of
/// the server without a reset.
fn warmed_up(group: &Group, known: &[(&PointSummary, f64)]) -> Option<Finding> {
    let mut starts: Vec<u32> = known.iter().map(|(point, _)| point.server_start.number).collect();
    starts.dedup();
    starts.into_iter().find_map(|start| {
        let row: Vec<&(&PointSummary, f64)> = known
            .iter()
            .filter(|(point, _)| point.server_start.number == start && !is_cold(point))
            .collect();
        let (first, last) = (row.first()?, row.last()?);
        if row.windows(2).any(|pair| pair[1].1 < pair[0].1 - DIP) {
            return None;
        }
        apart(
            group,
            first.1,
            last.1,
            format!("from point {} to {}", first.0.id, last.0.id),
            "the cache was left warm by the point before",
        )
    })
}

/// Points after a start or a reset beside points after others.
fn cold_beside_warm(group: &Group, known: &[(&PointSummary, f64)]) -> Option<Finding> {
    let mean = |cold: bool| -> Option<f64> {
        let shares: Vec<f64> = known
            .iter()
            .filter(|(point, _)| is_cold(point) == cold)
            .map(|(_, share)| *share)
            .collect();
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    };
    apart(
        group,
        mean(true)?,
        mean(false)?,
        "from the points with a cold cache to those with a warm one".to_owned(),
        "they do not measure the same prefill",
    )
}

/// Whether nothing was in the cache when the point began.
fn is_cold(point: &PointSummary) -> bool {
    matches!(point.server_start.prefix_cache, CacheState::Fresh | CacheState::Reset)
}

/// The finding that the share of hits went up by more than may be, if it did.
fn apart(group: &Group, from: f64, to: f64, between: String, so: &str) -> Option<Finding> {
    if to - from <= APART_NOTE {
        return None;
    }
    let label = group.label();
    let of_group = if label.is_empty() { String::new() } else { format!(" ({label})") };
    Some(finding(
        FindingCode::PrefixReuse,
        if to - from > APART_WARNING { Severity::Warning } else { Severity::Note },
        format!(
            "the share of prompt tokens from the prefix cache rose from {:.1} % to {:.1} % \
             {between}{of_group}: {so}",
            100.0 * from,
            100.0 * to
        ),
        &[("hit_share_from", from), ("hit_share_to", to)],
        "start the server anew or reset its prefix cache before every point, and use prompts that no \
         point before has sent",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    /// A clean point whose server saw this share of hits.
    fn hits(share: f64, intended: Option<f64>) -> Option<Severity> {
        let mut fixture = Fixture::clean();
        fixture.point.server.prefix_cache_queries_tokens = Some(100_000.0);
        fixture.point.server.prefix_cache_hits_tokens = Some(100_000.0 * share);
        fixture.point.workload.shared_prefix = intended;
        fixture.find(FindingCode::PrefixReuse).map(|found| found.severity)
    }

    #[test]
    fn more_hits_than_intended_are_found() {
        assert_eq!(hits(0.86, Some(0.0)), Some(Severity::Warning));
        assert_eq!(hits(0.86, Some(0.5)), Some(Severity::Warning));
        assert_eq!(hits(0.86, None), Some(Severity::Warning));
        assert_eq!(hits(0.3, None), Some(Severity::Note));
    }

    #[test]
    fn intended_hits_and_the_template_pass() {
        assert_eq!(hits(0.5, Some(0.5)), None);
        // 32 tokens of a prompt of 400 may be the template's.
        assert_eq!(hits(0.08, Some(0.0)), None);
        assert_eq!(hits(0.05, None), None);
        assert_eq!(Fixture::clean().find(FindingCode::PrefixReuse), None);
    }

    #[test]
    fn the_rows_are_evidence_too() {
        let mut fixture = Fixture::clean();
        for row in &mut fixture.rows {
            row.cached_tokens = Some(240);
        }
        let found = fixture.find(FindingCode::PrefixReuse).unwrap();
        assert!((found.numbers["hit_share_by_rows"] - 0.6).abs() < 1e-9);
        assert!(!found.numbers.contains_key("hit_share_by_server"));
    }

    #[test]
    fn prompts_of_unknown_length_are_no_evidence() {
        let mut fixture = Fixture::clean();
        for (n, row) in fixture.rows.iter_mut().enumerate() {
            row.cached_tokens = Some(240);
            row.prompt_tokens_planned = None;
            if n % 2 == 0 {
                row.prompt_tokens = None;
            }
        }
        let found = fixture.find(FindingCode::PrefixReuse).unwrap();
        assert!((found.numbers["hit_share_by_rows"] - 0.6).abs() < 1e-9);
        for row in &mut fixture.rows {
            row.prompt_tokens = None;
        }
        assert_eq!(fixture.find(FindingCode::PrefixReuse), None);
    }

    /// What is found for a group whose points, in order, met the cache like this with this hit share.
    fn group(points: &[(CacheState, f64)]) -> Option<Finding> {
        let points: Vec<crate::AuditedPoint> = points
            .iter()
            .enumerate()
            .map(|(n, &(prefix_cache, share))| {
                // Measured from the highest rate down, which the order of the group must not hide.
                let mut fixture = Fixture::with(5, 60.0 - 10.0 * n as f64, 20.0);
                fixture.point.id = format!("p{n}");
                let later = 100.0 * n as f64;
                let phases = &mut fixture.point.phases;
                phases.measure_start_ns = plimsoll_units::RunNanos::from_secs_f64(2.0 + later);
                phases.measure_end_ns = plimsoll_units::RunNanos::from_secs_f64(22.0 + later);
                fixture.point.server.prefix_cache_queries_tokens = Some(1000.0);
                fixture.point.server.prefix_cache_hits_tokens = Some(1000.0 * share);
                let number = if prefix_cache == CacheState::Fresh { n as u32 } else { 0 };
                fixture.point.server_start =
                    plimsoll_records::ServerStart { number, prefix_cache, replicas: 1 };
                let summary = crate::summarise(&fixture.point, &[], &crate::Slo::default());
                crate::AuditedPoint { summary, findings: Vec::new() }
            })
            .collect();
        let findings = crate::judge(points).findings;
        findings.into_iter().find(|found| found.code == FindingCode::PrefixReuse)
    }

    #[test]
    fn a_cache_that_gets_warmer_from_point_to_point_is_found() {
        use CacheState::UnusedPrompts;
        let found =
            group(&[(UnusedPrompts, 0.02), (UnusedPrompts, 0.31), (UnusedPrompts, 0.55)]).unwrap();
        assert_eq!((found.severity, found.point), (Severity::Warning, None));
        assert!(found.message.contains("from 2.0 % to 55.0 % from point p0 to p2"));
        let some = group(&[(UnusedPrompts, 0.02), (UnusedPrompts, 0.12)]).unwrap();
        assert_eq!(some.severity, Severity::Note);
        assert_eq!(group(&[(UnusedPrompts, 0.30), (UnusedPrompts, 0.33)]), None);
        // A cache that forgets under load is not one that was left warm.
        assert_eq!(group(&[(UnusedPrompts, 0.50), (UnusedPrompts, 0.1)]), None);
        let up_and_down = [(UnusedPrompts, 0.1), (UnusedPrompts, 0.6), (UnusedPrompts, 0.2)];
        assert_eq!(group(&up_and_down), None);
    }

    #[test]
    fn a_cold_cache_beside_a_warm_one_is_found() {
        use CacheState::{Fresh, Reset, UnusedPrompts};
        let found = group(&[(Fresh, 0.03), (UnusedPrompts, 0.4), (UnusedPrompts, 0.42)]).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert!((found.numbers["hit_share_to"] - 0.41).abs() < 1e-9);
        assert!(found.message.contains("cold cache"), "{}", found.message);
        assert_eq!(group(&[(Fresh, 0.5), (Reset, 0.52), (UnusedPrompts, 0.5)]), None);
        assert_eq!(group(&[(Fresh, 0.1), (Fresh, 0.6)]), None, "every point had it cold");
        assert_eq!(group(&[(Fresh, 0.1)]), None);
    }
}
