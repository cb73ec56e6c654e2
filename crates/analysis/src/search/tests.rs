use super::*;
use crate::Estimate;

/// Runs a search on a server that answers without noise.
fn run(config: SearchConfig, answer: impl Fn(Probe, usize) -> ProbeResult) -> Found {
    let mut search = Search::new(config).expect("the configuration is legal");
    loop {
        match search.step() {
            Step::Done(found) => return found,
            Step::Probe(probe) => {
                assert!(!probe.window.is_zero() && probe.rate_per_s > 0.0);
                let told = answer(probe, search.probes().len());
                search.tell(told);
            }
        }
    }
}

/// A server of this capacity that gets `under` of it through when more is offered.
fn server(capacity: f64, under: f64) -> impl Fn(Probe, usize) -> ProbeResult {
    move |probe, _| {
        let stable = probe.rate_per_s <= capacity;
        let through = if stable { probe.rate_per_s } else { capacity * under };
        let seconds = probe.window.as_secs_f64();
        ProbeResult {
            stable,
            throughput_per_s: Estimate::around(through, 0.004 * through),
            completions: (through * seconds) as u64,
            requests: (probe.rate_per_s * seconds) as u64,
            ..ProbeResult::nothing(probe.rate_per_s, probe.window)
        }
    }
}

#[test]
fn capacities_over_four_decades_are_found_within_precision() {
    for capacity in [0.5, 3.0, 26.0, 91.0, 5000.0] {
        let found = run(SearchConfig::new(0.1, 20_000.0), server(capacity, 1.0));
        let estimate = found.capacity_per_s.expect("it is bounded");
        assert_eq!(found.stopped, Stopped::Precision);
        assert!(estimate.contains(capacity) && !found.lower_bound, "{capacity}: {estimate:?}");
        assert!(found.peak_and_fall.is_none(), "{capacity}");
        let confirmed = |near: std::ops::Range<f64>, stable: bool| {
            found.probes.iter().any(|probe| {
                near.contains(&(probe.rate_per_s / capacity)) && probe.stable == stable
            })
        };
        assert!(confirmed(0.85..1.0, true) && confirmed(1.0..1.2, false), "{capacity}");
    }
}

#[test]
fn a_fall_under_overload_is_reported_with_the_peak() {
    for (capacity, under) in [(40.0, 0.6), (700.0, 0.8), (3.0, 0.8)] {
        let found = run(SearchConfig::new(0.5, 5000.0), server(capacity, under));
        let estimate = found.capacity_per_s.expect("it is bounded");
        assert_eq!(found.stopped, Stopped::Precision, "{found:?}");
        assert!(estimate.contains(capacity), "{capacity}: {estimate:?}");
        assert!(estimate.relative_half_width() <= 0.05, "{estimate:?}");
        let fall = found.peak_and_fall.unwrap_or_else(|| panic!("throughput fell: {found:?}"));
        assert!((fall.share_lost() - (1.0 - under)).abs() < 0.04, "{fall:?}");
    }
}

#[test]
fn the_range_can_end_on_either_side() {
    let found = run(SearchConfig::new(1.0, 30.0), server(100.0, 1.0));
    assert_eq!((found.stopped, found.lower_bound), (Stopped::RangeEnd, true));
    assert_eq!(found.capacity_per_s.map(|estimate| estimate.value), Some(30.0));
    // Above its capacity from the first probe on, the plateau is known all the same.
    let found = run(SearchConfig::new(50.0, 500.0), server(40.0, 1.0));
    assert!(found.capacity_per_s.is_some_and(|estimate| estimate.contains(40.0)), "{found:?}");
    assert!(!found.lower_bound);
}

#[test]
fn a_budget_ends_the_search_and_says_which() {
    let budget = Budget { time: Some(Duration::from_secs(10)), requests: None };
    let config = SearchConfig { budget, ..SearchConfig::new(1.0, 1000.0) };
    let found = run(config.clone(), server(40.0, 1.0));
    assert_eq!(found.stopped, Stopped::Time);
    assert!(found.time <= Duration::from_secs(10));
    let budget = Budget { time: None, requests: Some(100) };
    let found = run(SearchConfig { budget, ..config }, server(40.0, 1.0));
    assert_eq!(found.stopped, Stopped::Requests);
    assert!(found.requests <= 100);
}

#[test]
fn a_server_that_is_still_filling_up_is_asked_again() {
    // Requests take 20 s, so the first windows see arrivals and no end of them.
    let found = run(SearchConfig::new(5.0, 1000.0), |probe, _| {
        let seconds = probe.window.as_secs_f64();
        let filling = seconds < 60.0;
        let through = probe.rate_per_s.min(40.0) * (1.0 - 20.0 / seconds).max(0.0);
        let through = if filling { through } else { probe.rate_per_s.min(40.0) };
        ProbeResult {
            stable: !filling && probe.rate_per_s <= 40.0,
            throughput_per_s: Estimate::around(through, 0.01 * through),
            completions: (through * seconds) as u64,
            mean_e2e: (seconds > 20.0).then(|| Duration::from_secs(20)),
            min_e2e: (seconds > 20.0).then(|| Duration::from_secs(20)),
            ..ProbeResult::nothing(probe.rate_per_s, probe.window)
        }
    });
    assert!(found.capacity_per_s.is_some_and(|estimate| estimate.contains(40.0)), "{found:?}");
}

#[test]
fn the_slo_capacity_is_bracketed_by_intervals_of_attainment() {
    // 99 % is met up to 30 req/s, and falls off beyond; the server itself keeps up to 50.
    let attained = |rate: f64| if rate <= 30.0 { 0.995 } else { 0.995 - 0.02 * (rate - 30.0) };
    let goal = Goal::Slo { attainment: 0.99 };
    let found = run(SearchConfig { goal, ..SearchConfig::new(2.0, 500.0) }, |probe, _| {
        let due = probe.rate_per_s * probe.window.as_secs_f64();
        let good = due * attained(probe.rate_per_s).max(0.0);
        let goodput = Some((good.round() as u64, due.round() as u64));
        ProbeResult { goodput, ..server(50.0, 1.0)(probe, 0) }
    });
    let estimate = found.capacity_per_s.expect("it is bounded");
    assert_eq!(found.stopped, Stopped::Precision);
    assert!(estimate.low <= 30.25 && estimate.high >= 30.25, "{estimate:?}");
    assert!(estimate.relative_half_width() <= 0.04);
}

#[test]
fn one_wrong_answer_near_the_edge_does_no_harm() {
    for wrong in 0..8 {
        let found = run(SearchConfig::new(1.0, 1000.0), |probe, n| {
            let told = server(40.0, 1.0)(probe, n);
            let near = (0.9..1.3).contains(&(probe.rate_per_s / 40.0));
            ProbeResult { stable: told.stable ^ (near && n == wrong), ..told }
        });
        let estimate = found.capacity_per_s.expect("it is bounded");
        assert!(estimate.contains(40.0), "probe {wrong} wrong: {found:?}");
    }
}

#[test]
fn a_server_that_answers_nothing_ends_the_search() {
    let found = run(SearchConfig::new(1.0, 1000.0), |probe, _| {
        ProbeResult::nothing(probe.rate_per_s, probe.window)
    });
    assert!(found.probes.len() <= config::MOST_PROBES, "{}", found.probes.len());
    assert!(found.capacity_per_s.is_none_or(|estimate| estimate.low == 0.0));
}
