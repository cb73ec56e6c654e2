//! A run whose server and GPUs were watched: vLLM on two GPUs, started by the run, with eight slots and
//! one setting that did not reach it.

use plimsoll_analysis::{
    Ceilings, ForeignProcess, GpuSummary, Judgement, PointSummary, ServerBreakdown,
};
use plimsoll_records::{
    GpuProcess, GpuWindow, Manifest, PointFile, SamplingRecord, ServerCounters, SettingRecord,
    SettingState, TargetRecord,
};
use serde_json::{Value, json};

use crate::fixture;

/// A run with its point files.
pub(crate) struct Run {
    pub(crate) manifest: Manifest,
    pub(crate) judgement: Judgement,
    pub(crate) files: Vec<PointFile>,
}

/// The machine of such a run: two GPUs, in a container.
fn machine(manifest: &mut Manifest) {
    let gpu = |gpu: u32| {
        json!({
            "gpu": gpu, "name": "NVIDIA H100 80GB HBM3", "uuid": format!("GPU-{gpu}"),
            "memory_bytes": 85_899_345_920_u64, "power_limit_mw": 700_000, "sm_clock_max_mhz": 1980
        })
    };
    let machine = &mut manifest.machine;
    machine.container = Some("docker".to_owned());
    machine.gpus = serde_json::from_value(json!([gpu(0), gpu(1)])).expect("they are GPUs");
    machine.gpu_driver = Some("570.86.15".to_owned());
    machine.cuda = Some("12.8".to_owned());
    machine.gpu_links =
        serde_json::from_value(json!([{"a": 0, "b": 1, "link": "NV18"}])).expect("it is a link");
}

pub(crate) fn setting(
    name: &str,
    declared: Value,
    in_effect: Value,
    source: &str,
) -> SettingRecord {
    let known = |value: Value| (value != json!("?")).then_some(value);
    let (declared, in_effect) = (known(declared), known(in_effect));
    let state = match (&declared, &in_effect) {
        (None, _) => SettingState::Default,
        (Some(_), None) => SettingState::Unknown,
        (a, b) if a == b => SettingState::Equal,
        _ => SettingState::Different,
    };
    let source = (!source.is_empty()).then(|| source.to_owned());
    SettingRecord { name: name.to_owned(), declared, in_effect, source, state }
}

/// The settings of a server with `slots` slots on `replicas` GPUs.
fn settings(slots: u64, replicas: u64) -> Vec<SettingRecord> {
    let (log, info) = ("log: non-default args", "/server_info");
    let engine = "log: engine configuration";
    let filled = |name: &str, value: Value| setting(name, json!("?"), value, info);
    let mut settings = vec![
        filled("block-size", json!(16)),
        filled("enable-chunked-prefill", json!(true)),
        setting("max-num-seqs", json!(slots), json!(slots), log),
        setting("data-parallel-size", json!(replicas), json!(replicas), log),
        setting("max-num-batched-tokens", json!(256), json!(2048), engine),
        setting("scheduling-policy", json!("fcfs"), json!("?"), ""),
        filled("dtype", json!("bfloat16")),
        filled("enable-prefix-caching", json!(true)),
        filled("gpu-memory-utilization", json!(0.9)),
        filled("kv-cache-dtype", json!("auto")),
        filled("model", json!("Qwen/Qwen3-14B")),
        filled("pipeline-parallel-size", json!(1)),
        filled("quantization", Value::Null),
        filled("seed", json!(0)),
        filled("stream-interval", json!(1)),
        filled("swap-space", json!(4)),
        filled("tensor-parallel-size", json!(1)),
        filled("tokenizer-mode", json!("auto")),
        filled("trust-remote-code", json!(false)),
    ];
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    settings
}

