//! The matrix as it is written: one TOML file, every key known, every value typed.
//!
//! These types hold what a person wrote and nothing else; `plan` turns them into points. The
//! defaults are decided here, in one place each, with their reason.

mod arrivals;
mod auto;
mod margin;
mod search;
mod server;
mod source;

use std::collections::BTreeMap;

use plimsoll_load::ArrivalProcess;
use plimsoll_records::{AuditPolicy, Denied, FindingCode, StampSource, WindowPlan};
use plimsoll_units::Span;
use plimsoll_workload::{Api, WorkloadConfig};
use serde::{Deserialize, Serialize};

pub use arrivals::LoadArrivals;
pub use auto::{Prewarm, Rates, SelfTesting, WarmUp};
pub use margin::Margin;
pub use search::{SearchFor, SearchTable};
pub use server::{Command, GpuSampling, Launch, SamplersTable, ServerTable};
pub use source::{MatrixError, MatrixSource};

/// A whole matrix file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Matrix {
    /// What is asked.
    pub experiment: ExperimentTable,
    /// Of which server.
    #[serde(default)]
    pub server: ServerTable,
    /// With which requests.
    pub workload: WorkloadConfig,
    /// Under which load.
    pub load: LoadTable,
    /// By which client.
    #[serde(default)]
    pub client: ClientTable,
    /// With which circumstances watched.
    #[serde(default)]
    pub samplers: SamplersTable,
    /// What users must see, by `metric-pNN`: `ttft-p99 = "500ms"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slo: BTreeMap<String, Span>,
    /// Settings to vary, by path; the points are their cartesian product.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub factors: BTreeMap<String, Vec<toml::Value>>,
}

/// `[experiment]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExperimentTable {
    /// Which experiment.
    pub kind: Kind,
    /// Its name in the results folder's name; the kind by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How often each point is measured, each time with fresh arrivals.
    #[serde(default = "one")]
    pub repetitions: u32,
    /// Whether groups are measured one after the other or by turns; by turns where the experiment
    /// compares them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// The difference that does not matter to a comparison; 5 % by default, because smaller ones are rarely
    /// worth a setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// The seed of everything random in the run; drawn from the clock when absent, and recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Whether, and for how long, the client measures its own error against a simulator of this
    /// process, before the first point and after the last. 2 s by default: enough for a mean.
    #[serde(default)]
    pub self_test: SelfTesting,
    /// Codes of the audit whose findings only mark: `setting-not-applied` then does not stop a point
    /// either. [`AuditPolicy`] says what becomes of a finding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<FindingCode>,
    /// Codes whose findings are errors, or `warnings` for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Denied>,
}

impl ExperimentTable {
    /// Which findings are allowed and denied.
    #[must_use]
    pub fn policy(&self) -> AuditPolicy {
        AuditPolicy { allow: self.allow.clone(), deny: self.deny.clone() }
    }

    /// The order in effect.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order.unwrap_or(match self.kind {
            Kind::Compare => Order::Interleaved,
            _ => Order::Grouped,
        })
    }
}

const fn one() -> u32 {
    1
}

/// In which order groups and repetitions are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// All repetitions of a group, then the next group.
    Grouped,
    /// A repetition of each group in turn, there and back: A B B A.
    Interleaved,
}

/// The kinds of experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// How much load does the server sustain?
    Saturation,
    /// How does that grow with GPUs and replicas?
    Scaling,
    /// What do users feel at low load, by prompt profile and setting?
    Lowload,
    /// What do single requests and small closed loops of given lengths cost?
    Scenarios,
    /// Which of two or more settings is better, and by how much?
    Compare,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Saturation, Self::Scaling, Self::Lowload, Self::Scenarios, Self::Compare];

    /// The name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Saturation => "saturation",
            Self::Scaling => "scaling",
            Self::Lowload => "lowload",
            Self::Scenarios => "scenarios",
            Self::Compare => "compare",
        }
    }
}

