//! What was seen at the load that is read, as facts that hypotheses need: one function a fact, with its
//! threshold and the reason for it. They stand in one file, long as it is, because the hypotheses share
//! them: table and sentence agree only where both read the same fact.

use plimsoll_records::{OfferedLoad, Outcome, Severity, Tally};

use crate::PointSummary;
use crate::audit::{CLIENT_BUSY, CLIENT_WAITS, allowed_lag_ms};

use super::evidence::Fact;
use super::reading::{Reading, in_words, load, short};

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

/// Share of a time from which a part of it is called what the time goes into.
const MOST_OF_IT: f64 = 0.5;

/// Share of the requests that must fail to connect, or lose their connection, for that to tell.
const BROKEN: f64 = 0.01;

/// No number that was measured is as large, or 1 / it as small.
pub(super) const BEYOND: f64 = 1e12;

/// What was seen at one load, over its repetitions: means of what is a mean, the largest of what is a
/// largest.
pub(super) struct Seen<'a> {
    reading: &'a Reading<'a>,
    load: String,
    points: Vec<String>,
    running_mean: Option<f64>,
    running_max: Option<f64>,
    waiting_mean: Option<f64>,
    slots: Option<f64>,
}

impl<'a> Seen<'a> {
    pub(super) fn of(reading: &'a Reading<'a>) -> Self {
        let at = &reading.at;
        let running_max = max(at, |point| point.counters.running_max);
        let running_mean = mean(at, |point| point.counters.running_mean);
        Self {
            load: reading.load_in_words(),
            points: ids(at),
            running_mean: running_mean.or(running_max),
            running_max: running_max.or(running_mean),
            waiting_mean: mean(at, |point| point.counters.waiting_mean),
            slots: mean(at, |point| point.ceilings.running),
            reading,
        }
    }

    fn fact(&self, holds: bool, text: String) -> Fact {
        Fact::known(holds, text, &self.points)
    }

    fn mean(&self, of: impl Fn(&PointSummary) -> Option<f64>) -> Option<f64> {
        mean(&self.reading.at, of)
    }

    fn max(&self, of: impl Fn(&PointSummary) -> Option<f64>) -> Option<f64> {
        max(&self.reading.at, of)
    }

    /// That more was offered than the server kept up with.
    pub(super) fn overtaken(&self) -> Fact {
        let Some(first) = self.reading.at.first() else {
            return Fact::unknown("any load at a valid point");
        };
        let is_past = self.reading.is_past;
        let through = self.mean(|point| Some(point.throughput_per_s.value)).unwrap_or_default();
        if let OfferedLoad::Open { .. } = first.load {
            let arrived = self.mean(|point| Some(point.achieved_rate_per_s)).unwrap_or_default();
            let text = format!(
                "{} of {} arrivals a second were completed at {}",
                short(through),
                short(arrived),
                self.load
            );
            return self
                .fact(is_past, text)
                .number("achieved_rate_per_s", arrived, "req/s")
                .number("throughput_per_s", through, "req/s");
        }
        let lower = mean(&self.reading.below, |point| Some(point.throughput_per_s.value));
        let (Some(lower), Some(below)) =
            (lower.filter(|&it| it > 1.0 / BEYOND), self.reading.below.first())
        else {
            return Fact::unknown("throughput at a lower concurrency");
        };
        let text = format!(
            "{:.1} times the requests in flight brought {:.2} times the throughput ({} req/s at {})",
            load(first) / load(below),
            through / lower,
            short(through),
            self.load
        );
        let mut fact = self
            .fact(is_past, text)
            .number("offered_concurrency", load(first), "requests")
            .number("throughput_per_s", through, "req/s")
            .number("lower_throughput_per_s", lower, "req/s");
        fact.evidence.points.extend(ids(&self.reading.below));
        fact
    }

    /// The same for a limit of the server, which a load that it keeps up with cannot show.
    pub(super) fn past(&self) -> Fact {
        let fact = self.overtaken();
        if fact.holds == Some(false) { Fact::unknown("any load past saturation") } else { fact }
    }

