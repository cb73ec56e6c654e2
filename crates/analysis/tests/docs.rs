//! The pages of docs/ that explain this crate's words and codes leave none of them out.

use std::path::Path;

use plimsoll_analysis::{Because, PeerTool, Rules};
use plimsoll_records::{FindingCode, Outcome};

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(path).expect("the page is in the workspace's docs folder")
}

#[test]
fn every_code_has_its_chapter_in_the_page_of_the_audit() {
    let audit = page("audit.md");
    let chapters: Vec<&str> = audit.split("\n## ").skip(1).collect();
    for code in FindingCode::ALL {
        let chapter = chapters
            .iter()
            .find(|chapter| chapter.lines().next() == Some(code.as_str()))
            .unwrap_or_else(|| panic!("docs/audit.md has no chapter `{code}`"));
        for part in ["**What.**", "**Why.**", "**Evidence.**", "**Remedy.**"] {
            assert!(chapter.contains(part), "{code} lacks {part}");
        }
    }
    assert_eq!(chapters.len(), FindingCode::ALL.len(), "a chapter of no code");
}

#[test]
fn every_code_has_its_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/audit");
    for code in FindingCode::ALL {
        let file = folder.join(format!("{}.rs", code.as_str().replace('-', "_")));
        assert!(file.is_file(), "{}", file.display());
    }
}

#[test]
fn every_field_of_a_summary_is_defined() {
    let definitions = page("definitions.md");
    let fields = |source: &'static str, of: &str| -> Vec<&'static str> {
        let body = source.split_once(&format!("pub struct {of} {{")).expect("it is in the file").1;
        let body = body.split_once("\n}").expect("it ends").0;
        body.lines()
            .filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'))
            .map(|(name, _)| name)
            .collect()
    };
    let summary = include_str!("../src/summary.rs");
    let judgement = include_str!("../src/judgement.rs");
    let breakdown = include_str!("../src/breakdown.rs");
    let gpu_summary = include_str!("../src/gpu_summary.rs");
    // What names the point is no measured word.
    let names = ["id", "factors", "repetition", "load", "gpus"];
    let words = fields(summary, "PointSummary")
        .into_iter()
        .chain(fields(summary, "Stability"))
        .chain(fields(summary, "LatencySummary"))
        .chain(fields(judgement, "Saturation"))
        .chain(fields(breakdown, "ServerBreakdown"))
        .chain(fields(gpu_summary, "GpuSummary"))
        .filter(|word| !names.contains(word));
    let mut checked = 0;
    for word in words {
        let defined = definitions.contains(&format!("`{word}`"))
            || definitions.contains(&format!("`stability.{word}`"))
            || (word == "stability" || word == "voided");
        assert!(defined, "docs/definitions.md does not define `{word}`");
        checked += 1;
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn every_word_of_the_field_is_defined() {
    let definitions = page("definitions.md");
    for word in [
        "intended",
        "dequeued",
        "connected",
        "sent",
        "first byte",
        "role chunk",
        "first reasoning",
        "first answer",
        "last token",
        "usage",
        "done",
        "First token",
        "Chunk",
        "Output tokens",
        "Outcome",
        "Warm-up",
        "Window",
        "Drain",
        "TTFT",
        "service TTFT",
        "TPOT",
        "ITL",
        "chunk gap",
        "Stamp source",
        "Arrival",
        "Read delay",
        "Shared chunk",
        "Wake-up lag",
        "CPU share",
        "Run-queue wait",
        "Clock step and slew",
        "Self-test",
        "Self-test error",
        "E2E",
        "schedule lag",
        "Quantile",
        "Offered rate",
        "Achieved rate",
        "Throughput",
        "Makespan throughput",
        "Goodput",
        "In flight",
        "Drift",
        "Stable",
        "Plateau",
        "Capacity",
        "SLO capacity",
        "Knee",
        "Voided",
        "Verdict",
        "Index of dispersion",
        "Where the time goes",
        "queue",
        "prefill",
        "decode",
        "server TTFT",
        "rest",
        "Prefix hit share",
        "Preemptions",
        "Running, waiting, KV use",
        "Ceilings",
        "Server start",
        "Why throughput does not grow",
        "Used GPU",
        "power",
        "energy",
        "energy per output token",
        "energy per request",
        "tokens per second per watt",
        "throttled share",
        "foreign processes",
    ] {
        let defined = definitions.lines().any(|line| {
            line.starts_with(&format!("### {word}")) || line.starts_with(&format!("| {word} "))
        });
        assert!(defined, "docs/definitions.md does not define `{word}`");
    }
    for outcome in Outcome::ALL {
        assert!(definitions.contains(&format!("`{outcome}`")), "{outcome}");
    }
}

#[test]
fn other_tools_words_are_those_of_the_code() {
    let definitions = page("definitions.md");
    let between = |mark: &str| {
        let mark = format!("<!-- {mark} -->\n");
        definitions.split(&mark).nth(1).expect("the page has the marks").to_owned()
    };
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let words = |tool: PeerTool| tool.definition().words();
    let names = words(PeerTool::Vllm).map(|(name, _)| name.to_owned());
    let mut table = row(["tool".to_owned()].into_iter().chain(names).collect());
    table.push_str(&format!("|{}\n", "---|".repeat(10)));
    let ours = [
        Rules::OURS.population.as_str(),
        Rules::OURS.completed.as_str(),
        Rules::OURS.clock_zero.as_str(),
        Rules::OURS.first.as_str(),
        Rules::OURS.end.as_str(),
        Rules::OURS.tpot.as_str(),
        Rules::OURS.itl.as_str(),
        "the measure window",
        Rules::OURS.percentile.as_str(),
    ];
    table.push_str(&row(["*ours*"].into_iter().chain(ours).map(str::to_owned).collect()));
    let mut caveats = String::new();
    for tool in PeerTool::ALL {
        let cells = words(tool).map(|(_, words)| words.to_owned());
        table.push_str(&row([format!("`{tool}`")].into_iter().chain(cells).collect()));
        caveats.push_str(&format!("- `{tool}`: {}\n", tool.definition().caveat));
    }
    assert_eq!(between("peers"), table);
    assert_eq!(between("caveats"), caveats);
    for why in Because::ALL {
        assert!(definitions.contains(&format!("- `{}`: ", why.key())), "{why:?}");
        assert!(!why.as_str().is_empty());
    }
}
