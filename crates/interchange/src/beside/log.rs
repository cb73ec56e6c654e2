//! What a server's log says of the minutes of one point.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::civil::date;
use plimsoll_records::{EngineSample, LogRecord, MaxTokens, ServerCounters, ServerRow};
use plimsoll_server::{EngineLog, EngineRow, LogTime, ReceivedRequest};
use plimsoll_units::RunNanos;

use super::Span;
use super::shift::shift;
use crate::date::{civil, of_civil};

/// Stamps have whole seconds, and the tool's own date may come a second late.
const SLACK_S: i64 = 2;

/// How long after the end of the load an engine may still speak of it, s.
const AFTER_S: i64 = 10;

/// Requests whose prompts are kept as numbers, in order.
const ORDER: usize = 512;

/// What a log says of a point.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogEvidence {
    pub(crate) record: LogRecord,
    pub(crate) counters: ServerCounters,
    /// The periodic lines under the names of the server's metrics.
    pub(crate) rows: Vec<ServerRow>,
}

/// What `engine`'s log says of the point that lasted for `span`, as stamps since `origin`; `None` where the
/// log says nothing of that time under any shift of its clock.
///
/// `requests` is how many the tool sent: more than that were received where it sent one ahead to try.
pub(crate) fn log_evidence(
    engine: &EngineLog,
    span: Span,
    origin: Duration,
    requests: Option<u64>,
) -> Option<LogEvidence> {
    let near = civil(span.start)?.year();
    let seconds = |time: LogTime| seconds_of(time, near, span.start);
    let received: Vec<(i64, &ReceivedRequest)> =
        engine.requests.iter().filter_map(|it| Some((seconds(it.time)?, it))).collect();
    let periodic: Vec<(i64, &EngineRow)> =
        engine.rows.iter().filter_map(|it| Some((seconds(it.time)?, it))).collect();
    let stamps: Vec<i64> = if received.is_empty() {
        periodic.iter().map(|(at, _)| *at).collect()
    } else {
        received.iter().map(|(at, _)| *at).collect()
    };
    let shift = shift(&stamps, span, SLACK_S)?;
    let (start, end) = (span.start.as_secs() as i64 - SLACK_S, span.end.as_secs() as i64 + SLACK_S);
    let own = |at: i64| at - shift;
    let mut inside: Vec<(i64, &ReceivedRequest)> = received
        .iter()
        .map(|&(at, it)| (own(at), it))
        .filter(|(at, _)| (start..=end).contains(at))
        .collect();
    // What came before the tool's own requests was sent ahead.
    if let Some(requests) = requests.and_then(|it| usize::try_from(it).ok())
        && inside.len() > requests
    {
        inside.drain(..inside.len() - requests);
    }
    let stamp = |at: i64| {
        let since = Duration::from_secs(at.max(0) as u64).saturating_sub(origin);
        RunNanos::ZERO + since
    };
    let samples: Vec<(i64, EngineRow)> = periodic
        .iter()
        .map(|&(at, row)| (own(at), *row))
        .filter(|(at, _)| (start..=end + AFTER_S).contains(at))
        .collect();
    let engine = engine_samples(&samples, stamp);
    let mut record = LogRecord { clock_offset_s: shift, engine, ..LogRecord::default() };
    take_requests(&mut record, &inside, stamp);
    let counters = counters(&record.engine);
    let rows = samples.iter().flat_map(|(at, row)| metrics(stamp(*at), row)).collect();
    Some(LogEvidence { record, counters, rows })
}

/// A time of the log in seconds since 1970, in the year that brings it nearest to `near`.
fn seconds_of(time: LogTime, year: i16, near: Duration) -> Option<i64> {
    let near = i64::try_from(near.as_secs()).ok()?;
    let of_year = |year: i16| {
        let day =
            date(year, 1, 1).with().month(time.month as i8).day(time.day as i8).build().ok()?;
        let civil = day.at(time.hour as i8, time.minute as i8, time.second.min(59) as i8, 0);
        i64::try_from(of_civil(civil)?.as_secs()).ok()
    };
    let years = [year.checked_sub(1)?, year, year.checked_add(1)?];
    years.into_iter().filter_map(of_year).min_by_key(|at| (at - near).abs())
}

