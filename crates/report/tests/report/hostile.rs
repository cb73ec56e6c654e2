//! What a server or a broken analysis may send: nothing may panic, nothing may become markup.

use std::path::Path;

use plimsoll_analysis::{
    Cause, Diagnosis, Estimate, Evidence, GpuSummary, Group, Hypothesis, Judgement, LatencySummary,
    PointSummary, Quantile, Saturation, ServerBreakdown, Standing,
};
use plimsoll_records::{
    ClockRecord, FindingCode, GpuLink, GpuProcess, GpuRecord, GpuWindow, LagRecord, LeftOut,
    Manifest, PointFile, SamplingRecord, SettingRecord, SettingState, Severity, Verdict,
};
use plimsoll_report::{ReportInput, figures, html, json, markdown, terminal};
use proptest::prelude::*;

use crate::fixture;

const ATTACK: &str =
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>|`x`\u{1b}[31m\u{202e}\n# h";

/// A run whose every text from outside is an attack.
fn attacked() -> (Manifest, Judgement) {
    let mut manifest = fixture::manifest();
    let attack = || ATTACK.to_owned();
    manifest.experiment = attack();
    manifest.started = attack();
    manifest.target.model = attack();
    manifest.target.server = Some(attack());
    manifest.target.version = Some(attack());
    manifest.target.url = attack();
    manifest.target.settings_declared.insert(attack(), attack().into());
    manifest.machine.cpu = attack();
    manifest.matrix_written = format!("```\n{ATTACK}");
    manifest.matrix_resolved = serde_json::json!({ "slo": { ATTACK: ATTACK } });
    manifest.overrides = vec![attack()];
    manifest.remarks = vec![attack()];
    manifest.stamps_remark = Some(attack());
    let machine = &mut manifest.machine;
    (machine.os, machine.kernel) = (attack(), attack());
    machine.container = Some(attack());
    machine.gpu_remark = Some(attack());
    machine.gpu_driver = Some(attack());
    machine.cuda = Some(attack());
    machine.gpus =
        (0..2).map(|gpu| GpuRecord { gpu, name: attack(), ..GpuRecord::default() }).collect();
    machine.gpu_links = vec![GpuLink { a: 0, b: 1, link: attack() }];
    manifest.target.command = Some(attack());
    manifest.target.settings = attacked_settings();
    manifest.left_out = vec![LeftOut { point: attack(), reason: attack() }];
    let told = || Evidence { text: attack(), numbers: vec![], points: vec![attack()] };
    let mut judgement = fixture::several_groups();
    for group in &mut judgement.groups {
        group.factors.insert(attack(), attack());
        group.diagnosis = Diagnosis {
            at: attack(),
            hypotheses: vec![Hypothesis {
                cause: Cause::Slots,
                standing: Standing::Supported,
                supporting: vec![told()],
                contradicting: vec![told()],
                unknown: vec![attack()],
            }],
            answer: Some(Cause::Slots),
            sentence: attack(),
        };
        for point in &mut group.points {
            point.server = Some(ServerBreakdown {
                queue_ms: Some(1.0),
                prefill_ms: Some(2.0),
                rest_ms: Some(3.0),
                ..ServerBreakdown::default()
            });
        }
    }
    judgement.findings = vec![
        fixture::finding(FindingCode::ErrorsExcluded, Severity::Warning, Some(ATTACK), ATTACK),
        fixture::finding(FindingCode::ErrorsExcluded, Severity::Note, None, ATTACK),
    ];
    judgement.findings[0].remedy = attack();
    (manifest, judgement)
}

fn attacked_settings() -> Vec<SettingRecord> {
    let attack = || ATTACK.to_owned();
    let states = [SettingState::Different, SettingState::Unknown, SettingState::Default];
    let record = |state| SettingRecord {
        name: attack(),
        declared: (state != SettingState::Default).then(|| attack().into()),
        in_effect: Some(serde_json::json!({ ATTACK: [ATTACK] })),
        source: Some(attack()),
        state,
    };
    states.map(record).to_vec()
}

/// What an attacker may have written into the files of points.
fn attacked_files(judgement: &Judgement) -> Vec<PointFile> {
    let attack = || ATTACK.to_owned();
    let mut files = fixture::point_files(judgement);
    files[0].id = attack();
    for (number, file) in (0..).zip(&mut files) {
        file.settings = attacked_settings();
        file.settings[0].name.push_str(&number.to_string());
        let process = |own| GpuProcess { name: Some(attack()), own, ..GpuProcess::default() };
        file.gpus = vec![GpuWindow {
            samples: 1,
            throttled_share: Some(0.5),
            throttle_reasons: vec![attack()],
            processes: [Some(true), Some(false), None].map(process).to_vec(),
            ..GpuWindow::default()
        }];
        let sampling = SamplingRecord { samples: 1, remark: Some(attack()), ..Default::default() };
        file.gpu_sampling = Some(sampling.clone());
        file.server_sampling = Some(sampling);
    }
    files
}

#[test]
fn no_text_from_outside_becomes_markup() {
    let (manifest, judgement) = attacked();
    let files = attacked_files(&judgement);
    let input = ReportInput::new(&manifest, &judgement, Path::new("results")).with_points(&files);
    let page = html(&input).unwrap();
    assert!(page.contains("&#60;img src=x") && !page.contains("<img src=x"));
    assert!(!page.contains("<script>"));
    // The page's own: one script element a figure (one group has a trade-off besides), the plotting script, and the one that draws.
    assert_eq!(page.matches("</script>").count(), 8 + 9 + 2);

    let text = markdown(&input);
    assert!(text.contains("&lt;img src=x"));
    let outside_of_blocks = text.split("\n<details>").next().unwrap();
    assert!(!outside_of_blocks.contains("<img") && !outside_of_blocks.contains("<script"));
    assert!(text.contains("````toml\n```\n"));

    let text = terminal(&input, 100, false);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert!(!text.contains('\u{202e}'));

    for (name, svg) in figures(&input).unwrap() {
        assert!(!svg.contains("<script") && !svg.contains("<img"), "{name}");
    }
}

#[test]
fn a_run_without_points_is_said_to_be_one() {
    let manifest = fixture::manifest();
    let empty = Group {
        factors: Default::default(),
        points: vec![],
        saturation: Saturation::default(),
        searches: vec![],
        diagnosis: Diagnosis::default(),
    };
    for groups in [vec![], vec![empty]] {
        let judgement = fixture::judgement(Verdict::Invalid, groups, vec![]);
        let input = ReportInput::new(&manifest, &judgement, Path::new("results"));
        assert!(figures(&input).unwrap().is_empty());
        for text in [terminal(&input, 80, false), markdown(&input), html(&input).unwrap()] {
            assert!(text.contains("INVALID"));
        }
        assert!(markdown(&input).contains("No point was measured"));
        assert_eq!(json(&input)["points"], serde_json::json!([]));
    }
}

/// Numbers that occur, and numbers that must not.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0..200.0_f64,
        1 => prop::sample::select(vec![
            0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-300, 1e300, f64::MAX, 1e12,
        ]),
    ]
}

