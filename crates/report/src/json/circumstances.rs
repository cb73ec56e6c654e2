//! What was really measured, for scripts: the environment, the settings, the server and its GPUs.

use plimsoll_analysis::{GpuSummary, ServerBreakdown};
use serde::Serialize;
use serde_json::{Value, json};

use super::{number, optional};
use crate::environment::{Environment, NOT_KNOWN, VLLM_VERSION};
use crate::settings::Settings;

/// The value of `environment`: a row each, by its name in lower case with `_` between words.
pub(super) fn environment(environment: &Environment) -> Value {
    let key = |name: &str| match name {
        VLLM_VERSION => "server_version".to_owned(),
        name => name.to_lowercase().replace(' ', "_"),
    };
    let known = |value: &str| (!value.starts_with(NOT_KNOWN)).then(|| value.to_owned());
    let rows = environment.rows.iter().map(|(name, value)| (key(name), json!(known(value))));
    Value::Object(rows.collect())
}

/// The value of `settings`.
pub(super) fn settings(settings: &Settings) -> Value {
    let sets = settings.sets.iter();
    sets.map(|set| json!({ "groups": set.groups, "settings": as_recorded(&set.records) })).collect()
}

/// The value of a point's `server`.
pub(super) fn server(server: &ServerBreakdown) -> Value {
    json!({
        "queue_ms": optional(server.queue_ms),
        "prefill_ms": optional(server.prefill_ms),
        "rest_ms": optional(server.rest_ms),
        "decode_ms": optional(server.decode_ms),
        "server_ttft_ms": optional(server.server_ttft_ms),
        "prefix_hit_share": optional(server.prefix_hit_share),
        "preemptions": optional(server.preemptions),
        "running_mean": optional(server.running_mean),
        "waiting_mean": optional(server.waiting_mean),
        "kv_cache_usage_max": optional(server.kv_cache_usage_max),
    })
}

/// The value of a point's `gpu`.
pub(super) fn gpu(gpu: &GpuSummary) -> Value {
    let foreign = gpu.foreign.iter().map(|process| {
        json!({
            "gpu": process.gpu,
            "pid": process.pid,
            "name": process.name,
            "memory_max_bytes": process.memory_max_bytes,
        })
    });
    json!({
        "gpus": gpu.gpus,
        "sm_utilisation_mean_pct": optional(gpu.sm_utilisation_mean_pct),
        "power_mean_w": optional(gpu.power_mean_w),
        "energy_j": optional(gpu.energy_j),
        "energy_j_per_output_token": optional(gpu.energy_j_per_output_token),
        "energy_j_per_request": optional(gpu.energy_j_per_request),
        "output_tokens_per_s_per_w": optional(gpu.output_tokens_per_s_per_w),
        "memory_used_max_bytes": gpu.memory_used_max_bytes,
        "throttled_share": optional(gpu.throttled_share),
        "foreign": foreign.collect::<Vec<_>>(),
    })
}

/// What a file says, in its own words; numbers with a fraction are rounded as everywhere.
pub(super) fn as_recorded(record: &impl Serialize) -> Value {
    serde_json::to_value(record).map_or(Value::Null, rounded)
}

fn rounded(value: Value) -> Value {
    match value {
        Value::Number(n) if n.is_f64() => n.as_f64().map_or(Value::Null, number),
        Value::Array(items) => items.into_iter().map(rounded).collect(),
        Value::Object(object) => {
            object.into_iter().map(|(key, value)| (key, rounded(value))).collect()
        }
        other => other,
    }
}
