use serde_json::json;

use super::*;
use crate::conclusion::fixture::{Loop, OUTPUT, groups, manifest};
use crate::{ComparisonVerdict, Conclusion, conclude};

fn concluded(loops: &[Loop], servers: &[serde_json::Value]) -> Scenarios {
    let (conclusion, findings) = conclude(&manifest("scenarios", servers), &[], &groups(loops));
    assert!(findings.is_empty());
    match conclusion {
        Conclusion::Scenarios(found) => found,
        other => panic!("{other:?}"),
    }
}

fn case(name: &'static str, input: u32) -> Loop {
    Loop { factors: vec![("scenario", name)], input, ..Loop::default() }
}

#[test]
fn cases_have_names_speeds_and_the_price_of_a_token() {
    let long = case("long", 6000);
    let four = Loop { concurrency: 4, ..long.clone() };
    let found = concluded(&[case("short", 1000), long.clone(), four], &[json!({})]);
    let names: Vec<_> = found
        .cases
        .iter()
        .map(|it| (it.name.as_str(), it.case.concurrency(), it.is_single()))
        .collect();
    assert_eq!(
        names,
        [("short", Some(1), true), ("long", Some(1), true), ("long", Some(4), false)]
    );
    assert!(found.cases.iter().all(|it| it.settings.is_empty()) && found.effects.is_empty());
    let truth = f64::from(OUTPUT) / long.e2e_ms() * 1e3;
    let one = found.cases[1].tokens_per_s_request.unwrap();
    assert!((one.value / truth - 1.0).abs() < 1e-4 && one.contains(truth), "{one:?} {truth}");
    let all = found.cases[2].tokens_per_s.unwrap();
    assert!((all.value / (4.0 * truth) - 1.0).abs() < 1e-4, "{all:?}");
    let marginal = found.prefill.unwrap();
    assert_eq!((marginal.from_tokens, marginal.to_tokens), (1000.0, 6000.0));
    assert!(
        (marginal.per_token_ms.value - 0.16).abs() < 1e-6 && marginal.per_token_ms.contains(0.16)
    );
    assert_eq!(found.model.map(|size| size.billions), Some(14.0));
    assert_eq!(found.vram_bytes, None);
}

#[test]
fn a_case_that_does_not_fit_keeps_its_row_and_takes_no_part() {
    let refused = Some("maximum context length is 4096 tokens");
    let long = Loop { refused, ..case("long", 6000) };
    let found = concluded(&[case("short", 1000), long], &[json!({})]);
    assert_eq!(found.cases[1].case.state, CaseState::Failed);
    assert_eq!(
        (found.cases[1].tokens_per_s_request, found.cases[1].input_tokens()),
        (None, Some(6000.0))
    );
    assert_eq!(found.prefill, None);
}

/// Three servers: two budgets with chunked prefill, one without; the budget costs 10 % of each step, the
/// chunks nothing.
fn options(repetitions: u32) -> (Vec<Loop>, Vec<serde_json::Value>) {
    let servers = [("chunked, 2048", 26.4), ("chunked, 16384", 24.0), ("whole, 16384", 24.0)];
    let mut loops = Vec::new();
    for repetition in 0..repetitions {
        for (server, (name, a_ms)) in servers.into_iter().enumerate() {
            for (scenario, input) in [("short", 1000), ("long", 6000)] {
                let factors = vec![("scenario", scenario), ("server.options", name)];
                // Every measurement has a little of its own.
                let own = f64::from((repetition * 7 + server as u32 * 3 + input) % 5) * 0.004;
                loops.push(Loop {
                    factors,
                    input,
                    repetition,
                    a_ms: a_ms + own,
                    server: server as u32,
                    ..Loop::default()
                });
            }
        }
    }
    let settings = |chunked: bool, budget: u32| json!({"enable-chunked-prefill": chunked, "max-num-batched-tokens": budget});
    (loops, vec![settings(true, 2048), settings(true, 16_384), settings(false, 16_384)])
}

#[test]
fn settings_are_held_against_each_other_where_all_else_is_the_same() {
    let (mut loops, servers) = options(3);
    // A bundle of settings is no factor of its own here: its settings are.
    for one in &mut loops {
        one.factors[1].0 = "bundle";
    }
    let mut manifest = manifest("scenarios", &servers);
    manifest.matrix_resolved["factors"]["bundle"] =
        json!([{"name": "a", "server.settings.enable-chunked-prefill": true}]);
    let found = Scenarios::of(&manifest, &groups(&loops));
    assert_eq!(found.cases[0].name, "short");
    let effects: Vec<_> = found
        .effects
        .iter()
        .map(|it| (it.setting.as_str(), it.baseline.as_str(), it.level.as_str(), it.cases.len()))
        .collect();
    assert_eq!(
        effects,
        [
            ("enable-chunked-prefill", "true", "false", 2),
            ("max-num-batched-tokens", "2048", "16384", 2)
        ]
    );
    let of = |place: usize, latency| found.effects[place].of(latency).unwrap();
    assert_eq!(of(1, "TPOT").verdict, ComparisonVerdict::Better, "{:?}", of(1, "TPOT"));
    assert!((of(1, "TPOT").ratio - 24.0 / 26.4).abs() < 2e-3);
    assert_eq!(of(0, "E2E").verdict, ComparisonVerdict::Equivalent, "{:?}", of(0, "E2E"));
    assert!((of(0, "E2E").ratio - 1.0).abs() < 2e-3);
    // E2E of the two cases by the law: their geometric mean.
    let e2e = |a: f64, input: f64| 33.0 * a + 0.16 * input;
    let truth =
        (e2e(24.0, 1000.0) / e2e(26.4, 1000.0) * e2e(24.0, 6000.0) / e2e(26.4, 6000.0)).sqrt();
    assert!((of(1, "E2E").ratio - truth).abs() < 2e-3, "{} {truth}", of(1, "E2E").ratio);
    let long = &found.effects[1].cases[1];
    assert_eq!(found.cases[long.level].name, "long");
    assert_eq!(long.compared.len(), 3);
}

#[test]
fn one_repetition_of_a_setting_claims_nothing() {
    let (loops, servers) = options(1);
    let found = concluded(&loops, &servers);
    // The factor under `server` is a setting, too, and the two go together: nothing is alike but for it.
    assert!(found.effects.is_empty(), "{:?}", found.effects);
    let loops: Vec<Loop> =
        loops.into_iter().map(|it| Loop { factors: vec![it.factors[0]], ..it }).collect();
    let by_server = |server| {
        let own: Vec<Loop> = loops.iter().filter(|it| it.server == server).cloned().collect();
        groups(&own)
    };
    let together: Vec<Group> = by_server(0).into_iter().chain(by_server(1)).collect();
    let found = Scenarios::of(&manifest("scenarios", &servers), &together);
    let e2e = found.effects[0].of("E2E").unwrap();
    assert_eq!((found.effects.len(), e2e.interval), (1, None));
    assert!(matches!(e2e.verdict, ComparisonVerdict::Undecided { .. }) && e2e.ratio < 1.0);
}
