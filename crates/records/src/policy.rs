//! What a person allows and denies: findings that shall not count, and findings that shall void.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::finding::{Finding, FindingCode, Severity, UnknownCode};

/// Which findings are allowed and which denied, like a compiler's lints.
///
/// *Allowed*: a finding of the code is a note, and neither qualifies nor voids. Where the point would
/// then be filed under what it is not (another rate than was offered, a setting that is not in effect,
/// another server at its end than at its beginning), it is a warning at least, and the result stays
/// qualified. *Denied*: any finding of the code is an error, and voids its point, or the run if it is
/// about the run. Either way [`Finding::was`] keeps what the audit had said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditPolicy {
    /// The codes that are allowed.
    pub allow: Vec<FindingCode>,
    /// What is denied.
    pub deny: Vec<Denied>,
}

/// What can be denied: the findings of a code, or every warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Denied {
    /// Every warning whose code is not allowed.
    Warnings,
    /// Any finding of this code.
    Code(FindingCode),
}

/// How `--deny` calls every warning.
const WARNINGS: &str = "warnings";

impl AuditPolicy {
    /// Whether nothing is allowed or denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether findings of `code` are allowed.
    #[must_use]
    pub fn allows(&self, code: FindingCode) -> bool {
        self.allow.contains(&code)
    }

    /// The first code that is both allowed and denied, which cannot be obeyed.
    #[must_use]
    pub fn contradiction(&self) -> Option<FindingCode> {
        self.allow.iter().copied().find(|code| self.deny.contains(&Denied::Code(*code)))
    }

    /// This policy with `later`, which wins where the two disagree about a code.
    #[must_use]
    pub fn and(mut self, later: &Self) -> Self {
        self.allow.retain(|code| !later.deny.contains(&Denied::Code(*code)));
        self.deny.retain(|denied| !matches!(denied, Denied::Code(code) if later.allows(*code)));
        for code in &later.allow {
            if !self.allow.contains(code) {
                self.allow.push(*code);
            }
        }
        for denied in &later.deny {
            if !self.deny.contains(denied) {
                self.deny.push(*denied);
            }
        }
        self
    }

    /// The finding as it counts under this policy. Ruling twice changes nothing more.
    #[must_use]
    pub fn rule(&self, finding: Finding) -> Finding {
        let own = finding.was.unwrap_or(finding.severity);
        let severity = if self.allows(finding.code) {
            own.min(least(finding.code))
        } else if self.deny.contains(&Denied::Code(finding.code))
            || (own == Severity::Warning && self.deny.contains(&Denied::Warnings))
        {
            Severity::Error
        } else {
            own
        };
        Finding { severity, was: (severity != own).then_some(own), ..finding }
    }

    /// `allowed: single-run; denied: warnings, drain-bias`; empty where nothing is.
    #[must_use]
    pub fn in_words(&self) -> String {
        let list = |verb: &str, words: Vec<String>| {
            (!words.is_empty()).then(|| format!("{verb}: {}", words.join(", ")))
        };
        let allowed = list("allowed", self.allow.iter().map(ToString::to_string).collect());
        let denied = list("denied", self.deny.iter().map(ToString::to_string).collect());
        allowed.into_iter().chain(denied).collect::<Vec<_>>().join("; ")
    }
}

/// What an allowed finding still is: a warning where the point is not what it is filed under, so that
/// no result of it is ever shown without reservation; else a note.
const fn least(code: FindingCode) -> Severity {
    match code {
        FindingCode::RateMissed
        | FindingCode::ConcurrencyCapped
        | FindingCode::SettingNotApplied
        | FindingCode::ServerRestarted => Severity::Warning,
        _ => Severity::Note,
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Warnings => WARNINGS,
            Self::Code(code) => code.as_str(),
        })
    }
}

impl FromStr for Denied {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        if text == WARNINGS {
            return Ok(Self::Warnings);
        }
        let known = FindingCode::ALL.iter().map(|code| code.as_str()).chain([WARNINGS]);
        text.parse().map(Self::Code).map_err(|_| UnknownCode::new(text, known))
    }
}

