//! Several runs in one report.

#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a path to the method is of one lifetime, and does not compile"
)]

use std::path::Path;

use insta::assert_snapshot;
use plimsoll_analysis::Judgement;
use plimsoll_records::Manifest;
use plimsoll_report::{Gate, ReportInput, Together};
use serde_json::json;

use crate::fixture;

/// The same server on another version, with another setting in the matrix, a week later.
fn later() -> Manifest {
    let mut manifest = fixture::manifest();
    manifest.started = "2026-01-08T00:00:00Z".to_owned();
    manifest.seed = 8;
    manifest.target.version = Some("0.10.0".to_owned());
    manifest.matrix_resolved["server"] = json!({ "settings": { "max-num-seqs": 128 } });
    manifest.matrix_resolved["load"] = json!({ "rates": [10, 20, 30, 40, 50, 60] });
    manifest
}

fn shown<T>(runs: &[(&Manifest, &Judgement, &str)], show: impl FnOnce(&Together<'_>) -> T) -> T {
    let inputs: Vec<_> = runs
        .iter()
        .map(|(manifest, judgement, path)| ReportInput::new(manifest, judgement, Path::new(path)))
        .collect();
    show(&Together { runs: &inputs })
}

#[test]
fn two_runs_are_held_beside_each_other() {
    let (old, new) = (fixture::manifest(), later());
    let (first, mut second) = (fixture::valid(), fixture::qualified());
    second.groups[0].saturation.capacity_per_s = Some(fixture::about(40.04, 0.016));
    let runs = [(&old, &first, "results/jan-1"), (&new, &second, "results/jan-8")];
    assert_snapshot!(shown(&runs, |it| it.terminal(100, false)));
    assert_snapshot!(shown(&runs, |it| it.markdown()));
    let object = shown(&runs, |it| it.json());
    assert_eq!(object["runs"][1]["name"], "jan-8");
    assert_eq!(object["runs"][1]["findings"], json!({ "error": 0, "warning": 5, "note": 1 }));
    // 36.4 to 40.04 is 1.1; 1.2 % and 1.6 % make 2 %.
    assert_eq!(object["ratios"].as_array().unwrap().len(), 1);
    let ratio = &object["ratios"][0];
    assert_eq!((&ratio["run"], &ratio["value"]), (&json!("jan-8"), &json!(1.1)));
    assert!((ratio["high"].as_f64().unwrap() - 1.1 * 0.02_f64.exp()).abs() < 1e-4, "{ratio}");
    let what: Vec<_> =
        object["differences"].as_array().unwrap().iter().map(|it| it["what"].clone()).collect();
    assert_eq!(
        what,
        ["server version", "matrix load.rates", "matrix server.settings.max-num-seqs"]
    );
    assert!(object["remark"].as_str().unwrap().contains("not by turns"));
}

#[test]
fn their_curves_are_in_one_figure_and_those_of_an_invalid_run_in_none() {
    let manifest = fixture::manifest();
    let (valid, several, invalid) =
        (fixture::valid(), fixture::several_groups(), fixture::invalid());
    let runs = [(&manifest, &valid, "a"), (&manifest, &several, "b"), (&manifest, &invalid, "c")];
    let figures = shown(&runs, |it| it.figures()).unwrap();
    let names: Vec<_> = figures.iter().map(|(name, _)| name.as_str()).collect();
    let stems = ["throughput", "ttft", "tpot", "trade-off"];
    assert_eq!(names, stems.map(|stem| format!("{stem}-by-run.svg")));
    for (_, svg) in &figures {
        assert!(svg.contains("b: data-parallel-size=1") && svg.contains("b: data-parallel-size=2"));
        assert!(!svg.contains("\nc\n"), "{svg}");
    }
    let text = shown(&runs, |it| it.terminal(100, false));
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("c must not be reported as a result"), "{text}");
    assert!(words.contains("1 of 3 runs invalid"), "{text}");
    assert!(words.contains("all have the same seed"), "{text}");
    let page = shown(&runs, |it| it.html()).unwrap();
    assert_eq!(page.matches("<svg").count(), 4);
    // All invalid: nothing to draw, and nothing compared.
    let runs = [(&manifest, &invalid, "a"), (&manifest, &invalid, "b")];
    assert!(shown(&runs, |it| it.figures()).unwrap().is_empty());
    assert_eq!(shown(&runs, |it| it.json())["ratios"], json!([]));
}

#[test]
fn bounds_stay_bounds_and_groups_meet_their_own_kind() {
    let manifest = fixture::manifest();
    let (valid, bound) = (fixture::valid(), fixture::no_plateau());
    let words = |first: &Judgement, second: &Judgement| {
        let runs = [(&manifest, first, "a"), (&manifest, second, "b")];
        shown(&runs, |it| it.terminal(100, false))
    };
    assert!(words(&valid, &bound).contains("≥ 163 %"), "{}", words(&valid, &bound));
    assert!(words(&bound, &valid).contains("≤ 61.4 %"), "{}", words(&bound, &valid));
    let several = fixture::several_groups();
    let runs = [(&manifest, &several, "a"), (&manifest, &several, "b")];
    let object = shown(&runs, |it| it.json());
    let ratios = object["ratios"].as_array().unwrap();
    assert_eq!(ratios.len(), 2);
    assert!(ratios.iter().all(|ratio| ratio["value"] == 1.0), "{object}");
    // Against one group of another design there is no ratio.
    let runs = [(&manifest, &valid, "a"), (&manifest, &several, "b")];
    assert_eq!(shown(&runs, |it| it.json())["ratios"], json!([]));
}

#[test]
fn folders_of_one_name_are_told_apart_and_text_from_outside_stays_text() {
    let mut manifest = fixture::manifest();
    manifest.target.model = "<script>\u{1b}[31m".to_owned();
    let other = fixture::manifest();
    let valid = fixture::valid();
    let runs = [(&manifest, &valid, "x/run"), (&other, &valid, "y/run"), (&other, &valid, "<b>")];
    let object = shown(&runs, |it| it.json());
    assert_eq!(object["runs"][0]["name"], "x/run");
    let page = shown(&runs, |it| it.html()).unwrap();
    assert!(!page.contains("<script") && !page.contains("<b>"), "escaped");
    assert!(!shown(&runs, |it| it.terminal(80, false)).contains('\u{1b}'));
    assert!(!shown(&runs, |it| it.markdown()).contains("<script"));
}

#[test]
fn gates_of_every_run_are_in_one_table() {
    let (manifest, valid) = (fixture::manifest(), fixture::valid());
    let gated = ["capacity_per_s < 50".parse::<Gate>().unwrap().judge(&valid)];
    let input = ReportInput::new(&manifest, &valid, Path::new("a")).with_gates(&gated);
    let without = ReportInput::new(&manifest, &valid, Path::new("b"));
    let text = Together { runs: &[input, without] }.terminal(100, false);
    assert!(text.contains("Gates") && text.contains("fired"), "{text}");
    assert!(!Together { runs: &[without] }.terminal(100, false).contains("Gates"));
}
