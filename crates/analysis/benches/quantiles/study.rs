//! The study of quantiles: how often intervals of latencies that depend on each other hold the truth.

use std::fmt;
use std::time::Duration;

use plimsoll_analysis::{LatencySeries, TimedLatency, latency_quantile, quantile_ratio};
use plimsoll_units::RunNanos;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Exp, StandardUniform};

use crate::server::{self, Plan};
use crate::study::{CASES, Case};

/// Where the latencies come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// One server of 50 requests a second with exponential services at a share of its capacity: the time
    /// in it has the quantile -ln(1 - q) / (50 (1 - share)) s (any book on queues).
    Queue { share: f64 },
    /// TTFT of a batch server at a share of its capacity; the truth is that of long runs.
    Batch { case: Case, share: f64 },
}

/// A quantile of latencies in a window of so many seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) source: Source,
    pub(crate) q: f64,
    pub(crate) seconds: f64,
}

/// Requests of one window as (due, latency) in seconds.
type Window = Vec<(f64, f64)>;

/// The study's questions.
pub(crate) fn all() -> Vec<Asked> {
    let mut all = Vec::new();
    for (share, seconds) in [(0.5, 30.0), (0.7, 30.0), (0.7, 120.0), (0.9, 60.0), (0.9, 600.0)] {
        for q in [0.5, 0.9, 0.99] {
            all.push(Asked { source: Source::Queue { share }, q, seconds });
        }
    }
    for (case, share) in [(CASES[0], 0.85), (CASES[3], 0.85), (CASES[6], 0.85)] {
        for q in [0.5, 0.9] {
            all.push(Asked { source: Source::Batch { case, share }, q, seconds: 30.0 });
        }
    }
    all
}

impl Source {
    fn name(self) -> String {
        match self {
            Self::Queue { share } => format!("M/M/1 at {share}"),
            Self::Batch { case, share } => format!("{} at {share}, TTFT", case.name),
        }
    }

    fn window(self, seconds: f64, seed: u64) -> Window {
        match self {
            Self::Queue { share } => queue(share, seconds, seed),
            Self::Batch { case, share } => {
                let rate = share * server::capacity(case.server, case.lengths);
                let plan = Plan { measure: seconds, may_end_early: false, declared_mean: None };
                let (point, rows) = server::measure(case.server, case.lengths, rate, plan, seed);
                let (start, end) = (point.phases.measure_start_ns, point.phases.measure_end_ns);
                let due = rows.iter().filter(|row| start <= row.intended && row.intended < end);
                due.filter_map(|row| {
                    let since =
                        |from: RunNanos, to: RunNanos| to.as_secs_f64() - from.as_secs_f64();
                    Some((since(start, row.intended), since(row.intended, row.first_answer?)))
                })
                .collect()
            }
        }
    }

    fn truth(self, q: f64) -> f64 {
        match self {
            Self::Queue { share } => -(1.0 - q).ln() / (50.0 * (1.0 - share)),
            Self::Batch { .. } => {
                let runs = (1..=8).flat_map(|seed| self.window(300.0, 900_000 + seed));
                let mut all: Vec<f64> = runs.map(|(_, latency)| latency).collect();
                all.sort_by(f64::total_cmp);
                all[(q * all.len() as f64) as usize]
            }
        }
    }
}

/// A single server by Lindley's recursion, after as long again to settle, at least 30 s.
fn queue(share: f64, seconds: f64, seed: u64) -> Window {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let gap = Exp::new(50.0 * share).expect("above 0");
    let service = Exp::new(50.0).expect("above 0");
    let settle = f64::max(seconds, 30.0);
    let (mut at, mut wait, mut last) = (-settle, 0.0_f64, 0.0);
    let mut found = Vec::new();
    loop {
        let step: f64 = gap.sample(&mut rng);
        at += step;
        if at >= seconds {
            return found;
        }
        wait = (wait + last - step).max(0.0);
        last = service.sample(&mut rng);
        if at >= 0.0 {
            found.push((at, wait + last));
        }
    }
}

fn series(seconds: f64, requests: &[(f64, f64)]) -> LatencySeries {
    let timed = requests.iter().map(|&(at, latency)| TimedLatency {
        at: Duration::from_secs_f64(at),
        latency: Duration::from_secs_f64(latency),
    });
    // Rounding may put the last request onto the end.
    LatencySeries::new(Duration::from_secs_f64(seconds + 1e-6), timed).expect("all are inside")
}

