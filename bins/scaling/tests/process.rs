//! The binary as its users run it: sizes of the simulator, and replicas behind URLs of their own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use plimsoll_records::{ResultsFolder, read_point};
use plimsoll_sim::{ModelProfile, Settings, SimConfig, SimServer};
use serde_json::Value;

/// What is asked of each server: so little that a busy machine keeps up, in short windows.
const LOAD: &str = r#"
[experiment]
kind = "scaling"
seed = 3
self-test = false
[samplers]
metrics-period = "200ms"
[workload]
input-tokens = 16
output-tokens = 20
[load]
rates = [12, 40]
window = { warm-up = "300ms", measure = "1500ms", drain-limit = "10s" }
"#;

fn scaling(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scaling"));
    command.current_dir(folder).env_remove("PLIMSOLL_LOG").stdin(Stdio::null());
    command.args(arguments).output().unwrap()
}

fn matrix(folder: &Path, more: &str) -> String {
    let file = folder.join("matrix.toml");
    std::fs::write(&file, format!("{LOAD}{more}")).unwrap();
    file.display().to_string()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The one object that a run prints.
fn object(output: &Output) -> Value {
    // A busy machine may make the client late, and then the tool must say so: 0 and 3 both are runs.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The one folder under `results/`.
fn results(folder: &Path) -> PathBuf {
    let mut runs = std::fs::read_dir(folder.join("results")).unwrap();
    runs.next().unwrap().unwrap().path()
}

/// A queue of four servers of 200 ms each: 20 requests a second.
fn queue(truth: Option<PathBuf>, model: ModelProfile) -> SimServer {
    let settings = Settings { max_num_seqs: 4, ..Settings::default() };
    SimServer::start(SimConfig { model, settings, truth, ..SimConfig::default() }).unwrap()
}

#[test]
fn sizes_of_the_simulator_end_in_a_conclusion() {
    let folder = tempfile::tempdir().unwrap();
    // Three replicas in each other's way: 60 requests a second would be 60 / 1.5.
    let file = matrix(
        folder.path(),
        r#"
[server]
model = "queue"
settings = { max-num-seqs = 4, scaling-contention = 0.25 }
[factors]
replicas = [
  { name = "one", server.settings.data-parallel-size = 1 },
  { name = "three", server.settings.data-parallel-size = 3, load.rates = [24, 80] },
]
"#,
    );
    let output = scaling(folder.path(), &[&file, "--json", "--quiet"]);
    let object = object(&output);
    let conclusion = &object["conclusion"];
    assert_eq!(conclusion["experiment"], "scaling");
    let family = &conclusion["families"][0];
    assert_eq!(
        (&family["counted"], &family["grows"][0]),
        (&"replicas".into(), &"data-parallel-size".into())
    );
    let sizes: Vec<_> =
        family["sizes"].as_array().unwrap().iter().map(|size| size["n"].clone()).collect();
    assert_eq!(sizes, [1.0, 3.0]);
    // 40 / 20; the windows are short and the machine may be busy.
    if let Some(gain) = family["scaling"]["speedups"][0]["speedup"]["value"].as_f64() {
        assert!((1.2..3.4).contains(&gain), "{gain}");
    }
    let run = results(folder.path());
    let page = std::fs::read_to_string(run.join("report.md")).unwrap();
    assert!(page.contains("Scaling with data-parallel-size"), "{page}");
}

#[test]
fn replicas_behind_urls_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let truth = |name: &str| folder.path().join(name);
    let (a, b) = (
        queue(Some(truth("a")), ModelProfile::queue()),
        queue(Some(truth("b")), ModelProfile::queue()),
    );
    let file = matrix(folder.path(), "");
    let urls = [a.url(), b.url()];
    let output =
        scaling(folder.path(), &[&file, "--url", &urls[0], "--url", &urls[1], "--json", "--quiet"]);
    let object = object(&output);
    let family = &object["conclusion"]["families"][0];
    assert_eq!(family["grows"][0], "urls", "{family}");
    let sizes: Vec<_> =
        family["sizes"].as_array().unwrap().iter().map(|size| size["n"].clone()).collect();
    assert_eq!(sizes, [1.0, 2.0]);
    drop((a, b));

    let run = ResultsFolder::open(&results(folder.path())).unwrap();
    let manifest = run.manifest().unwrap();
    let of: Vec<_> = manifest.targets.iter().map(|target| target.urls.len()).collect();
    assert_eq!(of, [0, 2], "one URL alone, then both");
    // Which server a request reached is asked of the servers: by the hash of its body's end.
    let reached = |name: &str| {
        let text = std::fs::read_to_string(truth(name)).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["arrival_monotonic_ns"].as_u64()).collect::<Vec<_>>()
    };
    let arrivals: BTreeMap<&str, Vec<u64>> =
        [("a", reached("a")), ("b", reached("b"))].into_iter().collect();
    let mut checked = 0;
    for id in manifest.points.iter().filter(|id| id.starts_with("g01")) {
        let dir = run.point(id).unwrap();
        let point = dir.read_point_file().unwrap();
        assert_eq!(point.server_start.replicas, 2);
        assert!(point.server.running_max.is_some(), "both pages were read");
        let rows = read_point(&dir).unwrap().rows;
        let sent = rows.iter().filter(|row| row.sent.is_some()).count();
        let phases = &point.phases;
        let of = |name: &str| {
            let clock = &manifest.clock;
            let ends =
                [phases.start_ns, phases.end_ns].map(|at| clock.monotonic(at).as_nanos() as u64);
            arrivals[name].iter().filter(|at| (ends[0]..=ends[1]).contains(*at)).count()
        };
        let (to_a, to_b) = (of("a"), of("b"));
        assert!(
            to_a.abs_diff(to_b) <= 1 + sent.abs_diff(to_a + to_b),
            "{id}: {to_a} and {to_b} of {sent}"
        );
        assert!(to_b > 0, "{id}");
        checked += 1;
        let rows = dir.read_server().unwrap().unwrap();
        for url in &urls {
            let label = format!("plimsoll_url=\"{url}\"");
            assert!(rows.iter().any(|row| row.labels.contains(&label)), "{label}");
        }
    }
    assert_eq!(checked, 2);
}