impl TryFrom<String> for Denied {
    type Error = UnknownCode;

    fn try_from(text: String) -> Result<Self, UnknownCode> {
        text.parse()
    }
}

impl From<Denied> for String {
    fn from(denied: Denied) -> Self {
        denied.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn found(code: FindingCode, severity: Severity) -> Finding {
        Finding {
            code,
            severity,
            was: None,
            point: None,
            message: String::new(),
            numbers: BTreeMap::new(),
            remedy: String::new(),
        }
    }

    fn policy(allow: &[FindingCode], deny: &[Denied]) -> AuditPolicy {
        AuditPolicy { allow: allow.to_vec(), deny: deny.to_vec() }
    }

    #[test]
    fn what_is_allowed_is_a_note_and_keeps_what_it_was() {
        let policy = policy(&[FindingCode::WindowShort], &[]);
        let ruled = policy.rule(found(FindingCode::WindowShort, Severity::Warning));
        assert_eq!((ruled.severity, ruled.was), (Severity::Note, Some(Severity::Warning)));
        assert_eq!(policy.rule(ruled.clone()), ruled, "ruling twice changes nothing");
        let note = found(FindingCode::WindowShort, Severity::Note);
        assert_eq!(policy.rule(note.clone()), note);
        let other = found(FindingCode::ClientLate, Severity::Error);
        assert_eq!(policy.rule(other.clone()), other);
    }

    #[test]
    fn a_point_that_is_not_what_it_is_filed_under_stays_qualified() {
        for &code in FindingCode::ALL {
            let ruled = policy(&[code], &[]).rule(found(code, Severity::Error)).severity;
            let stays = [
                FindingCode::RateMissed,
                FindingCode::ConcurrencyCapped,
                FindingCode::SettingNotApplied,
                FindingCode::ServerRestarted,
            ];
            let least = if stays.contains(&code) { Severity::Warning } else { Severity::Note };
            assert_eq!(ruled, least, "{code}");
        }
    }

    #[test]
    fn what_is_denied_is_an_error() {
        let code = policy(&[], &[Denied::Code(FindingCode::DrainBias)]);
        let ruled = code.rule(found(FindingCode::DrainBias, Severity::Note));
        assert_eq!((ruled.severity, ruled.was), (Severity::Error, Some(Severity::Note)));
        let warnings = policy(&[FindingCode::SingleRun], &[Denied::Warnings]);
        let severity = |code, own| warnings.rule(found(code, own)).severity;
        assert_eq!(severity(FindingCode::ColdStart, Severity::Warning), Severity::Error);
        assert_eq!(severity(FindingCode::ColdStart, Severity::Note), Severity::Note);
        assert_eq!(severity(FindingCode::SingleRun, Severity::Warning), Severity::Note);
    }

    #[test]
    fn the_later_policy_wins() {
        let matrix = policy(&[FindingCode::SingleRun], &[Denied::Code(FindingCode::DrainBias)]);
        let flags = policy(&[FindingCode::DrainBias], &[Denied::Code(FindingCode::SingleRun)]);
        let both = matrix.clone().and(&flags);
        assert_eq!(both, flags);
        assert_eq!(matrix.clone().and(&matrix), matrix);
        assert_eq!(both.in_words(), "allowed: drain-bias; denied: single-run");
        assert_eq!(AuditPolicy::default().in_words(), "");
    }

    #[test]
    fn contradictions_are_found_and_unknown_words_refused() {
        let both = policy(&[FindingCode::SingleRun], &[Denied::Code(FindingCode::SingleRun)]);
        assert_eq!(both.contradiction(), Some(FindingCode::SingleRun));
        assert_eq!(policy(&[FindingCode::SingleRun], &[Denied::Warnings]).contradiction(), None);
        let error = "warning".parse::<Denied>().unwrap_err().to_string();
        assert!(error.contains("did you mean `warnings`?"), "{error}");
        let json = r#"{"allow":["single-run"],"deny":["warnings","drain-bias"]}"#;
        let read: AuditPolicy = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert!(serde_json::from_str::<AuditPolicy>(r#"{"deny":["warningz"]}"#).is_err());
    }
}
