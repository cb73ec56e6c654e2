//! Instants as traces write them.

use std::time::Duration;

use jiff::civil::DateTime;

use crate::config::TimeUnit;

/// How instants are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// A number of units of so many nanoseconds, from wherever the trace counts.
    Count(u64),
    /// A date and a time of day. A zone behind it must be UTC.
    Date,
}

impl Clock {
    pub(crate) const MILLIS: Self = Self::Count(1_000_000);
    pub(crate) const SECONDS: Self = Self::Count(1_000_000_000);

    /// What an error says is allowed.
    pub(crate) const fn allowed(self) -> &'static str {
        match self {
            Self::Count(_) => "numbers from 0, in the unit of the column",
            Self::Date => {
                "dates from 1970 on with a time, like 2023-11-16 18:15:46.6805900, in UTC or no zone"
            }
        }
    }
}

impl From<TimeUnit> for Clock {
    fn from(unit: TimeUnit) -> Self {
        match unit {
            TimeUnit::Ns => Self::Count(1),
            TimeUnit::Us => Self::Count(1_000),
            TimeUnit::Ms => Self::MILLIS,
            TimeUnit::S => Self::SECONDS,
            TimeUnit::Min => Self::Count(60_000_000_000),
            TimeUnit::H => Self::Count(3_600_000_000_000),
            TimeUnit::Datetime => Self::Date,
        }
    }
}

/// The instant that `text` says, to the nanosecond; `None` if it says none.
pub(crate) fn parse(text: &str, clock: Clock) -> Option<Duration> {
    match clock {
        Clock::Count(unit_ns) => count(text, unit_ns).map(Duration::from_nanos),
        Clock::Date => date(text),
    }
}

/// A decimal number of units. Digits are taken as they are, not through a float: instants since 1970
/// have more of them than a float holds.
fn count(text: &str, unit_ns: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || whole.is_empty() {
        // An exponent, perhaps.
        let nanos = text.parse::<f64>().ok()? * unit_ns as f64;
        return (0.0..u64::MAX as f64).contains(&nanos).then_some(nanos.round() as u64);
    }
    // A digit further back is below a nanosecond in any unit.
    let fraction = &fraction[..fraction.len().min(18)];
    let parts = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    let scale = 10_u128.pow(fraction.len() as u32);
    let nanos = whole.parse::<u128>().ok()?.checked_mul(u128::from(unit_ns))?
        + (parts * u128::from(unit_ns) + scale / 2) / scale;
    u64::try_from(nanos).ok()
}

/// A date with its time, since 1970.
fn date(text: &str) -> Option<Duration> {
    let text = text.strip_suffix("+00:00").or_else(|| text.strip_suffix('Z')).unwrap_or(text);
    let time = text.get(10..).unwrap_or_default();
    // A zone that is not UTC would be left out of account, and a date alone is midnight.
    if time.is_empty() || time.contains(['+', '-', '[']) {
        return None;
    }
    let date: DateTime = text.parse().ok()?;
    Duration::try_from(date.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0))).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_exact_in_every_unit() {
        for (text, unit, nanos) in [
            ("27", TimeUnit::Ms, 27_000_000),
            ("0.25", TimeUnit::Us, 250),
            ("1700158546.680590123", TimeUnit::S, 1_700_158_546_680_590_123),
            ("1700158546680590123", TimeUnit::Ns, 1_700_158_546_680_590_123),
            ("1.5", TimeUnit::Min, 90_000_000_000),
            ("0.000000000000000000000001", TimeUnit::H, 0),
            ("1.5e3", TimeUnit::Ms, 1_500_000_000),
            ("5.", TimeUnit::S, 5_000_000_000),
        ] {
            assert_eq!(parse(text, unit.into()), Some(Duration::from_nanos(nanos)), "{text}");
        }
        for text in ["", "-1", "1,5", "nan", "inf", "1e30", ".", "a", "99999999999999999999999999"]
        {
            assert_eq!(parse(text, Clock::SECONDS), None, "{text}");
        }
    }

    #[test]
    fn dates_keep_all_their_digits() {
        let at = |text: &str| parse(text, Clock::Date).map(|at| at.as_nanos());
        assert_eq!(at("1970-01-02 00:00:00"), Some(86_400_000_000_000));
        // 2023-11-16 18:15:46 UTC is 1,700,158,546 s.
        assert_eq!(at("2023-11-16 18:15:46.6805900"), Some(1_700_158_546_680_590_000));
        assert_eq!(at("2023-11-16T18:15:46.680590001Z"), Some(1_700_158_546_680_590_001));
        assert_eq!(at("2024-05-10 00:00:00.009930+00:00"), at("2024-05-10 00:00:00.00993"));
        for text in [
            "2023-11-16",
            "18:15:46",
            "2023-13-16 18:15:46",
            "2024-05-10 00:00:00+02:00",
            "1969-12-31 23:59:59",
            "2024-05-10 00:00:00[Asia/Seoul]",
            "",
            "yesterday at noon",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    proptest! {
        /// No text panics, and a number of nanoseconds is itself.
        #[test]
        fn anything_is_read_or_refused(text in ".*", nanos: u64) {
            for clock in [Clock::Date, Clock::SECONDS, Clock::Count(3_600_000_000_000)] {
                let _ = parse(&text, clock);
            }
            let whole = parse(&nanos.to_string(), Clock::Count(1));
            prop_assert_eq!(whole, Some(Duration::from_nanos(nanos)));
            let seconds = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
            prop_assert_eq!(parse(&seconds, Clock::SECONDS), Some(Duration::from_nanos(nanos)));
        }
    }
}
