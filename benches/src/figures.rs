//! What is printed of a run.

use serde::Serialize;

use crate::OwnDelay;

/// How values are spread. Unit: ms, unless the field says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many values there are; with none all figures are 0.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// The ceil(0.5 * n)-th in order of size.
    pub p50: f64,
    /// The ceil(0.99 * n)-th in order of size.
    pub p99: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The spread of differences in nanoseconds.
    #[must_use]
    pub fn of_ns(mut values: Vec<i64>) -> Self {
        let n = values.len();
        if n == 0 {
            return Self::default();
        }
        values.sort_unstable();
        let ms = |ns: i64| ns as f64 / 1e6;
        // The rank is at most n, and at least 1 for n >= 1.
        let quantile = |q: f64| ms(values[(q * n as f64).ceil() as usize - 1]);
        let sum: i128 = values.iter().map(|value| i128::from(*value)).sum();
        Self {
            n,
            mean: sum as f64 / n as f64 / 1e6,
            p50: quantile(0.5),
            p99: quantile(0.99),
            min: ms(values[0]),
            max: ms(values[n - 1]),
        }
    }
}

/// What a client said of a load, against what the server did. Errors are the client's figure minus the
/// server's: 0 is right, and above 0 the client says too much.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Requests that ended well, in all.
    pub ended: u64,
    /// Requests that did not.
    pub failed: u64,
    /// What was wrong with the first of those.
    pub first_failure: Option<String>,
    /// Requests due after the warm-up that were found in the server's log.
    pub joined: usize,
    /// Requests due after the warm-up that were not, or with another number of tokens.
    pub unjoined: usize,
    /// Requests that the server received after the warm-up, per second.
    pub rate_reached_per_s: f64,
    /// Output tokens of the whole run, per second of it.
    pub tokens_per_s: f64,
    /// CPU time of the client's process, user and system, over its output tokens. Unit: us.
    pub cpu_us_per_token: f64,
    /// The same over the length of the run: 1 is one core all the time.
    pub cpu_share: f64,
    /// How long the client's threads waited for a core, over the length of the run.
    pub run_queue_wait_share: f64,
    /// (first token - sent) of the client minus (first token - received) of the server.
    pub ttft_error_ms: Spread,
    /// The same with (first token - arrived) of the server, where arrived is the kernel's time of the
    /// request: the server's delay in reading is not in it.
    pub ttft_error_wire_ms: Spread,
    /// The part of the first error that is the first token's: the client's stamp of it minus the server's
    /// right before writing it. The other part is `sent_error_ms`.
    pub first_one_way_ms: Spread,
    /// The client's stamp of each token minus the server's right before writing it.
    pub one_way_ms: Spread,
    /// Token to token, as the client says.
    pub itl_client_ms: Spread,
    /// Token to token, as the server did.
    pub itl_server_ms: Spread,
    /// The difference of the two for each gap.
    pub itl_error_ms: Spread,
    /// The difference of the two p99.
    pub itl_p99_error_ms: f64,
    /// Sent minus intended, as the client says.
    pub start_lag_ms: Spread,
    /// Received by the server minus intended.
    pub start_lag_seen_ms: Spread,
    /// Received by the server minus sent, as the client says: the request's way, and how late the server
    /// read it.
    pub sent_error_ms: Spread,
    /// What the client says of its own delay; nothing where it does not ask the kernel.
    pub own_delay_ms: Option<OwnDelay>,
    /// Chunks that the client marks as sharing a later one's stamp, over all tokens.
    pub shared_share: f64,
    /// Rows with stamps of the user, the socket and the packet grade, as the client marks them.
    pub rows_by_grade: [u64; 3],
    /// Segments that a packet capture had no room for.
    pub packets_dropped: u64,
    /// Received minus arrived: how late the server read the requests.
    pub server_delay_ms: Spread,
    /// The most requests that were in the server at once.
    pub most_in_flight: u64,
    /// Connections that the requests came on.
    pub connections: usize,
    /// Writes that a connection did not take at once: the client was not reading.
    pub blocked_writes: u64,
    /// Memory of the client's process before it had a connection. Unit: kB.
    pub rss_fresh_kb: u64,
    /// The most that it ever had. Unit: kB.
    pub peak_rss_kb: u64,
    /// What it had more at its most, for each request then in flight. Unit: kB.
    pub rss_per_stream_kb: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_rank() {
        let spread = Spread::of_ns((1..=200).rev().map(|i| i * 1_000_000).collect());
        assert_eq!((spread.p50, spread.p99), (100.0, 198.0));
        assert_eq!((spread.min, spread.max, spread.mean), (1.0, 200.0, 100.5));
        let one = Spread::of_ns(vec![-2_500_000]);
        assert_eq!((one.n, one.p50, one.p99, one.mean), (1, -2.5, -2.5, -2.5));
        assert_eq!(Spread::of_ns(vec![]), Spread::default());
    }
}
