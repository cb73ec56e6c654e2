//! What the server says of its own settings, and how that compares with the declared ones.
//!
//! In order of use: [`InEffect`] is a map from setting to value with its [`SettingSource`], filled
//! from a log ([`LogFacts`]), from pages (`/server_info`, `/metrics`, `/v1/models`, `/version`,
//! `/props`), or from all of them at once ([`collect_settings`]); [`compare_settings`] holds the
//! declared settings against it. [`EngineLog`] is what else a log tells: how many requests ran and
//! waited, how full the KV cache was, how often the prefix cache hit.
//!
//! A setting is called by vLLM's flag without dashes in front (`max-num-seqs`), wherever it was
//! found; facts that are no flags have names in the same style (`version`, `num-gpu-blocks`,
//! `kv-cache-size-tokens`, `kv-cache-max-concurrency`).

mod collect;
mod compare;
mod defaults;
mod engine_log;
mod log;
mod log_line;
mod name;
mod pages;
mod python;
mod received;
mod server_info;
mod value;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

pub use collect::{Pages, collect_settings};
pub use compare::compare_settings;
pub use engine_log::{EngineLog, EngineRow};
pub use log::LogFacts;
pub use log_line::LogTime;
pub use name::well_known;
pub use received::ReceivedRequest;

/// Where a server says what it runs with; those named first are believed first.
///
/// `/server_info` is the configuration object of the running process, so it comes first. The
/// configuration lines of the log are the same object as it was at the start. `non-default args` is
/// what the server was asked for, before it resolved anything. The pages made for others (labels of a
/// metric, the list of models) repeat parts of the configuration as text. What was merely observed is
/// believed only where nothing was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SettingSource {
    /// `/server_info`: vLLM in its development mode, and the simulator.
    ServerInfo,
    /// Lines of the log that say what was resolved at the start.
    LogConfig,
    /// The log's line of arguments that are no defaults.
    LogNonDefaultArgs,
    /// Labels of `vllm:cache_config_info`.
    CacheConfigInfo,
    /// Gauges called `dynamo_frontend_model_*`.
    DynamoGauges,
    /// `/props` of llama.cpp.
    Props,
    /// `/v1/models`.
    Models,
    /// `/version`.
    Version,
    /// The log's periodic lines, which never showed more.
    LogObserved,
}

impl SettingSource {
    /// The source as a table shows it: `log: non-default args`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServerInfo => "/server_info",
            Self::LogConfig => "log: configuration",
            Self::LogNonDefaultArgs => "log: non-default args",
            Self::CacheConfigInfo => "/metrics vllm:cache_config_info",
            Self::DynamoGauges => "/metrics dynamo_frontend_model_*",
            Self::Props => "/props",
            Self::Models => "/v1/models",
            Self::Version => "/version",
            Self::LogObserved => "log: never more ran while others waited",
        }
    }
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One setting in effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its value; `null` where the server says that it is unset. Objects that have no form in JSON
    /// are texts, and a secret is the text `(hidden)`.
    pub value: Value,
    /// Who says so.
    pub source: SettingSource,
    /// Whether someone chose it: the server lists it among what is no default.
    pub explicit: bool,
}

/// The settings that a server says are in effect, by name.
///
/// ```
/// use plimsoll_server::{InEffect, SettingSource};
/// use serde_json::json;
///
/// let mut settings = InEffect::default();
/// settings.say("max_num_seqs", json!(8), SettingSource::LogNonDefaultArgs, true);
/// settings.say("max_num_seqs", json!(256), SettingSource::ServerInfo, false);
/// let slots = settings.get("max-num-seqs").unwrap();
/// assert_eq!((&slots.value, slots.explicit), (&json!(256), true));
/// assert_eq!(settings.remarks().len(), 1); // the two sources disagree
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InEffect {
    settings: BTreeMap<String, Setting>,
    /// Whole configurations, by name and by who shows them.
    shown: BTreeMap<String, BTreeMap<SettingSource, Value>>,
    lists_non_defaults: bool,
    remarks: Vec<String>,
}

