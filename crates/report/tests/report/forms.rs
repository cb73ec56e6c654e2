//! Terminal, Markdown and JSON, one snapshot a case.

use std::path::Path;

use insta::assert_snapshot;
use plimsoll_analysis::Judgement;
use plimsoll_report::{ReportInput, json, markdown, terminal};

use crate::fixture;

const RESULTS: &str = "results/saturation-1";

fn on_terminal(judgement: &Judgement, width: usize, colour: bool) -> String {
    let (manifest, files) = (fixture::manifest(), fixture::point_files(judgement));
    let input = ReportInput::new(&manifest, judgement, Path::new(RESULTS)).with_points(&files);
    terminal(&input, width, colour)
}

#[test]
fn terminal_valid() {
    assert_snapshot!(on_terminal(&fixture::valid(), 100, false));
}

#[test]
fn terminal_qualified() {
    assert_snapshot!(on_terminal(&fixture::qualified(), 100, false));
}

#[test]
fn terminal_invalid() {
    assert_snapshot!(on_terminal(&fixture::invalid(), 100, false));
}

#[test]
fn terminal_no_plateau() {
    assert_snapshot!(on_terminal(&fixture::no_plateau(), 100, false));
}

#[test]
fn terminal_several_groups() {
    assert_snapshot!(on_terminal(&fixture::several_groups(), 100, false));
}

#[test]
fn terminal_closed_loop() {
    assert_snapshot!(on_terminal(&fixture::closed_loop(), 100, false));
}

#[test]
fn terminal_80_columns() {
    assert_snapshot!(on_terminal(&fixture::qualified(), 80, false));
}

#[test]
fn terminal_resent() {
    assert_snapshot!(on_terminal(&fixture::resent(), 100, false));
}

#[test]
fn who_was_sent_twice_is_told_by_group() {
    let mut judgement = fixture::several_groups();
    assert!(!on_terminal(&judgement, 100, false).contains("second time"));
    judgement.groups[1].points[0].counts.resent = 1;
    let text = on_terminal(&judgement, 100, false);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains(
            "data-parallel-size=2: 1 request due in the measure window was sent a second time \
             because the server had closed a kept connection (1 at 10 req/s); its latencies \
             include the first sending"
        ),
        "{text}"
    );
}

#[test]
fn lines_stay_within_the_width() {
    for judgement in
        [fixture::qualified(), fixture::several_groups(), fixture::invalid(), fixture::resent()]
    {
        for width in [80, 100, 250] {
            let text = on_terminal(&judgement, width, false);
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width.min(100)), "{widest:?} of {width}:\n{text}");
        }
    }
}

#[test]
fn colours_change_nothing_but_colour() {
    let plain = on_terminal(&fixture::qualified(), 100, false);
    assert!(!plain.contains('\u{1b}'));
    let mut coloured = on_terminal(&fixture::qualified(), 100, true);
    assert!(coloured.contains("\u{1b}[1;33mQUALIFIED\u{1b}[0m"));
    for code in ["1", "2", "0", "1;31", "1;32", "1;33"] {
        coloured = coloured.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(coloured, plain);
}

#[test]
fn markdown_qualified() {
    let (manifest, judgement) = (fixture::manifest(), fixture::qualified());
    let files = fixture::point_files(&judgement);
    let input = ReportInput::new(&manifest, &judgement, Path::new(RESULTS)).with_points(&files);
    assert_snapshot!(markdown(&input));
}

#[test]
fn markdown_resent() {
    let (manifest, judgement) = (fixture::manifest(), fixture::resent());
    let text = markdown(&ReportInput::new(&manifest, &judgement, Path::new(RESULTS)));
    let footnotes: Vec<_> = text.lines().filter(|line| line.starts_with("<sub>")).collect();
    assert_snapshot!(footnotes.join("\n"));
}

#[test]
fn markdown_several_groups() {
    let (manifest, judgement) = (fixture::manifest(), fixture::several_groups());
    assert_snapshot!(markdown(&ReportInput::new(&manifest, &judgement, Path::new(RESULTS))));
}

#[test]
fn json_one_group() {
    let (manifest, mut judgement) = (fixture::manifest(), fixture::qualified());
    // One point of each kind is enough to read.
    judgement.groups[0].points.retain(|point| ["r10", "r30", "r40"].contains(&point.id.as_str()));
    let mut files = fixture::point_files(&judgement);
    files.truncate(1);
    let input = ReportInput::new(&manifest, &judgement, Path::new(RESULTS)).with_points(&files);
    let object = json(&input);
    assert_snapshot!(serde_json::to_string_pretty(&object).unwrap());
}

#[test]
fn json_several_groups() {
    let (manifest, mut judgement) = (fixture::manifest(), fixture::several_groups());
    for group in &mut judgement.groups {
        group.points.clear();
    }
    let object = json(&ReportInput::new(&manifest, &judgement, Path::new(RESULTS)));
    assert_snapshot!(serde_json::to_string_pretty(&object).unwrap());
}

#[test]
fn json_has_what_scripts_read() {
    let (manifest, judgement) = (fixture::manifest(), fixture::valid());
    let object = json(&ReportInput::new(&manifest, &judgement, Path::new(RESULTS)));
    assert_eq!(object["verdict"], "valid");
    assert_eq!(object["capacity_per_s"]["value"], 36.4);
    assert_eq!(object["slo_capacity_per_s"], 30.0);
    assert_eq!(object["knee_per_s"], 20.0);
    assert_eq!(object["points"][5]["rate_per_s"], 60.0);
    assert_eq!(object["points"][5]["stable"], false);
    assert!(object["points"][0]["ttft_ms"]["p99"].is_number());
    assert_eq!(object["findings"][0]["code"], "drain-bias");
    assert_eq!(object["results"], RESULTS);
}
