//! Gates against measurements, in every form, and the JUnit file.

use std::path::Path;

use plimsoll_analysis::{Judgement, LatencySummary};
use plimsoll_report::{Gate, Gated, ReportInput, Standing, html, json, junit, markdown, terminal};

use crate::fixture;

fn judged(judgement: &Judgement, condition: &str) -> (Standing, String) {
    let gate: Gate = condition.parse().expect("it is a gate");
    let Gated { condition: shown, standing, said } = gate.judge(judgement);
    assert_eq!(shown, condition);
    (standing, said)
}

#[track_caller]
fn expect(judgement: &Judgement, condition: &str, standing: Standing, words: &str) {
    let (found, said) = judged(judgement, condition);
    assert_eq!(found, standing, "{condition}: {said}");
    assert!(said.contains(words), "{condition}: `{words}` is not in `{said}`");
}

/// The server of the fixture sustains 36.4 (36.0 to 36.8) requests per second, of 10 to 60 offered.
#[test]
fn the_whole_interval_decides_unless_an_end_of_it_is_named() {
    let valid = fixture::valid();
    for (condition, standing, words) in [
        ("capacity_per_s < 35", Standing::Passed, "36.4 (36.0 to 36.8)"),
        ("capacity_per_s < 40", Standing::Fired, "36.4 (36.0 to 36.8)"),
        ("capacity_per_s < 36.4", Standing::NotShown, "36.4"),
        ("capacity_per_s.value < 36.4", Standing::Passed, "36.4"),
        ("capacity_per_s.high < 36.4", Standing::Passed, "36.8"),
        ("capacity_per_s.low < 36.4", Standing::Fired, "36.0"),
        ("slo_capacity_per_s < 30", Standing::Passed, "30.0"),
        ("plateau_per_s > 30", Standing::Fired, "36.2"),
        ("knee_per_s < 10", Standing::Passed, "20.0"),
        ("verdict < valid", Standing::Passed, "the verdict is valid"),
        ("verdict >= valid", Standing::Fired, "the verdict is valid"),
    ] {
        expect(&valid, condition, standing, words);
    }
}

#[test]
fn latencies_are_those_of_points_that_the_server_kept_up_with() {
    let valid = fixture::valid();
    // The p99 at 10, 20 and 30 is at most 341 ms; beyond, the queue makes it seconds.
    expect(&valid, "ttft_ms.p99 > 500", Standing::Passed, "at 30 req/s");
    expect(&valid, "ttft_ms.p99 > 100", Standing::Fired, "at 30 req/s");
    expect(&valid, "ttft_ms.p99 > 500 at 20", Standing::Passed, "at 20 req/s");
    expect(&valid, "ttft_ms.mean > 500 at 40", Standing::NotShown, "did not keep up");
    expect(&valid, "ttft_ms.p50 > 500 at 25", Standing::NotShown, "no point offered this load");
    expect(&valid, "goodput_share < 0.99", Standing::Passed, "1.00 at");
    // Throughput and lag are what they are at any load.
    expect(&valid, "throughput_per_s < 9 at 60", Standing::Passed, "at 60 req/s");
    expect(&valid, "schedule_lag_ms.p99 > 1", Standing::Passed, "at 60 req/s");
    expect(&valid, "failed > 0", Standing::Passed, "0");
}

