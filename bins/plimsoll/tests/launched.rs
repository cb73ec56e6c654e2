//! Experiments on a server that the run starts itself: `plimsoll sim` as a process of its own, and
//! what wrappers do to it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use plimsoll_analysis::Cause;
use plimsoll_experiment::{
    Interrupt, MatrixSource, Plan, RunError, RunOptions, RunResult, Silent, judge_folder, run,
};
use plimsoll_records::{
    CacheState, FindingCode, PointEnd, ResultsFolder, RunStatus, SettingState, Severity, Tool,
    Verdict, read_point,
};

const SIM: &str = env!("CARGO_BIN_EXE_plimsoll");

/// A matrix whose server is started by `command`.
fn matrix(command: &str, more: &str) -> String {
    format!(
        r#"
        [experiment]
        kind = "saturation"
        seed = 5
        self-test = false
        [server]
        launch = "process"
        command = {command:?}
        settings = {{ max-num-seqs = 4 }}
        ready-limit = "20s"
        stop-grace = "5s"
        [samplers]
        metrics-period = "100ms"
        [workload]
        input-tokens = 64
        output-tokens = 32
        [load]
        rates = [20, 300]
        window = {{ warm-up = "300ms", measure = "1200ms", drain-limit = "5s" }}
        {more}
        "#
    )
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A script that is given the server's flags.
    fn script(&self, text: &str) -> String {
        let path = self.folder.path().join("serve.sh");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, matrix: &str, sets: &[&str]) -> Result<RunResult, RunError> {
        let mut source = MatrixSource::new(&self.path("matrix.toml"), matrix.to_owned());
        sets.iter().for_each(|set| source.set(*set));
        let plan = Plan::new(source).unwrap_or_else(|error| panic!("{error}"));
        let tool = Tool { name: "test".to_owned(), version: "0".to_owned(), commit: None };
        let options = RunOptions { results: self.path("results"), tool };
        run(&plan, &options, &Interrupt::new(), &mut Silent)
    }

    /// The text of the file `name` somewhere below the one results folder.
    fn log(&self) -> String {
        let run = std::fs::read_dir(self.path("results")).unwrap().next().unwrap().unwrap().path();
        let mut text = String::new();
        for point in std::fs::read_dir(run.join("points")).unwrap() {
            let file = point.unwrap().path().join("server.log");
            text += &std::fs::read_to_string(file).unwrap_or_default();
        }
        text
    }
}

fn sim() -> String {
    format!("{SIM} sim --model tiny")
}

/// Whether a process with this word on its command line is there.
fn is_running(word: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(word)
    })
}

fn is_open(url: &str) -> bool {
    TcpStream::connect(url.trim_start_matches("http://")).is_ok()
}

#[test]
fn a_started_server_is_measured_watched_and_stopped() {
    let bench = Bench::new();
    let result = bench.run(&matrix(&sim(), ""), &[]).unwrap();
    assert_eq!(result.manifest.status, RunStatus::Complete);
    let target = &result.manifest.target;
    assert_eq!((target.launch.as_str(), result.manifest.targets.len()), ("process", 1));
    assert!(target.command.as_ref().unwrap().contains("--max-num-seqs 4"), "{target:?}");
    assert!(!is_open(&target.url), "the server is gone");

    let setting = target.settings.iter().find(|setting| setting.name == "max-num-seqs").unwrap();
    assert_eq!((setting.state, setting.in_effect.as_ref()), (SettingState::Equal, Some(&4.into())));
    assert!(setting.source.is_some());
    assert!(target.settings.iter().any(|setting| setting.state == SettingState::Default));
    assert!(bench.log().contains("READY"), "{}", bench.log());

    let folder = ResultsFolder::open(&result.folder).unwrap();
    for (file, cache) in result.points.iter().zip([CacheState::Fresh, CacheState::Reset]) {
        assert_eq!((file.server_start.number, file.server_start.prefix_cache), (0, cache));
        let rows = folder.point(&file.id).unwrap().read_server().unwrap().unwrap();
        assert!(rows.iter().any(|row| row.name == "vllm:num_requests_running"), "{}", rows.len());
        let sampling = file.server_sampling.as_ref().unwrap();
        assert!(sampling.samples > 5, "{sampling:?}");
        assert!(file.server.generation_tokens > Some(0.0), "{:?}", file.server);
    }
    let diagnosis = &result.judgement.groups[0].diagnosis;
    assert_eq!(diagnosis.answer, Some(Cause::Slots), "{diagnosis:#?}");
    assert!(diagnosis.sentence.contains("max-num-seqs"), "{}", diagnosis.sentence);
}

