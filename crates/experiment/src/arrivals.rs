//! How many arrivals of a point are due by now.

use plimsoll_load::Schedule;
use plimsoll_units::RunNanos;

use crate::live::Live;

/// How many arrivals are due: by the schedule in an open loop (whatever the workers have got to),
/// by the workers' count in a closed one.
pub(crate) struct Arrivals {
    origin: RunNanos,
    schedule: Option<std::iter::Peekable<Schedule>>,
    due: u64,
    /// In an open loop: how many are due before the end of the window, once that is known.
    by_window_end: u64,
}

impl Arrivals {
    /// Arrivals from `origin` on, by the schedule of the point if it has one.
    pub(crate) fn new(schedule: Option<Schedule>, origin: RunNanos) -> Self {
        Self { origin, schedule: schedule.map(Iterator::peekable), due: 0, by_window_end: 0 }
    }

    /// Arrivals due before `now`, which must not go back.
    pub(crate) fn due_before(&mut self, now: RunNanos, live: &Live) -> u64 {
        let Some(schedule) = &mut self.schedule else { return live.started() };
        let elapsed = now - self.origin;
        while schedule.next_if(|arrival| arrival.offset < elapsed).is_some() {
            self.due += 1;
        }
        self.due
    }

    /// The window is known to end at `end`.
    pub(crate) fn set_window_end(&mut self, end: RunNanos) {
        let Some(schedule) = &self.schedule else { return };
        let length = end - self.origin;
        let coming = schedule.clone().take_while(|arrival| arrival.offset < length).count();
        self.by_window_end = self.due + coming as u64;
    }

    /// Arrivals due before the end of the window, those to come included.
    pub(crate) fn due_by_window_end(&self, live: &Live) -> u64 {
        if self.schedule.is_some() { self.by_window_end } else { live.started_due() }
    }
}