fn target(slots: u64, replicas: u64) -> TargetRecord {
    let records = settings(slots, replicas);
    let declared = records.iter().filter_map(|s| Some((s.name.clone(), s.declared.clone()?)));
    TargetRecord {
        launch: "process".to_owned(),
        url: "http://127.0.0.1:18000".to_owned(),
        urls: vec![],
        model: "qwen3-14b".to_owned(),
        server: Some("vllm".to_owned()),
        version: Some("0.9.2".to_owned()),
        max_model_len: Some(40_960),
        settings_declared: declared.collect(),
        settings: records,
        command: Some(format!("vllm serve Qwen/Qwen3-14B --max-num-seqs {slots}")),
    }
}

/// What the server says of a point.
fn server(point: &PointSummary) -> ServerBreakdown {
    let rate = point.load.rate_per_s().unwrap_or(1.0);
    let stable = point.stability.stable;
    let queue = if stable { rate * rate / 60.0 } else { rate * 100.0 };
    ServerBreakdown {
        queue_ms: Some(queue),
        prefill_ms: Some(24.0 + rate / 5.0),
        decode_ms: Some(2_000.0 + rate * 20.0),
        server_ttft_ms: Some(queue + 26.0 + rate / 5.0),
        rest_ms: Some(if rate > 15.0 { 4.5 } else { -0.4 }),
        prefix_hit_share: Some(0.0),
        preemptions: Some(if stable { 0.0 } else { 3.0 }),
        running_mean: Some((rate / 4.0).min(8.0)),
        waiting_mean: Some(if stable { rate / 100.0 } else { rate * 2.0 }),
        kv_cache_usage_max: Some((rate / 200.0).min(0.31)),
    }
}

fn window(gpu: u32, rate: f64) -> GpuWindow {
    let process = |pid, name: &str, gib: u64, own| GpuProcess {
        pid,
        name: Some(name.to_owned()),
        memory_max_bytes: Some(gib << 30),
        own,
    };
    let mut processes = vec![process(4_100 + gpu, "VLLM::EngineCore", 70, Some(true))];
    if gpu == 1 && rate > 25.0 {
        processes.push(process(7_777, "train.py", 3, Some(false)));
    }
    GpuWindow {
        gpu,
        samples: 200,
        used: Some(true),
        sm_utilisation_mean_pct: Some(88.0 + rate / 10.0),
        sm_utilisation_max_pct: Some(100.0),
        memory_utilisation_mean_pct: Some(30.0 + rate / 4.0),
        memory_utilisation_max_pct: Some(71.0),
        memory_used_max_bytes: Some(75_161_927_680),
        memory_total_bytes: Some(85_899_345_920),
        power_mean_w: Some(300.0 + rate * 5.0),
        power_max_w: Some(412.0 + rate * 5.0),
        energy_j: Some((300.0 + rate * 5.0) * 20.0),
        temperature_max_c: Some(61.0),
        sm_clock_mean_mhz: Some(1_962.5),
        sm_clock_min_mhz: Some(1_590.0),
        memory_clock_mean_mhz: Some(2_619.0),
        throttled_share: Some(if rate > 45.0 { 0.031 } else { 0.0 }),
        throttle_reasons: if rate > 45.0 { vec!["SW power cap".to_owned()] } else { vec![] },
        pcie_tx_mean_mb_per_s: Some(12.5),
        pcie_rx_mean_mb_per_s: Some(40.2),
        ecc_corrected: Some(0),
        ecc_uncorrected: Some(0),
        xids: vec![],
        processes,
    }
}

fn spent(point: &PointSummary, windows: &[GpuWindow]) -> GpuSummary {
    let power = windows.iter().filter_map(|window| window.power_mean_w).sum::<f64>();
    let tokens = point.output_tokens_per_s.value;
    let foreign = windows.iter().flat_map(|window| {
        let foreign = window.processes.iter().filter(|process| process.own == Some(false));
        foreign.map(|process| ForeignProcess {
            gpu: window.gpu,
            pid: process.pid,
            name: process.name.clone(),
            memory_max_bytes: process.memory_max_bytes,
        })
    });
    GpuSummary {
        gpus: windows.iter().map(|window| window.gpu).collect(),
        sm_utilisation_mean_pct: windows[0].sm_utilisation_mean_pct,
        power_mean_w: Some(power),
        energy_j: Some(power * 20.0),
        energy_j_per_output_token: Some(power / tokens),
        energy_j_per_request: Some(power / tokens * 128.0),
        output_tokens_per_s_per_w: Some(tokens / power),
        memory_used_max_bytes: windows[0].memory_used_max_bytes,
        throttled_share: windows[0].throttled_share,
        foreign: foreign.collect(),
    }
}

