//! What the client measured, held against what the simulator's log says.
//!
//! Both sides read one clock of one machine, so single instants can be compared, and are: a TTFT that
//! the simulator counts from its own reading of the request would be short by all the time for which it
//! had not got to read it, which is no error of the client's. On two cores with a thousand streams
//! that is milliseconds. So the simulator's moment of reading is only the latest at which a request can
//! have left.

use std::collections::HashMap;

use bytes::Bytes;
use plimsoll_records::{ErrorRecord, RequestRow};
use plimsoll_units::{RunClock, RunNanos};
use serde::Deserialize;

/// Bytes at the end of a body that the simulator hashes.
const HASHED: usize = 1024;

/// A line of the simulator's log, as far as it is needed: readings of `CLOCK_MONOTONIC`, ns.
#[derive(Clone, Debug, Deserialize)]
struct Logged {
    /// Hash of the body: which request it was.
    body_fnv1a: String,
    arrival_monotonic_ns: u64,
    first_token_monotonic_ns: Option<u64>,
    last_token_monotonic_ns: Option<u64>,
    output_tokens: u32,
}

/// The client's errors over the rows that were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Compared {
    /// Rows with a line in the log.
    pub(crate) requests: u64,
    /// Rows that failed, or that the log lacks.
    pub(crate) lost: u64,
    pub(crate) ttft_error: ErrorRecord,
    pub(crate) tpot_error: ErrorRecord,
}

/// Compares `rows`, whose stamps are of `clock`, with the lines of `log`; `body` is what a row had sent.
///
/// A row and a line belong together by what was sent: bodies are distinct, and neither side needs to
/// know of the other's names for it.
pub(crate) fn compare(
    rows: &[&RequestRow],
    log: &str,
    clock: &RunClock,
    body: impl Fn(&RequestRow) -> Bytes,
) -> Compared {
    // A line that is cut short or otherwise none is missing, and with it its request.
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Logged>(line).ok());
    let logged: HashMap<String, Logged> =
        lines.map(|line| (line.body_fnv1a.clone(), line)).collect();
    let (mut ttft, mut tpot) = (Vec::new(), Vec::new());
    for row in rows {
        let line = logged.get(&key(&body(row)));
        let Some((late, slow)) = line.and_then(|line| errors(row, line, clock)) else { continue };
        ttft.push(late);
        tpot.extend(slow);
    }
    Compared {
        requests: ttft.len() as u64,
        lost: (rows.len() - ttft.len()) as u64,
        ttft_error: error_record(ttft),
        tpot_error: error_record(tpot),
    }
}

/// The errors of TTFT and (of two tokens or more) of TPOT, ms. `None` of a request that did not go well
/// from end to end on both sides, or that was sent twice.
///
/// Of TTFT: first token as stamped - first token as written, less what `sent` lies behind the moment
/// at which the simulator had read the request, if it does. Of TPOT: its two values' difference.
fn errors(row: &RequestRow, line: &Logged, clock: &RunClock) -> Option<(f64, Option<f64>)> {
    let ms = |from: u64, to: u64| (to as f64 - from as f64) / 1e6;
    // Beyond 584 years since the machine's start it would not fit.
    let monotonic = |at: RunNanos| clock.monotonic(at).as_nanos() as u64;
    if !row.outcome.is_ok() || row.resent {
        return None;
    }
    let (first, last) = (monotonic(row.first_token()?), monotonic(row.last_token?));
    let (true_first, true_last) = (line.first_token_monotonic_ns?, line.last_token_monotonic_ns?);
    let sent_late = ms(line.arrival_monotonic_ns, monotonic(row.sent?)).max(0.0);
    let ttft = ms(true_first, first) - sent_late;
    let per_token =
        |from, to, tokens: u64| (tokens >= 2).then(|| ms(from, to) / (tokens - 1) as f64);
    let seen = per_token(first, last, row.output_count());
    let truth = per_token(true_first, true_last, u64::from(line.output_tokens));
    let tpot = seen.zip(truth).map(|(seen, truth)| seen - truth);
    Some((ttft, tpot))
}

/// The simulator's name for a body: FNV-1a with 64 bits of its end, in hexadecimal digits.
fn key(body: &[u8]) -> String {
    let mut hash: u64 = 14_695_981_039_346_656_037;
    for byte in &body[body.len().saturating_sub(HASHED)..] {
        hash ^= u64::from(*byte);
        hash = hash.wrapping_mul(1_099_511_628_211);
    }
    format!("{hash:016x}")
}

