//! What the measurement ran on and against: the report's first table.
//!
//! The rows that a benchmark's reader looks for first (CPU, GPU, memory of the GPU, number of GPUs,
//! operating system, CUDA, driver, the server's version, model, tensor parallel, quantization, chunked
//! prefill) are always there, and say so where nothing is known; every other row is left out then.
//!
//! The machine of the manifest is the client's. It is also the server's where the run started the server
//! itself, or reached it at a loopback address. Elsewhere the rows of the machine are not known, and the
//! client's machine stands below under its own name.

mod gpus;

use plimsoll_records::{Machine, Manifest, TargetRecord};

use crate::clean::clean;
use crate::input::ReportInput;
use crate::numbers::{count, plain};
use crate::settings::{Settings, shown};

/// What a row says of which nothing is known.
pub(crate) const NOT_KNOWN: &str = "not known";
/// The row of the server's version where the server is vLLM.
pub(crate) const VLLM_VERSION: &str = "vLLM version";
/// Different values of one row that are shown, where several servers differ.
const VALUES: usize = 4;

/// Name and value of what the run ran on and with, cleaned but not escaped.
pub(crate) struct Environment {
    /// Every row, in order.
    pub(crate) rows: Vec<(&'static str, String)>,
    /// The same in a few lines, for a terminal.
    pub(crate) short: Vec<(&'static str, String)>,
}

impl Environment {
    /// The environment of a run.
    pub(crate) fn of(input: &ReportInput<'_>, settings: &Settings) -> Self {
        let manifest = input.manifest;
        let targets = Targets::of(manifest);
        let here = targets.all.iter().all(|target| target.is_here());
        let mut rows = Vec::new();
        machine_rows(&mut rows, manifest, here);
        rows.extend(targets.rows());
        if let Some(sentence) = settings.sentence() {
            rows.push(("Settings", sentence));
        }
        rows.push(("Tool", tool(manifest)));
        let mut short = Vec::new();
        let machine = short_machine(&manifest.machine);
        if !machine.is_empty() {
            short.push((if here { "machine" } else { "client" }, machine));
        }
        if let Some(gpus) = gpus::short(&manifest.machine).filter(|_| here) {
            short.push(("GPUs", gpus));
        }
        let server = targets.short();
        if !server.is_empty() {
            short.push(("server", server));
        }
        if let Some(sentence) = settings.sentence() {
            short.push(("settings", sentence));
        }
        Self { rows, short }
    }
}

/// The rows of the machine, the server's where it is known to be this one.
fn machine_rows(rows: &mut Vec<(&'static str, String)>, manifest: &Manifest, here: bool) {
    let machine = &manifest.machine;
    let not_known = || NOT_KNOWN.to_owned();
    let optional = |text: Option<String>| text.filter(|text| !text.is_empty());
    if here {
        rows.push(("CPU", cpu(machine).unwrap_or_else(not_known)));
        rows.extend(memory(machine).map(|memory| ("Memory", memory)));
        let simulated = manifest.target.launch == "sim";
        rows.extend(gpus::rows(machine, simulated));
        rows.push(("OS", optional(Some(clean(&machine.os))).unwrap_or_else(not_known)));
        rows.extend(optional(Some(clean(&machine.kernel))).map(|kernel| ("Kernel", kernel)));
        rows.extend(
            optional(machine.container.as_deref().map(clean)).map(|kind| ("Container", kind)),
        );
        return;
    }
    for name in ["CPU", "GPU", "VRAM", "Number of GPUs", "OS", "CUDA", "Driver"] {
        rows.push((name, not_known()));
    }
    rows.extend(cpu(machine).map(|cpu| ("CPU of the client", cpu)));
    rows.extend(memory(machine).map(|memory| ("Memory of the client", memory)));
    rows.extend(gpus::short(machine).map(|gpus| ("GPUs of the client", gpus)));
    let system: Vec<_> = [
        optional(Some(clean(&machine.os))),
        optional(Some(clean(&machine.kernel))).map(|kernel| format!("kernel {kernel}")),
        optional(machine.container.as_deref().map(clean)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !system.is_empty() {
        rows.push(("OS of the client", system.join(", ")));
    }
}

fn cpu(machine: &Machine) -> Option<String> {
    let cores = (machine.cores > 0).then(|| count(machine.cores as usize, "core"));
    let model = Some(clean(&machine.cpu)).filter(|model| !model.is_empty());
    let words: Vec<_> = [model, cores].into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn memory(machine: &Machine) -> Option<String> {
    (machine.memory_bytes > 0).then(|| gibibytes(machine.memory_bytes))
}

/// `80 GiB`.
pub(crate) fn gibibytes(bytes: u64) -> String {
    format!("{} GiB", plain(bytes as f64 / f64::from(1 << 30)))
}

/// `AMD EPYC 7763, 16 cores, 64 GiB; Debian GNU/Linux 12, kernel 6.1.0, docker`.
fn short_machine(machine: &Machine) -> String {
    let hardware = [cpu(machine), memory(machine)];
    let kernel = clean(&machine.kernel);
    let kernel = (!kernel.is_empty()).then(|| format!("kernel {kernel}"));
    let system = [Some(clean(&machine.os)), kernel, machine.container.as_deref().map(clean)];
    let join = |words: &[Option<String>]| {
        let known = words.iter().flatten().filter(|word| !word.is_empty());
        known.cloned().collect::<Vec<_>>().join(", ")
    };
    let parts = [join(&hardware), join(&system)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

fn tool(manifest: &Manifest) -> String {
    let tool = &manifest.tool;
    let commit = tool.commit.as_deref().map(clean).filter(|commit| !commit.is_empty());
    let commit = commit.map_or_else(String::new, |commit| format!(" ({commit})"));
    format!("{} {}{commit}", clean(&tool.name), clean(&tool.version))
}

/// The servers of a run.
struct Targets<'a> {
    all: Vec<&'a TargetRecord>,
}

/// How a row of the server is called where nothing is said of it.
#[derive(Clone, Copy)]
enum Unknown {
    /// The row says so.
    Said,
    /// There is no row.
    LeftOut,
}

/// The settings that have a row of their own: its name, the setting, how it is said in a few words
/// (empty where it is not), and what becomes of it when it is not known.
const SETTINGS: [(&str, &str, &str, Unknown); 9] = [
    ("Data type", "dtype", "", Unknown::LeftOut),
    ("Quantization", "quantization", "quantization", Unknown::Said),
    ("Tensor parallel", "tensor-parallel-size", "tensor parallel", Unknown::Said),
    ("Pipeline parallel", "pipeline-parallel-size", "pipeline parallel", Unknown::LeftOut),
    ("Data parallel", "data-parallel-size", "data parallel", Unknown::LeftOut),
    ("Longest context", "max-model-len", "", Unknown::LeftOut),
    ("GPU memory utilization", "gpu-memory-utilization", "", Unknown::LeftOut),
    ("Chunked prefill", "enable-chunked-prefill", "chunked prefill", Unknown::Said),
    ("Prefix caching", "enable-prefix-caching", "prefix caching", Unknown::LeftOut),
];

impl<'a> Targets<'a> {
    fn of(manifest: &'a Manifest) -> Self {
        let several = manifest.targets.iter().collect::<Vec<_>>();
        Self { all: if several.is_empty() { vec![&manifest.target] } else { several } }
    }

    /// The different values of the servers, `1; 2`; `None` where no server has one.
    fn values(&self, of: impl Fn(&TargetRecord) -> Option<String>) -> Option<String> {
        let mut values: Vec<String> = Vec::new();
        for value in self.all.iter().filter_map(|target| of(target)) {
            if !value.is_empty() && !values.contains(&value) {
                values.push(value);
            }
        }
        let more = values.len().saturating_sub(VALUES);
        values.truncate(VALUES);
        if more > 0 {
            values.push(format!("… and {more} more"));
        }
        (!values.is_empty()).then(|| values.join("; "))
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        let mut row = |name, value: Option<String>, unknown| match (value, unknown) {
            (Some(value), _) => rows.push((name, value)),
            (None, Unknown::Said) => rows.push((name, NOT_KNOWN.to_owned())),
            (None, Unknown::LeftOut) => {}
        };
        let vllm = self
            .all
            .iter()
            .any(|target| target.server.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("vllm")));
        row("Server", self.values(server_name), Unknown::LeftOut);
        let version = if vllm { VLLM_VERSION } else { "Server version" };
        row(version, self.values(|t| t.version.as_deref().map(clean)), Unknown::Said);
        let served = |target: &TargetRecord| Some(clean(&target.model)).filter(|m| !m.is_empty());
        let model = |target: &TargetRecord| setting(target, "model").or_else(|| served(target));
        let (model, served) = (self.values(model), self.values(served));
        let differs = served.is_some() && model != served;
        row("Model", model, Unknown::Said);
        row("Served name", served.filter(|_| differs), Unknown::LeftOut);
        for (name, flag, _, unknown) in SETTINGS {
            row(name, self.values(|target| own_row(target, flag)), unknown);
        }
        row("Launch", self.values(|t| launch(&t.launch).map(str::to_owned)), Unknown::LeftOut);
        row("Command", self.values(|t| t.command.as_deref().map(clean)), Unknown::LeftOut);
        let urls = |target: &TargetRecord| match target.urls.as_slice() {
            [] => clean(&target.url),
            urls => urls.iter().map(|url| clean(url)).collect::<Vec<_>>().join(", "),
        };
        row("URL", self.values(|t| Some(urls(t))), Unknown::LeftOut);
        rows
    }

    /// `started as a process; tensor parallel 1, chunked prefill on`.
    fn short(&self) -> String {
        let words = SETTINGS.iter().filter(|(_, _, words, _)| !words.is_empty());
        let known = words.filter_map(|(_, flag, words, _)| {
            let value = self.values(|target| own_row(target, flag))?;
            // No quantization and a size of 1 are what anybody expects.
            let plain = matches!(value.as_str(), "none" | "1" | "1 (declared)");
            (!plain).then(|| format!("{words} {value}"))
        });
        let dtype = self.values(|target| setting(target, "dtype"));
        let context = self.values(|t| own_row(t, "max-model-len"));
        let context = context.map(|tokens| format!("context of {tokens}"));
        let all = dtype.into_iter().chain(known).chain(context).collect::<Vec<_>>().join(", ");
        let launch = self.values(|t| launch(&t.launch).map(str::to_owned)).unwrap_or_default();
        [launch, all].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    }
}

fn server_name(target: &TargetRecord) -> Option<String> {
    target
        .server
        .as_deref()
        .map(clean)
        .or_else(|| (target.launch == "sim").then(|| "the built-in simulator".to_owned()))
}

/// The value of a setting that has its own row.
fn own_row(target: &TargetRecord, name: &str) -> Option<String> {
    let value = setting(target, name);
    if name != "max-model-len" {
        return value;
    }
    // What the server says of its models is nearer to the truth than a flag.
    let tokens = target.max_model_len.map(|tokens| plain(tokens as f64)).or(value)?;
    Some(format!("{tokens} tokens"))
}

/// A setting as the server says it; as declared, and so marked, where it does not say.
fn setting(target: &TargetRecord, name: &str) -> Option<String> {
    let record = target.settings.iter().find(|record| same_setting(&record.name, name));
    let in_effect = record.and_then(|record| record.in_effect.as_ref());
    if let Some(value) = in_effect {
        return Some(switch(name, shown(value)));
    }
    let declared = record.and_then(|record| record.declared.as_ref()).or_else(|| {
        let mut all = target.settings_declared.iter();
        all.find(|(declared, _)| same_setting(declared, name)).map(|(_, value)| value)
    });
    declared.map(|value| format!("{} (declared)", switch(name, shown(value))))
}

/// Whether two spellings name one setting: `max_num_seqs`, `max-num-seqs`.
fn same_setting(a: &str, b: &str) -> bool {
    let spelled = |name: &str| name.trim_start_matches('-').replace('_', "-");
    spelled(a) == spelled(b)
}

/// On or off, for a setting that enables something.
fn switch(name: &str, value: String) -> String {
    match value.as_str() {
        "true" | "True" if name.starts_with("enable-") => "on".to_owned(),
        "false" | "False" if name.starts_with("enable-") => "off".to_owned(),
        _ => value,
    }
}

/// How the server was obtained, in words.
fn launch(launch: &str) -> Option<&'static str> {
    match launch {
        "sim" => Some("simulated in the client's process"),
        "attach" => Some("attached to a server that was there"),
        "process" => Some("started as a process"),
        "compose" => Some("started by docker compose"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_records::{SettingRecord, SettingState};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_setting_is_what_the_server_says_else_what_was_declared() {
        let record = |declared: Value, in_effect: Option<Value>| SettingRecord {
            name: "max_num_seqs".to_owned(),
            declared: Some(declared),
            in_effect,
            source: None,
            state: SettingState::Unknown,
        };
        let target = |settings| TargetRecord { settings, ..TargetRecord::default() };
        let said = target(vec![record(json!(8), Some(json!(128)))]);
        assert_eq!(setting(&said, "max-num-seqs").as_deref(), Some("128"));
        let unsaid = target(vec![record(json!(8), None)]);
        assert_eq!(setting(&unsaid, "max-num-seqs").as_deref(), Some("8 (declared)"));
        assert_eq!(setting(&unsaid, "dtype"), None);
        assert_eq!(switch("enable-chunked-prefill", "true".to_owned()), "on");
        assert_eq!(switch("model", "true".to_owned()), "true");
    }

    #[test]
    fn servers_that_differ_are_all_named() {
        let targets: Vec<_> = (1..=6)
            .map(|version| TargetRecord {
                version: Some(format!("0.{version}")),
                ..TargetRecord::default()
            })
            .collect();
        let values = |n: usize| {
            let all = targets.iter().chain(&targets).take(n).collect();
            Targets { all }.values(|target| target.version.clone())
        };
        assert_eq!(values(0), None);
        assert_eq!(values(2).as_deref(), Some("0.1; 0.2"));
        assert_eq!(values(12).as_deref(), Some("0.1; 0.2; 0.3; 0.4; … and 2 more"));
    }
}
