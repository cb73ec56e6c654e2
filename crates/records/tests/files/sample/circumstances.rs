//! What a run may know of the server and the GPUs that it measured, the same each time.

use std::collections::BTreeMap;

use plimsoll_records::{
    GpuProcess, GpuRow, GpuWindow, ServerCounters, ServerRow, SettingRecord, SettingState, Tally,
    TargetRecord,
};
use plimsoll_units::RunNanos;

/// Settings in each of their states.
pub(crate) fn settings() -> Vec<SettingRecord> {
    let of = |name: &str, declared: Option<u32>, in_effect: Option<u32>, state| SettingRecord {
        name: name.to_owned(),
        declared: declared.map(Into::into),
        in_effect: in_effect.map(Into::into),
        source: in_effect.map(|_| "log: non-default args".to_owned()),
        state,
    };
    vec![
        of("block-size", None, Some(16), SettingState::Default),
        of("max-num-batched-tokens", Some(256), Some(2048), SettingState::Different),
        of("max-num-seqs", Some(256), Some(256), SettingState::Equal),
        of("seed", Some(0), None, SettingState::Unknown),
    ]
}

pub(crate) fn target() -> TargetRecord {
    TargetRecord {
        launch: "process".to_owned(),
        url: "http://127.0.0.1:8000".to_owned(),
        urls: ["http://127.0.0.1:8000", "http://127.0.0.1:8001"].map(str::to_owned).to_vec(),
        model: "qwen3-14b".to_owned(),
        server: Some("vllm".to_owned()),
        version: Some("0.9.2".to_owned()),
        max_model_len: Some(40_960),
        settings_declared: BTreeMap::from([("max-num-seqs".to_owned(), 256.into())]),
        settings: settings(),
        command: Some("vllm serve qwen3-14b --max-num-seqs 256".to_owned()),
    }
}

pub(crate) fn counters() -> ServerCounters {
    ServerCounters {
        prefix_cache_queries_tokens: Some(5120.0),
        prefix_cache_hits_tokens: Some(0.0),
        preemptions: Some(0.0),
        running_max: Some(3.0),
        waiting_max: Some(0.0),
        kv_cache_usage_max: Some(0.25),
        prompt_tokens: Some(5120.0),
        generation_tokens: Some(1248.0),
        running_mean: Some(2.5),
        waiting_mean: Some(0.0),
        waiting_share: Some(0.0),
        kv_cache_usage_mean: Some(0.125),
        queue_time_s: Some(Tally { count: 10.0, sum: 0.0625 }),
        prefill_time_s: Some(Tally { count: 10.0, sum: 0.5 }),
        decode_time_s: Some(Tally { count: 10.0, sum: 12.5 }),
        ttft_s: Some(Tally { count: 10.0, sum: 0.5625 }),
        e2e_s: Some(Tally { count: 10.0, sum: 13.5 }),
        step_tokens: Some(Tally { count: 100.0, sum: 6368.0 }),
        restarted: false,
    }
}

pub(crate) fn gpu_window() -> GpuWindow {
    GpuWindow {
        gpu: 0,
        samples: 200,
        used: Some(true),
        sm_utilisation_mean_pct: Some(91.5),
        sm_utilisation_max_pct: Some(100.0),
        memory_utilisation_mean_pct: Some(45.25),
        memory_utilisation_max_pct: Some(60.0),
        memory_used_max_bytes: Some(72 << 30),
        memory_total_bytes: Some(80 << 30),
        power_mean_w: Some(512.5),
        power_max_w: Some(640.0),
        energy_j: Some(10_250.0),
        temperature_max_c: Some(66.0),
        sm_clock_mean_mhz: Some(1_905.5),
        sm_clock_min_mhz: Some(1_650.0),
        memory_clock_mean_mhz: Some(2_619.0),
        throttled_share: Some(0.125),
        throttle_reasons: vec!["software power cap".to_owned()],
        pcie_tx_mean_mb_per_s: Some(12.5),
        pcie_rx_mean_mb_per_s: Some(25.0),
        ecc_corrected: Some(0),
        ecc_uncorrected: Some(0),
        xids: vec![31],
        processes: vec![GpuProcess {
            pid: 4_242,
            name: Some("vllm".to_owned()),
            memory_max_bytes: Some(70 << 30),
            own: Some(true),
        }],
    }
}

/// A sample of a GPU that offers everything, and of one that offers next to nothing.
pub(crate) fn gpu_rows() -> Vec<GpuRow> {
    let at = RunNanos::from_nanos;
    vec![
        GpuRow {
            at: at(100_000_000),
            gpu: 0,
            sm_utilisation_pct: Some(92),
            memory_utilisation_pct: Some(45),
            memory_used_bytes: Some(72 << 30),
            memory_total_bytes: Some(80 << 30),
            power_mw: Some(512_500),
            energy_mj: Some(8_000_051_250),
            temperature_c: Some(66),
            sm_clock_mhz: Some(1_905),
            memory_clock_mhz: Some(2_619),
            throttle_reasons: Some(4),
            pcie_tx_kb_per_s: Some(12_500),
            pcie_rx_kb_per_s: Some(25_000),
            processes: Some(1),
            processes_memory_bytes: Some(70 << 30),
            ecc_corrected: Some(0),
            ecc_uncorrected: Some(0),
            xid: Some(31),
        },
        GpuRow {
            at: at(100_400_000),
            gpu: 1,
            memory_used_bytes: Some(1 << 30),
            ..GpuRow::default()
        },
    ]
}

/// Two scrapes of three series, one of them without labels.
pub(crate) fn server_rows() -> Vec<ServerRow> {
    let row = |at: u64, name: &str, labels: &str, value| ServerRow {
        at: RunNanos::from_nanos(at),
        name: name.to_owned(),
        labels: labels.to_owned(),
        value,
    };
    let model = r#"engine="0",model_name="qwen3-14b""#;
    [(1_000_000_000, 3.0, 0.0625), (2_001_000_000, 2.0, 0.125)]
        .into_iter()
        .flat_map(|(at, running, queued)| {
            [
                row(at, "process_start_time_seconds", "", 1_750_000_000.25),
                row(at, "vllm:num_requests_running", model, running),
                row(at, "vllm:request_queue_time_seconds_sum", model, queued),
            ]
        })
        .collect()
}
