//! `load.requests`: exactly so many, and none after the last.

use std::path::Path;

use plimsoll_analysis::PeerTool;
use plimsoll_experiment::{Interrupt, MatrixSource, Plan, RunOptions, Silent, printed, run};
use plimsoll_records::{OfferedLoad, PointEnd, ResultsFolder, Tool, read_point};

/// Two servers of 40 ms each: 50 requests a second, offered 20 and 200.
const MATRIX: &str = r#"
[experiment]
kind = "saturation"
seed = 3
self-test = false
[server]
model = "queue"
settings = { max-num-seqs = 2 }
[workload]
input-tokens = 16
output-tokens = 4
[load]
rates = [20, 200]
requests = 60
"#;

#[test]
fn every_rate_gets_so_many_requests_and_the_server_runs_empty() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::new(MatrixSource::new(Path::new("m.toml"), MATRIX.to_owned())).unwrap();
    let tool = Tool { name: "test".to_owned(), version: "0".to_owned(), commit: None };
    let options = RunOptions { results: folder.path().to_owned(), tool };
    let result = run(&plan, &options, &Interrupt::new(), &mut Silent).unwrap();
    assert_eq!(result.points.len(), 2);
    let results = ResultsFolder::open(&result.folder).unwrap();
    for point in &result.points {
        let rows = read_point(&results.point(&point.id).unwrap()).unwrap().rows;
        assert_eq!(rows.len(), 60, "{}", point.id);
        assert_eq!(rows.iter().filter(|row| row.outcome.is_ok()).count(), 60, "{}", point.id);
        // Overload ends nothing early, and the window ends with the last arrival.
        assert_eq!(point.ended, PointEnd::Complete, "{}", point.id);
        let last = rows.iter().map(|row| row.intended).max().unwrap();
        let end = point.phases.measure_end_ns;
        assert!(last < end && (end - last).as_nanos() < 1_000, "{last:?} {end:?}");
        assert!(point.phases.measure_start_ns < last, "{:?}", point.phases);
        let OfferedLoad::Open { arrivals, .. } = &point.load else { panic!("{:?}", point.load) };
        assert_eq!(arrivals, "poisson, 60 requests");
    }
    let group = &result.judgement.groups[0];
    let keep_up: Vec<bool> = group.points.iter().map(|point| group.keeps_up(point)).collect();
    assert_eq!(keep_up, [true, false], "{:?}", group.saturation);
    // What the tool that measures so would have printed: all of them over all the time it took.
    let shown = printed(&result.folder, &result.judgement, &[PeerTool::Vllm]).unwrap();
    assert_eq!(shown.iter().map(|shown| shown.completed).collect::<Vec<_>>(), [60, 60]);
}