/// What the server's gauges and settings say of a point, as the audit reads them.
fn gauges(point: &mut PointSummary) {
    let said = server(point);
    let stable = point.stability.stable;
    let (running, waiting) = (said.running_mean, said.waiting_mean);
    point.counters = ServerCounters {
        running_mean: running,
        running_max: running.map(f64::ceil),
        waiting_mean: waiting,
        waiting_share: Some(if stable { 0.05 } else { 0.97 }),
        kv_cache_usage_max: said.kv_cache_usage_max,
        preemptions: said.preemptions,
        ..ServerCounters::default()
    };
    point.ceilings = Ceilings { running: Some(8.0), step_tokens: Some(2048.0) };
    if !stable {
        point.stability.in_flight_mean = running.unwrap_or_default() + waiting.unwrap_or_default();
    }
    point.server = Some(said);
}

/// The matrix of such a run.
fn matrix() -> Value {
    json!({
        "experiment": {"kind": "saturation", "repetitions": 1, "seed": 7, "self-test": "2s"},
        "server": {
            "launch": "process", "command": "vllm serve Qwen/Qwen3-14B", "service": "vllm",
            "settings": {"max-num-seqs": 8, "max-num-batched-tokens": 256}
        },
        "workload": {"input-tokens": 512, "output-tokens": 128},
        "load": {
            "arrivals": "poisson", "rates": [10.0, 20.0, 30.0, 40.0, 50.0, 60.0],
            "window": {"warm-up": "auto", "measure": "20s", "drain-limit": "1m"}
        },
        "samplers": {"gpu": "auto", "gpu-period": "100ms", "metrics-period": "1s"},
        "slo": {"ttft-p99": "500ms", "tpot-p99": "60ms"},
        "factors": {"server.settings.data-parallel-size": [1, 2]}
    })
}

/// Fills in what was seen, on a server with as many replicas as the place of the group.
fn observe(mut manifest: Manifest, mut judgement: Judgement) -> Run {
    machine(&mut manifest);
    manifest.matrix_resolved = matrix();
    let mut files = fixture::point_files(&judgement);
    let sampling = |period: f64| SamplingRecord {
        period_ms: period,
        samples: (20_000.0 / period) as u64,
        failed: 0,
        longest_gap_ms: period * 1.04,
        cpu_share: Some(0.004),
        remark: None,
    };
    for (place, group) in judgement.groups.iter_mut().enumerate() {
        let replicas = place as u64 + 1;
        manifest.targets.push(target(8, replicas));
        for point in &mut group.points {
            let rate = point.load.rate_per_s().expect("the loop is open");
            let gpus: Vec<_> = (0..2).map(|gpu| window(gpu, rate)).collect();
            gauges(point);
            point.gpu = Some(spent(point, &gpus));
            let file = files.iter_mut().find(|file| file.id == point.id).expect("it has one");
            file.gpus = gpus;
            file.settings = settings(8, replicas);
            file.server_start.number = place as u32;
            file.server_sampling = Some(sampling(1_000.0));
            file.gpu_sampling = Some(sampling(100.0));
        }
        *group = fixture::diagnosed(std::mem::take(group));
    }
    manifest.target = manifest.targets[0].clone();
    Run { manifest, judgement, files }
}

/// One group.
pub(crate) fn one_group() -> Run {
    observe(fixture::manifest(), fixture::valid())
}

/// Two groups that differ in one declared setting.
pub(crate) fn several_groups() -> Run {
    observe(fixture::manifest(), fixture::several_groups())
}
