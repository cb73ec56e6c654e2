//! A run's folder judged again from its files: the same as the run said, or a clear refusal.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use plimsoll_analysis::Judgement;
use plimsoll_experiment::{
    Interrupt, MatrixSource, Plan, RunOptions, RunResult, Silent, judge_folder, run,
};
use plimsoll_records::{FindingCode, ResultsFolder, RunStatus, Tool, Verdict};
use plimsoll_sim::{ModelProfile, SimConfig, SimServer};
use tempfile::TempDir;

/// Two groups of two points, the second of which is overloaded, with an objective and self-tests.
const MATRIX: &str = r#"
[experiment]
kind = "saturation"
seed = 11
self-test = "500ms"
[server]
model = "tiny"
[workload]
input-tokens = 64
output-tokens = 32
[load]
rates = [20, 200]
window = { warm-up = "300ms", measure = "1s", drain-limit = "5s" }
[slo]
ttft-p99 = "300ms"
[factors]
"server.settings.max-num-seqs" = [2, 4]
"#;

fn measure(matrix: &str, results: &Path) -> RunResult {
    let plan = Plan::new(MatrixSource::new(Path::new("m.toml"), matrix.to_owned())).unwrap();
    let tool = Tool { name: "test".to_owned(), version: "0".to_owned(), commit: None };
    let options = RunOptions { results: results.to_owned(), tool };
    run(&plan, &options, &Interrupt::new(), &mut Silent).unwrap()
}

/// The run that every test here looks at; its folder is copied before anything is changed in it.
fn finished() -> &'static RunResult {
    static RUN: OnceLock<(TempDir, RunResult)> = OnceLock::new();
    let (_folder, result) = RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let result = measure(MATRIX, folder.path());
        (folder, result)
    });
    result
}