fn any_estimate() -> impl Strategy<Value = Estimate> {
    (any_number(), any_number(), any_number()).prop_map(|(value, low, high)| Estimate {
        value,
        low,
        high,
    })
}

fn any_latency() -> impl Strategy<Value = LatencySummary> {
    let span = prop_oneof![
        Just(None),
        Just(Some(std::time::Duration::ZERO)),
        Just(Some(std::time::Duration::MAX)),
        (0_u64..100_000_000_000).prop_map(|nanos| Some(std::time::Duration::from_nanos(nanos))),
    ];
    let quantile = (span.clone(), span.clone(), span.clone())
        .prop_map(|(value, low, high)| Quantile { value, low, high });
    (span, quantile.clone(), quantile).prop_map(|(max, p50, p99)| LatencySummary {
        max,
        mean: max,
        p50,
        p90: p50,
        p99,
        ..LatencySummary::default()
    })
}

fn any_server() -> impl Strategy<Value = ServerBreakdown> {
    let some = || prop::option::of(any_number());
    ((some(), some(), some(), some()), (some(), some(), some())).prop_map(
        |((queue, prefill, rest, decode), (hits, preemptions, running))| ServerBreakdown {
            queue_ms: queue,
            prefill_ms: prefill,
            decode_ms: decode,
            server_ttft_ms: decode,
            rest_ms: rest,
            prefix_hit_share: hits,
            preemptions,
            running_mean: running,
            waiting_mean: preemptions,
            kv_cache_usage_max: hits,
        },
    )
}

