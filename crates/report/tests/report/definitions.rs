//! Other tools' figures beside ours, in every form.

use std::path::Path;
use std::time::Duration;

use insta::assert_snapshot;
use plimsoll_analysis::{Judgement, PeerTool, PointSummary, Printed, Slo, summarise};
use plimsoll_records::{ChunkRow, ConnectionUse, Outcome, RequestRow};
use plimsoll_report::{ReportInput, html, json, markdown, terminal};

use crate::fixture;

/// Requests at the point's own rate and about its latencies: a role chunk at six tenths of the TTFT, and
/// 128 tokens in eight chunks. One in a hundred was reset, two at the first point were shed.
fn rows(point: &PointSummary) -> Vec<RequestRow> {
    let rate = point.load.rate_per_s().expect("the ladder is one of rates");
    let mean = |latency: Option<Duration>| latency.expect("the fixture has it");
    let (ttft, tpot) = (mean(point.ttft.mean), mean(point.tpot.mean));
    (0..(rate * 20.0) as u64)
        .map(|id| {
            let due = point.window.start + Duration::from_secs_f64(id as f64 / rate);
            let ttft = ttft * (8 + (id % 5) as u32) / 10;
            let first = due + ttft;
            let chunk = |k: u32| ChunkRow {
                at: first + tpot * 18 * k,
                tokens: 16,
                counted: true,
                reasoning: false,
                shared: false,
            };
            let last = chunk(7).at;
            let outcome = match id % 100 {
                57 => Outcome::Reset,
                3 if rate < 15.0 => Outcome::Shed,
                _ => Outcome::Ok,
            };
            RequestRow {
                id,
                intended: due,
                dequeued: due,
                connected: Some(due),
                connection: Some(ConnectionUse::Reused),
                sent: Some(due),
                role_chunk: Some(due + ttft * 6 / 10),
                first_answer: Some(first),
                last_token: Some(last),
                done: last + Duration::from_millis(1),
                outcome,
                prompt_tokens: Some(512),
                output_tokens_planned: 128,
                output_tokens: Some(128),
                chunks: (0..8).map(chunk).collect(),
                ..RequestRow::default()
            }
        })
        .collect()
}

/// What the tools would have printed, and the judgement with our summaries of the same rows. Which points
/// are stable is the fixture's word.
fn printed(mut judgement: Judgement, tools: &[PeerTool]) -> (Judgement, Vec<Printed>) {
    let mut files = fixture::point_files(&judgement).into_iter();
    let mut all = Vec::new();
    for point in judgement.groups.iter_mut().flat_map(|group| &mut group.points) {
        let mut file = files.next().expect("a file a point");
        file.phases.arrivals_end_ns = point.window.end;
        // The window begins when the first requests have ended.
        file.phases.measure_start_ns = file.phases.start_ns + Duration::from_secs(10);
        let (rows, stable) = (rows(point), point.stability.stable);
        *point = summarise(&file, &rows, &Slo::default());
        point.stability.stable = stable;
        all.extend(tools.iter().map(|tool| tool.printed(&file, &rows, &Slo::default(), point)));
    }
    (judgement, all)
}

/// Only what was asked for, between its title and the findings.
fn section(text: &str, from: &str, to: &str) -> String {
    let (_, rest) = text.split_once(from).expect("the section begins");
    format!("{from}{}", rest.split_once(to).expect("the section ends").0.trim_end())
}

fn on_terminal(judgement: Judgement, tools: &[PeerTool], width: usize) -> String {
    let (manifest, (judgement, printed)) = (fixture::manifest(), printed(judgement, tools));
    let input =
        ReportInput::new(&manifest, &judgement, Path::new("results")).with_definitions(&printed);
    section(&terminal(&input, width, false), "As ", "\nFindings of the audit")
}

#[test]
fn terminal_in_the_words_of_vllm_and_aiperf() {
    let tools = [PeerTool::Aiperf, PeerTool::Vllm];
    assert_snapshot!(on_terminal(fixture::valid(), &tools, 100));
}

#[test]
fn terminal_60_columns_and_a_tool_whose_run_is_invalid() {
    assert_snapshot!(on_terminal(fixture::valid(), &[PeerTool::Mlperf, PeerTool::Guidellm], 60));
}

#[test]
fn lines_stay_within_the_width_for_every_tool() {
    for width in [40, 60, 80, 100] {
        let text = on_terminal(fixture::valid(), &PeerTool::ALL, width);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(width), "{widest:?} of {width}:\n{text}");
    }
}

#[test]
fn markdown_in_the_words_of_guidellm() {
    let manifest = fixture::manifest();
    let (judgement, printed) = printed(fixture::valid(), &[PeerTool::Guidellm]);
    let input =
        ReportInput::new(&manifest, &judgement, Path::new("results")).with_definitions(&printed);
    assert_snapshot!(section(&markdown(&input), "## Other tools' words", "\n## Findings"));
}

#[test]
fn the_page_has_each_tool_and_each_group() {
    let manifest = fixture::manifest();
    let tools = [PeerTool::Vllm, PeerTool::Sglang];
    let (judgement, printed) = printed(fixture::several_groups(), &tools);
    let input = ReportInput::new(&manifest, &judgement, Path::new("results"));
    let page = html(&input.with_definitions(&printed)).unwrap();
    assert_eq!(page.matches("would print it</h3>").count(), 2);
    assert!(page.contains("As vllm bench serve 0.32 would print it"));
    assert_eq!(page.matches("mean_e2e_latency_ms").count(), 12, "one for each point of two groups");
    assert!(page.contains("a role chunk counts as first token"));
    assert!(!html(&input).unwrap().contains("would print it"));
}

#[test]
fn json_of_a_figure() {
    let manifest = fixture::manifest();
    let (judgement, printed) = printed(fixture::valid(), &[PeerTool::Vllm]);
    let input = ReportInput::new(&manifest, &judgement, Path::new("results"));
    let object = json(&input.with_definitions(&printed));
    let vllm = &object["definitions"][0];
    let mut point = vllm["points"][0].clone();
    // The rest is alike.
    let figures = point["figures"].as_object_mut().unwrap();
    assert_eq!(figures.len(), 23);
    figures.retain(|key, _| key.starts_with("ttft") || key == "goodput" || key == "itl_std");
    assert_snapshot!(serde_json::to_string_pretty(&point).unwrap());
    assert_eq!(vllm["words"]["clock_zero"], "before the POST, connecting inside (dequeued)");
    assert!(json(&input).get("definitions").is_none());
}