fn take_requests(
    record: &mut LogRecord,
    inside: &[(i64, &ReceivedRequest)],
    stamp: impl Fn(i64) -> RunNanos,
) {
    record.received = inside.len() as u64;
    let Some(first) = inside.iter().map(|(at, _)| *at).min() else { return };
    record.first_arrival_ns = Some(stamp(first));
    let shown = inside.iter().take(ORDER).map(|(_, it)| it.prompt.map(|it| it as u32));
    record.prompt_order = shown.collect::<Option<_>>().unwrap_or_default();
    let mut limits: BTreeMap<u64, u64> = BTreeMap::new();
    let mut prompts = BTreeSet::new();
    for (at, request) in inside {
        // The span of a point bounds the number of seconds.
        let second = usize::try_from(at - first).unwrap_or(0);
        if record.arrivals_per_s.len() <= second {
            record.arrivals_per_s.resize(second + 1, 0);
        }
        record.arrivals_per_s[second] += 1;
        if let Some(limit) = request.max_tokens {
            *limits.entry(limit).or_default() += 1;
        }
        prompts.extend(request.prompt);
        if let Some(mark) = request.doubled_mark {
            record.prompts_doubled += 1;
            record.doubled_mark.get_or_insert_with(|| mark.to_owned());
        }
    }
    let limit = |(max_tokens, requests)| MaxTokens { max_tokens, requests };
    record.max_tokens = limits.into_iter().map(limit).collect();
    record.prompts_distinct = (!prompts.is_empty()).then_some(prompts.len() as u64);
}

/// The periodic lines of all engines at one moment together.
///
/// A line's throughputs are means since the line before; an idle engine prints nothing, so after a pause
/// they are means over the usual span.
fn engine_samples(rows: &[(i64, EngineRow)], stamp: impl Fn(i64) -> RunNanos) -> Vec<EngineSample> {
    let mut moments: Vec<(i64, Vec<EngineRow>)> = Vec::new();
    for &(at, row) in rows {
        match moments.last_mut() {
            Some((moment, together))
                if at - *moment <= 2 && together.iter().all(|it| it.engine != row.engine) =>
            {
                together.push(row);
            }
            _ => moments.push((at, vec![row])),
        }
    }
    let mut gaps: Vec<i64> = moments.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    gaps.sort_unstable();
    // vLLM's own default where there is but one line.
    let usual = gaps.get(gaps.len() / 2).copied().filter(|gap| *gap > 0).unwrap_or(10);
    let mut before = None;
    let mut samples = Vec::with_capacity(moments.len());
    for (at, together) in moments {
        let gap = before.map_or(usual, |before| at - before);
        before = Some(at);
        let span = if (1..=usual + usual / 2).contains(&gap) { gap } else { usual };
        let sum = |of: fn(&EngineRow) -> f64| together.iter().map(of).sum::<f64>();
        let hits: Vec<f64> = together.iter().filter_map(|it| it.prefix_cache_hit_rate).collect();
        samples.push(EngineSample {
            at_ns: stamp(at),
            span_s: span as f64,
            prompt_tokens_per_s: sum(|it| it.prompt_tokens_per_s),
            generation_tokens_per_s: sum(|it| it.generation_tokens_per_s),
            running: together.iter().map(|it| it.running).sum(),
            waiting: together.iter().map(|it| it.waiting).sum(),
            kv_cache_usage: together.iter().map(|it| it.kv_cache_usage).fold(0.0, f64::max),
            prefix_hit_share: (!hits.is_empty())
                .then(|| hits.iter().sum::<f64>() / hits.len() as f64),
        });
    }
    samples
}

/// What the lines come to over the point. The hit share is that of the last line, which covers the last
/// 1000 requests.
fn counters(samples: &[EngineSample]) -> ServerCounters {
    if samples.is_empty() {
        return ServerCounters::default();
    }
    let n = samples.len() as f64;
    let sum = |of: fn(&EngineSample) -> f64| samples.iter().map(of).sum::<f64>();
    let most = |of: fn(&EngineSample) -> f64| samples.iter().map(of).fold(0.0, f64::max);
    let prompt = sum(|it| it.prompt_tokens_per_s * it.span_s);
    let hits = samples.iter().rev().find_map(|it| it.prefix_hit_share);
    ServerCounters {
        prefix_cache_queries_tokens: hits.map(|_| prompt),
        prefix_cache_hits_tokens: hits.map(|share| share * prompt),
        prompt_tokens: Some(prompt),
        generation_tokens: Some(sum(|it| it.generation_tokens_per_s * it.span_s)),
        running_max: Some(most(|it| it.running as f64)),
        running_mean: Some(sum(|it| it.running as f64) / n),
        waiting_max: Some(most(|it| it.waiting as f64)),
        waiting_mean: Some(sum(|it| it.waiting as f64) / n),
        waiting_share: Some(samples.iter().filter(|it| it.waiting > 0).count() as f64 / n),
        kv_cache_usage_max: Some(most(|it| it.kv_cache_usage)),
        kv_cache_usage_mean: Some(sum(|it| it.kv_cache_usage) / n),
        ..ServerCounters::default()
    }
}

