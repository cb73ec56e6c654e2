//! The pages that tell about the server.

use serde_json::{Value, json};

use crate::http::Shared;
use crate::http::chunks::FINGERPRINT;

/// `GET /v1/models`.
pub(crate) fn models(shared: &Shared, created: u64) -> Value {
    json!({
        "object": "list",
        "data": [{
            "id": shared.profile.name,
            "object": "model",
            "created": created,
            "owned_by": "vllm",
            "root": format!("plimsoll-sim/{}", shared.profile.name),
            "parent": null,
            "max_model_len": shared.limits.max_model_len,
            "permission": [],
        }],
    })
}

/// `GET /version`.
pub(crate) fn version() -> Value {
    json!({ "version": FINGERPRINT })
}

/// `POST /tokenize`.
pub(crate) fn tokens(shared: &Shared, tokens: &[u32]) -> Value {
    json!({
        "count": tokens.len(),
        "max_model_len": shared.limits.max_model_len,
        "tokens": tokens,
        "token_strs": null,
    })
}

/// `GET /server_info`, which vLLM gives in its development mode: the settings in effect.
pub(crate) fn server_info(shared: &Shared) -> Value {
    let (settings, limits) = (&shared.settings, &shared.limits);
    json!({
        "vllm_config": {
            "model_config": {
                "model": format!("plimsoll-sim/{}", shared.profile.name),
                "served_model_name": shared.profile.name,
                "max_model_len": limits.max_model_len,
                "seed": shared.seed,
            },
            "cache_config": {
                "block_size": limits.block_size,
                "enable_prefix_caching": limits.prefix_caching,
                "num_gpu_blocks": limits.num_gpu_blocks,
                "num_gpu_blocks_override": settings.num_gpu_blocks_override,
                "kv_cache_size_tokens":
                    u64::from(limits.num_gpu_blocks) * u64::from(limits.block_size),
            },
            "parallel_config": {
                "data_parallel_size": settings.data_parallel_size,
                "tensor_parallel_size": 1,
                "pipeline_parallel_size": 1,
            },
            "scheduler_config": {
                "max_num_seqs": limits.max_num_seqs,
                "max_num_batched_tokens": limits.max_num_batched_tokens,
                "enable_chunked_prefill": limits.chunked_prefill,
                "max_num_queued_reqs": settings.max_num_queued_reqs,
                "policy": "fcfs",
                "stream_interval": settings.stream_interval,
            },
        },
        "plimsoll_sim": { "profile": shared.profile, "settings": settings },
    })
}
