//! The dmon files of a published study, where they are at hand.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its files fails")]
#![expect(clippy::print_stdout, reason = "a test says why it skips")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use plimsoll_gpu::Dmon;

/// The study's folder; `None`, with a line that says so, where it is not.
fn study() -> Option<PathBuf> {
    let shared = env::var_os("PLIMSOLL_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let data = shared.join("data");
    if data.join("README.md").is_file() && data.join("vllm-0.9.2-qwen3-14b/dev/raw").is_dir() {
        return Some(data);
    }
    println!("skipped: {} has no study", data.display());
    None
}

/// Rows of each run's file, by the table that describes the files.
fn described(data: &Path) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(data.join("README.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let run = cells.next()?.trim_end_matches('`').to_owned();
        Some((run, cells.nth(1)?.parse().ok()?))
    });
    rows.filter(|(run, _)| run.starts_with("2025")).collect()
}

#[test]
fn the_files_of_the_study_are_read_as_they_are_described() {
    let Some(data) = study() else { return };
    let described = described(&data);
    assert_eq!(described.len(), 24);
    let mut cut = Vec::new();
    let mut foreign = Vec::new();
    for (run, lines) in &described {
        let path = data.join("vllm-0.9.2-qwen3-14b/dev/raw").join(run).join("gpu/dmon.csv");
        let dmon = Dmon::parse(&fs::read_to_string(&path).unwrap());
        assert_eq!(dmon.rows.len() as u64 + dmon.skipped_lines, *lines, "{run}");
        assert_eq!(dmon.gpus(), [0, 1, 2, 3], "{run}");
        let columns = ["sm", "mem", "enc", "dec", "jpg", "ofa"];
        assert!(dmon.rows.iter().all(|row| row.columns() == columns), "{run}");
        assert!(dmon.rows.iter().all(|row| row.sm().is_some_and(|sm| sm <= 100)), "{run}");
        if dmon.skipped_lines > 0 {
            cut.push((run.as_str(), dmon.skipped_lines));
        }
        // A run says in its name how many GPUs it used; one GPU is idle, or busy most of the time.
        let busy: Vec<u32> =
            dmon.gpus().into_iter().filter(|gpu| dmon.mean(*gpu, "sm").unwrap() > 5.0).collect();
        let used = if run.contains("G4__") { 4 } else { 1 };
        if busy.len() != used {
            foreign.push((run.as_str(), busy));
        }
        // The second day's runs have a sample each 1.3 s or so, the first day's one nearly each second.
        let samples = dmon.rows.iter().filter(|row| row.gpu == 0).count() as f64;
        let seconds = (samples + dmon.missing_samples().unwrap() as f64) / samples;
        let expected = if run.starts_with("20250721") { 1.2..1.4 } else { 1.0..1.1 };
        assert!(expected.contains(&seconds), "{run}: a sample each {seconds} s");
    }
    let medium = "20250720-174106__G1__RR10__PLmedium__B16__MBT512__TP1__DP1__Qfp16__R0";
    assert_eq!(cut, [(medium, 1)], "one file ends in the middle of a line");
    // In one run on one GPU a second one works: someone else's job, on GPU 3. The experiment's own is
    // the one that all runs of its series keep busy: GPU 1.
    let shared = "20250721-160043__SCALE_G1__RR30__PLmedium__B16";
    assert_eq!(foreign, [(shared, vec![1, 3])]);
}
