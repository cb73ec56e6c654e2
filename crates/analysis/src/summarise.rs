//! From the rows of a point to its numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_records::{ConnectionUse, Outcome, PointFile, RequestRow};
use plimsoll_units::RunNanos;

use crate::batch_means::{self, FINE_BINS};
use crate::failure::failures;
use crate::gpu_summary::Work;
use crate::in_flight::InFlight;
use crate::{
    Ceilings, ClientSummary, Counts, Fall, GpuSummary, PointSummary, Probed, ServerBreakdown, Slo,
    Window, gaps, goodput, imported, latency, long_run, stability, timeline, tokens,
};

/// Everything that is known of a point, from its rows.
///
/// Population and formula of each number are in docs/definitions.md under the field's name. In
/// short: latencies are of the requests that were due in the measure window (by intended time) and
/// ended well, the others are counted as missing; throughput counts what was completed or delivered
/// inside the window, whoever was due when. The order of the rows does not matter. A point without
/// rows gives zeros and `None`.
#[must_use]
pub fn summarise(point: &PointFile, rows: &[RequestRow], slo: &Slo) -> PointSummary {
    if let Some(record) = point.imported.as_ref().filter(|_| rows.is_empty()) {
        return imported::summarise(point, record);
    }
    let window = Window::of(&point.phases);
    let seconds = window.length().as_secs_f64();
    let due = || rows.iter().filter(|row| window.contains(row.intended));
    let ended = || rows.iter().filter(|row| row.outcome.is_ok() && window.contains(row.done));
    let of_ok = |value: fn(&RequestRow) -> Option<Duration>| {
        latency::of_requests(due(), |row| row.outcome.is_ok().then(|| value(row))?)
    };
    let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };

    let in_flight = InFlight::of(rows);
    let counts = count(rows, window);
    // Not known as soon as one length is not: a sum over the others would be too small.
    let prompt_tokens = ended().try_fold(0.0, |sum, row| {
        Some(sum + f64::from(row.prompt_tokens.or(row.prompt_tokens_planned)?))
    });
    let length = OutputLength::of(point, rows);
    let stability = stability::stability(point, window, &in_flight);
    let delivered = binned(window, tokens::delivered(rows));
    let output_tokens_per_s = match length.asked.filter(|_| !stability.stable) {
        Some(mean) => {
            let firsts = rows.iter().filter_map(|row| Some((row.first_token()?, mean)));
            batch_means::controlled_rate(&delivered, &binned(window, firsts), seconds)
        }
        None => batch_means::rate(&delivered, seconds),
    };
    let long_run_tokens_per_s = (!stability.stable).then(|| {
        let firsts = length
            .asked
            .into_iter()
            .flat_map(|mean| rows.iter().filter_map(move |row| Some((row.first_token()?, mean))));
        long_run::rate(tokens::delivered(rows), firsts, window)
    });
    let gaps = gaps::Gaps::of(due());
    let service_ttft = of_ok(latency::service_ttft);
    let work = Work {
        output_tokens: delivered.iter().sum(),
        requests: ended().count() as f64,
        window: window.length(),
    };
    PointSummary {
        id: point.id.clone(),
        factors: point.factors.clone(),
        repetition: point.repetition,
        load: point.load.clone(),
        ended: point.ended,
        window,
        achieved_rate_per_s: per_second(counts.due as f64),
        counts,
        failures: failures(due()),
        throughput_per_s: batch_means::rate(
            &binned(window, ended().map(|row| (row.done, 1.0))),
            seconds,
        ),
        output_tokens_per_s,
        long_run_tokens_per_s,
        input_tokens_per_s: prompt_tokens.map(per_second),
        prompt_tokens_planned: mean_of(due().map(|row| row.prompt_tokens_planned)),
        prompt_tokens: mean_of(
            due().filter(|row| row.outcome.is_ok()).map(|row| row.prompt_tokens),
        ),
        mean_output_tokens: length.mean,
        mean_output_tokens_error: length.error,
        makespan_throughput_per_s: makespan_throughput(rows),
        goodput: goodput::goodput(due(), slo, window),
        fall: (!stability.stable)
            .then(|| Fall::of(point.phases.start_ns, window, rows, &in_flight))
            .flatten(),
        stability,
        ttft: of_ok(latency::ttft),
        service_ttft,
        tpot: of_ok(latency::tpot),
        itl: gaps.itl,
        chunk_gap: gaps.chunk_gap,
        chunks: gaps.chunks,
        decode: of_ok(latency::decode),
        e2e: of_ok(|row| Some(latency::e2e(row))),
        schedule_lag: latency::of_requests(due(), RequestRow::schedule_lag),
        connecting: latency::of_requests(
            due().filter(|row| row.connection == Some(ConnectionUse::New)),
            |row| row.connected.map(|connected| connected - row.dequeued),
        ),
        client: ClientSummary::of(&point.workers),
        server: ServerBreakdown::of(&point.server, &service_ttft),
        gpu: GpuSummary::of(&point.gpus, work),
        counters: point.server,
        ceilings: Ceilings::of(&point.settings, &point.server_start),
        server_start: point.server_start,
        first_arrivals: first_arrivals(point, rows),
        timeline: timeline::timeline(point, rows, &in_flight),
        probe: point
            .probe
            .clone()
            .map(|record| Probed { duration: point.phases.end_ns.since(record.since_ns), record }),
    }
}

