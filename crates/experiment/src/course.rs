//! The course of one point as a synchronous state machine: what is seen goes in, what to do comes
//! out. It keeps no time and starts nothing, so every path can be tested without waiting.

use std::time::Duration;

use plimsoll_analysis::{OverloadDetector, OverloadVerdict, Progress, WarmUp, Window};
use plimsoll_records::{PointEnd, ProbeRecord, WindowPlan};
use plimsoll_units::RunNanos;

/// Requests in a row that lost their connection, after which the target counts as lost.
const LOST_IN_A_ROW: u64 = 20;

/// How far ahead the end of a window is set whose requests have ended.
const AHEAD: Duration = Duration::from_millis(20);

/// How often the overload detector is fed.
const OBSERVE_EVERY: Duration = Duration::from_millis(250);
/// How well the plateau must be known before an overloaded point may end early, as a share of it,
/// where no search says otherwise.
const PLATEAU_PRECISION: f64 = 0.01;

/// What the coordinator sees of a point at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// The moment at which the look began.
    pub(crate) now: RunNanos,
    /// A moment after its end: on a busy machine the one who looks is kept waiting in between, and all
    /// that it counted is before this one only.
    pub(crate) seen_by: RunNanos,
    /// Arrivals due by `now`.
    pub(crate) due: u64,
    /// Requests ended by `seen_by`, however.
    pub(crate) ended: u64,
    /// Of those, ended well.
    pub(crate) ok: u64,
    /// The longest of those, from intended to done.
    pub(crate) longest_e2e: Duration,
    /// Output tokens received by now.
    pub(crate) output_tokens: u64,
    /// Requests in a row, up to the last one, that lost their connection.
    pub(crate) lost_in_a_row: u64,
    /// Arrivals due before the end of the window, once that is known, that have not ended.
    pub(crate) due_in_window_open: u64,
}

/// Where a point is in its course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    WarmUp,
    Measure,
    Drain,
    Over(PointEnd),
}

impl Phase {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::WarmUp => "warm-up",
            Self::Measure => "measure",
            Self::Drain | Self::Over(_) => "drain",
        }
    }
}

/// The course of one point.
#[derive(Debug)]
pub(crate) struct Course {
    plan: WindowPlan,
    warm_up: WarmUp,
    origin: RunNanos,
    phase: Phase,
    window: Window,
    /// Watches an open loop for overload; `None` in a closed loop, which cannot be overloaded, and
    /// where overload is to be measured to the window's end.
    overload: Option<OverloadDetector>,
    /// How well the plateau must be known before the point may end for overload, as a share of it.
    enough: f64,
    next_observation: RunNanos,
    /// The end of the window, where the load has one.
    last: Option<RunNanos>,
    /// Requests whose ends the window waits for; `None` where it has a length.
    requests: Option<u64>,
    /// Requests that had ended when the window began.
    ended_before: u64,
}

impl Course {
    /// A course that begins at `origin`, with the detector for its arrivals.
    pub(crate) fn new(
        plan: WindowPlan,
        origin: RunNanos,
        overload: Option<OverloadDetector>,
    ) -> Self {
        let never = Window { start: RunNanos::MAX, end: RunNanos::MAX };
        Self {
            plan,
            warm_up: WarmUp::auto(plan.measure.get()),
            origin,
            phase: Phase::WarmUp,
            window: never,
            overload,
            enough: PLATEAU_PRECISION,
            next_observation: RunNanos::ZERO,
            last: None,
            requests: None,
            ended_before: 0,
        }
    }

    /// The same course with a window that lasts until so many requests have ended in it, however; the
    /// planned length is then the longest. An automatic warm-up needs one request that ended well, or as
    /// many that failed.
    pub(crate) fn of_requests(mut self, requests: Option<u32>) -> Self {
        self.requests = requests.map(u64::from);
        if requests.is_some() {
            self.warm_up.min_completions = 1;
        }
        self
    }

    /// The same course as `probe` asks for it, if the point is one: how long its warm-up may last, and
    /// whether and when it may end for overload.
    pub(crate) fn of_probe(mut self, probe: Option<&ProbeRecord>) -> Self {
        if let Some(probe) = probe {
            self.warm_up.cap = probe.warm_up_at_most.get();
            match probe.end_when_overloaded {
                Some(share) => self.enough = share,
                None => self.overload = None,
            }
        }
        self
    }

