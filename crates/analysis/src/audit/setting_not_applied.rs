//! `setting-not-applied`: a declared setting is not the one that the server reports.
//!
//! **What.** A declared setting is not the one that the server reports. **Error**; **warning** where the run
//! was told to go on all the same.
//! **Why.** A flag that is misspelt, dropped by a wrapper or unknown to this version changes nothing, and the
//! result is filed under a setting that was never measured. A published study compared batch sizes of 16 and
//! 32 for two days; neither had reached the server, and both runs were the same run.
//! **Evidence.** What the server says of itself (log, `/server_info`, `/metrics`, `/v1/models`) against the
//! matrix, setting by setting, with the source of each. Settings of which the server says nothing are counted
//! (`unknown_settings`) and accuse nobody.
//! **Remedy.** Pass the setting under the name that the server knows, or declare what is in effect.

use plimsoll_records::{Finding, FindingCode, SettingRecord, SettingState, Severity};

use super::{Evidence, finding};

/// Looks at the settings that the point was measured with.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    judge(&evidence.point.settings)
}

/// Names every declared setting that the server contradicts. Those of which it says nothing are
/// counted and accuse nobody.
pub(super) fn judge(settings: &[SettingRecord]) -> Option<Finding> {
    let declared: Vec<&SettingRecord> =
        settings.iter().filter(|setting| setting.declared.is_some()).collect();
    let of = |state: SettingState| declared.iter().filter(move |setting| setting.state == state);
    let different: Vec<String> = of(SettingState::Different).map(|it| in_words(it)).collect();
    if different.is_empty() {
        return None;
    }
    Some(finding(
        FindingCode::SettingNotApplied,
        Severity::Error,
        format!("the server does not run as declared: {}", different.join("; ")),
        &[
            ("declared_settings", declared.len() as f64),
            ("different_settings", different.len() as f64),
            ("unknown_settings", of(SettingState::Unknown).count() as f64),
        ],
        "see that the setting reaches the server under the name that it knows (its command line, \
         its log's first lines), or declare what is in effect",
    ))
}

/// One setting: declared, in effect, and who says so.
fn in_words(setting: &SettingRecord) -> String {
    let value = |value: &Option<_>| -> Option<String> { value.as_ref().map(ToString::to_string) };
    let source = setting.source.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
    let declared = value(&setting.declared).unwrap_or_default();
    let name = &setting.name;
    match value(&setting.in_effect) {
        Some(in_effect) => format!("{name} = {declared} declared, {in_effect} in effect{source}"),
        None => format!("{name} = {declared} declared, not in effect{source}"),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_records::AuditPolicy;

    use super::super::fixture::{Fixture, setting};
    use super::*;
    use crate::{AuditedPoint, Slo};

    /// The study's own case: 16 and 512 declared, neither passed on.
    fn not_passed_on() -> Fixture {
        let mut fixture = Fixture::clean();
        fixture.point.settings = vec![
            setting("batch_size", Some(16), None, SettingState::Different),
            setting("max-num-batched-tokens", Some(512), Some(2048), SettingState::Different),
            setting("data-parallel-size", Some(4), Some(4), SettingState::Equal),
            setting("kv-cache-dtype", Some(1), None, SettingState::Unknown),
            setting("max-num-seqs", None, Some(256), SettingState::Default),
        ];
        fixture
    }

    #[test]
    fn settings_that_did_not_reach_the_server_void_the_point() {
        let found = not_passed_on().find(FindingCode::SettingNotApplied).unwrap();
        assert_eq!(found.severity, Severity::Error);
        assert_eq!(
            found.message,
            "the server does not run as declared: batch_size = 16 declared, not in effect (log); \
             max-num-batched-tokens = 512 declared, 2048 in effect (log)"
        );
        assert_eq!(found.numbers["different_settings"], 2.0);
        assert_eq!(
            (found.numbers["declared_settings"], found.numbers["unknown_settings"]),
            (4.0, 1.0)
        );
    }

    #[test]
    fn what_is_said_before_the_load_is_what_is_said_of_the_point() {
        let fixture = not_passed_on();
        let before = crate::judge_settings(&fixture.point.settings).unwrap();
        assert_eq!(before.point, None);
        let after = fixture.find(FindingCode::SettingNotApplied).unwrap();
        assert_eq!((before.message, before.severity), (after.message, after.severity));
        assert_eq!(crate::judge_settings(&[]), None);
    }

    #[test]
    fn a_run_that_was_told_to_go_on_is_qualified() {
        let fixture = not_passed_on();
        let allow = vec![FindingCode::SettingNotApplied];
        let policy = AuditPolicy { allow, ..AuditPolicy::default() };
        let point = AuditedPoint::of(&fixture.point, &fixture.rows, &Slo::default());
        assert!(point.is_void() && !point.under(&policy).is_void());
        let found = policy.rule(fixture.find(FindingCode::SettingNotApplied).unwrap());
        assert_eq!((found.severity, found.was), (Severity::Warning, Some(Severity::Error)));
    }

    #[test]
    fn equal_unknown_and_undeclared_settings_pass() {
        let mut fixture = not_passed_on();
        fixture.point.settings.drain(..2);
        assert_eq!(fixture.find(FindingCode::SettingNotApplied), None);
        fixture.point.settings.clear();
        assert_eq!(fixture.find(FindingCode::SettingNotApplied), None);
        // What nobody declared cannot have been lost on its way.
        fixture.point.settings =
            vec![setting("max-num-seqs", None, Some(256), SettingState::Different)];
        assert_eq!(fixture.find(FindingCode::SettingNotApplied), None);
    }
}
