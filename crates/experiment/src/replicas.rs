//! What several replicas say of a window, as of one server.

use plimsoll_records::{SamplingRecord, ServerCounters, ServerRow, Tally};

/// The label of a series that says which replica it is of.
const LABEL: &str = "plimsoll_url";

/// The counters and samplings of all replicas together; those of one alone stay as they are.
///
/// Counts and means of gauges add up; the most of a gauge is bounded by the sum of each one's most, for
/// their pages are not of one instant. Shares are the mean of all, the fullest cache is that of any. What one
/// of them does not say is not known of all.
pub(crate) fn together(
    windows: Vec<(ServerCounters, SamplingRecord)>,
) -> Option<(ServerCounters, SamplingRecord)> {
    let replicas = windows.len() as f64;
    let (mut counters, sampling) =
        windows.into_iter().reduce(|(a, s), (b, t)| (added(&a, &b), watched(s, t)))?;
    for share in [&mut counters.waiting_share, &mut counters.kv_cache_usage_mean] {
        *share = share.map(|sum| sum / replicas);
    }
    Some((counters, sampling))
}

fn added(a: &ServerCounters, b: &ServerCounters) -> ServerCounters {
    let sum = |of: fn(&ServerCounters) -> Option<f64>| Some(of(a)? + of(b)?);
    let tally = |of: fn(&ServerCounters) -> Option<Tally>| {
        let (a, b) = (of(a)?, of(b)?);
        Some(Tally { count: a.count + b.count, sum: a.sum + b.sum })
    };
    ServerCounters {
        prefix_cache_queries_tokens: sum(|it| it.prefix_cache_queries_tokens),
        prefix_cache_hits_tokens: sum(|it| it.prefix_cache_hits_tokens),
        preemptions: sum(|it| it.preemptions),
        prompt_tokens: sum(|it| it.prompt_tokens),
        generation_tokens: sum(|it| it.generation_tokens),
        running_max: sum(|it| it.running_max),
        running_mean: sum(|it| it.running_mean),
        waiting_max: sum(|it| it.waiting_max),
        waiting_mean: sum(|it| it.waiting_mean),
        waiting_share: sum(|it| it.waiting_share),
        kv_cache_usage_max: a.kv_cache_usage_max.zip(b.kv_cache_usage_max).map(|(a, b)| a.max(b)),
        kv_cache_usage_mean: sum(|it| it.kv_cache_usage_mean),
        queue_time_s: tally(|it| it.queue_time_s),
        prefill_time_s: tally(|it| it.prefill_time_s),
        decode_time_s: tally(|it| it.decode_time_s),
        ttft_s: tally(|it| it.ttft_s),
        e2e_s: tally(|it| it.e2e_s),
        step_tokens: tally(|it| it.step_tokens),
        restarted: a.restarted || b.restarted,
    }
}

fn watched(a: SamplingRecord, b: SamplingRecord) -> SamplingRecord {
    let remarks: Vec<_> = [a.remark, b.remark].into_iter().flatten().collect();
    SamplingRecord {
        period_ms: a.period_ms,
        // As often as each was read, not all together: the gaps are those of one.
        samples: a.samples.min(b.samples),
        failed: a.failed + b.failed,
        longest_gap_ms: a.longest_gap_ms.max(b.longest_gap_ms),
        cpu_share: a.cpu_share.zip(b.cpu_share).map(|(a, b)| a + b),
        remark: (!remarks.is_empty()).then(|| remarks.join("; ")),
    }
}

/// A series with the replica that it is of.
pub(crate) fn labelled(row: ServerRow, url: &str) -> ServerRow {
    let between = if row.labels.trim().is_empty() { "" } else { "," };
    let url = url.replace('\\', "\\\\").replace('"', "\\\"");
    let labels = format!("{}{between}{LABEL}=\"{url}\"", row.labels.trim_end());
    ServerRow { labels, ..row }
}

#[cfg(test)]
mod tests {
    use plimsoll_units::RunNanos;

    use super::*;

    fn window(running: f64, waiting_share: f64) -> (ServerCounters, SamplingRecord) {
        let counters = ServerCounters {
            running_max: Some(running),
            waiting_share: Some(waiting_share),
            kv_cache_usage_max: Some(running / 100.0),
            kv_cache_usage_mean: Some(running / 200.0),
            queue_time_s: Some(Tally { count: running, sum: 2.0 * running }),
            ..ServerCounters::default()
        };
        let sampling = SamplingRecord {
            samples: running as u64,
            longest_gap_ms: running,
            ..SamplingRecord::default()
        };
        (counters, sampling)
    }

    #[test]
    fn counts_add_up_and_shares_are_means() {
        let (counters, sampling) =
            together(vec![window(4.0, 0.0), window(8.0, 1.0), window(6.0, 0.5)]).unwrap();
        assert_eq!((counters.running_max, counters.waiting_share), (Some(18.0), Some(0.5)));
        assert_eq!(counters.kv_cache_usage_max, Some(0.08));
        assert!((counters.kv_cache_usage_mean.unwrap() - 0.03).abs() < 1e-12);
        assert_eq!(counters.queue_time_s, Some(Tally { count: 18.0, sum: 36.0 }));
        assert_eq!((sampling.samples, sampling.longest_gap_ms), (4, 8.0));
    }

    #[test]
    fn one_alone_stays_as_it_is_and_what_one_does_not_say_is_not_known() {
        assert_eq!(together(vec![window(4.0, 0.5)]), Some(window(4.0, 0.5)));
        assert_eq!(together(Vec::new()), None);
        let (silent, restarted) =
            (ServerCounters::default(), ServerCounters { restarted: true, ..window(1.0, 1.0).0 });
        let of = |counters| (counters, SamplingRecord::default());
        let found = together(vec![of(silent), of(restarted)]).unwrap().0;
        assert_eq!((found.running_max, found.queue_time_s, found.restarted), (None, None, true));
    }

    #[test]
    fn a_series_says_whose_it_is() {
        let row = |labels: &str| ServerRow {
            at: RunNanos::ZERO,
            name: "a".to_owned(),
            labels: labels.to_owned(),
            value: 1.0,
        };
        let of = |labels| labelled(row(labels), "http://b:1").labels;
        assert_eq!(of(""), "plimsoll_url=\"http://b:1\"");
        assert_eq!(of("x=\"1\""), "x=\"1\",plimsoll_url=\"http://b:1\"");
    }
}