    /// The same course, whose window ends with the arrival that is due at `last`, if there is a last one.
    pub(crate) fn until(mut self, last: Option<RunNanos>) -> Self {
        if let Some(last) = last {
            self.warm_up.cap = self.warm_up.cap.min((last - self.origin) / 2);
            // A window has what was due before its end.
            self.last = Some(last + Duration::from_nanos(1));
        }
        self
    }

    /// Where the point is.
    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// The end of the window, where it is known from the beginning.
    pub(crate) const fn last(&self) -> Option<RunNanos> {
        self.last
    }

    /// The measure window; both ends are [`RunNanos::MAX`] until it has begun.
    pub(crate) const fn window(&self) -> Window {
        self.window
    }

    /// Takes a look, and says where the point is now.
    pub(crate) fn look(&mut self, sight: &Sight) -> Phase {
        if sight.lost_in_a_row >= LOST_IN_A_ROW {
            return self.end(sight.now, PointEnd::TargetLost);
        }
        if self.phase == Phase::WarmUp && self.warm_up_is_over(sight) {
            self.phase = Phase::Measure;
            let end = self.last.unwrap_or(sight.now + self.plan.measure.get());
            self.window = Window { start: sight.now.min(end), end };
            self.ended_before = sight.ended;
        }
        if self.phase == Phase::Measure
            && self.requests.is_some_and(|requests| sight.ended - self.ended_before >= requests)
        {
            // A little ahead, so that a request that starts meanwhile is counted by the end that holds.
            self.window.end = self.window.end.min(sight.seen_by + AHEAD);
            self.requests = None;
        }
        if matches!(self.phase, Phase::Measure | Phase::Drain) && self.is_overloaded(sight) {
            return self.end(sight.now, PointEnd::Overloaded);
        }
        if self.phase == Phase::Measure && sight.now >= self.window.end {
            self.phase = Phase::Drain;
            // What is still open is counted against the window's end from the next look on.
            return self.phase;
        }
        if self.phase == Phase::Drain {
            if sight.due_in_window_open == 0 {
                return self.end(sight.now, PointEnd::Complete);
            }
            if sight.now >= self.window.end + self.plan.drain_limit.get() {
                return self.end(sight.now, PointEnd::DrainLimit);
            }
        }
        self.phase
    }

    /// Ends the point at `now`, whatever it is doing.
    pub(crate) fn end(&mut self, now: RunNanos, why: PointEnd) -> Phase {
        if !matches!(self.phase, Phase::Over(_)) {
            // A point that ends inside its window, or before it, has the shorter window.
            self.window.start = self.window.start.min(now);
            self.window.end = self.window.end.min(now);
            self.phase = Phase::Over(why);
        }
        self.phase
    }

    /// Whether the point is certainly overloaded, and has nothing more to tell.
    fn is_overloaded(&mut self, sight: &Sight) -> bool {
        let Some(overload) = &mut self.overload else { return false };
        if sight.now < self.next_observation {
            return false;
        }
        self.next_observation = sight.now + OBSERVE_EVERY;
        overload.observe(Progress {
            elapsed: sight.now - self.window.start,
            arrivals: sight.due,
            completions: sight.ended,
            in_flight: sight.due.saturating_sub(sight.ended),
            output_tokens: sight.output_tokens,
        });
        let known = self.phase == Phase::Drain || overload.enough(self.enough);
        overload.verdict() == OverloadVerdict::Overloaded && known
    }

    fn warm_up_is_over(&self, sight: &Sight) -> bool {
        let elapsed = sight.now - self.origin;
        match self.plan.warm_up {
            Some(length) => elapsed >= length.get(),
            None => {
                let failed = sight.ended - sight.ok;
                if self.requests.is_some_and(|requests| failed >= requests) {
                    return true;
                }
                let longest = (sight.ok > 0).then_some(sight.longest_e2e);
                self.warm_up.is_over(elapsed, sight.ok, longest)
            }
        }
    }
}

#[cfg(test)]
mod tests;
