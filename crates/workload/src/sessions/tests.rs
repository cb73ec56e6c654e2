use std::io::Write;

use super::*;
use crate::{BodyTemplate, Calibration, Encoder, Workload};

fn encoder(table: &str) -> Result<Encoder, String> {
    let config: WorkloadConfig = toml::from_str(table).map_err(|error| error.to_string())?;
    let workload = Workload::new(&config, Path::new("."), 3).map_err(|error| error.to_string())?;
    assert!(workload.has_sessions());
    let calibration = Calibration::assumed(9);
    workload
        .encoder(Some(&calibration), &BodyTemplate::default())
        .map_err(|error| error.to_string())
}

fn messages(encoder: &Encoder, session: u64, turn: u32, answers: &[&str]) -> Vec<(String, String)> {
    let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    let body = encoder.encode_turn(session, turn, &answers).body;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let messages = body["messages"].as_array().unwrap();
    messages.iter().map(|one| (text(&one["role"]), text(&one["content"]))).collect()
}

fn file(lines: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    file
}

const SYNTHETIC: &str = "input-tokens = 40\noutput-tokens = 7\n[sessions]\nturns = 3\n";

#[test]
fn each_turn_carries_all_that_was_said_before_it() {
    let encoder = encoder(SYNTHETIC).unwrap();
    assert_eq!(encoder.turns(0), Some(3));
    let first = messages(&encoder, 5, 0, &[]);
    let second = messages(&encoder, 5, 1, &["yes \"indeed\"\n"]);
    let third = messages(&encoder, 5, 2, &["yes \"indeed\"\n", "no"]);
    assert_eq!(second[..1], first[..]);
    assert_eq!(second[1], ("assistant".to_owned(), "yes \"indeed\"\n".to_owned()));
    assert_eq!((third.len(), &third[..3]), (5, &second[..]));
    assert_eq!(third[3].1, "no");
    // The template's nine tokens are part of the first turn's forty, and of no other's cost.
    assert_eq!(first[0].1.split(' ').count(), 31);
    let encoded = encoder.encode_turn(5, 0, &[]);
    assert_eq!((encoded.prompt_tokens_planned, encoded.output_tokens_planned), (Some(40), 7));
    assert_eq!((encoded.session, encoded.turn), (Some(5), Some(0)));
    assert_eq!(encoder.encode(5), encoded);
    assert_eq!(encoder.encode_turn(5, 1, &[String::new()]).prompt_tokens_planned, None);
    // Another conversation, and this one at another point, say something else.
    assert_ne!(messages(&encoder, 6, 0, &[]), first);
    assert_ne!(messages(&encoder.starting_at(1_000_000), 5, 0, &[]), first);
}

#[test]
fn recorded_answers_are_the_same_whatever_the_server_said() {
    let encoder = encoder(&format!("{SYNTHETIC}history = \"recorded\"")).unwrap();
    let said = messages(&encoder, 1, 1, &["something else"]);
    assert_eq!(said, messages(&encoder, 1, 1, &[]));
    assert_eq!((said[1].0.as_str(), said[1].1.split(' ').count()), ("assistant", 7));
}

#[test]
fn a_file_is_cut_into_turns_at_its_answers() {
    let file = file(concat!(
        r#"{"id":"a","max_tokens":9,"messages":[{"role":"system","content":"s"},{"role":"user","content":"1"},"#,
        r#"{"role":"assistant","content":"A"},{"role":"user","content":"2"},{"role":"user","content":"3"},"#,
        r#"{"role":"assistant","content":"B"}]}"#,
        "\n"
    ));
    let table = format!("[sessions]\npath = {:?}\nhistory = \"recorded\"", file.path());
    let encoder = encoder(&table).unwrap();
    assert_eq!(encoder.turns(0), Some(2));
    let said: Vec<String> =
        messages(&encoder, 0, 1, &[]).into_iter().map(|(_, content)| content).collect();
    assert_eq!(said, ["s", "1", "A", "2", "3"]);
    assert_eq!(encoder.encode(0).output_tokens_planned, 9);
    let real = self::encoder(&format!("[sessions]\npath = {:?}", file.path())).unwrap();
    assert_eq!(messages(&real, 0, 1, &["X"])[2].1, "X");
}