/// A line under the names of vLLM's metrics for the same things.
fn metrics(at: RunNanos, row: &EngineRow) -> Vec<ServerRow> {
    let labels = format!("engine=\"{}\"", row.engine);
    let mut rows = Vec::new();
    let mut add = |name: &str, value: f64| {
        let name = format!("vllm:{name}");
        rows.push(ServerRow { at, name, labels: labels.clone(), value });
    };
    add("num_requests_running", row.running as f64);
    add("num_requests_waiting", row.waiting as f64);
    add("kv_cache_usage_perc", row.kv_cache_usage);
    add("avg_prompt_throughput_toks_per_s", row.prompt_tokens_per_s);
    add("avg_generation_throughput_toks_per_s", row.generation_tokens_per_s);
    if let Some(share) = row.prefix_cache_hit_rate {
        add("gpu_prefix_cache_hit_rate", share);
    }
    rows
}

#[cfg(test)]
mod tests {
    use plimsoll_server::LogFacts;

    use super::*;

    /// A log in another zone and another year's last night: a request ahead, then three, and an engine.
    const LOG: &str = "\
INFO 12-31 15:59:50 [l.py:1] Received request a: prompt: '<s>[INST] x', params: SamplingParams(max_tokens=16), x
INFO 12-31 16:00:01 [l.py:1] Received request b: prompt: '<s>[INST] <s>[INST] x', params: SamplingParams(max_tokens=16), x
INFO 12-31 16:00:01 [l.py:1] Received request c: prompt: '<s>[INST] y', params: SamplingParams(max_tokens=16), x
INFO 12-31 16:00:03 [l.py:1] Received request d: prompt: '<s>[INST] y', params: SamplingParams(max_tokens=32), x
INFO 12-31 16:00:05 [l.py:1] Engine 000: Avg prompt throughput: 10.0 tokens/s, Avg generation throughput: 20.0 tokens/s, Running: 2 reqs, Waiting: 1 reqs, GPU KV cache usage: 5.0%, Prefix cache hit rate: 80.0%
INFO 12-31 16:00:05 [l.py:1] Engine 001: Avg prompt throughput: 1.0 tokens/s, Avg generation throughput: 2.0 tokens/s, Running: 1 reqs, Waiting: 0 reqs, GPU KV cache usage: 7.0%, Prefix cache hit rate: 60.0%
INFO 12-31 16:00:15 [l.py:1] Engine 000: Avg prompt throughput: 0.0 tokens/s, Avg generation throughput: 30.0 tokens/s, Running: 0 reqs, Waiting: 0 reqs, GPU KV cache usage: 1.0%, Prefix cache hit rate: 90.0%
INFO 12-31 18:00:00 [l.py:1] Engine 000: Avg prompt throughput: 9.0 tokens/s, Avg generation throughput: 9.0 tokens/s, Running: 9 reqs, Waiting: 9 reqs, GPU KV cache usage: 9.0%, Prefix cache hit rate: 9.0%
";

    #[test]
    fn the_log_is_moved_onto_the_files_clock_and_cut() {
        let facts = LogFacts::read(LOG.as_bytes()).unwrap();
        let start = crate::date::parse("2026-01-01T00:00:00Z").unwrap();
        let span = Span { start, end: start + Duration::from_secs(10) };
        let found = log_evidence(&facts.engine, span, start, Some(3)).unwrap();
        let record = &found.record;
        assert_eq!((record.clock_offset_s, record.received), (-8 * 3600, 3));
        assert_eq!(record.first_arrival_ns, Some(RunNanos::from_secs_f64(1.0)));
        assert_eq!(record.arrivals_per_s, [2, 0, 1]);
        assert_eq!(record.max_tokens[0], MaxTokens { max_tokens: 16, requests: 2 });
        assert_eq!((record.prompts_distinct, record.prompts_doubled), (Some(2), 1));
        assert_eq!(record.doubled_mark.as_deref(), Some("[INST]"));
        assert_eq!(record.prompt_order.len(), 3);
        assert_eq!(record.prompt_order[1], record.prompt_order[2]);
        let [first, second] = record.engine[..] else { panic!("{:?}", record.engine) };
        assert_eq!((first.generation_tokens_per_s, first.running, first.span_s), (22.0, 3, 10.0));
        assert!((first.prefix_hit_share.unwrap() - 0.7).abs() < 1e-12);
        assert_eq!((second.at_ns, second.span_s), (RunNanos::from_secs_f64(15.0), 10.0));
        assert_eq!(found.counters.prompt_tokens, Some(110.0));
        assert_eq!(found.counters.prefix_cache_hits_tokens.map(f64::round), Some(99.0));
        assert_eq!(found.rows.len(), 18);
    }

    #[test]
    fn a_log_of_other_minutes_says_nothing() {
        let facts = LogFacts::read(LOG.as_bytes()).unwrap();
        let start = crate::date::parse("2026-01-01T00:05:00Z").unwrap();
        let span = Span { start, end: start + Duration::from_secs(10) };
        assert!(log_evidence(&facts.engine, span, start, Some(3)).is_none());
        assert!(log_evidence(&EngineLog::default(), span, start, None).is_none());
    }
}
