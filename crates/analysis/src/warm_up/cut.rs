//! How much of a finished point's start is warm-up, told from its rows.

use std::time::Duration;

use plimsoll_records::RequestRow;
use plimsoll_units::RunNanos;
use serde::{Deserialize, Serialize};

use super::WarmUp;
use super::mser5::mser5;
use crate::Window;
use crate::in_flight::InFlight;
use crate::stability::Drift;

/// Moments at which the number in flight is looked at: 120 batches of five.
const MOMENTS: usize = 600;

/// How much of the start of a stretch of rows is warm-up. All times count from the stretch's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmUpCut {
    /// What [`WarmUp::auto`] would have said, had it watched: the floor.
    pub by_rule: Duration,
    /// Whether the number in flight is stationary from there on, as far as can be told.
    pub steady: bool,
    /// The cut of MSER-5 through the number in flight, not before the floor; `None` where that number did
    /// not settle in the first half.
    pub by_mser5: Option<Duration>,
}

impl WarmUpCut {
    /// The cut to make: the rule's where what follows is steady, else MSER-5's; `None` where the rows never
    /// settled, so that no part of them can be taken as steady.
    #[must_use]
    pub fn recommended(&self) -> Option<Duration> {
        if self.steady { Some(self.by_rule) } else { self.by_mser5 }
    }

    /// The cut of the rows of which requests were due in `from <= t < to`: for results that came without
    /// a warm-up, and to judge one that was made.
    ///
    /// Two rules, because each sees what the other cannot. The live rule knows why a server that starts
    /// empty settles (its longest request is over), and nothing of caches that fill, code that is
    /// compiled, or a backlog from before. MSER-5 sees whatever moved the number in flight (at 600 equally
    /// spaced moments), but on a series as short and as slow as that of a busy queue it cuts by chance,
    /// and prefers what is low. So it is asked only where the test of stationarity says that something
    /// moved. Rows in any order; an empty stretch gives no cut.
    ///
    /// Source: see docs/method.md#warm-up.
    #[must_use]
    pub fn of(rows: &[RequestRow], from: RunNanos, to: RunNanos) -> Self {
        let length = to - from;
        let in_flight = InFlight::of(rows);
        let moment = |index: usize| {
            let after = length.as_nanos() * index as u128 / MOMENTS as u128;
            from + Duration::from_nanos(u64::try_from(after).unwrap_or(u64::MAX))
        };
        let by_rule = replay(WarmUp::auto(length), rows, from, to).min(length);
        let floor = (1..=MOMENTS).take_while(|&index| moment(index) < from + by_rule).count();
        let levels: Vec<f64> =
            (1..=MOMENTS).map(|index| in_flight.at(moment(index)) as f64).collect();
        let rest = Window { start: from + by_rule, end: to };
        // Nothing is known of the arrivals' law: they are taken as random.
        let drift = Drift::of(rest, &in_flight, 1.0);
        Self {
            by_rule,
            steady: !rest.length().is_zero() && drift.is_stationary(),
            by_mser5: mser5(&levels, floor)
                .filter(|_| !length.is_zero())
                .map(|cut| moment(cut) - from),
        }
    }
}

/// When `rule` would have ended the warm-up, asked at every completion.
fn replay(rule: WarmUp, rows: &[RequestRow], from: RunNanos, to: RunNanos) -> Duration {
    let mut ended: Vec<(RunNanos, Duration)> = rows
        .iter()
        .filter(|row| row.outcome.is_ok() && from <= row.intended && row.intended < to)
        .map(|row| (row.done, crate::latency::e2e(row)))
        .collect();
    ended.sort_unstable();
    let mut longest = Duration::ZERO;
    for (index, &(done, took)) in ended.iter().enumerate() {
        longest = longest.max(took);
        let seen = index as u64 + 1;
        // Until the next completion nothing changes but the time.
        let until = ended.get(index + 1).map_or(rule.cap, |next| next.0 - from);
        let due = rule.floor.max(longest.mul_f64(rule.margin)).max(done - from);
        if due <= until && rule.is_over(due, seen, Some(longest)) {
            return due.min(rule.cap);
        }
    }
    rule.cap
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::fixture::{MS, row};

    fn at_ms(ms: u64) -> RunNanos {
        RunNanos::from_nanos(ms * MS)
    }

    /// A request every 50 ms for 60 s, each of which takes what `took` says of its number, ms.
    fn rows(took: impl Fn(u64) -> u64) -> Vec<RequestRow> {
        (0..1200).map(|k| row(k, at_ms(50 * k), took(k) * MS, 0, 4)).collect()
    }

    #[test]
    fn an_empty_start_is_the_longest_request() {
        // Two seconds a request: 40 in flight from 2 s on, to the millisecond.
        let cut = WarmUpCut::of(&rows(|_| 2000), RunNanos::ZERO, at_ms(60_000));
        assert_eq!(cut.by_rule, Duration::from_millis(2500));
        // MSER-5 sees nothing beyond; the 600 moments are 100 ms apart and cut in fives.
        assert_eq!(cut.by_mser5, Some(Duration::from_millis(2500)));
        assert!(cut.steady);
        assert_eq!(cut.recommended(), Some(cut.by_rule));
    }

    #[test]
    fn a_slow_start_that_the_rule_cannot_know_is_seen_by_mser() {
        // The first 200 requests (10 s) take 6 s, whatever comes later 0.5 s: cold caches.
        let took = |k| if k < 200 { 6000 } else { 500 };
        let cut = WarmUpCut::of(&rows(took), RunNanos::ZERO, at_ms(60_000));
        assert_eq!(cut.by_rule, Duration::from_millis(7500));
        let by_mser5 = cut.by_mser5.unwrap().as_secs_f64();
        assert!((15.5..=17.5).contains(&by_mser5), "{cut:?}");
        assert!(!cut.steady);
        assert_eq!(cut.recommended(), cut.by_mser5);
    }

    #[test]
    fn what_never_settles_has_no_cut() {
        // Every request takes longer than the one before: the number in flight grows to the end.
        let cut = WarmUpCut::of(&rows(|k| 20 * k), RunNanos::ZERO, at_ms(60_000));
        assert_eq!((cut.steady, cut.by_mser5, cut.recommended()), (false, None, None));
        // The rule is capped at half the time.
        assert!(cut.by_rule <= Duration::from_secs(30));
        let none = WarmUpCut::of(&[], RunNanos::ZERO, RunNanos::ZERO);
        assert_eq!(none.recommended(), None);
    }

    #[test]
    fn the_replay_says_what_the_live_rule_says() {
        // The live rule asked every millisecond.
        let rows = rows(|k| 300 + 37 * (k * k % 101));
        let (from, to) = (RunNanos::ZERO, at_ms(60_000));
        let rule = WarmUp::auto(to - from);
        let live = (0_u64..).find(|&ms| {
            let over = rows.iter().filter(|row| row.done <= at_ms(ms));
            let longest = over.clone().map(crate::latency::e2e).max();
            rule.is_over(Duration::from_millis(ms), over.count() as u64, longest)
        });
        let replayed = WarmUpCut::of(&rows, from, to).by_rule;
        let apart = replayed.as_secs_f64() - live.unwrap() as f64 / 1e3;
        assert!((-0.001..=0.000_1).contains(&apart), "{replayed:?} {live:?}");
    }
}
