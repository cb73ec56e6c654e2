//! The HTML page and the files of the folder.

use std::path::Path;

use plimsoll_analysis::Judgement;
use plimsoll_report::{ReportInput, figures, html, json, markdown, write_all};

use crate::fixture;

/// The specifications of the page's figures.
pub(crate) fn specs(page: &str) -> Vec<serde_json::Value> {
    page.split("<script type=\"application/json\"")
        .skip(1)
        .map(|rest| {
            let (_, rest) = rest.split_once('>').expect("the element's tag ends");
            let (spec, _) = rest.split_once("</script>").expect("the element ends");
            serde_json::from_str(spec).expect("a specification is JSON")
        })
        .collect()
}

/// The page without the plotting script, which is not ours to judge.
fn without_plotting(page: &str) -> String {
    let (before, rest) = page.split_once("<script nonce=").expect("the page has scripts");
    let (_, after) = rest.split_once("</script>").expect("the script ends");
    format!("{before}{after}")
}

#[test]
fn the_page_asks_the_network_for_nothing() {
    let (manifest, judgement) = (fixture::manifest(), fixture::valid());
    let page = html(&ReportInput::new(&manifest, &judgement, Path::new("results"))).unwrap();
    assert!(page.contains("default-src 'none'"));
    let ours = without_plotting(&page);
    for reference in ["src=", "@import", "url(", "fetch(", "XMLHttpRequest"] {
        assert!(!ours.contains(reference), "{reference}");
    }
    // The one link is the empty icon; the one address is the server's, as text.
    assert_eq!(ours.matches("href=").count(), 1);
    for (at, _) in ours.match_indices("http://") {
        let rest = &ours[at..];
        let allowed =
            rest.starts_with("http://127.0.0.1:8000") || rest.starts_with("http://www.w3.org/");
        assert!(allowed, "{}", rest.chars().take(60).collect::<String>());
    }
    assert_eq!(ours.matches("https://").count(), 0);
}

#[test]
fn the_page_tells_who_was_sent_twice() {
    let manifest = fixture::manifest();
    let page =
        |judgement| html(&ReportInput::new(&manifest, &judgement, Path::new("results"))).unwrap();
    let note = "3 requests due in the measure window were sent a second time because the server \
                had closed a kept connection (1 at 30 and 2 at 40 req/s)";
    assert_eq!(page(fixture::resent()).matches(note).count(), 1);
    assert!(!page(fixture::valid()).contains("sent a second time"));
}

#[test]
fn the_page_has_its_figures() {
    let (manifest, judgement) = (fixture::manifest(), fixture::several_groups());
    let page = html(&ReportInput::new(&manifest, &judgement, Path::new("results"))).unwrap();
    for group in 1..=2 {
        for figure in ["saturation", "ttft", "tpot", "itl", "e2e", "schedule-lag", "in-flight"] {
            assert_eq!(
                page.matches(&format!("<div class=\"plot\" id=\"{figure}-{group}\">")).count(),
                1
            );
        }
    }
    assert!(page.contains("id=\"trade-off-2\"") && !page.contains("id=\"trade-off-1\""));
    let specs = specs(&page);
    // The second group keeps up with three loads, the first with one: that is no trade-off.
    assert_eq!(specs.len(), 15);
    // Throughput of the second group: four marks (capacity's band and line, knee, plateau) and the
    // unstable region.
    assert_eq!(specs[7]["layout"]["shapes"].as_array().unwrap().len(), 5);
    let text = specs[7]["layout"]["annotations"].to_string();
    for mark in ["capacity 36.4", "knee 20", "plateau 36.2"] {
        assert!(text.contains(mark), "{text}");
    }
    // The latencies of unstable points are in no line: three of six points are stable.
    assert_eq!(specs[8]["data"][0]["x"], serde_json::json!([10.0, 20.0, 30.0]));
    assert_eq!(specs[8]["data"][3]["x"], serde_json::json!([40.0, 50.0, 60.0]));
}

