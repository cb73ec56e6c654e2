//! What was seen of the server at one load, and which limit that shows.

use std::collections::BTreeMap;

use plimsoll_records::Tally;

use crate::{LimitedBy, PointSummary, ServerLimit};

use super::{in_words, load, load_name, short};

/// Share of a ceiling from which it counts as reached: gauges are read between steps, when a finished
/// request's slot may be empty for a moment.
const REACHED: f64 = 0.95;

/// Share of the KV cache from which it counts as full: the rest is too little for another request.
const KV_FULL: f64 = 0.95;

/// Share of a step's tokens from which the budget counts as used up on average: the prompts that end
/// in a step do not add up to it exactly.
const BUDGET_USED: f64 = 0.8;

/// Share of the scrapes that must see requests waiting for them to wait *most of the time*.
const MOSTLY: f64 = 0.5;

/// By how much a token must take longer than at the ladder's lowest load for the steps to be the
/// limit.
const SLOWED: f64 = 1.5;

/// Utilisation of the GPUs, percent, that stands for that where the tokens say nothing.
const BUSY_PCT: f64 = 90.0;

/// Share of the client's requests in flight that the engine must know of, running or waiting.
const KNOWN_TO_THE_ENGINE: f64 = 0.5;

/// The pace of tokens at the lowest load of a ladder, which a higher load is held against.
pub(super) struct Slowed {
    load: String,
    tpot_ms: f64,
}

impl Slowed {
    /// By the lowest load that was kept up with and has a mean TPOT.
    pub(super) fn since(points: &[&PointSummary]) -> Option<Self> {
        let lowest = points
            .iter()
            .filter(|point| point.stability.stable)
            .min_by(|a, b| load(a).total_cmp(&load(b)))?;
        Some(Self { load: in_words(lowest), tpot_ms: tpot_ms(lowest).filter(|&ms| ms > 0.0)? })
    }
}

