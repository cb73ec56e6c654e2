//! The circumstances of a point: which settings the server ran with, what its own counters said, and
//! what was seen of the GPUs. Everything is `None`, or empty, where nobody said it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One setting of the server: what the matrix declared, and what the server says is in effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingRecord {
    /// vLLM's flag name without dashes in front: `max-num-seqs`.
    pub name: String,
    /// What the matrix declared; `None` for a setting that the server chose itself.
    pub declared: Option<Value>,
    /// What is in effect, by the server's own word.
    pub in_effect: Option<Value>,
    /// Where the server says so: `log: non-default args`, `/server_info`, `/metrics
    /// vllm:cache_config_info`, ...
    pub source: Option<String>,
    /// How the two compare.
    pub state: SettingState,
}

/// How a declared setting compares with the one in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingState {
    /// The server says that it is in effect.
    Equal,
    /// The server says otherwise: the setting did not reach it.
    Different,
    /// The server does not say.
    Unknown,
    /// Not declared: the server filled it in.
    Default,
}

/// Differences of the server's own counters over the measure window, and what its gauges showed
/// inside it; `None` where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerCounters {
    /// Prompt tokens looked up in the prefix cache.
    pub prefix_cache_queries_tokens: Option<f64>,
    /// Prompt tokens found there.
    pub prefix_cache_hits_tokens: Option<f64>,
    /// Requests that were preempted.
    pub preemptions: Option<f64>,
    /// Prompt tokens taken in, cached ones included.
    pub prompt_tokens: Option<f64>,
    /// Tokens generated.
    pub generation_tokens: Option<f64>,
    /// Largest number of requests running seen in a scrape.
    pub running_max: Option<f64>,
    /// Mean of the requests running over the scrapes.
    pub running_mean: Option<f64>,
    /// Largest number of requests waiting seen in a scrape.
    pub waiting_max: Option<f64>,
    /// Mean of the requests waiting over the scrapes.
    pub waiting_mean: Option<f64>,
    /// Share of the scrapes that saw a request waiting; 0 to 1.
    pub waiting_share: Option<f64>,
    /// Largest share of the KV cache in use seen in a scrape; 0 to 1.
    pub kv_cache_usage_max: Option<f64>,
    /// Mean of that share over the scrapes.
    pub kv_cache_usage_mean: Option<f64>,
    /// Time from the request's arrival at the engine to its first scheduling, seconds.
    pub queue_time_s: Option<Tally>,
    /// Time from the first scheduling to the first token, seconds.
    pub prefill_time_s: Option<Tally>,
    /// Time from the first token to the last, seconds.
    pub decode_time_s: Option<Tally>,
    /// The server's own time to first token, seconds.
    pub ttft_s: Option<Tally>,
    /// The server's own time of a whole request, seconds.
    pub e2e_s: Option<Tally>,
    /// Tokens of one engine step, prompt and output together.
    pub step_tokens: Option<Tally>,
    /// Whether a counter fell, or the server's start time changed: it was another process.
    pub restarted: bool,
}

/// What a histogram grew by: how many observations, and their sum in the unit of its field's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Observations.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
}

impl Tally {
    /// The mean; `None` without an observation.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }
}

/// How well a sampler kept to its period during the measure window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SamplingRecord {
    /// The period asked for, ms.
    pub period_ms: f64,
    /// Samples taken inside the window.
    pub samples: u64,
    /// Attempts inside the window that brought nothing.
    pub failed: u64,
    /// The longest time without a sample inside the window, its ends included, ms.
    pub longest_gap_ms: f64,
    /// CPU time of the sampler's thread / the window's length; 0 to 1. `None` where the system does not
    /// say.
    pub cpu_share: Option<f64>,
    /// Why samples are missing, where they are.
    pub remark: Option<String>,
}

