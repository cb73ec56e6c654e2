//! The instrument in sentences, the same in every form of the report.

use plimsoll_analysis::ChunkCounts;
use plimsoll_records::{LagRecord, SelfTest, SelfTestTime, StampSource};

use super::{Figures, Instrument};
use crate::numbers::{in_ms, list, percent, plain, signed_ms};
use crate::table::Form;
use crate::wording::stamps;

/// A slew that a terminal need not mention: such a clock bends a second by less than 0.1 ms.
const SMALL_SLEW_PPM: f64 = 100.0;

impl Instrument<'_> {
    /// What the client's own error was, in whole sentences.
    pub(crate) fn sentence(&self) -> String {
        let of = |when| self.tests.iter().rfind(|test| test.when == when);
        let (before, after) = (of(SelfTestTime::Before), of(SelfTestTime::After));
        let was = "On this machine the client's own TTFT error was";
        let mut text = match (before, after) {
            (None, None) => {
                return "The client's own error was not measured on this machine.".to_owned();
            }
            (Some(before), Some(after)) => {
                let [early, late] = [before, after].map(|test| self.conditions(test));
                // Said once where it holds for both.
                let early = if early == late { String::new() } else { format!(", {early},") };
                let (before, after) = (error(before, " on average"), error(after, ""));
                format!("{was} {before} before the run{early} and {after} after it, {late}.")
            }
            (Some(test), None) => {
                let error = error(test, " on average");
                format!("{was} {error} before the run, {}.", self.conditions(test))
            }
            (None, Some(test)) => {
                let error = error(test, " on average");
                format!("{was} {error} after the run, {}.", self.conditions(test))
            }
        };
        let tests = || before.into_iter().chain(after);
        let lost = tests().map(|test| test.lost).fold(0, u64::saturating_add);
        if lost > 0 {
            let all = tests()
                .map(|test| test.requests.saturating_add(test.lost))
                .fold(0, u64::saturating_add);
            let were = if lost == 1 { "was" } else { "were" };
            text.push_str(&format!(
                " Of the {} of these self-tests, {} {were} lost.",
                counted(all, "request"),
                plain(lost as f64)
            ));
        }
        text
    }

    /// What more is known: name and words. For a narrow form only what is worth its place.
    pub(crate) fn facts(&self, form: Form) -> Vec<(&'static str, String)> {
        let mut facts = vec![("stamps", self.stamps_words())];
        let Some(all) = &self.all else { return facts };
        let threads = threads(all);
        if !threads.is_empty() {
            facts.push(("threads", threads));
        }
        let exceptions = exceptions(all);
        if !exceptions.is_empty() {
            facts.push(("exceptions", exceptions.join("; ")));
        } else if form == Form::Wide && all.read_delay.count > 0 {
            facts.push(("exceptions", "none".to_owned()));
        }
        let slew = all.clock.slew_ppm.filter(|slew| slew.is_finite());
        let steered = slew.is_some_and(|slew| slew.abs() >= SMALL_SLEW_PPM);
        if form == Form::Wide || all.clock.steps > 0 || steered {
            facts.push(("clock", clock(all, slew)));
        }
        let samplers = self.samplers();
        if form == Form::Wide && !samplers.is_empty() {
            facts.push(("samplers", samplers));
        }
        facts
    }

    fn stamps_words(&self) -> String {
        let mut text = stamps(self.stamps).to_owned();
        if !self.remark.is_empty() {
            text.push_str(&format!(" ({})", self.remark));
        }
        let delay = self.all.map(|all| all.read_delay).filter(|delay| delay.count > 0);
        match (delay, self.stamps) {
            (Some(delay), StampSource::User) => {
                text.push_str(&format!(
                    "; read delay, which is in every latency: {}",
                    lags(&delay)
                ));
            }
            (Some(delay), _) => {
                text.push_str(&format!("; read delay {}", lags(&delay)));
            }
            (None, StampSource::User) => {
                text.push_str("; the read delay is in every latency, and not known");
            }
            (None, _) => {}
        }
        text
    }

    /// Under which load a self-test was made.
    fn conditions(&self, test: &SelfTest) -> String {
        let streams = plain(test.streams.round());
        let stamps = match test.stamps {
            same if same == self.stamps => "",
            StampSource::User => ", stamped by the run clock",
            StampSource::Socket => ", stamped by the socket",
            StampSource::Packet => ", stamped by packet capture",
            _ => ", stamped in another way",
        };
        let s = if streams == "1" { "" } else { "s" };
        format!("at {} req/s with about {streams} stream{s}{stamps}", plain(test.rate_per_s))
    }
}