/// The same requests at random times: what a bootstrap over requests takes them for.
fn shuffled(requests: &[(f64, f64)], seconds: f64, seed: u64) -> Window {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let anywhere = requests.iter().map(|&(_, latency)| {
        let at: f64 = StandardUniform.sample(&mut rng);
        (at * seconds, latency)
    });
    anywhere.collect()
}

/// The interval of order statistics, by the normal curve: supposes independent requests.
fn order_statistics(requests: &[(f64, f64)], q: f64) -> (f64, f64) {
    let mut sorted: Vec<f64> = requests.iter().map(|(_, latency)| *latency).collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let half = 1.96 * (n * q * (1.0 - q)).sqrt();
    let at = |rank: f64| sorted[(rank.max(1.0) as usize).min(sorted.len()) - 1];
    (at((q * n - half).floor()), at((q * n + half).ceil() + 1.0))
}

/// How many intervals there were and how many held the truth.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    given: f64,
    held: f64,
}

impl Held {
    fn add(&mut self, inside: bool) {
        self.given += 1.0;
        self.held += f64::from(u8::from(inside));
    }

    fn percent(self) -> f64 {
        100.0 * self.held / self.given
    }
}

/// How often each interval held the truth.
#[derive(Debug, Default)]
pub(crate) struct Row {
    name: String,
    trials: f64,
    /// Of the ratio of two windows of the same server, truth 1: blocks of time, those of them that are not
    /// said to be too short, single requests.
    ratio_blocks: Held,
    ratio_sure: Held,
    ratio_requests: Held,
    half_width: f64,
    /// Of one window's quantile: blocks of time, order statistics.
    one_blocks: Held,
    one_ranks: Held,
}

pub(crate) const HEADER: &str = "\
| latencies | window, s | q | ratio, blocks of time: covered, known | of these not too short: covered, share | half width | over requests | one window, blocks of time: covered, known | order statistics |
|---|---|---|---|---|---|---|---|---|";

/// `trials` pairs of windows with seeds from 1.
pub(crate) fn run(asked: Asked, trials: u64) -> Row {
    let Asked { source, q, seconds } = asked;
    let truth = source.truth(q);
    let mut row = Row {
        name: format!("{} | {seconds:.0} | {q}", source.name()),
        trials: trials as f64,
        ..Row::default()
    };
    for seed in 1..=trials {
        let pair = [2 * seed, 2 * seed + 1].map(|seed| source.window(seconds, 500_000 + seed));
        let [a, b] = pair.each_ref().map(|window| [series(seconds, window)]);
        if let Some(found) = quantile_ratio(&a, &b, q, seed).expect("q is legal") {
            row.ratio_blocks.add(found.ratio.contains(1.0));
            row.half_width += 100.0 * found.ratio.relative_half_width();
            if !found.window_too_short {
                row.ratio_sure.add(found.ratio.contains(1.0));
            }
        }
        let blind =
            pair.each_ref().map(|window| [series(seconds, &shuffled(window, seconds, seed))]);
        if let Some(blind) = quantile_ratio(&blind[0], &blind[1], q, seed).expect("q is legal") {
            row.ratio_requests.add(blind.ratio.contains(1.0));
        }
        if let Some(one) = latency_quantile(&a[0], q, seed).expect("q is legal") {
            row.one_blocks.add(one.contains(truth));
        }
        let (low, high) = order_statistics(&pair[0], q);
        row.one_ranks.add((low..=high).contains(&truth));
    }
    row
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |held: Held| 100.0 * held.given / self.trials;
        write!(
            f,
            "| {} | {:.1}, {:.0} % | {:.1}, {:.0} % | {:.0} % | {:.1} % | {:.1}, {:.0} % | {:.1} % |",
            self.name,
            self.ratio_blocks.percent(),
            share(self.ratio_blocks),
            self.ratio_sure.percent(),
            share(self.ratio_sure),
            self.half_width / self.ratio_blocks.given,
            self.ratio_requests.percent(),
            self.one_blocks.percent(),
            share(self.one_blocks),
            self.one_ranks.percent()
        )
    }
}