    /// That requests waited at the engine most of the time.
    pub(super) fn waiting(&self) -> Fact {
        let share = self.mean(|point| point.counters.waiting_share);
        let (holds, text) = match (share, self.waiting_mean) {
            (Some(share), Some(mean)) => (
                share >= MOSTLY,
                format!(
                    "requests waited in {:.0} % of the scrapes ({mean:.1} on average)",
                    100.0 * share
                ),
            ),
            (Some(share), None) => (
                share >= MOSTLY,
                format!("requests waited in {:.0} % of the scrapes", 100.0 * share),
            ),
            (None, Some(mean)) => (mean >= MOSTLY, format!("{mean:.1} requests waited on average")),
            (None, None) => return Fact::unknown("whether requests wait at the engine"),
        };
        self.fact(holds, text).number("waiting_share", share, "share").number(
            "waiting_mean",
            self.waiting_mean,
            "requests",
        )
    }

    /// That every slot was taken at some moment.
    pub(super) fn slots_taken(&self) -> Fact {
        self.slots_at(self.running_max, "running_max", "at most")
    }

    /// That every slot was taken all the time.
    pub(super) fn slots_taken_throughout(&self) -> Fact {
        self.slots_at(self.running_mean, "running_mean", "on average")
    }

    fn slots_at(&self, running: Option<f64>, name: &'static str, when: &str) -> Fact {
        let Some(running) = running else { return Fact::unknown("how many requests run") };
        let Some(slots) = self.slots else {
            return Fact::unknown("how many slots there are (max-num-seqs)");
        };
        let text = format!(
            "{} of {} slots (max-num-seqs) were taken {when}",
            one_decimal(running),
            short(slots)
        );
        self.fact(running >= REACHED * slots, text)
            .number(name, running, "requests")
            .number("slots", slots, "requests")
    }

    /// That the KV cache was full, or requests lost their place in it.
    pub(super) fn cache_full(&self) -> Fact {
        let share = self.max(|point| point.counters.kv_cache_usage_max);
        let preempted = self.max(|point| point.counters.preemptions);
        let of_share = share.map(|it| format!("the KV cache was {:.0} % full at most", 100.0 * it));
        let of_preempted = preempted
            .filter(|&count| count > 0.0)
            .map(|count| format!("{count:.0} preemptions were counted"));
        let text: Vec<String> = [of_share, of_preempted].into_iter().flatten().collect();
        if share.is_none() && preempted.is_none() {
            return Fact::unknown("how full the KV cache is");
        }
        let text = if text.is_empty() {
            "no request was preempted".to_owned()
        } else {
            text.join(" and ")
        };
        let full = share.is_some_and(|it| it >= KV_FULL) || preempted.is_some_and(|it| it > 0.0);
        self.fact(full, text).number("kv_cache_usage_max", share, "share").number(
            "preemptions",
            preempted,
            "preemptions",
        )
    }

    /// That steps were about as large as they may be.
    pub(super) fn budget_used(&self) -> Fact {
        let tokens = self.mean(|it| it.counters.step_tokens.as_ref().and_then(Tally::mean));
        let Some(tokens) = tokens else { return Fact::unknown("how many tokens a step has") };
        let budget = self.mean(|point| point.ceilings.step_tokens);
        let Some(budget) = budget else {
            return Fact::unknown("how many tokens a step may have (max-num-batched-tokens)");
        };
        let text = format!(
            "a step had {tokens:.0} of the {budget:.0} tokens of max-num-batched-tokens on average"
        );
        self.fact(tokens >= BUDGET_USED * budget, text)
            .number("step_tokens_mean", tokens, "tokens")
            .number("step_tokens_limit", budget, "tokens")
    }

    /// That a token takes longer than at the ladder's lowest load that was kept up with.
    pub(super) fn slowed(&self) -> Fact {
        let now = self.mean(tpot_ms).or_else(|| self.pace_ms());
        let lowest =
            self.reading.lowest.and_then(|it| Some((it, tpot_ms(it).filter(|&ms| ms > 0.0)?)));
        let (Some(now), Some((lowest, before))) = (now, lowest) else {
            return Fact::unknown("how long a token takes at a low load and at this one");
        };
        let text = format!(
            "a token took {:.1} times as long as at {} ({now:.1} ms against {before:.1})",
            now / before,
            in_words(lowest)
        );
        let mut fact = self
            .fact(now >= SLOWED * before, text)
            .number("tpot_mean_ms", now, "ms")
            .number("tpot_mean_lowest_load_ms", before, "ms");
        if !self.points.contains(&lowest.id) {
            fact.evidence.points.push(lowest.id.clone());
        }
        fact
    }