impl InEffect {
    /// Takes in that `source` says that `name` is `value`.
    ///
    /// `name` may be written as a flag, as an argument (`max_num_seqs`) or as a field of the server's
    /// configuration (`max_seq_len`). Where two sources disagree, the one believed first wins and the
    /// other is kept as a remark; where one source speaks twice (two engines do), its first word counts.
    /// The values of secrets are not kept.
    pub fn say(&mut self, name: &str, value: Value, source: SettingSource, explicit: bool) {
        let name = name::canonical(name);
        let value = value::clean(&name, value);
        self.take(name, Setting { value, source, explicit });
    }

    /// Takes in that `source` shows the whole configuration `name` (`compilation_config`), which is
    /// looked into for declared settings, and is no setting in a table of them.
    pub(crate) fn show(&mut self, name: &str, configuration: Value, source: SettingSource) {
        let name = name::canonical(name);
        if self.shown.len() < MOST_SETTINGS {
            let configuration = value::clean(&name, configuration);
            self.shown.entry(name).or_default().entry(source).or_insert(configuration);
        }
    }

    /// The whole configurations called `name`, those first that are believed first.
    pub(crate) fn shown(&self, name: &str) -> impl Iterator<Item = (SettingSource, &Value)> {
        let sources = self.shown.get(name).into_iter().flatten();
        sources.map(|(source, configuration)| (*source, configuration))
    }

    /// Takes in everything that `other` knows.
    pub fn merge(&mut self, other: Self) {
        for (name, setting) in other.settings {
            self.take(name, setting);
        }
        for (name, sources) in other.shown {
            for (source, configuration) in sources {
                self.show(&name, configuration, source);
            }
        }
        self.lists_non_defaults |= other.lists_non_defaults;
        for remark in other.remarks {
            self.remark(remark);
        }
    }

    /// What is known of `name`, in any of its spellings.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.settings.get(&name::canonical(name))
    }

    /// The value of `name` as a text, without quotes; `None` when unknown or unset.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        match &self.get(name)?.value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Array(items) => {
                let texts: Vec<_> = items.iter().map(value::text).collect();
                Some(texts.join(", "))
            }
            other => Some(other.to_string()),
        }
    }

    /// The value of `name` as a number, in the setting's own unit; `None` when it is none.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        value::number(&self.get(name)?.value)
    }

    /// The value of `name` as a switch; `None` when it is none.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        value::flag(&self.get(name)?.value)
    }

    /// The settings in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.settings.iter().map(|(name, setting)| (name.as_str(), setting))
    }

    /// How many settings are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.settings.len()
    }

    /// Whether the server said nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
    }

    /// Whether the server listed all of its arguments that are no defaults, so that one which is
    /// missing there did not reach it.
    #[must_use]
    pub fn lists_non_defaults(&self) -> bool {
        self.lists_non_defaults
    }

    /// Where sources disagreed or could not be read, in the order of their discovery.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Notes that every argument which is no default has been taken in.
    pub(crate) fn listed_non_defaults(&mut self) {
        self.lists_non_defaults = true;
    }

    /// Adds a remark, once.
    pub(crate) fn remark(&mut self, remark: String) {
        if !self.remarks.contains(&remark) && self.remarks.len() < MOST_REMARKS {
            self.remarks.push(remark);
        }
    }

    fn take(&mut self, name: String, new: Setting) {
        let Some(known) = self.settings.get_mut(&name) else {
            if self.settings.len() < MOST_SETTINGS {
                self.settings.insert(name, new);
            }
            return;
        };
        let explicit = known.explicit || new.explicit;
        // One source has fields of one name in several sections, of which the unset ones say nothing.
        let same_source = known.source == new.source;
        let unset = same_source && (known.value.is_null() || new.value.is_null());
        let agree = unset
            || value::same(&name, &known.value, &new.value) == Some(true)
            || value::same(&name, &new.value, &known.value) == Some(true);
        let remark = (!agree).then(|| {
            let (first, second) =
                if new.source < known.source { (&new, &*known) } else { (&*known, &new) };
            format!(
                "{name} is {} by {} and {} by {}; the first is taken",
                value::text(&first.value),
                first.source,
                value::text(&second.value),
                second.source,
            )
        });
        if new.source < known.source || (same_source && known.value.is_null()) {
            *known = new;
        }
        known.explicit = explicit;
        if let Some(remark) = remark {
            self.remark(remark);
        }
    }
}

