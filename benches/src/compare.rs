//! Joins what a client saw with what the server did.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::{Figures, Run, Seen, Spread, Truth};

/// The figures of `run` against the server's log, leaving out requests due in the first `warm_up`.
///
/// Requests are joined by the name of their body and, where a name comes again, by their order.
#[must_use]
pub fn compare(run: &Run, truth: &[Truth], warm_up: Duration) -> Figures {
    let from_ns = run.origin_ns + warm_up.as_nanos() as u64;
    let pairs = join(&run.seen, truth);
    let due = run.seen.iter().filter(|seen| seen.intended_ns >= from_ns).count();
    let pairs: Vec<_> = pairs
        .into_iter()
        .filter(|(seen, done)| {
            seen.intended_ns >= from_ns && seen.tokens_ns.len() == done.before_ns.len()
        })
        .collect();
    let (mut one_way, mut itl) = (Vec::new(), Itl::default());
    for (seen, done) in &pairs {
        let both = || seen.tokens_ns.iter().zip(&done.before_ns);
        one_way.extend(both().map(|(client, server)| minus(*client, *server)));
        itl.add(&seen.tokens_ns, &done.before_ns);
    }
    let of = |value: fn(&Seen, &Truth) -> i64| {
        Spread::of_ns(pairs.iter().map(|(seen, done)| value(seen, done)).collect())
    };
    let (itl_client_ms, itl_server_ms) = (Spread::of_ns(itl.client), Spread::of_ns(itl.server));
    let cpu_us = (run.after.cpu_us - run.before.cpu_us) as f64;
    let wall_us = run.wall_ns as f64 / 1e3;
    let most_in_flight = most_in_flight(truth);
    let grown_kb = run.after.peak_rss_kb.saturating_sub(run.fresh.rss_kb);
    Figures {
        ended: run.ended,
        failed: run.failed,
        first_failure: run.first_failure.clone(),
        joined: pairs.len(),
        unjoined: due - pairs.len(),
        rate_reached_per_s: rate(truth, from_ns),
        tokens_per_s: run.tokens as f64 / wall_us * 1e6,
        cpu_us_per_token: cpu_us / run.tokens.max(1) as f64,
        cpu_share: cpu_us / wall_us,
        run_queue_wait_share: run.waited_ns as f64 / 1e3 / wall_us,
        ttft_error_ms: of(|seen, done| match (seen.tokens_ns.first(), done.before_ns.first()) {
            (Some(client), Some(server)) => {
                minus(*client, seen.sent_ns) - minus(*server, done.received_ns)
            }
            _ => 0,
        }),
        ttft_error_wire_ms: of(|seen, done| {
            match (seen.tokens_ns.first(), done.before_ns.first()) {
                (Some(client), Some(server)) => {
                    minus(*client, seen.sent_ns) - minus(*server, done.arrived_ns)
                }
                _ => 0,
            }
        }),
        first_one_way_ms: of(|seen, done| match (seen.tokens_ns.first(), done.before_ns.first()) {
            (Some(client), Some(server)) => minus(*client, *server),
            _ => 0,
        }),
        one_way_ms: Spread::of_ns(one_way),
        itl_p99_error_ms: itl_client_ms.p99 - itl_server_ms.p99,
        itl_client_ms,
        itl_server_ms,
        itl_error_ms: Spread::of_ns(itl.error),
        start_lag_ms: of(|seen, _| minus(seen.sent_ns, seen.intended_ns)),
        start_lag_seen_ms: of(|seen, done| minus(done.received_ns, seen.intended_ns)),
        sent_error_ms: of(|seen, done| minus(done.received_ns, seen.sent_ns)),
        own_delay_ms: run.own_delay,
        shared_share: run.shared_chunks as f64 / run.tokens.max(1) as f64,
        rows_by_grade: run.rows_by_grade,
        packets_dropped: run.packets_dropped,
        server_delay_ms: of(|_, done| minus(done.received_ns, done.arrived_ns)),
        most_in_flight,
        connections: truth.iter().map(|done| done.connection).collect::<HashSet<_>>().len(),
        blocked_writes: truth.iter().map(|done| u64::from(done.blocked)).sum(),
        rss_fresh_kb: run.fresh.rss_kb,
        peak_rss_kb: run.after.peak_rss_kb,
        rss_per_stream_kb: grown_kb as f64 / most_in_flight.max(1) as f64,
    }
}

/// `a - b`, below 0 when `b` is later.
const fn minus(a: u64, b: u64) -> i64 {
    a.wrapping_sub(b).cast_signed()
}

/// Gaps between tokens, on both sides.
#[derive(Debug, Default)]
struct Itl {
    client: Vec<i64>,
    server: Vec<i64>,
    error: Vec<i64>,
}

impl Itl {
    fn add(&mut self, client: &[u64], server: &[u64]) {
        let gaps = |stamps: &[u64]| -> Vec<i64> {
            stamps.windows(2).map(|two| minus(two[1], two[0])).collect()
        };
        let (client, server) = (gaps(client), gaps(server));
        self.error.extend(client.iter().zip(&server).map(|(client, server)| client - server));
        self.client.extend(client);
        self.server.extend(server);
    }
}

