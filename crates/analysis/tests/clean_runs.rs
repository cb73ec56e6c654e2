//! No code of the audit fires on a clean run: 120 virtual points at loads that a ladder has.

#[path = "virtual_time/server.rs"]
mod server;

#[path = "virtual_time/study.rs"]
#[expect(dead_code, reason = "only its cases are used here")]
mod study;

use std::collections::BTreeMap;

use plimsoll_analysis::{AuditedPoint, Slo};
use plimsoll_records::Severity;

#[test]
fn a_clean_point_has_neither_warning_nor_error() {
    let mut alarms: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let case = study::SMALL;
    let capacity = server::capacity(case.server, case.lengths);
    let plan = server::Plan { measure: 12.0, may_end_early: true, declared_mean: Some(24.0) };
    for (rung, share) in [0.4, 0.6, 0.8, 1.3].iter().enumerate() {
        for seed in 1..=30 {
            let seed = 10_000 * (rung as u64 + 1) + seed;
            let (point, rows) =
                server::measure(case.server, case.lengths, share * capacity, plan, seed);
            let audited = AuditedPoint::of(&point, &rows, &Slo::default());
            for finding in audited.findings.iter().filter(|f| f.severity >= Severity::Warning) {
                alarms.entry(finding.code.as_str()).or_default().push(finding.message.clone());
            }
        }
    }
    assert!(alarms.is_empty(), "{alarms:#?}");
}
