//! Settings of a matrix as flags on a command line.

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;

/// How settings are written as flags: vLLM's own way, or by a template for each setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags {
    /// Setting to template; `None` for vLLM's own way.
    templates: Option<BTreeMap<String, String>>,
}

/// A setting that cannot be written as a flag.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FlagError {
    /// The name would not be one flag.
    #[error(
        "`{setting}` is no name of a setting; write the flag without dashes in front, in letters, \
         digits, dots and dashes, like max-num-seqs"
    )]
    Name {
        /// The name as given.
        setting: String,
    },
    /// The templates say nothing about it.
    #[error(
        "the setting `{setting}` has no entry among the flags; add one, like {setting} = \
         \"--{setting} {{value}}\", or {setting} = \"\" when it is declared only, not passed"
    )]
    NoTemplate {
        /// The setting.
        setting: String,
    },
    /// Its template cannot be used.
    #[error("the flag `{template}` of the setting `{setting}` cannot be used: {problem}")]
    Template {
        /// The setting.
        setting: String,
        /// The template as given.
        template: String,
        /// What is wrong, with the remedy.
        problem: &'static str,
    },
}

impl Flags {
    /// vLLM's own way: `max-num-seqs = 16` is `--max-num-seqs 16`, `enable-prefix-caching = false` is
    /// `--no-enable-prefix-caching`, a list is its flag with all values behind it, a table is its flag
    /// with JSON behind it. Underscores become dashes.
    #[must_use]
    pub fn vllm() -> Self {
        Self { templates: None }
    }

    /// By templates: `"max-num-seqs" = "--parallel {value}"`.
    ///
    /// A template is split as a shell splits it. `{value}` stands for the value; a list fills a word
    /// that is `{value}` alone with one word each, and any other word with its values and commas. A
    /// template without `{value}` is for a boolean and is left out when that is false. An empty one is
    /// for a setting that is declared only and not passed.
    #[must_use]
    pub fn template(templates: BTreeMap<String, String>) -> Self {
        Self { templates: Some(templates) }
    }

    /// The words that say `settings` to the server, in the order of their names. `null` says nothing.
    ///
    /// # Errors
    /// [`FlagError`], which names the setting.
    pub fn write(&self, settings: &BTreeMap<String, Value>) -> Result<Vec<String>, FlagError> {
        let mut words = Vec::new();
        for (setting, value) in settings {
            check_name(setting)?;
            match &self.templates {
                // A template that is missing is an error even where the value says nothing today.
                Some(templates) => {
                    let template = templates
                        .get(setting)
                        .ok_or_else(|| FlagError::NoTemplate { setting: setting.clone() })?;
                    let filled = fill(template, value).map_err(|problem| FlagError::Template {
                        setting: setting.clone(),
                        template: template.clone(),
                        problem,
                    })?;
                    words.extend(filled);
                }
                None => words.extend(vllm_words(setting, value)),
            }
        }
        Ok(words)
    }
}

fn check_name(setting: &str) -> Result<(), FlagError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fine =
        setting.starts_with(|c: char| c.is_ascii_alphanumeric()) && setting.chars().all(plain);
    if fine { Ok(()) } else { Err(FlagError::Name { setting: setting.to_owned() }) }
}

fn vllm_words(setting: &str, value: &Value) -> Vec<String> {
    // What is behind a dot is a key inside a configuration and has underscores of its own.
    let (flag, key) = setting.split_at(setting.find('.').unwrap_or(setting.len()));
    let name = format!("{}{key}", flag.replace('_', "-"));
    match value {
        Value::Null => Vec::new(),
        // A key of a configuration takes a value in JSON.
        Value::Bool(value) if !key.is_empty() => vec![format!("--{name}"), value.to_string()],
        Value::Bool(true) => vec![format!("--{name}")],
        // The opposite of `no-x` is `x`: argparse knows no `no-no-x`.
        Value::Bool(false) => match name.strip_prefix("no-") {
            Some(positive) => vec![format!("--{positive}")],
            None => vec![format!("--no-{name}")],
        },
        Value::Array(values) if values.is_empty() => Vec::new(),
        Value::Array(values) => {
            std::iter::once(format!("--{name}")).chain(values.iter().map(text)).collect()
        }
        // A value that begins with a dash would be taken for a flag.
        Value::String(word) if word.starts_with('-') => vec![format!("--{name}={word}")],
        Value::Number(_) | Value::String(_) | Value::Object(_) => {
            let value = text(value);
            if value.starts_with('-') {
                vec![format!("--{name}={value}")]
            } else {
                vec![format!("--{name}"), value]
            }
        }
    }
}

