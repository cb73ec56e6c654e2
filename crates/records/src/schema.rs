//! The Arrow schemas of the five tables: the only place that names a column.
//!
//! The rule of the types: identities and codes are unsigned; whatever may be subtracted, stamps and
//! counts, is `Int64`, because unsigned differences wrap in pandas and fail in DuckDB. Text is
//! plain `Utf8`. A column is nullable exactly where the row holds an `Option`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::error::TableError;
use crate::version::FormatVersion;

/// The key of the schemas' metadata, and of the Parquet files', that holds the format version.
pub const FORMAT_KEY: &str = "plimsoll.format";

/// The Arrow IPC stream that holds the rows of `requests` while their point runs.
pub(crate) const REQUESTS_STREAM: &str = "requests.arrows";

/// The Arrow IPC stream that holds the rows of `tokens` while their point runs.
pub(crate) const TOKENS_STREAM: &str = "tokens.arrows";

/// The latencies of the summary; each has one column a statistic of [`STATISTICS`].
pub(crate) const LATENCIES: [&str; 7] =
    ["ttft", "service_ttft", "tpot", ITL, CHUNK_GAP, "e2e", "schedule_lag"];

/// The latency of the summary that is the gap between tokens.
pub(crate) const ITL: &str = "itl";

/// The latency of the summary that is the gap between chunks, which format 1.0 called [`ITL`].
pub(crate) const CHUNK_GAP: &str = "chunk_gap";

/// The statistics of a latency of the summary.
pub(crate) const STATISTICS: [&str; 4] = ["mean", "p50", "p90", "p99"];

/// The summary's column of one statistic of one latency: `ttft_p50_ms`.
pub(crate) fn latency_column(latency: &str, statistic: &str) -> String {
    format!("{latency}_{statistic}_ms")
}

/// A table of the results folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// One row a request, everything but its chunks.
    Requests,
    /// One row a chunk that carried tokens.
    Tokens,
    /// One row a GPU in one sample.
    Gpu,
    /// One row a series of the server's metrics page in one scrape.
    Server,
    /// One row a point.
    Summary,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 5] =
        [Self::Requests, Self::Tokens, Self::Gpu, Self::Server, Self::Summary];

    /// The name of its Parquet file.
    #[must_use]
    pub const fn parquet_name(self) -> &'static str {
        match self {
            Self::Requests => "requests.parquet",
            Self::Tokens => "tokens.parquet",
            Self::Gpu => "gpu.parquet",
            Self::Server => "server.parquet",
            Self::Summary => "summary.parquet",
        }
    }

    /// Its Arrow schema, with the format version in the metadata.
    #[must_use]
    pub fn schema(self) -> SchemaRef {
        let fields = match self {
            Self::Requests => request::fields(),
            Self::Tokens => token::fields(),
            Self::Gpu => gpu::fields(),
            Self::Server => server::fields(),
            Self::Summary => {
                let mut fields = summary::fields();
                for latency in LATENCIES {
                    for statistic in STATISTICS {
                        let name = latency_column(latency, statistic);
                        fields.push(Field::new(name, DataType::Float64, true));
                    }
                }
                fields.extend(circumstance::fields());
                fields
            }
        };
        let metadata = HashMap::from([(FORMAT_KEY.to_owned(), FormatVersion::CURRENT.to_string())]);
        Arc::new(Schema::new_with_metadata(fields, metadata))
    }
}

/// Whether the values of a column are best written as their differences: stamps, and numbers that
/// count up.
pub(crate) fn is_delta_coded(field: &Field) -> bool {
    field.name().ends_with("_ns") || [request::ID, token::CHUNK].contains(&field.name().as_str())
}

/// Whether a table with this schema can be read, by the format version in its metadata.
pub(crate) fn check_format(schema: &Schema) -> Result<(), TableError> {
    let version = schema.metadata().get(FORMAT_KEY).ok_or(TableError::NoFormat)?;
    version.parse::<FormatVersion>()?.check_readable()?;
    Ok(())
}

