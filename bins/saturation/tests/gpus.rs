//! GPUs beside a run, by an NVML library that plays a script: the sampler's real path without a card.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use plimsoll_nvml_stand_in::{Script, ScriptedGpu, ScriptedProcess, Step, Track, install};
use plimsoll_records::{FindingCode, PointFile, ResultsFolder};
use plimsoll_sim::{ModelProfile, SimConfig, SimServer};
use serde_json::Value;

/// One point of a second and a half on the simulator's small model.
const MATRIX: &str = r#"
[experiment]
kind = "saturation"
seed = 12
self-test = false
[server]
model = "tiny"
[samplers]
gpu = "required"
gpu-period = "20ms"
[workload]
input-tokens = 32
output-tokens = 16
[load]
rates = [60]
window = { warm-up = "300ms", measure = "1500ms", drain-limit = "5s" }
"#;

fn saturation(folder: &Path, library: &Path, more: &[&str]) -> Output {
    std::fs::write(folder.join("matrix.toml"), MATRIX).unwrap();
    Command::new(env!("CARGO_BIN_EXE_saturation"))
        .args(["matrix.toml", "--json", "-q"])
        .args(more)
        .current_dir(folder)
        .env("PLIMSOLL_NVML", library)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn results(output: &Output, folder: &Path) -> (Value, ResultsFolder, PointFile) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{error}");
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = ResultsFolder::open(&folder.join(object["results"].as_str().unwrap())).unwrap();
    let point = run.point(&run.manifest().unwrap().points[0]).unwrap().read_point_file().unwrap();
    (object, run, point)
}

/// A card of 300 W, by its power and by its energy at 50 samples a second.
fn card() -> ScriptedGpu {
    ScriptedGpu {
        uuid: "GPU-1".to_owned(),
        sm_utilisation_pct: Track::Then(vec![Step::Value(80)]),
        memory_utilisation_pct: Track::Then(vec![Step::Value(30)]),
        memory_used_bytes: Track::Then(vec![Step::Value(60 << 30)]),
        memory_total_bytes: Track::Then(vec![Step::Value(80 << 30)]),
        power_mw: Track::Then(vec![Step::Value(300_000)]),
        energy_mj: Track::Ramp { from: 1_000_000, step: 6_000 },
        throttle_reasons: Track::Then(vec![Step::Value(0x4)]),
        compute: vec![vec![ScriptedProcess { pid: 1, memory_bytes: Some(60 << 30) }]],
        ..ScriptedGpu::named("NVIDIA H100 80GB HBM3")
    }
}

#[test]
fn gpus_are_watched_beside_the_load() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script { gpus: vec![card(), card()], ..Script::default() };
    let library = install(&script, folder.path()).unwrap();
    let output = saturation(folder.path(), &library, &[]);
    let (object, run, point) = results(&output, folder.path());

    let machine = run.manifest().unwrap().machine;
    assert_eq!((machine.gpus.len(), machine.gpu_remark), (2, None));
    assert_eq!(machine.gpu_driver.as_deref(), Some(script.driver.as_str()));
    assert_eq!(machine.gpus[0].name, "NVIDIA H100 80GB HBM3");

    let rows = run.point(&point.id).unwrap().read_gpu().unwrap().unwrap();
    assert!(rows.len() > 40, "{}", rows.len());
    let same = |row: &plimsoll_records::GpuRow| {
        (row.sm_utilisation_pct, row.power_mw) == (Some(80), Some(300_000))
    };
    assert!(rows.iter().all(same) && rows.iter().all(|row| row.temperature_c.is_none()));
    assert_eq!(point.gpus.len(), 2);
    for window in &point.gpus {
        assert_eq!(window.sm_utilisation_mean_pct, Some(80.0));
        assert_eq!((window.power_mean_w, window.temperature_max_c), (Some(300.0), None));
        assert!(window.energy_j > Some(0.0) && window.samples > 20, "{window:?}");
        assert_eq!(window.throttled_share, Some(1.0), "the power cap holds it down");
    }
    let gpu = &object["points"][0]["gpu"];
    assert!(gpu["energy_j_per_output_token"].as_f64() > Some(0.0), "{gpu}");
    let findings = run.read_findings().unwrap();
    assert!(findings.iter().any(|finding| finding.code == FindingCode::GpuThrottled));
    let report = std::fs::read_to_string(run.path().join("report.md")).unwrap();
    assert!(report.contains("NVIDIA H100 80GB HBM3"), "the report names the card");
}

#[test]
fn a_gpu_that_is_lost_on_the_way_is_recorded_and_ends_only_a_run_that_requires_it() {
    let folder = tempfile::tempdir().unwrap();
    let lost = ScriptedGpu { lost_at_sample: Some(40), ..card() };
    let library =
        install(&Script { gpus: vec![lost], ..Script::default() }, folder.path()).unwrap();
    let required = saturation(folder.path(), &library, &["--set", "load.rates=[60, 61]"]);
    let error = String::from_utf8_lossy(&required.stderr);
    assert_eq!(required.status.code(), Some(1), "{error}");
    assert!(error.contains("samplers.gpu = \"required\"") && error.contains("lost"), "{error}");
    let object: Value = serde_json::from_slice(&required.stdout).unwrap();
    assert_eq!(
        object["points"].as_array().unwrap().len(),
        1,
        "the point is kept, and the last one"
    );

    let url =
        |sim: &SimServer| format!("server={{ launch = \"attach\", url = \"{}\" }}", sim.url());
    let model = ModelProfile::tiny();
    let sim = SimServer::start(SimConfig { model, ..SimConfig::default() }).unwrap();
    let wished = ["--set", "samplers.gpu=auto", "--set", &url(&sim)];
    let output = saturation(folder.path(), &library, &wished);
    let (object, _, point) = results(&output, folder.path());
    assert!(object["points"][0]["throughput_per_s"].as_f64() > Some(30.0), "{object}");
    let sampling = point.gpu_sampling.unwrap();
    assert!(sampling.remark.as_ref().is_some_and(|why| why.contains("lost")), "{sampling:?}");
    sim.stop();
}

#[test]
fn gpus_that_are_required_and_missing_stop_the_run_and_wished_for_ones_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("libnvidia-ml.so.1");
    let output = saturation(folder.path(), &nowhere, &[]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("samplers.gpu = \"required\"") && error.contains("NVML"), "{error}");
    assert!(!folder.path().join("results").exists(), "nothing was started");

    let output = saturation(folder.path(), &nowhere, &["--set", "samplers.gpu=auto"]);
    let (_, run, point) = results(&output, folder.path());
    let machine = run.manifest().unwrap().machine;
    assert!(machine.gpu_remark.is_some() && point.gpus.is_empty() && point.gpu_sampling.is_none());
}
