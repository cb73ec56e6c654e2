use plimsoll_records::{PointFile, SettingState, Tally};

use super::*;
use crate::audit::fixture::{Fixture, MS, delay, gpu, row, setting};
use crate::{AuditedPoint, Slo, judge};

/// What is said of a ladder of 20, 40 and 60 a second, of which the last builds a queue, when every
/// point's file is completed by `said`; tokens at 60 a second come each `gap_ms` ms, else each 10.
fn ladder(gap_ms: u64, said: impl Fn(&mut PointFile)) -> Option<ServerLimit> {
    limit_of(points(gap_ms), said)
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

fn limit_of(points: Vec<Fixture>, said: impl Fn(&mut PointFile)) -> Option<ServerLimit> {
    let audited = points.into_iter().map(|mut fixture| {
        said(&mut fixture.point);
        AuditedPoint::of(&fixture.point, &fixture.rows, &Slo::default())
    });
    judge(audited.collect()).groups.remove(0).limit
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

#[test]
fn slots_that_are_all_taken_while_others_wait() {
    let found = ladder(10, full(8.0, 0.97)).unwrap();
    assert_eq!(found.by, LimitedBy::Slots);
    assert_eq!(
        found.sentence,
        "the slots: 8 of 8 slots (max-num-seqs) were taken at most, 7.9 on average, requests waited \
         in 97 % of the scrapes (388.0 on average), the KV cache was 12 % full at most, at 60 req/s \
         offered"
    );
    assert_eq!((found.numbers["slots"], found.numbers["offered_per_s"]), (8.0, 60.0));
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
    let by =
        |replicas, in_effect| ladder(10, |point| declared(point, replicas, in_effect)).unwrap().by;
    assert_eq!(by(4, 8), LimitedBy::Slots);
    assert_eq!(by(1, 32), LimitedBy::Slots);
    // 32 of 64 or of 128: slots are left.
    assert_eq!(by(8, 8), LimitedBy::Unknown);
    assert_eq!(by(1, 128), LimitedBy::Unknown);
}

#[test]
fn a_full_kv_cache_leaves_slots_empty() {
    let by = |kv: f64, preemptions: f64, running: f64| {
        let found = ladder(10, |point| {
            full(running, 0.9)(point);
            point.server.kv_cache_usage_max = Some(kv);
            point.server.preemptions = Some(preemptions);
        });
        found.unwrap().by
    };
    assert_eq!(by(0.99, 0.0, 5.0), LimitedBy::KvCache);
    assert_eq!(by(0.93, 14.0, 5.0), LimitedBy::KvCache);
    // Every slot is taken all the time: the cache may be full, too, but the slots refuse first.
    assert_eq!(by(0.99, 0.0, 8.0), LimitedBy::Slots);
    assert_eq!(by(0.80, 0.0, 5.0), LimitedBy::Unknown);
}

#[test]
fn a_budget_that_every_step_uses_up() {
    let with = |mean: f64| {
        let found = ladder(10, |point| {
            full(5.0, 0.9)(point);
            point.server.step_tokens = Some(Tally { count: 1000.0, sum: 1000.0 * mean });
        });
        found.unwrap()
    };
    let found = with(480.0);
    assert_eq!(found.by, LimitedBy::TokenBudget);
    assert!(found.sentence.contains("480 of the 512 tokens"), "{}", found.sentence);
    assert_eq!(with(200.0).by, LimitedBy::Unknown);
}

#[test]
fn slower_tokens_without_a_queue_are_compute() {
    let crowd = |point: &mut PointFile| {
        full(300.0, 0.02)(point);
        point.settings[0] = setting("max-num-seqs", None, Some(512), SettingState::Default);
    };
    let found = ladder(30, crowd).unwrap();
    assert_eq!(found.by, LimitedBy::Compute);
    assert!(
        found.sentence.starts_with(
            "compute: a token took 3.0 times as long as at 20 req/s offered (30.0 ms against 10.0)"
        ),
        "{}",
        found.sentence
    );
    assert_eq!(ladder(10, crowd).unwrap().by, LimitedBy::Unknown);
    let busy = ladder(10, |point| {
        crowd(point);
        point.gpus = vec![gpu(0)];
        point.gpus[0].sm_utilisation_mean_pct = Some(97.0);
    });
    assert_eq!(busy.unwrap().by, LimitedBy::Compute);
    // Nobody says whether requests wait, nor how many slots there are.
    let silent = ladder(30, |point| {
        crowd(point);
        point.settings.clear();
        (point.server.waiting_share, point.server.waiting_mean) = (None, None);
    });
    assert_eq!(silent.unwrap().by, LimitedBy::Unknown);
}

#[test]
fn requests_that_the_engine_does_not_know_are_on_the_way_to_it() {
    let found = ladder(10, full(4.0, 0.0)).unwrap();
    assert_eq!(found.by, LimitedBy::FrontEnd, "{}", found.sentence);
    assert!(found.numbers["in_flight_mean"] > 100.0);
}

#[test]
fn a_ladder_that_the_server_kept_up_with_has_no_limit() {
    let mut kept_up = points(10);
    kept_up.truncate(2);
    let found = limit_of(kept_up, full(4.0, 0.0)).unwrap();
    assert_eq!(found.by, LimitedBy::NotReached);
    assert!(found.sentence.ends_with("at 40 req/s offered"), "{}", found.sentence);
}

#[test]
fn a_client_that_could_not_offer_it_is_named() {
    let mut late = points(10);
    late.pop();
    for row in late[1].rows.iter_mut().step_by(2) {
        row.sent = None;
    }
    let found = limit_of(late, full(4.0, 0.0)).unwrap();
    assert_eq!(found.by, LimitedBy::Client);
    assert_eq!(
        found.sentence,
        "the client gave out before the server: the audit voided the point at 40 req/s offered \
         (rate-missed)"
    );
    assert_eq!(found.numbers["highest_stable_per_s"], 20.0);
}

#[test]
fn a_server_that_says_nothing_has_no_limit_named() {
    assert_eq!(ladder(10, |_| ()), None);
    assert_eq!(limit_of(points(10)[..2].to_vec(), |_| ()), None);
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
    let found = limit_of(more, |point| {
        full(8.0, 0.97)(point);
        if point.id == "r60" {
            point.server.waiting_share = Some(0.4);
        }
    });
    let found = found.unwrap();
    assert_eq!((found.by, found.numbers["offered_per_s"]), (LimitedBy::Slots, 60.5));
}

#[test]
fn a_closed_loop_is_read_at_its_flat_end() {
    let closed = |concurrency: u32| {
        let mut fixture = Fixture::with(3, 40.0, 20.0);
        fixture.point.id = format!("c{concurrency}");
        fixture.point.load = OfferedLoad::Closed { concurrency };
        full(8.0, if concurrency > 8 { 1.0 } else { 0.0 })(&mut fixture.point);
        fixture
    };
    // The same rows at each concurrency: throughput is flat.
    let flat = limit_of(vec![closed(8), closed(16), closed(32)], |_| ()).unwrap();
    assert_eq!(flat.by, LimitedBy::Slots);
    assert!(flat.sentence.ends_with("at 32 requests in flight"), "{}", flat.sentence);
    let one = limit_of(vec![closed(8)], |_| ()).unwrap();
    assert_eq!(one.by, LimitedBy::NotReached);
    assert_eq!(one.numbers["offered_concurrency"], 8.0);
}

#[test]
fn every_kind_has_a_word_of_its_own() {
    use LimitedBy::{Client, Compute, FrontEnd, KvCache, NotReached, Slots, TokenBudget, Unknown};
    let kinds = [Slots, KvCache, TokenBudget, Compute, FrontEnd, Client, NotReached, Unknown];
    let words: std::collections::BTreeSet<String> = kinds.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), kinds.len());
}