#[test]
fn a_gap_between_chunks_is_called_one() {
    let (manifest, mut judgement) = (fixture::manifest(), fixture::valid());
    for point in &mut judgement.groups[0].points {
        point.itl = Default::default();
    }
    let page = |judgement: &Judgement| {
        let input = ReportInput::new(&manifest, judgement, Path::new("results"));
        let drawing = figures(&input).unwrap().remove(2).1;
        (html(&input).unwrap(), drawing, json(&input)["points"][0].clone())
    };
    let (chunks, drawing, point) = page(&judgement);
    assert!(chunks.contains("id=\"chunk-gap-1\"") && !chunks.contains("id=\"itl-1\""));
    assert!(chunks.contains("<th>chunk gap<br>") && !chunks.contains("<th>ITL<br>"));
    assert!(drawing.contains("chunk gap (ms)") && !drawing.contains("ITL (ms)"));
    assert!(point["itl_ms"].is_null() && point["chunk_gap_ms"]["p99"].is_number());

    // One point whose tokens were counted is enough for the name, and no chunk gap stands in for the
    // others.
    judgement.groups[0].points[1].itl = fixture::latency(12.0);
    let (tokens, drawing, point) = page(&judgement);
    assert!(tokens.contains("id=\"itl-1\"") && !tokens.contains("id=\"chunk-gap-1\""));
    assert!(tokens.contains("<th>ITL<br>") && !tokens.contains("<th>chunk gap<br>"));
    assert!(drawing.contains("ITL (ms)") && !drawing.contains("chunk gap (ms)"));
    assert!(point["itl_ms"].is_null());
    let itl = specs(&tokens).remove(3);
    assert_eq!(itl["data"][0]["x"], serde_json::json!([20.0]));
}

#[test]
fn an_invalid_measurement_claims_nothing() {
    let (manifest, judgement) = (fixture::manifest(), fixture::invalid());
    let input = ReportInput::new(&manifest, &judgement, Path::new("results"));
    for text in [html(&input).unwrap(), markdown(&input)] {
        assert!(text.contains("This is not a result"));
        assert!(!text.contains("The server sustains") && !text.contains("The server kept up"));
    }
}

#[test]
fn the_page_is_the_same_for_the_same_run() {
    let (manifest, judgement) = (fixture::manifest(), fixture::valid());
    let input = ReportInput::new(&manifest, &judgement, Path::new("results"));
    assert_eq!(html(&input).unwrap(), html(&input).unwrap());
}

#[test]
fn figures_are_named_after_what_they_show() {
    let manifest = fixture::manifest();
    let names = |judgement| {
        let input = ReportInput::new(&manifest, &judgement, Path::new("results"));
        figures(&input).unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(
        names(fixture::valid()),
        [
            "saturation.svg",
            "ttft.svg",
            "latency.svg",
            "trade-off.svg",
            "schedule-lag.svg",
            "in-flight.svg"
        ]
    );
    // After the six of both groups together and the five of the first.
    assert_eq!(names(fixture::several_groups())[11..13], ["saturation-2.svg", "ttft-2.svg"]);
}

#[test]
fn figures_show_what_the_judgement_says() {
    let (manifest, judgement) = (fixture::manifest(), fixture::valid());
    let input = ReportInput::new(&manifest, &judgement, Path::new("results"));
    let figures = figures(&input).unwrap();
    let text = |place: usize, words: &str| {
        assert!(figures[place].1.contains(words), "{words} is missing in {}", figures[place].0);
    };
    for words in
        ["capacity 36.4", "knee 20", "SLO capacity 30", "plateau 36.2", "offered rate (req/s)"]
    {
        text(0, words);
    }
    text(1, "TTFT (ms, logarithmic)");
    text(2, "TPOT (ms)");
    text(3, "From 10.0 to 30.0 req/s of throughput");
    text(4, "schedule lag");
    text(5, "60 req/s");
}

#[test]
fn a_report_is_written_whole_and_replaces_the_last() {
    let (manifest, judgement) = (fixture::manifest(), fixture::valid());
    let dir = tempfile::tempdir().unwrap();
    let input = ReportInput::new(&manifest, &judgement, dir.path());
    for _ in 0..2 {
        let path = write_all(&input, dir.path()).unwrap();
        assert_eq!(path, dir.path().join("report.html"));
    }
    let mut files = Vec::new();
    for folder in [dir.path().to_owned(), dir.path().join("figs")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            files.push(entry.unwrap().file_name().into_string().unwrap());
        }
    }
    files.sort();
    assert_eq!(
        files,
        [
            "figs",
            "in-flight.svg",
            "latency.svg",
            "report.html",
            "report.md",
            "saturation.svg",
            "schedule-lag.svg",
            "trade-off.svg",
            "ttft.svg"
        ]
    );
    let markdown = std::fs::read_to_string(dir.path().join("report.md")).unwrap();
    for (link, _) in markdown.match_indices("](figs/") {
        let file = markdown[link + 2..].split(')').next().unwrap();
        assert!(dir.path().join(file).is_file(), "{file}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let (manifest, judgement) = (fixture::manifest(), fixture::valid());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("figs"), "not a folder").unwrap();
    let error =
        write_all(&ReportInput::new(&manifest, &judgement, dir.path()), dir.path()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("figs") && text.contains("writable"), "{text}");
}
