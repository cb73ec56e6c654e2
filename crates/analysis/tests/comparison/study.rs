//! The study of comparisons: settings on simulated servers in virtual time, what a person does with the
//! tool, and what it says. Shares no code with the analysis.

use std::fmt;
use std::time::Duration;

use plimsoll_analysis::{
    Better, Comparing, ComparisonVerdict, Estimate, LatencySeries, Slo, TimedLatency, compare,
    interleaving, latency_quantile, summarise,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, Gamma, StandardNormal};

use crate::server::{self, Plan, Server};
use crate::study::{Case, SMALL, SMALL_LOGNORMAL};

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Figure {
    /// Requests a second of eight saturated slots in 8 s, services gamma with a coefficient of variation of
    /// 0.5. Without an interval of its own.
    Throughput,
    /// Tokens a second of a batch server at 1.3 times its capacity in 6 s, as the analysis summarises
    /// them, with their interval.
    Plateau(Case),
    /// The p90 of the time in one server of 50 requests a second at 0.3 of its capacity, Poisson arrivals and
    /// gamma services with a coefficient of variation of 0.5, in 40 s, with its interval.
    P90,
}

/// How the machine changes while the turns are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Machine {
    /// Not at all.
    Steady,
    /// A chain from turn to turn with correlation 0.8 and a deviation of 2 %.
    Wanders,
    /// 0.3 % slower with every turn, and the same again in every second pass.
    Drifts,
}

/// One experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Experiment {
    pub(crate) figure: Figure,
    pub(crate) machine: Machine,
}

/// The experiments of the study.
pub(crate) const ALL: [Experiment; 6] = [
    Experiment { figure: Figure::Throughput, machine: Machine::Steady },
    Experiment { figure: Figure::Throughput, machine: Machine::Wanders },
    Experiment { figure: Figure::Throughput, machine: Machine::Drifts },
    Experiment { figure: Figure::Plateau(SMALL), machine: Machine::Wanders },
    Experiment { figure: Figure::Plateau(SMALL_LOGNORMAL), machine: Machine::Wanders },
    Experiment { figure: Figure::P90, machine: Machine::Wanders },
];

/// Repetitions of the pilot.
const PILOT: usize = 6;

/// Requests a second that a saturated server of eight slots ends in a window of 8 s, after 2 s.
fn throughput(service: f64, rng: &mut ChaCha8Rng) -> f64 {
    let law = Gamma::new(4.0, service / 4.0).expect("both are above 0");
    let mut free = [0.0_f64; 8];
    for slot in &mut free {
        *slot = law.sample(rng);
    }
    let mut ended = 0;
    loop {
        let next = free.iter_mut().min_by(|a, b| a.total_cmp(b)).expect("eight slots");
        if *next >= 10.0 {
            return f64::from(ended) / 8.0;
        }
        ended += u32::from(*next >= 2.0);
        *next += law.sample(rng);
    }
}

/// The tokens a second of an overloaded server that takes `slower` times as long for everything.
fn plateau(case: Case, capacity: f64, slower: f64, seed: u64) -> Estimate {
    let server = match case.server {
        Server::Batch { slots, base, each, prefill, budget } => Server::Batch {
            slots,
            base: slower * base,
            each: slower * each,
            prefill: slower * prefill,
            budget,
        },
        Server::Queue { servers, service, exponential } => {
            Server::Queue { servers, service: slower * service, exponential }
        }
    };
    let mean = case.declared.then_some(case.lengths.output);
    let plan = Plan { measure: 6.0, may_end_early: false, declared_mean: mean };
    let (point, rows) = server::measure(server, case.lengths, 1.3 * capacity / slower, plan, seed);
    summarise(&point, &rows, &Slo::default()).output_tokens_per_s
}

/// The p90 of the time in a queue, `slower` times as long as at first.
fn p90(slower: f64, seed: u64, rng: &mut ChaCha8Rng) -> Estimate {
    let seconds = 40.0;
    let gap = Gamma::new(1.0, 1.0 / 15.0).expect("both are above 0");
    let service = Gamma::new(4.0, 0.25 / 50.0).expect("both are above 0");
    let (mut at, mut latency) = (-5.0, 0.0_f64);
    let mut requests = Vec::new();
    loop {
        let step: f64 = gap.sample(rng);
        at += step;
        latency = (latency - step).max(0.0) + service.sample(rng);
        if at >= seconds {
            break;
        }
        if at >= 0.0 {
            requests.push(TimedLatency {
                at: Duration::from_secs_f64(at),
                latency: Duration::from_secs_f64(slower * latency),
            });
        }
    }
    let series = LatencySeries::new(Duration::from_secs_f64(seconds), requests);
    let found = latency_quantile(&series.expect("all are inside"), 0.9, seed);
    found.expect("0.9 is legal").expect("hundreds of requests carry it")
}

/// What an experiment needs to know beforehand, and its state from turn to turn.
struct Bench {
    experiment: Experiment,
    /// The batch server's capacity.
    capacity: f64,
    state: f64,
    turns: u32,
    rng: ChaCha8Rng,
}

