use plimsoll_units::Span;

use super::*;

fn seconds(seconds: f64) -> RunNanos {
    RunNanos::from_secs_f64(seconds)
}

fn plan(warm_up: Option<f64>) -> WindowPlan {
    let span = |seconds| Span::new(Duration::from_secs_f64(seconds));
    WindowPlan { warm_up: warm_up.map(span), measure: span(10.0), drain_limit: span(5.0) }
}

fn course(warm_up: Option<f64>) -> Course {
    Course::new(plan(warm_up), RunNanos::ZERO, Some(OverloadDetector::new(Some(1.0))))
}

/// A server that answers each request after a second, seen at `now`; 10 arrivals a second.
fn calm(now: f64) -> Sight {
    let due = (now * 10.0) as u64;
    let ended = ((now - 1.0).max(0.0) * 10.0) as u64;
    Sight {
        now: seconds(now),
        seen_by: seconds(now),
        due,
        ended,
        ok: ended,
        longest_e2e: Duration::from_secs(1),
        output_tokens: ended * 10,
        lost_in_a_row: 0,
        due_in_window_open: due - ended,
    }
}

#[test]
fn a_calm_point_warms_up_measures_and_drains() {
    let mut course = course(Some(2.0));
    let mut phases = Vec::new();
    for tenth in 1..200 {
        let now = f64::from(tenth) / 10.0;
        let mut sight = calm(now);
        // Everything that was due in the window has ended a second after it.
        sight.due_in_window_open = if now > 13.0 { 0 } else { 5 };
        let phase = course.look(&sight);
        if phases.last() != Some(&phase) {
            phases.push(phase);
        }
        if matches!(phase, Phase::Over(_)) {
            break;
        }
    }
    assert_eq!(
        phases,
        [Phase::WarmUp, Phase::Measure, Phase::Drain, Phase::Over(PointEnd::Complete)]
    );
    assert_eq!(course.window(), Window { start: seconds(2.0), end: seconds(12.0) });
}

#[test]
fn a_load_with_a_last_arrival_is_measured_until_it_is_due() {
    let mut course = Course::new(plan(Some(2.0)), RunNanos::ZERO, None).until(Some(seconds(5.0)));
    let mut sight = calm(2.1);
    assert_eq!(course.look(&sight), Phase::Measure);
    assert!(course.window().contains(seconds(5.0)), "{:?}", course.window());
    assert!(!course.window().contains(seconds(5.001)));
    sight.now = seconds(5.1);
    assert_eq!(course.look(&sight), Phase::Drain);
    // Everything that came has to end, however long the server is overloaded by it.
    sight.now = seconds(6.0);
    assert_eq!(course.look(&sight), Phase::Drain);
    sight.due_in_window_open = 0;
    assert_eq!(course.look(&sight), Phase::Over(PointEnd::Complete));
    // A warm-up that outlasts the load leaves a window of no length, and no other.
    let mut late = Course::new(plan(Some(8.0)), RunNanos::ZERO, None).until(Some(seconds(5.0)));
    assert_eq!(late.look(&calm(8.1)), Phase::Drain);
    assert!(late.window().length().is_zero());
}

#[test]
fn an_automatic_warm_up_ends_after_the_longest_request() {
    let mut course = course(None);
    assert_eq!(course.look(&calm(1.5)), Phase::WarmUp, "too few requests have ended");
    assert_eq!(course.look(&calm(2.5)), Phase::Measure);
}

#[test]
fn a_drain_that_does_not_end_is_cut_off() {
    let mut course = Course::new(plan(Some(1.0)), RunNanos::ZERO, None);
    for now in [1.0, 11.0, 15.9] {
        let phase = course.look(&Sight { due_in_window_open: 1, ..calm(now) });
        assert!(!matches!(phase, Phase::Over(_)), "{now}");
    }
    let last = course.look(&Sight { due_in_window_open: 1, ..calm(16.0) });
    assert_eq!(last, Phase::Over(PointEnd::DrainLimit));
    assert_eq!(course.window().end, seconds(11.0), "the window keeps its length");
}

#[test]
fn overload_ends_an_open_point_and_leaves_a_closed_one_alone() {
    for open in [true, false] {
        let detector = open.then(|| OverloadDetector::new(Some(1.0)));
        let mut course = Course::new(plan(Some(1.0)), RunNanos::ZERO, detector);
        let mut ended = None;
        // 100 arrivals a second, 40 completions a second.
        for step in 1..500 {
            let now = f64::from(step) / 50.0;
            let phase = course.look(&Sight {
                due: (now * 100.0) as u64,
                ended: (now * 40.0) as u64,
                ok: (now * 40.0) as u64,
                output_tokens: (now * 400.0) as u64,
                due_in_window_open: 1,
                ..calm(now)
            });
            if let Phase::Over(why) = phase {
                ended = Some((why, now));
                break;
            }
        }
        match ended {
            Some((why, now)) => {
                assert!(open);
                assert_eq!(why, PointEnd::Overloaded);
                assert_eq!(course.window().end, seconds(now));
            }
            None => assert!(!open),
        }
    }
}

#[test]
fn a_lost_target_and_an_interrupt_end_any_phase() {
    for now in [0.5, 5.0] {
        let mut course = course(Some(1.0));
        course.look(&calm(now));
        let lost = course.look(&Sight { lost_in_a_row: LOST_IN_A_ROW, ..calm(now) });
        assert_eq!(lost, Phase::Over(PointEnd::TargetLost));
        assert!(course.window().start <= course.window().end);
        assert_eq!(
            course.end(seconds(now + 1.0), PointEnd::Interrupted),
            Phase::Over(PointEnd::TargetLost),
            "the first reason stays"
        );
    }
}

