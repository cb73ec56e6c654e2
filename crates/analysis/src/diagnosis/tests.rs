use plimsoll_records::{ConnectionUse, OfferedLoad, Outcome, PointFile, SettingState, Tally};
use plimsoll_units::RunNanos;

use super::*;
use crate::audit::fixture::{Fixture, MS, delay, fail, gpu, row, setting};
use crate::{AuditedPoint, Slo, judge};
use Standing::{Contradicted, NotEnoughEvidence, Supported};

/// The diagnosis of a ladder of 20, 40 and 60 a second, of which the last builds a queue, when every
/// point's file is completed by `said`; tokens at 60 a second come each `gap_ms` ms, else each 10.
fn ladder(gap_ms: u64, said: impl Fn(&mut PointFile)) -> Diagnosis {
    diagnosis_of(points(gap_ms), said)
}

fn points(gap_ms: u64) -> Vec<Fixture> {
    let mut points: Vec<Fixture> = [20.0, 40.0, 60.0]
        .iter()
        .map(|&rate| {
            let mut fixture = Fixture::with(11, rate, 20.0);
            fixture.point.id = format!("r{rate}");
            fixture
        })
        .collect();
    for slow in &mut points[2].rows {
        *slow = row(slow.id, slow.intended, 50 * MS, gap_ms * MS, 10);
        delay(slow, (300.0 * slow.intended.as_secs_f64()) as u64 * MS);
    }
    points
}

fn diagnosis_of(points: Vec<Fixture>, said: impl Fn(&mut PointFile)) -> Diagnosis {
    let audited = points.into_iter().map(|mut fixture| {
        said(&mut fixture.point);
        AuditedPoint::of(&fixture.point, &fixture.rows, &Slo::default())
    });
    judge(audited.collect()).groups.remove(0).diagnosis
}

/// A server with 8 slots and a budget of 512 that runs this many and lets others wait in this share
/// of the scrapes.
fn full(running: f64, waiting_share: f64) -> impl Fn(&mut PointFile) {
    move |point| {
        point.settings = vec![
            setting("max-num-seqs", Some(8), Some(8), SettingState::Equal),
            setting("max-num-batched-tokens", None, Some(512), SettingState::Default),
        ];
        let server = &mut point.server;
        (server.running_max, server.running_mean) = (Some(running), Some(running - 0.1));
        server.waiting_share = Some(waiting_share);
        server.waiting_mean = Some(400.0 * waiting_share);
        server.kv_cache_usage_max = Some(0.12);
        server.preemptions = Some(0.0);
    }
}

fn standing(diagnosis: &Diagnosis, cause: Cause) -> Standing {
    diagnosis.of(cause).unwrap().standing
}

/// The texts of what speaks for (or against) a cause.
fn texts(evidence: &[Evidence]) -> Vec<&str> {
    evidence.iter().map(|it| it.text.as_str()).collect()
}

#[test]
fn slots_that_are_all_taken_while_others_wait() {
    let found = ladder(10, full(8.0, 0.97));
    assert_eq!(found.answer, Some(Cause::Slots));
    assert_eq!(found.at, "60 req/s offered");
    let through = found.numbers()["throughput_per_s"];
    assert_eq!(
        found.sentence,
        "the slots: 8 of 8 slots (max-num-seqs) were taken at most, requests waited in 97 % of the scrapes \
         (388.0 on average), 7.9 of 8 slots (max-num-seqs) were taken on average, the KV cache was 12 % full \
         at most, at 60 req/s offered"
    );
    assert!((40.0..50.0).contains(&through), "{through}");
    assert_eq!((found.numbers()["slots"], found.numbers()["waiting_share"]), (8.0, 0.97));
    // Each number says where it is from, and each hypothesis is there, the answer first.
    let slots = &found.hypotheses[0];
    assert_eq!((slots.cause, slots.standing), (Cause::Slots, Supported));
    assert!(slots.contradicting.is_empty() && slots.unknown.is_empty());
    assert!(slots.supporting.iter().all(|it| it.points == ["r60"] && !it.numbers.is_empty()));
    assert_eq!(found.hypotheses.len(), Cause::ALL.len());
    for ruled_out in [Cause::Load, Cause::Client, Cause::KvCache, Cause::FrontEnd, Cause::Compute] {
        assert_eq!(standing(&found, ruled_out), Contradicted, "{ruled_out}");
    }
    // Slots that are left rule them out, with the number.
    let left = ladder(10, full(5.0, 0.97));
    assert_eq!(left.answer, None);
    assert!(
        left.sentence.starts_with(
            "the evidence supports none of the hypotheses, at 60 req/s offered (not known for "
        ),
        "{}",
        left.sentence
    );
    let slots = left.of(Cause::Slots).unwrap();
    assert_eq!(slots.standing, Contradicted);
    assert_eq!(slots.contradicting[0].text, "5 of 8 slots (max-num-seqs) were taken at most");
}