impl Bench {
    fn new(experiment: Experiment, capacity: f64, seed: u64) -> Self {
        Self { experiment, capacity, state: 0.0, turns: 0, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// How many times slower than at first the machine is in the next turn.
    fn machine(&mut self) -> f64 {
        self.turns += 1;
        match self.experiment.machine {
            Machine::Steady => 1.0,
            Machine::Wanders => {
                let shock: f64 = StandardNormal.sample(&mut self.rng);
                self.state = 0.8 * self.state + 0.02 * 0.6 * shock;
                self.state.exp()
            }
            Machine::Drifts => 1.003_f64.powi(self.turns as i32),
        }
    }

    /// Figures of two settings in `repetitions` interleaved turns; the second is `faster` times as fast.
    fn measured(&mut self, faster: f64, repetitions: usize) -> [Vec<Estimate>; 2] {
        let mut figures = [vec![], vec![]];
        for turn in interleaving(2, repetitions) {
            let slower = self.machine() / if turn.setting == 0 { 1.0 } else { faster };
            let seed = self.rng.next_u64();
            figures[turn.setting].push(match self.experiment.figure {
                Figure::Throughput => Estimate::exact(throughput(0.25 * slower, &mut self.rng)),
                Figure::Plateau(case) => plateau(case, self.capacity, slower, seed),
                Figure::P90 => p90(slower, seed, &mut self.rng),
            });
        }
        figures
    }

    /// What a person does with the tool: six repetitions; where they leave it undecided, as many more as
    /// it recommends; the last word. It is judged twice at most, and says so. With the repetitions of each
    /// setting and the last interval.
    fn study(&mut self, faster: f64) -> (ComparisonVerdict, usize, Estimate) {
        let better = match self.experiment.figure {
            Figure::P90 => Better::Lower,
            Figure::Throughput | Figure::Plateau(_) => Better::Higher,
        };
        let comparing = Comparing { looks: 2, better, ..Comparing::default() };
        let judged = |figures: &[Vec<Estimate>; 2]| {
            let found = compare(&figures[0], &figures[1], comparing).expect("they are paired");
            (found.verdict, figures[0].len(), found.interval.expect("several repetitions have one"))
        };
        let mut figures = self.measured(faster, PILOT);
        let pilot = judged(&figures);
        let ComparisonVerdict::Undecided { repetitions_that_would_decide: Some(n) } = pilot.0
        else {
            return pilot;
        };
        for (all, more) in figures.iter_mut().zip(self.measured(faster, n - PILOT)) {
            all.extend(more);
        }
        judged(&figures)
    }
}

/// What became of the trials of an experiment with one true difference.
#[derive(Debug)]
pub(crate) struct Row {
    name: String,
    trials: u64,
    pub(crate) better: u64,
    pub(crate) worse: u64,
    pub(crate) equivalent: u64,
    pub(crate) undecided: u64,
    /// Mean repetitions of each setting, and the most.
    pub(crate) repetitions: f64,
    most: usize,
    /// Final intervals that hold the true ratio.
    pub(crate) covered: u64,
}

pub(crate) const HEADER: &str = "\
| figure, machine | truth | better | worse | equivalent | undecided | repetitions, mean (most) | interval holds |
|---|---|---|---|---|---|---|---|";

/// `trials` comparisons with seeds from `first` on; the candidate is `faster` times as fast.
pub(crate) fn run(experiment: Experiment, faster: f64, first: u64, trials: u64) -> Row {
    let (figure, capacity) = match experiment.figure {
        Figure::Throughput => ("throughput of eight slots", 0.0),
        Figure::Plateau(case) => (case.name, server::capacity(case.server, case.lengths)),
        Figure::P90 => ("p90 of a queue", 0.0),
    };
    let machine = match experiment.machine {
        Machine::Steady => "steady",
        Machine::Wanders => "wanders",
        Machine::Drifts => "drifts",
    };
    let latency = matches!(experiment.figure, Figure::P90);
    let ratio = if latency { 1.0 / faster } else { faster };
    let mut row = Row {
        name: format!("{figure}, {machine} | {:+.1} %", 100.0 * (ratio - 1.0)),
        trials,
        better: 0,
        worse: 0,
        equivalent: 0,
        undecided: 0,
        repetitions: 0.0,
        most: 0,
        covered: 0,
    };
    for seed in first..first + trials {
        let (verdict, n, interval) = Bench::new(experiment, capacity, seed).study(faster);
        row.repetitions += n as f64 / trials as f64;
        row.most = row.most.max(n);
        row.covered += u64::from(interval.contains(ratio));
        *match verdict {
            ComparisonVerdict::Better => &mut row.better,
            ComparisonVerdict::Worse => &mut row.worse,
            ComparisonVerdict::Equivalent => &mut row.equivalent,
            ComparisonVerdict::Undecided { .. } => &mut row.undecided,
        } += 1;
    }
    row
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |count: u64| 100.0 * count as f64 / self.trials as f64;
        write!(
            f,
            "| {} | {:.1} % | {:.1} % | {:.1} % | {:.1} % | {:.1} ({}) | {:.1} % |",
            self.name,
            share(self.better),
            share(self.worse),
            share(self.equivalent),
            share(self.undecided),
            self.repetitions,
            self.most,
            share(self.covered)
        )
    }
}
