//! The report on a run that asked how a server scales.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use plimsoll_analysis::{Group, Judgement, Question, conclude};
use plimsoll_records::{Manifest, TargetRecord, Verdict};
use plimsoll_report::{ReportInput, figures, html, json, markdown, terminal};

use crate::fixture;

const SIZES: [u32; 4] = [1, 2, 4, 8];

/// A run on servers of 1, 2, 4 and 8 replicas.
fn manifest() -> Manifest {
    let target = |n: u32| TargetRecord {
        launch: "sim".to_owned(),
        settings_declared: BTreeMap::from([("data-parallel-size".to_owned(), n.into())]),
        ..TargetRecord::default()
    };
    Manifest {
        experiment: "scaling".to_owned(),
        targets: SIZES.map(target).to_vec(),
        ..fixture::manifest()
    }
}

/// A group of each size, whose capacity is 20 n / (1 + 0.1 (n - 1)), times `more`.
fn groups(more: f64, others: &[(&str, &str)]) -> Vec<Group> {
    let group = |(number, n): (u32, u32)| {
        let size = f64::from(n);
        let mut group = fixture::group(more * 20.0 * size / (1.0 + 0.1 * (size - 1.0)));
        group.factors.insert("server.settings.data-parallel-size".to_owned(), n.to_string());
        let others = others.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        group.factors.extend(others);
        group.points.iter_mut().for_each(|point| point.server_start.number = number);
        group
    };
    (0..).zip(SIZES).map(group).collect()
}

fn judged(manifest: &Manifest, verdict: Verdict, groups: Vec<Group>) -> Judgement {
    let (conclusion, findings) = conclude(manifest, &[], &groups);
    let mut judgement = Judgement::new(verdict, groups, findings);
    (judgement.question, judgement.conclusion) = (Question::Scaling, conclusion);
    judgement
}

#[test]
fn the_headline_is_a_sentence_to_quote_and_no_size_is_dropped() {
    let manifest = manifest();
    let mut groups = groups(1.0, &[]);
    groups[1].saturation.capacity_per_s = None;
    let judgement = judged(&manifest, Verdict::Valid, groups);
    let input = ReportInput::new(&manifest, &judgement, Path::new("results/r"));
    let text = terminal(&input, 100, false);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // 8 / 1.7 = 4.706.
    for part in [
        "Scaling with data-parallel-size",
        "8 replicas do 4.71 (",
        "times what 1 does, 58.8 % of the ideal",
        "n = 2: the points do not bound it",
        "Amdahl",
        "Over the offered load",
        "The median TTFT is",
    ] {
        assert!(words.contains(part), "{part} is missing in\n{text}");
    }
    let object = json(&input);
    let family = &object["conclusion"]["families"][0];
    assert_eq!(family["counted"], "replicas");
    assert_eq!(family["sizes"].as_array().unwrap().len(), 4);
    assert_eq!(family["sizes"][1]["why_no_capacity"], "the points do not bound it");
    assert_eq!(family["scaling"]["points"].as_array().unwrap().len(), 3);
    assert!(
        (family["scaling"]["speedups"][1]["speedup"]["value"].as_f64().unwrap() - 4.70588).abs()
            < 1e-4
    );
    assert!(html(&input).unwrap().contains("n = 2: the points do not bound it"));
}

#[test]
fn two_families_have_figures_of_their_own() {
    let manifest = manifest();
    let seqs = |value| [("server.settings.max-num-seqs", value)];
    let mut all = groups(1.0, &seqs("16"));
    all.extend(groups(2.0, &seqs("64")));
    let judgement = judged(&manifest, Verdict::Valid, all);
    let input = ReportInput::new(&manifest, &judgement, Path::new("results/r"));
    let drawn = figures(&input).unwrap();
    let names: BTreeSet<_> = drawn.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), drawn.len(), "a name stands for one figure");
    let page = markdown(&input);
    for stem in ["speed-up", "karp-flatt", "throughput-by-size", "ttft-by-size", "tpot-by-size"] {
        for family in [1, 2] {
            let file = format!("{stem}-{family}.svg");
            assert!(names.contains(file.as_str()), "{file}");
            assert!(page.contains(&format!("(figs/{file})")), "{file}");
        }
    }
    let together = &drawn.iter().find(|(name, _)| name == "capacity-over-size.svg").unwrap().1;
    for seqs in ["max-num-seqs=16", "max-num-seqs=64"] {
        assert!(together.contains(seqs), "{seqs}");
        assert!(
            page.contains(&format!(
                "# Scaling with data-parallel-size (max-num-seqs={}",
                &seqs[13..]
            ))
        );
    }
}

#[test]
fn what_was_not_measured_is_said_and_an_invalid_run_claims_nothing() {
    let mut manifest = manifest();
    manifest.targets.truncate(1);
    manifest.target = manifest.targets[0].clone();
    // The servers of the others are not known, so nothing tells the groups apart.
    let judgement = judged(&manifest, Verdict::Invalid, groups(1.0, &[]));
    let input = ReportInput::new(&manifest, &judgement, Path::new("results/r"));
    let page = markdown(&input);
    assert!(!page.contains("times what 1 does"), "{page}");

    let judgement = judged(&self::manifest(), Verdict::Invalid, groups(1.0, &[]));
    let whole = self::manifest();
    let input = ReportInput::new(&whole, &judgement, Path::new("results/r"));
    let page = markdown(&input);
    assert!(page.contains("This is not a result") && !page.contains("times what 1 does"), "{page}");
    assert!(page.contains("data-parallel-size=8: there are only 4 GPUs"), "{page}");
}
