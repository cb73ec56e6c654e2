//! A length of time as a person writes it.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use crate::text::{ParseQuantityError, serde_as_text};

/// Units from long to short, with their nanoseconds.
const UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A length of time with a text form: `"30s"`, `"1m30s"`, `"250ms"`, `"1.5s"`, `"80us"`, `"0s"`.
///
/// Dereferences to [`Duration`]. A bare number has no unit and is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

impl Span {
    /// The span of `duration`.
    #[must_use]
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// The span as the standard library's type.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Deref for Span {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl FromStr for Span {
    type Err = ParseQuantityError;

    /// Reads one or more numbers, each with a unit of `h m s ms us ns`, from long to short.
    fn from_str(text: &str) -> Result<Self, ParseQuantityError> {
        let wrong = |problem| {
            ParseQuantityError::new(text, "span of time", problem, "\"30s\" or \"1m30s\"")
        };
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(wrong("it is empty"));
        }
        let mut total = 0.0_f64;
        let mut longest_allowed = 0;
        while !rest.is_empty() {
            let number_end =
                rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let number: f64 = rest[..number_end]
                .parse()
                .map_err(|_| wrong("a number must come first, and none may be negative"))?;
            rest = &rest[number_end..];
            let unit_end =
                rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
            let unit = rest[..unit_end].trim();
            let place = UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(|| {
                wrong(if unit.is_empty() {
                    "the unit is missing"
                } else {
                    "the unit is none of h, m, s, ms, us, ns"
                })
            })?;
            if place < longest_allowed {
                return Err(wrong("units must go from long to short, each once"));
            }
            longest_allowed = place + 1;
            total += number * UNITS[place].1 as f64;
            rest = rest[unit_end..].trim_start();
        }
        if total > 1e18 {
            return Err(wrong("it is longer than 30 years"));
        }
        Ok(Self(Duration::from_nanos(total.round() as u64)))
    }
}

impl fmt::Display for Span {
    /// The shortest exact form: `1m30s`, `250ms`, `0s`. [`FromStr`] reads it back unchanged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        for (name, size) in UNITS {
            let count = nanos / u128::from(size);
            if count > 0 {
                write!(f, "{count}{name}")?;
                nanos %= u128::from(size);
            }
        }
        Ok(())
    }
}

serde_as_text!(Span, "a span of time with a unit, like \"30s\" or \"250ms\"", |number| Err(
    ParseQuantityError::new(
        &number.to_string(),
        "span of time",
        "the unit is missing",
        "\"30s\" or \"1m30s\""
    )
));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, nanos) in [
            ("30s", 30_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1m 30s", 90_000_000_000),
            ("250ms", 250_000_000),
            ("1.5s", 1_500_000_000),
            ("80us", 80_000),
            ("0s", 0),
            ("2h", 7_200_000_000_000),
        ] {
            assert_eq!(text.parse::<Span>().unwrap().as_nanos(), nanos, "{text}");
        }
    }

    #[test]
    fn refuses_with_the_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("30", "unit is missing"),
            ("-3s", "number must come first"),
            ("s", "number must come first"),
            ("5 parsecs", "none of h"),
            ("1s1m", "long to short"),
            ("1s1s", "each once"),
            ("999999999h", "30 years"),
            ("1.2.3s", "number must come first"),
        ] {
            let error = text.parse::<Span>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_bare_number_in_a_file_is_refused() {
        assert_eq!(
            serde_json::from_str::<Span>("\"2s\"").unwrap(),
            Span::new(Duration::from_secs(2))
        );
        assert!(
            serde_json::from_str::<Span>("2").unwrap_err().to_string().contains("unit is missing")
        );
    }

    proptest! {
        /// Writing and reading back changes nothing, as far as a float holds nanoseconds exactly.
        #[test]
        fn text_round_trips(nanos in 0_u64..(1 << 53)) {
            let span = Span::new(Duration::from_nanos(nanos));
            prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
    }
}
