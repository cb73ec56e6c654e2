//! What a log tells of the engine while it served: the periodic lines, requests, answers, complaints.

use std::collections::BTreeMap;

use super::log_line::{Level, Line, LogTime};
use super::received::ReceivedRequest;

/// Rows, and received requests, beyond that many are counted but not kept: four months of one engine.
const MOST_ROWS: usize = 1 << 20;

/// What vLLM's log tells of its engines while they served.
///
/// The server prints a row about every 10 s and only while there is traffic, so the last seconds of
/// a run are usually missing. Running, waiting and KV use are samples of that moment; the throughputs
/// are means since the row before; the hit rate covers the last 1000 requests, not the time since.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineLog {
    /// The periodic lines, in the order of the log.
    pub rows: Vec<EngineRow>,
    /// Lines of the whole log.
    pub lines: u64,
    /// Requests that the API server logged as received; needs vLLM's request logging.
    pub received: u64,
    /// Those requests, in the order of the log.
    pub requests: Vec<ReceivedRequest>,
    /// Requests that were logged as handed to the engine.
    pub added: u64,
    /// Answers of the web server, by HTTP status.
    pub answers: BTreeMap<u16, u64>,
    /// Lines that call themselves warnings.
    pub warnings: u64,
    /// Lines that call themselves errors; a traceback is as many as it is long.
    pub errors: u64,
    /// Warnings about a preempted request. Version 1 of vLLM's engine writes none: see its metrics.
    pub preemption_warnings: u64,
}

/// One periodic line of one engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EngineRow {
    /// When it was written, by the server's clock.
    pub time: LogTime,
    /// Number of the engine: its data-parallel rank.
    pub engine: u32,
    /// Prompt tokens taken in, tokens per second since the row before.
    pub prompt_tokens_per_s: f64,
    /// Tokens generated, tokens per second since the row before.
    pub generation_tokens_per_s: f64,
    /// Requests running at that moment.
    pub running: u64,
    /// Requests waiting at that moment.
    pub waiting: u64,
    /// Share of the KV cache in use at that moment, 0 to 1.
    pub kv_cache_usage: f64,
    /// Share of the prompt tokens that the prefix cache had, over the last 1000 requests, 0 to 1;
    /// `None` in versions that do not say.
    pub prefix_cache_hit_rate: Option<f64>,
}

impl EngineLog {
    /// Largest number of requests that one engine was seen to run at once.
    #[must_use]
    pub fn running_max(&self) -> Option<u64> {
        self.rows.iter().map(|row| row.running).max()
    }

    /// Largest number of requests that were seen waiting for one engine.
    #[must_use]
    pub fn waiting_max(&self) -> Option<u64> {
        self.rows.iter().map(|row| row.waiting).max()
    }

    /// Largest share of one engine's KV cache that was seen in use, 0 to 1.
    #[must_use]
    pub fn kv_cache_usage_max(&self) -> Option<f64> {
        self.rows.iter().map(|row| row.kv_cache_usage).max_by(f64::total_cmp)
    }

    /// The last hit rate of the prefix cache, 0 to 1; that of the first engine where several print.
    #[must_use]
    pub fn prefix_cache_hit_rate(&self) -> Option<f64> {
        let first = self.rows.iter().map(|row| row.engine).min()?;
        self.rows.iter().rev().find(|row| row.engine == first)?.prefix_cache_hit_rate
    }

    /// The number of slots that an engine ran into: the most that ever ran, seen at least twice with
    /// others waiting and at least once with room in the KV cache (under 90 %), so that nothing but the
    /// number of slots can have held the others back; `None` where the log shows no such thing.
    #[must_use]
    pub fn slots_seen(&self) -> Option<u64> {
        slots_seen(&self.rows)
    }

    /// Takes in one line.
    pub(crate) fn take(&mut self, line: &Line<'_>) {
        self.lines += 1;
        match *line {
            Line::Access { status } => *self.answers.entry(status).or_default() += 1,
            Line::Message { level, time, text } => self.take_message(level, time, text),
            Line::Other { .. } => {}
        }
    }

    fn take_message(&mut self, level: Level, time: LogTime, text: &str) {
        match level {
            Level::Warning => {
                self.warnings += 1;
                self.preemption_warnings += u64::from(text.contains(" is preempted by "));
            }
            Level::Error => self.errors += 1,
            Level::Info if text.starts_with("Received request ") => {
                self.received += 1;
                if self.requests.len() < MOST_ROWS {
                    self.requests.extend(ReceivedRequest::parse(time, text));
                }
            }
            Level::Info if text.starts_with("Added request ") => self.added += 1,
            Level::Info | Level::Debug => {
                if self.rows.len() < MOST_ROWS
                    && let Some(row) = EngineRow::parse(time, text)
                {
                    self.rows.push(row);
                }
            }
        }
    }
}

/// [`EngineLog::slots_seen`] for some of the rows: those of one start.
pub(super) fn slots_seen(rows: &[EngineRow]) -> Option<u64> {
    let most = rows.iter().map(|row| row.running).max().filter(|&most| most > 0)?;
    let held = || rows.iter().filter(|row| row.running == most && row.waiting > 0);
    (held().count() >= 2 && held().any(|row| row.kv_cache_usage < 0.9)).then_some(most)
}

