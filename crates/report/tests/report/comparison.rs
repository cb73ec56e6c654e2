//! The report of settings held against each other, in every form.

use insta::assert_snapshot;
use std::path::Path;

use plimsoll_analysis::{
    Better, ComparedFigure, ComparedLoad, Comparing, Comparison, Conclusion, Estimate, Factor,
    FactorialEffects, FactorialRun, FigureComparison, Judgement, Question, SettingsComparison,
    Wait, compare, factorial_effects,
};
use plimsoll_report::{Compared, ComparisonReport, ReportInput};

use crate::fixture;

fn compared<'a>(
    candidate: &'a str,
    figure: &'a str,
    better: Better,
    baseline: &[f64],
    figures: &[f64],
) -> Compared<'a> {
    let exact = |values: &[f64]| values.iter().map(|&x| Estimate::exact(x)).collect::<Vec<_>>();
    let comparing = Comparing { better, ..Comparing::default() };
    let comparison =
        compare(&exact(baseline), &exact(figures), comparing).expect("they are paired");
    Compared {
        candidate,
        figure,
        at: "",
        unit: "",
        values: None,
        lower_bound: [false; 2],
        comparing,
        comparison,
    }
}

const BASE: [f64; 4] = [100.0, 101.0, 99.0, 100.0];

/// One comparison of every verdict.
fn four() -> Vec<Compared<'static>> {
    vec![
        compared(
            "slots 32",
            "capacity, req/s",
            Better::Higher,
            &BASE,
            &[121.0, 119.0, 120.0, 120.0],
        ),
        compared("slots 32", "TTFT p99", Better::Lower, &BASE, &[112.0, 108.0, 111.0, 110.0]),
        compared(
            "slots 64",
            "capacity, req/s",
            Better::Higher,
            &BASE,
            &[100.5, 100.2, 99.4, 100.1],
        ),
        compared("slots 64", "TTFT p99", Better::Lower, &BASE, &[140.0, 80.0, 130.0, 75.0]),
    ]
}

fn effects() -> FactorialEffects {
    let factor = |name: &str, levels: [&str; 2]| Factor {
        name: name.to_owned(),
        levels: levels.map(str::to_owned).to_vec(),
    };
    let factors = [factor("max-num-seqs", ["16", "32"]), factor("prefix-caching", ["off", "on"])];
    let runs: Vec<_> = (0..16)
        .map(|index| {
            let (a, b, repetition) = (index % 2, index / 2 % 2, index / 4);
            let noise = [0.004, -0.006, 0.001, 0.003, -0.002][(index * 7 + repetition) % 5];
            let log = 0.3 * a as f64 + 0.05 * b as f64 + 0.08 * (a * b) as f64 + noise;
            FactorialRun { levels: vec![a, b], repetition, figure: 100.0 * log.exp() }
        })
        .collect();
    factorial_effects(&factors, &runs).expect("the design is full")
}

fn report<'a>(
    compared: &'a [Compared<'a>],
    effects: &'a [(&'a str, &'a FactorialEffects)],
) -> ComparisonReport<'a> {
    ComparisonReport {
        title: "qwen3-14b, max-num-seqs",
        baseline: "slots 16",
        compared,
        main: None,
        effects,
        remarks: &[],
        next: None,
    }
}

#[test]
fn terminal_of_every_verdict() {
    assert_snapshot!(report(&four(), &[]).terminal(100, false));
}

#[test]
fn markdown_with_factors() {
    assert_snapshot!(report(&four()[..1], &[("capacity", &effects())]).markdown());
}

#[test]
fn terminal_of_factors_alone() {
    assert_snapshot!(report(&[], &[("capacity", &effects())]).terminal(80, false));
}

#[test]
fn json_of_every_verdict_and_factors() {
    let object = report(&four(), &[("capacity", &effects())]).json();
    assert_snapshot!(serde_json::to_string_pretty(&object).unwrap());
}

