//! What vLLM's own defaults may be, as far as there is evidence of them.
//!
//! They are needed for one question only: a server that lists its arguments leaves out those that are
//! as by default, so a declared value that is not listed and may be a default is no sign that it got
//! lost. Nor is it a sign that it is in effect: defaults differ with the version and the machine, and
//! nothing here is ever taken for the server's own word. The values are what vLLM 0.32 reports of itself
//! on a CPU (`/server_info`), what the logs of vLLM 0.9.2 on a GPU show, each started without the
//! flag, and what the documentation of versions between them gives.

use serde_json::{Value, json};

use super::{InEffect, name, value};

/// What is known of the defaults of a setting.
enum Known {
    /// They are among these.
    Among(Vec<Value>),
    /// They depend on the model, the machine or the version in ways that are not known here.
    Anything,
    /// It is no setting of vLLM's, or nothing is set without it.
    Nothing,
}

/// Whether a server that does not list the setting `name` may have `declared` by default.
///
/// A switch that is off and a value that is unset always may: most are so by default, and nothing is
/// written on the command line for many of them. `all` is what the server says of other settings.
pub(crate) fn may_be_default(name: &str, declared: &Value, all: &InEffect) -> bool {
    if is_off(declared) {
        return true;
    }
    if let Some((configuration, _key)) = name.split_once('.') {
        return match known(configuration) {
            // What a configuration holds by default is not known.
            Known::Among(_) | Known::Anything => true,
            // Where there is no configuration, no key of it is in effect.
            Known::Nothing => false,
        };
    }
    // `disable-x` that is on is `enable-x` that is off.
    let opposite = name::opposite(name).map(|opposite| known(&opposite));
    if value::flag(declared) == Some(true)
        && let Some(Known::Among(defaults)) = opposite
        && defaults.contains(&json!(false))
    {
        return true;
    }
    let same = |default: &Value| value::same(name, declared, default) == Some(true);
    match known(name) {
        Known::Among(defaults) if defaults.iter().any(same) => true,
        // Without chunked prefill a whole prompt must fit.
        Known::Among(_) if name == "max-num-batched-tokens" => {
            all.get("max-model-len").is_some_and(|longest| same(&longest.value))
        }
        Known::Among(_) | Known::Nothing => false,
        Known::Anything => true,
    }
}

/// Whether a value asks for nothing: off, unset, or left to the server.
fn is_off(declared: &Value) -> bool {
    match declared {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) if matches!(text.trim(), "" | "None" | "none" | "null" | "auto") => {
            true
        }
        _ => value::flag(declared) == Some(false),
    }
}

