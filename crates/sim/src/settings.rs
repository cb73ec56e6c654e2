//! vLLM's own settings, as far as the simulator models them, and the limits that follow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::ModelProfile;

/// What a person may set, under vLLM's flag names (`max-num-seqs`, ...).
///
/// Fields that are `None` take what the model's profile or another setting implies. Deserializing
/// and [`Settings::from_map`] refuse unknown names and values out of range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", try_from = "BTreeMap<String, Value>")]
pub struct Settings {
    /// Most sequences in one step; 1 or more. vLLM's default on large GPUs: 256.
    pub max_num_seqs: u32,
    /// Most tokens computed in one step; at least `max_num_seqs`. `None`: 2048, or the model's
    /// length where that is more and prefill is not chunked.
    pub max_num_batched_tokens: Option<u32>,
    /// Whether a prompt may be prefilled over several steps.
    pub enable_chunked_prefill: bool,
    /// Whether full blocks of tokens seen before are taken from the cache.
    pub enable_prefix_caching: bool,
    /// KV-cache blocks of one replica; `None`: the profile's.
    pub num_gpu_blocks_override: Option<u32>,
    /// Tokens of one block; 1 to 1024.
    pub block_size: u32,
    /// Longest prompt plus answer; `None`: the profile's.
    pub max_model_len: Option<u32>,
    /// Replicas behind the router; 1 to 64.
    pub data_parallel_size: u32,
    /// How much longer every step takes for each replica beside it, as a share; 0 to 1. Not vLLM's: see
    /// [`Settings::slow_down`].
    pub scaling_contention: f64,
    /// How much longer every step takes for each ordered pair of replicas, as a share; 0 to 1. Not vLLM's.
    pub scaling_coherency: f64,
    /// A request is refused with 503 when this many are running or waiting; `None`: never.
    pub max_num_queued_reqs: Option<u32>,
    /// Tokens of one stream chunk after the first token.
    pub stream_interval: u32,
    /// Whether usage carries `prompt_tokens_details.cached_tokens`. Unlike vLLM's, on by default.
    pub enable_prompt_tokens_details: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_num_seqs: 256,
            max_num_batched_tokens: None,
            enable_chunked_prefill: true,
            enable_prefix_caching: true,
            num_gpu_blocks_override: None,
            block_size: 16,
            max_model_len: None,
            data_parallel_size: 1,
            scaling_contention: 0.0,
            scaling_coherency: 0.0,
            max_num_queued_reqs: None,
            stream_interval: 1,
            enable_prompt_tokens_details: true,
        }
    }
}

/// Settings that no server could start with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A name that is not modelled.
    #[error("unknown setting `{key}`{}; the simulator knows {}", hint(.suggestion.as_ref()), Settings::NAMES.join(", "))]
    Unknown {
        /// The name as written.
        key: String,
        /// The known name that looks most like it.
        suggestion: Option<&'static str>,
    },
    /// A value of the wrong kind or out of its range.
    #[error("`{key} = {value}` cannot be: {allowed}")]
    Value {
        /// The setting's name.
        key: &'static str,
        /// The value as written.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Two settings that contradict each other, or one the model contradicts.
    #[error("{0}")]
    Conflict(String),
}

/// The half-sentence that proposes a name.
fn hint(suggestion: Option<&&'static str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(", did you mean `{name}`?"))
}

/// What is allowed for a whole number from 1.
const COUNT: &str = "it must be a whole number from 1 to 1000000000";
/// What is allowed for a switch.
const SWITCH: &str = "it must be true or false";
/// What is allowed for a share.
const SHARE: &str = "it must be a number from 0 to 1";

impl Settings {
    /// The names that [`Settings::from_map`] accepts.
    pub const NAMES: [&'static str; 13] = [
        "max-num-seqs",
        "max-num-batched-tokens",
        "enable-chunked-prefill",
        "enable-prefix-caching",
        "num-gpu-blocks-override",
        "block-size",
        "max-model-len",
        "data-parallel-size",
        "scaling-contention",
        "scaling-coherency",
        "max-num-queued-reqs",
        "stream-interval",
        "enable-prompt-tokens-details",
    ];

