use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::config::ReplayFormat;

/// A trace of requests at `millis`, played as `config`, a TOML table's inside, says.
fn replay(millis: &[u64], config: &str) -> Result<(Replay, Vec<Remark>), String> {
    let mut text = "t_s,client,input_tokens,output_tokens\n".to_owned();
    for at in millis {
        text.push_str(&format!("{}.{:03},a,100,{}\n", at / 1000, at % 1000, at % 7));
    }
    written(&text, ReplayFormat::Servegen, config)
}

fn written(
    text: &str,
    format: ReplayFormat,
    config: &str,
) -> Result<(Replay, Vec<Remark>), String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let config = format!("path = {:?}\nformat = \"{}\"\n{config}", file.path(), format.as_str());
    let config: ReplayConfig = toml::from_str(&config).map_err(|error| error.to_string())?;
    let mut remarks = Vec::new();
    Replay::read(&config, Path::new("."), &mut remarks)
        .map(|(replay, _)| (replay, remarks))
        .map_err(|error| error.to_string())
}

fn millis(replay: &Replay, rate: f64) -> Vec<u128> {
    let rate = Rate::new(rate).unwrap();
    replay.instants(rate, 1).iter().map(Duration::as_millis).collect()
}

#[test]
fn a_part_is_cut_out_and_counts_from_its_beginning() {
    let all = [5_000, 6_000, 8_000, 9_000, 13_000];
    let (whole, _) = replay(&all, "").unwrap();
    assert_eq!(millis(&whole, whole.rate().per_second()), [0, 1_000, 3_000, 4_000, 8_000]);
    // Five requests, four gaps of 2 s on average, one more behind the last.
    assert_eq!(whole.period(whole.rate()), Duration::from_secs(10));
    assert!((whole.rate().per_second() - 0.5).abs() < 1e-12);

    let (part, remarks) = replay(&all, "from = \"1s\"\nlength = \"3s\"\nspeed = 3").unwrap();
    // The request at 4 s is the first one behind.
    assert_eq!(part.len(), 2);
    assert!((part.rate().per_second() - 2.0).abs() < 1e-12);
    assert_eq!(millis(&part, 2.0), [0, 666]);
    assert_eq!(part.period(part.rate()), Duration::from_secs(1));
    assert!((part.speed(part.rate()) - 3.0).abs() < 1e-12);
    let text = remarks[0].to_string();
    assert!(text.contains("3.0 s") && text.contains("2.0 s"), "{text}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let all = [0, 1_000];
    for (config, parts) in [
        ("from = \"2s\"", &["from 2s on", "last one comes at 1s"][..]),
        ("from = \"1s\"", &["at once", "`length`"]),
        ("from = \"500ms\"\nlength = \"10ms\"", &["from 500ms on that is 10ms long"]),
        ("length = \"0s\"", &["`length` is 0s"]),
        ("spread = \"0s\"", &["`spread` is 0s"]),
        ("speed = 0", &["`speed` is 0", "above 0"]),
        ("speed = inf", &["`speed` is inf"]),
        ("max-input = 0", &["`max-input` is 0", "1 to 10000000"]),
        ("time = \"t_s\"", &["`time` is for format \"csv\" alone", "servegen"]),
        ("at-end = \"stop\"", &["`stop`", "`loop`", "`end`"]),
        ("sped = 2", &["`sped`", "`speed`"]),
    ] {
        let error = replay(&all, config).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{config}: {error}");
        }
    }
    let error = written("a,b\n", ReplayFormat::Csv, "time = \"a\"").unwrap_err();
    assert!(error.contains("`time-unit` is missing"), "{error}");
}

#[test]
fn clipped_lengths_and_a_wrong_order_are_told() {
    let (replay, remarks) = replay(&[0, 3_000, 1_000], "max-input = 64").unwrap();
    assert_eq!(millis(&replay, replay.rate().per_second()), [0, 1_000, 3_000]);
    let texts: Vec<String> = remarks.iter().map(ToString::to_string).collect();
    assert!(texts[0].contains("1 of 3 requests stood behind a later one"), "{texts:?}");
    assert!(texts[1].contains("`input`: of 3 rows, 3 were cut"), "{texts:?}");
    // The output of 0 tokens becomes 1: a request without an answer measures nothing.
    assert!(
        texts[2].contains("`output`: of 3 rows, 0 were cut to `max` and 1 raised"),
        "{texts:?}"
    );
}