/// Which start of the server a point was measured on, and what its prefix cache could hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStart {
    /// The number of the start within the run, from 0: points with the same number met the same process.
    pub number: u32,
    /// What was done about the prefix cache before the point.
    pub prefix_cache: CacheState,
    /// Servers of their own that share the requests, each behind its URL; 0 and 1 alike where it is one.
    #[serde(default)]
    pub replicas: u32,
}

/// What was done about the server's prefix cache before a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheState {
    /// Nothing: the point's prompts were not sent before.
    #[default]
    UnusedPrompts,
    /// The server had just been started.
    Fresh,
    /// The server was told to forget it, and agreed.
    Reset,
}

/// One GPU over the measure window of a point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuWindow {
    /// Its index, as the driver counts.
    pub gpu: u32,
    /// Samples inside the window.
    pub samples: u64,
    /// Whether a process of the measured server was seen on it; `None` where that cannot be told.
    pub used: Option<bool>,
    /// Share of time in which a kernel ran, mean, percent.
    pub sm_utilisation_mean_pct: Option<f64>,
    /// The same, largest sample.
    pub sm_utilisation_max_pct: Option<f64>,
    /// Share of time in which device memory was read or written, mean, percent.
    pub memory_utilisation_mean_pct: Option<f64>,
    /// The same, largest sample.
    pub memory_utilisation_max_pct: Option<f64>,
    /// Memory in use, largest sample, bytes.
    pub memory_used_max_bytes: Option<u64>,
    /// Memory of the device, bytes.
    pub memory_total_bytes: Option<u64>,
    /// Power, mean, W.
    pub power_mean_w: Option<f64>,
    /// Power, largest sample, W.
    pub power_max_w: Option<f64>,
    /// Energy over the window by the device's own counter, J.
    pub energy_j: Option<f64>,
    /// Temperature, largest sample, degrees Celsius.
    pub temperature_max_c: Option<f64>,
    /// SM clock, mean, MHz.
    pub sm_clock_mean_mhz: Option<f64>,
    /// SM clock, smallest sample, MHz.
    pub sm_clock_min_mhz: Option<f64>,
    /// Memory clock, mean, MHz.
    pub memory_clock_mean_mhz: Option<f64>,
    /// Share of the samples in which the clocks were held down by heat or power, 0 to 1.
    pub throttled_share: Option<f64>,
    /// By what, each reason once, in the driver's words.
    pub throttle_reasons: Vec<String>,
    /// Traffic from the device over PCIe, mean, MB/s.
    pub pcie_tx_mean_mb_per_s: Option<f64>,
    /// Traffic to the device over PCIe, mean, MB/s.
    pub pcie_rx_mean_mb_per_s: Option<f64>,
    /// Memory errors corrected in the window.
    pub ecc_corrected: Option<u64>,
    /// Memory errors that could not be corrected in the window.
    pub ecc_uncorrected: Option<u64>,
    /// Numbers of the Xid errors that the driver reported in the window.
    pub xids: Vec<u64>,
    /// The processes seen on it in the window.
    pub processes: Vec<GpuProcess>,
}

impl GpuWindow {
    /// The GPUs that count as used: those on which the server was seen, and where it is not known whose a
    /// process is, those with a process. Where no process is known on any of them (drivers hide them
    /// from some containers), all that were sampled, but for those known to be without the server.
    pub fn used(windows: &[Self]) -> impl Iterator<Item = &Self> {
        let has_process = |gpu: &Self| gpu.used.unwrap_or(!gpu.processes.is_empty());
        let known = windows.iter().any(has_process);
        windows.iter().filter(move |gpu| {
            if known { has_process(gpu) } else { gpu.used.is_none() && gpu.samples > 0 }
        })
    }
}

/// A process seen on a GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuProcess {
    /// Its number.
    pub pid: u32,
    /// Its name, where the system says it.
    pub name: Option<String>,
    /// GPU memory of it, largest sample, bytes.
    pub memory_max_bytes: Option<u64>,
    /// Whether it belongs to the measured server; `None` where that cannot be told.
    pub own: Option<bool>,
}
