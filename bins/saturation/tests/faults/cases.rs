//! The faults, a function each: plants, measures, gives the findings.

use std::fs;
use std::path::Path;
use std::time::Duration;

use plimsoll_experiment::judge_folder;
use plimsoll_nvml_stand_in::{Script, ScriptedGpu, ScriptedProcess, Step, Track, install};
use plimsoll_records::{Finding, OfferedLoad};
use plimsoll_sim::{Fault, FaultKind, Settings, SimConfig};
use plimsoll_stepped_clock::STEP_MS;

use crate::bench::{Bench, Matrix, attach, sim};
use crate::proxy;

/// A window of a second and a bit.
const WINDOW: &str =
    "window = { warm-up = \"300ms\", measure = \"1200ms\", drain-limit = \"10s\" }";

const SHORT: &str = "input-tokens = 64\noutput-tokens = 16";

/// One worker thread that is to send twelve thousand requests a second.
pub(crate) fn overwhelmed_client(bench: &Bench) -> Vec<Finding> {
    let server = sim("1ms", Settings::default(), SimConfig::default());
    let load = "rates = [12000]\n\
                window = { warm-up = \"200ms\", measure = \"500ms\", drain-limit = \"20s\" }";
    bench.findings(&Matrix {
        server: &attach(&server.url()),
        workload: "input-tokens = 32\noutput-tokens = 1",
        load,
        more: "[client]\nworkers = 1",
    })
}

/// Requests of a second in a window of one and a half, at a rate that is kept up with.
pub(crate) fn long_requests(bench: &Bench) -> Vec<Finding> {
    let server = sim("10ms", Settings::default(), SimConfig::default());
    let load = "arrivals = \"constant\"\nrates = [30]\n\
                window = { warm-up = \"1200ms\", measure = \"1500ms\", drain-limit = \"10s\" }";
    let workload = "input-tokens = 32\noutput-tokens = 100";
    bench.findings(&Matrix { server: &attach(&server.url()), workload, load, more: "" })
}

/// Arrivals that get fewer: what is in flight falls all through the window.
pub(crate) fn falling_arrivals(bench: &Bench) -> Vec<Finding> {
    let server = sim("10ms", Settings::default(), SimConfig::default());
    let load = "arrivals = { ramp = { to = 5, over = \"3s\" } }\nrates = [120]\n\
                window = { warm-up = \"1200ms\", measure = \"2500ms\", drain-limit = \"10s\" }";
    let workload = "input-tokens = 32\noutput-tokens = 100";
    bench.findings(&Matrix { server: &attach(&server.url()), workload, load, more: "" })
}

/// A KV cache that admits more requests than it can hold to their end, at four times the capacity.
pub(crate) fn little_memory(bench: &Bench) -> Vec<Finding> {
    let settings = Settings {
        max_num_seqs: 16,
        max_model_len: Some(512),
        num_gpu_blocks_override: Some(40),
        ..Settings::default()
    };
    let server = sim("5ms", settings, SimConfig::default());
    let load = format!("rates = [60]\n{WINDOW}");
    let workload = "input-tokens = 64\noutput-tokens = 64";
    bench.findings(&Matrix { server: &attach(&server.url()), workload, load: &load, more: "" })
}

/// Once a client has found out what the server can do: other lengths than asked for, usage that is
/// off, several tokens in a chunk, a template applied twice, and every tenth request refused.
pub(crate) fn wrong_counts(bench: &Bench) -> Vec<Finding> {
    const FIRST: u64 = 8;
    let faults = vec![
        Fault::from(FIRST, FaultKind::LostMaxTokens { becomes: 20 }),
        Fault::from(FIRST, FaultKind::UsageOff { tokens: 2 }),
        Fault::from(FIRST, FaultKind::TemplateTwice { tokens: 12 }),
        Fault { every: 10, after: FIRST, kind: FaultKind::Status { code: 500 } },
    ];
    let settings = Settings { stream_interval: 4, ..Settings::default() };
    let server = sim("2ms", settings, SimConfig { faults, ..SimConfig::default() });
    let load = format!("rates = [40]\n{WINDOW}");
    bench.findings(&Matrix {
        server: &attach(&server.url()),
        workload: SHORT,
        load: &load,
        more: "",
    })
}

/// The first requests reach the engine 200 ms late: those of the warm-up and some of the window's.
pub(crate) fn slow_start(bench: &Bench) -> Vec<Finding> {
    let slow = FaultKind::SlowFirst { requests: 44, extra: "200ms".parse().unwrap() };
    let config = SimConfig { faults: vec![Fault::always(slow)], ..SimConfig::default() };
    let server = sim("2ms", Settings::default(), config);
    // Evenly, for a burst at the window's start would be an excuse.
    let load = "arrivals = \"constant\"\nrates = [60]\n\
                window = { warm-up = \"300ms\", measure = \"3s\", drain-limit = \"10s\" }";
    bench.findings(&Matrix { server: &attach(&server.url()), workload: SHORT, load, more: "" })
}

/// A file with one prompt, and a cap on requests in flight below what the rate needs.
pub(crate) fn one_prompt(bench: &Bench) -> Vec<Finding> {
    let prompt = serde_json::json!({ "prompt": "the same words again ".repeat(40) });
    fs::write(bench.path().join("prompts.jsonl"), format!("{prompt}\n")).unwrap();
    let server = sim("5ms", Settings::default(), SimConfig::default());
    let load = format!("rates = [60]\nmax-in-flight = 2\n{WINDOW}");
    bench.findings(&Matrix {
        server: &attach(&server.url()),
        workload: "prompts = \"prompts.jsonl\"\noutput-tokens = 16",
        load: &load,
        more: "",
    })
}

