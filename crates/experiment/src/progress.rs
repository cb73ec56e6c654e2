//! What a run says while it runs. The run reports events; who shows them, and how, is a
//! [`Progress`].

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Something that happened, or the state a moment later.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A remark of the run about itself.
    Remark(String),
    /// A point begins.
    PointStarted {
        /// Its id.
        id: String,
        /// Its place, from 1.
        number: usize,
        /// How many points there are, as far as is known.
        of: usize,
    },
    /// The point goes on; several times a second.
    Tick(Tick),
    /// A point is over.
    PointEnded {
        /// Its id.
        id: String,
        /// One line about it.
        line: String,
    },
    /// No more events will come.
    Finished,
}

/// The state of a point in its course.
#[derive(Clone, Debug, Default)]
pub struct Tick {
    /// What it does: `warm-up`, `measure`, `drain`.
    pub phase: &'static str,
    /// What is offered, as text: `12.5 req/s`.
    pub offered: String,
    /// Requests in flight.
    pub in_flight: u64,
    /// Requests that ended well, so far.
    pub completed: u64,
    /// Requests that failed, so far.
    pub failed: u64,
    /// Median TTFT of the last requests.
    pub ttft_p50: Option<Duration>,
    /// Time that the rest of the run will take, roughly; `None` where windows wait for requests, however
    /// long those take.
    pub left: Option<Duration>,
}

/// Someone who shows events.
pub trait Progress {
    /// Shows one event. Must return quickly.
    fn event(&mut self, event: Event);
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&mut self, _event: Event) {}
}

/// One live line on standard error where it is a terminal, with a line that stays for each point;
/// plain lines where it is not.
#[derive(Debug)]
pub struct Terminal {
    bar: ProgressBar,
    live: bool,
    place: String,
}

impl Terminal {
    /// On standard error.
    #[must_use]
    pub fn stderr() -> Self {
        let live = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let target =
            if live { ProgressDrawTarget::stderr_with_hz(5) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        Self { bar, live, place: String::new() }
    }

    fn line(&self, text: &str) {
        if self.live {
            self.bar.println(text);
        } else {
            use std::io::Write as _;
            // Progress is a courtesy: a closed standard error must not end the run.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }
}

impl Progress for Terminal {
    fn event(&mut self, event: Event) {
        match event {
            Event::Remark(text) => self.line(&text),
            Event::PointStarted { id, number, of } => {
                self.place = format!("point {number}/{of}  {id}");
                self.bar.set_message(self.place.clone());
            }
            Event::Tick(tick) => {
                self.bar.set_message(format!("{}  {}", self.place, describe(&tick)));
                self.bar.tick();
            }
            Event::PointEnded { line, .. } => self.line(&line),
            Event::Finished => self.bar.finish_and_clear(),
        }
    }
}

fn describe(tick: &Tick) -> String {
    let ttft = tick
        .ttft_p50
        .map_or_else(|| "-".to_owned(), |ttft| format!("{:.0} ms", ttft.as_secs_f64() * 1e3));
    let left =
        tick.left.map_or_else(String::new, |left| format!("  about {} s left", left.as_secs()));
    let failed = if tick.failed > 0 { format!("  {} failed", tick.failed) } else { String::new() };
    format!(
        "{:<7}  {} offered  {} in flight  {} done{failed}  TTFT {ttft}{left}",
        tick.phase, tick.offered, tick.in_flight, tick.completed,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_names_rate_flight_latency_and_time_left() {
        let tick = Tick {
            phase: "measure",
            offered: "12.5 req/s".to_owned(),
            in_flight: 31,
            completed: 200,
            failed: 2,
            ttft_p50: Some(Duration::from_millis(87)),
            left: Some(Duration::from_secs(42)),
        };
        assert_eq!(
            describe(&tick),
            "measure  12.5 req/s offered  31 in flight  200 done  2 failed  TTFT 87 ms  about 42 s left"
        );
    }
}