/// The TTFT error of a self-test, the mean followed by `mean`: `+0.031 ms on average (p99 0.082 ms)`.
fn error(test: &SelfTest, mean: &str) -> String {
    let error = &test.ttft_error;
    if error.count == 0 {
        return "not known (no request could be compared)".to_owned();
    }
    format!("{} ms{mean} (p99 {} ms)", signed_ms(error.mean_ms), in_ms(error.p99_ms))
}

/// `1 chunk`, `12,345 chunks`.
fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", plain(n as f64), if n == 1 { "" } else { "s" })
}

/// The share of the chunks that share a stamp, of which there are some.
pub(super) fn share_of_chunks(chunks: &ChunkCounts) -> String {
    match chunks.shared_share() {
        few if few < 0.000_05 => "under 0.01 %".to_owned(),
        share => percent(share),
    }
}

/// A share of time to a thousandth, which is what the system's clocks can tell.
pub(super) fn share(of_time: f64) -> String {
    percent((of_time * 1e3).round() / 1e3)
}

/// `p50 0.052, p99 0.310, max 4.20 ms`.
fn lags(lag: &LagRecord) -> String {
    format!("p50 {}, p99 {}, max {} ms", in_ms(lag.p50_ms), in_ms(lag.p99_ms), in_ms(lag.max_ms))
}

/// How late the threads woke, and how busy they were.
fn threads(all: &Figures) -> String {
    let mut parts = Vec::new();
    if all.wake_up.count > 0 {
        parts.push(format!("wake-up lag {}", lags(&all.wake_up)));
    }
    match (all.cpu_share.map(share), all.run_queue_share.map(share)) {
        (Some(cpu), Some(queue)) => parts.push(format!("CPU {cpu}, run-queue wait {queue}")),
        (Some(cpu), None) => parts.push(format!("CPU {cpu}")),
        (None, Some(queue)) => parts.push(format!("run-queue wait {queue}")),
        (None, None) => {}
    }
    parts.join("; ")
}

/// What did not go as it should; empty when all did.
fn exceptions(all: &Figures) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(chunks) = all.chunks.filter(|chunks| chunks.shared > 0) {
        parts.push(format!(
            "{} of {} ({}) share a stamp with another",
            plain(chunks.shared as f64),
            counted(chunks.all, "chunk"),
            share_of_chunks(&chunks)
        ));
    }
    let stamps = &all.stamps;
    let mut fallbacks = Vec::new();
    if stamps.socket_fallbacks > 0 {
        fallbacks
            .push(format!("{} by the run clock instead", counted(stamps.socket_fallbacks, "read")));
    }
    if stamps.packet_fallbacks > 0 {
        fallbacks.push(format!(
            "{} by the socket or clock instead of the capture",
            counted(stamps.packet_fallbacks, "mark")
        ));
    }
    if !fallbacks.is_empty() {
        parts.push(format!("stamped {}", list(&fallbacks)));
    }
    if let Some(dropped) = stamps.packets_dropped.filter(|&dropped| dropped > 0) {
        let of = stamps
            .packets
            .map_or_else(String::new, |seen| format!(" beside {} that it saw", plain(seen as f64)));
        parts.push(format!("the capture lost {}{of}", counted(dropped, "segment")));
    }
    parts
}

fn clock(all: &Figures, slew: Option<f64>) -> String {
    let steps = match all.clock.steps {
        0 => "the wall clock was not set".to_owned(),
        n => format!(
            "the wall clock was set {}, by {} ms in all",
            counted(u64::from(n), "time"),
            in_ms(all.clock.stepped_ms)
        ),
    };
    match slew {
        Some(slew) => {
            let way = if slew < 0.0 { "slower than" } else { "faster than" };
            format!(
                "{steps}; the run clock ran {} ppm {way} the hardware's",
                plain(slew.abs().round())
            )
        }
        None => steps,
    }
}
