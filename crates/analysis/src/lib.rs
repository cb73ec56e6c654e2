//! Pure functions from rows to judgement: window, summary, stability, capacity, knee, audit.
//!
//! In order of use: [`WarmUp`] and [`OverloadDetector`] decide while a point runs when its window
//! begins and whether it may end early; [`summarise()`] makes a [`PointSummary`] of a point's rows;
//! [`audit_point`] says what speaks against it, as findings with code, numbers and remedy
//! ([`AuditedPoint::of`] does both); [`judge()`] puts the points of a run together: groups by
//! factors, each with its [`saturation()`] (plateau, capacity, SLO capacity, knee) and its
//! [`Diagnosis`] (why throughput does not grow: hypotheses with what speaks for and against each), the
//! findings, and the verdict ([`judge_for`] where some are allowed or denied, or something else
//! than the capacity is asked); [`next_experiment`] makes
//! the matrix that would settle a diagnosis; [`judge_self_tests`] says what the client's own error adds to
//! that. A summary also has
//! what the server says of where the time went ([`ServerBreakdown`]) and what its GPUs spent
//! ([`GpuSummary`]). [`judge_settings`] holds a server's settings against the declared ones before
//! any load is sent.
//!
//! Across points and runs: a [`Search`] says which rate to try next and when the capacity is known;
//! [`scaling()`] makes speed-up, efficiency and fitted laws of capacities by size; [`compare`] judges two
//! settings from interleaved repetitions, [`quantile_ratio`] their latencies, [`factorial_effects`]
//! many of them. [`conclude`] is what an experiment says by them. [`audit_scaling`] and [`audit_comparison`] say what
//! speaks against a claim that rests on such a result; [`explain`] has the chapter of a code.
//!
//! In others' words: [`PeerTool::printed`] says what another tool would have printed for the same requests,
//! beside ours; [`VllmRun`] is vLLM's whole result file.
//!
//! Units and clocks: stamps are `RunNanos` of the run's one clock, latencies `Duration`, rates per
//! second, lengths tokens. Every number that was estimated is an [`Estimate`] with its 95 %
//! interval, and a quantile without enough samples is not known rather than guessed.
//! docs/definitions.md defines every word, docs/method.md says why the estimators are these,
//! docs/audit.md explains the codes.
//!
//! What this crate refuses to do: read or write files, look at a clock, start a task, print; retry,
//! trim or drop a sample; state a capacity that nothing bounded.
//!
//! ```
//! use plimsoll_analysis::{Estimate, OverloadDetector, OverloadVerdict, Progress};
//! use std::time::Duration;
//!
//! // 40 requests a second arrive, 20 leave: after a few seconds that is no chance.
//! let mut detector = OverloadDetector::new(Some(1.0));
//! for tick in 0..=40 {
//!     detector.observe(Progress {
//!         elapsed: Duration::from_millis(250 * tick),
//!         arrivals: 10 * tick,
//!         completions: 5 * tick,
//!         in_flight: 5 * tick,
//!         output_tokens: 640 * tick,
//!     });
//! }
//! assert_eq!(detector.verdict(), OverloadVerdict::Overloaded);
//! assert!(detector.enough(0.015), "2560 tokens a second, to within 1.5 %");
//!
//! let capacity = Estimate { value: 20.0, low: 19.7, high: 20.3 };
//! assert!(capacity.contains(20.1) && capacity.relative_half_width() < 0.016);
//! ```

mod audit;
mod batch_means;
mod breakdown;
mod client_summary;
mod comparison;
mod conclusion;
mod definitions;
mod diagnosis;
mod estimate;
mod failure;
mod fall;
mod gaps;
mod goodput;
mod gpu_summary;
mod imported;
mod in_flight;
mod judge;
mod judgement;
mod knee;
mod latency;
mod long_run;
mod overload;
mod quantile;
mod question;
mod saturation;
mod scaling;
mod search;
mod searched;
mod slo;
mod stability;
mod summarise;
mod summary;
mod timeline;
mod tokens;
mod warm_up;
mod window;

pub use audit::{
    Compared, audit_comparison, audit_group, audit_groups, audit_point, audit_scaling, explain,
    judge_imported, judge_self_tests, judge_settings,
};
pub use breakdown::{Ceilings, ServerBreakdown};
pub use client_summary::ClientSummary;
pub use comparison::{
    Better, Comparing, Comparison, ComparisonError, ComparisonVerdict, Contrast, Effect, Factor,
    FactorRank, FactorialEffects, FactorialRun, LatencySeries, QuantileRatio, TimedLatency, Turn,
    compare, compare_all, compare_pairs, factorial_effects, holm, interleaving, latency_quantile,
    quantile_ratio,
};
pub use conclusion::scaling::{
    Apart, Parallel, ScalingConclusion, ScalingFamily, Shape, SizeOfGroup,
};
pub use conclusion::{
    Case, CaseEffect, CaseState, ComparedFigure, ComparedLoad, Conclusion, FigureComparison,
    FigureEffects, LowLoad, MarginalPrefill, ModelSize, ScenarioCase, Scenarios, SettingEffect,
    SettingsComparison, Wait, Waited, conclude,
};
pub use definitions::{
    Because, ClockZero, Completed, Definition, EndEvent, Figure, FirstEvent, Itl, Latency, Measure,
    Missing, PeerTool, Percentile, Population, Printed, Rules, Stat, TimeBase, TokenCount, Tpot,
    Unit, UnknownTool, VllmRequest, VllmRun,
};
pub use diagnosis::{
    Cause, Change, Diagnosis, Evidence, Hypothesis, Measured, NextExperiment, Standing, diagnose,
    next_experiment,
};
pub use estimate::Estimate;
pub use failure::Failure;
pub use fall::Fall;
pub use gpu_summary::{ForeignProcess, GpuSummary};
pub use judge::{AuditedPoint, judge, judge_for};
pub use judgement::{Group, Judgement, Saturation};
pub use overload::{OverloadDetector, OverloadVerdict, Progress};
pub use question::Question;
pub use saturation::saturation;
pub use scaling::{
    Bound, Fit, Law, Peak, Remark, Residual, ScalePoint, Scaling, ScalingError, Speedup, scaling,
};
pub use search::{
    AuditedSearch, Budget, Found, Goal, PeakAndFall, Probe, ProbeResult, Search, SearchConfig,
    SearchError, Step, Stopped,
};
pub use searched::Searched;
pub use slo::{Slo, SloMetric, SloTerm};
pub use summarise::summarise;
pub use summary::{
    ChunkCounts, Counts, Goodput, LatencySummary, PointSummary, Probed, Quantile, Stability,
    TimelineSample,
};
pub use warm_up::{WarmUp, WarmUpCut};
pub use window::Window;
