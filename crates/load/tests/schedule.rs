//! What a schedule promises whatever its process: the same instants for the same seed for ever, in
//! order, in any number of shards, exact where they can be computed.

use std::time::Duration;

use plimsoll_load::{Arrival, ArrivalProcess, Schedule, ScheduleError};
use plimsoll_units::Rate;
use proptest::prelude::*;

fn rate(per_second: f64) -> Rate {
    Rate::new(per_second).expect("rates here are above zero")
}

fn process(text: &str) -> ArrivalProcess {
    text.parse().expect("the tests write processes right")
}

fn schedule(text: &str, per_second: f64, seed: u64) -> Schedule {
    Schedule::new(process(text), rate(per_second), seed)
}

/// FNV-1a over the little-endian nanoseconds of the first `count` offsets.
fn fingerprint(schedule: Schedule, count: usize) -> u64 {
    schedule.take(count).fold(0xcbf2_9ce4_8422_2325, |hash, arrival| {
        let nanos = arrival.offset.as_nanos() as u64;
        nanos
            .to_le_bytes()
            .iter()
            .fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
    })
}

/// A change of these numbers changes every schedule that was ever published with its seed: it is a
/// breaking change, whatever caused it.
#[test]
fn schedules_are_what_they_were() {
    let committed = [
        ("constant", 40.0, 0, 0xe449_a7de_a10a_dc9f),
        ("poisson", 40.0, 0, 0x79f8_eaf8_1f1a_b2f0),
        ("poisson", 40.0, 1, 0xee83_527b_1794_9a9f),
        ("poisson", 1000.0, 1, 0x6e08_338a_5355_be53),
        ("gamma(cv=2)", 40.0, 1, 0x1713_4d6e_af6c_cca2),
        ("gamma(cv=0.25)", 40.0, 1, 0xdcff_5522_0f4c_3082),
        ("ramp(to=60, over=30s)", 10.0, 1, 0x3155_d940_d73e_dabd),
        ("ramp(to=10, over=30s)", 60.0, 1, 0xe374_0341_03a9_0e0b),
    ];
    let found = committed.map(|(text, per_second, seed, _)| {
        (text, per_second, seed, fingerprint(schedule(text, per_second, seed), 10_000))
    });
    assert_eq!(found, committed, "found {found:#x?}");
}

#[test]
fn the_first_arrivals_of_a_seed_can_be_read() {
    let offsets: Vec<_> = schedule("poisson", 40.0, 1)
        .take(4)
        .map(|arrival| arrival.offset.as_nanos() as u64)
        .collect();
    assert_eq!(offsets, [11_172_581, 15_090_106, 45_460_062, 59_970_959]);
}

#[test]
fn a_replay_begins_again_when_it_is_told_to() {
    let millis = Duration::from_millis;
    let replay = Schedule::replay([millis(0), millis(5)]).unwrap();
    let again = replay.clone().again_after(millis(20)).unwrap();
    let offsets: Vec<Duration> = again.clone().take(5).map(|arrival| arrival.offset).collect();
    assert_eq!(offsets, [0, 5, 20, 25, 40].map(millis));
    let odd: Vec<u64> = again.shard(1, 2).unwrap().take(3).map(|arrival| arrival.index).collect();
    assert_eq!(odd, [1, 3, 5]);
    for period in [0, 4] {
        let error = replay.clone().again_after(millis(period)).unwrap_err().to_string();
        assert!(error.contains("its last instant is at 5ms"), "{error}");
    }
    assert_eq!(Schedule::replay([]).unwrap().again_after(millis(1)).unwrap().next(), None);
}

#[test]
fn a_replay_gives_the_instants_and_ends() {
    let offsets = [0, 5, 5, 17].map(Duration::from_millis);
    let replay = Schedule::replay(offsets).unwrap();
    let arrivals: Vec<_> = replay.clone().collect();
    assert_eq!(arrivals.len(), 4);
    for (index, (arrival, offset)) in arrivals.iter().zip(offsets).enumerate() {
        assert_eq!(*arrival, Arrival { index: index as u64, offset });
    }
    let odd: Vec<_> = replay.shard(1, 2).unwrap().map(|arrival| arrival.index).collect();
    assert_eq!(odd, [1, 3]);
    assert_eq!(Schedule::replay([]).unwrap().next(), None);
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let error = Schedule::replay([3, 2].map(Duration::from_millis)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "instant 1 of the replay (2ms) is earlier than the one before it (3ms); sort the instants \
         first"
    );
    for (shard, shards) in [(2, 2), (0, 0), (7, 3)] {
        let error = schedule("poisson", 1.0, 0).shard(shard, shards).unwrap_err();
        assert_eq!(error, ScheduleError::NoSuchShard { shard, shards });
    }
}

