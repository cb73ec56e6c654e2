//! The same configuration and seed give the same bytes, today and in every later version.
//!
//! A change here means that runs recorded before can no longer be repeated: say so in the change
//! log.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::Path;
use std::thread;

use plimsoll_workload::{Api, BodyTemplate, Calibration, Encoder, Workload, WorkloadConfig};

/// FNV-1a over the bodies of the first 1,000 indexes.
fn fingerprint(encoder: &Encoder) -> u64 {
    (0..1_000).fold(0xcbf2_9ce4_8422_2325, |hash, index| {
        encoder
            .encode(index)
            .body
            .iter()
            .fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
    })
}

fn encoder(config: &str, seed: u64, api: Api) -> Encoder {
    let config: WorkloadConfig = toml::from_str(config).unwrap();
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let workload = Workload::new(&config, &base, seed).unwrap();
    let template = BodyTemplate { api, model: "m".to_owned(), ..BodyTemplate::default() };
    workload.encoder(Some(&Calibration::assumed(10)), &template).unwrap()
}

const LOGNORMAL: &str = "\
    input-tokens = { lognormal = { mean = 100, cv = 0.6, max = 400 } }\n\
    output-tokens = { uniform = { min = 10, max = 100 } }\n\
    shared-prefix = 0.3\n\
    shared-prefix-tokens = 32\n";

const TRACE: &str = "\
    input-tokens = { trace = { path = \"azure_conv_20.csv\", column = \"ContextTokens\", max = 500 } }\n\
    output-tokens = { trace = { path = \"azure_conv_20.csv\", column = \"GeneratedTokens\" } }\n";

const FILE: &str = "prompts = \"prompts.jsonl\"\noutput-tokens = 16\n";

#[test]
fn bodies_are_those_of_the_committed_fingerprints() {
    let found = [
        fingerprint(&encoder(LOGNORMAL, 1, Api::Chat)),
        fingerprint(&encoder(LOGNORMAL, 2, Api::Chat)),
        fingerprint(&encoder(TRACE, 1, Api::Completions)),
        fingerprint(&encoder(FILE, 1, Api::Chat)),
    ];
    let committed = [
        0xab22_dd22_ffd2_f612,
        0x51ce_acf5_9d4c_a212,
        0x5968_7f94_13e7_8704,
        0xfaf7_fb7a_b0c5_fadd,
    ];
    assert_eq!(found, committed, "{found:#018x?}");
}

#[test]
fn any_number_of_threads_says_the_same() {
    let encoder = encoder(LOGNORMAL, 7, Api::Chat);
    let alone: Vec<_> = (0..800).map(|index| encoder.encode(index)).collect();
    let threads: Vec<_> = (0..8_u64)
        .map(|shard| {
            let encoder = encoder.clone();
            // Backwards, too: no request depends on the one before it.
            thread::spawn(move || {
                (0..100).rev().map(|turn| encoder.encode(turn * 8 + shard)).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut together: Vec<_> =
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    together.sort_by_key(|request| request.index);
    assert_eq!(together, alone);
}