#[test]
fn slots_are_those_of_all_replicas_and_those_in_effect() {
    let declared = |point: &mut PointFile, replicas: u64, in_effect: u64| {
        full(32.0, 0.9)(point);
        point.settings = vec![
            setting("data-parallel-size", Some(replicas), Some(replicas), SettingState::Equal),
            setting("max-num-seqs", Some(8), Some(in_effect), SettingState::Equal),
        ];
        point.settings_allowed = true;
    };
    let answer = |replicas, in_effect| ladder(10, |it| declared(it, replicas, in_effect)).answer;
    assert_eq!(answer(4, 8), Some(Cause::Slots));
    assert_eq!(answer(1, 32), Some(Cause::Slots));
    // 32 of 64 or of 128: slots are left.
    assert_eq!(answer(8, 8), None);
    assert_eq!(answer(1, 128), None);
}

#[test]
fn a_full_kv_cache_leaves_slots_empty() {
    let found = |kv: f64, preemptions: f64, running: f64| {
        ladder(10, |point| {
            full(running, 0.9)(point);
            point.server.kv_cache_usage_max = Some(kv);
            point.server.preemptions = Some(preemptions);
        })
    };
    assert_eq!(found(0.99, 0.0, 5.0).answer, Some(Cause::KvCache));
    let preempted = found(0.93, 14.0, 5.0);
    assert_eq!(preempted.answer, Some(Cause::KvCache));
    let first = &preempted.hypotheses[0].supporting[0];
    assert_eq!(first.text, "the KV cache was 93 % full at most and 14 preemptions were counted");
    // Every slot is taken all the time: the cache may be full, too, but the slots refuse first.
    let both = found(0.99, 0.0, 8.0);
    assert_eq!(both.answer, Some(Cause::Slots));
    assert_eq!(standing(&both, Cause::KvCache), Contradicted);
    // Some slots are taken only at times: the cache is what empties them.
    let mut at_times = points(10);
    at_times.iter_mut().for_each(|it| full(8.0, 0.9)(&mut it.point));
    let at_times = diagnosis_of(at_times, |point| {
        point.server.kv_cache_usage_max = Some(0.99);
        point.server.running_mean = Some(6.0);
    });
    assert_eq!(at_times.answer, Some(Cause::KvCache));
    assert_eq!(standing(&at_times, Cause::Slots), Supported);
    let room = found(0.80, 0.0, 5.0);
    assert_eq!((room.answer, standing(&room, Cause::KvCache)), (None, Contradicted));
    assert_eq!(room.of(Cause::KvCache).unwrap().contradicting[0].numbers[0].value, 0.80);
}

#[test]
fn a_budget_that_every_step_uses_up() {
    let with = |mean: f64| {
        ladder(10, |point| {
            full(5.0, 0.9)(point);
            point.server.step_tokens = Some(Tally { count: 1000.0, sum: 1000.0 * mean });
        })
    };
    let found = with(480.0);
    assert_eq!(found.answer, Some(Cause::TokenBudget));
    assert!(found.sentence.contains("480 of the 512 tokens"), "{}", found.sentence);
    let small = with(200.0);
    assert_eq!((small.answer, standing(&small, Cause::TokenBudget)), (None, Contradicted));
    let silent = ladder(10, full(5.0, 0.9));
    let budget = silent.of(Cause::TokenBudget).unwrap();
    assert_eq!(
        (budget.standing, &budget.unknown[..]),
        (NotEnoughEvidence, &["how many tokens a step has".to_owned()][..])
    );
}

