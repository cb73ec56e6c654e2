//! What differs between runs: server, settings, matrix, machine, tool.

use std::collections::BTreeMap;

use plimsoll_records::{Manifest, SettingRecord};
use serde_json::{Value, json};

use crate::clean::clean;
use crate::input::ReportInput;
use crate::numbers::{UNKNOWN, list};
use crate::wording::stamps;

/// Characters of a value that are shown; a list of a thousand rates tells nobody anything.
const LONGEST: usize = 80;

/// One thing that is not the same in all runs.
pub(super) struct Difference {
    /// What it is.
    pub(super) what: String,
    /// Each value with the names of its runs, in the order of the runs.
    values: Vec<(String, Vec<String>)>,
}

impl Difference {
    /// `16 (a and b); 32 (c)`.
    pub(super) fn in_words(&self) -> String {
        let one = |(value, runs): &(String, Vec<String>)| format!("{value} ({})", list(runs));
        self.values.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    pub(super) fn json(&self) -> Value {
        let values =
            self.values.iter().map(|(value, runs)| json!({ "value": value, "runs": runs }));
        json!({ "what": self.what, "values": values.collect::<Vec<_>>() })
    }
}

/// Everything on record that differs, first the server, then its settings, the matrix, machine and tool.
/// The seed is none of it: it is to differ.
pub(super) fn differences(runs: &[ReportInput<'_>], names: &[String]) -> Vec<Difference> {
    let facts: Vec<_> = runs.iter().map(|run| facts(run.manifest)).collect();
    let mut keys: Vec<&str> = Vec::new();
    for key in facts.iter().flatten().map(|(key, _)| key.as_str()) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let difference = |key: &str| {
        let mut values: Vec<(String, Vec<String>)> = Vec::new();
        for (facts, name) in facts.iter().zip(names) {
            let value = facts.iter().find(|(known, _)| known == key);
            let value = value.map_or_else(|| UNKNOWN.to_owned(), |(_, value)| value.clone());
            match values.iter_mut().find(|(known, _)| *known == value) {
                Some((_, names)) => names.push(name.clone()),
                None => values.push((value, vec![name.clone()])),
            }
        }
        (values.len() > 1).then(|| Difference { what: clean(key), values })
    };
    let mut all: Vec<_> = keys.into_iter().filter_map(difference).collect();
    all.sort_by_key(|it| rank(&it.what));
    all
}

/// Where a fact stands among the others: those of the server first.
fn rank(what: &str) -> usize {
    const ORDER: [&str; 4] = ["server", "setting", "matrix", "client"];
    let word = what.split([' ', '.', ':']).next().unwrap_or(what);
    ORDER.iter().position(|it| *it == word).unwrap_or(ORDER.len())
}

/// What is on record of a run, as text by name.
fn facts(manifest: &Manifest) -> Vec<(String, String)> {
    let mut facts = BTreeMap::new();
    let target = &manifest.target;
    let mut put = |what: &str, value: Option<String>| {
        if let Some(value) = value {
            facts.insert(what.to_owned(), short(&value));
        }
    };
    put("server", target.server.clone());
    put("server version", target.version.clone());
    put("server model", Some(target.model.clone()));
    put("server launch", Some(target.launch.clone()));
    put("server url", Some(target.url.clone()).filter(|_| target.launch == "attach"));
    put("server context length", target.max_model_len.map(|length| length.to_string()));
    let machine = &manifest.machine;
    put("client CPU", Some(machine.cpu.clone()));
    put("client cores", Some(machine.cores.to_string()));
    put("client kernel", Some(machine.kernel.clone()));
    put("client system", Some(machine.os.clone()));
    put("client container", machine.container.clone());
    let gpus: Vec<_> = machine.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    put("client GPUs", Some(list(&gpus)).filter(|names| !names.is_empty()));
    put("client GPU driver", machine.gpu_driver.clone());
    put("client stamps", Some(stamps(manifest.stamps).to_owned()));
    put("experiment", Some(manifest.experiment.clone()));
    let tool = &manifest.tool;
    put("tool", Some(format!("{} {}", tool.name, tool.version)));
    put("tool commit", tool.commit.clone());
    put("format of the results", Some(manifest.format.to_string()));
    for setting in &target.settings {
        put(&format!("setting {}", setting.name), in_effect(setting));
    }
    let mut facts: Vec<_> = facts.into_iter().collect();
    // The settings and the address of the server are there already, by what is in effect.
    let skipped = |path: &str| {
        [
            "server.settings",
            "server.url",
            "server.model",
            "server.launch",
            "experiment.seed",
            "experiment.kind",
        ]
        .iter()
        .any(|known| path.starts_with(known))
    };
    let mut leaves = Vec::new();
    flatten("", &manifest.matrix_resolved, &mut leaves);
    let declared = target.settings.is_empty();
    facts.extend(
        leaves
            .into_iter()
            .filter(|(path, _)| !skipped(path) || (declared && path.starts_with("server.settings")))
            .map(|(path, value)| (format!("matrix {path}"), short(&value))),
    );
    facts
}

/// The value that the server says is in effect; as declared where it says nothing.
fn in_effect(setting: &SettingRecord) -> Option<String> {
    let value = setting.in_effect.as_ref().or(setting.declared.as_ref())?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// The leaves of a JSON value by their paths; a list is one leaf.
fn flatten(path: &str, value: &Value, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, leaves);
            }
        }
        Value::String(text) => leaves.push((path.to_owned(), text.clone())),
        _ => leaves.push((path.to_owned(), value.to_string())),
    }
}

/// `text` on one line, cut where it is long.
fn short(text: &str) -> String {
    let text = clean(text);
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
