//! Several groups beside each other: the table, and figures with a line for each.

use std::path::Path;

use plimsoll_analysis::Judgement;
use plimsoll_report::{ReportInput, figures, html, markdown, terminal};

use crate::fixture;

fn drawn(judgement: &Judgement) -> Vec<(String, String)> {
    let manifest = fixture::manifest();
    figures(&ReportInput::new(&manifest, judgement, Path::new("results/r")))
        .expect("every figure can be drawn")
}

fn figure<'a>(figures: &'a [(String, String)], file: &str) -> &'a str {
    let found = figures.iter().find(|(name, _)| name == file);
    found.map_or("no such figure", |(_, svg)| svg.as_str())
}

#[test]
fn every_figure_of_the_groups_names_each_of_them() {
    let figures = drawn(&fixture::several_groups());
    for file in ["throughput", "ttft", "tpot", "trade-off", "breakdown"] {
        let svg = figure(&figures, &format!("{file}-by-factor.svg"));
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{file}");
        for group in ["data-parallel-size=1", "data-parallel-size=2"] {
            assert!(svg.contains(group), "{file} of {group}");
        }
    }
    let impact = figure(&figures, "impact-of-factors.svg");
    assert!(impact.contains("data-parallel-size") && impact.contains("capacity (req/s)"));
    let names: Vec<_> = figures.iter().map(|(name, _)| name).collect();
    let unique: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len(), "{names:?}");
}

#[test]
fn one_group_has_the_figure_of_its_trade_off_alone() {
    let figures = drawn(&fixture::valid());
    let names: Vec<_> = figures.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"trade-off.svg"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("factor")), "{names:?}");
}

#[test]
fn latencies_are_held_beside_each_other_at_a_load_that_every_group_kept_up_with() {
    let (manifest, judgement) = (fixture::manifest(), fixture::several_groups());
    let input = ReportInput::new(&manifest, &judgement, Path::new("results/r"));
    // One group sustains 18.3, the other 36.4 requests per second: both kept up with 10.
    let text = markdown(&input);
    assert!(text.contains("latencies at 10 req/s, the highest load"), "{text}");
    assert!(text.contains("![throughput by factor](figs/throughput-by-factor.svg)"), "{text}");
    let words = terminal(&input, 100, false).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains(
            "2 groups; their capacities are from 18.3 req/s (data-parallel-size=1) to 36.4 req/s"
        ),
        "{words}"
    );
    assert!(
        !words.contains("What throughput costs"),
        "a figure has no place on a terminal: {words}"
    );
    assert!(html(&input).unwrap().contains("The groups beside each other"));
}

#[test]
fn groups_that_share_no_load_are_shown_each_at_its_lightest() {
    let mut judgement = fixture::several_groups();
    judgement.groups[0].points = vec![fixture::point(3.0, 18.3), fixture::point(17.0, 18.3)];
    let manifest = fixture::manifest();
    let text = markdown(&ReportInput::new(&manifest, &judgement, Path::new("results/r")));
    assert!(text.contains("those of each group's lightest load"), "{text}");
    let figures = drawn(&judgement);
    let bars = figure(&figures, "breakdown-by-factor.svg");
    assert!(bars.contains("3 req/s (data-parallel-size=1)"), "{bars}");
}

#[test]
fn groups_without_a_capacity_are_compared_by_latency_and_strange_ones_draw_too() {
    let mut judgement = fixture::several_groups();
    for group in &mut judgement.groups {
        group.saturation.capacity_per_s = None;
    }
    let impact = drawn(&judgement);
    assert!(figure(&impact, "impact-of-factors.svg").contains("median TTFT (ms)"));
    // A group without points, one whose every point is unstable, and more than can be told apart.
    judgement.groups[0].points.clear();
    assert!(!drawn(&judgement).iter().any(|(name, _)| name.contains("factor")));
    let mut judgement = fixture::several_groups();
    judgement.groups[0].points = vec![fixture::point(50.0, 18.3)];
    assert!(drawn(&judgement).iter().any(|(name, _)| name == "ttft-by-factor.svg"));
    let one = judgement.groups[1].clone();
    judgement.groups = (0..30)
        .map(|n| {
            let mut group = one.clone();
            group.factors.insert("server.settings.data-parallel-size".to_owned(), n.to_string());
            group
        })
        .collect();
    let manifest = fixture::manifest();
    let text = markdown(&ReportInput::new(&manifest, &judgement, Path::new("results/r")));
    assert!(text.contains("the figures show 18 of 30 groups"), "{text}");
    drawn(&judgement);
}
