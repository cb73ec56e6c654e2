//! Why throughput does not grow is told, and a server's time split up, on servers in virtual time whose limit is
//! known by construction.

#[path = "virtual_time/server.rs"]
#[expect(dead_code, reason = "no capacity is needed here")]
mod server;

use plimsoll_analysis::{AuditedPoint, Cause, Diagnosis, PointSummary, Slo, judge};

use server::{Lengths, Plan, Server};

const PLAN: Plan = Plan { measure: 12.0, may_end_early: true, declared_mean: None };

/// Answers of `output` tokens to prompts of `prompt`, all alike.
const fn lengths(output: f64, prompt: f64) -> Lengths {
    Lengths { output, output_cv: 0.0, prompt, prompt_cv: 0.3 }
}

fn points(server: Server, lengths: Lengths, rates: &[f64], seed: u64) -> Vec<AuditedPoint> {
    let measured = rates.iter().enumerate().map(|(rung, &rate)| {
        let seed = 100 * seed + rung as u64;
        let (point, rows) = server::measure(server, lengths, rate, PLAN, seed);
        AuditedPoint::of(&point, &rows, &Slo::default())
    });
    measured.collect()
}

/// What is said of five ladders.
fn diagnoses(server: Server, lengths: Lengths, rates: &[f64]) -> Vec<Diagnosis> {
    (1..=5)
        .map(|seed| judge(points(server, lengths, rates, seed)).groups.remove(0).diagnosis)
        .collect()
}

fn all(found: &[Diagnosis], cause: Cause) -> bool {
    found.iter().all(|diagnosis| diagnosis.answer == Some(cause))
}

#[test]
fn eight_slots_are_named_as_the_limit() {
    // A step of 18.8 ms and 24 tokens an answer: 8 slots give 17.7 requests a second.
    let server =
        Server::Batch { slots: 8, base: 0.018, each: 0.0001, prefill: 0.000_01, budget: 4096.0 };
    let found = diagnoses(server, lengths(24.0, 128.0), &[6.0, 12.0, 22.0, 30.0]);
    assert!(all(&found, Cause::Slots), "{found:#?}");
    assert!(found.iter().all(|it| it.sentence.contains("8 of 8 slots")), "{found:#?}");
}

#[test]
fn a_small_budget_is_named_as_the_limit() {
    // Each request needs 512 + 3 tokens, and a step has 256 of them: one request in two steps.
    let server =
        Server::Batch { slots: 64, base: 0.018, each: 0.0001, prefill: 0.000_01, budget: 256.0 };
    let found = diagnoses(server, lengths(4.0, 512.0), &[8.0, 16.0, 32.0, 40.0]);
    assert!(all(&found, Cause::TokenBudget), "{found:#?}");
}

#[test]
fn steps_that_grow_with_every_request_are_named_as_the_limit() {
    // Slots without end, and 2 ms a token: 500 tokens a second at most.
    let server = Server::Batch {
        slots: 1_000_000,
        base: 0.01,
        each: 0.002,
        prefill: 0.000_001,
        budget: 1e9,
    };
    let found = diagnoses(server, lengths(24.0, 64.0), &[4.0, 8.0, 12.0, 35.0]);
    assert!(all(&found, Cause::Compute), "{found:#?}");
}

#[test]
fn loads_that_are_kept_up_with_are_the_limit() {
    let server =
        Server::Batch { slots: 8, base: 0.018, each: 0.0001, prefill: 0.000_01, budget: 4096.0 };
    let found = diagnoses(server, lengths(24.0, 128.0), &[4.0, 8.0]);
    assert!(all(&found, Cause::Load), "{found:#?}");
}

#[test]
fn without_a_network_nothing_is_left_of_the_ttft() {
    let server =
        Server::Batch { slots: 8, base: 0.018, each: 0.0001, prefill: 0.000_05, budget: 4096.0 };
    let seeds = 20;
    let (mut rests, mut ttfts) = (0.0, 0.0);
    for seed in 1..=seeds {
        let audited = points(server, lengths(24.0, 128.0), &[10.0], seed).remove(0);
        let PointSummary { service_ttft, server: Some(parts), .. } = audited.summary else {
            panic!("the server has all its counters");
        };
        let ttft = service_ttft.mean.expect("requests ended").as_secs_f64() * 1e3;
        let rest = parts.rest_ms.expect("all its parts are known");
        let (queue, prefill) = (parts.queue_ms.unwrap(), parts.prefill_ms.unwrap());
        assert!((queue + prefill + rest - ttft).abs() < 1e-6, "seed {seed}");
        rests += rest;
        ttfts += ttft;
    }
    // Those due in a window and those that ended in it differ by a few of 120, this way or that.
    assert!(rests.abs() < 0.04 * ttfts, "{rests} of {ttfts} ms");
}