    /// The time of a token where no request of the window ended, because the point was cut off: requests
    /// running / tokens delivered a second, by Little's law.
    fn pace_ms(&self) -> Option<f64> {
        let per_s = self.mean(|point| Some(point.output_tokens_per_s.value))?;
        Some(1e3 * self.running_mean? / per_s).filter(|_| per_s > 1.0 / BEYOND)
    }

    /// That kernels ran nearly all the time.
    pub(super) fn gpus_busy(&self) -> Fact {
        let busy = self.mean(|point| point.gpu.as_ref()?.sm_utilisation_mean_pct);
        let Some(busy) = busy else { return Fact::unknown("how busy the GPUs are") };
        self.fact(busy >= BUSY_PCT, format!("the GPUs were busy for {busy:.0} % of the time"))
            .number("sm_utilisation_mean_pct", busy, "%")
    }

    /// That heat or power held the clocks down.
    pub(super) fn throttled(&self) -> Fact {
        let share = self.max(|point| point.gpu.as_ref()?.throttled_share);
        let Some(share) = share else {
            return Fact::unknown("whether the GPUs' clocks were held down");
        };
        let text = format!(
            "heat or power held the GPUs' clocks down in {:.0} % of the samples",
            100.0 * share
        );
        self.fact(share >= BROKEN, text).number("throttled_share", share, "share")
    }

    /// That most of the requests in flight were not known to the engine: on the way to it, or from it. Engines
    /// renew their gauges once a step, which gives each request a token: those that arrive in the time of a
    /// token may be in the engine all the same.
    pub(super) fn on_the_way(&self) -> Fact {
        let in_flight = self.mean(|point| Some(point.stability.in_flight_mean));
        let (Some(in_flight), Some(engine)) = (in_flight, self.in_engine()) else {
            return Fact::unknown("how many requests the engine has, running and waiting");
        };
        let rate = self.mean(|point| Some(point.achieved_rate_per_s)).unwrap_or_default();
        let in_a_step = rate * self.mean(tpot_ms).unwrap_or_default() / 1e3;
        let away = in_flight > 1.0
            && engine < KNOWN_TO_THE_ENGINE * in_flight
            && in_flight - engine > in_a_step;
        let text = format!(
            "of {in_flight:.0} requests in flight on average the engine knew {engine:.0}, running or \
             waiting"
        );
        self.fact(away, text).number("in_flight_mean", in_flight, "requests").number(
            "in_engine_mean",
            engine,
            "requests",
        )
    }

    fn in_engine(&self) -> Option<f64> {
        Some(self.running_mean? + self.waiting_mean?)
    }

    /// That the time outside the engine goes into connecting. The time outside is what Little's law makes
    /// of the requests outside: their number / throughput.
    pub(super) fn connecting(&self) -> Fact {
        let due: u64 = self.reading.at.iter().map(|point| point.counts.due).sum();
        let new: u64 = self.reading.at.iter().map(|point| point.counts.new_connections).sum();
        // Another tool's results do not say which request had a connection of its own.
        let nothing_is_known = self.reading.at.iter().all(|point| point.schedule_lag.n == 0);
        if due == 0 || nothing_is_known {
            return Fact::unknown("how long connecting takes");
        }
        if new == 0 {
            let text = "no request had to wait for a connection to be opened".to_owned();
            return self.fact(false, text).number("new_connections", 0.0, "requests");
        }
        let connecting = self.mean(|it| Some(it.connecting.mean?.as_secs_f64() * 1e3));
        let through =
            self.mean(|it| Some(it.throughput_per_s.value).filter(|&it| it > 1.0 / BEYOND));
        let in_flight = self.mean(|point| Some(point.stability.in_flight_mean));
        let (Some(connecting), Some(through), Some(in_flight), Some(engine)) =
            (connecting, through, in_flight, self.in_engine())
        else {
            return Fact::unknown(
                "how long connecting takes, or how long requests are outside the engine",
            );
        };
        let outside_ms = 1e3 * (in_flight - engine).max(0.0) / through;
        let each_ms = connecting * new as f64 / due as f64;
        let text = format!(
            "opening a connection took {connecting:.1} ms for {new} of {due} requests, which were \
             outside the engine for {outside_ms:.0} ms on average"
        );
        self.fact(outside_ms > 0.0 && each_ms >= MOST_OF_IT * outside_ms, text)
            .number("connecting_mean_ms", connecting, "ms")
            .number("new_connections", new as f64, "requests")
            .number("outside_engine_ms", outside_ms, "ms")
    }