#[test]
fn what_is_not_known_is_not_passed() {
    let mut judgement = fixture::valid();
    judgement.groups[0].points[0].ttft = LatencySummary::default();
    judgement.groups[0].saturation.knee_per_s = None;
    expect(&judgement, "ttft_ms.p99 > 9000", Standing::NotShown, "not known at 10 req/s");
    expect(&judgement, "knee_per_s < 1", Standing::NotShown, "the points do not tell");
    judgement.groups[0].saturation.slo_capacity_per_s = None;
    expect(&judgement, "slo_capacity_per_s < 1", Standing::NotShown, "has no [slo], or no stable");
    expect(&fixture::invalid(), "plateau_per_s < 1", Standing::NotShown, "is invalid");
    expect(&fixture::invalid(), "verdict < valid", Standing::Fired, "the verdict is invalid");
    judgement.groups[0].saturation.voided = vec!["r20".to_owned()];
    expect(
        &judgement,
        "tpot_ms.p50 > 9000 at 20",
        Standing::NotShown,
        "the audit voided the point",
    );
    judgement.groups[0].points.clear();
    expect(&judgement, "tpot_ms.p50 > 1", Standing::NotShown, "the server kept up with no load");
    expect(&judgement, "failed > 1", Standing::NotShown, "no point is left");
    judgement.groups.clear();
    expect(&judgement, "capacity_per_s < 1", Standing::NotShown, "no point was measured");
}

#[test]
fn a_lower_bound_shows_that_it_is_more_and_never_that_it_is_less() {
    let bound = fixture::no_plateau();
    expect(&bound, "capacity_per_s < 50", Standing::Passed, "at least 60.0");
    expect(&bound, "capacity_per_s < 70", Standing::NotShown, "at least 60.0");
    expect(&bound, "capacity_per_s > 50", Standing::Fired, "at least 60.0");
}

#[test]
fn every_group_in_scope_must_pass() {
    let groups = fixture::several_groups();
    expect(&groups, "capacity_per_s < 20", Standing::Fired, "18.3");
    expect(&groups, "capacity_per_s < 20", Standing::Fired, "in data-parallel-size=1");
    expect(&groups, "capacity_per_s < 20 in data-parallel-size=2", Standing::Passed, "36.4");
    let path = "capacity_per_s < 20 in server.settings.data-parallel-size=2";
    expect(&groups, path, Standing::Passed, "36.4");
    expect(
        &groups,
        "capacity_per_s < 20 in data-parallel-size=3",
        Standing::NotShown,
        "no group has data-parallel-size=3; there are data-parallel-size=1 and",
    );
    expect(&groups, "ttft_ms.p50 > 90 at 20", Standing::NotShown, "did not keep up");
    let scoped = "ttft_ms.p50 > 90 at 20 in data-parallel-size=2";
    expect(&groups, scoped, Standing::Passed, "at 20 req/s in data-parallel-size=2");
    expect(&fixture::valid(), "failed > 0 in a=1", Standing::NotShown, "the run has no factors");
}

fn gates(judgement: &Judgement) -> Vec<Gated> {
    ["capacity_per_s < 30", "ttft_ms.p99 > 100", "slo_capacity_per_s < 99 in a=<b>"]
        .map(|text| text.parse::<Gate>().expect("a gate").judge(judgement))
        .to_vec()
}

#[test]
fn every_form_shows_the_gates() {
    let (manifest, judgement) = (fixture::manifest(), fixture::valid());
    let gates = gates(&judgement);
    let input = ReportInput::new(&manifest, &judgement, Path::new("r")).with_gates(&gates);
    let shown = terminal(&input, 100, false);
    assert!(shown.contains("2 of 3 gates not passed."), "{shown}");
    assert!(shown.contains("capacity_per_s < 30") && shown.contains("fired"), "{shown}");
    assert!(markdown(&input).contains("| **ttft\\_ms.p99 &gt; 100** | **fired** |"));
    let page = html(&input).unwrap();
    assert!(page.contains("<h2>Gates</h2>") && page.contains("a=&#60;b&#62;"), "escaped");
    let object = json(&input);
    let standings: Vec<_> =
        object["gates"].as_array().unwrap().iter().map(|gate| gate["standing"].clone()).collect();
    assert_eq!(standings, ["passed", "fired", "not-shown"]);
    assert!(json(&ReportInput::new(&manifest, &judgement, Path::new("r"))).get("gates").is_none());
}