#[test]
fn arrivals_beyond_the_clock_never_come_and_never_wrap() {
    for text in [
        "constant",
        "poisson",
        "gamma(cv=3)",
        "ramp(to=0.000000000000001, over=1s)",
        "gamma(cv=1e-300)",
    ] {
        let never = Duration::from_nanos(u64::MAX);
        let mut last = Duration::ZERO;
        for arrival in schedule(text, 1e-12, 5).take(1_000) {
            assert!(arrival.offset >= last && arrival.offset <= never, "{text}");
            last = arrival.offset;
        }
        assert_eq!(last, never, "{text}");
    }
}

#[test]
fn a_ramp_without_length_is_a_step_and_an_even_one_is_poisson() {
    let over = Duration::ZERO.into();
    let step = Schedule::new(ArrivalProcess::Ramp { to: rate(50.0), over }, rate(2.0), 3);
    assert!(step.take(2_000).eq(schedule("poisson", 50.0, 3).take(2_000)));
    let even = schedule("ramp(to=50, over=20s)", 50.0, 3);
    for (ramp, plain) in even.zip(schedule("poisson", 50.0, 3)).take(5_000) {
        assert!(ramp.offset.abs_diff(plain.offset) <= Duration::from_nanos(1));
    }
}

fn any_process() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("constant".to_owned()),
        Just("poisson".to_owned()),
        (0.05..6.0_f64).prop_map(|cv| format!("gamma(cv={cv})")),
        (0.1..500.0_f64, 1_u32..100).prop_map(|(to, over)| format!("ramp(to={to}, over={over}s)")),
    ]
}

proptest! {
    /// The shards of a schedule, merged in order of their index, are the schedule; each of them
    /// has the arrivals of its own remainder.
    #[test]
    fn shards_add_up_to_the_schedule(
        text in any_process(),
        per_second in 0.1..500.0_f64,
        seed in any::<u64>(),
        shards in 1_u32..12,
    ) {
        let rounds = 20;
        let whole: Vec<_> =
            schedule(&text, per_second, seed).take(rounds * shards as usize).collect();
        let mut merged = Vec::new();
        for shard in 0..shards {
            let slice = schedule(&text, per_second, seed).shard(shard, shards).unwrap();
            for arrival in slice.take(rounds) {
                prop_assert_eq!(arrival.index % u64::from(shards), u64::from(shard));
                merged.push(arrival);
            }
        }
        merged.sort_by_key(|arrival| arrival.index);
        prop_assert_eq!(merged, whole);
    }

    /// Indices count from 0 without a hole and offsets never go back.
    #[test]
    fn arrivals_are_in_order(
        text in any_process(),
        per_second in 0.1..5_000.0_f64,
        seed in any::<u64>(),
    ) {
        let mut last = Duration::ZERO;
        for (place, arrival) in schedule(&text, per_second, seed).take(300).enumerate() {
            prop_assert_eq!(arrival.index, place as u64);
            prop_assert!(arrival.offset >= last);
            last = arrival.offset;
        }
    }

    /// Constant arrival i of r per second is at (i + 1) / r seconds, to the nearest nanosecond: the
    /// oracle is integer arithmetic.
    #[test]
    fn constant_arrivals_are_exact(per_second in 1_u32..20_000, skip in 0_usize..50_000) {
        let arrival = schedule("constant", f64::from(per_second), 0).nth(skip).unwrap();
        let (nanos, rate) = ((skip as u128 + 1) * 1_000_000_000, u128::from(per_second));
        prop_assert_eq!(arrival.offset.as_nanos(), (2 * nanos + rate) / (2 * rate));
    }

    /// A seed at twice the rate is the same sequence in half the time.
    #[test]
    fn the_rate_only_scales(
        text in prop_oneof![Just("poisson"), Just("gamma(cv=2)"), Just("constant")],
        seed in any::<u64>(),
    ) {
        let (slow, fast) = (schedule(text, 16.0, seed), schedule(text, 32.0, seed));
        for (slow, fast) in slow.zip(fast).take(200) {
            prop_assert!((slow.offset / 2).abs_diff(fast.offset) <= Duration::from_nanos(1));
        }
    }
}
