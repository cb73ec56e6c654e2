//! The little of HTTP/1.1 that one kind of request needs (RFC 9112): the head of a POST, and responses
//! as they come in, whole or byte by byte.
//!
//! No response is waited for as a whole and none is kept: bytes go in, and what they mean comes out, a
//! [`Part`] at a time.

use std::io::Write as _;
use std::{fmt, str};

use thiserror::Error;

/// The most that is accepted of a response's head, and of one line of its framing.
const MAX_HEAD: usize = 64 * 1024;
/// The most headers of a response.
const MAX_HEADERS: usize = 128;

/// Bytes that are not what HTTP says should stand there.
#[derive(Debug, Error)]
pub(crate) enum Garbage {
    #[error("{0}")]
    Head(#[from] httparse::Error),
    #[error("the head is longer than {MAX_HEAD} bytes")]
    LongHead,
    #[error("`content-length: {0}` is no length")]
    Length(String),
    #[error("byte {0:#04x} where a chunk's length belongs")]
    ChunkLength(u8),
    #[error("byte {0:#04x} behind a chunk")]
    ChunkEnd(u8),
    #[error("a line of the framing is longer than {MAX_HEAD} bytes")]
    LongLine,
    #[error("{0}")]
    Wire(std::io::Error),
}

/// What all requests of a client begin with, up to the length of the body.
#[derive(Clone)]
pub(crate) struct RequestHead(Vec<u8>);

impl RequestHead {
    /// The head of a POST to `path` with `headers`, none of which may hold a line break.
    pub(crate) fn new<'a>(path: &str, headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut head = format!("POST {path} HTTP/1.1\r\n").into_bytes();
        for (name, value) in headers {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"content-length: ");
        Self(head)
    }

    /// The head for a body of `length` bytes, with room for `more` bytes behind it.
    pub(crate) fn of_length(&self, length: usize, more: usize) -> Vec<u8> {
        // The length of any body and the blank line take less than 24 bytes.
        let mut head = Vec::with_capacity(self.0.len() + 24 + more);
        head.extend_from_slice(&self.0);
        write!(head, "{length}\r\n\r\n").expect("a vector takes every write");
        head
    }
}

impl fmt::Debug for RequestHead {
    /// Without its bytes, which may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead").finish_non_exhaustive()
    }
}

/// What is to be known of a response's head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) content_type: Option<Vec<u8>>,
    /// Whether the body's end is marked in the bytes, rather than by the connection's end.
    pub(crate) framed: bool,
}

/// What the next bytes of a response mean.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// Nothing whole yet.
    Nothing,
    Head(ResponseHead),
    Data(&'a [u8]),
    /// The response is over.
    End,
}

/// Reads one response after another.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    state: State,
    /// The bytes of a head that is not whole.
    head: Vec<u8>,
    /// Whether the connection may serve another request, as far as this response's head goes.
    keep: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes are to come.
    Length(u64),
    Chunks(Chunk),
    UntilClose,
    Over,
}

/// Where in the framing of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        size: u64,
        length: usize,
    },
    Data(u64),
    /// Behind the data: CR and LF.
    End {
        cr: bool,
    },
    /// Lines behind the last chunk, up to an empty one.
    Trailers {
        empty: bool,
        length: usize,
    },
}

const NEXT_CHUNK: State = State::Chunks(Chunk::Size { value: 0, digits: 0 });

impl Reader {
    /// Ready for the next response.
    pub(crate) fn reset(&mut self) {
        self.state = State::Head;
        self.head = Vec::new();
        self.keep = false;
    }

    /// Whether the response is over, and the connection may serve another.
    pub(crate) fn is_reusable(&self) -> bool {
        self.state == State::Over && self.keep
    }

