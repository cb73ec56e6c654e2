//! The client's own error: what is said in each case.

use std::path::Path;

use plimsoll_records::{Manifest, PointFile, SelfTestTime, StampSource};
use plimsoll_report::{ReportInput, html, json, markdown, terminal};
use serde_json::{Value, json};

use crate::fixture;

/// The lines of the terminal between the findings and the path of the report, each paragraph joined.
fn foot(manifest: &Manifest, files: &[PointFile]) -> Vec<String> {
    let judgement = fixture::valid();
    let input = ReportInput::new(manifest, &judgement, Path::new("results")).with_points(files);
    let text = terminal(&input, 100, false);
    let parts: Vec<_> = text.split("\n\n").collect();
    let mut lines: Vec<String> = Vec::new();
    for line in parts[parts.len() - 2].lines() {
        let begins = line.strip_prefix("  ").is_some_and(|rest| !rest.starts_with(' '));
        match lines.last_mut() {
            Some(last) if !begins => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line.trim().to_owned()),
        }
    }
    lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn files() -> Vec<PointFile> {
    fixture::point_files(&fixture::valid())
}

#[test]
fn a_run_that_went_well_needs_three_lines() {
    assert_eq!(
        foot(&fixture::manifest(), &files()),
        [
            "On this machine the client's own TTFT error was +0.031 ms on average (p99 0.081 ms) \
             before the run and +0.036 ms (p99 0.094 ms) after it, at 40 req/s with \
             about 25 streams.",
            "stamps packet capture; read delay p50 0.070, p99 0.421, max 5.61 ms",
            "threads wake-up lag p50 0.060, p99 0.361, max 4.81 ms; CPU 30.1 %, run-queue wait 0.6 %",
        ]
    );
}

#[test]
fn every_combination_of_self_tests_has_its_sentence() {
    let manifest = fixture::manifest();
    let [before, after] = manifest.self_tests[..] else { panic!("two self-tests") };
    let sentence = |tests: &[_]| {
        let mut manifest = manifest.clone();
        manifest.self_tests = tests.to_vec();
        foot(&manifest, &[]).swap_remove(0)
    };
    assert_eq!(sentence(&[]), "The client's own error was not measured on this machine.");
    let was = "On this machine the client's own TTFT error was";
    assert_eq!(
        sentence(&[before]),
        format!(
            "{was} +0.031 ms on average (p99 0.081 ms) before the run, at 40 req/s with about 25 streams."
        )
    );
    assert_eq!(
        sentence(&[after]),
        format!(
            "{was} +0.036 ms on average (p99 0.094 ms) after the run, at 40 req/s with about 25 streams."
        )
    );
    let mut other = after;
    (other.rate_per_s, other.streams, other.stamps) = (12.5, 1.1, StampSource::Socket);
    other.ttft_error.mean_ms = -0.004;
    assert_eq!(
        sentence(&[before, other]),
        format!(
            "{was} +0.031 ms on average (p99 0.081 ms) before the run, at 40 req/s with about 25 \
             streams, and −0.004 ms (p99 0.094 ms) after it, at 12.5 req/s with about 1 \
             stream, stamped by the socket."
        )
    );
    let mut lost = before;
    (lost.requests, lost.lost) = (197, 3);
    assert!(
        sentence(&[lost, after])
            .ends_with("streams. Of the 400 requests of these self-tests, 3 were lost.")
    );
    let mut nothing = before;
    (nothing.requests, nothing.lost) = (0, 5);
    nothing.ttft_error = Default::default();
    assert_eq!(
        sentence(&[nothing]),
        format!(
            "{was} not known (no request could be compared) before the run, at 40 req/s with about \
             25 streams. Of the 5 requests of these self-tests, 5 were lost."
        )
    );
}

#[test]
fn poorer_stamps_say_why() {
    let mut manifest = fixture::manifest();
    let mut files = files();
    manifest.stamps = StampSource::Socket;
    manifest.stamps_remark = Some("packet capture needs CAP_NET_RAW".to_owned());
    assert_eq!(
        foot(&manifest, &files)[1],
        "stamps kernel, socket time stamps (packet capture needs CAP_NET_RAW); read delay \
         p50 0.070, p99 0.421, max 5.61 ms"
    );
    manifest.stamps = StampSource::User;
    manifest.stamps_remark = Some("the system has no kernel stamps".to_owned());
    for file in &mut files {
        file.stamps = Default::default();
    }
    assert_eq!(
        foot(&manifest, &files)[1],
        "stamps run clock, right after each read (the system has no kernel stamps); the read delay \
         is in every latency, and not known"
    );
    files[2].stamps.read_delay = fixture::lag(0.2);
    assert_eq!(
        foot(&manifest, &files)[1],
        "stamps run clock, right after each read (the system has no kernel stamps); read delay, \
         which is in every latency: p50 0.200, p99 1.20, max 16.0 ms"
    );
}

