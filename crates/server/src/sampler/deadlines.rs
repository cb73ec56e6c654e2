//! When the next page is due.

use std::time::Duration;

use plimsoll_units::RunNanos;

/// Deadlines a period apart, counted from the first one: being late once makes no later one late.
#[derive(Debug)]
pub(crate) struct Deadlines {
    next: RunNanos,
    period: Duration,
}

impl Deadlines {
    /// The first deadline is at `first`. `period` must not be zero.
    pub(crate) fn new(first: RunNanos, period: Duration) -> Self {
        Self { next: first, period }
    }

    /// How long it is to the next deadline, zero when it has come.
    pub(crate) fn wait(&self, now: RunNanos) -> Duration {
        self.next - now
    }

    /// The deadline that has come is being met.
    pub(crate) fn meet(&mut self) {
        self.next += self.period;
    }

    /// Gives up what cannot be met any more at `now`, and says which deadlines those were: all that
    /// have passed but the last, and the last too when more than half a period has gone by since. What
    /// is missed is not caught up, for two pages at once say no more than one.
    pub(crate) fn give_up(&mut self, now: RunNanos) -> Vec<RunNanos> {
        let mut missed = Vec::new();
        while self.next + self.period / 2 < now {
            missed.push(self.next);
            self.next += self.period;
        }
        missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(1000);

    fn at(ms: u64) -> RunNanos {
        RunNanos::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn deadlines_keep_their_distance_from_the_first() {
        let mut deadlines = Deadlines::new(at(5), PERIOD);
        assert_eq!(deadlines.wait(at(0)), Duration::from_millis(5));
        deadlines.meet();
        // Met 20 ms late, the next is not.
        assert!(deadlines.give_up(at(25)).is_empty());
        assert_eq!(deadlines.wait(at(25)), Duration::from_millis(980));
    }

    #[test]
    fn a_little_late_is_met_and_very_late_is_given_up() {
        let mut deadlines = Deadlines::new(at(1000), PERIOD);
        assert!(deadlines.give_up(at(1400)).is_empty());
        assert_eq!(deadlines.wait(at(1400)), Duration::ZERO);
        assert_eq!(deadlines.give_up(at(1600)), [at(1000)]);
        assert_eq!(deadlines.wait(at(1600)), Duration::from_millis(400));
        assert_eq!(deadlines.give_up(at(5200)), [at(2000), at(3000), at(4000)]);
        assert_eq!(deadlines.wait(at(5200)), Duration::ZERO, "the one of 5000 can be met");
    }
}
