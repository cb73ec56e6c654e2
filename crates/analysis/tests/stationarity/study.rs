//! The study of stationarity: how often a window that is stationary is called something else, how often
//! one that is not is found, and what a cut of the start is worth.

use std::fmt;
use std::time::Duration;

use plimsoll_analysis::{AuditedPoint, Slo, WarmUpCut};
use plimsoll_records::{FindingCode, RequestRow};
use plimsoll_units::RunNanos;

use crate::server::{self, Begin, Plan};
use crate::study::{CASES, Case, SMALL};

/// What is wrong with a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Nothing: the automatic warm-up, an idle server.
    None,
    /// The window begins with the point.
    NoWarmUp,
    /// A fixed warm-up of 1 s behind so many seconds of another client's work.
    Backlog(f64),
    /// A fixed warm-up of 1 s, and whatever is due in the first third of the window takes so many seconds
    /// longer.
    Cold(f64),
}

/// A server at a share of its capacity, watched for so long, with a fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched {
    pub(crate) case: Case,
    pub(crate) share: f64,
    pub(crate) fault: Fault,
}

/// Every combination of the study.
pub(crate) fn all() -> Vec<Watched> {
    let mut all = Vec::new();
    let servers = [
        Case { measure: 20.0, ..SMALL },
        Case { name: "batch, small, 60 s", measure: 60.0, ..SMALL },
        Case { measure: 20.0, ..CASES[6] },
        Case { measure: 20.0, ..CASES[8] },
    ];
    for case in servers {
        for share in [0.5, 0.85, 0.95, 1.0, 1.02, 1.05, 1.1, 1.2, 1.4] {
            all.push(Watched { case, share, fault: Fault::None });
        }
        for fault in [
            Fault::NoWarmUp,
            Fault::Backlog(2.0),
            Fault::Backlog(5.0),
            Fault::Backlog(10.0),
            Fault::Cold(1.0),
            Fault::Cold(2.0),
            Fault::Cold(5.0),
        ] {
            all.push(Watched { case, share: 0.7, fault });
        }
    }
    all
}

/// What became of one of them.
#[derive(Debug)]
pub(crate) struct Row {
    name: String,
    pub(crate) trials: u64,
    /// Points called unstable, and stable ones that are said not to be stationary.
    pub(crate) unstable: u64,
    pub(crate) not_stationary: u64,
    /// Points whose drift's interval holds the long-run drift: 0, or the rate less the capacity.
    pub(crate) drift_covered: u64,
}

pub(crate) const HEADER: &str = "\
| server | load | fault | called unstable | not-stationary | either | drift's interval holds |
|---|---|---|---|---|---|---|";

/// Measures `trials` points with seeds from 1.
pub(crate) fn run(watched: Watched, trials: u64) -> Row {
    let Watched { case, share, fault } = watched;
    let capacity = server::capacity(case.server, case.lengths);
    let declared_mean = case.declared.then(|| server::mean_output(case.lengths));
    let plan = Plan { measure: case.measure, may_end_early: false, declared_mean };
    let begin = match fault {
        Fault::None => Begin::default(),
        Fault::NoWarmUp => Begin { warm_up: Some(0.0), backlog: 0 },
        Fault::Backlog(seconds) => {
            Begin { warm_up: Some(1.0), backlog: (seconds * capacity).round() as usize }
        }
        Fault::Cold(_) => Begin { warm_up: Some(1.0), backlog: 0 },
    };
    let words = match fault {
        Fault::None => "-".to_owned(),
        Fault::NoWarmUp => "no warm-up".to_owned(),
        Fault::Backlog(seconds) => format!("backlog of {seconds} s, warm-up 1 s"),
        Fault::Cold(seconds) => format!("{seconds} s longer in the first third"),
    };
    let mut row = Row {
        name: format!("{} | {share} | {words}", case.name),
        trials,
        unstable: 0,
        not_stationary: 0,
        drift_covered: 0,
    };
    let drift = ((share - 1.0) * capacity).max(0.0);
    for seed in 1..=trials {
        let (point, mut rows) = server::measure_from(
            case.server,
            case.lengths,
            share * capacity,
            plan,
            begin,
            300_000 + seed,
        );
        if let Fault::Cold(seconds) = fault {
            delay(&mut rows, case.measure / 3.0, seconds);
        }
        let found = AuditedPoint::of(&point, &rows, &Slo::default());
        row.unstable += u64::from(!found.summary.stability.stable);
        let codes = found.findings.iter().map(|finding| finding.code);
        row.not_stationary +=
            codes.filter(|code| *code == FindingCode::NotStationary).count() as u64;
        row.drift_covered += u64::from(found.summary.stability.drift_per_s.contains(drift));
    }
    row
}