/// Passes everything on but `--max-num-seqs` and its value.
const DROPS_A_FLAG: &str = r#"for word; do
    shift
    if [ "$word" = --max-num-seqs ]; then skip=1; elif [ "$skip" ]; then skip=; else set -- "$@" "$word"; fi
done"#;

#[test]
fn a_flag_that_a_wrapper_drops_is_caught_before_any_load() {
    let bench = Bench::new();
    let truth = bench.path("truth.jsonl");
    let wrapper =
        bench.script(&format!("{DROPS_A_FLAG}\nexec {} --truth {} \"$@\"", sim(), truth.display()));
    let result = bench.run(&matrix(&wrapper, ""), &[]).unwrap();
    assert!(result.points.is_empty() && result.judgement.verdict == Verdict::Invalid);
    let finding = result.judgement.findings.iter();
    let finding = { finding }.find(|f| f.code == FindingCode::SettingNotApplied).unwrap();
    assert_eq!(finding.severity, Severity::Error);
    assert!(finding.message.contains("max-num-seqs"), "{}", finding.message);
    assert_eq!(result.manifest.left_out.len(), 1);
    // One token to see whether it is ready, and nothing else.
    let requests = std::fs::read_to_string(&truth).unwrap().lines().count();
    assert!(requests <= 1, "{requests} requests were sent");

    let bench = Bench::new();
    let wrapper = bench.script(&format!("{DROPS_A_FLAG}\nexec {} \"$@\"", sim()));
    let allow = "experiment.allow=[\"setting-not-applied\"]";
    let result = bench.run(&matrix(&wrapper, ""), &[allow]).unwrap();
    assert_eq!(result.points.len(), 2, "with leave it is measured");
    assert!(result.points.iter().all(|point| point.settings_allowed));
    let marks = result.judgement.findings.iter();
    let marks = marks.filter(|finding| finding.code == FindingCode::SettingNotApplied);
    let severities: Vec<_> = marks.map(|finding| (finding.severity, finding.was)).collect();
    assert_eq!(severities, [(Severity::Warning, Some(Severity::Error)); 2], "and marked");
    let again = judge_folder(&result.folder).unwrap();
    assert_eq!(again.judgement.verdict, result.judgement.verdict);
    assert!(again.policy.allows(FindingCode::SettingNotApplied));
}

#[test]
fn a_server_that_never_gets_ready_ends_the_run_within_the_limit() {
    let bench = Bench::new();
    let wrapper = bench.script("echo loading weights; sleep 4711");
    let error = bench.run(&matrix(&wrapper, ""), &["server.ready-limit=1s"]).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, RunError::Launch(_)), "{text}");
    assert!(text.contains("ready") && text.contains("loading weights"), "{text}");
    assert!(!is_running("4711"), "nothing is left of it");
    assert!(bench.log().contains("loading weights"), "its log is kept");
}

#[test]
fn a_server_that_dies_at_start_says_why() {
    let bench = Bench::new();
    let wrapper = bench
        .script("echo 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate' >&2; exit 3");
    let text = bench.run(&matrix(&wrapper, ""), &[]).unwrap_err().to_string();
    assert!(text.contains('3') && text.contains("memory"), "{text}");
}

#[test]
fn a_server_that_dies_in_mid_point_ends_the_run_and_no_row_is_lost() {
    let bench = Bench::new();
    let wrapper = bench.script(&format!(
        "{} \"$@\" & server=$!; sleep 3; kill -9 $server; echo the end is near; exit 9",
        sim()
    ));
    let sets = ["load.rates=[20]", "load.window.measure=30s"];
    let result = bench.run(&matrix(&wrapper, ""), &sets).unwrap();
    assert_eq!(result.manifest.status, RunStatus::Failed);
    let point = &result.points[0];
    assert_eq!(point.ended, PointEnd::TargetLost);
    let said = result.manifest.remarks.join("\n");
    assert!(said.contains("the end is near"), "{said}");
    let folder = ResultsFolder::open(&result.folder).unwrap();
    let rows = read_point(&folder.point(&point.id).unwrap()).unwrap();
    assert!(rows.complete && rows.rows.iter().any(|row| row.outcome.is_ok()));
}

