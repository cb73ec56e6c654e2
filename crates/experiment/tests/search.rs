//! Searches end to end, on queues of the simulator whose capacity is known by construction. Nothing is
//! asserted of how long anything took, nor of how near the capacity a busy machine lets a search come
//! beyond wide limits.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use plimsoll_analysis::{Goal, Stopped};
use plimsoll_experiment::{
    Event, Interrupt, MatrixSource, Plan, Progress, RunOptions, RunResult, Silent, judge_folder,
    run,
};
use plimsoll_records::{
    FindingCode, OfferedLoad, ResultsFolder, RunStatus, Severity, Tool, Verdict, read_point,
};

/// Two servers of 40 ms each: 50 requests a second.
const QUEUE: &str = r#"
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
search = { precision = 0.05, time = "20s", requests = 3000 }
"#;

fn measure(
    matrix: &str,
    results: &Path,
    interrupt: &Interrupt,
    progress: &mut dyn Progress,
) -> RunResult {
    let plan = Plan::new(MatrixSource::new(Path::new("m.toml"), matrix.to_owned())).unwrap();
    let tool = Tool { name: "test".to_owned(), version: "0".to_owned(), commit: None };
    let options = RunOptions { results: results.to_owned(), tool };
    run(&plan, &options, interrupt, progress).unwrap()
}

#[test]
fn a_search_finds_what_a_queue_sustains_and_its_folder_says_so_again() {
    let folder = tempfile::tempdir().unwrap();
    let matrix = format!("{QUEUE}[slo]\n\"e2e-p90\" = \"400ms\"\n");
    let result = measure(&matrix, folder.path(), &Interrupt::new(), &mut Silent);
    assert_eq!(result.manifest.status, RunStatus::Complete);
    let group = &result.judgement.groups[0];
    let [capacity, slo] = group.searches.as_slice() else {
        panic!("{:?}, {:?}", group.searches, result.manifest.remarks)
    };
    assert_eq!(
        (capacity.config.goal, slo.config.goal),
        (Goal::Capacity, Goal::Slo { attainment: 0.9 })
    );

    // One request alone takes the 40 ms of its service at least, so no climb can begin above 25.
    assert!(capacity.config.from <= 25.0, "{:?}", capacity.config);
    if capacity.found.stopped == Stopped::Precision {
        // No queue completes more than its servers can; what a busy machine takes from it is not much.
        let found = group.saturation.capacity_per_s.unwrap();
        assert!((40.0..52.5).contains(&found.value), "{found:?}");
        assert!(!group.saturation.lower_bound && found.low < found.high, "{found:?}");
        assert!(!result.judgement.findings.iter().any(|f| f.code == FindingCode::NoPlateau));
        assert_ne!(result.judgement.verdict, Verdict::Invalid);
    }
    let probes = &capacity.found.probes;
    assert!(probes.iter().any(|probe| !probe.stable), "a queue is overloaded at last: {probes:?}");

    // Points of the run like any other: in the manifest, in order, with rows and seeds of their own.
    let results = ResultsFolder::open(&result.folder).unwrap();
    let ids = &result.manifest.points;
    assert!(ids[0].starts_with("probe-001-rate-"), "{ids:?}");
    assert!(ids.is_sorted(), "{ids:?}");
    let mut seeds = Vec::new();
    let (mut requests, mut last_end) = (0, None);
    for (id, point) in ids.iter().zip(&result.points) {
        let OfferedLoad::Open { rate_per_s, seed, .. } = point.load else { panic!("{id}") };
        assert!(id.ends_with(&format!("rate-{rate_per_s}")), "{id} at {rate_per_s}");
        seeds.push(seed);
        let probe = point.probe.as_ref().unwrap();
        assert!(id.contains(&format!("probe-{:03}-", probe.number + 1)), "{id}");
        if let Some(end) = last_end
            && probe.number > 0
        {
            // A self-test between them is not counted, and there is none.
            assert_eq!(probe.since_ns, end, "{id}");
        }
        last_end = Some(point.phases.end_ns);
        let rows = read_point(&results.point(id).unwrap()).unwrap();
        assert!(rows.complete && !rows.rows.is_empty(), "{id}");
        requests += rows.rows.len() as u64;
    }
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), ids.len(), "fresh arrivals for each");
    assert_eq!(capacity.found.requests + slo.found.requests, requests);
    let summary = results.read_summary().unwrap();
    assert!(
        summary
            .iter()
            .zip(&result.points)
            .all(|(row, point)| { row.probe == point.probe.as_ref().map(|probe| probe.number) })
    );
    let said = |word: &str| result.manifest.remarks.iter().any(|remark| remark.contains(word));
    assert!(said("search: capacity ") && said("search: SLO capacity "));

    // Short windows say nothing against the capacity.
    let short = result.judgement.findings.iter().filter(|f| f.code == FindingCode::WindowShort);
    assert!(short.clone().all(|finding| finding.severity == Severity::Note));

    let again = judge_folder(&result.folder).unwrap().judgement;
    assert_eq!(again.groups[0].saturation, group.saturation);
    for (again, first) in again.groups[0].searches.iter().zip(&group.searches) {
        assert_eq!((&again.found, again.void), (&first.found, first.void));
    }
}

