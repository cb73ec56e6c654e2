//! Where a request's time goes, by the server's own counters, and how full the server was.

use plimsoll_records::{ServerCounters, ServerStart, SettingRecord, SettingState, Tally};

use crate::LatencySummary;

/// What the server's own counters say of a point's window. docs/definitions.md has each formula.
///
/// Times are means in milliseconds. They are of the requests that the server *counted* in the window,
/// which on an unstable point are not those that were due in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerBreakdown {
    /// From the request's arrival at the engine to its first scheduling, ms.
    pub queue_ms: Option<f64>,
    /// From the first scheduling to the first token, ms.
    pub prefill_ms: Option<f64>,
    /// From the first token to the last, ms.
    pub decode_ms: Option<f64>,
    /// The server's own time to first token, ms.
    pub server_ttft_ms: Option<f64>,
    /// Mean service TTFT - queue - prefill: network, client and the server's HTTP side, ms. Below 0
    /// where the client's requests and the server's are not the same ones.
    pub rest_ms: Option<f64>,
    /// Prompt tokens found in the prefix cache / those looked up; 0 to 1.
    pub prefix_hit_share: Option<f64>,
    /// Requests that were preempted.
    pub preemptions: Option<f64>,
    /// Requests running, mean over the scrapes.
    pub running_mean: Option<f64>,
    /// Requests waiting for a slot, mean over the scrapes.
    pub waiting_mean: Option<f64>,
    /// Largest share of the KV cache in use; 0 to 1.
    pub kv_cache_usage_max: Option<f64>,
}

impl ServerBreakdown {
    /// The breakdown of a window, with the client's service TTFT over the same window; `None` where
    /// the server says nothing of all that.
    pub(crate) fn of(counters: &ServerCounters, service_ttft: &LatencySummary) -> Option<Self> {
        let mean_ms = |tally: Option<Tally>| Some(tally?.mean()? * 1e3);
        let (queue_ms, prefill_ms) =
            (mean_ms(counters.queue_time_s), mean_ms(counters.prefill_time_s));
        let rest = || Some(service_ttft.mean?.as_secs_f64() * 1e3 - queue_ms? - prefill_ms?);
        let breakdown = Self {
            queue_ms,
            prefill_ms,
            decode_ms: mean_ms(counters.decode_time_s),
            server_ttft_ms: mean_ms(counters.ttft_s),
            rest_ms: rest(),
            prefix_hit_share: hit_share(counters),
            preemptions: counters.preemptions,
            running_mean: counters.running_mean,
            waiting_mean: counters.waiting_mean,
            kv_cache_usage_max: counters.kv_cache_usage_max,
        };
        (breakdown != Self::default()).then_some(breakdown)
    }
}

/// Prompt tokens found in the prefix cache / those looked up; `None` where the server does not say or
/// looked none up.
pub(crate) fn hit_share(counters: &ServerCounters) -> Option<f64> {
    let queries = counters.prefix_cache_queries_tokens.filter(|&queries| queries > 0.0)?;
    Some(counters.prefix_cache_hits_tokens? / queries)
}

/// The most that the server may do at once, by its settings in effect; as declared where it does not
/// say what is in effect.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ceilings {
    /// Requests running, over all replicas: `max-num-seqs` x `data-parallel-size` x URLs.
    pub running: Option<f64>,
    /// Tokens of one step of one replica: `max-num-batched-tokens`.
    pub step_tokens: Option<f64>,
}

impl Ceilings {
    /// The ceilings by these settings, which each server of this start has.
    pub(crate) fn of(settings: &[SettingRecord], start: &ServerStart) -> Self {
        let number = |name: &str| -> Option<f64> {
            let setting = settings.iter().find(|setting| setting.name == name)?;
            let value = match (&setting.in_effect, setting.state) {
                (Some(value), _) => value,
                // The server has something else, and it is not known what.
                (None, SettingState::Different) => return None,
                (None, _) => setting.declared.as_ref()?,
            };
            let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
            (number.is_finite() && number > 0.0).then_some(number)
        };
        let replicas =
            number("data-parallel-size").unwrap_or(1.0) * f64::from(start.replicas.max(1));
        Self {
            running: number("max-num-seqs").map(|slots| slots * replicas),
            step_tokens: number("max-num-batched-tokens"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::audit::fixture::setting;

    fn tally(count: f64, mean_s: f64) -> Option<Tally> {
        Some(Tally { count, sum: count * mean_s })
    }

    fn ttft(ms: u64) -> LatencySummary {
        LatencySummary { mean: Some(Duration::from_millis(ms)), ..LatencySummary::default() }
    }

    fn near(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() < 1e-9)
    }

    #[test]
    fn what_is_neither_queue_nor_prefill_is_the_rest() {
        let counters = ServerCounters {
            queue_time_s: tally(100.0, 0.040),
            prefill_time_s: tally(100.0, 0.055),
            decode_time_s: tally(90.0, 1.2),
            ttft_s: tally(100.0, 0.096),
            prefix_cache_queries_tokens: Some(40_000.0),
            prefix_cache_hits_tokens: Some(10_000.0),
            ..ServerCounters::default()
        };
        let found = ServerBreakdown::of(&counters, &ttft(100)).unwrap();
        assert!(near(found.queue_ms, 40.0) && near(found.prefill_ms, 55.0));
        assert!(near(found.decode_ms, 1200.0) && near(found.server_ttft_ms, 96.0));
        assert!(near(found.rest_ms, 5.0) && near(found.prefix_hit_share, 0.25));
        // The requests of the two sides differ: what is left may be less than nothing.
        let found = ServerBreakdown::of(&counters, &ttft(90)).unwrap();
        assert!(near(found.rest_ms, -5.0));
    }

    #[test]
    fn what_one_side_does_not_say_is_not_known() {
        let counters = ServerCounters {
            queue_time_s: tally(100.0, 0.040),
            prefill_time_s: tally(0.0, 0.0),
            prefix_cache_queries_tokens: Some(0.0),
            prefix_cache_hits_tokens: Some(0.0),
            ..ServerCounters::default()
        };
        let found = ServerBreakdown::of(&counters, &ttft(100)).unwrap();
        assert_eq!((found.prefill_ms, found.rest_ms, found.prefix_hit_share), (None, None, None));
        assert_eq!(ServerBreakdown::of(&ServerCounters::default(), &ttft(100)), None);
        let silent = ServerBreakdown::of(&counters, &LatencySummary::default()).unwrap();
        assert_eq!(silent.rest_ms, None);
    }

    #[test]
    fn a_ceiling_is_the_one_in_effect_times_the_replicas() {
        let mut settings = vec![
            setting("data-parallel-size", Some(4), Some(4), SettingState::Equal),
            setting("max-num-batched-tokens", Some(512), Some(2048), SettingState::Different),
            setting("max-num-seqs", Some(16), None, SettingState::Unknown),
        ];
        let found = Ceilings::of(&settings, &ServerStart::default());
        assert_eq!(found, Ceilings { running: Some(64.0), step_tokens: Some(2048.0) });
        // Declared, and known not to be in effect: then it is not known what is.
        settings[2].state = SettingState::Different;
        assert_eq!(Ceilings::of(&settings, &ServerStart::default()).running, None);
        settings[2].in_effect = Some("256".into());
        assert_eq!(Ceilings::of(&settings[2..], &ServerStart::default()).running, Some(256.0));
        settings[2].in_effect = Some("auto".into());
        assert_eq!(Ceilings::of(&settings[2..], &ServerStart::default()), Ceilings::default());
    }
}