#[test]
fn slower_tokens_without_a_queue_are_compute() {
    let crowd = |point: &mut PointFile| {
        full(300.0, 0.02)(point);
        point.settings[0] = setting("max-num-seqs", None, Some(512), SettingState::Default);
    };
    let found = ladder(30, crowd);
    assert_eq!(found.answer, Some(Cause::Compute));
    let slower = &found.hypotheses[0].supporting[0];
    assert_eq!(
        slower.text,
        "a token took 3.0 times as long as at 20 req/s offered (30.0 ms against 10.0)"
    );
    assert_eq!(slower.points, ["r60", "r20"]);
    // The point was cut off, no request of it ended: what ran, over the tokens a second (60 arrivals of ten).
    let mut cut = points(10);
    for row in &mut cut[2].rows {
        row.outcome = Outcome::Aborted;
    }
    let cut = diagnosis_of(cut, |point| {
        crowd(point);
        (point.server.running_max, point.server.running_mean) = (Some(600.0), Some(600.0));
    });
    assert_eq!(cut.answer, Some(Cause::Compute), "{}", cut.sentence);
    let tpot = cut.numbers()["tpot_mean_ms"];
    assert!((800.0..1800.0).contains(&tpot), "600 / (600 / 1.3) s: {tpot}");
    let as_fast = ladder(10, crowd);
    assert_eq!((as_fast.answer, standing(&as_fast, Cause::Compute)), (None, NotEnoughEvidence));
    let with_gpu = |busy: f64| {
        ladder(10, |point| {
            crowd(point);
            point.gpus = vec![gpu(0)];
            point.gpus[0].sm_utilisation_mean_pct = Some(busy);
            point.gpus[0].throttled_share = Some(0.2);
        })
    };
    let busy = with_gpu(97.0);
    assert_eq!(busy.answer, Some(Cause::Compute));
    assert!(busy.sentence.contains("clocks down in 20 % of the samples"), "{}", busy.sentence);
    let idle = with_gpu(40.0);
    assert_eq!((idle.answer, standing(&idle, Cause::Compute)), (None, Contradicted));
    // Nobody says whether requests wait, nor how many slots there are.
    let silent = ladder(30, |point| {
        crowd(point);
        point.settings.clear();
        (point.server.waiting_share, point.server.waiting_mean) = (None, None);
    });
    assert_eq!((silent.answer, standing(&silent, Cause::Compute)), (None, NotEnoughEvidence));
}

#[test]
fn requests_that_the_engine_does_not_know_are_on_the_way_to_it() {
    let found = ladder(10, full(4.0, 0.0));
    assert_eq!(found.answer, Some(Cause::FrontEnd), "{}", found.sentence);
    assert!(found.numbers()["in_flight_mean"] > 100.0);
    // No request waited for a connection; whether the link is full nobody knows.
    let network = found.of(Cause::Network).unwrap();
    assert_eq!(network.standing, NotEnoughEvidence);
    assert!(network.unknown[0].starts_with("how many bytes a second"), "{:?}", network.unknown);
    let known = ladder(10, full(8.0, 0.97));
    let front_end = known.of(Cause::FrontEnd).unwrap();
    assert_eq!(front_end.standing, Contradicted);
    assert!(front_end.contradicting[0].text.ends_with("the engine knew 396, running or waiting"));
    assert_eq!(standing(&known, Cause::Network), Contradicted);
}

