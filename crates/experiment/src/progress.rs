//! What a run says while it runs. The run reports events; who shows them, and how, is a
//! [`Progress`].

use std::collections::BTreeSet;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use plimsoll_records::{Finding, FindingCode};

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
    /// The audit found something at the point that has just ended.
    Found(Finding),
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
    /// Requests that ended well per second, over the last seconds.
    pub done_per_s: Option<f64>,
    /// Median TTFT of the last requests.
    pub ttft_p50: Option<Duration>,
    /// Median of how late the last requests left.
    pub lag_p50: Option<Duration>,
    /// What server and GPUs say of themselves.
    pub vitals: Vitals,
    /// Time that the rest of the run will take, roughly; `None` where windows wait for requests, however
    /// long those take.
    pub left: Option<Duration>,
}

/// What server and GPUs say of themselves just now; `None` where they do not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vitals {
    /// Requests that the server works on.
    pub running: Option<f64>,
    /// Requests that wait in it.
    pub waiting: Option<f64>,
    /// Share of its KV cache in use, 0 to 1.
    pub kv_cache_usage: Option<f64>,
    /// Utilisation in percent, the mean of this machine's GPUs.
    pub gpu_utilisation_pct: Option<u32>,
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

/// Ticks between two plain lines about a point: some fifteen seconds.
const TICKS_PER_LINE: u32 = 60;

/// Two live lines on standard error where it is a terminal; plain lines, a few a minute, where it is not.
/// Either way a line that stays for each point, and for what the audit says against it.
#[derive(Debug)]
pub struct Terminal {
    bar: ProgressBar,
    live: bool,
    place: String,
    ticks: u32,
    /// What was found before: that is said whole only once.
    found: BTreeSet<FindingCode>,
}

impl Terminal {
    /// On standard error.
    #[must_use]
    pub fn stderr() -> Self {
        let live = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let target =
            if live { ProgressDrawTarget::stderr_with_hz(5) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}\n  {prefix}") {
            bar.set_style(style);
        }
        Self { bar, live, place: String::new(), ticks: 0, found: BTreeSet::new() }
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
                self.bar.set_prefix("");
                self.ticks = 0;
            }
            Event::Tick(tick) => {
                self.ticks += 1;
                let (load, state) = (load(&tick), state(&tick));
                if !self.live && self.ticks.is_multiple_of(TICKS_PER_LINE) {
                    self.line(&format!("  {}  {load}  {state}", self.place));
                }
                self.bar.set_message(format!("{}  {load}", self.place));
                self.bar.set_prefix(state);
                self.bar.tick();
            }
            Event::PointEnded { line, .. } => self.line(&line),
            Event::Found(finding) => {
                let is_new = self.found.insert(finding.code);
                self.line(&found(&finding, is_new));
            }
            Event::Finished => self.bar.finish_and_clear(),
        }
    }
}

/// What is offered, and what comes of it.
fn load(tick: &Tick) -> String {
    let failed = if tick.failed > 0 { format!("  {} failed", tick.failed) } else { String::new() };
    let pace = tick.done_per_s.map(|pace| format!(", {pace:.1} req/s")).unwrap_or_default();
    format!(
        "{:<7}  {} offered  {} in flight  {} done{pace}{failed}",
        tick.phase, tick.offered, tick.in_flight, tick.completed
    )
}

/// How it goes: latency, the client, the server, the GPUs, the time left.
fn state(tick: &Tick) -> String {
    let ms = |span: Option<Duration>, decimals: usize| match span {
        Some(span) => format!("{:.decimals$} ms", span.as_secs_f64() * 1e3),
        None => "-".to_owned(),
    };
    let Vitals { running, waiting, kv_cache_usage, gpu_utilisation_pct } = tick.vitals;
    let parts = [
        Some(format!("TTFT {}", ms(tick.ttft_p50, 0))),
        Some(format!("lag {}", ms(tick.lag_p50, 2))),
        running.map(|n| format!("{n} running")),
        waiting.map(|n| format!("{n} waiting")),
        kv_cache_usage.map(|share| format!("KV {:.0} %", 100.0 * share)),
        gpu_utilisation_pct.map(|percent| format!("GPU {percent} %")),
        tick.left.map(|left| format!("about {} s left", left.as_secs())),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// A finding in one line; one of a code that was there before in brief.
fn found(finding: &Finding, is_new: bool) -> String {
    let Finding { severity, code, message, .. } = finding;
    if is_new {
        format!("  {severity} {code}: {message}")
    } else {
        format!("  {severity} {code} again")
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_records::Severity;

    use super::*;

    #[test]
    fn a_tick_names_rate_flight_latency_and_time_left() {
        let mut tick = Tick {
            phase: "measure",
            offered: "12.5 req/s".to_owned(),
            in_flight: 31,
            completed: 200,
            failed: 2,
            done_per_s: Some(12.345),
            ttft_p50: Some(Duration::from_millis(87)),
            lag_p50: Some(Duration::from_micros(42)),
            vitals: Vitals {
                running: Some(16.0),
                waiting: Some(4.0),
                kv_cache_usage: Some(0.432),
                gpu_utilisation_pct: Some(97),
            },
            left: Some(Duration::from_secs(42)),
        };
        assert_eq!(
            load(&tick),
            "measure  12.5 req/s offered  31 in flight  200 done, 12.3 req/s  2 failed"
        );
        assert_eq!(
            state(&tick),
            "TTFT 87 ms  lag 0.04 ms  16 running  4 waiting  KV 43 %  GPU 97 %  about 42 s left"
        );
        // A server that says nothing, and no GPU: then nothing is said of them.
        tick.vitals = Vitals::default();
        (tick.ttft_p50, tick.lag_p50) = (None, None);
        assert_eq!(state(&tick), "TTFT -  lag -  about 42 s left");
        // Nor of the time, where windows wait for requests.
        tick.left = None;
        assert_eq!(state(&tick), "TTFT -  lag -");
    }

    #[test]
    fn a_finding_is_told_whole_once() {
        let finding = Finding {
            code: FindingCode::ClientLate,
            severity: Severity::Warning,
            was: None,
            point: Some("rate-20".to_owned()),
            message: "1 % of the requests left 3 ms late".to_owned(),
            numbers: std::collections::BTreeMap::new(),
            remedy: String::new(),
        };
        assert_eq!(
            found(&finding, true),
            "  warning client-late: 1 % of the requests left 3 ms late"
        );
        assert_eq!(found(&finding, false), "  warning client-late again");
    }
}
