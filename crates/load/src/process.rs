//! Arrival processes as a person writes them: in a TOML value or as one word.

use std::fmt;
use std::str::FromStr;

use plimsoll_units::{ParseQuantityError, Rate, Span};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// What an arrival process in a file or on a command line looks like.
const FORMS: &str = "constant, poisson, gamma(cv=2) or ramp(to=60, over=30s)";

/// How arrivals are spread over time, given their rate.
///
/// Text forms, which [`Display`](fmt::Display) writes and [`FromStr`] reads: `constant`, `poisson`,
/// `gamma(cv=2)`, `ramp(to=60/s, over=30s)`. In a TOML file also tables:
/// `{ gamma = { cv = 2.0 } }`, `{ ramp = { to = 60, over = "30s" } }`.
///
/// Given instants are no process: [`Schedule::replay`](crate::Schedule::replay) takes those.
///
/// The default is Poisson: it is what many independent users add up to, and the bursts it has are
/// the ones that build queues.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum ArrivalProcess {
    /// One arrival every 1/rate.
    Constant,
    /// Independent arrivals: exponential gaps of mean 1/rate.
    #[default]
    Poisson,
    /// Independent gamma-distributed gaps of mean 1/rate: burstier than Poisson above `cv` 1, more
    /// regular below.
    Gamma {
        /// Standard deviation of the gaps / their mean.
        cv: GapCv,
    },
    /// Poisson arrivals whose rate goes in a straight line from the schedule's rate at its start to
    /// `to`, and stays there.
    Ramp {
        /// The rate at the end of the ramp and ever after.
        to: Rate,
        /// How long the ramp takes; a zero span is a step at the start.
        over: Span,
    },
}

impl ArrivalProcess {
    /// The coefficient of variation of the gaps between arrivals: 0 for constant, 1 for Poisson,
    /// `cv` for gamma; `None` for a ramp, whose gaps have no one distribution.
    #[must_use]
    pub const fn gap_cv(&self) -> Option<f64> {
        match self {
            Self::Constant => Some(0.0),
            Self::Poisson => Some(1.0),
            Self::Gamma { cv } => Some(cv.get()),
            Self::Ramp { .. } => None,
        }
    }

    /// A ramp that a person asked for: one without length is a mistake.
    fn ramp(to: Rate, over: Span) -> Result<Self, ProcessError> {
        if over.is_zero() { Err(ProcessError::RampSpan) } else { Ok(Self::Ramp { to, over }) }
    }
}

/// A coefficient of variation of gaps: above 0, at most 10.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct GapCv(f64);

impl GapCv {
    /// The coefficient of variation `cv`, without unit.
    ///
    /// # Errors
    /// When it is not above 0 or exceeds 10, where the gamma distribution is a few enormous gaps
    /// between simultaneous arrivals.
    pub fn new(cv: f64) -> Result<Self, ProcessError> {
        if cv > 0.0 && cv <= 10.0 { Ok(Self(cv)) } else { Err(ProcessError::Cv { cv }) }
    }

    /// Standard deviation / mean.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// A text or value that is no arrival process.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The name is none of the known processes, or its settings are not written as they should be.
    #[error("`{text}` is not an arrival process; write {FORMS}")]
    Unknown {
        /// What was written.
        text: String,
    },
    /// A process with a setting that it does not have, or without one that it needs.
    #[error("`{text}`: {process} takes {takes}; write it like {example}")]
    Settings {
        /// What was written.
        text: String,
        /// The process it names.
        process: &'static str,
        /// The settings that this process takes.
        takes: &'static str,
        /// A process written right.
        example: &'static str,
    },
    /// A coefficient of variation outside its range.
    #[error(
        "a coefficient of variation of {cv} is outside its range, above 0 up to 10; \
         for 0 write constant, for 1 poisson"
    )]
    Cv {
        /// The value.
        cv: f64,
    },
    /// A ramp that takes no time.
    #[error("a ramp over 0s is none; give `over` a length, or write the rate it should end at")]
    RampSpan,
    /// A rate or span inside the process that cannot be read.
    #[error(transparent)]
    Quantity(#[from] ParseQuantityError),
}

