//! Each format by hand-made extracts: what is read, and what is refused with which words.

use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::config::{AtEnd, TimeUnit};

/// A file with these bytes, and a configuration that reads it.
fn file(format: ReplayFormat, bytes: &[u8]) -> (tempfile::NamedTempFile, ReplayConfig) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let csv = format == ReplayFormat::Csv;
    let column = |name: &str| csv.then(|| name.to_owned());
    let config = ReplayConfig {
        path: file.path().to_owned(),
        format,
        time: column("at"),
        time_unit: csv.then_some(TimeUnit::Ms),
        input: column("in"),
        output: column("out"),
        from: None,
        length: None,
        speed: None,
        spread: None,
        at_end: AtEnd::Loop,
        max_input: None,
        max_output: None,
    };
    (file, config)
}

fn rows(format: ReplayFormat, text: &str) -> Result<Vec<(u128, u32, u32)>, String> {
    let (_file, config) = file(format, text.as_bytes());
    match read(&config, &config.path) {
        Ok(rows) => {
            Ok(rows.iter().map(|row| (row.at.as_micros(), row.input, row.output)).collect())
        }
        Err(error) => Err(error.to_string()),
    }
}

const AZURE: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n\
    2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50.9951690,396,109";
const BURSTGPT: &str = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
    5,ChatGPT,472,18,490,Conversation log\n45.5,GPT-4,1087,0,1087,API log\n";
const MOONCAKE: &str = "{\"timestamp\": 0, \"input_length\": 600, \"output_length\": 52, \
    \"hash_ids\": [0, 7]}\n\n{\"timestamp\": 3000, \"input_length\": 1024, \"output_length\": 1, \
    \"hash_ids\": [0, 9], \"more\": true}";
const SERVEGEN: &str =
    "t_s,client,input_tokens,output_tokens\n0.000125,chunk-3,1200,31\n0.25,chunk-1,8,900\n";
const NAMED: &str = "id,out,at,in\nx,5,100,10\ny,6,250.5,20\n";

#[test]
fn every_format_is_read_as_it_is_written() {
    let seconds = |text: &str| instant::parse(text, instant::Clock::Date).unwrap().as_micros();
    let azure = rows(ReplayFormat::Azure, AZURE).unwrap();
    let at = [seconds("2023-11-16 18:15:46.68059"), seconds("2023-11-16 18:15:50.995169")];
    assert_eq!(azure, [(at[0], 374, 44), (at[1], 396, 109)]);
    assert_eq!(at[1] - at[0], 4_314_579);
    let burstgpt = rows(ReplayFormat::Burstgpt, BURSTGPT).unwrap();
    assert_eq!(burstgpt, [(5_000_000, 472, 18), (45_500_000, 1087, 0)]);
    let mooncake = rows(ReplayFormat::Mooncake, MOONCAKE).unwrap();
    assert_eq!(mooncake, [(0, 600, 52), (3_000_000, 1024, 1)]);
    let servegen = rows(ReplayFormat::Servegen, SERVEGEN).unwrap();
    assert_eq!(servegen, [(125, 1200, 31), (250_000, 8, 900)]);
    let named = rows(ReplayFormat::Csv, NAMED).unwrap();
    assert_eq!(named, [(100_000, 10, 5), (250_500, 20, 6)]);
    let (_file, config) = file(ReplayFormat::Mooncake, MOONCAKE.as_bytes());
    let blocks = read(&config, &config.path).unwrap().remove(1).blocks;
    assert_eq!(*blocks, [0, 9]);
}

#[test]
fn what_is_wrong_is_named_by_file_line_value_and_what_is_allowed() {
    use ReplayFormat::{Azure, Burstgpt, Csv, Mooncake, Servegen};
    let cases: &[(ReplayFormat, String, &[&str])] = &[
        (
            Azure,
            AZURE.replace("18:15:50", "soon"),
            &["line 3", "`TIMESTAMP`", "soon", "instant", "2023-11-16"],
        ),
        (
            Azure,
            AZURE.replace(",396,", ",-396,"),
            &["line 3", "`ContextTokens`", "`-396`", "0 to 10000000"],
        ),
        (Azure, AZURE.replace("TIMESTAMP", "TIME"), &["no column `TIMESTAMP`", "`TIME`"]),
        (Azure, "TIMESTAMP,ContextTokens,GeneratedTokens\r\n".to_owned(), &["holds no rows"]),
        (
            Burstgpt,
            BURSTGPT.replace("490", "491"),
            &["line 2", "`Total tokens`", "`491`", "the sum"],
        ),
        (Burstgpt, BURSTGPT.replace(",Log Type", ",Kind"), &["no column `Log Type`"]),
        (Burstgpt, BURSTGPT.replace("45.5,", "45.5;"), &["line 3", "5 cells, its header 6"]),
        (
            Servegen,
            SERVEGEN.replace("0.25", "late"),
            &["line 3", "`t_s`", "`late`", "numbers from 0"],
        ),
        (Servegen, SERVEGEN.replace("client", "who"), &["no column `client`"]),
        (Csv, NAMED.replace(",at,", ",when,"), &["no column `at`", "`when`"]),
        (Mooncake, MOONCAKE.replace("[0, 9]", "[0]"), &["line 3", "1 blocks", "1024 tokens has 2"]),
        (
            Mooncake,
            MOONCAKE.replace("[0, 9]", "[0, -9]"),
            &["line 3", "`hash_ids`", "[0,-9]", "from 0"],
        ),
        (
            Mooncake,
            MOONCAKE.replace("3000", "\"3 s\""),
            &["line 3", "`timestamp`", "3 s", "milliseconds"],
        ),
        (Mooncake, MOONCAKE.replace("1024", "1e9"), &["line 3", "`input_length`", "0 to 10000000"]),
        (
            Mooncake,
            MOONCAKE.replace("\"output_length\": 52, ", ""),
            &["line 1", "`output_length`", "null"],
        ),
        (Mooncake, "[1, 2]\n".to_owned(), &["line 1", "no JSON object", "\"hash_ids\""]),
        (Mooncake, "\n \n".to_owned(), &["holds no requests"]),
    ];
    for (format, text, parts) in cases {
        let error = rows(*format, text).unwrap_err();
        for part in *parts {
            assert!(error.contains(part), "{format:?}: `{part}` is not in: {error}");
        }
    }
    let (file, config) = file(Mooncake, b"");
    drop(file);
    let error = read(&config, &config.path).unwrap_err().to_string();
    assert!(error.contains(&*config.path.to_string_lossy()), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever bytes a file holds, alone or inside a good one: it is read or refused.
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..400) {
        use ReplayFormat::{Azure, Burstgpt, Csv, Mooncake, Servegen};
        for (format, good) in [
            (Azure, AZURE), (Burstgpt, BURSTGPT), (Mooncake, MOONCAKE), (Servegen, SERVEGEN), (Csv, NAMED),
        ] {
            let mut spoilt = good.as_bytes().to_vec();
            let at = at.min(spoilt.len());
            spoilt.splice(at..at, bytes.iter().copied());
            for bytes in [&bytes, &spoilt] {
                let (_file, config) = file(format, bytes);
                let _ = read(&config, &config.path);
            }
        }
    }
}
