//! The numbers of a point that another tool measured and of whose requests nothing is kept: from that tool's
//! summary and the server's log.

use statrs::distribution::{ContinuousCDF, StudentsT};

use plimsoll_records::{EngineSample, ImportedRecord, LogRecord, PointFile};

use crate::gpu_summary::Work;
use crate::{
    Ceilings, ChunkCounts, Counts, Estimate, GpuSummary, LatencySummary, PointSummary,
    ServerBreakdown, Stability, Window,
};

/// How many standard deviations of the length of a random sending the time that is left over must exceed to
/// be a backlog.
const BACKLOG: f64 = 3.0;

/// The same as a share of the whole duration: what a tool's own overheads may take.
const BACKLOG_SHARE: f64 = 0.05;

/// Sum of squared steps over sum of squared deviations beyond which lines come in waves: it is 2 for
/// independent ones and up to 4 for those that go up and down in turn (von Neumann's ratio).
const WAVES: f64 = 2.5;

/// Relative standard deviation of a line at least: a saturated batch server's ten-second throughputs swing by
/// so much, and the handful of lines of one point may agree by chance.
const SWING: f64 = 0.05;

/// What such a point comes to.
///
/// - Throughput: by the log's periodic lines, tokens generated / mean output tokens: over the longest stretch
///   in which requests waited at every line ([`LogRecord::saturated`]), else over the lines inside the window.
///   Half width: Student's t of the lines; where they go up and down in turn, (largest - smallest) / (2
///   lines), which is what a stretch of no whole number of waves leaves open; at least that of lines with a
///   relative standard deviation of 5 %. Without a log: between N / duration, in which the drain is, and N / (duration -
///   one answer's time), for the last request was answered when the sending had ended.
/// - Stable: by the log, no such stretch. Without one, duration - N / rate - one answer's time is no more than
///   the chance of a random sending, 3 sqrt(N) / rate, and 5 % of the duration: what is left over is backlog.
/// - Arrivals: by the log's whole seconds; see [`arrivals`].
///
/// An answer's time is ttft + tpot (tokens - 1), with the tool's own means; past saturation tpot (tokens - 1).
/// Latencies are not known: the tool's own stand in its record.
pub(crate) fn summarise(point: &PointFile, record: &ImportedRecord) -> PointSummary {
    let window = Window::of(&point.phases);
    let length = point.workload.mean_output_tokens.filter(|length| *length > 0.0);
    let log = record.log.as_ref();
    let samples = log.map(|log| steady_samples(log, window)).unwrap_or_default();
    let stable = match log.filter(|log| !log.engine.is_empty()) {
        Some(log) => log.saturated().is_none(),
        None => !has_backlog(record, point.load.rate_per_s()),
    };
    let tokens = of_samples(samples, |it| it.generation_tokens_per_s);
    let throughput = match (tokens, length) {
        (Some(tokens), Some(length)) => tokens.scaled(1.0 / length),
        _ => bounds(record, length).unwrap_or(Estimate::exact(0.0)),
    };
    let tokens = tokens.unwrap_or_else(|| throughput.scaled(length.unwrap_or(1.0).max(1e-9)));
    let in_flight = |it: &EngineSample| it.running + it.waiting;
    let mean_in_flight = of_samples(samples, |it| in_flight(it) as f64).map_or(0.0, |it| it.value);
    let drift = match samples {
        [first, .., last] if window.length().as_secs_f64() > 0.0 => {
            (in_flight(last) as f64 - in_flight(first) as f64) / window.length().as_secs_f64()
        }
        _ => 0.0,
    };
    let completed = record.completed.unwrap_or(0);
    let work = Work {
        output_tokens: tokens.value * window.length().as_secs_f64(),
        requests: throughput.value * window.length().as_secs_f64(),
        window: window.length(),
    };
    let unknown = LatencySummary::default;
    PointSummary {
        id: point.id.clone(),
        factors: point.factors.clone(),
        repetition: point.repetition,
        load: point.load.clone(),
        ended: point.ended,
        window,
        counts: Counts {
            due: record.requests.unwrap_or(completed),
            ok: completed,
            failed: record.failed.unwrap_or(0),
            rows: completed,
            ..Counts::default()
        },
        failures: Vec::new(),
        achieved_rate_per_s: log.and_then(arrivals).unwrap_or(throughput).value,
        throughput_per_s: throughput,
        output_tokens_per_s: tokens,
        long_run_tokens_per_s: None,
        input_tokens_per_s: of_samples(samples, |it| it.prompt_tokens_per_s).map(|it| it.value),
        prompt_tokens_planned: None,
        prompt_tokens: None,
        mean_output_tokens: length,
        mean_output_tokens_error: length.map(|_| 0.0),
        makespan_throughput_per_s: record.throughput_per_s,
        goodput: None,
        fall: None,
        stability: Stability {
            stable,
            drift_per_s: Estimate::exact(drift),
            in_flight_start: samples.first().map_or(0, in_flight),
            in_flight_end: samples.last().map_or(0, in_flight),
            in_flight_mean: mean_in_flight,
            in_flight_max: samples.iter().map(in_flight).max().unwrap_or(0),
        },
        ttft: unknown(),
        service_ttft: unknown(),
        tpot: unknown(),
        itl: unknown(),
        chunk_gap: unknown(),
        chunks: ChunkCounts::default(),
        decode: unknown(),
        e2e: unknown(),
        schedule_lag: unknown(),
        connecting: unknown(),
        client: crate::ClientSummary::of(&point.workers),
        server: ServerBreakdown::of(&point.server, &unknown()),
        gpu: GpuSummary::of(&point.gpus, work),
        counters: point.server,
        ceilings: Ceilings::of(&point.settings, &point.server_start),
        server_start: point.server_start,
        timeline: Vec::new(),
        first_arrivals: Vec::new(),
        probe: None,
    }
}

