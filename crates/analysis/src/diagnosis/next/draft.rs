//! A matrix that is being changed.

use plimsoll_records::Manifest;
use serde_json::{Map, Value};

use super::Change;
use crate::Group;

/// What kind of experiment a question of capacity is.
const KIND: &str = "saturation";
/// Tables whose keys a bundle sets one by one.
const TABLES: [&str; 5] = ["server", "server.settings", "workload", "load", "client"];

/// A matrix that is being changed, with a list of what was.
pub(super) struct Draft {
    pub(super) matrix: Value,
    pub(super) changes: Vec<Change>,
    pub(super) start_server_with: Option<String>,
}

impl Draft {
    /// The run's resolved matrix with the group's factors in place and without a seed; `None` where the
    /// manifest has none, or a factor's value is not in it.
    pub(super) fn of(manifest: &Manifest, group: &Group) -> Option<Self> {
        let mut matrix = manifest.matrix_resolved.clone();
        without_nulls(&mut matrix);
        if !["experiment", "workload", "load"].iter().all(|&table| matrix[table].is_object()) {
            return None;
        }
        let mut draft = Self { matrix, changes: Vec::new(), start_server_with: None };
        let factors = draft.matrix.as_object_mut()?.remove("factors");
        for (factor, text) in &group.factors {
            let values = factors.as_ref()?.get(factor)?.as_array()?;
            let value = values.iter().find(|value| names(value, factor, text))?;
            match value.as_object().filter(|_| !factor.contains('.')) {
                Some(bundle) => {
                    for (path, value) in bundle.iter().filter(|(key, _)| *key != "name") {
                        draft.set_all(path, value)?;
                    }
                }
                None => draft.set(factor, value.clone())?,
            }
        }
        if draft.matrix["experiment"]["kind"] != KIND {
            draft.set("experiment.kind", KIND.into())?;
        }
        if let Some(experiment) = draft.matrix["experiment"].as_object_mut() {
            experiment.remove("seed");
        }
        Some(draft)
    }

    /// The value at `path`.
    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        keys(path)?.iter().try_fold(&self.matrix, |here, key| here.get(key))
    }

    /// Puts `value` at `path`; `None` where that is no path, or leads through a value.
    pub(super) fn set(&mut self, path: &str, value: Value) -> Option<()> {
        let keys = keys(path)?;
        let (last, parents) = keys.split_last()?;
        let mut here = self.matrix.as_object_mut()?;
        for key in parents {
            let table = here.entry(key.as_str()).or_insert_with(|| Value::Object(Map::new()));
            here = table.as_object_mut()?;
        }
        here.insert(last.clone(), value.clone());
        self.changed(path.to_owned(), Some(value));
        Some(())
    }

    /// Takes `key` out of the table at a dotted path, if it is there.
    pub(super) fn remove(&mut self, table: &str, key: &str) {
        let place = format!("/{}", table.replace('.', "/"));
        let removed = self.matrix.pointer_mut(&place).and_then(Value::as_object_mut);
        if removed.and_then(|table| table.remove(key)).is_some() {
            self.changed(format!("{table}.{key}"), None);
        }
    }

    /// Puts what a bundle says of `path`: a table of settings is one for each of its keys.
    fn set_all(&mut self, path: &str, value: &Value) -> Option<()> {
        match value.as_object() {
            Some(table) if TABLES.contains(&path) => table
                .iter()
                .try_for_each(|(key, value)| self.set_all(&format!("{path}.{key}"), value)),
            _ => self.set(path, value.clone()),
        }
    }

    /// Varies what is at `path`.
    pub(super) fn factor(&mut self, path: &str, values: Vec<Value>) {
        let Some(matrix) = self.matrix.as_object_mut() else { return };
        let factors = matrix.entry("factors").or_insert_with(|| Value::Object(Map::new()));
        if let Some(factors) = factors.as_object_mut() {
            factors.insert(path.to_owned(), Value::Array(values.clone()));
            let key = format!("factors.{}", Value::from(path));
            self.changed(key, Some(Value::Array(values)));
        }
    }

    fn changed(&mut self, key: String, value: Option<Value>) {
        self.changes.retain(|change| change.key != key);
        self.changes.push(Change { key, value });
    }
}

/// TOML has no null: a key without a value is left out.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(table) => {
            table.retain(|_, value| !value.is_null());
            table.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Whether a value of a factor is the one of this name: a bundle has it, another value is it.
fn names(value: &Value, factor: &str, name: &str) -> bool {
    match value.get("name") {
        Some(own) if !factor.contains('.') => own == name,
        // Lists of URLs are called by their number where that tells them apart.
        None if factor == "server.urls"
            && value.as_array().is_some_and(|urls| urls.len().to_string() == name) =>
        {
            true
        }
        _ => same(value, name),
    }
}

/// Whether a value of the matrix is the one that this text of TOML writes: it differs from JSON in blanks,
/// quotes and the sign between key and value.
fn same(value: &Value, text: &str) -> bool {
    let plain = |text: &str| -> String {
        let kept = text.chars().filter(|c| !c.is_whitespace() && *c != '"');
        kept.map(|c| if c == '=' { ':' } else { c }).collect()
    };
    value.as_str().map_or_else(|| plain(&value.to_string()) == plain(text), |own| own == text)
}

/// The keys of a path: dotted, quoted where a key has a dot of its own. `None` for anything else.
fn keys(path: &str) -> Option<Vec<String>> {
    let mut keys = vec![String::new()];
    let mut quoted = false;
    for c in path.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => keys.push(String::new()),
            '\\' => return None,
            c => keys.last_mut()?.push(c),
        }
    }
    (!quoted && keys.iter().all(|key| !key.is_empty())).then_some(keys)
}

/// A value as TOML writes it on one line: JSON's way but for tables.
pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let pairs = table
                .iter()
                .map(|(key, value)| format!("{} = {}", Value::from(key.as_str()), inline(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_read_as_toml_reads_it() {
        let found = |path: &str| keys(path).map(|keys| keys.join("|"));
        assert_eq!(found("load.rates").as_deref(), Some("load|rates"));
        assert_eq!(found("server.settings.\"a.b\"").as_deref(), Some("server|settings|a.b"));
        for wrong in ["", "a..b", "a.\"b", "a.\"\\u0041\""] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_factors_value_is_found_by_its_text() {
        for (value, text) in [
            (json!(16), "16"),
            (json!(0.9), "0.9"),
            (json!("chat"), "chat"),
            (json!([1, 2]), "[1, 2]"),
            (json!({"gamma": {"cv": 2.0}}), "{ gamma = { cv = 2.0 } }"),
        ] {
            assert!(same(&value, text), "{text}");
            assert!(!same(&value, "17"), "{text}");
        }
    }

    #[test]
    fn a_line_of_toml_is_as_toml_writes_it() {
        let line = |value| Change { key: "a.b".to_owned(), value }.line();
        assert_eq!(line(Some(json!([1, 2.5, "x"]))), "a.b = [1, 2.5, \"x\"]");
        assert_eq!(line(Some(json!({"c": {"d": true}}))), "a.b = { \"c\" = { \"d\" = true } }");
        assert_eq!(line(None), "# a.b is taken out");
    }
}