fn known(name: &str) -> Known {
    Known::Among(match name {
        "tensor-parallel-size"
        | "pipeline-parallel-size"
        | "data-parallel-size"
        | "data-parallel-size-local"
        | "decode-context-parallel-size"
        | "prefill-context-parallel-size"
        | "nnodes"
        | "stream-interval"
        | "num-scheduler-steps"
        | "max-num-partial-prefills"
        | "max-long-partial-prefills"
        | "max-loras"
        | "renderer-num-workers" => vec![json!(1)],
        "node-rank" | "cpu-offload-gb" | "seed" | "num-lookahead-slots" | "shutdown-timeout" => {
            vec![json!(0)]
        }
        // Four per cent of the longest prompt where partial prefills are allowed.
        "long-prefill-token-threshold" => vec![json!(0)],
        "gpu-memory-utilization" => vec![json!(0.9), json!(0.92)],
        // By the GPU, and on CPUs by their number.
        "max-num-seqs" => [128, 256, 512, 1024].map(Value::from).to_vec(),
        "max-num-batched-tokens" => {
            [512, 1024, 2048, 4096, 5120, 8192, 16_384, 32_768, 65_536].map(Value::from).to_vec()
        }
        "max-seq-len-to-capture" => vec![json!(8192)],
        "max-lora-rank" => vec![json!(16)],
        "swap-space" | "mm-processor-cache-gb" => vec![json!(4)],
        "port" => vec![json!(8000)],
        "max-logprobs" => vec![json!(5), json!(20)],
        "logprobs-mode" => vec![json!("raw_logprobs")],
        "scheduling-policy" => vec![json!("fcfs")],
        "performance-mode" => vec![json!("balanced")],
        "response-role" => vec![json!("assistant")],
        "uvicorn-log-level" => vec![json!("info")],
        "prefix-caching-hash-algo" => vec![json!("builtin"), json!("sha256")],
        "enable-chunked-prefill"
        | "enable-prefix-caching"
        | "async-scheduling"
        | "use-tqdm-on-load"
        | "enable-log-requests"
        | "disable-log-requests"
        | "disable-custom-all-reduce"
        | "disable-cascade-attn"
        | "disable-hybrid-kv-cache-manager"
        | "scheduler-reserve-full-isl" => vec![json!(true), json!(false)],
        "block-size"
        | "max-model-len"
        | "device"
        | "api-server-count"
        | "distributed-executor-backend"
        | "all2all-backend"
        | "attention-backend"
        | "optimization-level"
        | "guided-decoding-backend"
        | "generation-config"
        | "worker-cls"
        | "scheduler-cls"
        | "ignore-patterns"
        | "pt-load-map-location"
        | "kv-offloading-backend"
        | "mamba-cache-mode"
        | "data-parallel-backend"
        | "expert-placement-strategy"
        | "data-parallel-address"
        | "data-parallel-rpc-port"
        | "master-addr"
        | "master-port" => return Known::Anything,
        // Unset by default.
        "speculative-config" | "kv-transfer-config" | "kv-events-config" | "ec-transfer-config" => {
            return Known::Nothing;
        }
        // The parts of vLLM's configuration, which have defaults of their own.
        _ if name.ends_with("-config") => return Known::Anything,
        _ => return Known::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SettingSource;

    fn may(name: &str, declared: &Value) -> bool {
        may_be_default(name, declared, &InEffect::default())
    }

    #[test]
    fn defaults_of_some_version_or_machine() {
        for (name, declared) in [
            ("tensor-parallel-size", json!(1)),
            ("tensor-parallel-size", json!("1")),
            ("gpu-memory-utilization", json!(0.9)),
            ("max-num-seqs", json!(256)),
            ("max-num-batched-tokens", json!(2048)),
            ("max-num-batched-tokens", json!("8K")),
            ("swap-space", json!(4)),
            ("swap-space", json!("4.0")),
            ("block-size", json!(16)),
            ("enable-chunked-prefill", json!(true)),
            ("disable-chunked-prefill", json!(true)),
            ("dtype", json!("auto")),
            ("compilation-config", json!({"level": 3})),
            ("compilation-config.cudagraph_mode", json!("FULL_AND_PIECEWISE")),
        ] {
            assert!(may(name, &declared), "{name} {declared}");
        }
    }

    #[test]
    fn what_is_off_or_unset_may_always_be() {
        for declared in
            [json!(false), json!("false"), json!("off"), Value::Null, json!("none"), json!([])]
        {
            for name in ["enforce-eager", "some-new-switch", "speculative-config.x"] {
                assert!(may(name, &declared), "{name} {declared}");
            }
        }
    }

    #[test]
    fn what_cannot_be() {
        for (name, declared) in [
            ("tensor-parallel-size", json!(2)),
            ("max-num-seqs", json!(16)),
            ("max-num-seqs", json!(32)),
            ("max-num-batched-tokens", json!(3000)),
            ("long-prefill-token-threshold", json!(64)),
            ("enforce-eager", json!(true)),
            ("quantization", json!("fp8")),
            ("speculative-config", json!({"num_speculative_tokens": 3})),
            ("speculative-config.num_speculative_tokens", json!(3)),
            ("batch-size", json!(16)),
            ("max-batched-tokens", json!(512)),
        ] {
            assert!(!may(name, &declared), "{name} {declared}");
        }
    }

    #[test]
    fn a_batch_as_long_as_the_longest_prompt() {
        let mut all = InEffect::default();
        all.say("max-model-len", json!(32_000), SettingSource::Models, false);
        assert!(may_be_default("max-num-batched-tokens", &json!(32_000), &all));
        assert!(!may_be_default("max-num-batched-tokens", &json!(31_000), &all));
    }
}
