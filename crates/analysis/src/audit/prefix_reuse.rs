//! `prefix-reuse`: prompts came out of the prefix cache more than the workload intends.

use plimsoll_records::{Finding, FindingCode, Severity};

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
    let counters = &evidence.point.server;
    let by_server = match (counters.prefix_cache_hits_tokens, counters.prefix_cache_queries_tokens)
    {
        (Some(hits), Some(queries)) if queries > 0.0 => Some(hits / queries),
        _ => None,
    };
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
}