/// The rate of the arrivals that a log shows, requests per second, with what its whole seconds leave open.
///
/// n arrivals from the second of the first to that of the last, s seconds later: (n - 1) / s, between
/// (n - 1) / (s + 1) and (n - 1) / (s - 1). `None` below two seconds.
pub(crate) fn arrivals(log: &LogRecord) -> Option<Estimate> {
    let n = log.arrivals_per_s.iter().map(|it| f64::from(*it)).sum::<f64>() - 1.0;
    let seconds = log.arrivals_per_s.len().checked_sub(1).filter(|it| *it >= 2)? as f64;
    (n > 0.0).then(|| Estimate {
        value: n / seconds,
        low: n / (seconds + 1.0),
        high: n / (seconds - 1.0),
    })
}

/// The time of one answer by the tool's own means, s: without the wait of a queue past saturation.
pub(crate) fn answer_s(record: &ImportedRecord, length: Option<f64>) -> Option<f64> {
    Some(record.tpot_mean_ms? / 1e3 * (length? - 1.0).max(0.0))
}

fn has_backlog(record: &ImportedRecord, rate: Option<f64>) -> bool {
    let (Some(rate), Some(n), Some(duration)) = (rate, record.requests, record.duration_s) else {
        return false;
    };
    let length =
        record.output_tokens.zip(record.completed).map(|(t, n)| t as f64 / n.max(1) as f64);
    let n = n as f64;
    let left = duration - n / rate - answer_s(record, length).unwrap_or(0.0);
    left > (BACKLOG * n.sqrt() / rate).max(BACKLOG_SHARE * duration)
}

/// What the requests per second lie between, where only the duration is known.
fn bounds(record: &ImportedRecord, length: Option<f64>) -> Option<Estimate> {
    let (n, duration) = (record.completed? as f64, record.duration_s.filter(|it| *it > 0.0)?);
    let sending = duration - answer_s(record, length).unwrap_or(0.0);
    let low = n / duration;
    let high = if sending > 0.0 { n / sending } else { low };
    Some(Estimate { value: f64::midpoint(low, high), low, high })
}

/// The lines whose throughputs are of the steady part.
fn steady_samples(log: &LogRecord, window: Window) -> &[EngineSample] {
    if log.saturated().is_some() {
        return log.saturated_samples().get(1..).unwrap_or_default();
    }
    // A line tells of the time before it: the first inside the window tells of more than the window.
    let inside = |it: &EngineSample| window.start <= it.at_ns && it.at_ns <= window.end;
    let first = log.engine.iter().position(inside).map_or(0, |place| place + 1);
    let count = log.engine.iter().skip(first).take_while(|it| inside(it)).count();
    log.engine.get(first..first + count).unwrap_or_default()
}

/// The mean of a figure of the lines, weighted by their spans; `None` with fewer than two.
fn of_samples(samples: &[EngineSample], of: impl Fn(&EngineSample) -> f64) -> Option<Estimate> {
    let n = samples.len() as f64;
    let total: f64 = samples.iter().map(|it| it.span_s).sum();
    if samples.len() < 2 || total <= 0.0 {
        return None;
    }
    let mean = samples.iter().map(|it| of(it) * it.span_s).sum::<f64>() / total;
    let values: Vec<f64> = samples.iter().map(&of).collect();
    let squares = values.iter().map(|it| (it - mean).powi(2)).sum::<f64>();
    let steps = values.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum::<f64>();
    let spread = if steps > WAVES * squares {
        let largest = values.iter().copied().fold(f64::MIN, f64::max);
        let smallest = values.iter().copied().fold(f64::MAX, f64::min);
        (largest - smallest) / (2.0 * n)
    } else {
        let t = StudentsT::new(0.0, 1.0, n - 1.0).map_or(f64::INFINITY, |it| it.inverse_cdf(0.975));
        t * (squares / (n - 1.0) / n).sqrt()
    };
    let least = 1.96 * SWING * mean / n.sqrt();
    Some(Estimate::around(mean, spread.max(least)).not_negative())
}

#[cfg(test)]
mod tests;
