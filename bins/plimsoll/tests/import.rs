//! `plimsoll import`, and what `plimsoll audit` says of the results: a file made by hand, and a published study.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

fn plimsoll() -> Command {
    Command::cargo_bin("plimsoll").expect("cargo built it")
}

/// Imports `path` into `root`; the results folder, and what was said.
fn imported(path: &Path, root: &Path) -> (PathBuf, String) {
    let out = plimsoll().arg("import").arg(path).arg("--results").arg(root).assert().success();
    let said = String::from_utf8_lossy(&out.get_output().stdout).into_owned();
    (PathBuf::from(said.lines().last().unwrap_or_default()), said)
}

/// The findings of a folder.
fn findings(folder: &Path) -> Vec<Value> {
    let out = plimsoll().arg("audit").arg("--json").arg(folder).assert();
    let report: Value =
        serde_json::from_slice(&out.get_output().stdout).expect("--json prints JSON");
    report["findings"].as_array().expect("it is a list").clone()
}

/// A detailed result of `vllm bench serve` 0.32: 400 requests at 20 a second, answers of 20 tokens 10 ms
/// apart. `late` s pass between due and sent, up to twice that.
fn detailed(late: f64) -> String {
    let mut starts = Vec::new();
    let mut queues = Vec::new();
    let mut at = 500.0;
    for i in 0..400_u32 {
        // Gaps that scatter as exponential ones do, from a sequence without chance.
        let uniform = f64::from(i * 7919 % 400) / 400.0 + 0.001_25;
        at += -uniform.ln() / 20.0;
        let queue = late * (1.0 + f64::from(i % 10) / 10.0);
        starts.push(at + queue);
        queues.push(queue);
    }
    let duration = at - 500.0 + 0.25;
    serde_json::json!({
        "date": "20261121-200000", "endpoint_type": "openai-chat", "backend": "openai-chat",
        "label": null, "model_id": "tiny", "tokenizer_id": "tiny", "num_prompts": 400,
        "request_rate": 20.0, "burstiness": 1.0, "max_concurrency": null, "duration": duration,
        "completed": 400, "failed": 0, "total_input_tokens": 40_000, "total_output_tokens": 8_000,
        "request_throughput": 400.0 / duration, "request_goodput": null,
        "output_throughput": 8_000.0 / duration, "total_token_throughput": 48_000.0 / duration,
        "input_lens": vec![100; 400], "output_lens": vec![20; 400], "ttfts": vec![0.05; 400],
        "itls": vec![vec![0.01; 19]; 400], "latencies": vec![0.24; 400], "start_times": starts,
        "queue_times": queues, "generated_texts": vec![""; 400], "errors": vec![""; 400],
        "rtfx": 0.0, "mean_ttft_ms": 50.0, "mean_tpot_ms": 10.0,
    })
    .to_string()
}

#[test]
fn rows_of_another_tool_are_judged_as_our_own() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("whatever.txt");
    std::fs::write(&file, detailed(0.02)).unwrap();
    let (folder, said) = imported(&file, root.path());
    assert!(said.starts_with("1 points: 1 with the rows of their requests"), "{said}");
    let found = findings(&folder);
    // It waited for 20 ms and more before it sent, and its own TTFT does not show that.
    let late = found.iter().find(|it| it["code"] == "client-late").unwrap();
    assert_eq!(late["point"], "whatever");
    assert!(late["message"].as_str().unwrap().contains("ms"), "{late}");
    std::fs::write(&file, detailed(0.0)).unwrap();
    let (folder, _) = imported(&file, root.path());
    assert!(folder.ends_with("imported-whatever-2"), "{}", folder.display());
    assert!(findings(&folder).iter().all(|it| it["code"] != "client-late"));
}

#[test]
fn what_cannot_be_imported_is_named_and_leaves_no_folder() {
    let root = tempfile::tempdir().unwrap();
    let results = root.path().join("results");
    let broken = root.path().join("broken.json");
    std::fs::write(&broken, detailed(0.0).replace("\"completed\":400", "\"completed\":-1"))
        .unwrap();
    let other = root.path().join("other.json");
    std::fs::write(&other, "{\"a\": 1}").unwrap();
    for (path, said) in [
        (broken, "`completed` is -1; allowed is a whole number"),
        (other, "is no result of a known tool"),
        (root.path().join("gone"), "cannot read"),
    ] {
        let out = plimsoll().arg("import").arg(&path).arg("--results").arg(&results).assert();
        let out = out.failure().code(1);
        let error = String::from_utf8_lossy(&out.get_output().stderr).into_owned();
        assert!(error.contains(said) && error.contains(&path.display().to_string()), "{error}");
    }
    assert!(!results.exists());
}

