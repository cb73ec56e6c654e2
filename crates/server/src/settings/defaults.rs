//! vLLM's own defaults, as far as there is evidence of them.
//!
//! They are needed for one question only: a server that lists its arguments leaves out those that are
//! as by default, so a declared default that is not listed is no sign that it got lost. The values
//! are what vLLM 0.32 reports of itself on a CPU (`/server_info`) and what the logs of vLLM 0.9.2 on a
//! GPU show, each started without the flag; and 0.9, the share of GPU memory that the documentation
//! of versions up to 0.9.2 gives. Where several are known, the version decides between them in ways
//! that are not known here.

use serde_json::{Value, json};

use super::value;

/// What is known of a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Default {
    /// The value is the one default.
    Is,
    /// The value is one of several: it depends on the version or on the machine.
    May,
    /// The value is none, or no default is known.
    Not,
}

/// Whether `declared` is the default of the setting `name`.
pub(crate) fn is_default(name: &str, declared: &Value) -> Default {
    let known = known(name);
    let matches = known.iter().any(|default| value::same(name, declared, default) == Some(true));
    match (matches, known.len()) {
        (true, 1) => Default::Is,
        (true, _) => Default::May,
        (false, _) => Default::Not,
    }
}

fn known(name: &str) -> Vec<Value> {
    match name {
        "tensor-parallel-size"
        | "pipeline-parallel-size"
        | "data-parallel-size"
        | "stream-interval"
        | "decode-context-parallel-size" => vec![json!(1)],
        "gpu-memory-utilization" => vec![json!(0.9), json!(0.92)],
        "max-num-seqs" => vec![json!(128), json!(256)],
        "block-size" => vec![json!(16), json!(128)],
        "max-num-batched-tokens" => vec![json!(2048)],
        "seed" => vec![json!(0), Value::Null],
        "cpu-offload-gb" => vec![json!(0)],
        "port" => vec![json!(8000)],
        "dtype" | "kv-cache-dtype" | "load-format" | "tokenizer-mode" | "runner" | "convert"
        | "model-impl" | "config-format" => vec![json!("auto")],
        "scheduling-policy" => vec![json!("fcfs")],
        "max-logprobs" => vec![json!(20)],
        "prefix-caching-hash-algo" => vec![json!("builtin"), json!("sha256")],
        "quantization"
        | "revision"
        | "num-gpu-blocks-override"
        | "max-num-queued-reqs"
        | "max-num-queued-tokens"
        | "speculative-config"
        | "hf-config-path" => vec![Value::Null],
        "enforce-eager"
        | "trust-remote-code"
        | "enable-expert-parallel"
        | "enable-sleep-mode"
        | "skip-tokenizer-init"
        | "enable-prompt-embeds"
        | "disable-sliding-window"
        | "disable-log-stats"
        | "disable-uvicorn-access-log"
        | "enable-prompt-tokens-details"
        | "enable-server-load-tracking"
        | "enable-request-id-headers"
        | "enable-force-include-usage" => {
            vec![json!(false)]
        }
        // By default since 0.9.2's engine, and switched off for some models.
        "enable-chunked-prefill" | "enable-prefix-caching" => vec![json!(true), json!(false)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_default_several_or_none() {
        assert_eq!(is_default("tensor-parallel-size", &json!(1)), Default::Is);
        assert_eq!(is_default("tensor-parallel-size", &json!("1")), Default::Is);
        assert_eq!(is_default("tensor-parallel-size", &json!(2)), Default::Not);
        assert_eq!(is_default("gpu-memory-utilization", &json!(0.9)), Default::May);
        assert_eq!(is_default("max-num-seqs", &json!(16)), Default::Not);
        assert_eq!(is_default("batch-size", &json!(16)), Default::Not);
    }
}
