//! The report of settings held against each other, in every form.

use insta::assert_snapshot;
use plimsoll_analysis::{
    Better, Comparing, Estimate, Factor, FactorialEffects, FactorialRun, compare, factorial_effects,
};
use plimsoll_report::{Compared, ComparisonReport};

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