/// Declares the columns of one table once: the constant of each name, and the list of fields.
macro_rules! columns {
    (@nullable) => { false };
    (@nullable optional) => { true };
    ($(#[$doc:meta])* $table:ident {
        $($column:ident = $name:literal: $type:ident $($optional:ident)?,)*
    }) => {
        $(#[$doc])*
        pub(crate) mod $table {
            use arrow::datatypes::{DataType, Field};

            $(pub(crate) const $column: &str = $name;)*

            pub(super) fn fields() -> Vec<Field> {
                vec![$(
                    Field::new($name, DataType::$type, columns!(@nullable $($optional)?)),
                )*]
            }
        }
    };
}

columns! {
    /// The columns of `requests`.
    request {
        ID = "id": UInt64,
        SESSION = "session": UInt64 optional,
        TURN = "turn": UInt32 optional,
        WORKER = "worker": UInt32,
        INTENDED = "intended_ns": Int64,
        DEQUEUED = "dequeued_ns": Int64,
        CONNECTED = "connected_ns": Int64 optional,
        CONNECTION = "connection": Utf8 optional,
        SENT = "sent_ns": Int64 optional,
        FIRST_BYTE = "first_byte_ns": Int64 optional,
        ROLE_CHUNK = "role_chunk_ns": Int64 optional,
        FIRST_REASONING = "first_reasoning_ns": Int64 optional,
        FIRST_ANSWER = "first_answer_ns": Int64 optional,
        LAST_TOKEN = "last_token_ns": Int64 optional,
        USAGE = "usage_ns": Int64 optional,
        DONE = "done_ns": Int64,
        RESENT = "resent": Boolean,
        OUTCOME = "outcome": Utf8,
        HTTP_STATUS = "http_status": UInt16 optional,
        ERROR = "error": Utf8 optional,
        FINISH_REASON = "finish_reason": Utf8 optional,
        PROMPT_TOKENS_PLANNED = "prompt_tokens_planned": Int64 optional,
        PROMPT_TOKENS = "prompt_tokens": Int64 optional,
        OUTPUT_TOKENS_PLANNED = "output_tokens_planned": Int64,
        OUTPUT_TOKENS = "output_tokens": Int64 optional,
        CACHED_TOKENS = "cached_tokens": Int64 optional,
        STAMP_SOURCE = "stamp_source": Utf8,
        CHUNKS = "chunks": Int64,
        CHUNKS_SHARED = "chunks_shared": Int64,
    }
}

columns! {
    /// The columns of `tokens`.
    token {
        REQUEST_ID = "request_id": UInt64,
        CHUNK = "chunk": UInt32,
        AT = "at_ns": Int64,
        TOKENS = "tokens": Int64,
        COUNTED = "counted": Boolean,
        REASONING = "reasoning": Boolean,
        SHARED = "shared": Boolean,
    }
}

columns! {
    /// The columns of `gpu`. Bit mask and Xid number are codes; what is measured may be subtracted.
    gpu {
        AT = "at_ns": Int64,
        GPU = "gpu": UInt32,
        SM_UTILISATION = "sm_utilisation_pct": Int64 optional,
        MEMORY_UTILISATION = "memory_utilisation_pct": Int64 optional,
        MEMORY_USED = "memory_used_bytes": Int64 optional,
        MEMORY_TOTAL = "memory_total_bytes": Int64 optional,
        POWER = "power_mw": Int64 optional,
        ENERGY = "energy_mj": Int64 optional,
        TEMPERATURE = "temperature_c": Int64 optional,
        SM_CLOCK = "sm_clock_mhz": Int64 optional,
        MEMORY_CLOCK = "memory_clock_mhz": Int64 optional,
        THROTTLE_REASONS = "throttle_reasons": UInt64 optional,
        PCIE_TX = "pcie_tx_kb_per_s": Int64 optional,
        PCIE_RX = "pcie_rx_kb_per_s": Int64 optional,
        PROCESSES = "processes": Int64 optional,
        PROCESSES_MEMORY = "processes_memory_bytes": Int64 optional,
        ECC_CORRECTED = "ecc_corrected": Int64 optional,
        ECC_UNCORRECTED = "ecc_uncorrected": Int64 optional,
        XID = "xid": UInt64 optional,
    }
}

columns! {
    /// The columns of `server`.
    server {
        AT = "at_ns": Int64,
        NAME = "name": Utf8,
        LABELS = "labels": Utf8,
        VALUE = "value": Float64,
    }
}

columns! {
    /// The columns of `summary`, less those of the latencies and of the circumstances.
    summary {
        POINT = "point": Utf8,
        GROUP = "group": Utf8,
        REPETITION = "repetition": UInt32,
        RATE = "rate_per_s": Float64 optional,
        CONCURRENCY = "concurrency": UInt32 optional,
        ACHIEVED_RATE = "achieved_rate_per_s": Float64,
        WINDOW = "window_s": Float64,
        DUE = "due": Int64,
        OK = "ok": Int64,
        FAILED = "failed": Int64,
        ABORTED = "aborted": Int64,
        RESENT = "resent": Int64,
        THROUGHPUT = "throughput_per_s": Float64,
        THROUGHPUT_LOW = "throughput_low_per_s": Float64 optional,
        THROUGHPUT_HIGH = "throughput_high_per_s": Float64 optional,
        OUTPUT_TOKENS = "output_tokens_per_s": Float64,
        INPUT_TOKENS = "input_tokens_per_s": Float64 optional,
        MAKESPAN_THROUGHPUT = "makespan_throughput_per_s": Float64 optional,
        GOODPUT = "goodput_per_s": Float64 optional,
        GOODPUT_SHARE = "goodput_share": Float64 optional,
        STABLE = "stable": Boolean,
        DRIFT = "drift_per_s": Float64,
        IN_FLIGHT_MEAN = "in_flight_mean": Float64,
        PROBE = "probe": UInt32 optional,
    }
}

columns! {
    /// The columns of `summary` that say what server and GPUs did meanwhile; formats before 1.2 have
    /// none of them.
    circumstance {
        QUEUE_TIME = "queue_time_mean_ms": Float64 optional,
        PREFILL_TIME = "prefill_time_mean_ms": Float64 optional,
        DECODE_TIME = "decode_time_mean_ms": Float64 optional,
        TTFT_REST = "ttft_rest_mean_ms": Float64 optional,
        PREFIX_HIT_SHARE = "prefix_hit_share": Float64 optional,
        PREEMPTIONS = "preemptions": Float64 optional,
        RUNNING_MEAN = "running_mean": Float64 optional,
        WAITING_MEAN = "waiting_mean": Float64 optional,
        KV_CACHE_USAGE_MAX = "kv_cache_usage_max": Float64 optional,
        GPUS = "gpus": UInt32 optional,
        GPU_SM_UTILISATION = "gpu_sm_utilisation_mean_pct": Float64 optional,
        GPU_POWER = "gpu_power_mean_w": Float64 optional,
        ENERGY_PER_TOKEN = "energy_j_per_output_token": Float64 optional,
        ENERGY_PER_REQUEST = "energy_j_per_request": Float64 optional,
        TOKENS_PER_W = "output_tokens_per_s_per_w": Float64 optional,
        GPU_THROTTLED_SHARE = "gpu_throttled_share": Float64 optional,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_their_unit() {
        for table in Table::ALL {
            let schema = table.schema();
            let mut names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
            for field in schema.fields() {
                if field.data_type() == &DataType::Float64 {
                    let unit = [
                        "_per_s",
                        "_s",
                        "_ms",
                        "_share",
                        "_mean",
                        "_pct",
                        "_w",
                        "_j_per_output_token",
                        "_j_per_request",
                    ];
                    // A share by its name in the server's own words, a count that is a difference of
                    // floating-point counters, and what each series has a unit of its own for.
                    let known = [
                        circumstance::KV_CACHE_USAGE_MAX,
                        circumstance::PREEMPTIONS,
                        server::VALUE,
                    ];
                    assert!(
                        unit.iter().any(|end| field.name().ends_with(end))
                            || known.contains(&field.name().as_str()),
                        "{field}"
                    );
                }
            }
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), schema.fields().len(), "{table:?}");
        }
    }

    #[test]
    fn every_schema_carries_the_format_version() {
        for table in Table::ALL {
            assert_eq!(table.schema().metadata()[FORMAT_KEY], FormatVersion::CURRENT.to_string());
        }
    }
}