fn any_gpu() -> impl Strategy<Value = GpuSummary> {
    let some = || prop::option::of(any_number());
    (some(), some(), some(), 0..3_u32).prop_map(|(power, energy, share, n)| GpuSummary {
        gpus: (0..n).collect(),
        sm_utilisation_mean_pct: share,
        power_mean_w: power,
        energy_j: energy,
        energy_j_per_output_token: energy,
        energy_j_per_request: power,
        output_tokens_per_s_per_w: power,
        memory_used_max_bytes: Some(u64::MAX),
        throttled_share: share,
        foreign: vec![],
    })
}

fn any_window() -> impl Strategy<Value = GpuWindow> {
    let some = || prop::option::of(any_number());
    let counts = (prop::option::of(any::<u64>()), any::<bool>(), any::<u32>());
    (some(), some(), some(), counts).prop_map(|(a, b, share, (bytes, used, gpu))| GpuWindow {
        gpu,
        samples: 1,
        used: used.then_some(used),
        sm_utilisation_mean_pct: a,
        sm_utilisation_max_pct: b,
        memory_used_max_bytes: bytes,
        memory_total_bytes: bytes,
        power_mean_w: b,
        power_max_w: a,
        energy_j: a,
        temperature_max_c: b,
        sm_clock_mean_mhz: a,
        throttled_share: share,
        pcie_tx_mean_mb_per_s: b,
        ecc_corrected: bytes,
        xids: vec![u64::MAX; 9],
        processes: vec![GpuProcess { memory_max_bytes: bytes, ..GpuProcess::default() }; 9],
        ..GpuWindow::default()
    })
}

fn any_point() -> impl Strategy<Value = PointSummary> {
    let numbers = (any_number(), any_number(), any_estimate(), any::<bool>());
    let seen = (prop::option::of(any_server()), prop::option::of(any_gpu()));
    (numbers, any_latency(), any_latency(), any::<bool>(), seen).prop_map(
        |((rate, mean, throughput, stable), ttft, lag, timeline, (server, gpu))| {
            let mut point = fixture::point(10.0, 20.0);
            point.id = format!("p{:x}", rate.to_bits());
            if let plimsoll_records::OfferedLoad::Open { rate_per_s, .. } = &mut point.load {
                *rate_per_s = rate;
            }
            point.achieved_rate_per_s = rate;
            point.throughput_per_s = throughput;
            point.mean_output_tokens = Some(mean);
            point.stability.stable = stable;
            point.stability.in_flight_mean = mean;
            (point.ttft, point.e2e, point.schedule_lag) = (ttft, ttft, lag);
            (point.server, point.gpu) = (server, gpu);
            if !timeline {
                point.timeline.clear();
            }
            point
        },
    )
}

fn any_lag() -> impl Strategy<Value = LagRecord> {
    (0..3_u64, any_number(), any_number()).prop_map(|(count, a, b)| LagRecord {
        count: if count == 2 { u64::MAX } else { count },
        mean_ms: a,
        p50_ms: b,
        p99_ms: a,
        max_ms: b,
    })
}