/// What happened in each fine bin of the window.
pub(crate) fn binned(
    window: Window,
    events: impl Iterator<Item = (RunNanos, f64)>,
) -> [f64; FINE_BINS] {
    let mut bins = [0.0; FINE_BINS];
    let length = window.length().as_nanos();
    for (at, amount) in events.filter(|(at, _)| window.contains(*at)) {
        // `at` lies before the window's end, so the quotient is below the number of bins.
        bins[((at - window.start).as_nanos() * FINE_BINS as u128 / length) as usize] += amount;
    }
    bins
}

/// The mean of numbers; `None` without one, or as soon as one is not known.
fn mean_of(mut numbers: impl Iterator<Item = Option<u32>>) -> Option<f64> {
    let (sum, n) = numbers
        .try_fold((0.0, 0.0), |(sum, n), number| Some((sum + f64::from(number?), n + 1.0)))?;
    (n > 0.0).then(|| sum / n)
}

/// Arrivals that are kept of a point: over 500 gaps tell sequences apart beyond doubt.
const FIRST_ARRIVALS: usize = 512;

/// When the first requests were due, from the point's start on; nothing of what was due before it.
fn first_arrivals(point: &PointFile, rows: &[RequestRow]) -> Vec<Duration> {
    let start = point.phases.start_ns;
    let after = rows.iter().filter(|row| row.intended >= start);
    let mut offsets: Vec<Duration> = after.map(|row| row.intended - start).collect();
    offsets.sort_unstable();
    offsets.truncate(FIRST_ARRIVALS);
    offsets
}

/// Requests by what became of them.
fn count(rows: &[RequestRow], window: Window) -> Counts {
    let mut counts = Counts { rows: rows.len() as u64, ..Counts::default() };
    let mut by_outcome = BTreeMap::new();
    for row in rows.iter().filter(|row| window.contains(row.intended)) {
        counts.due += 1;
        counts.ok += u64::from(row.outcome.is_ok());
        counts.failed += u64::from(row.outcome.is_failure());
        counts.aborted += u64::from(row.outcome == Outcome::Aborted);
        counts.resent += u64::from(row.resent);
        counts.new_connections += u64::from(row.connection == Some(ConnectionUse::New));
        *by_outcome.entry(row.outcome.as_str()).or_insert(0) += 1;
    }
    counts.by_outcome = by_outcome;
    counts
}

/// N / (last done - first sent) over all requests of the point that ended well, as other tools
/// count; `None` without one, or when they took no time.
fn makespan_throughput(rows: &[RequestRow]) -> Option<f64> {
    let ok = || rows.iter().filter(|row| row.outcome.is_ok());
    let first = ok().filter_map(|row| row.sent).min()?;
    let last = ok().map(|row| row.done).max()?;
    let seconds = (last - first).as_secs_f64();
    (seconds > 0.0).then(|| ok().count() as f64 / seconds)
}

/// The mean output length of a point in tokens.
struct OutputLength {
    /// The mean.
    mean: Option<f64>,
    /// Its standard error.
    error: Option<f64>,
    /// The mean again, where it is that of what was asked for, and so of every request alike.
    asked: Option<f64>,
}

impl OutputLength {
    /// Where the workload asks for exact lengths and gets them (at most 1 % of the answers differ),
    /// the lengths asked for are the truth: the declared mean with error 0 where there is one, else
    /// the mean of what was planned over every row. Neither depends on which requests happened to
    /// finish. Else: the mean over the requests that ended well; not known when over 2 % of the rows
    /// were aborted, for those were the long ones.
    fn of(point: &PointFile, rows: &[RequestRow]) -> Self {
        let unknown = Self { mean: None, error: None, asked: None };
        let ok: Vec<&RequestRow> = rows.iter().filter(|row| row.outcome.is_ok()).collect();
        if ok.is_empty() {
            return unknown;
        }
        let exact = point.workload.exact_output && asked_is_got(&ok);
        if let Some(declared) = point.workload.mean_output_tokens.filter(|_| exact) {
            return Self { mean: Some(declared), error: Some(0.0), asked: Some(declared) };
        }
        let aborted = rows.iter().filter(|row| row.outcome == Outcome::Aborted).count();
        if !exact && aborted * 50 > rows.len() {
            return unknown;
        }
        let lengths: Vec<f64> = if exact {
            rows.iter().map(|row| f64::from(row.output_tokens_planned)).collect()
        } else {
            ok.iter().map(|row| row.output_count() as f64).collect()
        };
        let mean = Some(lengths.iter().sum::<f64>() / lengths.len() as f64);
        let error = (lengths.len() > 1).then(|| batch_means::standard_error(&lengths));
        Self { mean, error, asked: mean.filter(|_| exact) }
    }
}

/// Whether at most 1 % of the answers have another length than was asked for.
fn asked_is_got(ok: &[&RequestRow]) -> bool {
    let other =
        ok.iter().filter(|row| row.output_count() != u64::from(row.output_tokens_planned)).count();
    other * 100 <= ok.len()
}

#[cfg(test)]
mod tests;