#[test]
fn connecting_that_takes_the_time_is_the_network() {
    let dialled = |ms: f64| {
        let mut points = points(10);
        for row in &mut points[2].rows {
            row.connection = Some(ConnectionUse::New);
            let at = row.intended.as_secs_f64();
            row.connected = Some(RunNanos::from_secs_f64(at + ms / 1e3 * at));
            row.sent = row.connected;
        }
        diagnosis_of(points, full(4.0, 0.0))
    };
    // The audit voids the point, for its requests left late; but what they waited for was the network.
    let slow = dialled(290.0);
    let network = slow.of(Cause::Network).unwrap();
    assert_eq!((network.standing, slow.answer), (Supported, Some(Cause::Network)), "{network:?}");
    assert!(network.supporting[0].text.starts_with("opening a connection took "), "{network:?}");
    assert_eq!(network.supporting[0].points, ["r60"]);
    assert_eq!(standing(&slow, Cause::Client), Contradicted);
    assert_eq!(standing(&dialled(1.0), Cause::Network), NotEnoughEvidence);
    let mut broken = points(10);
    for row in broken[2].rows.iter_mut().step_by(20) {
        fail(row, Outcome::Reset);
    }
    let broken = diagnosis_of(broken, full(4.0, 0.0));
    assert_eq!(broken.answer, Some(Cause::Network), "{}", broken.sentence);
    assert!(broken.numbers()["connections_failed_share"] > 0.04);
}

#[test]
fn a_ladder_that_the_server_kept_up_with_is_limited_by_its_load() {
    let mut kept_up = points(10);
    kept_up.truncate(2);
    let found = diagnosis_of(kept_up.clone(), full(4.0, 0.0));
    assert_eq!((found.answer, found.at.as_str()), (Some(Cause::Load), "40 req/s offered"));
    assert!(
        found.sentence.contains("arrivals a second were completed at 40 req/s offered"),
        "{}",
        found.sentence
    );
    let [arrived, through] =
        ["achieved_rate_per_s", "throughput_per_s"].map(|it| found.numbers()[it]);
    assert!((through / arrived - 1.0).abs() < 0.02, "{through} of {arrived}");
    // What a load that is kept up with shows of the server's limits is never enough to name one.
    let nearly = diagnosis_of(kept_up.clone(), full(8.0, 0.9));
    assert_eq!(
        (nearly.answer, standing(&nearly, Cause::Slots)),
        (Some(Cause::Load), NotEnoughEvidence)
    );
    assert!(!nearly.of(Cause::Load).unwrap().contradicting.is_empty());
    // A server that says nothing keeps up all the same.
    assert_eq!(diagnosis_of(kept_up, |_| ()).answer, Some(Cause::Load));
    assert_eq!(standing(&ladder(10, full(4.0, 0.0)), Cause::Load), Contradicted);
}

#[test]
fn a_client_that_could_not_offer_it_is_named() {
    let mut late = points(10);
    late.pop();
    for row in late[1].rows.iter_mut().step_by(2) {
        row.sent = None;
    }
    let found = diagnosis_of(late.clone(), full(4.0, 0.0));
    assert_eq!(found.answer, Some(Cause::Client));
    assert!(
        found.sentence.starts_with(
            "the client: the audit voided the point at 40 req/s offered (rate-missed: "
        ),
        "{}",
        found.sentence
    );
    assert_eq!(found.numbers()["offered_per_s"], 40.0);
    assert_eq!(standing(&found, Cause::Load), Contradicted);
    let client = &found.hypotheses[0];
    assert!(texts(&client.contradicting)[0].starts_with("the client's busiest thread used 30 %"));
    // Every point is void: nothing else is known.
    late.remove(0);
    let nothing = diagnosis_of(late, full(4.0, 0.0));
    assert_eq!((nothing.answer, nothing.at.as_str()), (Some(Cause::Client), ""));
    // A valid point past saturation shows the server's limit, whatever became of the client beyond.
    let mut beyond = points(10);
    let mut last = beyond[2].clone();
    last.point.id = "r61".to_owned();
    if let OfferedLoad::Open { rate_per_s, .. } = &mut last.point.load {
        *rate_per_s = 61.0;
    }
    last.rows.iter_mut().step_by(2).for_each(|row| row.sent = None);
    beyond.push(last);
    let found = diagnosis_of(beyond, full(8.0, 0.97));
    assert_eq!((found.answer, standing(&found, Cause::Client)), (Some(Cause::Slots), Contradicted));
}