/// Raises an interrupt in the middle of the second probe.
struct Impatient(Interrupt, usize);

impl Progress for Impatient {
    fn event(&mut self, event: Event) {
        match event {
            Event::PointStarted { number, .. } => self.1 = number,
            Event::Tick(_) if self.1 == 2 => self.0.raise(),
            _ => {}
        }
    }
}

#[test]
fn an_interrupted_search_says_what_it_had_found() {
    let folder = tempfile::tempdir().unwrap();
    let interrupt = Interrupt::new();
    // Rungs far below the capacity: it keeps up with both.
    let matrix = QUEUE.replace("time =", "from = 1, time =");
    let mut progress = Impatient(interrupt.clone(), 0);
    let result = measure(&matrix, folder.path(), &interrupt, &mut progress);
    assert_eq!(result.manifest.status, RunStatus::Interrupted);
    assert_eq!(result.points.len(), 2);
    let group = &result.judgement.groups[0];
    let [search] = group.searches.as_slice() else { panic!("{:?}", group.searches) };
    assert_eq!(search.found.stopped, Stopped::Interrupted);
    assert!(search.found.probes.len() <= 1, "what was cut off is no evidence");
    assert!(result.manifest.remarks.iter().any(|remark| remark.ends_with("it was cut off")));
    let again = judge_folder(&result.folder).unwrap().judgement;
    assert_eq!(again.groups[0].searches[0].found, search.found);
}

#[test]
fn a_server_that_refuses_voids_probes_and_ends_the_search() {
    let folder = tempfile::tempdir().unwrap();
    // With room for one request, most of those that come at nine times the rate of its service are
    // refused.
    let matrix = QUEUE
        .replace("max-num-seqs = 2", "max-num-seqs = 1, max-num-queued-reqs = 1")
        .replace("time =", "from = 25, time =");
    let result = measure(&matrix, folder.path(), &Interrupt::new(), &mut Silent);
    assert_eq!(result.manifest.status, RunStatus::Complete);
    let group = &result.judgement.groups[0];
    let [search] = group.searches.as_slice() else { panic!("{:?}", group.searches) };
    assert_eq!((search.found.stopped, search.void), (Stopped::Void, 3));
    assert_eq!((search.found.capacity_per_s, search.found.probes.len()), (None, 0));
    assert!(search.found.requests > 0, "what was void had its price");
    assert_eq!(group.saturation.voided.len(), 3);
    assert_eq!(result.judgement.verdict, Verdict::Invalid);
    let errors = result.judgement.findings.iter().filter(|f| f.severity == Severity::Error);
    assert!(errors.clone().any(|finding| finding.code == FindingCode::ErrorsExcluded));
}