    /// That the requests of a point which the audit voids because they left late had waited for a connection
    /// to be opened. A busy client opens connections late, too: then it is not known whose delay it is.
    pub(super) fn late_by_connecting(&self) -> Fact {
        let unknown =
            || Fact::unknown("how long requests waited for a connection before they left");
        let voided = self.reading.client.first().filter(|(_, it)| it.severity == Severity::Error);
        let Some((point, _)) = voided else { return unknown() };
        let counts = &point.counts;
        let ms = |mean: Option<std::time::Duration>| Some(mean?.as_secs_f64() * 1e3);
        let lag = ms(point.schedule_lag.mean).filter(|&lag| lag > 0.0);
        let (Some(lag), Some(connecting)) = (lag, ms(point.connecting.mean)) else {
            return unknown();
        };
        let mine = connecting * counts.new_connections as f64 / counts.due.max(1) as f64;
        let holds = mine >= MOST_OF_IT * lag;
        if holds && self.client_busy().holds != Some(false) {
            return unknown();
        }
        let text = format!(
            "opening a connection took {connecting:.1} ms for {} of {} requests, which left {lag:.1} ms \
             late on average at {}",
            counts.new_connections,
            counts.due,
            in_words(point)
        );
        Fact::known(holds, text, std::slice::from_ref(&point.id))
            .number("connecting_mean_ms", connecting, "ms")
            .number("new_connections", counts.new_connections as f64, "requests")
            .number("schedule_lag_mean_ms", lag, "ms")
    }

    /// That connections fail.
    pub(super) fn broken(&self) -> Fact {
        let due: u64 = self.reading.at.iter().map(|point| point.counts.due).sum();
        if due == 0 {
            return Fact::unknown("whether connections fail");
        }
        let count =
            |it: &&PointSummary| it.counts.of(Outcome::Refused) + it.counts.of(Outcome::Reset);
        let failed: u64 = self.reading.at.iter().map(count).sum();
        let share = failed as f64 / due as f64;
        let text = format!("{failed} of {due} requests were refused a connection or lost it");
        self.fact(share >= BROKEN, text)
            .number("connections_failed", failed as f64, "requests")
            .number("connections_failed_share", share, "share")
    }

    /// That most of the time to the first token is spent neither in the engine's queue nor in prefill, where
    /// the server keeps up: past that the two sides do not speak of the same requests.
    pub(super) fn rest(&self) -> Fact {
        let points = &self.reading.kept_up;
        let rest = mean(points, |point| point.server.as_ref()?.rest_ms);
        let all = mean(points, |point| Some(point.service_ttft.mean?.as_secs_f64() * 1e3));
        let (Some(rest), Some(all), Some(first)) = (rest, all, points.first()) else {
            return Fact::unknown("how the time to the first token is divided");
        };
        let text = format!(
            "{rest:.1} of {all:.1} ms from sending to the first token were neither queue nor prefill at {}",
            in_words(first)
        );
        Fact::known(all > 0.0 && rest >= MOST_OF_IT * all, text, &ids(points))
            .number("rest_ms", rest, "ms")
            .number("service_ttft_mean_ms", all, "ms")
    }