#[test]
fn what_cannot_be_replicas_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = matrix(folder.path(), "");
    let (a, other) = (queue(None, ModelProfile::queue()), queue(None, ModelProfile::tiny()));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{nobody}");
    let refused = |urls: &[&str], matrix: Option<&str>| {
        let flags = urls.iter().flat_map(|url| ["--url", url]);
        let arguments: Vec<_> = matrix.into_iter().chain(flags).collect();
        let output = scaling(folder.path(), &arguments);
        (output.status.code(), stderr(&output))
    };
    // One size of which nothing scales.
    let (code, text) = refused(&[&a.url()], None);
    assert!(code == Some(2) && text.contains("give --url once for each replica"), "{text}");
    // The same one twice.
    let (code, text) = refused(&[&a.url(), &a.url()], Some(&file));
    assert!(code == Some(2) && text.contains("stands there twice"), "{text}");
    // One of the two is not there.
    let pair = format!("\n[server]\nlaunch = \"attach\"\nurls = [\"{}\", \"{nobody}\"]\n", a.url());
    let file = matrix(folder.path(), &pair);
    let (code, text) = refused(&[], Some(&file));
    assert!(code == Some(4) && text.contains(&nobody), "{text}");
    // They serve different models.
    let pair = pair.replace(&nobody, &other.url());
    let file = matrix(folder.path(), &pair);
    let (code, text) = refused(&[], Some(&file));
    let words = format!("{} serves tiny, the first replica queue", other.url());
    assert!(code == Some(2) && text.contains(&words) && text.contains("server.urls"), "{text}");
}