/// What a client may say of itself, in files that somebody else wrote.
fn any_files() -> impl Strategy<Value = Vec<PointFile>> {
    let shares = (prop::option::of(any_number()), prop::option::of(any_number()));
    let counts = (0..5_u64, prop::option::of(any::<u64>()), any::<u32>());
    let gpus = prop::collection::vec(any_window(), 0..3);
    let point = (any_lag(), any_lag(), shares, counts, any_number(), gpus);
    prop::collection::vec(point, 0..4).prop_map(|points| {
        let mut files = fixture::point_files(&fixture::valid());
        files.truncate(points.len());
        for (file, (delay, wake_up, (cpu, slew), (few, any, steps), ms, gpus)) in
            files.iter_mut().zip(points)
        {
            file.gpus = gpus;
            file.gpu_sampling = any.map(|samples| SamplingRecord {
                period_ms: ms,
                samples,
                failed: few,
                longest_gap_ms: ms,
                cpu_share: cpu,
                remark: None,
            });
            file.stamps.read_delay = delay;
            file.stamps.socket_fallbacks = few;
            file.stamps.packet_fallbacks = any.unwrap_or_default();
            file.stamps.packets_dropped = any;
            file.clock = ClockRecord { steps, stepped_ms: ms, slew_ppm: slew };
            file.workers[0].wake_up = wake_up;
            file.workers[0].cpu_share = cpu;
            file.workers.truncate(few as usize);
        }
        files
    })
}

fn any_judgement() -> impl Strategy<Value = Judgement> {
    let optional = || prop::option::of(any_estimate());
    let marks = (optional(), optional(), prop::option::of(any_number()), any::<bool>());
    (prop::collection::vec(any_point(), 0..5), marks).prop_map(
        |(points, (capacity, plateau, knee, lower_bound))| {
            let saturation = Saturation {
                capacity_per_s: capacity,
                lower_bound,
                plateau_per_s: plateau,
                slo_capacity_per_s: knee,
                knee_per_s: knee,
                voided: points.iter().take(1).map(|point| point.id.clone()).collect(),
            };
            let group = Group {
                factors: Default::default(),
                points,
                saturation,
                searches: vec![],
                diagnosis: Diagnosis::default(),
            };
            fixture::judgement(Verdict::Qualified, vec![fixture::diagnosed(group)], vec![])
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the numbers are, every form is made, and none shows a number that is none.
    #[test]
    fn every_form_is_made_of_any_numbers(judgement in any_judgement(), files in any_files(), number in any_number()) {
        let mut files = files;
        for (file, point) in files.iter_mut().zip(&judgement.groups[0].points) {
            file.id.clone_from(&point.id);
        }
        let mut manifest = fixture::manifest();
        manifest.self_tests[1].rate_per_s = number;
        manifest.self_tests[0].ttft_error.mean_ms = number;
        let input =
            ReportInput::new(&manifest, &judgement, Path::new("results")).with_points(&files);
        for text in [terminal(&input, 100, true), markdown(&input)] {
            prop_assert!(!text.contains("NaN") && !text.contains("inf "), "{}", text);
        }
        for (name, svg) in figures(&input).unwrap() {
            prop_assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{}", name);
        }
        // Text without `null` in the place of a number would mean that one was invented.
        let text = json(&input).to_string();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// The same of the page, which takes longer because of the script in it: every specification
    /// is JSON.
    #[test]
    fn the_page_is_made_of_any_numbers(judgement in any_judgement()) {
        let manifest = fixture::manifest();
        let page = html(&ReportInput::new(&manifest, &judgement, Path::new("results"))).unwrap();
        for spec in crate::page::specs(&page) {
            prop_assert!(spec["data"].is_array() && spec["layout"].is_object());
        }
    }
}
