//! By how much a clock that says no zone is ahead of another one.

use super::Span;

/// Zones differ by whole quarters of an hour.
const QUARTER: i64 = 900;

/// No two zones are further apart: from UTC-12 to UTC+14.
const FURTHEST: i64 = 26 * 3600;

/// The shift of a clock, in seconds to a quarter of an hour, under which most of its stamps (seconds since
/// 1970, as if it were UTC) lie in `span`, with `slack` seconds on both sides; of equal ones the smallest.
/// `None` where none lies in it under any shift.
pub(super) fn shift(stamps: &[i64], span: Span, slack: i64) -> Option<i64> {
    let (start, end) = (span.start.as_secs() as i64 - slack, span.end.as_secs() as i64 + 1 + slack);
    let inside =
        |shift: i64| stamps.iter().filter(|&&at| (start..=end).contains(&(at - shift))).count();
    let mut candidates: Vec<i64> =
        (-FURTHEST / QUARTER..=FURTHEST / QUARTER).map(|quarters| quarters * QUARTER).collect();
    candidates.sort_by_key(|shift| shift.abs());
    let mut best = (0, 0);
    for shift in candidates {
        let count = inside(shift);
        if count > best.0 {
            best = (count, shift);
        }
    }
    (best.0 > 0).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_in_another_zone_is_moved_by_quarters_of_an_hour() {
        let span = Span { start: Duration::from_secs(100_000), end: Duration::from_secs(100_070) };
        let stamps = |shift: i64| (0..70).map(|i| 100_000 + i + shift).collect::<Vec<_>>();
        for wanted in [0, -16 * 3600, 20_700, 9 * 3600] {
            assert_eq!(shift(&stamps(wanted), span, 2), Some(wanted));
        }
        assert_eq!(shift(&stamps(300), span, 2), None, "five minutes are no zone");
        assert_eq!(shift(&[], span, 2), None);
        // A warm-up before it and another run after it do not mislead.
        let mut others = stamps(-3600);
        others.splice(0..0, [100_000 - 3600 - 400]);
        others.extend((0..20).map(|i| 100_000 - 3600 + 900 + i));
        assert_eq!(shift(&others, span, 2), Some(-3600));
    }
}
