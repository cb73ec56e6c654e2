//! As much of HTTP/1.1 as the ground-truth server needs to read a request.

use std::ops::Range;

use serde::Deserialize;

/// The longest head that is read before the connection is given up, in bytes.
const LONGEST_HEAD: usize = 64 * 1024;

/// A request as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// `X-Request-Id`, if it came.
    pub(crate) id: Option<String>,
    /// Where its body lies in the bytes that were read; the next request begins behind it.
    pub(crate) body: Range<usize>,
}

/// What the bytes read so far are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// Not a whole request yet; it is whole at this many bytes, as far as that is known.
    Partial(usize),
    Whole(Request),
    /// No request that this server takes.
    Bad,
}

/// Reads a request from the front of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let Some(head_end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > LONGEST_HEAD { Parsed::Bad } else { Parsed::Partial(0) };
    };
    let Ok(head) = std::str::from_utf8(&bytes[..head_end]) else { return Parsed::Bad };
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path)) = (first.next(), first.next()) else { return Parsed::Bad };
    let (mut length, mut id) = (0, None);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { return Parsed::Bad };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let Ok(written) = value.parse::<u32>() else { return Parsed::Bad };
            length = written as usize;
        } else if name.eq_ignore_ascii_case("x-request-id") {
            id = Some(value.to_owned());
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Parsed::Bad;
        }
    }
    let body = head_end + 4..head_end + 4 + length;
    if bytes.len() < body.end {
        return Parsed::Partial(body.end);
    }
    Parsed::Whole(Request { method: method.to_owned(), path: path.to_owned(), id, body })
}

/// The fields of a body that decide the answer; all others are passed over.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Body {
    pub(crate) user: Option<String>,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) max_completion_tokens: Option<u32>,
    #[serde(default)]
    pub(crate) stream: bool,
    #[serde(default)]
    pub(crate) stream_options: Option<StreamOptions>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct StreamOptions {
    #[serde(default)]
    pub(crate) include_usage: bool,
    #[serde(default)]
    pub(crate) continuous_usage_stats: bool,
}

impl Body {
    /// The body's fields, or `None` if it is no JSON object with fields of these kinds.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] =
        b"POST /v1/completions HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 4\r\nX-Request-Id: a b\r\n\r\nbodyGET";

    #[test]
    fn a_request_is_whole_from_its_last_byte_on() {
        let end = REQUEST.len() - 3;
        for cut in 0..end {
            assert!(matches!(parse(&REQUEST[..cut]), Parsed::Partial(_)), "cut at {cut}");
        }
        assert_eq!(parse(&REQUEST[..end - 1]), Parsed::Partial(end));
        let Parsed::Whole(request) = parse(REQUEST) else { panic!("it is whole") };
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/completions"));
        assert_eq!(request.id.as_deref(), Some("a b"));
        assert_eq!(&REQUEST[request.body], b"body");
    }

    #[test]
    fn what_it_does_not_speak_is_refused() {
        for head in [
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
            "nonsense\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        ] {
            assert_eq!(parse(head.as_bytes()), Parsed::Bad, "{head:?}");
        }
        assert_eq!(parse(&vec![b'x'; LONGEST_HEAD + 1]), Parsed::Bad);
    }

    #[test]
    fn a_body_says_how_long_and_in_which_form() {
        let body = Body::read(
            br#"{"messages":[{"content":"\"user\":\"no\""}],"user":"7","max_tokens":3,"stream":true,
                "stream_options":{"include_usage":true,"new":1},"temperature":0}"#,
        )
        .unwrap();
        assert_eq!(
            (body.user.as_deref(), body.max_tokens, body.stream),
            (Some("7"), Some(3), true)
        );
        let options = body.stream_options.unwrap();
        assert!(options.include_usage && !options.continuous_usage_stats);
        assert!(Body::read(b"[1]").is_none() && Body::read(b"{").is_none());
    }
}
