//! Exchanges with scripted servers: every captured response cut at every byte, the stamps of frames,
//! and every way in which a response breaks.

mod script;

use plimsoll_records::{Outcome, StampSource};
use plimsoll_units::RunNanos;
use proptest::prelude::*;
use script::{After, Script, Seen, body, body_alone, fixture, replay, replay_with, run, streamed};

use crate::measured::Measured;

/// What a captured response must come to: its name; outcome; whether a role chunk came; tokens of its
/// chunks; prompt, output and cached tokens by usage; finish reason.
type Expected =
    (&'static str, Outcome, bool, &'static [u32], [Option<u32>; 3], Option<&'static str>);

const ONES: &[u32] = &[1; 64];
const NO_USAGE: [Option<u32>; 3] = [None; 3];
const LENGTH: Option<&str> = Some("length");

const fn usage(prompt: u32, output: u32) -> [Option<u32>; 3] {
    [Some(prompt), Some(output), None]
}

const fn cached(prompt: u32, output: u32, cached: u32) -> [Option<u32>; 3] {
    [Some(prompt), Some(output), Some(cached)]
}

const fn ones(count: usize) -> &'static [u32] {
    ONES.split_at(count).0
}

/// The captured streams. The numbers were taken from the captures by a script of a few lines that
/// shares nothing with this crate.
const STREAMS: &[Expected] = &[
    ("vllm/chat_stream_usage.txt", Outcome::Ok, true, ones(8), usage(20, 8), LENGTH),
    ("vllm/chat_stream_nousage.txt", Outcome::Ok, true, ones(4), NO_USAGE, LENGTH),
    ("vllm/chat_stream_continuous_usage.txt", Outcome::Ok, true, ones(4), usage(20, 4), LENGTH),
    ("vllm/chat_stream_n2.txt", Outcome::Ok, true, ones(4), usage(20, 4), LENGTH),
    (
        "vllm/chat_stream_interval8_forceusage.txt",
        Outcome::Ok,
        true,
        &[1, 8, 8, 3],
        usage(11, 20),
        LENGTH,
    ),
    ("vllm/chat_stream_keepalive_comment.txt", Outcome::Ok, true, ones(11), NO_USAGE, LENGTH),
    ("vllm/chat_stream_stop.txt", Outcome::Ok, true, ones(1), NO_USAGE, Some("stop")),
    ("vllm/chat_stream_logprobs.txt", Outcome::Ok, true, ones(3), usage(20, 3), LENGTH),
    ("vllm/chat_stream_maxtok1.txt", Outcome::Ok, true, ones(1), usage(20, 1), LENGTH),
    ("vllm/chat_stream_return_token_ids.txt", Outcome::Ok, true, ones(2), NO_USAGE, LENGTH),
    (
        "vllm/chat_stream_reqid_promptdetails.txt",
        Outcome::Ok,
        true,
        ones(2),
        cached(11, 2, 0),
        LENGTH,
    ),
    ("vllm/completion_stream_usage.txt", Outcome::Ok, false, ones(8), usage(10, 8), LENGTH),
    ("vllm/completion_stream_tokenids.txt", Outcome::Ok, false, ones(4), usage(10, 4), LENGTH),
    ("vllm/wire.chat.wire", Outcome::Ok, true, ones(16), usage(20, 16), LENGTH),
    ("vllm/wire.completion.wire", Outcome::Ok, false, ones(16), usage(10, 16), LENGTH),
    ("llamacpp/chat_stream_usage.txt", Outcome::Ok, true, ones(8), cached(29, 8, 0), LENGTH),
    ("llamacpp/chat_stream_nousage.txt", Outcome::Ok, true, ones(4), NO_USAGE, LENGTH),
    (
        "llamacpp/chat_stream_continuous_usage.txt",
        Outcome::Ok,
        true,
        ones(4),
        cached(29, 4, 24),
        LENGTH,
    ),
    ("llamacpp/chat_stream_n2.txt", Outcome::Ok, true, ones(4), cached(29, 4, 24), LENGTH),
    ("llamacpp/chat_stream_logprobs.txt", Outcome::Ok, true, ones(3), cached(29, 3, 24), LENGTH),
    ("llamacpp/chat_stream_maxtok1.txt", Outcome::Ok, true, ones(1), cached(29, 1, 24), LENGTH),
    ("llamacpp/completion_stream_usage.txt", Outcome::Ok, false, ones(8), cached(7, 8, 1), LENGTH),
    (
        "llamacpp/completion_stream_nousage.txt",
        Outcome::Ok,
        false,
        ones(2),
        cached(5, 2, 0),
        LENGTH,
    ),
    ("llamacpp/wire.chat.wire", Outcome::Ok, true, ones(16), cached(29, 16, 0), LENGTH),
    ("llamacpp/wire.completion.wire", Outcome::Ok, false, ones(16), cached(7, 16, 1), LENGTH),
    ("dynamo/chat_stream_usage.txt", Outcome::Ok, false, ones(8), cached(20, 8, 0), LENGTH),
    ("dynamo/chat_stream_nousage.txt", Outcome::Ok, false, ones(4), NO_USAGE, LENGTH),
    (
        "dynamo/chat_stream_continuous_usage.txt",
        Outcome::Ok,
        false,
        ones(4),
        cached(20, 4, 0),
        LENGTH,
    ),
    ("dynamo/chat_stream_n2.txt", Outcome::Ok, false, ones(2), cached(20, 2, 0), LENGTH),
    ("dynamo/chat_stream_logprobs.txt", Outcome::Ok, false, ones(3), cached(20, 3, 0), LENGTH),
    ("dynamo/chat_stream_maxtok1.txt", Outcome::Ok, false, ones(1), cached(20, 1, 0), LENGTH),
    ("dynamo/chat_stream_keepalive_queued.txt", Outcome::Ok, false, ones(7), NO_USAGE, LENGTH),
    ("dynamo/completion_stream_usage.txt", Outcome::Ok, false, ones(8), cached(10, 8, 0), LENGTH),
    ("dynamo/wire.chat.wire", Outcome::Ok, false, ones(16), cached(20, 16, 0), LENGTH),
    ("dynamo/wire.completion.wire", Outcome::Ok, false, ones(16), cached(10, 16, 0), LENGTH),
    ("dynamo/err_prompt_too_long_tokens.txt", Outcome::StreamError, false, &[], NO_USAGE, None),
];