/// A copy of that run's folder.
fn copy() -> (TempDir, PathBuf) {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    copy(&finished().folder, &path);
    (folder, path)
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{}: no {from}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

fn refusal(path: &Path) -> String {
    judge_folder(path).unwrap_err().to_string()
}

/// What two judgements of the same rows must share. Numbers of findings may differ in their last digit:
/// `point.json` is text.
fn assert_same(again: &Judgement, first: &Judgement) {
    assert_eq!(again.verdict, first.verdict);
    assert_eq!(again.findings.len(), first.findings.len(), "{:?}", again.findings);
    for (again, first) in again.findings.iter().zip(&first.findings) {
        assert_eq!((again.code, again.severity), (first.code, first.severity));
        assert_eq!((&again.point, &again.message), (&first.point, &first.message));
        for (name, number) in &first.numbers {
            let close = (again.numbers[name] - number).abs() <= 1e-12 * number.abs();
            assert!(close, "{name}: {} for {number}", again.numbers[name]);
        }
    }
    assert_eq!(again.groups.len(), first.groups.len());
    for (again, first) in again.groups.iter().zip(&first.groups) {
        assert_eq!(again.factors, first.factors);
        assert_eq!(again.saturation, first.saturation);
        for (again, first) in again.points.iter().zip(&first.points) {
            assert_eq!((&again.id, &again.counts), (&first.id, &first.counts));
            assert_eq!(again.throughput_per_s, first.throughput_per_s);
            assert_eq!((&again.ttft, &again.e2e), (&first.ttft, &first.e2e));
        }
    }
}

#[test]
fn a_folder_judged_again_says_what_the_run_said() {
    let result = finished();
    let again = judge_folder(&result.folder).unwrap();
    assert_same(&again.judgement, &result.judgement);
    assert_eq!(again.manifest.points, result.manifest.points);
    assert_eq!(again.manifest.started, result.manifest.started);
    assert_eq!(again.points.len(), result.points.len());
    assert!(again.unfinished.is_empty());
    // There is something to be the same: two groups, an objective, and findings about points.
    assert_eq!(again.judgement.groups.len(), 2);
    let points = || again.judgement.groups.iter().flat_map(|group| &group.points);
    assert!(points().all(|point| point.goodput.is_some()), "the objective is read again");
    let overload = |code| again.judgement.findings.iter().any(|finding| finding.code == code);
    assert!(overload(FindingCode::OverloadLatency), "{:?}", again.judgement.findings);
}

#[test]
fn levels_of_a_pilot_are_read_and_not_judged() {
    let (_guard, path) = copy();
    let folder = ResultsFolder::open(&path).unwrap();
    let mut manifest = folder.manifest().unwrap();
    let from = manifest.points[0].clone();
    fs::create_dir(path.join("points/g00-pilot-0001")).unwrap();
    for file in ["point.json", "requests.parquet", "tokens.parquet"] {
        let point = |id: &str| path.join("points").join(id).join(file);
        fs::copy(point(&from), point("g00-pilot-0001")).unwrap();
    }
    manifest.points.insert(0, "g00-pilot-0001".to_owned());
    folder.write_manifest(&manifest).unwrap();
    let again = judge_folder(&path).unwrap();
    assert_same(&again.judgement, &finished().judgement);
    assert_eq!(again.points.len(), finished().points.len() + 1);
}

#[test]
fn a_killed_run_is_judged_as_far_as_it_goes() {
    let (_guard, path) = copy();
    let folder = ResultsFolder::open(&path).unwrap();
    let mut manifest = folder.manifest().unwrap();
    manifest.status = RunStatus::Running;
    folder.write_manifest(&manifest).unwrap();
    let last = manifest.points.last().unwrap();
    fs::remove_file(path.join("points").join(last).join("point.json")).unwrap();
    let again = judge_folder(&path).unwrap();
    assert_eq!(again.points.len(), finished().points.len() - 1);
    assert_eq!(again.unfinished.len(), 1);
    assert_eq!(&again.unfinished[0].point, last);
    assert!(again.unfinished[0].reason.contains("no point.json"), "{:?}", again.unfinished);
    // What was measured in whole is judged as before.
    assert_eq!(again.judgement.groups[0].saturation, finished().judgement.groups[0].saturation);
}

#[test]
fn broken_folders_are_refused_by_what_is_broken() {
    let (_guard, path) = copy();
    let points = ResultsFolder::open(&path).unwrap().manifest().unwrap().points;
    let point = path.join("points").join(&points[0]);

    let error = refusal(&path.join("gone"));
    assert!(error.contains("gone") && error.contains("cannot open"), "{error}");
    let error = refusal(&path.join("points"));
    assert!(error.contains("no manifest.json"), "{error}");

    let manifest = path.join("manifest.json");
    let good = fs::read(&manifest).unwrap();
    edit(&manifest, "300ms", "soon");
    let error = refusal(&path);
    assert!(
        error.contains("manifest.json: matrix_resolved: slo") && error.contains("soon"),
        "{error}"
    );
    fs::write(&manifest, &good).unwrap();
    edit(&manifest, "\"ttft-p99\"", "\"ttfb-p99\"");
    let error = refusal(&path);
    assert!(error.contains("slo.ttfb-p99: write METRIC-pQUANTILE"), "{error}");
    let format = ResultsFolder::open(&path).unwrap().manifest().unwrap().format.to_string();
    edit(&manifest, &format!("\"format\": \"{format}\""), "\"format\": \"9.0\"");
    let error = refusal(&path);
    assert!(error.contains("format is 9.0"), "{error}");
    fs::write(&manifest, &good).unwrap();

    let requests = point.join("requests.parquet");
    let whole = fs::read(&requests).unwrap();
    fs::write(&requests, &whole[..whole.len() / 2]).unwrap();
    let error = refusal(&path);
    assert!(error.contains("cannot read") && error.contains("requests.parquet"), "{error}");
    fs::remove_file(&requests).unwrap();
    let error = refusal(&path);
    assert!(error.contains("holds no rows"), "{error}");
    // As if the process had died before its point had ended, which `point.json` denies.
    fs::write(point.join("requests.arrows"), b"").unwrap();
    let error = refusal(&path);
    assert!(error.contains(&points[0]) && error.contains("the point ended"), "{error}");
    fs::write(&requests, &whole).unwrap();

    // The tokens of a point with fewer requests: some requests lack theirs.
    let overloaded = path.join("points").join(&points[1]);
    fs::copy(point.join("tokens.parquet"), overloaded.join("tokens.parquet")).unwrap();
    let error = refusal(&path);
    assert!(error.contains(&points[1]) && error.contains("lacks tokens of"), "{error}");

    fs::remove_file(point.join("point.json")).unwrap();
    let error = refusal(&path);
    assert!(error.contains("point.json"), "a complete run has them all: {error}");
}

#[test]
fn a_group_left_out_for_its_settings_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let sim = SimServer::start(SimConfig { model: ModelProfile::tiny(), ..SimConfig::default() });
    let sim = sim.unwrap();
    let server = format!(
        "[server]\nlaunch = \"attach\"\nurl = \"{}\"\nsettings = {{ max-model-len = 77 }}\n",
        sim.url()
    );
    let (matrix, _) = MATRIX.split_once("[factors]").unwrap();
    let result = measure(&matrix.replace("[server]\n", &server), folder.path());
    assert_eq!(result.judgement.verdict, Verdict::Invalid);
    assert_eq!(result.judgement.findings[0].code, FindingCode::SettingNotApplied);
    let again = judge_folder(&result.folder).unwrap();
    assert_same(&again.judgement, &result.judgement);
    sim.stop();
}