/// Mean and median of the signed errors, p99 (nearest rank) and largest of their sizes.
fn error_record(mut errors: Vec<f64>) -> ErrorRecord {
    if errors.is_empty() {
        return ErrorRecord::default();
    }
    let count = errors.len();
    let rank = |q: f64| ((q * count as f64).ceil() as usize).clamp(1, count) - 1;
    let mean_ms = errors.iter().sum::<f64>() / count as f64;
    errors.sort_by(f64::total_cmp);
    let p50_ms = errors[rank(0.5)];
    errors.iter_mut().for_each(|error| *error = error.abs());
    errors.sort_by(f64::total_cmp);
    ErrorRecord {
        count: count as u64,
        mean_ms,
        p50_ms,
        p99_ms: errors[rank(0.99)],
        max_ms: errors[count - 1],
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_records::{ChunkRow, Outcome};
    use plimsoll_units::RunNanos;

    use super::*;

    /// A clock of a run that began a second after the machine.
    fn clock() -> RunClock {
        let clock = r#"{"origin_monotonic_ns": 1000000000, "origin_unix_ns": 0}"#;
        serde_json::from_str(clock).unwrap()
    }

    fn at(us: u64) -> RunNanos {
        RunNanos::from_nanos(us * 1000)
    }

    fn body(row: &RequestRow) -> Bytes {
        Bytes::from(format!("body {}", row.id))
    }

    /// A row of three tokens: sent, first and last token, us.
    fn row(id: u64, sent: u64, first: u64, last: u64) -> RequestRow {
        let chunk =
            |us| ChunkRow { at: at(us), tokens: 1, counted: true, reasoning: false, shared: false };
        RequestRow {
            id,
            outcome: Outcome::Ok,
            sent: Some(at(sent)),
            first_answer: Some(at(first)),
            last_token: Some(at(last)),
            output_tokens: Some(3),
            chunks: vec![chunk(first), chunk(first), chunk(last)],
            ..RequestRow::default()
        }
    }

    /// A line with times of the run's clock, us.
    fn line(id: u64, arrival: u64, first: u64, last: u64) -> String {
        let key = key(&body(&row(id, 0, 0, 0)));
        let [arrival, first, last] = [arrival, first, last].map(|us| (1_000_000 + us) * 1000);
        format!(
            "{{\"id\":\"x\",\"body_fnv1a\":\"{key}\",\"arrival_monotonic_ns\":{arrival},\
             \"first_token_monotonic_ns\":{first},\"last_token_monotonic_ns\":{last},\
             \"output_tokens\":3}}\n"
        )
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // From the reference implementation's own tests (Noll).
        assert_eq!(key(b""), "cbf29ce484222325");
        assert_eq!(key(b"a"), "af63dc4c8601ec8c");
        assert_eq!(key(b"foobar"), "85944171f73967e8");
        let long = [vec![b'x'; 5000], vec![b'y'; HASHED]].concat();
        assert_eq!(key(&long), key(&long[5000..]));
    }

    #[test]
    fn rows_find_their_lines_in_any_order_and_errors_are_signed() {
        let rows = [row(0, 1000, 51_100, 71_100), row(1, 2000, 51_900, 72_300)];
        // Lines come in the order of their ends. One request was read 30 ms after it had left.
        let log = line(1, 2020, 52_000, 72_000) + &line(0, 31_000, 51_000, 71_000);
        let compared = compare(&rows.each_ref(), &log, &clock(), body);
        assert_eq!((compared.requests, compared.lost), (2, 0));
        // +0.1 and -0.1 ms of TTFT; 0 and +0.2 ms of TPOT.
        assert!(compared.ttft_error.mean_ms.abs() < 1e-9);
        assert!((compared.ttft_error.p50_ms + 0.1).abs() < 1e-9);
        assert!((compared.ttft_error.max_ms - 0.1).abs() < 1e-9);
        assert!((compared.tpot_error.mean_ms - 0.1).abs() < 1e-9);
        assert!((compared.tpot_error.p99_ms - 0.2).abs() < 1e-9);
    }

    #[test]
    fn a_stamp_of_sending_after_the_request_was_read_is_an_error() {
        let rows = [row(0, 1500, 51_000, 71_000)];
        let log = line(0, 1200, 51_000, 71_000);
        let compared = compare(&rows.each_ref(), &log, &clock(), body);
        assert!((compared.ttft_error.mean_ms + 0.3).abs() < 1e-9, "{compared:?}");
    }

    #[test]
    fn what_failed_was_sent_twice_or_is_not_in_the_log_is_lost() {
        let good = row(0, 1, 2, 3);
        let failed = RequestRow { outcome: Outcome::Timeout, ..row(1, 1, 2, 3) };
        let twice = RequestRow { resent: true, ..row(2, 1, 2, 3) };
        let missing = row(3, 1, 2, 3);
        let unfinished = row(4, 1, 2, 3);
        let mut log: String = (0..3).map(|id| line(id, 1, 2, 3)).collect();
        log += &line(4, 1, 2, 3).replace(":1000003000,", ":null,");
        log += "{\"body_fnv1a\":\"cut sh";
        let compared =
            compare(&[&good, &failed, &twice, &missing, &unfinished], &log, &clock(), body);
        assert_eq!((compared.requests, compared.lost), (1, 4));
        assert_eq!(compare(&[], &log, &clock(), body), Compared::default());
    }

    #[test]
    fn the_99th_percentile_is_of_the_sizes() {
        // -1, -2, ..., -200: nearest rank, the 198th in order of size.
        let record = error_record((1..=200).map(|size| -f64::from(size)).collect());
        assert_eq!((record.p50_ms, record.p99_ms, record.max_ms), (-101.0, 198.0, 200.0));
        assert_eq!((record.count, record.mean_ms), (200, -100.5));
    }
}