/// The published study, where it is at hand.
#[expect(clippy::print_stdout, reason = "who reads a test's output is to know what it did not do")]
fn study() -> Option<PathBuf> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/vllm-0.9.2-qwen3-14b/dev");
    if path.is_dir() {
        return Some(path);
    }
    println!("SKIP: {} is not there", path.display());
    None
}

#[test]
fn a_published_study_is_seen_through() {
    let Some(path) = study() else { return };
    let root = tempfile::tempdir().unwrap();
    let (folder, said) = imported(&path, root.path());
    assert!(
        said.starts_with(
            "24 points: 0 with the rows of their requests, 12 with a server's log, 24"
        )
    );
    let plateau = said.lines().find(|line| line.starts_with("plateau ")).unwrap();
    assert!(plateau.starts_with("plateau 13.76 req/s, 13.51 to 14.00: gpus=1"), "{plateau}");
    assert_eq!(said.matches("not saturated").count(), 11);

    let found = findings(&folder);
    let of = |code: &str, point: &str| -> &Value {
        found
            .iter()
            .find(|it| it["code"] == code && it["point"].as_str().unwrap_or("").contains(point))
            .unwrap_or_else(|| panic!("{code} {point}"))
    };
    let number = |finding: &Value, name: &str| finding["numbers"][name].as_f64().unwrap();
    let near = |finding: &Value, name: &str, wanted: f64, within: f64| {
        let number = number(finding, name);
        assert!((number - wanted).abs() <= within, "{name}: {number}, not {wanted}");
    };
    // N / duration, and the most that it could show at each rate.
    for (rate, most) in
        [("10", -0.09), ("20", -0.26), ("30", -0.35), ("40", -0.41), ("50", -0.46), ("60", -0.50)]
    {
        near(of("drain-bias", &format!("SAT_G1__RR{rate}__")), "most_share", most, 0.015);
        near(of("drain-bias", &format!("SCALE_G1__RR{rate}__")), "most_share", most, 0.015);
    }
    near(of("drain-bias", "_G4__RR10__PLlong__B16"), "off_share", -0.077, 0.002);
    // The stated rates, and those that arrived.
    for (rate, arrived) in
        [("10", 9.8), ("20", 18.9), ("30", 27.8), ("40", 37.0), ("50", 45.4), ("60", 52.6)]
    {
        near(of("rate-missed", &format!("SAT_G1__RR{rate}__")), "arrived_per_s", arrived, 0.1);
    }
    let run_wide = |code: &str, words: &str| {
        found
            .iter()
            .find(|it| it["code"] == code && it["message"].as_str().unwrap().contains(words))
            .unwrap_or_else(|| panic!("{code}: {words}"))
    };
    near(run_wide("rate-missed", "each sending took"), "delay_ms", 2.4, 0.1);
    let settings = of("setting-not-applied", "SAT_G1__RR20")["message"].as_str().unwrap();
    for words in [
        "max-num-seqs = 16",
        "256 by log",
        "max-num-batched-tokens = 512 declared, 2048 in effect",
        "bfloat16",
    ] {
        assert!(settings.contains(words), "{settings}");
    }
    near(of("output-length", "SCALE_G1__RR50"), "asked_tokens", 256.0, 0.0);
    near(of("output-length", "_G1__RR10__PLshort__B32"), "stated_tokens", 64.0, 0.0);
    let template = of("template-doubled", "SAT_G1__RR60");
    near(template, "client_prompt_tokens", 43.3, 0.1);
    near(template, "server_prompt_tokens", 51.3, 0.2);
    near(of("prefix-reuse", "SAT_G1__RR10"), "hit_share", 0.856, 0.001);
    near(of("prefix-reuse", "SAT_G1__RR60"), "hit_share", 0.903, 0.001);
    near(of("overload-latency", "SAT_G1__RR20"), "ttft_mean_ms", 6900.0, 5.0);
    near(run_wide("load-limited", "amdahl_fit.csv"), "serial_share", 0.983, 0.001);
    let flat = run_wide("utilisation-flat", "it says nothing of head room");
    near(flat, "utilisation_low_pct", 90.0, 1.0);
    assert!(number(flat, "load_share") < 0.2, "{flat}");
    assert_eq!(of("gpu-shared", "")["point"], "20250721-160043__SCALE_G1__RR30__PLmedium__B16");
    run_wide("same-arrivals", "repetitions share one arrival sequence");
    near(run_wide("same-arrivals", "12 points at 6 rates"), "rates", 6.0, 0.0);
    // Each group but the one that was saturated ends before its plateau.
    let codes: BTreeSet<&str> = found.iter().filter_map(|it| it["code"].as_str()).collect();
    assert!(codes.contains("no-plateau") && !codes.contains("errors-excluded"), "{codes:?}");
}