/// A server that dies in mid-window, and another in its place half a second later.
pub(crate) fn restart(bench: &Bench) -> Vec<Finding> {
    let servers = [(); 2].map(|()| sim("2ms", Settings::default(), SimConfig::default()));
    let addresses = [servers[0].addr(), servers[1].addr()];
    let proxy = proxy::start(addresses, 50, Duration::from_millis(500));
    let load = "rates = [30]\n\
                window = { warm-up = \"300ms\", measure = \"2500ms\", drain-limit = \"10s\" }";
    let url = format!("http://{proxy}");
    bench.findings(&Matrix { server: &attach(&url), workload: SHORT, load, more: "" })
}

/// A setting that is declared and that the server does not have.
pub(crate) fn lost_setting(bench: &Bench) -> Vec<Finding> {
    let server = sim("5ms", Settings::default(), SimConfig::default());
    let declared = format!("{}\nsettings = {{ max-num-seqs = 16 }}", attach(&server.url()));
    let load = format!("rates = [20]\n{WINDOW}");
    bench.findings(&Matrix { server: &declared, workload: SHORT, load: &load, more: "" })
}

/// A card at its power limit with two processes on it, as busy at a fifth of the capacity as beyond it.
pub(crate) fn gpus(bench: &Bench) -> Vec<Finding> {
    let card = ScriptedGpu {
        sm_utilisation_pct: Track::Then(vec![Step::Value(92)]),
        memory_utilisation_pct: Track::Then(vec![Step::Value(30)]),
        throttle_reasons: Track::Then(vec![Step::Value(0x4)]),
        compute: vec![
            [1, 2].map(|pid| ScriptedProcess { pid, memory_bytes: Some(30 << 30) }).to_vec(),
        ],
        ..ScriptedGpu::named("NVIDIA H100 80GB HBM3")
    };
    let library = install(&Script { gpus: vec![card], ..Script::default() }, bench.path()).unwrap();
    // 25 requests a second: two at a time, 80 ms each.
    let settings = Settings { max_num_seqs: 2, ..Settings::default() };
    let server = sim("5ms", settings, SimConfig::default());
    let load = "rates = [5, 60]\n\
                window = { warm-up = \"300ms\", measure = \"2s\", drain-limit = \"10s\" }";
    let matrix = Matrix { server: &attach(&server.url()), workload: SHORT, load, more: "" };
    bench.run(&matrix, &[("PLIMSOLL_NVML", &library)]).read_findings().unwrap()
}

/// Two settings side by side, once each, at a rate that both keep up with.
pub(crate) fn claims(bench: &Bench) -> Vec<Finding> {
    let server = sim("5ms", Settings::default(), SimConfig::default());
    let load = format!("rates = [20]\n{WINDOW}");
    bench.findings(&Matrix {
        server: &attach(&server.url()),
        workload: SHORT,
        load: &load,
        more: "[factors]\n\"client.api\" = [\"chat\", \"completions\"]",
    })
}

/// A second repetition that is the first one again: its rows are copied over it.
pub(crate) fn one_sequence(bench: &Bench) -> Vec<Finding> {
    let server = sim("5ms", Settings::default(), SimConfig::default());
    let load = format!("rates = [60]\n{WINDOW}");
    let matrix = Matrix {
        server: &attach(&server.url()),
        workload: SHORT,
        load: &load,
        more: "repetitions = 2",
    };
    let folder = bench.run(&matrix, &[]);
    let silent = judge_folder(folder.path()).unwrap().judgement.findings;
    assert!(!has_same_arrivals(&silent), "each repetition has a seed of its own: {silent:#?}");
    let ids = folder.manifest().unwrap().points;
    let [first, second] = [0, 1].map(|n| folder.point(&ids[n]).unwrap());
    for table in ["requests.parquet", "tokens.parquet"] {
        fs::copy(first.path().join(table), second.path().join(table)).unwrap();
    }
    let mut point = first.read_point_file().unwrap();
    (point.id, point.repetition) = (ids[1].clone(), 1);
    // The seeds say nothing: the rows are what is looked at.
    if let OfferedLoad::Open { seed, .. } = &mut point.load {
        *seed += 1;
    }
    second.write_point_file(&point).unwrap();
    judge_folder(folder.path()).unwrap().judgement.findings
}

fn has_same_arrivals(findings: &[Finding]) -> bool {
    findings.iter().any(|it| it.code == plimsoll_records::FindingCode::SameArrivals)
}

/// The process's wall clock jumps by 40 ms, forward and back.
pub(crate) fn set_clock(bench: &Bench) -> Vec<Finding> {
    let server = sim("5ms", Settings::default(), SimConfig::default());
    let load = format!("rates = [30]\n{WINDOW}");
    let matrix = Matrix { server: &attach(&server.url()), workload: SHORT, load: &load, more: "" };
    let library = plimsoll_stepped_clock::library().unwrap();
    let environment = [("LD_PRELOAD", library.as_path()), (STEP_MS, Path::new("40"))];
    bench.run(&matrix, &environment).read_findings().unwrap()
}
