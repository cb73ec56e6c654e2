//! A run that was cut off and gone on with ends as the whole one would have.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use plimsoll_experiment::{
    Event, Interrupt, MatrixSource, Plan, Progress, ResumeError, RunOptions, RunResult, Silent,
    Unfinished, resume, run,
};
use plimsoll_records::{OfferedLoad, PointEnd, ResultsFolder, RunStatus, Tool};
use plimsoll_sim::{SimConfig, SimServer};

const LADDER: &str = r#"
[experiment]
kind = "saturation"
seed = 7
self-test = false
repetitions = 2
order = "interleaved"
[server]
model = "tiny"
[workload]
input-tokens = 32
output-tokens = 8
[load]
rates = [20, 40]
window = { warm-up = "100ms", measure = "400ms", drain-limit = "5s" }
[factors]
"server.settings.max-num-seqs" = [8, 16]
"#;

fn tool() -> Tool {
    Tool { name: "test".to_owned(), version: "0".to_owned(), commit: None }
}

/// Raises the interrupt when a number of points are over.
struct CutAfter<'a> {
    points: usize,
    interrupt: &'a Interrupt,
}

impl Progress for CutAfter<'_> {
    fn event(&mut self, event: Event) {
        if let Event::PointEnded { .. } = event {
            self.points -= 1;
            if self.points == 0 {
                self.interrupt.raise();
            }
        }
    }
}

fn begun(matrix: &Path, results: &Path, cut_after: usize) -> RunResult {
    let plan = Plan::new(MatrixSource::read(matrix).unwrap()).unwrap();
    let interrupt = Interrupt::new();
    let options = RunOptions { results: results.to_owned(), tool: tool() };
    let mut progress = CutAfter { points: cut_after, interrupt: &interrupt };
    run(&plan, &options, &interrupt, &mut progress).unwrap()
}

fn resumed(folder: &Path) -> RunResult {
    let unfinished = Unfinished::open(folder, None).unwrap();
    resume(unfinished, &tool(), &Interrupt::new(), &mut Silent).unwrap()
}

fn written(folder: &Path, text: &str) -> PathBuf {
    let file = folder.join("mine.toml");
    std::fs::write(&file, text).unwrap();
    file
}

/// Id and seed of each point, and when it was measured.
fn points(result: &RunResult) -> Vec<(String, u64, u64)> {
    result
        .points
        .iter()
        .map(|file| {
            let OfferedLoad::Open { seed, .. } = file.load else { panic!("an open loop") };
            (file.id.clone(), seed, file.phases.start_ns.as_nanos())
        })
        .collect()
}

#[test]
fn the_same_points_with_the_same_seeds_come_of_it() {
    let root = tempfile::tempdir().unwrap();
    let matrix = written(root.path(), LADDER);
    let whole = begun(&matrix, &root.path().join("whole"), usize::MAX);
    assert_eq!(whole.manifest.status, RunStatus::Complete);
    let cut = begun(&matrix, &root.path().join("cut"), 3);
    assert_eq!(cut.manifest.status, RunStatus::Interrupted);
    assert_eq!(cut.points.len(), 3);
    // As if the process had died in its fourth point: an attempt without an end.
    let folder = ResultsFolder::open(&cut.folder).unwrap();
    let attempt = folder.point(&whole.points[3].id).unwrap();
    std::fs::create_dir_all(attempt.path()).unwrap();
    std::fs::write(attempt.path().join("requests.arrows"), "half a batch").unwrap();

    let end = resumed(&cut.folder);
    assert_eq!(end.manifest.status, RunStatus::Complete);
    assert_eq!(end.folder, cut.folder);
    let seeds = |result: &RunResult| -> Vec<(String, u64)> {
        points(result).into_iter().map(|(id, seed, _)| (id, seed)).collect()
    };
    assert_eq!(seeds(&end), seeds(&whole), "by turns, there and back");
    assert_eq!(end.manifest.points, whole.manifest.points);
    // What was there is kept to the nanosecond, and time went on.
    assert_eq!(points(&end)[..3], points(&cut)[..]);
    assert!(points(&end).windows(2).all(|pair| pair[0].2 < pair[1].2), "{:?}", points(&end));
    assert_eq!(end.judgement.groups.len(), 2);
    assert!(end.manifest.remarks.iter().any(|remark| remark.contains("3 points were there")));
    assert_eq!(folder.read_summary().unwrap().len(), 8);
    let error = Unfinished::open(&cut.folder, None).unwrap_err();
    assert!(matches!(error, ResumeError::Complete { .. }), "{error}");
}

