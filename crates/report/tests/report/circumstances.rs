//! What was really measured: environment, settings, the server's time and the GPUs, in every form.

use std::path::Path;

use insta::assert_snapshot;
use plimsoll_analysis::{Diagnosis, ServerBreakdown};
use plimsoll_records::{SettingState, TargetRecord};
use plimsoll_report::{ReportInput, figures, html, json, markdown, terminal};
use serde_json::{Value, json};

use crate::observed::{Run, one_group, setting, several_groups};
use crate::{fixture, page};

fn input(run: &Run) -> ReportInput<'_> {
    ReportInput::new(&run.manifest, &run.judgement, Path::new("results/saturation-1"))
        .with_points(&run.files)
}

fn on_terminal(run: &Run) -> String {
    terminal(&input(run), 100, false).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn terminal_observed() {
    assert_snapshot!(terminal(&input(&one_group()), 100, false));
}

#[test]
fn markdown_observed() {
    assert_snapshot!(markdown(&input(&one_group())));
}

#[test]
fn markdown_observed_groups() {
    let text = markdown(&input(&several_groups()));
    let (_, rest) = text.split_once("## Server settings").unwrap();
    let (settings, _) = rest.split_once("## GPUs").unwrap();
    assert_snapshot!(settings);
}

#[test]
fn json_observed() {
    let mut run = one_group();
    run.judgement.groups[0].points.retain(|point| point.id == "r30");
    let object = json(&input(&run));
    let point = &object["points"][0];
    let part = json!({
        "environment": object["environment"],
        "diagnosis": object["diagnosis"],
        "settings": object["settings"][0]["settings"][0],
        "server": point["server"],
        "gpu": point["gpu"],
        "gpus": point["gpus"][1],
        "server_start": point["server_start"],
        "gpu_sampling": point["gpu_sampling"],
    });
    assert_snapshot!(serde_json::to_string_pretty(&part).unwrap());
}

#[test]
fn the_environment_is_the_first_table() {
    let run = one_group();
    let text = markdown(&input(&run));
    let verdict = text.find("**VALID**").unwrap();
    let table = text.find("|---").unwrap();
    let heading = text.find("## Environment").unwrap();
    assert!(verdict < heading && heading < table);
    let page = html(&input(&run)).unwrap();
    let verdict = page.find("<p class=\"verdict").unwrap();
    let environment = page.find("<h2>Environment</h2>").unwrap();
    assert!(verdict < environment && environment < page.find("class=\"headline\"").unwrap());
    assert!(environment < page.find("<table").unwrap());
}

/// The rows of the environment by name.
fn environment(run: &Run) -> Value {
    json(&input(run))["environment"].clone()
}

#[test]
fn only_the_rows_of_the_guide_say_that_nothing_is_known() {
    let mut run = one_group();
    run.files.clear();
    run.manifest.targets.clear();
    run.manifest.target = TargetRecord { launch: "process".to_owned(), ..TargetRecord::default() };
    run.manifest.machine = Default::default();
    let unknown = environment(&run);
    let rows = unknown.as_object().unwrap();
    let mut said: Vec<_> =
        rows.iter().filter(|(_, value)| value.is_null()).map(|(name, _)| name).collect();
    said.sort();
    assert_eq!(
        said,
        [
            "chunked_prefill",
            "cpu",
            "cuda",
            "driver",
            "gpu",
            "model",
            "number_of_gpus",
            "os",
            "quantization",
            "server_version",
            "tensor_parallel",
            "vram"
        ]
    );
    let mut others: Vec<_> = rows.keys().filter(|name| !said.contains(name)).collect();
    others.sort();
    assert_eq!(others, ["launch", "tool"]);
}

#[test]
fn the_machine_of_a_server_elsewhere_is_not_the_clients() {
    let mut run = one_group();
    for target in run.manifest.targets.iter_mut().chain([&mut run.manifest.target]) {
        target.launch = "attach".to_owned();
    }
    // At a loopback address it is the same machine all the same.
    assert_eq!(environment(&run)["cpu"], "AMD EPYC 7763, 16 cores");
    run.manifest.targets[0].url = "http://gpu-box:8000".to_owned();
    let rows = environment(&run);
    assert_eq!((&rows["cpu"], &rows["gpu"]), (&Value::Null, &Value::Null));
    assert!(markdown(&input(&run)).contains("| CPU | not known |"));
    assert_eq!(rows["cpu_of_the_client"], "AMD EPYC 7763, 16 cores");
    let text = on_terminal(&run);
    assert!(text.contains("client AMD EPYC 7763") && !text.contains("machine AMD"));
    assert!(!text.contains("GPUs 2 × NVIDIA"), "{text}");
}

#[test]
fn a_setting_that_did_not_reach_the_server_stands_out() {
    let run = one_group();
    let sentence = "4 settings declared; 1 is NOT in effect: max-num-batched-tokens (256 declared, \
                    2048 in effect); 2 are in effect; the server does not say of scheduling-policy";
    assert!(on_terminal(&run).contains(sentence), "{}", on_terminal(&run));
    let coloured = terminal(&input(&run), 250, true);
    assert!(coloured.contains("\u{1b}[1;31m4 settings declared"), "{coloured}");
    let text = markdown(&input(&run));
    assert!(text.contains("| **max-num-batched-tokens** | **256** | **2048** | **DIFFERENT** |"));
    let page = html(&input(&run)).unwrap();
    assert_eq!(page.matches("<tr class=\"different\">").count(), 1);
    assert!(page.contains(&format!("<p class=\"wrong\">{sentence}.</p>")));

    let mut run = run;
    for file in &mut run.files {
        file.settings
            .retain(|setting| matches!(setting.state, SettingState::Equal | SettingState::Default));
    }
    assert!(on_terminal(&run).contains("settings 2 settings declared: all are in effect"));
    let page = html(&input(&run)).unwrap();
    assert!(!page.contains("class=\"wrong\"") && !page.contains("class=\"different\""));
}

#[test]
fn what_the_server_filled_in_is_folded() {
    let run = one_group();
    let text = markdown(&input(&run));
    assert!(text.contains("Not declared, filled in by the server (15):"));
    assert!(text.contains("… and 3 more in report.html."));
    let page = html(&input(&run)).unwrap();
    let (_, rest) =
        page.split_once("<summary>Not declared, filled in by the server (15)</summary>").unwrap();
    let (folded, _) = rest.split_once("</details>").unwrap();
    assert_eq!(folded.matches("<tr class").count(), 15);
}

#[test]
fn a_run_that_declared_nothing_and_asked_nobody_has_no_settings() {
    let (mut manifest, judgement) = (fixture::manifest(), fixture::valid());
    manifest.target.settings_declared.clear();
    let input = ReportInput::new(&manifest, &judgement, Path::new("results"));
    assert_eq!(json(&input)["settings"], json!([]));
    for text in [markdown(&input), html(&input).unwrap()] {
        assert!(!text.contains("Server settings") && !text.contains("settings declared"));
    }
}

#[test]
fn groups_tell_only_where_they_differ() {
    let run = several_groups();
    let object = json(&input(&run));
    let groups: Vec<_> =
        object["settings"].as_array().unwrap().iter().map(|set| set["groups"].clone()).collect();
    assert_eq!(groups, [json!([0]), json!([1])]);
    assert_eq!(object["environment"]["data_parallel"], "1; 2");
    let page = html(&input(&run)).unwrap();
    assert_eq!(page.matches("<td class=\"text\">data-parallel-size</td>").count(), 2);
    assert_eq!(page.matches("<td class=\"text\">max-num-seqs</td>").count(), 1);

    // The same settings in both groups are one list.
    let mut run = run;
    for file in &mut run.files {
        file.settings = vec![setting("seed", json!("?"), json!(0), "/server_info")];
    }
    let object = json(&input(&run));
    assert_eq!(object["settings"][0]["groups"], json!([0, 1]));
    assert_eq!(object["settings"].as_array().unwrap().len(), 1);
}

#[test]
fn servers_speak_for_points_without_files() {
    let mut run = several_groups();
    run.files.clear();
    let text = markdown(&input(&run));
    assert!(text.contains("### server 1\n") && text.contains("### server 2\n"));
    // A file that says which server it was is enough.
    run.files = fixture::point_files(&run.judgement);
    for file in &mut run.files {
        file.server_start.number = u32::from(file.id.starts_with("dp2"));
    }
    let text = markdown(&input(&run));
    assert!(text.contains("### data-parallel-size=2\n") && !text.contains("### server 1\n"));
}

#[test]
fn a_server_that_was_given_no_load_tells_its_settings_all_the_same() {
    // The second group's points were stopped before any load, because of a setting.
    let mut run = several_groups();
    for file in &mut run.files {
        file.settings.retain(|setting| setting.name == "max-num-seqs");
    }
    run.files.retain(|file| file.server_start.number == 0);
    run.judgement.groups.truncate(1);
    let text = markdown(&input(&run));
    assert!(text.contains("### server 2\n") && text.contains("| **max-num-batched-tokens** |"));
    assert!(text.contains("1 is NOT in effect"));

    // The same when no point was measured at all.
    run.judgement.groups.clear();
    run.files.clear();
    let text = on_terminal(&run);
    assert!(text.contains("max-num-batched-tokens (256 declared, 2048 in effect)"), "{text}");
}

#[test]
fn the_answer_stands_with_the_capacity_and_the_evidence_below() {
    let mut run = one_group();
    let strongest = "8 of 8 slots (max-num-seqs) were taken at most; requests waited in 97 % of the \
                     scrapes (80.0 on average)";
    let text = on_terminal(&run);
    assert!(
        text.contains(&format!(
            "Why does throughput not grow? the slots: {strongest} → Does throughput"
        )),
        "{text}"
    );
    assert!(text.contains("saturation results/saturation-1/next.toml"), "{text}");
    let text = markdown(&input(&run));
    assert!(text.contains("| limited by | **slots** |"));
    assert!(
        text.contains("### Why does throughput not grow?") && text.contains("factors.\"server")
    );
    let page = html(&input(&run)).unwrap();
    assert!(page.contains("<dt>limited by</dt><dd><b>slots</b>"), "the card");
    assert!(page.contains("<h3>Why does throughput not grow?</h3>"), "the section");
    assert!(page.contains("<tr class=\"answer\"><td class=\"text\">slots</td>"), "the table");
    let diagnosis = &json(&input(&run))["diagnosis"];
    assert_eq!(
        (&diagnosis["answer"], &diagnosis["next"]["file"]),
        (&json!("slots"), &json!("next.toml"))
    );
    assert_eq!(diagnosis["next"]["changes"][0]["value"], json!([8, 16, 32]));

    // The matrix of another tool's run is none: there is nothing to run next.
    run.manifest.matrix_resolved = json!({});
    assert_eq!(json(&input(&run))["diagnosis"]["next"], Value::Null);
    assert!(!markdown(&input(&run)).contains("The next experiment"));
    // Nothing was weighed.
    run.judgement.groups[0].diagnosis = Diagnosis::default();
    assert_eq!(json(&input(&run))["diagnosis"], Value::Null);
    let words = [on_terminal(&run), markdown(&input(&run)), html(&input(&run)).unwrap()];
    for words in words {
        assert!(!words.contains("imited by") && !words.contains("Why does"), "{words}");
    }
}

#[test]
fn each_group_has_a_diagnosis_and_a_matrix_of_its_own() {
    let run = several_groups();
    let object = json(&input(&run));
    assert_eq!(object["diagnosis"], Value::Null);
    let of = |group: usize| &object["groups"][group]["diagnosis"]["next"];
    assert_eq!((&of(0)["file"], &of(1)["file"]), (&json!("next-1.toml"), &json!("next-2.toml")));
    let fixed = json!({"key": "server.settings.data-parallel-size", "value": 2});
    assert_eq!(of(1)["changes"][0], fixed);
    let text = on_terminal(&run);
    assert!(text.contains("data-parallel-size=2: ") && text.contains("next-2.toml"), "{text}");
}

#[test]
fn times_of_an_overloaded_point_are_not_the_servers() {
    let run = one_group();
    let text = markdown(&input(&run));
    let (_, rest) = text.split_once("### Where the time goes").unwrap();
    let rows: Vec<_> = rest.lines().filter(|line| line.starts_with("| ")).take(8).collect();
    assert_eq!(
        rows[4],
        "| 30 | 15.0 | 30.0 | 4.50 | 47.0 | 2,600 | 0 % | 0 | 7.50 | 0.300 | 15 % |"
    );
    assert_eq!(rows[5], "| 40 | grows | † | † | grows | † | 0 % | 3 | 8.00 | 80.0 | 20 % |");
    // Below 0, with its sign: the server and the client counted different requests.
    assert!(rows[2].starts_with("| 10 | 1.67 | 26.0 | −0.400 |"), "{}", rows[2]);
}

#[test]
fn the_parts_of_the_ttft_are_a_figure_where_they_are_known() {
    let mut run = one_group();
    let names = |run: &Run| {
        figures(&input(run)).unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names(&run)[2], "ttft-parts.svg");
    assert!(markdown(&input(&run)).contains("(figs/ttft-parts.svg)"));
    let drawing = figures(&input(&run)).unwrap().remove(2).1;
    for words in ["mean TTFT from sent (ms)", "prefill", "grows"] {
        assert!(drawing.contains(words), "{words}");
    }
    let specs = page::specs(&html(&input(&run)).unwrap());
    let parts = &specs[2];
    assert_eq!(parts["layout"]["barmode"], "stack");
    // Three stable points of six; what is below 0 has no height.
    assert_eq!(parts["data"][0]["x"], json!([0.0, 1.0, 2.0]));
    assert_eq!(parts["data"][1]["y"], json!([26.0, 28.0, 30.0]));
    assert_eq!(parts["data"][2]["y"], json!([0.0, 4.5, 4.5]));
    assert_eq!(parts["layout"]["shapes"].as_array().unwrap().len(), 3);

    // One part less, and there is no bar; none of them, and there is no figure.
    for point in &mut run.judgement.groups[0].points {
        point.server = Some(ServerBreakdown { rest_ms: None, ..point.server.unwrap() });
    }
    assert!(!names(&run).contains(&"ttft-parts.svg".to_owned()));
    assert!(!markdown(&input(&run)).contains("ttft-parts"));
    assert!(markdown(&input(&run)).contains("### Where the time goes"));
    for point in &mut run.judgement.groups[0].points {
        point.server = None;
    }
    for text in [markdown(&input(&run)), html(&input(&run)).unwrap(), on_terminal(&run)] {
        assert!(!text.contains("Where the time goes") && !text.contains("time goes to"));
    }
}

#[test]
fn gpus_are_told_with_who_else_was_on_them() {
    let mut run = one_group();
    let page = html(&input(&run)).unwrap();
    assert!(page.contains("1 of the server; FOREIGN: train.py 7777 (3 GiB)"));
    assert!(page.contains("3.1 % (SW power cap)"));
    assert!(page.contains("<b>0.234 J/token</b>"), "{}", on_terminal(&run));
    let object = json(&input(&run));
    assert_eq!(object["points"][2]["gpu"]["foreign"][0]["pid"], 7777);

    // A GPU without a process of the server is not one of its own.
    for file in &mut run.files {
        file.gpus[1].used = Some(false);
    }
    let text = markdown(&input(&run));
    assert!(!text.contains("train.py"));
    assert!(text.contains("Left out where no process of the server was seen on it: GPU 1."));

    // A card that offers nothing leaves gaps, not zeros; its columns go.
    for file in &mut run.files {
        for gpu in &mut file.gpus {
            gpu.power_mean_w = None;
            gpu.power_max_w = None;
            gpu.energy_j = None;
        }
    }
    for point in &mut run.judgement.groups[0].points {
        point.gpu = None;
    }
    let text = markdown(&input(&run));
    let (_, rest) = text.split_once("## GPUs").unwrap();
    let (section, _) = rest.split_once("## Findings").unwrap();
    assert!(!section.contains("power W") && !section.contains("energy"), "{section}");
    assert!(!on_terminal(&run).contains("J/token"));
}

#[test]
fn no_gpu_is_one_line_at_the_foot() {
    let (mut manifest, judgement) = (fixture::manifest(), fixture::valid());
    manifest.machine.gpu_remark = Some("libnvidia-ml.so.1 was not found".to_owned());
    let input = ReportInput::new(&manifest, &judgement, Path::new("results"));
    let why = "No GPU was sampled: libnvidia-ml.so.1 was not found.";
    let text = markdown(&input);
    let (_, foot) = text.split_once("## The run").unwrap();
    assert!(foot.contains(&why.replace('_', "\\_")), "{foot}");
    let page = html(&input).unwrap();
    assert_eq!(page.matches(why).count(), 1);
    assert!(!page.contains("<h2>GPUs</h2>"));
    assert!(!terminal(&input, 100, false).contains("No GPU was sampled"));
    // Where GPUs were sampled, nobody has to say why not.
    let mut run = one_group();
    run.manifest.machine.gpu_remark = Some("GPU 1 was lost".to_owned());
    assert!(!markdown(&self::input(&run)).contains("No GPU was sampled"));
}

#[test]
fn samplers_tell_what_they_cost() {
    let run = one_group();
    let words = "server's metrics every 1,000 ms: 120 samples, longest gap 1,040 ms, at most 0.4 % of a \
                 core; GPUs every 100 ms: 1,200 samples, longest gap 104 ms, at most 0.4 % of a core";
    assert!(markdown(&input(&run)).contains(words));
}
