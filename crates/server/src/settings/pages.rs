//! Pages made for others that repeat parts of the configuration.

use serde_json::Value;

use super::{InEffect, SettingSource, python};
use crate::{Exposition, ModelInfo};

/// Gauges of Dynamo's frontend that are settings of a worker behind it.
const DYNAMO: [(&str, &str); 5] = [
    ("dynamo_frontend_model_context_length", "max-model-len"),
    ("dynamo_frontend_model_kv_cache_block_size", "block-size"),
    ("dynamo_frontend_model_max_num_batched_tokens", "max-num-batched-tokens"),
    ("dynamo_frontend_model_max_num_seqs", "max-num-seqs"),
    ("dynamo_frontend_model_total_kv_blocks", "num-gpu-blocks"),
];

impl InEffect {
    /// The settings among the metrics: the labels of vLLM's `vllm:cache_config_info`, and Dynamo's
    /// `dynamo_frontend_model_*`. Other servers put none there.
    ///
    /// ```
    /// use plimsoll_server::{Exposition, InEffect};
    ///
    /// let page = Exposition::parse(b"dynamo_frontend_model_max_num_seqs{model=\"tiny\"} 256\n");
    /// assert_eq!(InEffect::from_metrics(&page).number("max-num-seqs"), Some(256.0));
    /// ```
    #[must_use]
    pub fn from_metrics(page: &Exposition) -> Self {
        let mut settings = Self::default();
        for sample in page.named("vllm:cache_config_info") {
            for (label, text) in &sample.labels {
                let about_the_series = matches!(label.as_str(), "engine" | "model_name");
                if !about_the_series && !label.starts_with('_') {
                    let value = python::value(text);
                    settings.say(label, value, SettingSource::CacheConfigInfo, false);
                }
            }
        }
        for (gauge, name) in DYNAMO {
            // It writes 0 where it was not told.
            for sample in page.named(gauge).filter(|sample| sample.value > 0.0) {
                settings.say(name, whole(sample.value), SettingSource::DynamoGauges, false);
            }
        }
        settings
    }

    /// What the list of models says of the first of them: its name, where it was loaded from, and the
    /// longest context in tokens.
    #[must_use]
    pub fn from_models(models: &[ModelInfo]) -> Self {
        let mut settings = Self::default();
        if let Some(model) = models.first() {
            let mut say = |name, value| settings.say(name, value, SettingSource::Models, false);
            say("served-model-name", Value::from(model.id.as_str()));
            if let Some(root) = &model.root {
                say("model", Value::from(root.as_str()));
            }
            if let Some(tokens) = model.max_model_len {
                say("max-model-len", tokens.into());
            }
        }
        settings
    }

    /// The settings in the body of llama.cpp's `/props`. Its slots are known by its own word
    /// (`parallel`) and by vLLM's (`max-num-seqs`); the context is that of one slot.
    ///
    /// ```
    /// use plimsoll_server::InEffect;
    ///
    /// let props = br#"{"total_slots": 4, "default_generation_settings": {"n_ctx": 4096}}"#;
    /// let settings = InEffect::from_props(props);
    /// assert_eq!(settings.number("max-num-seqs"), Some(4.0));
    /// assert_eq!(settings.number("max-model-len"), Some(4096.0));
    /// ```
    #[must_use]
    pub fn from_props(body: &[u8]) -> Self {
        let mut settings = Self::default();
        let Ok(page) = serde_json::from_slice::<Value>(body) else { return settings };
        let known = [
            ("/total_slots", "parallel"),
            ("/total_slots", "max-num-seqs"),
            ("/default_generation_settings/n_ctx", "max-model-len"),
            ("/model_path", "model"),
            ("/model_alias", "served-model-name"),
            ("/build_info", "version"),
        ];
        for (path, name) in known {
            let value = page.pointer(path).filter(|value| value.is_string() || value.is_number());
            if let Some(value) = value.filter(|value| value.as_str() != Some("")) {
                settings.say(name, value.clone(), SettingSource::Props, false);
            }
        }
        settings
    }

    /// The version that `/version` gave.
    #[must_use]
    pub fn from_version(version: &str) -> Self {
        let mut settings = Self::default();
        settings.say("version", Value::from(version), SettingSource::Version, false);
        settings
    }
}

/// `value` as an integer where it is one: gauges are floats, settings are not.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked in front of the cast"
)]
fn whole(value: f64) -> Value {
    let fits = value.fract() == 0.0 && (0.0..9e15).contains(&value);
    if fits { Value::from(value as u64) } else { Value::from(value) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_settings() {
        let page = Exposition::parse(
            b"vllm:cache_config_info{_block_size_resolved=\"True\",block_size=\"128\",engine=\"0\",\
              cache_dtype=\"auto\",enable_prefix_caching=\"True\",gpu_memory_utilization=\"0.92\",\
              num_gpu_blocks=\"16384\",sliding_window=\"None\",kv_skip=\"[]\"} 1.0\n\
              vllm:cache_config_info{block_size=\"128\",engine=\"1\",num_gpu_blocks=\"9\"} 1.0\n",
        );
        let settings = InEffect::from_metrics(&page);
        let value = |name: &str| settings.get(name).unwrap().value.clone();
        assert_eq!(value("block-size"), json!(128));
        assert_eq!(value("kv-cache-dtype"), json!("auto"));
        assert_eq!(value("enable-prefix-caching"), json!(true));
        assert_eq!(value("gpu-memory-utilization"), json!(0.92));
        assert_eq!(value("sliding-window"), Value::Null);
        assert_eq!(value("kv-skip"), json!([]));
        assert_eq!(value("num-gpu-blocks"), json!(16384));
        assert_eq!(settings.len(), 7);
        assert_eq!(settings.remarks().len(), 1, "the engines differ: {:?}", settings.remarks());
    }

    #[test]
    fn gauges_of_dynamo() {
        let page = Exposition::parse(
            b"dynamo_frontend_model_max_num_seqs{model=\"tiny\"} 256\n\
              dynamo_frontend_model_context_length{model=\"tiny\"} 0\n",
        );
        let settings = InEffect::from_metrics(&page);
        assert_eq!(settings.get("max-num-seqs").unwrap().value, json!(256));
        assert_eq!(settings.len(), 1);
        assert_eq!(whole(0.5), json!(0.5));
        assert_eq!(whole(f64::NAN), Value::Null);
    }

    #[test]
    fn the_first_model() {
        let model = ModelInfo {
            id: "tiny".to_owned(),
            max_model_len: Some(4096),
            root: Some("models/tiny".to_owned()),
            owned_by: None,
        };
        let settings = InEffect::from_models(&[model, ModelInfo::default()]);
        assert_eq!(settings.text("served-model-name").as_deref(), Some("tiny"));
        assert_eq!(settings.text("model").as_deref(), Some("models/tiny"));
        assert_eq!(settings.number("max-model-len"), Some(4096.0));
        assert!(InEffect::from_models(&[]).is_empty());
    }

    proptest! {
        /// No bytes make the parsers panic, and what is no page says nothing.
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = InEffect::from_metrics(&Exposition::parse(&bytes));
            if serde_json::from_slice::<Value>(&bytes).is_err() {
                prop_assert!(InEffect::from_props(&bytes).is_empty());
            }
        }
    }
}