#[test]
fn what_went_wrong_is_counted() {
    let manifest = fixture::manifest();
    let mut files = files();
    files[1].stamps.socket_fallbacks = 1;
    files[1].stamps.packet_fallbacks = 12;
    files[3].stamps.packet_fallbacks = 2;
    files[3].stamps.packets_dropped = Some(40);
    files[4].clock.steps = 1;
    files[4].clock.stepped_ms = 3.25;
    files[5].clock.slew_ppm = Some(-320.0);
    let mut judgement = fixture::valid();
    judgement.groups[0].points[0].chunks.shared = 1_075;
    let input = ReportInput::new(&manifest, &judgement, Path::new("results")).with_points(&files);
    let words = terminal(&input, 100, false).split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "exceptions 1,075 of 537,600 chunks (0.2 %) share a stamp with another; stamped 1 read by the \
         run clock instead and 14 marks by the socket or clock instead of the capture; the capture \
         lost 40 segments beside 546,000 that it saw",
        "clock the wall clock was set 1 time, by 3.25 ms in all; the run clock ran 320 ppm slower than the hardware's",
    ] {
        assert!(words.contains(said), "{said}\nis not in\n{words}");
    }
    let object = json(&input);
    let counts = |of: &Value| {
        ["chunks_shared", "socket_fallbacks", "packet_fallbacks", "packets_dropped", "clock_steps"]
            .map(|key| of[key].clone())
    };
    let all = &object["instrument"];
    assert_eq!(counts(all), [json!(1_075), json!(1), json!(14), json!(40), json!(1)]);
    assert_eq!(all["clock_slew_ppm"], -320.0);
    let fourth = counts(&all["points"][3]);
    assert_eq!(fourth, [json!(0), json!(0), json!(2), json!(40), json!(0)]);
    judgement.groups[0].points[0].chunks.shared = 2;
    let input = ReportInput::new(&manifest, &judgement, Path::new("results")).with_points(&files);
    assert!(markdown(&input).contains("2 of 537,600 chunks (under 0.01 %)"));
    for text in [markdown(&input), html(&input).unwrap()] {
        assert!(text.contains("the capture lost 40 segments"));
    }
}

#[test]
fn a_run_that_knows_nothing_of_itself_says_so() {
    let mut manifest = fixture::manifest();
    manifest.self_tests.clear();
    manifest.stamps = StampSource::User;
    let judgement = fixture::valid();
    let input = ReportInput::new(&manifest, &judgement, Path::new("results"));
    assert_eq!(
        foot(&manifest, &[]),
        [
            "The client's own error was not measured on this machine.",
            "stamps run clock, right after each read; the read delay is in every \
             latency, and not known"
        ]
    );
    let page = html(&input).unwrap();
    assert!(!page.contains("<summary>In numbers</summary>"));
    assert_eq!(
        json(&input)["instrument"],
        json!({"stamps": "user", "stamps_remark": null, "self_tests": [], "points": []})
    );
    // A file of a 1.0 folder: the client measured nothing of itself.
    let mut files = files();
    for file in &mut files {
        file.stamps = Default::default();
        file.clock = Default::default();
        for worker in &mut file.workers {
            worker.wake_up = Default::default();
            worker.run_queue_share = None;
        }
    }
    let all = &json(&input.with_points(&files))["instrument"];
    assert_eq!(
        all["read_delay_ms"],
        json!({"count": 0, "mean": null, "p50": null, "p99": null, "max": null})
    );
    assert_eq!(all["run_queue_share_max"], Value::Null);
    assert!(foot(&manifest, &files)[2].starts_with("threads CPU 30.1 %"));
}

#[test]
fn self_tests_and_points_are_told_in_numbers() {
    let (mut manifest, judgement) = (fixture::manifest(), fixture::several_groups());
    manifest.self_tests[1].when = SelfTestTime::After;
    let mut files = fixture::point_files(&judgement);
    files.reverse();
    let mut stranger = files[0].clone();
    stranger.id = "pilot-4".to_owned();
    files.insert(0, stranger);
    let input = ReportInput::new(&manifest, &judgement, Path::new("results")).with_points(&files);
    let object = json(&input)["instrument"].clone();
    let ids: Vec<_> =
        object["points"].as_array().unwrap().iter().map(|point| point["id"].clone()).collect();
    // In the order of the ladders, whatever that of the files; what is in no ladder comes last.
    assert_eq!(ids[..2], ["dp1-r10", "dp1-r20"]);
    assert_eq!(ids[11..], ["dp2-r60", "pilot-4"]);
    assert_eq!(object["self_tests"][0]["ttft_error_ms"]["mean"], 0.031);
    assert_eq!(object["self_tests"][1]["when"], "after");
    let page = html(&input).unwrap();
    for cell in
        ["10 req/s (data-parallel-size=1)", "pilot-4", "before the run: TPOT error", "−0.001"]
    {
        assert!(page.contains(&format!(">{cell}</td>")), "{cell}");
    }
}