/// Makes everything longer that is due before `until` seconds.
fn delay(rows: &mut [RequestRow], until: f64, seconds: f64) {
    let longer = Duration::from_secs_f64(seconds);
    for row in rows.iter_mut().filter(|row| row.intended.as_secs_f64() < until) {
        row.done += longer;
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |count: u64| 100.0 * count as f64 / self.trials as f64;
        write!(
            f,
            "| {} | {:.1} % | {:.1} % | {:.1} % | {:.1} % |",
            self.name,
            share(self.unstable),
            share(self.not_stationary),
            share(self.unstable + self.not_stationary),
            share(self.drift_covered)
        )
    }
}

/// What a cut of the start is worth: errors of the mean number in flight over what is left of a stretch
/// that began with an empty server, in percent of the truth.
#[derive(Debug)]
pub(crate) struct CutRow {
    name: String,
    trials: f64,
    /// Nothing cut; by the live rule; by MSER-5 with the rule as its floor; as recommended.
    pub(crate) ways: [Way; 4],
}

/// One way to cut.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Way {
    /// How often it gave a cut.
    pub(crate) given: f64,
    error: f64,
    square: f64,
    cut: f64,
}

impl Way {
    fn add(&mut self, cut: f64, error: f64) {
        self.given += 1.0;
        self.error += error;
        self.square += error * error;
        self.cut += cut;
    }

    /// The mean error, percent.
    pub(crate) fn bias(&self) -> f64 {
        100.0 * self.error / self.given
    }
}

pub(crate) const CUT_HEADER: &str = "\
| server | load | fault | nothing cut: bias, rms error | live rule: + mean cut | MSER-5: + given | as recommended |
|---|---|---|---|---|---|---|";

/// The mean number in flight over `from..to` seconds, by adding what each request covers of it.
fn mean_in_flight(rows: &[RequestRow], from: f64, to: f64) -> f64 {
    let seconds = |at: RunNanos| at.as_secs_f64();
    let covered = rows
        .iter()
        .map(|row| (seconds(row.done).min(to) - seconds(row.intended).max(from)).max(0.0));
    covered.sum::<f64>() / (to - from)
}

/// A server that starts empty at `share` of its capacity, cut over 30 s; where `cold` is not 0, whatever is
/// due in the first 6 s takes so many seconds longer. The truth is that of eight runs of `long` seconds.
pub(crate) fn run_cuts(case: Case, share: f64, cold: f64, trials: u64, long: f64) -> CutRow {
    let capacity = server::capacity(case.server, case.lengths);
    let rate = share * capacity;
    let begin = Begin { warm_up: Some(0.0), backlog: 0 };
    let measured = |measure: f64, seed: u64| {
        let plan = Plan { measure, may_end_early: false, declared_mean: None };
        server::measure_from(case.server, case.lengths, rate, plan, begin, seed).1
    };
    let run = |seed| mean_in_flight(&measured(long, seed), long / 10.0, long);
    let truth = (1..=8).map(run).sum::<f64>() / 8.0;
    let mut ways = [Way::default(); 4];
    let end = 30.0;
    for seed in 1..=trials {
        let mut rows = measured(end, 400_000 + seed);
        delay(&mut rows, if cold > 0.0 { 6.0 } else { 0.0 }, cold);
        let cut = WarmUpCut::of(&rows, RunNanos::ZERO, RunNanos::from_secs_f64(end));
        let cuts = [Some(Duration::ZERO), Some(cut.by_rule), cut.by_mser5, cut.recommended()];
        for (way, cut) in ways.iter_mut().zip(cuts) {
            let Some(cut) = cut.map(|cut| cut.as_secs_f64()) else { continue };
            way.add(cut, mean_in_flight(&rows, cut, end) / truth - 1.0);
        }
    }
    let fault = if cold > 0.0 { format!("{cold} s longer in 6 s") } else { "-".to_owned() };
    CutRow { name: format!("{} | {share} | {fault}", case.name), trials: trials as f64, ways }
}

impl fmt::Display for CutRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} |", self.name)?;
        for (place, way) in self.ways.iter().enumerate() {
            let rms = 100.0 * (way.square / way.given).sqrt();
            write!(f, " {:+.1}, {rms:.1} %", way.bias())?;
            if place > 0 {
                write!(f, ", {:.1} s", way.cut / way.given)?;
            }
            if place > 1 {
                write!(f, ", {:.0} %", 100.0 * way.given / self.trials)?;
            }
            write!(f, " |")?;
        }
        Ok(())
    }
}

/// The servers whose start is cut: load, and by how much the first requests are longer.
pub(crate) const CUT: [(Case, f64, f64); 9] = [
    (SMALL, 0.5, 0.0),
    (SMALL, 0.85, 0.0),
    (CASES[6], 0.85, 0.0),
    (CASES[8], 0.5, 0.0),
    (CASES[8], 0.85, 0.0),
    (CASES[9], 0.85, 0.0),
    (SMALL, 0.7, 5.0),
    (CASES[6], 0.7, 5.0),
    (CASES[8], 0.7, 5.0),
];