/// Each request with the server's entry of it.
fn join<'a>(seen: &'a [Seen], truth: &'a [Truth]) -> Vec<(&'a Seen, &'a Truth)> {
    let mut done: HashMap<u64, Vec<&Truth>> = HashMap::new();
    for entry in truth {
        if let Ok(name) = entry.id.parse() {
            done.entry(name).or_default().push(entry);
        }
    }
    let mut by_name: HashMap<u64, Vec<&Seen>> = HashMap::new();
    for request in seen {
        by_name.entry(request.name).or_default().push(request);
    }
    let mut pairs = Vec::with_capacity(seen.len());
    for (name, mut requests) in by_name {
        let Some(entries) = done.get_mut(&name) else { continue };
        // A request that failed leaves an entry without partner and would shift those behind it; only
        // where later requests were not kept may there be more entries, and those are at the end.
        requests.sort_unstable_by_key(|request| request.sent_ns);
        entries.sort_unstable_by_key(|entry| entry.received_ns);
        pairs.extend(requests.into_iter().zip(entries.iter().copied()));
    }
    pairs
}

/// Requests received since `from_ns`, per second between the first and the last of them.
fn rate(truth: &[Truth], from_ns: u64) -> f64 {
    let received = || truth.iter().map(|done| done.received_ns).filter(|at| *at >= from_ns);
    match (received().min(), received().max()) {
        (Some(first), Some(last)) if last > first => {
            (received().count() - 1) as f64 * 1e9 / (last - first) as f64
        }
        _ => 0.0,
    }
}

/// The most requests that were received and not yet answered at one instant.
fn most_in_flight(truth: &[Truth]) -> u64 {
    let mut steps: Vec<(u64, i64)> = Vec::with_capacity(truth.len() * 2);
    for done in truth {
        steps.push((done.received_ns, 1));
        steps.push((done.after_ns.last().copied().unwrap_or(done.received_ns), -1));
    }
    // Of two at one instant the end comes first.
    steps.sort_unstable();
    let (mut now, mut most) = (0_i64, 0);
    for (_, step) in steps {
        now += step;
        most = most.max(now);
    }
    most.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(id: &str, received_ns: u64, before_ns: &[u64]) -> Truth {
        Truth {
            id: id.into(),
            connection: 0,
            arrived_ns: received_ns - received_ns.min(500_000),
            received_ns,
            asked: 2,
            blocked: 0,
            before_ns: before_ns.to_vec(),
            after_ns: before_ns.iter().map(|at| at + 5_000).collect(),
        }
    }

    fn seen(name: u64, sent_ns: u64, tokens_ns: &[u64]) -> Seen {
        Seen {
            name,
            intended_ns: sent_ns,
            dequeued_ns: sent_ns,
            sent_ns,
            tokens_ns: tokens_ns.to_vec(),
        }
    }

    #[test]
    fn a_name_that_comes_again_is_joined_in_order_and_errors_have_their_sign() {
        const MS: u64 = 1_000_000;
        let log = [
            truth("0", 40 * MS, &[50 * MS, 60 * MS]),
            truth("0", 10 * MS, &[20 * MS, 30 * MS]),
            truth("not a name", MS, &[]),
        ];
        let run = Run {
            seen: vec![
                seen(0, 9 * MS, &[21 * MS, 30 * MS]),
                seen(0, 39 * MS, &[52 * MS, 64 * MS]),
                seen(1, 5 * MS, &[6 * MS]),
            ],
            ..Run::default()
        };
        let figures = compare(&run, &log, Duration::ZERO);
        assert_eq!((figures.joined, figures.unjoined), (2, 1));
        // The client says 12 and 13 ms, the server did 10 and 10.
        assert_eq!((figures.ttft_error_ms.mean, figures.ttft_error_ms.max), (2.5, 3.0));
        assert_eq!((figures.one_way_ms.min, figures.one_way_ms.max), (0.0, 4.0));
        assert_eq!((figures.itl_error_ms.min, figures.itl_error_ms.max), (-1.0, 2.0));
        assert_eq!(figures.itl_p99_error_ms, 2.0);
        assert_eq!(figures.sent_error_ms.mean, 1.0);
        // The server took half a millisecond to read, which is no error of the client.
        assert_eq!(figures.ttft_error_wire_ms.mean, 2.0);
        assert_eq!(figures.server_delay_ms.mean, 0.5);
        assert_eq!(figures.most_in_flight, 1);
        let later = compare(&run, &log, Duration::from_millis(20));
        assert_eq!((later.joined, later.unjoined), (1, 0));
    }

    #[test]
    fn rates_count_gaps_and_overlaps_count_once() {
        let log = [truth("0", 0, &[900]), truth("1", 500, &[600]), truth("2", 1_000, &[1_200])];
        assert!((rate(&log, 0) - 2e6).abs() < 1e-6);
        assert_eq!(rate(&log[..1], 0), 0.0);
        assert_eq!(most_in_flight(&log), 3, "answers end 5 us after their last write began");
    }
}
