//! The manifest of a run (`manifest.json`): everything one needs to repeat it or to doubt it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use plimsoll_units::RunClock;
use serde::{Deserialize, Serialize};

use crate::{AuditPolicy, Claim, FormatVersion, SelfTest, SettingRecord, StampSource};

/// The manifest of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the folder's format.
    pub format: FormatVersion,
    /// The tool that wrote it.
    pub tool: Tool,
    /// The experiment's kind: `saturation`, ...
    pub experiment: String,
    /// The clock that every stamp of the run counts from.
    pub clock: RunClock,
    /// When the run began, as an RFC 3339 date in UTC.
    pub started: String,
    /// Where the run stands.
    pub status: RunStatus,
    /// The one seed that every random source of the run is derived from.
    pub seed: u64,
    /// The matrix as it was written, before overrides.
    pub matrix_written: String,
    /// The file that it was read from, as the person named it; `None` where the program had it built in,
    /// and before format 1.3.
    #[serde(default)]
    pub matrix_file: Option<String>,
    /// The overrides of the command line, in order.
    pub overrides: Vec<String>,
    /// The matrix with overrides and defaults in place.
    pub matrix_resolved: serde_json::Value,
    /// The machine that the client ran on.
    pub machine: Machine,
    /// The server that was measured; where several were started, the first.
    pub target: TargetRecord,
    /// Every server that was started or attached to, in order: a point's
    /// [`ServerStart::number`](crate::ServerStart::number) is its place here.
    #[serde(default)]
    pub targets: Vec<TargetRecord>,
    /// Ids of the planned points, in order.
    pub points: Vec<String>,
    /// Points of the matrix that were left out, and why.
    pub left_out: Vec<LeftOut>,
    /// Where the stamps of responses come from: the best source in effect.
    pub stamps: StampSource,
    /// Why a better source of stamps was not in effect, where one was wished for.
    #[serde(default)]
    pub stamps_remark: Option<String>,
    /// The client's own error on this machine, before the first point and after the last.
    #[serde(default)]
    pub self_tests: Vec<SelfTest>,
    /// Remarks of the run about itself (calibration, fallbacks), in order.
    pub remarks: Vec<String>,
    /// What an imported experiment says of its results as a whole.
    #[serde(default)]
    pub claims: Vec<Claim>,
}

impl Manifest {
    /// Which findings the matrix allows and denies; nothing where it says nothing of it.
    ///
    /// # Errors
    /// When a word there is no code of the audit.
    pub fn policy(&self) -> Result<AuditPolicy, serde_json::Error> {
        let experiment = self.matrix_resolved.get("experiment");
        experiment.map_or_else(|| Ok(AuditPolicy::default()), AuditPolicy::deserialize)
    }
}

/// The tool that wrote a results folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Name of the program.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The commit that it was built from, where the build knew it.
    pub commit: Option<String>,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// It runs, or its process died.
    Running,
    /// Every planned point was measured.
    Complete,
    /// It was interrupted.
    Interrupted,
    /// It failed.
    Failed,
}

/// The machine that the client ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// CPU model.
    pub cpu: String,
    /// Logical cores that the process may use.
    pub cores: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Operating system and its version.
    pub os: String,
    /// Kernel version.
    pub kernel: String,
    /// Files that the process may have open at once, after the run raised the limit as far as it
    /// may; `None` where the system does not say.
    #[serde(default)]
    pub open_files: Option<u64>,
    /// Local ports for outgoing connections; `None` where the system does not say.
    #[serde(default)]
    pub local_ports: Option<u64>,
    /// The kind of container that the process runs in (`docker`, `kubernetes`, ...), where it does.
    #[serde(default)]
    pub container: Option<String>,
    /// The GPUs of this machine.
    #[serde(default)]
    pub gpus: Vec<GpuRecord>,
    /// Version of the GPU driver.
    #[serde(default)]
    pub gpu_driver: Option<String>,
    /// Highest version of CUDA that the driver supports.
    #[serde(default)]
    pub cuda: Option<String>,
    /// How each pair of GPUs is joined.
    #[serde(default)]
    pub gpu_links: Vec<GpuLink>,
    /// Why nothing is known of GPUs, where nothing is.
    #[serde(default)]
    pub gpu_remark: Option<String>,
}

/// One GPU of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuRecord {
    /// Its index, as the driver counts.
    pub gpu: u32,
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub uuid: Option<String>,
    /// Its memory, bytes.
    pub memory_bytes: Option<u64>,
    /// Limit of its power, mW.
    pub power_limit_mw: Option<u32>,
    /// Largest SM clock, MHz.
    pub sm_clock_max_mhz: Option<u32>,
}

/// How two GPUs are joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuLink {
    /// The one.
    pub a: u32,
    /// The other.
    pub b: u32,
    /// In the words of `nvidia-smi topo`: `NV18` for 18 NVLinks, `PIX`, `PXB`, `PHB`, `NODE`, `SYS`.
    pub link: String,
}

/// The server that was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// How it was obtained: `sim`, `attach`, `process`, `compose`.
    pub launch: String,
    /// Its base URL; of several replicas, that of the first.
    pub url: String,
    /// The base URLs of all its replicas, where requests go to several in turn; empty where `url` is all.
    #[serde(default)]
    pub urls: Vec<String>,
    /// The model's served name.
    pub model: String,
    /// What the server calls itself, where it says so.
    pub server: Option<String>,
    /// Its version, where it says so.
    pub version: Option<String>,
    /// Longest context in tokens, where it says so.
    pub max_model_len: Option<u64>,
    /// The settings that the matrix declared.
    pub settings_declared: BTreeMap<String, serde_json::Value>,
    /// The settings, declared and in effect, by name.
    #[serde(default)]
    pub settings: Vec<SettingRecord>,
    /// The command that started it, with secrets left out.
    #[serde(default)]
    pub command: Option<String>,
}

impl TargetRecord {
    /// Whether the server surely runs on the machine of the manifest: it was started there, or the host of
    /// its URL is this machine by its very name.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.launch != "attach"
            || is_loopback(&self.url) && self.urls.iter().all(|url| is_loopback(url))
    }
}

fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A point of the matrix that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Which point, by its factors.
    pub point: String,
    /// Why.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_address_is_this_machine() {
        for (url, here) in [
            ("http://127.0.0.1:8000", true),
            ("http://127.9.9.9", true),
            ("https://LOCALHOST:1/v1", true),
            ("http://[::1]:8000/", true),
            ("http://key@localhost:80", true),
            ("http://10.0.0.4:8000", false),
            ("http://gpu-box:8000", false),
            ("http://localhost.example.org", false),
            ("http://evil/?http://127.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(url), here, "{url}");
        }
    }

    #[test]
    fn a_server_that_was_started_is_here_whatever_its_address() {
        let target = |launch: &str| TargetRecord {
            launch: launch.to_owned(),
            url: "http://gpu-box:8000".to_owned(),
            ..TargetRecord::default()
        };
        assert!(target("process").is_here() && target("sim").is_here());
        assert!(!target("attach").is_here());
    }
}
