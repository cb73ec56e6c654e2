//! The capacity search on random servers of known capacity in virtual time: coverage, error and
//! cost. The whole study is a bench: `cargo bench -p plimsoll-analysis --bench search`.

use std::time::Duration;

use plimsoll_analysis::{SearchConfig, Stopped};

#[path = "search/server.rs"]
mod server;

#[path = "search/study.rs"]
mod study;

#[test]
fn intervals_hold_the_truth_on_random_servers() {
    // 60 servers, 15 of each kind; the seeds are fixed, so the result is always the same.
    let results = study::run(0..60, 1);
    println!("{}", study::table(&results));
    let row = |name, of: &dyn Fn(study::Kind) -> bool| {
        let these: Vec<_> = results.iter().filter(|o| of(o.kind)).copied().collect();
        study::Row::of(name, &these)
    };
    let all = row("all", &|_| true);
    assert!(all.covered >= 56 && all.precise >= 59, "{all}");
    assert!(all.median_error < 0.006 && all.worst_error < 0.06, "{all}");
    assert!(all.median_cost < 0.45 && all.cost < 0.5, "{all}");
    // A fall under overload is the hardest: the throughput there is not the capacity.
    let falling = row("thrash", &|kind| kind == study::Kind::Thrash);
    assert!(falling.covered >= 14 && falling.median_error < 0.01, "{falling}");
}

#[test]
fn the_rate_that_meets_an_slo_is_found_on_queues_of_known_delay() {
    // The even ones have a delay in closed form.
    let results = study::run_slo((0..24).step_by(2), 2);
    println!("{}", study::slo_table(&results));
    let all = study::Row::of("SLO", &results);
    // 23 of 24 is what the intervals say.
    assert!(all.covered >= 22 && all.median_error < 0.02, "{all}");
    assert!(all.worst_error < 0.1 && all.median_cost < 0.5, "{all}");
}

#[test]
fn the_delay_in_a_queue_is_the_closed_form() {
    // M/M/1: exponential with rate mu - lambda. M/M/2 at half load has C = 1/3.
    let one = server::time_in_queue(1, 10.0, 6.0, 0.5);
    assert!((one - (-4.0_f64 * 0.5).exp()).abs() < 1e-12, "{one}");
    let two = server::time_in_queue(2, 10.0, 5.0, 0.0);
    assert!((two - 1.0).abs() < 1e-12);
    // And that of the simulated queue: of 40,000 requests as many are that long as ought to be.
    for number in [0, 2, 4] {
        let (server, rate) = server::Server::with_slo(number);
        let late = server.late(rate, 40_000.0 / rate, 3);
        assert!((late - 0.1).abs() < 0.03, "server {number}: {late}");
    }
}

#[test]
fn the_virtual_servers_have_the_capacity_that_is_claimed_for_them() {
    // Offered twice as much for 4,000 requests' time, a server without thrash delivers its
    // capacity: within four standard errors of exponential times, and far closer for the others.
    for seed in 0..12 {
        let server = server::Server::random(seed);
        if server.thrash.is_some() {
            continue;
        }
        let seconds = 4000.0 / server.capacity;
        let done = server.completions(2.0 * server.capacity, seconds, 7);
        let counted = done.iter().filter(|&&at| at > 0.25 * seconds && at <= seconds).count();
        let ratio = counted as f64 / 3000.0;
        assert!((ratio - 1.0).abs() < 4.0 / 3000_f64.sqrt(), "{server:?}: {ratio}");
    }
}

#[test]
fn ten_servers_of_200_ms_are_found_in_a_minute_and_2000_requests() {
    for even in [false, true] {
        let mut good = 0;
        for seed in 0..20 {
            let server = server::Server {
                way: server::Way::Queue { servers: 10, exponential: false },
                capacity: 50.0,
                thrash: None,
                allowed: None,
                even,
            };
            let found = study::search(server, SearchConfig::new(5.0, 1000.0), 100 * seed);
            let capacity = found.capacity_per_s.expect("it is bounded");
            println!(
                "seed {seed} even {even}: {capacity:?}, {} requests, {:?}, {:?}, {} probes",
                found.requests,
                found.time,
                found.stopped,
                found.probes.len()
            );
            let close = (capacity.value / 50.0 - 1.0).abs() <= 0.01 && capacity.contains(50.0);
            let cheap = found.requests < 2000 && found.time < Duration::from_secs(60);
            good += u32::from(close && cheap && found.stopped == Stopped::Precision);
        }
        assert!(good >= 19, "{good} of 20, even: {even}");
    }
}

#[test]
fn a_batch_server_with_long_prefills_is_found_in_two_minutes() {
    // 64 slots, 32 tokens, more than half of the time in prefills that come in waves: a short rung of the
    // climb at 1.3 of its capacity still fills it, and a single window's scatter is mostly the waves'.
    let server = server::Server {
        way: server::Way::Steps { slots: 64, tokens: 32, fixed: 0.687, prefill: Some(0.57) },
        capacity: 26.3,
        thrash: None,
        allowed: None,
        even: false,
    };
    let (mut held, mut requests, mut seconds) = (0, Vec::new(), Vec::new());
    for seed in 0..12 {
        let found = study::search(server, SearchConfig::new(1.25, 10_000.0), 1000 * seed);
        let capacity = found.capacity_per_s.expect("it is bounded");
        println!("seed {seed}: {capacity:?}, {} requests, {:?}", found.requests, found.time);
        held += u32::from(capacity.contains(26.3) && found.stopped == Stopped::Precision);
        requests.push(found.requests);
        seconds.push(found.time.as_secs());
    }
    requests.sort_unstable();
    seconds.sort_unstable();
    assert!(held >= 11, "{held} of 12");
    assert!(requests[6] < 2500 && seconds[6] < 90, "{requests:?} {seconds:?}");
    assert!(requests[11] < 5000 && seconds[11] < 240, "{requests:?} {seconds:?}");
}