/// The captured refusals: status, and what the row's error must hold.
const REFUSALS: &[(&str, u16, &str)] = &[
    ("vllm/err_404.txt", 404, "Not Found"),
    ("vllm/err_bad_model.txt", 404, "does not exist"),
    ("vllm/err_prompt_too_long.txt", 400, "maximum context length"),
    ("vllm/err_503_queue_full.txt", 503, "The engine is currently busy"),
    ("llamacpp/err_404.txt", 404, "File Not Found"),
    ("llamacpp/err_prompt_too_long.txt", 400, "exceeds the available context size"),
    ("dynamo/err_404.txt", 404, "Route not found"),
    ("dynamo/err_bad_model.txt", 404, "Model not found"),
    ("dynamo/err_unknown_param.txt", 400, "no_such_param"),
];

/// Invariant: a capture comes to the same row, stamps apart, whole, byte by byte, and cut in two at
/// any byte: the raw ones on the wire, the others in the body that HTTP hands on.
async fn cut_everywhere(name: &str, script: &Script, whole: &Seen) {
    assert_eq!(replay(&script.byte_by_byte()).await.seen(), *whole, "{name} byte by byte");
    if name.ends_with(".wire") || whole.outcome == Outcome::HttpStatus {
        for cut in 1..script.bytes.len() {
            let seen = replay(&script.cut(&[cut])).await.seen();
            assert_eq!(seen, *whole, "{name} cut before byte {cut}");
        }
    } else {
        let body = body(name);
        for cut in 0..body.len() {
            assert_eq!(body_alone(&body, cut), *whole, "{name} cut before byte {cut} of its body");
        }
    }
}

fn captured_streams_of(server: &str) {
    run(async {
        let of_server = STREAMS.iter().filter(|stream| stream.0.starts_with(server));
        for &(name, outcome, role, tokens, totals, finish) in of_server {
            let script = Script::new(&fixture(name));
            let seen = replay(&script).await.seen();
            let carried: Vec<u32> = seen.chunks.iter().map(|chunk| chunk.0).collect();
            assert_eq!((seen.outcome, seen.role_chunk), (outcome, role), "{name} {seen:?}");
            assert_eq!((carried.as_slice(), seen.tokens), (tokens, totals), "{name}");
            assert_eq!((seen.finish.as_deref(), seen.status), (finish, Some(200)), "{name}");
            assert!(seen.idle, "{name} leaves its connection usable");
            let counted = ["continuous", "interval8"].iter().any(|word| name.contains(word))
                && !name.starts_with("llamacpp");
            assert!(seen.chunks.iter().all(|chunk| chunk.1 == counted), "{name} {seen:?}");
            cut_everywhere(name, &script, &seen).await;
        }
    });
}

#[test]
fn streams_of_vllm_come_to_the_same_row_however_they_are_cut() {
    captured_streams_of("vllm");
}

#[test]
fn streams_of_llamacpp_come_to_the_same_row_however_they_are_cut() {
    captured_streams_of("llamacpp");
}

#[test]
fn streams_of_dynamo_come_to_the_same_row_however_they_are_cut() {
    captured_streams_of("dynamo");
}

