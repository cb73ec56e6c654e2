//! The ground-truth server's log: what it did, when, in `CLOCK_MONOTONIC` nanoseconds.
//!
//! Text, one line a request, fields separated by tabs, in the order in which requests ended:
//! `id  connection  arrived_ns  received_ns  asked  written  blocked  deltas`. `deltas` are numbers separated by
//! spaces that continue the chain from `received_ns`: to the stamp before the first token's write, to
//! the one after it, to the one before the second token's write, and so on, two for each token
//! written. A request without tokens has an empty last field.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use thiserror::Error;

/// The first line of every log.
const HEADER: &str =
    "# pulse log 2: id connection arrived_ns received_ns asked written blocked deltas_ns";

/// What the server did for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// The body's `user`, else the header `X-Request-Id`, else `#` and the request's place in the
    /// order of arrival.
    pub id: String,
    /// The connection that it came on, counted from 0 in order of acceptance.
    pub connection: u64,
    /// When the last byte of the request arrived, as the kernel says; `received_ns` where it does not.
    /// Unit: ns of `CLOCK_MONOTONIC`.
    pub arrived_ns: u64,
    /// Right after the read that completed the request. Unit: ns of `CLOCK_MONOTONIC`.
    pub received_ns: u64,
    /// Tokens that were to be written.
    pub asked: u32,
    /// Writes that the connection did not take whole at once; the stamp after such a write is that of
    /// its last piece.
    pub blocked: u32,
    /// Right before the write of each token. Unit: ns of `CLOCK_MONOTONIC`.
    pub before_ns: Vec<u64>,
    /// Right after the write of each token. Unit: ns of `CLOCK_MONOTONIC`.
    pub after_ns: Vec<u64>,
}

/// A log that cannot be had or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The server did not hand it over.
    #[error("the server's log cannot be fetched from {address}; is it a pulse server?")]
    Fetch {
        /// Where it was asked for.
        address: SocketAddr,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// It does not begin like a log.
    #[error("the log does not begin with `{HEADER}`; is it a pulse log of this version?")]
    Header,
    /// A line is no request.
    #[error("line {0} of the log is no request: eight fields separated by tabs are expected")]
    Line(usize),
}

/// One request in the server's memory: its stamps are a chain of variable-length differences, about
/// six bytes a token, so that a long run fits and appending costs nothing.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: String,
    connection: u64,
    pub(crate) arrived_ns: u64,
    received_ns: u64,
    asked: u32,
    pub(crate) blocked: u32,
    last_ns: u64,
    chain: Vec<u8>,
}

impl Entry {
    pub(crate) fn new(id: String, connection: u64, received_ns: u64, asked: u32) -> Self {
        let chain = Vec::with_capacity(asked.min(1 << 16) as usize * 7 + 8);
        let (arrived_ns, last_ns) = (received_ns, received_ns);
        Self { id, connection, arrived_ns, received_ns, asked, blocked: 0, last_ns, chain }
    }

    /// Appends a stamp, which must not be earlier than the one before.
    pub(crate) fn stamp(&mut self, now_ns: u64) {
        let mut left = now_ns.saturating_sub(self.last_ns);
        self.last_ns = now_ns;
        while left >= 0x80 {
            self.chain.push(left as u8 | 0x80);
            left >>= 7;
        }
        self.chain.push(left as u8);
    }

    fn write(&self, out: &mut String) {
        use std::fmt::Write as _;

        let mut deltas = String::with_capacity(self.chain.len() * 2);
        let (mut value, mut shift, mut stamps) = (0_u64, 0, 0_u32);
        for byte in &self.chain {
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                let space = if stamps == 0 { "" } else { " " };
                write!(deltas, "{space}{value}").expect("a String takes everything");
                (value, shift, stamps) = (0, 0, stamps + 1);
            }
        }
        let Self { id, connection, arrived_ns, received_ns, asked, blocked, .. } = self;
        let written = stamps / 2;
        writeln!(out, "{id}\t{connection}\t{arrived_ns}\t{received_ns}\t{asked}\t{written}\t{blocked}\t{deltas}")
            .expect("a String takes everything");
    }
}

