//! Events per second.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::text::{ParseQuantityError, serde_as_text};

/// Events per second, finite and above zero; text forms `"12.5/s"`, `"90/min"` and a bare `12.5`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    /// The rate of `per_second` events each second.
    ///
    /// # Errors
    /// When the number is not finite or not above zero.
    pub fn new(per_second: f64) -> Result<Self, ParseQuantityError> {
        if per_second.is_finite() && per_second > 0.0 {
            Ok(Self(per_second))
        } else {
            Err(ParseQuantityError::new(
                &per_second.to_string(),
                "rate",
                "it must be finite and above zero",
                "12.5 or \"12.5/s\"",
            ))
        }
    }

    /// Events per second.
    #[must_use]
    pub const fn per_second(self) -> f64 {
        self.0
    }

    /// The mean time between two events.
    #[must_use]
    pub fn mean_gap(self) -> Duration {
        Duration::try_from_secs_f64(1.0 / self.0).unwrap_or(Duration::MAX)
    }
}

impl FromStr for Rate {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, ParseQuantityError> {
        let wrong = |problem| ParseQuantityError::new(text, "rate", problem, "12.5 or \"12.5/s\"");
        let (number, seconds) = match text.trim().split_once('/') {
            None => (text.trim(), 1.0),
            Some((number, "s")) => (number, 1.0),
            Some((number, "min")) => (number, 60.0),
            Some(_) => return Err(wrong("the unit is none of /s, /min")),
        };
        let number: f64 =
            number.trim().parse().map_err(|_| wrong("it does not start with a number"))?;
        Self::new(number / seconds).map_err(|_| wrong("it must be finite and above zero"))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

serde_as_text!(Rate, "a rate above zero, like 12.5 or \"12.5/s\"", Rate::new);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_units() {
        assert_eq!("12.5/s".parse::<Rate>().unwrap().per_second(), 12.5);
        assert_eq!("90/min".parse::<Rate>().unwrap().per_second(), 1.5);
        assert_eq!("3".parse::<Rate>().unwrap().per_second(), 3.0);
        assert_eq!(serde_json::from_str::<Rate>("7").unwrap().per_second(), 7.0);
        assert_eq!(serde_json::from_str::<Rate>("\"0.5/s\"").unwrap().to_string(), "0.5/s");
        assert_eq!(Rate::new(4.0).unwrap().mean_gap(), Duration::from_millis(250));
    }

    #[test]
    fn refuses_what_is_no_rate() {
        for (text, reason) in [
            ("-3/s", "above zero"),
            ("0", "above zero"),
            ("inf", "above zero"),
            ("3/h", "none of"),
            ("fast", "number"),
        ] {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(text), "{text}: {error}");
        }
        assert!(Rate::new(f64::NAN).is_err());
    }
}