fn probe(end_when_overloaded: Option<f64>) -> ProbeRecord {
    let span = |seconds| Span::new(Duration::from_secs(seconds));
    ProbeRecord {
        number: 0,
        since_ns: RunNanos::ZERO,
        window: span(10),
        warm_up_at_most: span(3),
        end_when_overloaded,
        drain: false,
        search: plimsoll_records::SearchRecord {
            goal: plimsoll_records::SearchGoal::Capacity,
            from_per_s: 1.0,
            to_per_s: 1000.0,
            precision: 0.03,
            confidence: 0.95,
            shortest_window: span(2),
            time: None,
            requests: None,
        },
    }
}

/// A server that does 40 requests a second of 100, seen every tenth of a second until it is over:
/// when that is, and why.
fn overloaded(end_when_overloaded: Option<f64>) -> (f64, PointEnd) {
    let window = WindowPlan { warm_up: None, drain_limit: Span::default(), ..plan(None) };
    let detector = Some(OverloadDetector::new(Some(1.0)));
    let mut course =
        Course::new(window, RunNanos::ZERO, detector).of_probe(Some(&probe(end_when_overloaded)));
    for tenth in 1..1000 {
        let now = f64::from(tenth) / 10.0;
        let (due, ended) = ((now * 100.0) as u64, (now * 40.0) as u64);
        let sight = Sight {
            due,
            ended,
            ok: ended,
            // It never settles: only the cap ends this warm-up.
            longest_e2e: Duration::from_secs_f64(now),
            output_tokens: ended * 10,
            due_in_window_open: due - ended,
            ..calm(now)
        };
        if let Phase::Over(why) = course.look(&sight) {
            return (now, why);
        }
    }
    panic!("it never ended");
}

#[test]
fn a_probe_ends_as_it_was_asked_to() {
    // The warm-up's cap is 3 s; the throughput is known five seconds later.
    let (end, why) = overloaded(Some(0.1));
    assert_eq!(why, PointEnd::Overloaded);
    assert!((8.0..10.0).contains(&end), "{end}");
    // The whole window, and not a moment of drain.
    let (end, why) = overloaded(None);
    assert_eq!(why, PointEnd::DrainLimit);
    assert!((end - 13.1).abs() < 0.11, "{end}");
}

/// A closed loop of one request at a time, each of which takes two seconds and fails or ends well.
fn one_at_a_time(now: f64, fails: bool) -> Sight {
    let ended = (now / 2.0) as u64;
    Sight {
        due: ended + 1,
        ended,
        ok: if fails { 0 } else { ended },
        longest_e2e: Duration::from_secs(2),
        due_in_window_open: 1,
        ..calm(now)
    }
}

fn of_requests(requests: u32) -> Course {
    let plan = WindowPlan { measure: Span::new(Duration::from_secs(60)), ..plan(None) };
    Course::new(plan, RunNanos::ZERO, None).of_requests(Some(requests))
}

#[test]
fn a_window_of_requests_ends_with_them_and_a_little_later() {
    let mut course = of_requests(3);
    let looks = (1..1000).map(|look| f64::from(look) * 0.02);
    let drain = looks
        .map(|now| (now, course.look(&one_at_a_time(now, false))))
        .find(|(_, phase)| *phase == Phase::Drain);
    // Warm after 1.25 of the longest, 2.5 s, one request over; the three after it end at 4, 6 and 8 s.
    let window = course.window();
    assert!((window.start.as_secs_f64() - 2.5).abs() < 0.03, "{window:?}");
    assert!((window.end.as_secs_f64() - 8.02).abs() < 0.03, "{window:?}");
    assert!(drain.is_some_and(|(now, _)| (now - 8.03).abs() < 0.03), "{drain:?}");
}

#[test]
fn a_window_of_requests_holds_all_that_was_counted_while_it_was_looked_at() {
    let mut course = of_requests(1);
    course.look(&one_at_a_time(2.6, false));
    // One more than at 2.6 s, and the looker was kept waiting for 0.3 s in between.
    let slow = Sight { seen_by: seconds(4.3), ..one_at_a_time(4.0, false) };
    assert_eq!(course.look(&slow), Phase::Measure);
    assert_eq!(course.window().end, seconds(4.3) + AHEAD);
}

#[test]
fn a_window_of_requests_needs_none_that_ends_well() {
    let mut course = of_requests(2);
    for look in 1..240 {
        course.look(&one_at_a_time(f64::from(look) * 0.05, true));
    }
    // Two have failed at 4 s: nothing will get warm. Two more, and nothing is to be seen.
    let window = course.window();
    assert!((window.start.as_secs_f64() - 4.0).abs() < 0.06, "{window:?}");
    assert!((window.end.as_secs_f64() - 8.0).abs() < 0.08, "{window:?}");
    assert_eq!(course.phase(), Phase::Drain);
}

#[test]
fn a_window_of_requests_has_a_longest_length() {
    let mut course = of_requests(1000);
    for look in 1..4000 {
        course.look(&one_at_a_time(f64::from(look) * 0.02, false));
    }
    assert_eq!(course.window().length(), Duration::from_secs(60));
}