    /// That the audit voided a point beyond what the server kept up with, because of the client. Where it
    /// only warns, it is open whether that kept the client from offering more.
    pub(super) fn client_gave_out(&self) -> Fact {
        let Some((point, finding)) = self.reading.client.first() else {
            if self.reading.at.is_empty() {
                return Fact::unknown("any load at a valid point");
            }
            let text = format!("the audit has nothing to say against the client at {}", self.load);
            return self.fact(false, text);
        };
        if finding.severity < Severity::Error {
            let at = in_words(point);
            return Fact::unknown(format!(
                "whether what the audit warns of at {at} ({}) held the client back",
                finding.code
            ));
        }
        let text = format!(
            "the audit voided the point at {} ({}: {})",
            in_words(point),
            finding.code,
            finding.message
        );
        let fact = Fact::known(true, text, std::slice::from_ref(&point.id));
        finding.numbers.iter().fold(fact, |fact, (name, &value)| fact.number(name, value, ""))
    }

    /// That a thread of the client had no time to spare, or that others had its core.
    pub(super) fn client_busy(&self) -> Fact {
        let (points, load) = self.client_points();
        let busy = max(&points, |point| point.client.cpu_share_max);
        let queued = max(&points, |point| point.client.run_queue_share_max);
        let Some(busy) = busy else { return Fact::unknown("how busy the client's threads are") };
        let text = match queued {
            Some(queued) => format!(
                "the client's busiest thread used {:.0} % of a core and stood in line for one for \
                 {:.0} % of the time, at {load}",
                100.0 * busy,
                100.0 * queued
            ),
            None => {
                format!(
                    "the client's busiest thread used {:.0} % of a core, at {load}",
                    100.0 * busy
                )
            }
        };
        let holds = busy > CLIENT_BUSY || queued.is_some_and(|it| it > CLIENT_WAITS);
        Fact::known(holds, text, &ids(&points)).number("cpu_share_max", busy, "share").number(
            "run_queue_share_max",
            queued,
            "share",
        )
    }

    /// That requests left later than they may.
    pub(super) fn client_late(&self) -> Fact {
        let (points, load) = self.client_points();
        let ms = |value: Option<std::time::Duration>| Some(value?.as_secs_f64() * 1e3);
        let lag = max(&points, |point| ms(point.schedule_lag.p99.value));
        let Some(lag) = lag else {
            return Fact::unknown("how late the client sends (too few requests)");
        };
        let allowed = allowed_lag_ms(max(&points, |point| ms(point.ttft.p50.value)));
        let text = format!(
            "99 % of the requests left within {lag:.2} ms of their time ({allowed:.2} are allowed), at {load}"
        );
        Fact::known(lag > allowed, text, &ids(&points))
            .number("schedule_lag_p99_ms", lag, "ms")
            .number("schedule_lag_allowed_ms", allowed, "ms")
    }

    /// The points that show the client under its heaviest load: the one that it is reproached with, else
    /// those that are read.
    fn client_points(&self) -> (Vec<&'a PointSummary>, String) {
        match self.reading.client.first() {
            Some((point, _)) => (vec![*point], in_words(point)),
            None => (self.reading.at.clone(), self.load.clone()),
        }
    }
}

/// The mean over the points that know it; `None` where none does.
fn mean(points: &[&PointSummary], of: impl Fn(&PointSummary) -> Option<f64>) -> Option<f64> {
    let known: Vec<f64> = known(points, of).collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    (!known.is_empty() && mean.is_finite()).then_some(mean)
}

/// The largest over the points that know it.
fn max(points: &[&PointSummary], of: impl Fn(&PointSummary) -> Option<f64>) -> Option<f64> {
    known(points, of).max_by(f64::total_cmp)
}

/// The values of the points that know them. What another program says may be no number, or one that nobody
/// ever measured.
fn known(
    points: &[&PointSummary],
    of: impl Fn(&PointSummary) -> Option<f64>,
) -> impl Iterator<Item = f64> {
    points.iter().filter_map(move |point| of(point)).filter(|value| value.abs() < BEYOND)
}

fn ids(points: &[&PointSummary]) -> Vec<String> {
    points.iter().map(|point| point.id.clone()).collect()
}

/// The mean TPOT of a point, ms.
fn tpot_ms(point: &PointSummary) -> Option<f64> {
    Some(point.tpot.mean?.as_secs_f64() * 1e3)
}

/// A number with one decimal, if it needs one.
fn one_decimal(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