/// No server has as many settings; a page that pretends to is cut.
const MOST_SETTINGS: usize = 4096;

/// More remarks than that tell nobody anything.
const MOST_REMARKS: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_source_believed_first_wins_in_any_order() {
        let said = [
            (SettingSource::ServerInfo, json!(1)),
            (SettingSource::LogConfig, json!(2)),
            (SettingSource::LogNonDefaultArgs, json!(3)),
            (SettingSource::LogObserved, json!(4)),
        ];
        for first in 0..said.len() {
            let mut settings = InEffect::default();
            for at in 0..said.len() {
                let (source, value) = &said[(first + at) % said.len()];
                let explicit = *source == SettingSource::LogNonDefaultArgs;
                settings.say("x", value.clone(), *source, explicit);
            }
            let x = settings.get("x").unwrap();
            assert_eq!((&x.value, x.source), (&json!(1), SettingSource::ServerInfo));
            assert!(x.explicit);
            assert!(!settings.remarks().is_empty());
        }
    }

    #[test]
    fn spellings_of_one_value_are_no_disagreement() {
        let mut settings = InEffect::default();
        settings.say("served_model_name", json!(["a"]), SettingSource::LogNonDefaultArgs, true);
        settings.say("served-model-name", json!("a"), SettingSource::LogConfig, false);
        settings.say("dtype", json!("auto"), SettingSource::LogNonDefaultArgs, true);
        settings.say("dtype", json!("torch.bfloat16"), SettingSource::LogConfig, false);
        settings.say("max_seq_len", json!(4096), SettingSource::LogConfig, false);
        settings.say("max_model_len", json!("4096"), SettingSource::Models, false);
        assert_eq!(settings.remarks(), [""; 0]);
        assert_eq!(settings.text("dtype").as_deref(), Some("bfloat16"));
        assert_eq!(settings.text("served-model-name").as_deref(), Some("a"));
        assert_eq!(settings.number("max-model-len"), Some(4096.0));
    }

    #[test]
    fn secrets_are_not_kept() {
        let mut settings = InEffect::default();
        settings.say("api_key", json!(["sk-1"]), SettingSource::LogNonDefaultArgs, true);
        settings.say("hf_token", json!("hf-2"), SettingSource::ServerInfo, true);
        settings.say("max_num_batched_tokens", json!(8), SettingSource::ServerInfo, true);
        assert!(!format!("{settings:?}").contains("sk-1"));
        assert!(!format!("{settings:?}").contains("hf-2"));
        assert_eq!(settings.number("max-num-batched-tokens"), Some(8.0));
    }

    #[test]
    fn merging_keeps_what_each_knows() {
        let mut log = InEffect::default();
        log.say("max_num_seqs", json!(8), SettingSource::LogNonDefaultArgs, true);
        log.listed_non_defaults();
        let mut page = InEffect::default();
        page.say("max_num_seqs", json!(8), SettingSource::ServerInfo, false);
        page.say("quantization", Value::Null, SettingSource::ServerInfo, false);
        page.merge(log);
        assert!(page.lists_non_defaults());
        assert_eq!(page.len(), 2);
        let slots = page.get("max-num-seqs").unwrap();
        assert_eq!((slots.source, slots.explicit), (SettingSource::ServerInfo, true));
        assert_eq!(page.text("quantization"), None);
        assert!(page.remarks().is_empty());
    }
}