/// `value` as one word: strings as they are, everything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// `template` with `value` in it, or what is wrong with it.
fn fill(template: &str, value: &Value) -> Result<Vec<String>, &'static str> {
    const VALUE: &str = "{value}";
    let words = shlex::split(template).ok_or("a quotation mark in it is never closed; close it")?;
    if words.is_empty() || value.is_null() {
        return Ok(Vec::new());
    }
    if !words.iter().any(|word| word.contains(VALUE)) {
        return match value {
            Value::Bool(true) => Ok(words),
            Value::Bool(false) => Ok(Vec::new()),
            _ => Err("it has no place for the value; write {value} where it belongs"),
        };
    }
    let mut filled = Vec::new();
    for word in words {
        match value {
            Value::Array(values) if word == VALUE => filled.extend(values.iter().map(text)),
            Value::Array(values) => {
                let list: Vec<_> = values.iter().map(text).collect();
                filled.push(word.replace(VALUE, &list.join(",")));
            }
            value => filled.push(word.replace(VALUE, &text(value))),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    fn vllm(settings: Value) -> String {
        Flags::vllm().write(&map(settings)).unwrap().join(" ")
    }

    fn templated(template: &str, value: Value) -> Result<Vec<String>, FlagError> {
        let templates = BTreeMap::from([("x".to_owned(), template.to_owned())]);
        Flags::template(templates).write(&BTreeMap::from([("x".to_owned(), value)]))
    }

    #[test]
    fn numbers_and_texts_stand_behind_their_flag() {
        assert_eq!(
            vllm(json!({"max-num-seqs": 16, "dtype": "bfloat16", "gpu-memory-utilization": 0.9})),
            "--dtype bfloat16 --gpu-memory-utilization 0.9 --max-num-seqs 16"
        );
        assert_eq!(vllm(json!({"max_num_seqs": 16})), "--max-num-seqs 16");
        assert_eq!(vllm(json!({"seed": -1, "x": "-y"})), "--seed=-1 --x=-y");
    }

    #[test]
    fn booleans_are_flags_and_their_opposites() {
        assert_eq!(vllm(json!({"enable-chunked-prefill": true})), "--enable-chunked-prefill");
        assert_eq!(vllm(json!({"enable-chunked-prefill": false})), "--no-enable-chunked-prefill");
        assert_eq!(vllm(json!({"no-enable-chunked-prefill": false})), "--enable-chunked-prefill");
        assert_eq!(vllm(json!({"enforce-eager": true})), "--enforce-eager");
    }

    #[test]
    fn nothing_lists_and_tables() {
        assert_eq!(vllm(json!({"a": null, "b": []})), "");
        assert_eq!(vllm(json!({"served-model-name": ["a", "b"]})), "--served-model-name a b");
        let words = Flags::vllm()
            .write(&map(
                json!({"speculative-config": {"method": "ngram", "num_speculative_tokens": 3}}),
            ))
            .unwrap();
        assert_eq!(words.len(), 2);
        let read: Value = serde_json::from_str(&words[1]).unwrap();
        assert_eq!(read, json!({"method": "ngram", "num_speculative_tokens": 3}));
        assert_eq!(
            vllm(json!({"compilation_config.cudagraph_mode": "FULL"})),
            "--compilation-config.cudagraph_mode FULL"
        );
        assert_eq!(
            vllm(json!({"compilation-config.use_cudagraph": false})),
            "--compilation-config.use_cudagraph false"
        );
    }

    #[test]
    fn templates() {
        assert_eq!(templated("--parallel {value}", json!(4)).unwrap(), ["--parallel", "4"]);
        assert_eq!(templated("-np={value}", json!("a b")).unwrap(), ["-np=a b"]);
        assert_eq!(templated("--split {value}", json!([1, 2])).unwrap(), ["--split", "1", "2"]);
        assert_eq!(templated("--split={value}", json!([1, 2])).unwrap(), ["--split=1,2"]);
        assert_eq!(templated("--cache on", json!(true)).unwrap(), ["--cache", "on"]);
        assert_eq!(templated("--cache on", json!(false)).unwrap(), [] as [&str; 0]);
        assert_eq!(templated("--cache {value}", json!(false)).unwrap(), ["--cache", "false"]);
        assert_eq!(templated("", json!(4)).unwrap(), [] as [&str; 0]);
        assert_eq!(templated("--a {value}", Value::Null).unwrap(), [] as [&str; 0]);
    }

    #[test]
    fn errors_name_the_setting() {
        let error = templated("--parallel", json!(4)).unwrap_err().to_string();
        assert!(error.contains("`x`") && error.contains("{value}"), "{error}");
        let error = templated("--parallel '", json!(4)).unwrap_err().to_string();
        assert!(error.contains("never closed"), "{error}");
        let error = Flags::template(BTreeMap::new()).write(&map(json!({"max-num-seqs": 1})));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("`max-num-seqs` has no entry"), "{error}");
        for name in ["--max-num-seqs", "", "a b", "a;b"] {
            let settings = BTreeMap::from([(name.to_owned(), json!(1))]);
            assert_eq!(
                Flags::vllm().write(&settings),
                Err(FlagError::Name { setting: name.to_owned() })
            );
        }
    }
}