    /// Whether the end of the connection, now, is the end of the response too.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// The first thing that `bytes` mean, and how many of them it took. [`Part::Nothing`] takes all.
    pub(crate) fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Part<'a>), Garbage> {
        match self.state {
            State::Head => self.head(bytes),
            State::Length(0) => Ok((0, self.over())),
            State::Length(left) => {
                let length = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                self.state = State::Length(left - length as u64);
                Ok((length, data(&bytes[..length])))
            }
            State::UntilClose => Ok((bytes.len(), data(bytes))),
            State::Chunks(chunk) => self.chunks(chunk, bytes),
            State::Over => Ok((bytes.len(), Part::Nothing)),
        }
    }

    fn over(&mut self) -> Part<'static> {
        self.state = State::Over;
        Part::End
    }

    fn head<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Part<'a>), Garbage> {
        self.head.extend_from_slice(bytes);
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut response = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(length) = response.parse(&self.head)? else {
                if self.head.len() > MAX_HEAD {
                    return Err(Garbage::LongHead);
                }
                return Ok((bytes.len(), Part::Nothing));
            };
            let status = response.code.unwrap_or_default();
            if (100..200).contains(&status) {
                // Informational (RFC 9110, 15.2): the response proper is still to come.
                self.head.drain(..length);
                if self.head.is_empty() {
                    return Ok((bytes.len(), Part::Nothing));
                }
                continue;
            }
            let (head, state, keep) = read_head(status, response.version, response.headers)?;
            let unread = self.head.len() - length;
            self.state = state;
            self.keep = keep;
            self.head = Vec::new();
            return Ok((bytes.len() - unread, Part::Head(head)));
        }
    }

    fn chunks<'a>(
        &mut self,
        mut chunk: Chunk,
        bytes: &'a [u8],
    ) -> Result<(usize, Part<'a>), Garbage> {
        for (at, &byte) in bytes.iter().enumerate() {
            chunk = match chunk {
                Chunk::Data(left) => {
                    let rest = &bytes[at..];
                    let length = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - length as u64;
                    let next = if left == 0 { Chunk::End { cr: false } } else { Chunk::Data(left) };
                    self.state = State::Chunks(next);
                    return Ok((at + length, data(&rest[..length])));
                }
                Chunk::Size { value, digits } => match (byte as char).to_digit(16) {
                    Some(digit) if digits < 16 => {
                        Chunk::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
                    }
                    None if digits > 0 && matches!(byte, b'\r' | b';' | b' ' | b'\t') => {
                        Chunk::Extension { size: value, length: 0 }
                    }
                    _ => return Err(Garbage::ChunkLength(byte)),
                },
                Chunk::Extension { size: 0, .. } if byte == b'\n' => {
                    Chunk::Trailers { empty: true, length: 0 }
                }
                Chunk::Extension { size, .. } if byte == b'\n' => Chunk::Data(size),
                Chunk::Extension { length, .. } | Chunk::Trailers { length, .. }
                    if length > MAX_HEAD =>
                {
                    return Err(Garbage::LongLine);
                }
                Chunk::Extension { size, length } => Chunk::Extension { size, length: length + 1 },
                Chunk::End { cr: false } if byte == b'\r' => Chunk::End { cr: true },
                Chunk::End { cr: true } if byte == b'\n' => Chunk::Size { value: 0, digits: 0 },
                Chunk::End { .. } => return Err(Garbage::ChunkEnd(byte)),
                Chunk::Trailers { empty: true, .. } if byte == b'\n' => {
                    return Ok((at + 1, self.over()));
                }
                Chunk::Trailers { empty, length } => Chunk::Trailers {
                    empty: byte == b'\n' || empty && byte == b'\r',
                    length: length + 1,
                },
            };
        }
        self.state = State::Chunks(chunk);
        Ok((bytes.len(), Part::Nothing))
    }
}

/// A piece of body, if there is one.
fn data(bytes: &[u8]) -> Part<'_> {
    if bytes.is_empty() { Part::Nothing } else { Part::Data(bytes) }
}

/// What a head says: of itself, of its body, and of the connection afterwards.
fn read_head(
    status: u16,
    version: Option<u8>,
    headers: &[httparse::Header<'_>],
) -> Result<(ResponseHead, State, bool), Garbage> {
    let named = |name: &'static str| {
        let all = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        all.map(|header| header.value)
    };
    let has = |name, token: &str| {
        let mut tokens = named(name).flat_map(|value| value.split(|&byte| byte == b','));
        tokens.any(|one| one.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    };
    let mut length = None;
    for value in named("content-length") {
        let text = str::from_utf8(value).unwrap_or_default().trim();
        let said: Option<u64> = text.parse().ok().filter(|_| !text.starts_with('+'));
        if said.is_none() || length.is_some_and(|length| Some(length) != said) {
            return Err(Garbage::Length(String::from_utf8_lossy(value).into_owned()));
        }
        length = said;
    }
    let state = if matches!(status, 204 | 304) {
        State::Length(0)
    } else if has("transfer-encoding", "chunked") {
        NEXT_CHUNK
    } else {
        length.map_or(State::UntilClose, State::Length)
    };
    let framed = state != State::UntilClose;
    let persistent = match version {
        Some(0) => has("connection", "keep-alive"),
        _ => !has("connection", "close"),
    };
    let content_type = named("content-type").next().map(<[u8]>::to_vec);
    Ok((ResponseHead { status, content_type, framed }, state, persistent && framed))
}

#[cfg(test)]
mod tests;