#[test]
fn the_text_in_the_records_says_which_part_was_played_how() {
    let (replay, _) = replay(&[0, 5], "from = \"0s\"\nspread = \"3s\"\nat-end = \"end\"").unwrap();
    let text = replay.describe(Rate::new(replay.rate().per_second() * 1.5).unwrap());
    assert!(text.starts_with("trace("), "{text}");
    assert!(text.ends_with(", servegen, from=0s, spread=3s, at-end=end, speed=1.5)"), "{text}");
}

/// Repeated tokens by another way: the longest beginning that a request has in common with any one
/// before it.
fn oracle(requests: &[(u32, Vec<u64>)]) -> u64 {
    let common = |(a, one): &(u32, Vec<u64>), (b, other): &(u32, Vec<u64>)| {
        let ids = one.iter().zip(other).take_while(|(one, other)| one == other).count();
        (ids as u32 * 512).min(*a).min(*b)
    };
    (0..requests.len())
        .map(|at| requests[..at].iter().map(|before| common(before, &requests[at])).max())
        .map(|longest| u64::from(longest.unwrap_or_default()))
        .sum()
}

proptest! {
    /// Blocks of any tree of prefixes imply the hits that their prefixes do.
    #[test]
    fn implied_hits_are_those_of_the_prefixes(
        paths in prop::collection::vec((prop::collection::vec(0_u64..3, 1..5), 1_u32..=512), 1..30),
    ) {
        // An id stands for its whole prefix: the digits of the path.
        let requests: Vec<(u32, Vec<u64>)> = paths
            .iter()
            .map(|(path, last)| {
                let id = |len: usize| path[..len].iter().fold(1, |id, digit| id * 4 + digit + 1);
                let ids: Vec<u64> = (1..=path.len()).map(id).collect();
                ((path.len() as u32 - 1) * 512 + last, ids)
            })
            .collect();
        let text: String = (0..).zip(&requests)
            .map(|(at, (tokens, ids)): (u64, _)| format!(
                "{{\"timestamp\":{at},\"input_length\":{tokens},\"output_length\":1,\"hash_ids\":{ids:?}}}\n"
            ))
            .collect();
        let (replay, _) = written(&text, ReplayFormat::Mooncake, "length = \"1m\"").unwrap();
        let hits = replay.implied_hits(0..requests.len() as u64).unwrap();
        prop_assert_eq!(hits.hit_tokens, oracle(&requests));
        // A second pass has prompts of its own and the same hits.
        let again = replay.implied_hits(0..2 * requests.len() as u64).unwrap();
        prop_assert_eq!(again.hit_tokens, 2 * hits.hit_tokens);
    }

    /// At any rate the order stays, nothing leaves the part, and the part has that rate.
    #[test]
    fn playing_faster_changes_nothing_but_the_scale(
        mut at in prop::collection::vec(0_u64..100_000, 2..60),
        rate in 0.01_f64..1e4,
        spread in 0_u64..5_000,
        seed: u64,
    ) {
        at.sort_unstable();
        prop_assume!(at[0] < at[at.len() - 1]);
        let config = if spread > 0 { format!("spread = \"{spread}ms\"") } else { String::new() };
        let (replay, _) = replay(&at, &config).unwrap();
        let rate = Rate::new(rate).unwrap();
        let instants = replay.instants(rate, seed);
        prop_assert_eq!(instants.len(), at.len());
        prop_assert!(instants.is_sorted());
        let period = replay.period(rate);
        prop_assert!(instants[at.len() - 1] <= period);
        let seconds = at.len() as f64 / rate.per_second();
        prop_assert!((period.as_secs_f64() / seconds - 1.0).abs() < 1e-6 + 1e-8 / seconds);
        for (instant, was) in instants.iter().zip(&at) {
            let was = (was - at[0]) as f64 / 1e3 / replay.speed(rate);
            let room = spread as f64 / 1e3 / replay.speed(rate);
            let moved = instant.as_secs_f64() - was;
            prop_assert!(moved > -2e-9 && moved <= room + 2e-9, "{moved} {room}");
        }
    }
}

#[test]
fn spread_requests_lie_evenly_in_their_stamps_time() {
    // 400 requests of one stamp, the next stamp 3 s later: the mean of uniform draws is 1.5 s with a
    // standard error of 0.043 s. The seed is fixed.
    let mut at = vec![0_u64; 400];
    at.push(3_000);
    let (replay, _) = replay(&at, "spread = \"3s\"\nlength = \"6s\"").unwrap();
    let instants = replay.instants(replay.rate(), 9);
    let mean = instants[..400].iter().map(Duration::as_secs_f64).sum::<f64>() / 400.0;
    assert!((mean - 1.5).abs() < 0.17, "{mean}");
    assert!(instants[400] >= Duration::from_secs(3));
    assert_ne!(instants, replay.instants(replay.rate(), 10));
}
