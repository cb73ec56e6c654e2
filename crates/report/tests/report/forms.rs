//! Terminal, Markdown and JSON, one snapshot a case.

use std::path::Path;

use insta::assert_snapshot;
use plimsoll_analysis::Judgement;
use plimsoll_report::{ReportInput, html, json, markdown, terminal};

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
fn terminal_search() {
    assert_snapshot!(on_terminal(&fixture::searched(), 100, false));
}

#[test]
fn every_form_says_what_a_search_took_and_why_it_ended() {
    let (manifest, mut judgement) = (fixture::manifest(), fixture::searched());
    for group in &mut judgement.groups {
        group.points.truncate(1);
    }
    let input = ReportInput::new(&manifest, &judgement, Path::new(RESULTS));
    let facts: Vec<String> = markdown(&input)
        .lines()
        .skip_while(|line| !line.starts_with("| | | 95 % interval |"))
        .take_while(|line| line.starts_with('|'))
        .map(str::to_owned)
        .collect();
    assert_snapshot!(facts.join("\n"));
    let page = html(&input).unwrap();
    for part in ["99 % interval 36.1 to 36.7", "1,893 requests in 48.3 s", "its time was spent"] {
        assert!(page.contains(part), "{part}");
    }
    assert_snapshot!(serde_json::to_string_pretty(&json(&input)["searches"]).unwrap());
}

#[test]
fn a_search_that_found_nothing_says_why() {
    let mut judgement = fixture::searched();
    let group = &mut judgement.groups[0];
    (group.saturation.capacity_per_s, group.saturation.plateau_per_s) = (None, None);
    group.searches.truncate(1);
    let found = &mut group.searches[0].found;
    (found.capacity_per_s, found.peak_and_fall) = (None, None);
    found.stopped = plimsoll_analysis::Stopped::Void;
    let text = on_terminal(&judgement, 100, false);
    assert!(text.contains("audit voided the same probe three times"), "{text}");
}

#[test]
fn repetitions_of_a_search_are_told_apart() {
    let mut judgement = fixture::searched();
    let searches = &mut judgement.groups[0].searches;
    searches[1] = searches[0].clone();
    searches[1].repetition = 1;
    searches[1].found.lower_bound = true;
    let text = on_terminal(&judgement, 100, false);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("#1 found 36.4 req/s (36.1 to 36.7); 1,893 requests"), "{text}");
    assert!(words.contains("#2 found at least 36.4 req/s; 1,893"), "{text}");
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
    judgement.groups[0].diagnosis.hypotheses.truncate(1);
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
        group.diagnosis.hypotheses.truncate(1);
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
