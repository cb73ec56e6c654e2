//! Dates as other tools write them. Their zone is mostly not said, so a date is a time since 1970 as if it
//! were UTC, and only differences of one file's dates mean anything.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;

/// `20250721-151602` (local time of the client), or ISO 8601 with a zone (then UTC) or without.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return since_1970(instant);
    }
    // jiff would take a date without a time of day for midnight.
    let civil = DateTime::strptime("%Y%m%d-%H%M%S", text)
        .or_else(|_| text.parse::<DateTime>())
        .ok()
        .filter(|_| text.len() >= 15)?;
    of_civil(civil)
}

/// A moment as vLLM writes it, `20250721-151602`, in UTC.
pub(crate) fn compact(at: Duration) -> String {
    civil(at).map(|civil| civil.strftime("%Y%m%d-%H%M%S").to_string()).unwrap_or_default()
}

/// A civil time as if it were UTC.
pub(crate) fn of_civil(civil: DateTime) -> Option<Duration> {
    since_1970(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// The civil time of a moment, as if it were UTC.
pub(crate) fn civil(at: Duration) -> Option<DateTime> {
    let seconds = i64::try_from(at.as_secs()).ok()?;
    Some(Timestamp::from_second(seconds).ok()?.to_zoned(jiff::tz::TimeZone::UTC).datetime())
}

fn since_1970(instant: Timestamp) -> Option<Duration> {
    let nanos = u128::try_from(instant.as_nanosecond()).ok()?;
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_one_time() {
        let at = parse("20250721-151602").unwrap();
        assert_eq!(at, parse("2025-07-21T15:16:02Z").unwrap());
        assert_eq!(at, parse("2025-07-21T15:16:02").unwrap());
        assert_eq!(at, parse("2025-07-21T17:16:02+02:00").unwrap());
        assert_eq!(civil(at).unwrap().to_string(), "2025-07-21T15:16:02");
        assert_eq!(parse("2025-07-21T15:16:02.5Z").unwrap() - at, Duration::from_millis(500));
        for bad in ["", "20250721", "2025-07-21", "20251321-151602", "yesterday", "19690101-000000"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