impl fmt::Display for ArrivalProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Poisson => f.write_str("poisson"),
            Self::Gamma { cv } => write!(f, "gamma(cv={})", cv.get()),
            Self::Ramp { to, over } => write!(f, "ramp(to={to}, over={over})"),
        }
    }
}

impl FromStr for ArrivalProcess {
    type Err = ProcessError;

    fn from_str(text: &str) -> Result<Self, ProcessError> {
        let unknown = || ProcessError::Unknown { text: text.to_owned() };
        let (name, settings) = match text.trim().split_once('(') {
            None => (text.trim(), None),
            Some((name, rest)) => (name.trim(), Some(rest.strip_suffix(')').ok_or_else(unknown)?)),
        };
        let settings: Vec<(&str, &str)> = settings
            .into_iter()
            .flat_map(|list| list.split(','))
            .map(|setting| setting.split_once('=').map(|(key, value)| (key.trim(), value.trim())))
            .collect::<Option<_>>()
            .ok_or_else(unknown)?;
        let wrong = |process, takes, example| ProcessError::Settings {
            text: text.to_owned(),
            process,
            takes,
            example,
        };
        match (name, settings.as_slice()) {
            ("constant", []) => Ok(Self::Constant),
            ("poisson", []) => Ok(Self::Poisson),
            ("gamma", [("cv", cv)]) => {
                let cv = cv.parse().map_err(|_| wrong("gamma", "a number as cv", "gamma(cv=2)"))?;
                Ok(Self::Gamma { cv: GapCv::new(cv)? })
            }
            ("ramp", [("to", to), ("over", over)] | [("over", over), ("to", to)]) => {
                Self::ramp(to.parse()?, over.parse()?)
            }
            ("constant", _) => Err(wrong("constant", "no settings", "constant")),
            ("poisson", _) => Err(wrong("poisson", "no settings", "poisson")),
            ("gamma", _) => Err(wrong("gamma", "cv alone", "gamma(cv=2)")),
            ("ramp", _) => Err(wrong("ramp", "to and over", "ramp(to=60, over=30s)")),
            _ => Err(unknown()),
        }
    }
}

impl Serialize for ArrivalProcess {
    /// As text, the form that [`Display`](fmt::Display) writes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ArrivalProcess {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

/// Reads a process from a text or from a table with one key.
struct Written;

/// The processes that a table can name: the ones with settings.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TableName {
    Gamma,
    Ramp,
}

/// The settings of `{ gamma = { ... } }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct GammaTable {
    cv: f64,
}

/// The settings of `{ ramp = { ... } }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RampTable {
    to: Rate,
    over: Span,
}