/// The elements of well-formed XML in the subset that the file uses, as `name attribute="value"...`;
/// panics where it is not well-formed.
fn elements(xml: &str) -> Vec<String> {
    let mut rest =
        xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").expect("a head");
    let (mut open, mut seen) = (Vec::new(), Vec::new());
    let is_text = |text: &str| {
        let entities = ["&amp;", "&lt;", "&gt;", "&quot;", "&apos;"];
        assert!(!text.contains(['<', '>']), "{text}");
        let known: usize = entities.iter().map(|entity| text.matches(entity).count()).sum();
        assert_eq!(text.matches('&').count(), known, "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    };
    while let Some(place) = rest.find('<') {
        is_text(&rest[..place]);
        let end = rest.find('>').expect("a tag ends");
        let tag = &rest[place + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let quoted: Vec<_> = attributes.split('"').collect();
        assert_eq!(quoted.len() % 2, 1, "{tag}");
        for pair in quoted.chunks_exact(2) {
            let name = pair[0].trim().strip_suffix('=').expect("an attribute has a value");
            assert!(name.chars().all(|c| c.is_ascii_lowercase()), "{tag}");
            is_text(pair[1]);
        }
        assert!(!open.is_empty() || seen.is_empty(), "one root");
        open.push(name);
        seen.push(tag.to_owned());
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    seen
}

#[test]
fn junit_is_well_formed_and_has_what_failed() {
    let manifest = fixture::manifest();
    let (valid, invalid) = (fixture::valid(), fixture::invalid());
    let gates = gates(&valid);
    let dir = Path::new("r");
    let runs = [
        ReportInput::new(&manifest, &valid, dir).with_gates(&gates),
        ReportInput::new(&manifest, &invalid, dir),
    ];
    let text = junit(&runs);
    let elements = elements(&text);
    let named = |start: &str| elements.iter().filter(|it| it.starts_with(start)).count();
    // A verdict, six points and three gates; a verdict, an error about the run and six points.
    assert_eq!((named("testsuite "), named("testcase ")), (5, 10 + 8), "{text}");
    assert_eq!(
        elements[0],
        "testsuites name=\"plimsoll\" tests=\"18\" failures=\"5\" errors=\"0\""
    );
    assert_eq!(named("failure "), 5, "{text}");
    for words in [
        "classname=\"saturation.gates\" name=\"ttft_ms.p99 &gt; 100\"",
        "type=\"not shown\" message=\"no group has a=&lt;b&gt;; the run has no factors\"",
        "name=\"30 req/s\" time=\"20.000\"",
        "type=\"rate-missed\" message=\"30 requests per second were offered, 24.1 arrived\"",
        "type=\"client-busy\"",
        "type=\"invalid\"",
        "timestamp=\"2026-01-01T00:00:00\"",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let qualified = fixture::qualified();
    let text = junit(&[ReportInput::new(&manifest, &qualified, dir)]);
    assert!(
        text.contains("warning client-late: 99 % of the requests left within 1.2 ms"),
        "{text}"
    );
    assert!(!text.contains("<failure"), "warnings fail nothing");
}

#[test]
fn junit_of_hostile_text_and_of_nothing_stays_xml() {
    let mut manifest = fixture::manifest();
    let hostile = "\u{1b}[31m</testsuite><x y=\"&\u{0}\u{ffff}'";
    manifest.target.model = hostile.to_owned();
    manifest.experiment = hostile.to_owned();
    let mut judgement = fixture::invalid();
    for finding in &mut judgement.findings {
        finding.message = hostile.repeat(2);
        finding.remedy = format!("a\n{hostile}");
    }
    let gate: Gate = "failed > 0 in <&\"=]]>".parse().unwrap();
    let gates = [gate.judge(&judgement)];
    let input = ReportInput::new(&manifest, &judgement, Path::new("r")).with_gates(&gates);
    elements(&junit(&[input]));
    elements(&junit(&[]));
}
