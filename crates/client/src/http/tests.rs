//! Responses cut into reads at any byte, held against what they were made from.

use proptest::prelude::*;

use super::*;

/// What comes of `wire` when it arrives cut at `cuts`: head, body, whether it ended, and what was left.
fn read(
    wire: &[u8],
    cuts: &[usize],
) -> Result<(Option<ResponseHead>, Vec<u8>, bool, usize), Garbage> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (wire.len() + 1)).collect();
    ends.push(wire.len());
    ends.sort_unstable();
    let mut reader = Reader::default();
    let (mut head, mut body, mut over, mut at) = (None, Vec::new(), false, 0);
    for end in ends {
        // As the connection does it: once more after the last byte, for an end that takes none.
        while !over {
            let (used, part) = reader.next(&wire[at..end])?;
            at += used;
            match part {
                Part::Nothing => break,
                Part::Head(found) => head = Some(found),
                Part::Data(data) => body.extend_from_slice(data),
                Part::End => over = true,
            }
        }
    }
    Ok((head, body, over, wire.len() - at))
}

fn chunked(parts: &[Vec<u8>], extension: &str, trailer: &str) -> Vec<u8> {
    let mut wire =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Type: a/b\r\n\r\n".to_vec();
    for part in parts {
        wire.extend(format!("{:X}{extension}\r\n", part.len()).into_bytes());
        wire.extend(part);
        wire.extend(b"\r\n");
    }
    wire.extend(format!("0\r\n{trailer}\r\n").into_bytes());
    wire
}

proptest! {
    /// However a response is cut, its body is what was put in, it ends where it ends, and not one byte
    /// behind it is taken.
    #[test]
    fn cuts_change_nothing(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
        extension in prop_oneof![Just(""), Just(";a=b"), Just("  ")],
        trailer in prop_oneof![Just(""), Just("x: y\r\n"), Just("x: y\r\nz: \r\n")],
        known_length: bool,
        behind in 0_usize..9,
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let body = parts.concat();
        let mut wire = if known_length {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nContent-Type: a/b\r\n\r\n", body.len());
            [head.as_bytes(), &body].concat()
        } else {
            chunked(&parts, extension, trailer)
        };
        wire.extend(std::iter::repeat_n(b'H', behind));
        let (head, seen, over, left) = read(&wire, &cuts).unwrap();
        let content_type = Some(b"a/b".to_vec());
        prop_assert_eq!(head, Some(ResponseHead { status: 200, content_type, framed: true }));
        prop_assert_eq!((seen, over, left), (body, true, behind));
    }

    /// Whatever comes, nothing panics, and every byte is taken, refused, or behind the end.
    #[test]
    fn any_bytes_are_read_or_refused(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        cuts in proptest::collection::vec(any::<usize>(), 0..5),
        place in any::<usize>(),
    ) {
        let mut wire = chunked(&[b"data: x\n\n".to_vec(), b"y".to_vec()], "", "");
        let place = place % wire.len();
        wire.splice(place.., noise.iter().copied());
        if let Ok((_, _, over, left)) = read(&wire, &cuts) {
            prop_assert!(over || left == 0);
        }
    }
}

fn keeps(head: &str) -> (bool, bool) {
    let mut reader = Reader::default();
    let (_, part) = reader.next(head.as_bytes()).unwrap();
    assert!(matches!(part, Part::Head(_)), "{head}");
    let until_close = reader.ends_with_connection();
    while reader.next(b"").unwrap().1 != Part::Nothing {}
    (reader.is_reusable(), until_close)
}

#[test]
fn a_head_says_whether_the_connection_can_be_used_again() {
    assert_eq!(keeps("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), (true, false));
    assert_eq!(keeps("HTTP/1.1 204 No Content\r\n\r\n"), (true, false));
    assert_eq!(keeps("HTTP/1.1 200 OK\r\n\r\n"), (false, true));
    assert_eq!(
        keeps("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: x, Close\r\n\r\n"),
        (false, false)
    );
    assert_eq!(keeps("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"), (false, false));
    assert_eq!(
        keeps("HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n"),
        (true, false)
    );
}

#[test]
fn an_interim_response_is_passed_over() {
    let wire = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
                 HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nno";
    for cut in 0..wire.len() {
        let (head, body, over, left) = read(wire, &[cut]).unwrap();
        assert_eq!(
            (head.map(|head| head.status), body.as_slice(), over, left),
            (Some(503), &b"no"[..], true, 0)
        );
    }
}

#[test]
fn what_is_not_http_is_said() {
    let refused = |wire: &str| read(wire.as_bytes(), &[]).unwrap_err().to_string();
    assert_eq!(
        refused("HTTP/1.1 200 OK\r\ncontent-length: 7x\r\n\r\n"),
        "`content-length: 7x` is no length"
    );
    assert!(
        refused("HTTP/1.1 200 OK\r\ncontent-length: 7\r\ncontent-length: 8\r\n\r\n")
            .contains("no length")
    );
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (body, words) in [
        ("zz\r\n", "byte 0x7a where a chunk's length belongs"),
        ("\r\n", "byte 0x0d where"),
        ("11111111111111111\r\n", "byte 0x31 where"),
        ("1\r\nab\r\n", "byte 0x62 behind a chunk"),
    ] {
        assert!(refused(&format!("{chunked}{body}")).contains(words), "{body}");
    }
    let long = "x".repeat(70_000);
    assert!(refused(&format!("HTTP/1.1 200 OK\r\na: {long}")).contains("longer than"));
    assert!(refused(&format!("{chunked}1;{long}")).contains("longer than"));
    assert!(refused(&format!("{chunked}0\r\n{long}")).contains("longer than"));
}