impl<'de> Visitor<'de> for Written {
    type Value = ArrivalProcess;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an arrival process: \"constant\", \"poisson\", { gamma = { cv = 2.0 } } or \
             { ramp = { to = 60, over = \"30s\" } }",
        )
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ArrivalProcess, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ArrivalProcess, A::Error> {
        let process = match map.next_key()? {
            None => return Err(A::Error::custom("an empty table names no arrival process")),
            Some(TableName::Gamma) => {
                let GammaTable { cv } = map.next_value()?;
                GapCv::new(cv).map(|cv| ArrivalProcess::Gamma { cv })
            }
            Some(TableName::Ramp) => {
                let RampTable { to, over } = map.next_value()?;
                ArrivalProcess::ramp(to, over)
            }
        }
        .map_err(A::Error::custom)?;
        match map.next_key::<String>()? {
            None => Ok(process),
            Some(key) => Err(A::Error::custom(format_args!(
                "one arrival process is enough: remove `{key}` or the one before it"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::time::Duration;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        arrivals: ArrivalProcess,
    }

    fn from_toml(value: &str) -> Result<ArrivalProcess, String> {
        toml::from_str::<File>(&format!("arrivals = {value}"))
            .map(|file| file.arrivals)
            .map_err(|error| error.to_string())
    }

    fn gamma(cv: f64) -> ArrivalProcess {
        ArrivalProcess::Gamma { cv: GapCv::new(cv).unwrap() }
    }

    #[test]
    fn reads_what_a_matrix_writes() {
        let ramp =
            ArrivalProcess::Ramp { to: Rate::new(60.0).unwrap(), over: "30s".parse().unwrap() };
        for (written, process, text, cv) in [
            ("\"constant\"", ArrivalProcess::Constant, "constant", Some(0.0)),
            ("\"poisson\"", ArrivalProcess::Poisson, "poisson", Some(1.0)),
            ("{ gamma = { cv = 2.0 } }", gamma(2.0), "gamma(cv=2)", Some(2.0)),
            ("{ gamma = { cv = 2 } }", gamma(2.0), "gamma(cv=2)", Some(2.0)),
            ("\"gamma(cv=0.5)\"", gamma(0.5), "gamma(cv=0.5)", Some(0.5)),
            ("{ ramp = { to = 60, over = \"30s\" } }", ramp, "ramp(to=60/s, over=30s)", None),
            (
                "{ ramp = { to = \"3600/min\", over = \"30s\" } }",
                ramp,
                "ramp(to=60/s, over=30s)",
                None,
            ),
            ("\"ramp(over=30s, to=60)\"", ramp, "ramp(to=60/s, over=30s)", None),
        ] {
            assert_eq!(from_toml(written), Ok(process), "{written}");
            assert_eq!(process.to_string(), text);
            assert_eq!(process.gap_cv(), cv);
        }
        assert_eq!(ArrivalProcess::default(), ArrivalProcess::Poisson);
    }

    #[test]
    fn refuses_with_the_value_and_the_remedy() {
        for (written, says) in [
            ("\"poison\"", "`poison` is not an arrival process; write constant, poisson"),
            ("\"gamma\"", "gamma takes cv alone; write it like gamma(cv=2)"),
            ("\"gamma(cv=two)\"", "a number as cv"),
            ("\"gamma(cv=2\"", "is not an arrival process"),
            ("\"poisson(cv=2)\"", "poisson takes no settings"),
            ("\"gamma(cv=0)\"", "of 0 is outside its range, above 0 up to 10"),
            ("\"gamma(cv=NaN)\"", "of NaN is outside"),
            ("\"ramp(to=60, over=0s)\"", "a ramp over 0s is none"),
            ("\"ramp(to=-1, over=3s)\"", "`-1` is not a rate"),
            ("{ gamma = { cv = -1 } }", "of -1 is outside its range"),
            ("{ gamma = { cv = 11 } }", "of 11 is outside its range"),
            ("{ gamma = { cv = 2, shape = 1 } }", "unknown field `shape`"),
            ("{ gamma = {} }", "missing field `cv`"),
            ("{ gama = { cv = 2 } }", "unknown variant `gama`, expected `gamma` or `ramp`"),
            ("{ gamma = { cv = 2 }, ramp = { to = 1, over = \"1s\" } }", "one arrival process"),
            ("{ ramp = { to = 60, over = \"0s\" } }", "a ramp over 0s is none"),
            ("{ ramp = { to = 0, over = \"1s\" } }", "above zero"),
            ("{}", "an empty table"),
            ("7", "an arrival process: \"constant\""),
        ] {
            let error = from_toml(written).expect_err(written);
            assert!(error.contains(says), "{written}: {error}");
        }
    }

    fn any_process() -> impl Strategy<Value = ArrivalProcess> {
        prop_oneof![
            Just(ArrivalProcess::Constant),
            Just(ArrivalProcess::Poisson),
            (1e-3..10.0_f64).prop_map(gamma),
            ((1e-6..1e6_f64), (1_u64..1 << 50)).prop_map(|(to, over)| ArrivalProcess::Ramp {
                to: Rate::new(to).unwrap(),
                over: Span::new(Duration::from_nanos(over)),
            }),
        ]
    }

    proptest! {
        /// Writing and reading back changes nothing, as text and through serde.
        #[test]
        fn text_round_trips(process in any_process()) {
            let text = process.to_string();
            prop_assert_eq!(text.parse::<ArrivalProcess>().unwrap(), process);
            prop_assert_eq!(from_toml(&format!("\"{text}\"")).unwrap(), process);
        }

        /// No text makes the parser panic.
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z()=,. 0-9]{0,24}") {
            let _ = text.parse::<ArrivalProcess>();
        }
    }
}