#[test]
fn a_client_that_is_only_busy_is_a_doubt() {
    let mut busy = points(10);
    busy.truncate(2);
    busy[1].point.workers[0].cpu_share = Some(0.97);
    let found = diagnosis_of(busy, full(4.0, 0.0));
    assert_eq!(found.answer, Some(Cause::Load));
    assert_eq!(standing(&found, Cause::Client), NotEnoughEvidence);
    let client = found.of(Cause::Client).unwrap();
    assert!(client.unknown[0].contains("(client-busy)"), "{:?}", client.unknown);
    assert!(client.supporting[0].text.starts_with("the client's busiest thread used 97 %"));
}

#[test]
fn a_server_that_says_nothing_of_itself_has_no_limit_named() {
    let silent = ladder(10, |_| ());
    assert_eq!((silent.answer, silent.at.as_str()), (None, "60 req/s offered"));
    for cause in [Cause::Slots, Cause::KvCache, Cause::TokenBudget, Cause::FrontEnd, Cause::Network]
    {
        assert_eq!(standing(&silent, cause), NotEnoughEvidence, "{cause}");
    }
    let nothing = diagnose(&Group::default(), &[]);
    assert_eq!((nothing.answer, nothing.sentence.as_str()), (None, "no valid point was measured"));
    assert!(nothing.hypotheses.iter().all(|it| it.standing == NotEnoughEvidence));
}

#[test]
fn an_unclear_first_point_leaves_it_to_the_next() {
    let mut more = points(10);
    let mut next = more[2].clone();
    next.point.id = "r70".to_owned();
    if let OfferedLoad::Open { rate_per_s, .. } = &mut next.point.load {
        // The rows stay those of 60 a second; only the order matters here.
        *rate_per_s = 60.5;
    }
    more.push(next);
    let found = diagnosis_of(more, |point| {
        full(8.0, 0.97)(point);
        if point.id == "r60" {
            point.server.waiting_share = Some(0.4);
        }
    });
    assert_eq!((found.answer, found.at.as_str()), (Some(Cause::Slots), "60.5 req/s offered"));
    assert_eq!(found.hypotheses[0].supporting[0].points, ["r70"]);
}

#[test]
fn a_closed_loop_is_read_at_its_flat_end() {
    let closed = |concurrency: u32, rate: f64| {
        let mut fixture = Fixture::with(3, rate, 20.0);
        fixture.point.id = format!("c{concurrency}");
        fixture.point.load = OfferedLoad::Closed { concurrency };
        full(8.0, if concurrency > 8 { 1.0 } else { 0.0 })(&mut fixture.point);
        fixture
    };
    // The same rows at each concurrency: throughput is flat.
    let flat = diagnosis_of(vec![closed(8, 40.0), closed(16, 40.0), closed(32, 40.0)], |_| ());
    assert_eq!(flat.answer, Some(Cause::Slots));
    assert_eq!(flat.at, "32 requests in flight");
    let still = diagnosis_of(vec![closed(4, 20.0), closed(8, 40.0)], |_| ());
    assert_eq!(still.answer, Some(Cause::Load), "{still:?}");
    assert!(
        still.sentence.starts_with("the offered load: 2.0 times the requests in flight brought"),
        "{}",
        still.sentence
    );
    // One level does not say whether more requests in flight bring more.
    let one = diagnosis_of(vec![closed(8, 40.0)], |_| ());
    assert_eq!((one.answer, standing(&one, Cause::Load)), (None, NotEnoughEvidence));
}

#[test]
fn every_cause_has_words_of_its_own() {
    let words: std::collections::BTreeSet<&str> =
        Cause::ALL.iter().flat_map(|it| [it.as_str(), it.words()]).collect();
    // `compute` is the same in both.
    assert_eq!(words.len(), 2 * Cause::ALL.len() - 1);
}
