//! `/server_info`: the configuration of the running process, as JSON or as text.

use serde_json::Value;

use super::log::is_plain;
use super::{InEffect, SettingSource, python};

/// The sections of the configuration whose fields are flags of the server. The others configure
/// parts of it (compilation, kernels, observability), and their fields share names with flags.
const SECTIONS: [&str; 8] = [
    "model_config",
    "cache_config",
    "parallel_config",
    "scheduler_config",
    "device_config",
    "load_config",
    "lora_config",
    "offload_config",
];

/// Fields that are addresses, ranks and other circumstances of a process, not settings of it.
const CIRCUMSTANCES: [&str; 9] = [
    "data_parallel_master_ip",
    "data_parallel_master_port",
    "data_parallel_rpc_port",
    "data_parallel_rank",
    "data_parallel_rank_local",
    "data_parallel_index",
    "master_addr",
    "master_port",
    "rank",
];

impl InEffect {
    /// The settings in the body of `/server_info`: both forms that vLLM gives (`?config_format=json`
    /// and text) and the simulator's. Anything else gives nothing.
    ///
    /// ```
    /// use plimsoll_server::InEffect;
    ///
    /// let json = br#"{"vllm_config": {"scheduler_config": {"max_num_seqs": 128}}}"#;
    /// assert_eq!(InEffect::from_server_info(json).number("max-num-seqs"), Some(128.0));
    /// let text = br#"{"vllm_config": "model='models/tiny', max_seq_len=4096"}"#;
    /// assert_eq!(InEffect::from_server_info(text).number("max-model-len"), Some(4096.0));
    /// ```
    #[must_use]
    pub fn from_server_info(body: &[u8]) -> Self {
        let mut settings = Self::default();
        let Ok(page) = serde_json::from_slice::<Value>(body) else { return settings };
        let mut say = |name: &str, value: &Value| {
            let circumstance = name.starts_with('_') || CIRCUMSTANCES.contains(&name);
            if circumstance {
                return;
            }
            if is_plain(value) {
                settings.say(name, value.clone(), SettingSource::ServerInfo, false);
            } else if value.is_object() {
                settings.show(name, value.clone(), SettingSource::ServerInfo);
            }
        };
        match page.get("vllm_config") {
            Some(Value::String(text)) => {
                for (name, value) in python::assignments(text) {
                    say(&name, &value);
                }
            }
            Some(Value::Object(config)) => {
                for section in SECTIONS {
                    let Some(Value::Object(fields)) = config.get(section) else { continue };
                    for (name, value) in fields {
                        // A folder to load from has a device of its own.
                        if section == "load_config" && name == "device" {
                            continue;
                        }
                        say(name, value);
                    }
                }
                // Whole configurations, which are looked into for declared settings only.
                for (name, part) in config {
                    let section = SECTIONS.contains(&name.as_str());
                    if part.is_object() && !section || name == "speculative_config" {
                        say(name, part);
                    }
                }
            }
            _ => {}
        }
        if let Some(version) = page.pointer("/system_env/vllm_version").filter(|v| v.is_string()) {
            say("version", version);
        }
        // The simulator has settings that no vLLM has. Those that it was not given are in effect as
        // the configuration above says.
        if let Some(Value::Object(own)) = page.pointer("/plimsoll_sim/settings") {
            for (name, value) in own.iter().filter(|(_, value)| !value.is_null()) {
                say(name, value);
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn sections_become_flags() {
        let page = json!({
            "vllm_config": {
                "model_config": {"model": "models/tiny", "dtype": "torch.bfloat16",
                    "quantization": null, "hf_token": "secret", "seed": 0},
                "cache_config": {"cache_dtype": "auto", "_private": 1, "num_gpu_blocks": 16384},
                "parallel_config": {"rank": 0, "eplb_config": {"policy": "default"}},
                "scheduler_config": {"max_num_seqs": 128, "policy": "fcfs"},
                "device_config": {"device": "cpu"},
                "load_config": {"device": null},
                "attention_config": {"backend": "x"},
            },
            "vllm_env": {"VLLM_PORT": 1},
            "system_env": {"vllm_version": "0.32.0"},
        });
        let settings = InEffect::from_server_info(page.to_string().as_bytes());
        let names: Vec<_> = settings.iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "device",
                "dtype",
                "hf-token",
                "kv-cache-dtype",
                "max-num-seqs",
                "model",
                "num-gpu-blocks",
                "quantization",
                "scheduling-policy",
                "seed",
                "version"
            ]
        );
        assert_eq!(settings.text("device").as_deref(), Some("cpu"));
        assert_eq!(settings.text("hf-token").as_deref(), Some("(hidden)"));
        assert_eq!(settings.get("quantization").unwrap().value, Value::Null);
        assert!(settings.remarks().is_empty());
    }

    #[test]
    fn the_simulators_own_settings() {
        let page = json!({
            "vllm_config": {"scheduler_config": {"max_num_seqs": 64}},
            "plimsoll_sim": {"settings": {"max_num_seqs": 64, "num_gpu_blocks_override": null,
                "fault": "none"}},
        });
        let settings = InEffect::from_server_info(page.to_string().as_bytes());
        assert_eq!(settings.number("max-num-seqs"), Some(64.0));
        assert!(settings.get("num-gpu-blocks-override").is_none());
        assert!(settings.get("fault").is_some());
    }

    proptest! {
        /// No page makes the parser panic, and what is no page says nothing.
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".*") {
            if serde_json::from_slice::<Value>(&bytes).is_err() {
                prop_assert!(InEffect::from_server_info(&bytes).is_empty());
            }
            let _ = InEffect::from_server_info(json!({ "vllm_config": text }).to_string().as_bytes());
        }
    }
}
