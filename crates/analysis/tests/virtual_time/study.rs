//! The study: ladders on servers of known capacity, and what the judgement makes of them.

use std::fmt;

use plimsoll_analysis::{AuditedPoint, Slo, judge};
use plimsoll_records::{Severity, Verdict};

use crate::server::{self, Lengths, Plan, Server};

/// Rates of the ladder, as shares of the capacity.
pub(crate) const LADDER: [f64; 5] = [0.5, 0.7, 0.85, 1.15, 1.4];

/// A small batch server, for tests that must be quick.
pub(crate) const SMALL: Case = Case {
    name: "batch, small",
    server: Server::Batch {
        slots: 16,
        base: 0.018,
        each: 0.0001,
        prefill: 0.000_02,
        budget: 1024.0,
    },
    lengths: lengths(24.0, 128.0, 0.0),
    measure: 12.0,
    declared: true,
};

/// The same with lognormal lengths.
pub(crate) const SMALL_LOGNORMAL: Case = Case {
    name: "batch, small, lognormal, undeclared mean",
    lengths: lengths(24.0, 128.0, 0.5),
    declared: false,
    ..SMALL
};

/// A server, its lengths and the window of its points.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) server: Server,
    pub(crate) lengths: Lengths,
    pub(crate) measure: f64,
    /// Whether the workload declares its mean output length.
    pub(crate) declared: bool,
}

const fn lengths(output: f64, prompt: f64, cv: f64) -> Lengths {
    Lengths { output, output_cv: cv, prompt, prompt_cv: cv }
}

const BATCH: Server =
    Server::Batch { slots: 32, base: 0.008, each: 0.000_08, prefill: 0.000_02, budget: 2048.0 };
const HEAVY_PREFILL: Server =
    Server::Batch { slots: 32, base: 0.010, each: 0.0001, prefill: 0.000_05, budget: 2048.0 };
const LARGE: Server =
    Server::Batch { slots: 64, base: 0.012, each: 0.000_05, prefill: 0.000_01, budget: 2048.0 };

/// The servers of the study.
pub(crate) const CASES: [Case; 10] = [
    SMALL,
    SMALL_LOGNORMAL,
    Case {
        name: "batch, constant",
        server: BATCH,
        lengths: lengths(64.0, 256.0, 0.0),
        measure: 12.0,
        declared: true,
    },
    Case {
        name: "batch, lognormal",
        server: BATCH,
        lengths: lengths(64.0, 256.0, 0.6),
        measure: 15.0,
        declared: true,
    },
    Case {
        name: "batch, heavy prefill",
        server: HEAVY_PREFILL,
        lengths: lengths(64.0, 512.0, 0.0),
        measure: 15.0,
        declared: true,
    },
    Case {
        name: "batch, large",
        server: LARGE,
        lengths: lengths(96.0, 256.0, 0.0),
        measure: 12.0,
        declared: true,
    },
    Case {
        name: "batch, large, lognormal, undeclared mean",
        server: LARGE,
        lengths: lengths(96.0, 256.0, 0.6),
        measure: 15.0,
        declared: false,
    },
    Case {
        name: "M/D/10",
        server: Server::Queue { servers: 10, service: 0.3, exponential: false },
        lengths: lengths(16.0, 64.0, 0.0),
        measure: 12.0,
        declared: true,
    },
    Case {
        name: "M/M/8",
        server: Server::Queue { servers: 8, service: 0.25, exponential: true },
        lengths: lengths(16.0, 64.0, 0.0),
        measure: 12.0,
        declared: true,
    },
    Case {
        name: "M/M/1",
        server: Server::Queue { servers: 1, service: 0.03, exponential: true },
        lengths: lengths(4.0, 64.0, 0.0),
        measure: 12.0,
        declared: true,
    },
];