/// The text of a log of `entries`.
pub(crate) fn text(entries: &[Entry]) -> String {
    let mut out = format!("{HEADER}\n");
    for entry in entries {
        entry.write(&mut out);
    }
    out
}

/// The requests of a log.
///
/// # Errors
/// [`LogError`] when the text is no log of this version.
pub fn parse(text: &str) -> Result<Vec<Truth>, LogError> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Err(LogError::Header);
    }
    lines.enumerate().map(|(at, line)| truth(line).ok_or(LogError::Line(at + 2))).collect()
}

fn truth(line: &str) -> Option<Truth> {
    let mut fields = line.split('\t');
    let id = fields.next()?.to_owned();
    let connection = fields.next()?.parse().ok()?;
    let arrived_ns = fields.next()?.parse().ok()?;
    let received_ns = fields.next()?.parse().ok()?;
    let asked = fields.next()?.parse().ok()?;
    let written: usize = fields.next()?.parse().ok()?;
    let blocked = fields.next()?.parse().ok()?;
    let (mut before_ns, mut after_ns, mut at) = (Vec::new(), Vec::new(), received_ns);
    for (place, delta) in fields.next()?.split_ascii_whitespace().enumerate() {
        at += delta.parse::<u64>().ok()?;
        if place % 2 == 0 { &mut before_ns } else { &mut after_ns }.push(at);
    }
    // A write that was under way when the connection broke has no second stamp.
    before_ns.truncate(after_ns.len());
    (after_ns.len() == written).then_some(Truth {
        id,
        connection,
        arrived_ns,
        received_ns,
        asked,
        blocked,
        before_ns,
        after_ns,
    })
}

/// The log of the pulse server at `address` up to now.
///
/// # Errors
/// [`LogError`] when the server cannot be reached or sends something else.
pub fn fetch(address: SocketAddr) -> Result<Vec<Truth>, LogError> {
    let answer = get(address, "GET /log").map_err(|source| LogError::Fetch { address, source })?;
    parse(&answer)
}

/// The body of the answer to `request` (method and path), read by its stated length.
fn get(address: SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    stream.get_mut().write_all(format!("{request} HTTP/1.1\r\nhost: pulse\r\n\r\n").as_bytes())?;
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(("content-length", value)) = line.split_once(':') {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = String::new();
    stream.take(length).read_to_string(&mut body)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is stamped is what is read back, for gaps of any size, and a stamp without its
        /// partner is no token.
        #[test]
        fn stamps_survive(received in 0_u64..1 << 60, gaps in prop::collection::vec(0_u64..1 << 50, 0..9)) {
            let mut entry = Entry::new("a b".into(), 3, received, 4);
            entry.blocked = 1;
            let mut stamps = Vec::new();
            let mut now = received;
            for gap in gaps {
                now += gap;
                stamps.push(now);
                entry.stamp(now);
            }
            let read = parse(&text(&[entry])).unwrap();
            let whole = stamps.len() / 2;
            prop_assert_eq!(&read[0].id, "a b");
            prop_assert_eq!((read[0].connection, read[0].received_ns), (3, received));
            prop_assert_eq!((read[0].asked, read[0].blocked), (4, 1));
            let expected: Vec<u64> = stamps.iter().step_by(2).take(whole).copied().collect();
            prop_assert_eq!(&read[0].before_ns, &expected);
            let expected: Vec<u64> = stamps.iter().skip(1).step_by(2).copied().collect();
            prop_assert_eq!(&read[0].after_ns, &expected);
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_line() {
        assert!(matches!(parse(""), Err(LogError::Header)));
        let line = format!("{HEADER}\na\t0\t5\t5\t1\t1\t0\t7 2\nb\t0\t5\tx");
        assert!(matches!(parse(&line), Err(LogError::Line(3))));
        let short = format!("{HEADER}\na\t0\t5\t5\t1\t2\t0\t7 2");
        assert!(matches!(parse(&short), Err(LogError::Line(2))), "two tokens need four stamps");
    }
}