/// What was seen at one load, over its repetitions: means of what is a mean, the largest of what is a
/// largest.
pub(super) struct Seen {
    load: String,
    load_number: (&'static str, f64),
    running_mean: f64,
    running_max: f64,
    waiting_mean: Option<f64>,
    waiting_share: Option<f64>,
    kv_max: Option<f64>,
    preemptions: Option<f64>,
    step_tokens: Option<f64>,
    slots: Option<f64>,
    budget: Option<f64>,
    in_flight: f64,
    tpot_ms: Option<f64>,
    sm_pct: Option<f64>,
}

impl Seen {
    /// Of points at one load; `None` where the server did not say how many requests it ran.
    pub(super) fn of(points: &[&PointSummary]) -> Option<Self> {
        let first = points.first()?;
        let mean = |of: &dyn Fn(&PointSummary) -> Option<f64>| -> Option<f64> {
            let known: Vec<f64> = points.iter().filter_map(|point| of(point)).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        let max = |of: &dyn Fn(&PointSummary) -> Option<f64>| -> Option<f64> {
            points.iter().filter_map(|point| of(point)).max_by(f64::total_cmp)
        };
        let running_max = max(&|point| point.counters.running_max);
        let running_mean = mean(&|point| point.counters.running_mean);
        Some(Self {
            load: in_words(first),
            load_number: (load_name(first), load(first)),
            running_mean: running_mean.or(running_max)?,
            running_max: running_max.or(running_mean)?,
            waiting_mean: mean(&|point| point.counters.waiting_mean),
            waiting_share: mean(&|point| point.counters.waiting_share),
            kv_max: max(&|point| point.counters.kv_cache_usage_max),
            preemptions: max(&|point| point.counters.preemptions),
            step_tokens: mean(&|point| point.counters.step_tokens.as_ref().and_then(Tally::mean)),
            slots: first.ceilings.running,
            budget: first.ceilings.step_tokens,
            in_flight: mean(&|point| Some(point.stability.in_flight_mean)).unwrap_or_default(),
            tpot_ms: mean(&tpot_ms),
            sm_pct: mean(&|point| point.gpu.as_ref()?.sm_utilisation_mean_pct),
        })
    }

    /// The limit that a load past saturation shows, by the first rule that holds (docs/method.md,
    /// "What limits the server").
    pub(super) fn limit(&self, slowed: Option<&Slowed>) -> ServerLimit {
        let waits = self.waits();
        if self.in_flight > 1.0 && self.in_engine() < KNOWN_TO_THE_ENGINE * self.in_flight {
            return self.named(
                LimitedBy::FrontEnd,
                format!(
                    "the way to the engine: of {:.0} requests in flight on average the engine knew \
                     {:.0}, running or waiting",
                    self.in_flight,
                    self.in_engine()
                ),
            );
        }
        if waits && self.kv_is_full() && !self.fills_slots(self.running_mean) {
            return self.named(
                LimitedBy::KvCache,
                format!("the KV cache: {}, {}, {}", self.kv(), self.waiting(), self.running()),
            );
        }
        if waits && self.fills_slots(self.running_max) {
            return self.named(
                LimitedBy::Slots,
                format!("the slots: {}, {}, {}", self.running(), self.waiting(), self.kv()),
            );
        }
        if let (true, Some(tokens), Some(budget)) = (waits, self.step_tokens, self.budget)
            && tokens >= BUDGET_USED * budget
        {
            return self.named(
                LimitedBy::TokenBudget,
                format!(
                    "the token budget: a step had {tokens:.0} of the {budget:.0} tokens of \
                     max-num-batched-tokens on average, {}, {}",
                    self.waiting(),
                    self.running()
                ),
            );
        }
        let slots_are_left = self.slots.is_some() && !self.fills_slots(self.running_max);
        let none_waits = !waits && (self.waiting_share.is_some() || self.waiting_mean.is_some());
        let evidence = self.compute(slowed).filter(|_| none_waits || slots_are_left);
        match evidence {
            Some(evidence) => self.named(
                LimitedBy::Compute,
                format!("compute: {evidence}, {}, {}", self.waiting(), self.running()),
            ),
            None => self.named(
                LimitedBy::Unknown,
                format!(
                    "what limits the server is not clear: {}, {}, {}",
                    self.running(),
                    self.waiting(),
                    self.kv()
                ),
            ),
        }
    }

    /// That the highest load was kept up with.
    pub(super) fn not_reached(&self) -> ServerLimit {
        self.named(
            LimitedBy::NotReached,
            format!("no limit was reached: {}, {}, {}", self.running(), self.waiting(), self.kv()),
        )
    }

    /// Whether requests waited at the engine most of the time.
    fn waits(&self) -> bool {
        match (self.waiting_share, self.waiting_mean) {
            (Some(share), _) => share >= MOSTLY,
            (None, Some(mean)) => mean >= MOSTLY,
            (None, None) => false,
        }
    }

    /// Requests that the engine knew of. Where it does not count those that wait, all may have.
    fn in_engine(&self) -> f64 {
        self.waiting_mean.map_or(f64::INFINITY, |waiting| self.running_mean + waiting)
    }

    fn kv_is_full(&self) -> bool {
        self.kv_max.is_some_and(|share| share >= KV_FULL)
            || self.preemptions.is_some_and(|count| count > 0.0)
    }

    fn fills_slots(&self, running: f64) -> bool {
        self.slots.is_some_and(|slots| running >= REACHED * slots)
    }

    /// What says that the steps themselves became slow.
    fn compute(&self, slowed: Option<&Slowed>) -> Option<String> {
        if let (Some(slowed), Some(tpot_ms)) = (slowed, self.tpot_ms)
            && tpot_ms >= SLOWED * slowed.tpot_ms
        {
            return Some(format!(
                "a token took {:.1} times as long as at {} ({tpot_ms:.1} ms against {:.1})",
                tpot_ms / slowed.tpot_ms,
                slowed.load,
                slowed.tpot_ms
            ));
        }
        let busy = self.sm_pct.filter(|&pct| pct >= BUSY_PCT)?;
        Some(format!("the GPUs were busy for {busy:.0} % of the time"))
    }

    fn running(&self) -> String {
        let (max, mean) = (short(self.running_max), self.running_mean);
        match self.slots {
            Some(slots) => format!(
                "{max} of {} slots (max-num-seqs) were taken at most, {mean:.1} on average",
                short(slots)
            ),
            None => format!("{max} requests ran at most, {mean:.1} on average"),
        }
    }

    fn waiting(&self) -> String {
        match (self.waiting_share, self.waiting_mean) {
            (Some(share), Some(mean)) => format!(
                "requests waited in {:.0} % of the scrapes ({mean:.1} on average)",
                100.0 * share
            ),
            (Some(share), None) => {
                format!("requests waited in {:.0} % of the scrapes", 100.0 * share)
            }
            (None, Some(mean)) => format!("{mean:.1} requests waited on average"),
            (None, None) => "whether requests waited is not known".to_owned(),
        }
    }

    fn kv(&self) -> String {
        let full = self.kv_max.map_or_else(
            || "the fill of the KV cache is not known".to_owned(),
            |share| format!("the KV cache was {:.0} % full at most", 100.0 * share),
        );
        match self.preemptions.filter(|&count| count > 0.0) {
            Some(count) => format!("{full} and {count:.0} requests were preempted"),
            None => full,
        }
    }

    /// A limit with this sentence, the load and every number that is known.
    fn named(&self, by: LimitedBy, evidence: String) -> ServerLimit {
        let known = [
            ("running_mean", Some(self.running_mean)),
            ("running_max", Some(self.running_max)),
            ("slots", self.slots),
            ("waiting_mean", self.waiting_mean),
            ("waiting_share", self.waiting_share),
            ("kv_cache_usage_max", self.kv_max),
            ("preemptions", self.preemptions),
            ("step_tokens_mean", self.step_tokens),
            ("step_tokens_limit", self.budget),
            ("in_flight_mean", Some(self.in_flight)),
            ("tpot_mean_ms", self.tpot_ms),
            ("sm_utilisation_mean_pct", self.sm_pct),
            (self.load_number.0, Some(self.load_number.1)),
        ];
        let numbers: BTreeMap<String, f64> = known
            .into_iter()
            .filter_map(|(name, number)| Some((name.to_owned(), number?)))
            .filter(|(_, number)| number.is_finite())
            .collect();
        ServerLimit { by, sentence: format!("{evidence}, at {}", self.load), numbers }
    }
}

/// The mean TPOT of a point, ms.
fn tpot_ms(point: &PointSummary) -> Option<f64> {
    Some(point.tpot.mean?.as_secs_f64() * 1e3)
}