#[test]
fn children_that_a_server_leaves_behind_are_ended_with_it() {
    let bench = Bench::new();
    let wrapper = bench.script(&format!(
        "sleep 4712 & setsid sleep 4713 & (setsid sh -c 'sleep 4714 & exec sleep 4715' &)\nexec {} \"$@\"",
        sim()
    ));
    let result = bench.run(&matrix(&wrapper, ""), &["load.rates=[20]"]).unwrap();
    assert_eq!(result.points.len(), 1);
    for word in ["4712", "4713", "4714", "4715"] {
        assert!(!is_running(word), "sleep {word} is still there");
    }
    let said = result.manifest.remarks.join("\n");
    assert!(said.contains("left behind"), "{said}");
}

#[test]
fn a_server_is_started_again_only_when_its_settings_change() {
    let bench = Bench::new();
    let starts = bench.path("starts");
    let wrapper =
        bench.script(&format!("echo start >> {}\nexec {} \"$@\"", starts.display(), sim()));
    let factors = "[factors]\n\"client.api\" = [\"chat\", \"completions\"]\n\
                   \"server.settings.max-num-seqs\" = [4, 8]";
    let result = bench.run(&matrix(&wrapper, factors), &["load.rates=[20]"]).unwrap();
    assert_eq!(std::fs::read_to_string(&starts).unwrap().lines().count(), 2);
    assert_eq!((result.manifest.targets.len(), result.points.len()), (2, 4));
    let numbers: Vec<u32> = result.points.iter().map(|point| point.server_start.number).collect();
    assert_eq!(numbers, [0, 0, 1, 1]);
    for (target, slots) in result.manifest.targets.iter().zip([4, 8]) {
        let setting = target.settings.iter().find(|setting| setting.name == "max-num-seqs");
        assert_eq!(setting.unwrap().in_effect, Some(slots.into()));
    }
}

#[test]
fn wrong_keys_are_refused_before_anything_is_started() {
    let source = |text: &str| MatrixSource::new(Path::new("m.toml"), text.to_owned());
    for (set, word) in [
        ("server.url=\"http://localhost:1\"", "launch = \"attach\""),
        ("server.command=\"serve {portt}\"", "{portt}"),
        ("server.command=\"serve 'open\"", "server.command"),
        ("server.flags={ }", "max-num-seqs"),
        ("server.environment={ HF_TOKEN = \"hf_1\" }", "no secret"),
        ("server.settings.api-key=\"sk-1\"", "no secret"),
        ("server.command=\"vllm serve x --api-key sk-1\"", "no secret"),
        ("server.command=[\"vllm\", \"serve\", \"--api-key=sk-1\"]", "no secret"),
        ("server.ready-limit=\"0s\"", "0s"),
        ("samplers.gpu-period=\"1ms\"", "10ms"),
        ("samplers.metrics-period=\"1h\"", "1m"),
        ("experiment.allow=[\"no-plataeu\"]", "did you mean `no-plateau`?"),
        ("experiment.deny=[\"warning\"]", "did you mean `warnings`?"),
        (
            "experiment={ kind = \"saturation\", allow = [\"cold-start\"], deny = [\"cold-start\"] }",
            "leave one of the two",
        ),
    ] {
        let mut source = source(&matrix("vllm serve x", ""));
        source.set(set);
        let error = Plan::new(source).unwrap_err().to_string();
        assert!(error.contains(word), "{set}: {error}");
        assert!(!error.contains("sk-1") && !error.contains("hf_1"), "{error}");
    }
    let attached = "launch = \"attach\"\nurl = \"http://localhost:1\"\nlog = \"gone.log\"";
    let text = matrix("x", "").replace("launch = \"process\"", attached);
    let mut source = source(&text.replace("command = \"x\"", ""));
    source.set("server.ready-limit=\"10m\"");
    source.set("server.stop-grace=\"30s\"");
    let error = Plan::new(source).unwrap_err().to_string();
    assert!(error.contains("gone.log cannot be read"), "{error}");
}
