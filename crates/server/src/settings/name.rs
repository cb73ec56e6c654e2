//! Settings have many spellings; each is known here by one.

/// Names that say the same as a flag of vLLM: fields of its configuration, short flags, and the
/// words of older versions.
const ALIASES: [(&str, &str); 14] = [
    ("max-seq-len", "max-model-len"),
    ("context-length", "max-model-len"),
    ("chunked-prefill-enabled", "enable-chunked-prefill"),
    ("cache-dtype", "kv-cache-dtype"),
    ("device-config", "device"),
    ("policy", "scheduling-policy"),
    ("kv-cache-memory", "kv-cache-memory-bytes"),
    ("tp", "tensor-parallel-size"),
    ("pp", "pipeline-parallel-size"),
    ("dp", "data-parallel-size"),
    ("q", "quantization"),
    ("np", "parallel"),
    ("vllm-version", "version"),
    ("model-path", "model"),
];

/// The settings and facts that belong in every table of a server: those of the environment, and
/// those that decide how much it can take.
const WELL_KNOWN: [&str; 30] = [
    "version",
    "model",
    "served-model-name",
    "dtype",
    "quantization",
    "kv-cache-dtype",
    "tensor-parallel-size",
    "pipeline-parallel-size",
    "data-parallel-size",
    "enable-expert-parallel",
    "max-model-len",
    "max-num-seqs",
    "max-num-batched-tokens",
    "max-num-queued-reqs",
    "gpu-memory-utilization",
    "enable-chunked-prefill",
    "enable-prefix-caching",
    "enforce-eager",
    "async-scheduling",
    "scheduling-policy",
    "speculative-config",
    "stream-interval",
    "block-size",
    "num-gpu-blocks",
    "kv-cache-size-tokens",
    "kv-cache-max-concurrency",
    "load-format",
    "device",
    "seed",
    "parallel",
];

/// Whether `name` belongs in every table of a server's settings; vLLM has a hundred more, most of
/// them of interest to nobody.
///
/// ```
/// assert!(plimsoll_server::well_known("max-num-seqs"));
/// assert!(plimsoll_server::well_known("max_num_seqs"));
/// assert!(!plimsoll_server::well_known("hf-config-path"));
/// ```
#[must_use]
pub fn well_known(name: &str) -> bool {
    WELL_KNOWN.contains(&canonical(name).as_str())
}

/// The one spelling of `name`: vLLM's flag without dashes in front. What stands behind a dot is a key
/// inside a configuration (`compilation-config.cudagraph_mode`) and stays as it is.
pub(crate) fn canonical(name: &str) -> String {
    let name = name.trim().trim_start_matches('-');
    let (flag, keys) = name.split_at(name.find('.').unwrap_or(name.len()));
    let flag = flag.replace('_', "-");
    let known = ALIASES.iter().find(|(alias, _)| *alias == flag);
    let flag = known.map_or(flag.as_str(), |(_, name)| name);
    format!("{flag}{keys}")
}

/// The setting that a declaration is about, and whether it says the opposite: `--no-enable-x` is
/// `enable-x` negated.
pub(crate) fn declared(name: &str) -> (String, bool) {
    let name = canonical(name);
    match name.strip_prefix("no-") {
        Some(positive) => (canonical(positive), true),
        None => (name, false),
    }
}

/// The switch that says the opposite of `name`, where it is a switch by its name.
pub(crate) fn opposite(name: &str) -> Option<String> {
    name.strip_prefix("disable-")
        .map(|rest| format!("enable-{rest}"))
        .or_else(|| name.strip_prefix("enable-").map(|rest| format!("disable-{rest}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_leads_to_the_flag() {
        for (written, name) in [
            ("max_num_seqs", "max-num-seqs"),
            ("--max-num-seqs", "max-num-seqs"),
            (" max-num-seqs ", "max-num-seqs"),
            ("max_seq_len", "max-model-len"),
            ("chunked_prefill_enabled", "enable-chunked-prefill"),
            ("-tp", "tensor-parallel-size"),
            ("batch_size", "batch-size"),
            ("--compilation_config.cudagraph_mode", "compilation-config.cudagraph_mode"),
            ("", ""),
        ] {
            assert_eq!(canonical(written), name, "{written}");
        }
    }

    #[test]
    fn aliases_lead_to_names_that_are_no_aliases() {
        for (_, name) in ALIASES {
            assert_eq!(canonical(name), name);
        }
        for name in WELL_KNOWN {
            assert_eq!(canonical(name), name);
        }
    }

    #[test]
    fn negated_switches() {
        assert_eq!(declared("no-enable-chunked-prefill"), ("enable-chunked-prefill".into(), true));
        assert_eq!(declared("no_enable_prefix_caching"), ("enable-prefix-caching".into(), true));
        assert_eq!(declared("enforce-eager"), ("enforce-eager".into(), false));
        assert_eq!(opposite("disable-log-requests").as_deref(), Some("enable-log-requests"));
        assert_eq!(opposite("enable-x").as_deref(), Some("disable-x"));
        assert_eq!(opposite("max-num-seqs"), None);
    }
}