    /// The settings a table of names and values asks for, defaults elsewhere.
    ///
    /// # Errors
    /// [`SettingsError`] for the first name that is unknown or value that is not allowed.
    pub fn from_map(map: &BTreeMap<String, Value>) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        for (key, value) in map {
            settings.set(key, value)?;
        }
        Ok(settings)
    }

    /// Changes one setting by its name.
    ///
    /// # Errors
    /// [`SettingsError`] when the name is unknown or the value is not allowed. `null` is allowed
    /// where the default is to follow the model.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), SettingsError> {
        let Some(name) = Self::NAMES.into_iter().find(|name| *name == key) else {
            return Err(SettingsError::Unknown { key: key.to_owned(), suggestion: nearest(key) });
        };
        let reader = Reader { name, value };
        match name {
            "max-num-seqs" => self.max_num_seqs = reader.count()?,
            "max-num-batched-tokens" => self.max_num_batched_tokens = reader.optional_count()?,
            "enable-chunked-prefill" => self.enable_chunked_prefill = reader.switch()?,
            "enable-prefix-caching" => self.enable_prefix_caching = reader.switch()?,
            "num-gpu-blocks-override" => self.num_gpu_blocks_override = reader.optional_count()?,
            "block-size" => {
                self.block_size =
                    reader.at_most(1024, "it must be a whole number from 1 to 1024")?;
            }
            "max-model-len" => self.max_model_len = reader.optional_count()?,
            "data-parallel-size" => {
                self.data_parallel_size =
                    reader.at_most(64, "it must be a whole number from 1 to 64")?;
            }
            "scaling-contention" => self.scaling_contention = reader.share()?,
            "scaling-coherency" => self.scaling_coherency = reader.share()?,
            "max-num-queued-reqs" => self.max_num_queued_reqs = reader.optional_count()?,
            "stream-interval" => self.stream_interval = reader.count()?,
            _ => self.enable_prompt_tokens_details = reader.switch()?,
        }
        Ok(())
    }

    /// How many times as long a step of one of these replicas takes as one of a replica alone:
    /// 1 + sigma (n - 1) + kappa n (n - 1) for n = data-parallel-size, sigma = scaling-contention and kappa =
    /// scaling-coherency.
    ///
    /// So n replicas sustain C1 n / (1 + sigma (n - 1) + kappa n (n - 1)), which is the universal scalability
    /// law (Gunther, *Guerrilla Capacity Planning*, Springer 2007, chapters 4 to 6), exactly.
    #[must_use]
    pub fn slow_down(&self) -> f64 {
        let n = f64::from(self.data_parallel_size);
        let (sigma, kappa) = (self.scaling_contention, self.scaling_coherency);
        1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0)
    }

    /// The limits in effect for `profile`, after every default is resolved.
    ///
    /// # Errors
    /// [`SettingsError::Conflict`] when two settings, or a setting and the model, contradict each
    /// other, in the cases in which vLLM refuses to start.
    pub fn limits(&self, profile: &ModelProfile) -> Result<Limits, SettingsError> {
        let max_model_len = self.max_model_len.unwrap_or(profile.max_model_len);
        let default_budget =
            if self.enable_chunked_prefill { 2048 } else { max_model_len.max(2048) };
        let limits = Limits {
            max_num_seqs: self.max_num_seqs,
            max_num_batched_tokens: self
                .max_num_batched_tokens
                .unwrap_or(default_budget.max(self.max_num_seqs)),
            num_gpu_blocks: self.num_gpu_blocks_override.unwrap_or(profile.num_gpu_blocks),
            block_size: self.block_size,
            max_model_len,
            chunked_prefill: self.enable_chunked_prefill,
            prefix_caching: self.enable_prefix_caching,
        };
        let conflict = |text: String| Err(SettingsError::Conflict(text));
        if max_model_len > profile.max_model_len {
            return conflict(format!(
                "max-model-len = {max_model_len} is longer than model {} goes; at most {}",
                profile.name, profile.max_model_len
            ));
        }
        if max_model_len < 2 {
            return conflict(format!(
                "max-model-len = {max_model_len} leaves no room for a prompt and an answer; \
                 at least 2"
            ));
        }
        if limits.max_num_batched_tokens < limits.max_num_seqs {
            return conflict(format!(
                "max-num-batched-tokens = {} is below max-num-seqs = {}; raise the first or lower \
                 the second",
                limits.max_num_batched_tokens, limits.max_num_seqs
            ));
        }
        if !limits.chunked_prefill && limits.max_num_batched_tokens < max_model_len {
            return conflict(format!(
                "max-num-batched-tokens = {} is below max-model-len = {max_model_len}, and without \
                 chunked prefill a long prompt could never run; raise it or enable chunked prefill",
                limits.max_num_batched_tokens
            ));
        }
        let cache_tokens = u64::from(limits.num_gpu_blocks) * u64::from(limits.block_size);
        if cache_tokens < u64::from(max_model_len) {
            return conflict(format!(
                "the KV cache holds {cache_tokens} tokens ({} blocks of {}), less than \
                 max-model-len = {max_model_len}; lower max-model-len or raise \
                 num-gpu-blocks-override",
                limits.num_gpu_blocks, limits.block_size
            ));
        }
        Ok(limits)
    }
}

/// Settings after every default is resolved: what one replica's engine obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most sequences in one step.
    pub max_num_seqs: u32,
    /// Most tokens computed in one step.
    pub max_num_batched_tokens: u32,
    /// KV-cache blocks.
    pub num_gpu_blocks: u32,
    /// Tokens of one block.
    pub block_size: u32,
    /// Longest prompt plus answer.
    pub max_model_len: u32,
    /// Whether a prompt may be prefilled over several steps.
    pub chunked_prefill: bool,
    /// Whether blocks seen before are reused.
    pub prefix_caching: bool,
}

impl TryFrom<BTreeMap<String, Value>> for Settings {
    type Error = SettingsError;