/// What a case came to, over its seeds.
#[derive(Clone, Debug)]
pub(crate) struct Result {
    pub(crate) name: &'static str,
    pub(crate) capacity: f64,
    pub(crate) seeds: usize,
    /// Ladders whose interval held the truth.
    pub(crate) covered: usize,
    /// Ladders whose capacity was off by less than 3 %.
    pub(crate) within_3_percent: usize,
    /// Root mean square of the relative error.
    pub(crate) rms_error: f64,
    /// Mean relative half width.
    pub(crate) half_width: f64,
    /// Points below the capacity that were called unstable, at each such rung.
    pub(crate) false_unstable: [usize; 3],
    /// Points above it that were called unstable, at each such rung.
    pub(crate) found_unstable: [usize; 2],
    /// Points that ended early.
    pub(crate) early: usize,
    /// Of those: below the capacity.
    pub(crate) early_wrong: usize,
    /// Ladders with a valid verdict.
    pub(crate) valid: usize,
    /// Findings that are warnings or errors, by code.
    pub(crate) alarms: std::collections::BTreeMap<&'static str, usize>,
}

/// The head of the table.
pub(crate) const HEADER: &str = "\
    | server | capacity/s | seeds | covered | within 3 % | rms error | half width | \
    unstable at 0.5 0.7 0.85 | at 1.15 1.4 | early (wrong) | valid | alarms |\n\
    |---|---|---|---|---|---|---|---|---|---|---|---|";

impl fmt::Display for Result {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |count: usize| 100.0 * count as f64 / self.seeds as f64;
        let [a, b, c] = self.false_unstable.map(share);
        let [d, e] = self.found_unstable.map(share);
        write!(
            f,
            "| {} | {:.2} | {} | {:.1} % | {:.1} % | {:.2} % | {:.2} % | {a:.1} {b:.1} {c:.1} % | \
             {d:.1} {e:.1} % | {} ({}) | {:.1} % | {:?} |",
            self.name,
            self.capacity,
            self.seeds,
            share(self.covered),
            share(self.within_3_percent),
            100.0 * self.rms_error,
            100.0 * self.half_width,
            self.early,
            self.early_wrong,
            share(self.valid),
            self.alarms
        )
    }
}

/// Runs a case over seeds 1 to `seeds`.
pub(crate) fn run(case: Case, seeds: usize) -> Result {
    let capacity = server::capacity(case.server, case.lengths);
    let declared_mean = case.declared.then(|| server::mean_output(case.lengths));
    let plan = Plan { measure: case.measure, may_end_early: true, declared_mean };
    let mut result = Result {
        name: case.name,
        capacity,
        seeds,
        covered: 0,
        within_3_percent: 0,
        rms_error: 0.0,
        half_width: 0.0,
        false_unstable: [0; 3],
        found_unstable: [0; 2],
        early: 0,
        early_wrong: 0,
        valid: 0,
        alarms: std::collections::BTreeMap::new(),
    };
    for seed in 1..=seeds as u64 {
        let points: Vec<AuditedPoint> = LADDER
            .iter()
            .enumerate()
            .map(|(rung, share)| {
                // Every point has arrivals of its own.
                let seed = seed * 1000 + rung as u64;
                let (point, rows) =
                    server::measure(case.server, case.lengths, share * capacity, plan, seed);
                AuditedPoint::of(&point, &rows, &Slo::default())
            })
            .collect();
        for (rung, point) in points.iter().enumerate() {
            let unstable = usize::from(!point.summary.stability.stable);
            let early = usize::from(point.summary.ended == plimsoll_records::PointEnd::Overloaded);
            result.early += early;
            if rung < 3 {
                result.false_unstable[rung] += unstable;
                result.early_wrong += early;
            } else {
                result.found_unstable[rung - 3] += unstable;
            }
        }
        let judgement = judge(points);
        for finding in judgement.findings.iter().filter(|f| f.severity >= Severity::Warning) {
            *result.alarms.entry(finding.code.as_str()).or_insert(0) += 1;
        }
        result.valid += usize::from(judgement.verdict == Verdict::Valid);
        let Some(found) = judgement.groups[0].saturation.capacity_per_s else { continue };
        let error = found.value / capacity - 1.0;
        result.covered += usize::from(found.contains(capacity));
        result.within_3_percent += usize::from(error.abs() < 0.03);
        result.rms_error += error * error;
        result.half_width += found.relative_half_width() / seeds as f64;
    }
    result.rms_error = (result.rms_error / seeds as f64).sqrt();
    result
}
