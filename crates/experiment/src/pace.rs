//! How fast requests end just now, for whoever watches a run.

use std::collections::VecDeque;

use plimsoll_units::RunNanos;

/// Looks that the pace is taken over: some five seconds of them.
const LOOKS: usize = 20;

/// Requests that had ended well at the last looks.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    looks: VecDeque<(RunNanos, u64)>,
}

impl Pace {
    /// Takes a look, and says how many ended per second since the oldest look that is kept; `None` at the
    /// first.
    pub(crate) fn see(&mut self, now: RunNanos, ok: u64) -> Option<f64> {
        if self.looks.len() == LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back((now, ok));
        let (since, before) = *self.looks.front()?;
        let seconds = (now - since).as_secs_f64();
        (seconds > 0.0).then(|| ok.saturating_sub(before) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_last_looks() {
        let mut pace = Pace::default();
        let at = |look: u32| RunNanos::from_secs_f64(f64::from(look) / 4.0);
        assert_eq!(pace.see(at(0), 0), None);
        assert_eq!(pace.see(at(1), 10), Some(40.0));
        // 10 every quarter of a second, then nothing for as long as it looks back.
        for look in 2..40 {
            assert_eq!(pace.see(at(look), u64::from(look) * 10), Some(40.0));
        }
        for look in 40..59 {
            pace.see(at(look), 390);
        }
        assert_eq!(pace.see(at(59), 390), Some(0.0));
    }
}