#[test]
fn a_point_that_the_interrupt_cut_short_is_measured_again() {
    let root = tempfile::tempdir().unwrap();
    let matrix = written(root.path(), &LADDER.replace("\"400ms\"", "\"700ms\""));
    let interrupt = Interrupt::new();
    let raise = interrupt.clone();
    let plan = Plan::new(MatrixSource::read(&matrix).unwrap()).unwrap();
    let options = RunOptions { results: root.path().join("cut"), tool: tool() };
    /// Raises the interrupt in the midst of the second point.
    struct Midst(Interrupt, usize);
    impl Progress for Midst {
        fn event(&mut self, event: Event) {
            match event {
                Event::PointEnded { .. } => self.1 += 1,
                Event::Tick(tick) if self.1 == 1 && tick.phase == "measure" => self.0.raise(),
                _ => {}
            }
        }
    }
    let cut = run(&plan, &options, &interrupt, &mut Midst(raise, 0)).unwrap();
    assert_eq!(cut.points.last().unwrap().ended, PointEnd::Interrupted);
    let unfinished = Unfinished::open(&cut.folder, None).unwrap();
    assert_eq!(unfinished.kept(), 1);
    let end = resume(unfinished, &tool(), &Interrupt::new(), &mut Silent).unwrap();
    assert_eq!(end.points.len(), 8);
    assert!(end.points.iter().all(|file| file.ended != PointEnd::Interrupted));
}

#[test]
fn a_search_goes_on_from_its_probes() {
    let root = tempfile::tempdir().unwrap();
    let text = LADDER
        .replace("rates = [20, 40]", "search = { from = 5, requests = 4000, time = \"20s\" }")
        .replace("repetitions = 2\norder = \"interleaved\"\n", "")
        .replace("warm-up = \"100ms\", measure = \"400ms\", ", "")
        .split("[factors]")
        .next()
        .unwrap()
        .to_owned();
    let matrix = written(root.path(), &text);
    // The second probe may spend the whole budget.
    let cut = begun(&matrix, &root.path().join("cut"), 1);
    assert_eq!(cut.points.len(), 1);
    let end = resumed(&cut.folder);
    assert_eq!(end.manifest.status, RunStatus::Complete);
    assert_eq!(points(&end)[..1], points(&cut)[..]);
    assert!(end.points.len() > 1);
    let search = |n: usize| end.points[n].probe.as_ref().unwrap().search.clone();
    assert!((1..end.points.len()).all(|n| search(n) == search(0)), "one search, not two");
    assert!(end.judgement.groups[0].saturation.capacity_per_s.is_some());
}

#[test]
fn a_resume_that_fails_or_is_cut_off_again_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let matrix = written(root.path(), LADDER);
    let cut = begun(&matrix, &root.path().join("cut"), 3);
    let ids = |folder: &Path| ResultsFolder::open(folder).unwrap().manifest().unwrap().points;
    let before = ids(&cut.folder);

    // Interrupted before anything is measured.
    let interrupt = Interrupt::new();
    interrupt.raise();
    let unfinished = Unfinished::open(&cut.folder, None).unwrap();
    let again = resume(unfinished, &tool(), &interrupt, &mut Silent).unwrap();
    assert_eq!(again.points.len(), 3);
    assert_eq!(ids(&cut.folder), before);
    assert_eq!(ResultsFolder::open(&cut.folder).unwrap().read_summary().unwrap().len(), 3);
    assert_eq!(Unfinished::open(&cut.folder, None).unwrap().kept(), 3);

    // Nobody goes on with a run that somebody is at.
    let held = Unfinished::open(&cut.folder, None).unwrap();
    let error = Unfinished::open(&cut.folder, None).unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
    drop(held);
    assert_eq!(resumed(&cut.folder).points.len(), 8);
}

/// Raises the interrupt as soon as a point has begun to measure.
struct Midst<'a>(&'a Interrupt);

impl Progress for Midst<'_> {
    fn event(&mut self, event: Event) {
        if let Event::Tick(tick) = event
            && tick.phase == "measure"
        {
            self.0.raise();
        }
    }
}

