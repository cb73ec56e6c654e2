//! The file of one point (`points/<id>/point.json`): what was offered, when, and under which
//! circumstances, as far as the rows do not already say it.

use std::collections::BTreeMap;

use plimsoll_units::{RunNanos, Span};
use serde::{Deserialize, Serialize};

use crate::circumstances::{GpuWindow, SamplingRecord, ServerCounters, ServerStart, SettingRecord};
use crate::imported::ImportedRecord;
use crate::instrument::{ClockRecord, StampsRecord, WorkerRecord};
use crate::probe::ProbeRecord;

/// One point of a run: one load on one server setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointFile {
    /// The folder's name under `points/`; unique in the run.
    pub id: String,
    /// The values of the factors that this point has, by path; points with the same values form a
    /// group that is judged together.
    pub factors: BTreeMap<String, String>,
    /// Which repetition, from 0.
    pub repetition: u32,
    /// What was offered.
    pub load: OfferedLoad,
    /// The phases on the run's clock.
    pub phases: Phases,
    /// Why the point ended.
    pub ended: PointEnd,
    /// Each worker thread of the client.
    pub workers: Vec<WorkerRecord>,
    /// How the client stamped, and what that says of its own delay.
    #[serde(default)]
    pub stamps: StampsRecord,
    /// What the system's clocks did meanwhile.
    #[serde(default)]
    pub clock: ClockRecord,
    /// What the server's own counters said over the measure window, where it has them.
    pub server: ServerCounters,
    /// How well the metrics page was sampled; `None` where there is none.
    #[serde(default)]
    pub server_sampling: Option<SamplingRecord>,
    /// Which start of the server it was, and what its prefix cache could hold.
    #[serde(default)]
    pub server_start: ServerStart,
    /// The server's settings, declared and in effect, by name.
    #[serde(default)]
    pub settings: Vec<SettingRecord>,
    /// Whether the run was told to go on though a declared setting is not in effect.
    #[serde(default)]
    pub settings_allowed: bool,
    /// Each GPU over the measure window; empty where none was sampled.
    #[serde(default)]
    pub gpus: Vec<GpuWindow>,
    /// How well the GPUs were sampled; `None` where nobody tried.
    #[serde(default)]
    pub gpu_sampling: Option<SamplingRecord>,
    /// What the workload meant to ask for.
    pub workload: WorkloadRecord,
    /// What another tool's file says, where the point was measured by another tool.
    #[serde(default)]
    pub imported: Option<ImportedRecord>,
    /// What was asked of it as a probe of a search; `None` at any other point.
    #[serde(default)]
    pub probe: Option<ProbeRecord>,
}

/// What was offered at a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum OfferedLoad {
    /// Arrivals at a rate, whatever the server does.
    Open {
        /// The arrival process, as the matrix wrote it: `poisson`, `constant`, `gamma(cv=2)`, ...
        arrivals: String,
        /// The offered rate, requests per second.
        rate_per_s: f64,
        /// The coefficient of variation of the process's inter-arrival times; 1 for Poisson, 0 for
        /// constant, `None` where it is not known (a trace, a ramp).
        gap_cv: Option<f64>,
        /// The seed of the arrival times; 0 where it is not known.
        seed: u64,
        /// The cap on requests in flight, if one was set.
        max_in_flight: Option<u32>,
    },
    /// A fixed number of requests in flight.
    Closed {
        /// Requests in flight.
        concurrency: u32,
    },
}

impl OfferedLoad {
    /// The offered rate in requests per second; `None` in a closed loop.
    #[must_use]
    pub const fn rate_per_s(&self) -> Option<f64> {
        match self {
            Self::Open { rate_per_s, .. } => Some(*rate_per_s),
            Self::Closed { .. } => None,
        }
    }
}

/// The phases of a point: warm-up, measure, drain. All on the run's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// The instant that the schedule counts from.
    pub start_ns: RunNanos,
    /// End of warm-up, start of the measure window.
    pub measure_start_ns: RunNanos,
    /// End of the measure window (exclusive).
    pub measure_end_ns: RunNanos,
    /// When arrivals were stopped.
    pub arrivals_end_ns: RunNanos,
    /// When the last request was over.
    pub end_ns: RunNanos,
}

/// Why a point ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PointEnd {
    /// Every request that was due in the window has ended.
    Complete,
    /// The server was certainly overloaded; requests in flight were aborted.
    Overloaded,
    /// The drain limit ran out with measured requests still in flight; they were aborted.
    DrainLimit,
    /// The run was interrupted.
    Interrupted,
    /// The target stopped answering.
    TargetLost,
}

/// What the workload meant to ask for, as far as the audit needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadRecord {
    /// The share of prompt tokens that were meant to repeat an earlier prefix, which a prefix cache
    /// can find at most; 0 to 1. `None` when prompts come from a file of which this is not known.
    pub shared_prefix: Option<f64>,
    /// Whether output lengths were asked for exactly (`ignore_eos`, `max_tokens`).
    pub exact_output: bool,
    /// Whether prompt lengths were planned exactly (synthetic prompts).
    pub exact_input: bool,
    /// The declared mean of the output length in tokens, where the workload knows it exactly.
    pub mean_output_tokens: Option<f64>,
}

/// How long the phases were meant to be, as the plan has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WindowPlan {
    /// Length of the warm-up; `None` lets the run find it.
    pub warm_up: Option<Span>,
    /// Length of the measure window.
    pub measure: Span,
    /// Longest drain after the window.
    pub drain_limit: Span,
}