    fn try_from(map: BTreeMap<String, Value>) -> Result<Self, SettingsError> {
        Self::from_map(&map)
    }
}

/// Reads one value, naming its setting when it cannot be.
struct Reader<'a> {
    name: &'static str,
    value: &'a Value,
}

impl Reader<'_> {
    fn wrong(&self, allowed: &'static str) -> SettingsError {
        SettingsError::Value { key: self.name, value: self.value.to_string(), allowed }
    }

    fn at_most(&self, max: u32, allowed: &'static str) -> Result<u32, SettingsError> {
        self.value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (1..=max).contains(number))
            .ok_or_else(|| self.wrong(allowed))
    }

    fn count(&self) -> Result<u32, SettingsError> {
        self.at_most(1_000_000_000, COUNT)
    }

    fn optional_count(&self) -> Result<Option<u32>, SettingsError> {
        if self.value.is_null() { Ok(None) } else { self.count().map(Some) }
    }

    fn share(&self) -> Result<f64, SettingsError> {
        self.value
            .as_f64()
            .filter(|share| (0.0..=1.0).contains(share))
            .ok_or_else(|| self.wrong(SHARE))
    }

    fn switch(&self) -> Result<bool, SettingsError> {
        self.value.as_bool().ok_or_else(|| self.wrong(SWITCH))
    }
}

/// The known name nearest to `key`, if any is near. Underscores count as hyphens.
fn nearest(key: &str) -> Option<&'static str> {
    let key = key.to_lowercase().replace('_', "-");
    Settings::NAMES
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&key, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Settings, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_table_of_vllm_names_becomes_settings() {
        let settings = read(json!({
            "max-num-seqs": 16, "data-parallel-size": 4, "enable-prefix-caching": false,
            "max-model-len": null, "scaling-contention": 0.1, "scaling-coherency": 0,
        }))
        .unwrap();
        let expected = Settings {
            max_num_seqs: 16,
            data_parallel_size: 4,
            enable_prefix_caching: false,
            scaling_contention: 0.1,
            ..Settings::default()
        };
        assert_eq!(settings, expected);
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
    }

    #[test]
    fn every_field_has_its_name_in_the_list() {
        let Value::Object(written) = serde_json::to_value(Settings::default()).unwrap() else {
            panic!("settings are a table");
        };
        let mut names = Settings::NAMES.to_vec();
        names.sort_unstable();
        let mut fields: Vec<&str> = written.keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, names);
    }

    #[test]
    fn refusals_name_key_value_and_what_is_allowed() {
        for (table, parts) in [
            (json!({"max-num-seq": 1}), vec!["max-num-seq`", "did you mean `max-num-seqs`"]),
            (json!({"max_num_seqs": 1}), vec!["max_num_seqs", "did you mean `max-num-seqs`"]),
            (json!({"tensor-parallel-size": 2}), vec!["unknown setting `tensor-parallel-size`"]),
            (json!({"max-num-seqs": 0}), vec!["max-num-seqs = 0", "from 1 to"]),
            (json!({"max-num-seqs": "many"}), vec!["\"many\"", "whole number"]),
            (json!({"data-parallel-size": 65}), vec!["65", "1 to 64"]),
            (json!({"scaling-contention": 1.5}), vec!["scaling-contention = 1.5", "from 0 to 1"]),
            (json!({"scaling-coherency": "much"}), vec!["\"much\"", "a number from 0 to 1"]),
            (json!({"block-size": -16}), vec!["-16", "1 to 1024"]),
            (json!({"enable-prefix-caching": 1}), vec!["enable-prefix-caching = 1", "true or"]),
        ] {
            let error = read(table.clone()).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{table}: {error}");
            }
        }
    }

    #[test]
    fn limits_resolve_defaults_and_refuse_contradictions() {
        let tiny = ModelProfile::tiny();
        let limits = Settings::default().limits(&tiny).unwrap();
        assert_eq!((limits.max_num_batched_tokens, limits.num_gpu_blocks), (2048, 8192));
        let whole = Settings { enable_chunked_prefill: false, ..Settings::default() };
        assert_eq!(whole.limits(&tiny).unwrap().max_num_batched_tokens, 4096);

        let refused = |settings: Settings| settings.limits(&tiny).unwrap_err().to_string();
        let base = Settings::default;
        assert!(
            refused(Settings { max_num_batched_tokens: Some(8), ..base() })
                .contains("below max-num-seqs = 256")
        );
        assert!(
            refused(Settings {
                max_num_batched_tokens: Some(1024),
                enable_chunked_prefill: false,
                ..base()
            })
            .contains("chunked prefill")
        );
        assert!(
            refused(Settings { num_gpu_blocks_override: Some(100), ..base() })
                .contains("holds 1600 tokens")
        );
        assert!(refused(Settings { max_model_len: Some(9999), ..base() }).contains("at most 4096"));
        assert!(refused(Settings { max_model_len: Some(1), ..base() }).contains("at least 2"));
    }
}