#[test]
fn a_server_that_is_gone_costs_no_point_and_no_folder() {
    let root = tempfile::tempdir().unwrap();
    for (name, kept) in [("none", 0), ("one", 1)] {
        let sim = SimServer::start(SimConfig::default()).unwrap();
        let text = LADDER
            .replace("model = \"tiny\"", &format!("launch = \"attach\"\nurl = \"{}\"", sim.url()))
            .replace("\"400ms\"", "\"700ms\"");
        let matrix = written(root.path(), text.split("[factors]").next().unwrap());
        let results = root.path().join(name);
        let cut = if kept == 0 {
            let plan = Plan::new(MatrixSource::read(&matrix).unwrap()).unwrap();
            let interrupt = Interrupt::new();
            let options = RunOptions { results, tool: tool() };
            run(&plan, &options, &interrupt, &mut Midst(&interrupt)).unwrap()
        } else {
            begun(&matrix, &results, kept)
        };
        sim.stop();
        let unfinished = Unfinished::open(&cut.folder, None).unwrap();
        assert_eq!(unfinished.kept(), kept);
        let end = resume(unfinished, &tool(), &Interrupt::new(), &mut Silent);
        match end {
            Ok(end) => assert!(kept == 1 && end.failure.is_some() && end.points.len() == 1),
            Err(error) => assert_eq!(kept, 0, "{error}"),
        }
        assert_eq!(Unfinished::open(&cut.folder, None).unwrap().kept(), kept);
    }
}

#[test]
fn a_wall_clock_behind_the_run_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let matrix = written(root.path(), LADDER);
    let cut = begun(&matrix, &root.path().join("cut"), 1);
    let folder = ResultsFolder::open(&cut.folder).unwrap();
    let mut manifest = folder.manifest().unwrap();
    // The run began two hours from now, by a clock that has been put right since.
    let mut clock = serde_json::to_value(manifest.clock).unwrap();
    let unix = clock["origin_unix_ns"].as_u64().unwrap();
    clock["origin_unix_ns"] = (unix + 7_200_000_000_000).into();
    manifest.clock = serde_json::from_value(clock).unwrap();
    folder.write_manifest(&manifest).unwrap();
    let error = Unfinished::open(&cut.folder, None).unwrap_err();
    assert!(matches!(error, ResumeError::Clock { .. }), "{error}");
}

#[test]
fn a_changed_matrix_is_refused_with_the_difference() {
    let root = tempfile::tempdir().unwrap();
    let matrix = written(root.path(), LADDER);
    let cut = begun(&matrix, &root.path().join("cut"), 1);
    written(root.path(), &LADDER.replace("[20, 40]", "[20, 60]"));
    let error = Unfinished::open(&cut.folder, None).unwrap_err().to_string();
    assert!(error.contains("mine.toml is not the matrix"), "{error}");
    assert!(error.contains("- 14: rates = [20, 40]\n+ 14: rates = [20, 60]"), "{error}");
    // Somewhere else is the one that it was begun with.
    let elsewhere = root.path().join("old.toml");
    std::fs::write(&elsewhere, LADDER).unwrap();
    assert_eq!(Unfinished::open(&cut.folder, Some(&elsewhere)).unwrap().kept(), 1);
    let error = Unfinished::open(&cut.folder, Some(&root.path().join("gone.toml"))).unwrap_err();
    assert!(error.to_string().contains("gone.toml"), "{error}");
    // The file is gone: the text in the manifest is enough.
    std::fs::remove_file(&matrix).unwrap();
    assert_eq!(Unfinished::open(&cut.folder, None).unwrap().kept(), 1);
}

#[test]
fn another_plan_from_the_same_matrix_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let matrix = written(root.path(), LADDER);
    let cut = begun(&matrix, &root.path().join("cut"), 1);
    let folder = ResultsFolder::open(&cut.folder).unwrap();
    let mut manifest = folder.manifest().unwrap();
    // As a build with another default would have resolved it.
    manifest.matrix_resolved["load"]["arrivals"] = "constant".into();
    folder.write_manifest(&manifest).unwrap();
    let error = Unfinished::open(&cut.folder, None).unwrap_err();
    assert!(matches!(error, ResumeError::OtherPlan { .. }), "{error}");
    assert!(error.to_string().contains("\"arrivals\": \"constant\""), "{error}");
}

#[test]
fn what_is_no_unfinished_run_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let error = Unfinished::open(&root.path().join("gone"), None).unwrap_err().to_string();
    assert!(error.contains("gone"), "{error}");
    let matrix = written(root.path(), LADDER);
    let cut = begun(&matrix, &root.path().join("cut"), 1);
    let folder = ResultsFolder::open(&cut.folder).unwrap();
    let mut manifest = folder.manifest().unwrap();
    manifest.matrix_resolved = serde_json::Value::Null;
    folder.write_manifest(&manifest).unwrap();
    let error = Unfinished::open(&cut.folder, None).unwrap_err();
    assert!(matches!(error, ResumeError::Imported { .. }), "{error}");
}
