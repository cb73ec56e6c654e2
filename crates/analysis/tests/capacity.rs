//! The whole judgement on servers of known capacity in virtual time, as a short run of the study in
//! benches/coverage.rs: 40 ladders a server, seeds 1 to 40.

#[path = "virtual_time/server.rs"]
mod server;

#[path = "virtual_time/study.rs"]
mod study;

/// The number of ladders a server.
const SEEDS: usize = 40;

#[test]
fn constant_lengths_give_the_capacity_within_3_percent_and_a_valid_verdict() {
    let result = study::run(study::SMALL, SEEDS);
    println!("{}\n{result}", study::HEADER);
    assert!(result.covered >= 37, "{result}");
    assert_eq!(result.within_3_percent, SEEDS, "{result}");
    assert!(result.half_width < 0.02, "{result}");
    assert_eq!(result.early_wrong, 0, "{result}");
    assert!(result.valid >= 38, "{result}");
    assert!(result.false_unstable.iter().all(|&count| count <= 3), "{result}");
    assert!(result.found_unstable[0] >= 34 && result.found_unstable[1] == SEEDS, "{result}");
}

#[test]
fn lognormal_lengths_of_undeclared_mean_are_covered_all_the_same() {
    let result = study::run(study::SMALL_LOGNORMAL, SEEDS);
    println!("{}\n{result}", study::HEADER);
    assert!(result.covered >= 36, "{result}");
    assert!(result.rms_error < 0.025, "{result}");
    assert_eq!(result.early_wrong, 0, "{result}");
}

#[test]
fn ten_deterministic_servers_have_a_sharp_capacity() {
    let case = study::CASES[7];
    assert_eq!(case.name, "M/D/10");
    let result = study::run(case, SEEDS);
    println!("{}\n{result}", study::HEADER);
    assert!(result.covered >= 37, "{result}");
    assert_eq!(result.within_3_percent, SEEDS, "{result}");
    assert!(result.half_width < 0.01, "{result}");
}

#[test]
fn the_capacity_of_the_virtual_batch_server_is_the_closed_form_one() {
    // The study's truth comes from a long run; where no step is cut by the token budget it must be
    // 1 / (output / slots * base + (output - 1) * each + prompt * prefill), for a full server has a
    // step's base shared by its slots, a decoding request in each step but its first, and each
    // prompt prefilled once.
    let case = study::SMALL;
    let server::Server::Batch { slots, base, each, prefill, .. } = case.server else {
        unreachable!("the case is a batch server")
    };
    let (output, prompt) = (case.lengths.output, case.lengths.prompt);
    let cost = output / slots as f64 * base + (output - 1.0) * each + prompt * prefill;
    let truth = server::capacity(case.server, case.lengths);
    assert!((truth * cost - 1.0).abs() < 0.005, "{truth} against {}", 1.0 / cost);
}
