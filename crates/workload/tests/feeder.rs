//! The feeder gives the encoder's own bodies, early where it can.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::Path;
use std::thread;
use std::time::Duration;

use plimsoll_workload::{
    BodyTemplate, Calibration, EncodeError, Encoder, Feeder, LengthConfig, Workload, WorkloadConfig,
};
use proptest::prelude::*;

fn encoder() -> Encoder {
    let config = WorkloadConfig {
        input_tokens: Some(LengthConfig::Constant(50)),
        output_tokens: Some(LengthConfig::Constant(8)),
        ..WorkloadConfig::default()
    };
    let workload = Workload::new(&config, Path::new("."), 5).unwrap();
    workload.encoder(Some(&Calibration::assumed(7)), &BodyTemplate::default()).unwrap()
}

#[test]
fn what_was_filled_is_ready() {
    for ahead in [1, 2, 7, 64] {
        let mut feeder = Feeder::start(encoder(), 0, 1, ahead).unwrap();
        feeder.ready();
        feeder.ready();
        for index in 0..ahead as u64 {
            assert!(feeder.next(index).1, "{index} of {ahead}");
        }
    }
}

#[test]
fn shards_share_the_indexes_and_agree_with_the_encoder() {
    let encoder = encoder();
    let mut bodies = Vec::new();
    for shard in 0..3 {
        let mut feeder = Feeder::start(encoder.clone(), shard, 3, 4).unwrap();
        feeder.ready();
        for turn in 0..20 {
            let (request, _) = feeder.next(turn * 3 + shard);
            bodies.push(request);
        }
    }
    bodies.sort_by_key(|request| request.index);
    assert!(bodies.iter().map(|request| request.index).eq(0..60));
    assert!(bodies.iter().all(|request| *request == encoder.encode(request.index)));
}

#[test]
fn what_is_not_there_yet_is_encoded_on_the_spot_and_said_to_be_late() {
    let encoder = encoder();
    let mut feeder = Feeder::start(encoder.clone(), 1, 2, 8).unwrap();
    feeder.ready();
    // Far beyond the queue: the feeder has no such body.
    let (request, ready) = feeder.next(2_001);
    assert_eq!((request, ready), (encoder.encode(2_001), false));
    // It catches up where it is wanted. A thread that never did would fail here; how long it takes
    // is the machine's affair.
    let mut index = 2_003;
    let caught_up = (0..5_000).any(|_| {
        thread::sleep(Duration::from_millis(1));
        let (request, ready) = feeder.next(index);
        assert_eq!(request, encoder.encode(index));
        index += 2;
        ready
    });
    assert!(caught_up);
}

#[test]
fn a_shard_that_does_not_exist_is_refused() {
    let error = Feeder::start(encoder(), 3, 3, 8).unwrap_err();
    assert!(matches!(error, EncodeError::Shard { shard: 3, shards: 3 }), "{error}");
    assert!(Feeder::start(encoder(), 0, 0, 8).is_err());
}

#[test]
fn dropping_it_ends_its_thread() {
    // The drop joins the thread, full or empty queue alike: a thread that went on would hang here.
    drop(Feeder::start(encoder(), 0, 1, 1_000_000).unwrap());
    let mut feeder = Feeder::start(encoder(), 0, 1, 4).unwrap();
    feeder.ready();
    drop(feeder);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever indexes are left out, each body asked for is the encoder's own.
    #[test]
    fn skipping_never_mixes_bodies_up(
        skips in prop::collection::vec(0_u64..5, 1..60), ahead in 1_usize..6, fill: bool,
    ) {
        let encoder = encoder();
        let mut feeder = Feeder::start(encoder.clone(), 0, 1, ahead).unwrap();
        if fill {
            feeder.ready();
        }
        let mut index = 0;
        for skip in skips {
            index += skip;
            prop_assert_eq!(feeder.next(index).0, encoder.encode(index));
            index += 1;
        }
    }
}