/// `[load]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoadTable {
    /// The arrivals of the open loop. Poisson by default: independent users.
    #[serde(default = "poisson")]
    pub arrivals: LoadArrivals,
    /// The ladder of offered rates, or `"auto"`: a short pilot finds the server's throughput, and
    /// the ladder is laid around it. A trace has a rate of its own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// Requests in flight of a closed loop, instead of rates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Vec<u32>>,
    /// A search for the capacity, instead of either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchTable>,
    /// The phases of each point.
    #[serde(default)]
    pub window: WindowTable,
    /// Exactly so many arrivals at every rate of the ladder, and none after the last: as other tools
    /// measure, from an empty server to an empty one. The window then ends with the last arrival, and
    /// overload does not end the point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// A cap on requests in flight. Reaching it is recorded and voids the point; there is none by
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
}

const fn poisson() -> LoadArrivals {
    LoadArrivals::Process(ArrivalProcess::Poisson)
}

/// `load.window`
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct WindowTable {
    /// Length of the warm-up, or `"auto"`: until every request of the first moments has ended.
    pub warm_up: WarmUp,
    /// Length of the measure window. 20 s by default: enough for five times a 4 s request.
    pub measure: Span,
    /// Longest drain after it. 60 s by default.
    pub drain_limit: Span,
    /// Requests of a closed loop after whose ends the window is over, at the latest after `measure`; a
    /// window has that length where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
}

impl Default for WindowTable {
    fn default() -> Self {
        Self {
            warm_up: WarmUp::Auto,
            measure: Span::new(std::time::Duration::from_secs(20)),
            drain_limit: Span::new(std::time::Duration::from_secs(60)),
            requests: None,
        }
    }
}

impl WindowTable {
    /// The window as the records keep it.
    #[must_use]
    pub fn plan(&self) -> WindowPlan {
        WindowPlan {
            warm_up: match self.warm_up {
                WarmUp::Fixed(span) => Some(span),
                WarmUp::Auto => None,
            },
            measure: self.measure,
            drain_limit: self.drain_limit,
        }
    }
}

/// `[client]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ClientTable {
    /// Which API: `chat` (the default: what most users call) or `completions`.
    pub api: Api,
    /// Worker threads; one less than the cores by default, at least one: the other core is left to
    /// the kernel's network work and, for the simulator, to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,
    /// Where the stamps of responses come from: `user`, `socket` or `packet`. The best there is when
    /// absent; what cannot be had is replaced by the next best, and the run says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamps: Option<StampSource>,
    /// Connections opened before they are needed, over all workers, or `"auto"`; 0 opens each when a
    /// request needs it.
    pub prewarm: Prewarm,
    /// Limit for opening a connection.
    pub connect_timeout: Span,
    /// Limit from sending to the first token.
    pub first_token_timeout: Span,
    /// Limit for the whole request. Ten minutes by default, as OpenAI's own clients have it.
    pub request_timeout: Span,
    /// Whether to acknowledge at once (`TCP_QUICKACK`), for servers without `TCP_NODELAY`.
    pub quickack: bool,
    /// Sampling temperature; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Whether to ask the server to run every answer to its full length (`ignore_eos`), where it
    /// knows the field.
    pub ignore_eos: bool,
    /// Further keys for every request's body.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub extra_body: serde_json::Map<String, serde_json::Value>,
}

impl Default for ClientTable {
    fn default() -> Self {
        let span = |seconds| Span::new(std::time::Duration::from_secs(seconds));
        Self {
            api: Api::Chat,
            workers: None,
            stamps: None,
            prewarm: Prewarm::Auto,
            connect_timeout: span(10),
            first_token_timeout: span(300),
            request_timeout: span(600),
            quickack: false,
            temperature: None,
            ignore_eos: true,
            extra_body: serde_json::Map::new(),
        }
    }
}

#[cfg(test)]
mod tests;
