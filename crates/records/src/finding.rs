//! What the audit says: one finding, with its code, its evidence and its remedy.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One finding of the audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The lint-like code, explained in docs/audit.md.
    pub code: FindingCode,
    /// What it does to the result.
    pub severity: Severity,
    /// What it would do by the audit's own rules, where it was allowed or denied; `None` where nobody
    /// touched it.
    #[serde(default)]
    pub was: Option<Severity>,
    /// The point it concerns; `None` for the run as a whole.
    pub point: Option<String>,
    /// One sentence with the numbers in it.
    pub message: String,
    /// The evidence by name; names end in their unit (`lag_p99_ms`).
    pub numbers: BTreeMap<String, f64>,
    /// What to do about it, one sentence.
    pub remedy: String,
}

/// What a finding does to the result it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing; says nothing against the result.
    Note,
    /// Qualifies the result.
    Warning,
    /// Voids the point, or the run if it concerns the run.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// What the measurement as a whole is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing speaks against it.
    Valid,
    /// It holds with the reservations that the warnings name.
    Qualified,
    /// It must not be reported as a result.
    Invalid,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Valid => "valid",
            Self::Qualified => "qualified",
            Self::Invalid => "invalid",
        })
    }
}

/// Declares the codes once, with their text form.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The audit's codes. docs/audit.md says for each: what, why, evidence, remedy.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum FindingCode {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl FindingCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it is written in files and reports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

codes! {
    /// The achieved arrival rate is off the offered one, or arrivals fail the test of their process.
    RateMissed = "rate-missed",
    /// The client was late: to send, to read, or by its self-test.
    ClientLate = "client-late",
    /// A worker thread used most of its core during the window, or waited for it.
    ClientBusy = "client-busy",
    /// Makespan throughput is off the steady one by over 5 %.
    DrainBias = "drain-bias",
    /// The window is short against the requests, or holds too few of them.
    WindowShort = "window-short",
    /// A point taken as stable still drifts inside its window.
    NotStationary = "not-stationary",
    /// Latency of an unstable point: it grows with the run's length.
    OverloadLatency = "overload-latency",
    /// Tokens received differ from those asked for.
    OutputLength = "output-length",
    /// Prompts hit the prefix cache more than the workload intends.
    PrefixReuse = "prefix-reuse",
    /// The ladder ended before saturation: the capacity is a lower bound.
    NoPlateau = "no-plateau",
    /// A cap on concurrency turned the open loop into a closed one.
    ConcurrencyCapped = "concurrency-capped",
    /// Over 0.1 % of the requests failed while latency is shown for the survivors.
    ErrorsExcluded = "errors-excluded",
    /// Chunks carry several tokens.
    ChunkedTokens = "chunked-tokens",
    /// The usage's token count and the chunks' disagree.
    TokenCount = "token-count",
    /// The first requests were slower than the window's, inside the window.
    ColdStart = "cold-start",
    /// The system's clocks were set or steered while the point ran.
    ClockStep = "clock-step",
    /// Planned and true prompt lengths differ.
    PromptLength = "prompt-length",
    /// A declared setting is not the one that the server reports.
    SettingNotApplied = "setting-not-applied",
    /// The server counts a constant number of prompt tokens more than the client composed.
    TemplateDoubled = "template-doubled",
    /// The server preempted requests during the window.
    Preempted = "preempted",
    /// Heat or power held a GPU's clocks down during the window.
    GpuThrottled = "gpu-throttled",
    /// Processes that are not the server's were on its GPUs.
    GpuShared = "gpu-shared",
    /// A sampler missed more of the window than its period.
    SamplerGap = "sampler-gap",
    /// The server was another process at the end of the point than at its beginning.
    ServerRestarted = "server-restarted",
    /// Points share one arrival sequence: their spread is no measure of noise.
    SameArrivals = "same-arrivals",
    /// A difference is shown, or claimed, that rests on one repetition.
    SingleRun = "single-run",
    /// A comparison or scaling between points that were not saturated.
    LoadLimited = "load-limited",
    /// GPU utilisation is as high at a low load as at saturation: it says nothing of head room.
    UtilisationFlat = "utilisation-flat",
}

impl FromStr for FindingCode {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let known = Self::ALL.iter().find(|code| code.as_str() == text);
        known
            .copied()
            .ok_or_else(|| UnknownCode::new(text, Self::ALL.iter().map(|code| code.as_str())))
    }
}

/// A text that is no code of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{given}` is no code of the audit; {}docs/audit.md lists them", self.advice())]
pub struct UnknownCode {
    given: String,
    nearest: Option<&'static str>,
}

impl UnknownCode {
    /// `given`, with the nearest of the words that may stand in its place.
    pub(crate) fn new(given: &str, known: impl Iterator<Item = &'static str>) -> Self {
        let distance = |word: &str| strsim::damerau_levenshtein(given, word);
        let nearest = known.map(|word| (distance(word), word)).min();
        Self {
            given: given.to_owned(),
            nearest: nearest.filter(|(d, _)| *d <= 1 + given.len() / 3).map(|(_, word)| word),
        }
    }

    fn advice(&self) -> String {
        self.nearest.map_or_else(String::new, |word| format!("did you mean `{word}`? "))
    }
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_written_the_same_in_text_and_json() {
        for code in FindingCode::ALL {
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
        }
    }

    #[test]
    fn codes_are_read_as_they_are_written_and_others_refused_with_the_nearest() {
        for &code in FindingCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
        }
        let error = |text: &str| text.parse::<FindingCode>().unwrap_err().to_string();
        assert_eq!(
            error("drain-biass"),
            "`drain-biass` is no code of the audit; did you mean `drain-bias`? docs/audit.md lists them"
        );
        assert_eq!(error("x"), "`x` is no code of the audit; docs/audit.md lists them");
    }

    #[test]
    fn severities_and_verdicts_order_from_mild_to_grave() {
        assert!(Severity::Note < Severity::Warning && Severity::Warning < Severity::Error);
        assert!(Verdict::Valid < Verdict::Qualified && Verdict::Qualified < Verdict::Invalid);
    }
}