#[test]
fn users_think_as_long_as_they_are_told_on_average() {
    let constant = encoder(&format!("{SYNTHETIC}think-time = \"2s\"")).unwrap();
    assert_eq!(constant.think_time(3, 1), Duration::from_secs(2));
    let varied = encoder(&format!("{SYNTHETIC}think-time = \"2s\"\nthink-time-cv = 1.0")).unwrap();
    let times: Vec<f64> =
        (0..4_000).map(|session| varied.think_time(session, 1).as_secs_f64()).collect();
    let mean = times.iter().sum::<f64>() / 4_000.0;
    let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / 4_000.0;
    // A standard error of 0.03 s; the seed is fixed.
    assert!((mean - 2.0).abs() < 0.12, "{mean}");
    assert!((variance.sqrt() / mean - 1.0).abs() < 0.15, "{variance}");
    assert_eq!(varied.think_time(9, 2), varied.think_time(9, 2));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let bad = file("{\"messages\":[{\"role\":\"assistant\",\"content\":\"A\"}]}\n");
    let no_length = file("{\"messages\":[{\"role\":\"user\",\"content\":\"A\"}]}\n");
    let prompt = file("\n{\"prompt\":\"A\"}\n");
    let none = file("\n");
    let path = |file: &tempfile::NamedTempFile| format!("[sessions]\npath = {:?}", file.path());
    let tokens = "input-tokens = 4\noutput-tokens = 4\n";
    for (table, parts) in [
        ("[sessions]".to_owned(), &["`sessions`", "`turns`", "`path`"][..]),
        (format!("{tokens}[sessions]\nturns = 0"), &["`length` is 0", "1 to"]),
        (format!("{tokens}[sessions]\nturns = 1001"), &["`turns` may be 1001", "at most 1000"]),
        (
            format!("{tokens}[sessions]\nturns = {{ lognormal = {{ mean = 4, cv = 1 }} }}"),
            &["any number", "`max`"],
        ),
        (format!("{tokens}[sessions]\nturns = 2\nthink-time-cv = -1"), &["`think-time-cv` is -1"]),
        ("output-tokens = 4\n[sessions]\nturns = 2".to_owned(), &["`input-tokens` is missing"]),
        ("input-tokens = 4\n[sessions]\nturns = 2".to_owned(), &["`output-tokens` is missing"]),
        (format!("input-tokens = 4\n{}", path(&bad)), &["`input-tokens` is for synthetic"]),
        (format!("{tokens}shared-prefix = 0.5\n[sessions]\nturns = 2"), &["`shared-prefix` and"]),
        (format!("prompts = \"x\"\n{}", path(&bad)), &["`prompts` and `sessions`"]),
        (format!("output-tokens = 4\n{}", path(&bad)), &["line 1", "nothing but answers"]),
        (path(&no_length), &["line 1", "`output-tokens`"]),
        (
            format!("output-tokens = 4\n{}", path(&prompt)),
            &["line 2", "`messages` is not there", "`prompt`"],
        ),
        (format!("output-tokens = 4\n{}", path(&none)), &["holds no conversations"]),
        ("[sessions]\npath = \"/nowhere.jsonl\"".to_owned(), &["cannot read /nowhere.jsonl"]),
    ] {
        let error = encoder(&table).map(drop).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{table}: {error}");
        }
    }
    let config: WorkloadConfig = toml::from_str(SYNTHETIC).unwrap();
    let workload = Workload::new(&config, Path::new("."), 3).unwrap();
    let template = BodyTemplate { api: crate::Api::Completions, ..BodyTemplate::default() };
    let error = workload.encoder(Some(&Calibration::assumed(1)), &template).unwrap_err();
    assert!(error.to_string().contains("chat API"), "{error}");
}

#[test]
fn real_conversations_are_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/prompts/oasst_en_multiturn_chat.jsonl");
    if !path.is_file() {
        println!("SKIP: {} is not there", path.display());
        return;
    }
    let encoder = encoder(&format!("output-tokens = 8\n[sessions]\npath = {path:?}")).unwrap();
    // 8 conversations of one turn, 55 of two and 32 of three, each once in a pass.
    let mut turns = [0; 4];
    (0..95).for_each(|session| turns[encoder.turns(session).unwrap() as usize] += 1);
    assert_eq!(turns, [0, 8, 55, 32]);
    for session in 0..95 {
        let last = encoder.turns(session).unwrap() - 1;
        let answers = vec!["an answer"; last as usize];
        let said = messages(&encoder, session, last, &answers);
        assert_eq!(said.len() as u32, 2 * last + 1);
        assert!(said.iter().step_by(2).all(|(role, _)| role == "user"));
    }
}
