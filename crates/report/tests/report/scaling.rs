//! The report of how a system scales, in every form.

use insta::assert_snapshot;
use plimsoll_analysis::{Estimate, ScalePoint, Scaling, scaling};
use plimsoll_report::ScalingReport;

fn point(n: f64, value: f64, half: f64) -> ScalePoint {
    let capacity = Estimate { value, low: value - half, high: value + half };
    ScalePoint { n, capacity, lower_bound: false }
}

/// USL with sigma 0.05 and kappa 0.002, measured to 2 %.
fn six() -> Vec<ScalePoint> {
    let off = [1.004, 0.993, 1.006, 0.998, 1.003, 0.997];
    let sizes = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
    sizes
        .iter()
        .zip(off)
        .map(|(&n, off): (&f64, f64)| {
            let capacity = 13.7 * n / (1.0 + 0.05 * (n - 1.0) + 0.002 * n * (n - 1.0));
            point(n, off * capacity, 0.02 * capacity)
        })
        .collect()
}

/// Two sizes, the larger one limited by what it was offered.
fn load_limited() -> Vec<ScalePoint> {
    vec![point(1.0, 13.7, 0.3), ScalePoint { lower_bound: true, ..point(4.0, 34.0, 0.4) }]
}

fn judged(points: &[ScalePoint]) -> Scaling {
    scaling(points, 7).expect("the points are sound")
}

fn report<'a>(points: &'a [ScalePoint], scaling: &'a Scaling) -> ScalingReport<'a> {
    ScalingReport {
        title: "qwen3-14b, data-parallel-size",
        sizes: "GPUs",
        unit: "req/s",
        mark: "",
        points,
        scaling,
    }
}

#[test]
fn terminal_of_a_law_with_a_peak() {
    let points = six();
    assert_snapshot!(report(&points, &judged(&points)).terminal(100, false));
}

#[test]
fn terminal_of_a_bound() {
    let points = load_limited();
    assert_snapshot!(report(&points, &judged(&points)).terminal(100, false));
}

#[test]
fn markdown_of_a_law_with_a_peak() {
    let points = six();
    assert_snapshot!(report(&points, &judged(&points)).markdown());
}

#[test]
fn json_of_a_bound() {
    let points = load_limited();
    let object = report(&points, &judged(&points)).json();
    assert_snapshot!(serde_json::to_string_pretty(&object).unwrap());
}

#[test]
fn what_cannot_be_said_is_not() {
    // Neither of two sizes was saturated; one size alone.
    let neither: Vec<_> =
        load_limited().into_iter().map(|p| ScalePoint { lower_bound: true, ..p }).collect();
    let found = judged(&neither);
    let text = report(&neither, &found).terminal(100, false);
    assert!(text.contains("Nothing is known of how it scales"), "{text}");
    assert!(report(&neither, &found).figures().unwrap().is_empty());
    assert!(report(&neither, &found).html().unwrap().contains("Nothing is known"));
    let one = [point(1.0, 13.7, 0.3)];
    assert!(report(&one, &judged(&one)).markdown().contains("One size of GPUs was measured"));
    // Points that no law explains: none is claimed.
    let bent: Vec<_> = six()
        .into_iter()
        .zip([1.0, 1.0, 1.2, 0.8, 1.3, 0.7])
        .map(|(p, off)| point(p.n, off * p.capacity.value, 0.1))
        .collect();
    let text = report(&bent, &judged(&bent)).terminal(100, false);
    assert!(text.contains("no law holds") && !text.contains("the points follow"), "{text}");
    // A gain that may be none.
    let flat = [point(1.0, 30.0, 4.0), point(2.0, 33.0, 6.0)];
    let text = report(&flat, &judged(&flat)).terminal(100, false);
    assert!(text.contains("the interval holds 1"), "{text}");
    // A bound below: the headline says so, and no number stands for the speed-up itself.
    let points = load_limited();
    let text = report(&points, &judged(&points)).terminal(100, false);
    assert!(text.contains("at least 2.4"), "{text}");
}

#[test]
fn lines_stay_within_the_width_and_lost_columns_are_named() {
    let points = six();
    let found = judged(&points);
    for width in [60, 80, 100, 200] {
        let text = report(&points, &found).terminal(width, false);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(width.min(100)), "{widest:?} of {width}:\n{text}");
    }
    let narrow = report(&points, &found).terminal(60, false);
    assert!(narrow.contains("no room for: "), "{narrow}");
    let coloured = report(&points, &found).terminal(100, true);
    assert!(coloured.contains("\u{1b}[1m"));
}

#[test]
fn figures_show_ideal_laws_and_points() {
    let points = six();
    let found = judged(&points);
    let figures = report(&points, &found).figures().unwrap();
    let names: Vec<_> = figures.iter().map(|(file, _)| file.as_str()).collect();
    assert_eq!(names, ["speed-up.svg", "karp-flatt.svg"]);
    let speedup = &figures[0].1;
    for word in ["ideal", "Amdahl", "Gustafson", "USL", "n, GPUs", "speed-up over n = 1"] {
        assert!(speedup.contains(word), "{word}");
    }
    // The base and five larger sizes, and the keys of the legend.
    assert_eq!(speedup.matches("<circle").count(), 7, "six sizes and a key");
    assert!(figures[1].1.contains("Karp-Flatt serial share"));
}

#[test]
fn the_page_runs_nothing_and_text_from_outside_stays_text() {
    let points = six();
    let found = judged(&points);
    let hostile = ScalingReport {
        title: "<script>alert(1)</script>\u{1b}[31m",
        sizes: "G<b>PUs",
        unit: "<i>",
        mark: "",
        points: &points,
        scaling: &found,
    };
    let page = hostile.html().unwrap();
    assert!(page.contains("default-src 'none'") && page.contains("<svg"));
    for markup in ["<script", "<b>", "<i>", "\u{1b}"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"));
    assert!(!hostile.markdown().contains("<script>"));
    assert!(!hostile.terminal(80, false).contains('\u{1b}'));
}