#[test]
fn captured_refusals_keep_status_and_words() {
    run(async {
        for &(name, status, words) in REFUSALS {
            let script = Script::new(&fixture(name));
            let seen = replay(&script).await.seen();
            assert_eq!((seen.outcome, seen.status), (Outcome::HttpStatus, Some(status)), "{name}");
            assert!(
                seen.error.as_ref().is_some_and(|text| text.contains(words)),
                "{name} {seen:?}"
            );
            cut_everywhere(name, &script, &seen).await;
        }
        for server in ["vllm", "llamacpp", "dynamo"] {
            let script = Script::new(&fixture(&format!("{server}/chat_nonstream.txt")));
            let seen = replay(&script).await.seen();
            assert_eq!((seen.outcome, seen.idle), (Outcome::Malformed, true), "{server}");
            let text = seen.error.as_deref().unwrap();
            assert!(
                text.contains("the answer is `application/json")
                    && text.contains("` and no event stream"),
                "{text}"
            );
        }
    });
}

/// The places behind the last byte of each event of `wire`, found in the raw bytes: every event of the
/// captures lies in one HTTP chunk, as `data: ...` up to a blank line.
fn ends_of_events(wire: &[u8]) -> Vec<usize> {
    let text = std::str::from_utf8(wire).unwrap();
    let starts = text.match_indices("data: {").map(|(start, _)| start);
    starts.map(|start| start + text[start..].find("\n\n").unwrap() + 2).collect()
}

/// The reads (from 1) that bring the last byte of each event.
fn reads_of_events(wire: &[u8], cuts: &[usize]) -> Vec<u64> {
    let ends = ends_of_events(wire).into_iter();
    ends.map(|end| 1 + cuts.iter().filter(|&&cut| cut < end).count() as u64).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Invariant: the stamp of a chunk is that of the very read that brought its last byte, though
    /// HTTP, the event stream and JSON are parsed in between. The clock stands between reads, so
    /// a stamp taken at any other read differs.
    #[test]
    fn a_chunk_has_the_stamp_of_the_read_that_completed_it(
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..40),
        pauses in any::<bool>(),
    ) {
        let wire = fixture("vllm/wire.chat.wire");
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| 1 + cut.index(wire.len() - 1)).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let script = Script { pauses, ..Script::new(&wire).cut(&cuts) };
        let replay = run(replay(&script));
        let reads = reads_of_events(&wire, &cuts);
        let stamp = |read: u64| RunNanos::from_nanos(read * 1_000_000);
        // Role chunk, 16 tokens, usage.
        prop_assert_eq!(reads.len(), 18);
        prop_assert_eq!(replay.row.role_chunk, Some(stamp(reads[0])));
        let stamps: Vec<RunNanos> = replay.row.chunks.iter().map(|chunk| chunk.at).collect();
        let expected: Vec<RunNanos> = reads[1..17].iter().map(|&read| stamp(read)).collect();
        prop_assert_eq!(stamps, expected);
        prop_assert_eq!(replay.row.usage, Some(stamp(reads[17])));
        prop_assert_eq!(replay.row.first_byte, Some(stamp(1)));
        prop_assert_eq!(replay.row.done, stamp(cuts.len() as u64 + 1));
        prop_assert_eq!(replay.row.sent, Some(RunNanos::ZERO));
    }

    /// Invariant: the place of a chunk is the one behind its event's last byte, however many events
    /// came in one read and wherever a read ended. The places are used as stamps here.
    #[test]
    fn a_chunk_has_the_place_where_its_event_ended(
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
    ) {
        let wire = fixture("vllm/wire.chat.wire");
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| 1 + cut.index(wire.len() - 1)).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let by_place = |measured: Measured| {
            let mut stamp = |place| Some(RunNanos::from_nanos(place));
            measured.settle_with(StampSource::Packet, None, &mut stamp)
        };
        let row = run(replay_with(&Script::new(&wire).cut(&cuts), by_place)).row;
        let places: Vec<u64> = row.chunks.iter().map(|chunk| chunk.at.as_nanos()).collect();
        let ends: Vec<u64> = ends_of_events(&wire).iter().map(|&end| end as u64).collect();
        prop_assert_eq!(places, &ends[1..17]);
        prop_assert_eq!(row.role_chunk, Some(RunNanos::from_nanos(ends[0])));
        prop_assert_eq!(row.first_byte, Some(RunNanos::from_nanos(1)));
        prop_assert_eq!(row.done, RunNanos::from_nanos(wire.len() as u64));
    }
}

#[test]
fn the_request_is_written_as_it_was_given() {
    let replay = run(replay(&Script::new(&streamed(&[]))));
    let text = String::from_utf8(replay.written).unwrap();
    assert!(text.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{text}");
    assert!(text.contains("content-length: 15\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n{\"stream\":true}"), "{text}");
}

const TOKEN: &str = r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}"#;
const FINISH: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

