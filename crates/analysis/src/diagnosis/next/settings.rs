//! What the server runs with, and how a setting of it is varied.

use plimsoll_records::Manifest;
use serde_json::{Value, json};

use super::draft::Draft;
use crate::Group;

/// The server of a group.
pub(super) struct Server<'a> {
    manifest: &'a Manifest,
    /// Which start of it.
    start: usize,
    /// How it is obtained.
    launch: String,
}

impl<'a> Server<'a> {
    pub(super) fn of(draft: &Draft, manifest: &'a Manifest, group: &Group) -> Self {
        let start = group.points.first().map_or(0, |point| point.server_start.number as usize);
        let launch = draft.get("server.launch").and_then(Value::as_str).unwrap_or("sim").to_owned();
        Self { manifest, start, launch }
    }

    /// Whether it is the simulator.
    pub(super) fn is_sim(&self) -> bool {
        self.launch == "sim"
    }

    /// A setting that is a number: in effect by the server's word, else as declared.
    pub(super) fn number(&self, draft: &Draft, name: &str) -> Option<f64> {
        let target = self.manifest.targets.get(self.start).unwrap_or(&self.manifest.target);
        let record = target.settings.iter().find(|setting| setting.name == name);
        let known = record.and_then(|it| it.in_effect.as_ref().or(it.declared.as_ref()));
        let declared = || draft.get("server.settings")?.get(name);
        let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        known.and_then(number).or_else(|| declared().and_then(number)).filter(|it| it.is_finite())
    }

    /// GPUs (or replicas of the simulator) that it uses, and how many there are.
    pub(super) fn gpus(&self, draft: &Draft) -> (u64, u64) {
        let sizes = ["data-parallel-size", "tensor-parallel-size", "pipeline-parallel-size"];
        let used = sizes.iter().filter_map(|name| self.number(draft, name)).product::<f64>();
        let there = if self.is_sim() { 64 } else { self.manifest.machine.gpus.len() as u64 };
        (used.max(1.0) as u64, there)
    }

    /// Varies a setting: as a factor where the run starts the server. One that is only attached cannot be
    /// varied from here: it is declared with the second value, so that nothing is measured before the
    /// server was started with it. `None` where the matrix has no flag for the setting.
    pub(super) fn vary(&self, draft: &mut Draft, name: &str, values: &[Value]) -> Option<()> {
        if self.launch == "attach" {
            let value = values.get(1).or(values.first())?;
            draft.set(&path(name), value.clone())?;
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            draft.start_server_with = Some(format!("--{name} {text}"));
            return Some(());
        }
        if draft.get("server.flags").is_some_and(|flags| flags.get(name).is_none()) {
            return None;
        }
        draft.factor(&path(name), values.to_vec());
        Some(())
    }

    /// The same with a number, twice and four times as much.
    pub(super) fn double_twice(&self, draft: &mut Draft, name: &str, now: f64) -> Option<()> {
        let now = now.max(1.0) as u64;
        self.vary(
            draft,
            name,
            &[json!(now), json!(now.saturating_mul(2)), json!(now.saturating_mul(4))],
        )
    }

    /// The same with a quarter, a half, and all of it.
    pub(super) fn halve_twice(&self, draft: &mut Draft, name: &str, now: f64) -> Option<()> {
        let now = now.max(1.0) as u64;
        let mut values = vec![(now / 4).max(1), (now / 2).max(1), now];
        values.dedup();
        let values: Vec<Value> = values.into_iter().map(Value::from).collect();
        self.vary(draft, name, &values)
    }

    /// Sets a setting beside the one that is varied, at this least.
    pub(super) fn at_least(&self, draft: &mut Draft, name: &str, least: f64) {
        let too_small = self.number(draft, name).is_some_and(|now| now < least);
        let has_flag = draft.get("server.flags").is_none_or(|flags| flags.get(name).is_some());
        if !too_small || !has_flag {
            return;
        }
        draft.set(&path(name), json!(least as u64));
        if let Some(words) = &mut draft.start_server_with {
            words.push_str(&format!(" --{name} {least}"));
        }
    }
}

fn path(name: &str) -> String {
    format!("server.settings.{name}")
}
