//! Unit and property tests of the decoder. The oracle below reads the whole stream at once, as text
//! rules, and shares no code with the decoder.

use proptest::prelude::*;

use super::*;

type Event = (Vec<u8>, Vec<u8>);

/// What the decoder makes of `stream` cut before each index in `cuts` (sorted).
fn decode(stream: &[u8], cuts: &[usize], max: usize) -> (Vec<Event>, bool) {
    let mut decoder = SseDecoder::new(max);
    let mut events = Vec::new();
    let mut keep = |event: SseEvent<'_>| events.push((event.name.to_vec(), event.data.to_vec()));
    let mut start = 0;
    for &end in cuts.iter().chain([&stream.len()]) {
        if decoder.feed(&stream[start..end], &mut keep).is_err() {
            return (events, true);
        }
        start = end;
    }
    decoder.finish(&mut keep);
    (events, false)
}

/// The rules applied to the whole stream: normalise line ends, split into lines, walk them.
fn oracle(stream: &[u8], max: usize) -> (Vec<Event>, bool) {
    let mut text = Vec::new();
    let mut bytes = stream.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\r' && bytes.peek() == Some(&b'\n') {
            continue;
        }
        text.push(if byte == b'\r' { b'\n' } else { byte });
    }
    let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    let unfinished = lines.pop().unwrap_or_default();
    let (mut events, mut data, mut name) = (Vec::new(), Vec::<&[u8]>::new(), Vec::new());
    for (number, line) in lines.iter().enumerate() {
        if line.len() > max {
            return (events, true);
        }
        let line = match line.strip_prefix("\u{feff}".as_bytes()) {
            Some(rest) if number == 0 => rest,
            _ => line,
        };
        if line.is_empty() {
            if !data.is_empty() || name == b"error" {
                events.push((name.clone(), data.join(&b'\n')));
            }
            data.clear();
            name.clear();
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => {
                data.push(value);
                if data.join(&b'\n').len() > max {
                    return (events, true);
                }
            }
            b"event" => name = value.to_vec(),
            _ => {}
        }
    }
    if unfinished.len() > max {
        return (events, true);
    }
    if !data.is_empty() || name == b"error" {
        events.push((name, data.join(&b'\n')));
    }
    (events, false)
}

fn data_of(stream: &[u8]) -> Vec<String> {
    let (events, overlong) = decode(stream, &[], 1000);
    assert!(!overlong);
    events.into_iter().map(|(_, data)| String::from_utf8(data).unwrap()).collect()
}

#[test]
fn line_ends_comments_joins_and_spaces() {
    assert_eq!(data_of(b"data: a\n\ndata:b\r\n\r\ndata:  c\r\r"), ["a", "b", " c"]);
    assert_eq!(data_of(b": comment\n\n:\n\ndata: a\n:in between\ndata: b\n\n"), ["a\nb"]);
    assert_eq!(data_of(b"data\n\nid: 1\nretry: 5\n\ndatum: x\n\n"), [""]);
    assert_eq!(data_of("\u{feff}data: a\n\n\u{feff}data: b\n\n".as_bytes()), ["a"]);
    assert_eq!(data_of(b"\n\n\n"), Vec::<String>::new());
}

#[test]
fn names_are_kept_and_an_error_needs_no_data() {
    let (events, _) = decode(b"event: error\n\nevent: note\n\nevent: error\ndata: x\n\n", &[], 99);
    let expected: [Event; 2] =
        [(b"error".to_vec(), Vec::new()), (b"error".to_vec(), b"x".to_vec())];
    assert_eq!(events, expected);
}

#[test]
fn the_end_delivers_whole_lines_and_drops_half_ones() {
    assert_eq!(data_of(b"data: a\n"), ["a"]);
    assert_eq!(data_of(b"data: a\ndata: b"), ["a"]);
    assert_eq!(data_of(b"data: a"), Vec::<String>::new());
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let mut decoder = SseDecoder::new(100_000);
    let piece = [b'x'; 10_000];
    let fed = (0..1000).take_while(|_| decoder.feed(&piece, |_| {}).is_ok()).count();
    assert_eq!(fed, 10);
    assert!(decoder.line.capacity() < 300_000);
    // The same through many short data lines of one event.
    decoder.reset();
    let fed = (0..1000)
        .take_while(|_| {
            decoder.feed(format!("data: {}\n", "y".repeat(9_999)).as_bytes(), |_| {}).is_ok()
        })
        .count();
    assert_eq!(fed, 10);
}

#[test]
fn a_decoder_can_be_used_again() {
    let mut decoder = SseDecoder::new(50);
    decoder.feed(b"event: error\ndata: half a li", |_| panic!("nothing is whole")).unwrap();
    decoder.reset();
    let mut seen = Vec::new();
    decoder
        .feed(b"data: b\n\n", |event| seen.push((event.name.to_vec(), event.data.to_vec())))
        .unwrap();
    assert_eq!(seen, [(Vec::new(), b"b".to_vec())]);
}

#[test]
fn a_warm_decoder_keeps_its_buffers() {
    let event = format!("data: {}\n\n", "z".repeat(300));
    let mut decoder = SseDecoder::new(10_000);
    let run = |decoder: &mut SseDecoder| {
        for piece in event.as_bytes().chunks(7) {
            decoder.feed(piece, |_| {}).unwrap();
        }
        (decoder.line.as_ptr(), decoder.line.capacity(), decoder.data.capacity())
    };
    let first = run(&mut decoder);
    for _ in 0..10 {
        assert_eq!(run(&mut decoder), first);
    }
}

/// Streams made of the pieces that matter, in any order, with multi-byte characters.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just("\n"),
        2 => Just("\r\n"),
        1 => Just("\r"),
        3 => Just("data: "),
        2 => Just("data:"),
        1 => Just("data"),
        1 => Just("event: error"),
        1 => Just("event:x"),
        1 => Just(": keep-alive"),
        1 => Just("id: 7"),
        2 => Just("{\"a\":\"\u{e9}\u{20ac}\u{1f600}\"}"),
        1 => Just("[DONE]"),
        1 => Just("\u{feff}"),
        1 => Just(" "),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    /// Invariant: for every stream and every way to cut it, the decoder gives what the rules give
    /// when they are applied to the whole.
    #[test]
    fn any_chunking_gives_the_same_events(
        stream in streams(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
        max in 5usize..60,
    ) {
        let mut cuts: Vec<usize> =
            cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        let expected = oracle(&stream, max);
        prop_assert_eq!(decode(&stream, &cuts, max), expected.clone());
        prop_assert_eq!(decode(&stream, &[], max), expected.clone());
        let every: Vec<usize> = (1..stream.len()).collect();
        prop_assert_eq!(decode(&stream, &every, max), expected);
    }

    /// Invariant: the same holds for bytes of any kind.
    #[test]
    fn arbitrary_bytes_do_no_harm(
        stream in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r'), Just(b':')], 0..200),
        cut in any::<proptest::sample::Index>(),
    ) {
        let cut = cut.index(stream.len() + 1);
        prop_assert_eq!(decode(&stream, &[cut], 40), oracle(&stream, 40));
    }
}