fn outcome(bytes: &[u8], after: After) -> Seen {
    run(replay(&Script { after, ..Script::new(bytes) })).seen()
}

#[test]
fn a_response_cut_short_anywhere_is_reset_or_truncated_or_unanswered() {
    let wire = streamed(&[TOKEN, TOKEN, FINISH, "[DONE]"]);
    let done = wire.len() - "\n\r\n0\r\n\r\n".len();
    let head = wire.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    for after in [After::Close, After::Reset] {
        for end in 0..wire.len() {
            let seen = outcome(&wire[..end], after);
            // The stream is over with the blank line after [DONE], whatever becomes of its frame.
            let expected = if end > done { Outcome::Ok } else { Outcome::Reset };
            assert_eq!(seen.outcome, expected, "{end} of {} {seen:?}", wire.len());
            assert_eq!(seen.unanswered, end == 0, "{end}");
            assert_eq!(seen.status.is_some(), end >= head, "{end}");
            assert!(!seen.idle);
        }
    }
}

#[test]
fn the_end_of_the_connection_may_be_the_end_of_the_body() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let finished = format!("{head}data: {TOKEN}\n\ndata: {FINISH}\n\n");
    assert_eq!(outcome(finished.as_bytes(), After::Close).outcome, Outcome::Ok);
    let unfinished = format!("{head}data: {TOKEN}\n\n");
    let seen = outcome(unfinished.as_bytes(), After::Close);
    assert_eq!((seen.outcome, seen.chunks.len()), (Outcome::Truncated, 1));
    // A last event without its blank line is whole; one without its line end is not.
    let last = format!("{head}data: {TOKEN}\n\ndata: [DONE]\n");
    assert_eq!(outcome(last.as_bytes(), After::Close).outcome, Outcome::Ok);
    let half = format!("{head}data: {TOKEN}\n\ndata: [DONE]");
    assert_eq!(outcome(half.as_bytes(), After::Close).outcome, Outcome::Truncated);
}

#[test]
fn bytes_that_break_the_rules_are_malformed() {
    let long = format!("\u{20ac}{}", "x".repeat(100_001));
    let cases: [(Vec<u8>, &str); 6] = [
        (b"\x00\x01garbage\r\n\r\n".to_vec(), "not HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "not HTTP"),
        (streamed(&[TOKEN, "{\"choices\":[{"]), "no chunk"),
        (streamed(&[TOKEN, &long]), "longer than 100000 bytes"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
            "the body is not HTTP",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<h1>Hi</h1>\r\n"
                .to_vec(),
            "`text/html` and no event stream: <h1>Hi</h1>",
        ),
    ];
    for (bytes, words) in cases {
        let seen = outcome(&bytes, After::Stay);
        let text = seen.error.as_deref().unwrap_or_default();
        assert_eq!(seen.outcome, Outcome::Malformed, "{words}: {seen:?}");
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn an_error_inside_the_stream_is_a_failure_and_the_connection_survives() {
    let seen =
        outcome(&streamed(&[TOKEN, r#"{"error":{"message":"boom"}}"#, "[DONE]"]), After::Stay);
    assert_eq!((seen.outcome, seen.idle), (Outcome::StreamError, true));
    assert_eq!((seen.error.as_deref(), seen.chunks.len()), (Some("boom"), 1));
}

#[test]
fn a_server_that_closes_after_the_stream_leaves_no_connection() {
    let seen = outcome(&streamed(&[TOKEN, FINISH, "[DONE]"]), After::Close);
    assert_eq!((seen.outcome, seen.idle), (Outcome::Ok, false));
    let mut wire = streamed(&[TOKEN, FINISH, "[DONE]"]);
    let close = b"HTTP/1.1 200 OK\r\nconnection: close\r\n";
    wire.splice(.."HTTP/1.1 200 OK\r\n".len(), close.iter().copied());
    let seen = outcome(&wire, After::Stay);
    assert_eq!((seen.outcome, seen.idle), (Outcome::Ok, false));
}

#[test]
fn a_long_refusal_is_cut_and_its_connection_given_up() {
    let mut wire = b"HTTP/1.1 500 Oops\r\ncontent-length: 1000000\r\n\r\n".to_vec();
    wire.extend(std::iter::repeat_n(b'x', 1_000_000));
    let seen = outcome(&wire, After::Stay);
    assert_eq!((seen.outcome, seen.status, seen.idle), (Outcome::HttpStatus, Some(500), false));
    assert_eq!(seen.error.map(|text| text.len()), Some(64 * 1024));
    let empty = outcome(b"HTTP/1.1 429 X\r\ncontent-length: 0\r\n\r\n", After::Stay);
    assert_eq!(empty.error.as_deref(), Some("Too Many Requests"));
}