impl EngineRow {
    /// `Engine 000: Avg prompt throughput: 484.2 tokens/s, ..., Running: 90 reqs, ...`; version 0 of
    /// the engine writes no number in front, and `Pending` for those that wait.
    fn parse(time: LogTime, text: &str) -> Option<Self> {
        let (engine, figures) = match text.strip_prefix("Engine ") {
            Some(numbered) => {
                let (engine, figures) = numbered.split_once(": ")?;
                (engine.parse().ok()?, figures)
            }
            None => (0, text),
        };
        if !figures.starts_with("Avg prompt throughput: ") {
            return None;
        }
        let figure = |labels: &[&str]| -> Option<f64> {
            figures.split(", ").find_map(|figure| {
                let (label, value) = figure.split_once(": ")?;
                if !labels.contains(&label) {
                    return None;
                }
                let number = value.split(' ').next()?.trim_end_matches(['.', '%']);
                number.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
            })
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts are finite, not negative, and saturate"
        )]
        let count = |labels: &[&str]| figure(labels).map(|number| number as u64);
        Some(Self {
            time,
            engine,
            prompt_tokens_per_s: figure(&["Avg prompt throughput"])?,
            generation_tokens_per_s: figure(&["Avg generation throughput"])?,
            running: count(&["Running"])?,
            waiting: count(&["Waiting", "Pending"])?,
            // On a CPU the first of these has another name.
            kv_cache_usage: figure(&[
                "GPU KV cache usage",
                "CPU KV cache usage",
                "KV cache usage",
            ])? / 100.0,
            prefix_cache_hit_rate: figure(&["Prefix cache hit rate"])
                .map(|percent| percent / 100.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_line::read;
    use super::*;

    fn log(lines: &[&str]) -> EngineLog {
        let mut log = EngineLog::default();
        for line in lines {
            log.take(&read(line));
        }
        log
    }

    fn row(running: u64, waiting: u64, kv: f64) -> String {
        format!(
            "x | INFO 07-20 23:15:01 [loggers.py:118] Engine 000: Avg prompt throughput: 1.0 tokens/s, \
             Avg generation throughput: 2.0 tokens/s, Running: {running} reqs, Waiting: {waiting} reqs, \
             GPU KV cache usage: {kv:.1}%, Prefix cache hit rate: 84.6%"
        )
    }

    #[test]
    fn rows_of_every_version() {
        let log = log(&[
            &row(90, 3, 96.9),
            "(APIServer pid=1) INFO 11-21 22:04:43 [loggers.py:335] Engine 003: Avg prompt throughput: \
             2917.1 tokens/s, Avg generation throughput: 746.2 tokens/s, Running: 9 reqs, Waiting: 0 \
             reqs, CPU KV cache usage: 0.1%, Prefix cache hit rate: 0.0%, External prefix cache hit \
             rate: 50.0%",
            "INFO 05-09 00:49:33 metrics.py:455] Avg prompt throughput: 5.5 tokens/s, Avg generation \
             throughput: 6.0 tokens/s, Running: 1 reqs, Swapped: 0 reqs, Pending: 2 reqs, GPU KV cache \
             usage: 25.0%, CPU KV cache usage: 1.0%.",
        ]);
        assert_eq!(log.rows.len(), 3);
        let [first, second, third] = &log.rows[..] else { panic!() };
        assert_eq!((first.engine, first.running, first.waiting), (0, 90, 3));
        assert!((first.kv_cache_usage - 0.969).abs() < 1e-12);
        assert_eq!(first.prefix_cache_hit_rate, Some(0.846));
        assert_eq!(first.time.to_string(), "07-20 23:15:01");
        assert_eq!((second.engine, second.generation_tokens_per_s), (3, 746.2));
        assert_eq!(second.prefix_cache_hit_rate, Some(0.0));
        assert_eq!((third.waiting, third.kv_cache_usage), (2, 0.25));
        assert_eq!(third.prefix_cache_hit_rate, None);
        assert_eq!(log.prefix_cache_hit_rate(), None); // of engine 0, whose last row says none
    }

    #[test]
    fn what_is_counted() {
        let log = log(&[
            "a | INFO 07-20 23:14:43 [logger.py:43] Received request x: prompt: 'Added request'",
            "a | INFO 07-20 23:14:43 [async_llm.py:270] Added request x.",
            r#"a | INFO:     1.1.1.1:1 - "POST /v1/chat/completions HTTP/1.1" 200 OK"#,
            r#"a | INFO:     1.1.1.1:1 - "POST /v1/chat/completions HTTP/1.1" 503 Service Unavailable"#,
            "WARNING 05-09 00:49:33 scheduler.py:1057] Sequence group 0 is preempted by \
             PreemptionMode.RECOMPUTE mode",
            "INFO 05-09 00:49:33 [logger.py:1] Received request y: prompt: 'he is preempted by her'",
            "ERROR 05-09 00:49:34 [x.py:1] Traceback",
            "anything",
        ]);
        assert_eq!((log.received, log.added, log.lines), (2, 1, 8));
        assert_eq!(log.answers, BTreeMap::from([(200, 1), (503, 1)]));
        assert_eq!((log.warnings, log.errors, log.preemption_warnings), (1, 1, 1));
        assert!(log.rows.is_empty());
    }

    #[test]
    fn slots_are_seen_only_where_nothing_else_can_have_held_requests_back() {
        let seen = |rows: &[(u64, u64, f64)]| {
            let rows: Vec<_> = rows.iter().map(|&(r, w, kv)| row(r, w, kv)).collect();
            log(&rows.iter().map(String::as_str).collect::<Vec<_>>()).slots_seen()
        };
        assert_eq!(seen(&[(256, 347, 96.9), (256, 522, 37.3), (210, 534, 99.7)]), Some(256));
        assert_eq!(seen(&[(256, 347, 96.9), (256, 522, 97.3)]), None); // the KV cache was full
        assert_eq!(seen(&[(256, 1, 10.0)]), None); // perhaps they had only just come
        assert_eq!(seen(&[(90, 0, 5.0), (90, 0, 5.0)]), None); // nobody waited
        assert_eq!(seen(&[]), None);
    }
}
