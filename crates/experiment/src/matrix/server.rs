//! `[server]` and `[samplers]`: whose server, and what is watched beside the load.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_units::Span;
use serde::{Deserialize, Serialize};

/// `[server]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ServerTable {
    /// How the server is obtained.
    pub launch: Launch,
    /// Its base URL, for `launch = "attach"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The base URLs of replicas that share the requests, each a server of its own, for `launch = "attach"`;
    /// either these or `url`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// The model's name; the server's first one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The environment variable that holds the API key. The key itself never stands in a matrix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The server's settings by vLLM's own flag names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// The command line that starts it, for `launch = "process"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// The docker compose file, for `launch = "compose"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The service in that file. `vllm` by default, as in the file that comes with Plimsoll.
    pub service: String,
    /// Environment variables of the command, or of docker compose.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// How each setting is written on the command line of a server that is not vLLM:
    /// `max-num-seqs = "--parallel {value}"`. vLLM's own way when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<BTreeMap<String, String>>,
    /// The port that it listens on; a free one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The folder that the command runs in; that of the matrix by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// The log of a server that is only attached, which says what settings are in effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<PathBuf>,
    /// Longest wait until it is ready. Ten minutes by default: a large model is loaded and compiled.
    pub ready_limit: Span,
    /// Time that it has to end by itself before it is killed. 30 s by default.
    pub stop_grace: Span,
}

impl Default for ServerTable {
    fn default() -> Self {
        let span = |seconds| Span::new(Duration::from_secs(seconds));
        Self {
            launch: Launch::default(),
            url: None,
            urls: Vec::new(),
            model: None,
            api_key_env: None,
            settings: BTreeMap::new(),
            command: None,
            file: None,
            service: "vllm".to_owned(),
            environment: BTreeMap::new(),
            flags: None,
            port: None,
            folder: None,
            log: None,
            ready_limit: span(600),
            stop_grace: span(30),
        }
    }
}

impl ServerTable {
    /// The base URLs of an attached server and of its replicas, in order; none where it is not attached.
    pub(crate) fn attached(&self) -> Vec<&str> {
        self.url.iter().chain(&self.urls).map(String::as_str).collect()
    }
}

/// How a server is obtained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Launch {
    /// The simulator, in this process.
    #[default]
    Sim,
    /// A server that is already there.
    Attach,
    /// A command that the run starts and stops.
    Process,
    /// A service of docker compose that the run starts and stops.
    Compose,
}

impl Launch {
    /// The name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Attach => "attach",
            Self::Process => "process",
            Self::Compose => "compose",
        }
    }

    /// Whether the run starts the server itself, with settings of its own.
    #[must_use]
    pub const fn is_started(self) -> bool {
        !matches!(self, Self::Attach)
    }
}

/// A command line: as one text, split as a shell splits it, or as a list of its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Command {
    /// One text.
    Text(String),
    /// Its words.
    Words(Vec<String>),
}

/// `[samplers]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SamplersTable {
    /// Whether the GPUs of this machine are watched.
    pub gpu: GpuSampling,
    /// The period of that. 100 ms by default; 10 ms at least.
    pub gpu_period: Span,
    /// The period of reading the server's metrics page. 1 s by default: vLLM renews its gauges no
    /// faster than its engine steps, and a page is parsed beside the load.
    pub metrics_period: Span,
}

impl SamplersTable {
    /// The allowed periods of GPU samples.
    pub const GPU_PERIODS: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(10)];
    /// The allowed periods of scrapes.
    pub const METRICS_PERIODS: [Duration; 2] =
        [Duration::from_millis(100), Duration::from_secs(60)];
}

impl Default for SamplersTable {
    fn default() -> Self {
        Self {
            gpu: GpuSampling::Auto,
            gpu_period: Span::new(Duration::from_millis(100)),
            metrics_period: Span::new(Duration::from_secs(1)),
        }
    }
}

/// Whether the GPUs of this machine are watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuSampling {
    /// Where there are any and the server is on this machine; their absence is recorded.
    #[default]
    Auto,
    /// Yes, and without them nothing is measured.
    Required,
    /// No.
    Off,
}
