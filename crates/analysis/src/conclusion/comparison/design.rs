//! Which settings there are: the factors with their values in the matrix's order, and who is the baseline.

use std::collections::BTreeMap;

use plimsoll_records::Manifest;
use serde_json::Value;

use crate::{Factor, Group};

/// The settings of a comparison.
pub(super) struct Design<'a> {
    /// The factors by their short names, values in the matrix's order; those with one value left out.
    pub(super) factors: Vec<Factor>,
    /// The baseline, then the candidates in the order of the plan.
    pub(super) settings: Vec<Setting<'a>>,
    /// What is to be said of the choice of the baseline.
    pub(super) remark: Option<String>,
}

/// One setting.
pub(super) struct Setting<'a> {
    /// The place of each factor's value among its values.
    pub(super) levels: Vec<usize>,
    /// What was measured of it.
    pub(super) group: &'a Group,
}

impl<'a> Design<'a> {
    /// The design of the groups of a run.
    pub(super) fn of(manifest: &Manifest, groups: &'a [Group]) -> Self {
        let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        if let Some(Value::Object(written)) = manifest.matrix_resolved.get("factors") {
            for (path, values) in written {
                let names = values.as_array().into_iter().flatten().filter_map(level_name);
                all.insert(path, names.collect());
            }
        }
        // What was measured wins: names of another kind, and folders that others wrote, have it alone.
        for (path, value) in groups.iter().flat_map(|group| &group.factors) {
            let known = all.entry(path).or_default();
            if !known.contains(value) {
                known.push(value.clone());
            }
        }
        let measured = |path: &str, value: &String| {
            groups.iter().any(|group| group.factors.get(path) == Some(value))
        };
        let first: BTreeMap<&str, String> = all
            .iter()
            .filter_map(|(path, values)| Some((*path, values.first()?.clone())))
            .collect();
        for (path, values) in &mut all {
            values.retain(|value| measured(path, value));
        }
        all.retain(|_, values| values.len() > 1);
        let short = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
        let name = |path: &str| match all.keys().filter(|other| short(other) == short(path)).count()
        {
            1 => short(path),
            _ => path.to_owned(),
        };
        let mut settings: Vec<Setting<'a>> = groups
            .iter()
            .map(|group| {
                let place = |(path, values): (&&str, &Vec<String>)| {
                    let value = group.factors.get(*path)?;
                    values.iter().position(|known| known == value)
                };
                Setting { levels: all.iter().map(|one| place(one).unwrap_or(0)).collect(), group }
            })
            .collect();
        let is_first = |group: &Group| {
            first.iter().all(|(path, value)| group.factors.get(*path).is_none_or(|it| it == value))
        };
        let baseline = settings.iter().position(|setting| is_first(setting.group));
        if let Some(place) = baseline {
            settings[..=place].rotate_right(1);
        }
        let factors = all
            .iter()
            .map(|(path, levels)| Factor { name: name(path), levels: levels.clone() })
            .collect();
        let mut design = Self { factors, settings, remark: None };
        if baseline.is_none() && !groups.is_empty() {
            design.remark = Some(format!(
                "the first setting of the matrix was not measured; {} is the baseline in its place",
                design.baseline()
            ));
        }
        design
    }

    /// What the baseline is called.
    pub(super) fn baseline(&self) -> String {
        self.settings.first().map_or_else(String::new, |setting| self.name(setting, |_| true))
    }

    /// What the others are called: by what differs from the baseline.
    pub(super) fn candidates(&self) -> Vec<String> {
        let Some((baseline, others)) = self.settings.split_first() else { return Vec::new() };
        let name = |setting: &Setting<'_>| {
            self.name(setting, |place| setting.levels[place] != baseline.levels[place])
        };
        others.iter().map(name).collect()
    }

    /// What all are called, the baseline first.
    pub(super) fn names(&self) -> Vec<String> {
        std::iter::once(self.baseline()).chain(self.candidates()).collect()
    }

    /// Whether every combination of the factors' values was measured.
    pub(super) fn is_factorial(&self) -> bool {
        let combinations: usize = self.factors.iter().map(|factor| factor.levels.len()).product();
        self.settings.len() == combinations
    }

    fn name(&self, setting: &Setting<'_>, said: impl Fn(usize) -> bool) -> String {
        let parts = self.factors.iter().enumerate().filter(|(place, _)| said(*place));
        let parts: Vec<String> = parts
            .map(|(place, factor)| {
                format!("{}={}", factor.name, factor.levels[setting.levels[place]])
            })
            .collect();
        parts.join(", ")
    }
}

/// What a value of a factor is called in a point's file: a bundle by its name, a text as it is.
fn level_name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(bundle) => Some(bundle.get("name")?.as_str()?.to_owned()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) => None,
    }
}