#[test]
fn each_verdict_has_its_sentence() {
    let all = four();
    let said = |place: usize| {
        let text = report(&all[place..=place], &[]).terminal(100, false);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(said(0).contains("slots 32 against slots 16: capacity, req/s is better, by +20.0 %"));
    assert!(said(1).contains("TTFT p99 is worse, by +10.2 %"), "{}", said(1));
    assert!(said(2).contains("is equivalent within 5 %"), "{}", said(2));
    assert!(said(3).contains("repetitions of each would probably decide it"), "{}", said(3));
    let single = [compared("b", "x", Better::Higher, &[100.0], &[130.0])];
    let text = report(&single, &[]).terminal(100, false);
    assert!(text.contains("no difference may be claimed"), "{text}");
    assert!(text.contains("how many repetitions would decide it is not known"), "{text}");
    assert!(report(&[], &[]).markdown().contains("Nothing was compared."));
}

#[test]
fn the_figure_shows_every_change_against_the_margin() {
    let all = four();
    let figures = report(&all, &[]).figures().unwrap();
    let [(file, svg)] = &figures[..] else { panic!("{} figures", figures.len()) };
    assert_eq!(file, "comparison.svg");
    // Four changes and a key for each verdict; the hollow dot of what is undecided is two circles.
    assert_eq!(svg.matches("<circle").count(), 4 + 4 + 2);
    assert!(svg.contains("slots 64: TTFT p99") && svg.contains("change (%)"));
    assert!(report(&[], &[("capacity", &effects())]).figures().unwrap().is_empty());
}

#[test]
fn the_page_runs_nothing_and_text_from_outside_stays_text() {
    let mut one = four();
    one.truncate(1);
    one[0].candidate = "<img src=x onerror=alert(1)>";
    one[0].figure = "p99\u{1b}[2J";
    let effects = effects();
    let page = report(&one, &[("capacity", &effects)]).html().unwrap();
    assert!(page.contains("default-src 'none'") && page.contains("<svg"));
    for markup in ["<script", "<img", "\u{1b}"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("max-num-seqs 16 → 32 × prefix-caching off → on"));
}

/// The conclusion of a run: two candidates, one of them nobody saturated, and their latency at one load.
fn of_a_run() -> SettingsComparison {
    let exact = |values: &[f64]| values.iter().map(|&x| Estimate::exact(x)).collect::<Vec<_>>();
    let one = |candidate, figure: ComparedFigure, load: Option<ComparedLoad>, figures: [f64; 4]| {
        let comparing = Comparing { better: figure.better(), ..Comparing::default() };
        let comparison: Comparison =
            compare(&exact(&BASE), &exact(&figures), comparing).expect("they are paired");
        let (baseline_value, candidate_value) = (100.0, 100.0 * comparison.ratio);
        let lower_bound = [false, candidate == 1 && load.is_none()];
        FigureComparison {
            candidate,
            figure,
            load,
            baseline_value,
            candidate_value,
            lower_bound,
            comparing,
            comparison,
        }
    };
    let at = Some(ComparedLoad::Rate(20.0));
    let wild = [140.0, 80.0, 130.0, 75.0];
    SettingsComparison {
        margin: 0.05,
        baseline: "slots=16".to_owned(),
        candidates: vec!["slots=32".to_owned(), "slots=64".to_owned()],
        figures: vec![
            one(0, ComparedFigure::Capacity, None, [104.0, 96.0, 108.0, 99.0]),
            one(1, ComparedFigure::Capacity, None, [130.0, 131.0, 129.0, 130.0]),
            one(0, ComparedFigure::Latency(Wait::Ttft, 50), at, [90.0, 91.0, 89.0, 90.0]),
            one(0, ComparedFigure::Latency(Wait::Ttft, 90), at, wild),
            one(0, ComparedFigure::Latency(Wait::Ttft, 99), at, wild),
        ],
        main: Some((ComparedFigure::Capacity, None)),
        effects: Vec::new(),
        remarks: vec!["repetition 5 was not complete".to_owned()],
    }
}

fn judged(conclusion: SettingsComparison) -> Judgement {
    let mut judgement = fixture::several_groups();
    judgement.question = Question::Difference;
    judgement.conclusion = Conclusion::Comparison(Box::new(conclusion));
    judgement
}

#[test]
fn a_run_that_compares_begins_with_the_answer_in_every_form() {
    let (mut manifest, judgement) = (fixture::manifest(), judged(of_a_run()));
    manifest.experiment = "compare".to_owned();
    manifest.overrides.clear();
    let input = ReportInput::new(&manifest, &judgement, Path::new("results/compare"));
    let text = plimsoll_report::terminal(&input, 100, false);
    let from = text.find("The settings compared").expect("it has the conclusion");
    let to = text.find("To decide").expect("it says how");
    assert_snapshot!(&text[from..to]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Capacity against slots=16: slots=64 is better, at least +30.0 %; slots=32 is undecided,"), "{words}");
    assert!(words.contains("To decide: compare --set experiment.repetitions="), "{words}");
    let markdown = plimsoll_report::markdown(&input);
    let place = |part: &str| markdown.find(part).unwrap_or_else(|| panic!("no {part}: {markdown}"));
    assert!(place("## The settings compared") < place("## Environment"));
    assert!(place("![comparison](figs/comparison.svg)") < place("| TTFT p90 |"));
    let object = plimsoll_report::json(&input);
    let conclusion = &object["conclusion"];
    assert_eq!(conclusion["comparisons"].as_array().map(Vec::len), Some(5));
    assert_eq!(conclusion["comparisons"][3]["at"], "20 req/s");
    assert_eq!(conclusion["comparisons"][1]["lower_bound"], serde_json::json!([false, true]));
    assert_eq!(conclusion["remarks"][0], "repetition 5 was not complete");
    assert!(
        plimsoll_report::html(&input).expect("it can be drawn").contains("Change against slots=16")
    );
}

#[test]
fn repetitions_that_nobody_would_make_are_no_command() {
    let mut conclusion = of_a_run();
    conclusion.main =
        Some((ComparedFigure::Latency(Wait::Ttft, 90), Some(ComparedLoad::Rate(20.0))));
    let (manifest, judgement) = (fixture::manifest(), judged(conclusion));
    let input = ReportInput::new(&manifest, &judgement, Path::new("results/compare"));
    let object = plimsoll_report::json(&input);
    assert!(object["conclusion"]["next"].is_null());
    let remarks = object["conclusion"]["remarks"].to_string();
    assert!(remarks.contains("2528 repetitions would decide; longer windows"), "{remarks}");
}
