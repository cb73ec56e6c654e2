//! The lines of a server's log, one at a time and none of them longer than is good, and what stands
//! in front of a message.

use std::fmt;
use std::io::{self, BufRead, ErrorKind};

use crate::terminal::show_line;

/// The longest line that is kept, in bytes; the rest of a longer one (a prompt) is passed over.
const MAX_LINE: usize = 64 << 10;

/// How far into a line the level may stand, in bytes: behind the names of container and process, and
/// a time that a collector put in front.
const MAX_PREFIX: usize = 160;

/// The time of a log line as it is written: no year, no zone, whole seconds of the server's clock.
///
/// It orders lines of one log and is shown; no stamp of a run is ever made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogTime {
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 60.
    pub second: u8,
}

impl LogTime {
    /// `MM-DD HH:MM:SS` at the start of `text`, and what follows.
    fn parse(text: &str) -> Option<(Self, &str)> {
        let (time, rest) = text.split_at_checked(14)?;
        let bytes = time.as_bytes();
        let signs = [(2, b'-'), (5, b' '), (8, b':'), (11, b':')];
        if signs.iter().any(|&(at, sign)| bytes[at] != sign) {
            return None;
        }
        let two = |at: usize, range: std::ops::RangeInclusive<u8>| {
            let digits = time.get(at..at + 2).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
            digits.parse().ok().filter(|number| range.contains(number))
        };
        let time = Self {
            month: two(0, 1..=12)?,
            day: two(3, 1..=31)?,
            hour: two(6, 0..=23)?,
            minute: two(9, 0..=59)?,
            second: two(12, 0..=60)?,
        };
        Some((time, rest))
    }
}

impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { month, day, hour, minute, second } = self;
        write!(f, "{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

/// How grave a line says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Line<'a> {
    /// A message of vLLM's logger.
    Message { level: Level, time: LogTime, text: &'a str },
    /// A line of the web server: a request that was answered with this status.
    Access { status: u16 },
    /// Anything else: progress bars, output of libraries, other servers.
    Other { text: &'a str },
}

/// What `line` is. Its level must stand near the start, so that no prompt that a line quotes can be
/// mistaken for a message.
pub(crate) fn read(line: &str) -> Line<'_> {
    let starts = line.char_indices().scan(' ', |before, (at, c)| {
        let begins = !before.is_alphanumeric();
        *before = c;
        Some((at, begins && c.is_ascii_uppercase()))
    });
    let starts = starts.take_while(|&(at, _)| at <= MAX_PREFIX).filter(|&(_, begins)| begins);
    starts
        .into_iter()
        .find_map(|(at, _)| message_or_access(&line[at..]))
        .unwrap_or(Line::Other { text: line })
}

fn message_or_access(text: &str) -> Option<Line<'_>> {
    let levels = [
        ("INFO", Level::Info),
        ("WARNING", Level::Warning),
        ("ERROR", Level::Error),
        ("CRITICAL", Level::Error),
        ("DEBUG", Level::Debug),
    ];
    let (level, rest) =
        levels.iter().find_map(|&(word, level)| Some((level, text.strip_prefix(word)?)))?;
    if let Some(rest) = rest.strip_prefix(": ") {
        return access(rest);
    }
    let (time, rest) = LogTime::parse(rest.strip_prefix(' ')?)?;
    // `[file.py:12] text`, and `file.py:12] text` in versions before 0.7.
    let (_place, text) = rest.split_once("] ").or_else(|| Some((rest.strip_suffix(']')?, "")))?;
    Some(Line::Message { level, time, text })
}

/// `127.0.0.1:1 - "GET /health HTTP/1.1" 200 OK`.
fn access(text: &str) -> Option<Line<'_>> {
    let (request, status) = text.rsplit_once("\" ")?;
    let (_peer, request) = request.split_once(" - \"")?;
    request.rsplit_once(" HTTP/")?;
    let status = status.split(' ').next()?.parse().ok()?;
    (100..600).contains(&status).then_some(Line::Access { status })
}

/// Reads lines of bounded length out of bytes that may be anything.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    raw: Vec<u8>,
    text: String,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, raw: Vec::new(), text: String::new() }
    }

    /// The next line as a terminal would show it: without colours, and of a bar that was drawn over
    /// and over only the last state. `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<&str>> {
        self.raw.clear();
        let mut any = false;
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            any = true;
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            let room = MAX_LINE - self.raw.len();
            self.raw.extend_from_slice(&part[..part.len().min(room)]);
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        show_line(&self.raw, &mut self.text);
        Ok(Some(&self.text))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn lines(bytes: &[u8]) -> Vec<String> {
        // A buffer of seven bytes, so that nearly every line lies across two.
        let mut lines = Lines::new(BufReader::with_capacity(7, bytes));
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push(line.to_owned());
        }
        all
    }

    fn message(line: &str) -> Option<(Level, String, &str)> {
        match read(line) {
            Line::Message { level, time, text } => Some((level, time.to_string(), text)),
            _ => None,
        }
    }

    #[test]
    fn every_prefix_in_front_of_a_message() {
        for prefix in [
            "",
            "llm_server_1  | ",
            "(APIServer pid=8213) ",
            "(EngineCore_DP0 pid=1) ",
            "vllm-1  | (EngineCore_0 pid=7) ",
            "2025-07-20T23:11:24.5Z stdout F ",
        ] {
            let line = format!("{prefix}INFO 07-20 23:11:24 [core.py:69] Hello [x] y");
            let wanted = (Level::Info, "07-20 23:11:24".to_owned(), "Hello [x] y");
            assert_eq!(message(&line), Some(wanted), "{prefix}");
        }
        let old = "WARNING 05-09 00:49:33 scheduler.py:1057] Sequence group 0";
        assert_eq!(message(old).unwrap().2, "Sequence group 0");
        assert_eq!(message("INFO 05-09 00:49:33 [x.py:1]").unwrap().2, "");
    }

    #[test]
    fn what_is_no_message() {
        for line in [
            "",
            "INFO",
            "INFO: Started server process [7]",
            "INFO 13-20 23:11:24 [a.py:1] x",
            "INFO 07-20 23:11:2",
            "INFO 07-20 23:11:24 no place",
            "MYINFO 07-20 23:11:24 [a.py:1] x",
            "INFO 0é-20 23:11:24 [a.py:1] x",
            "INFO +7-20 23:11:24 [a.py:1] x",
        ] {
            assert_eq!(read(line), Line::Other { text: line });
        }
        let quoted = format!("{}INFO 07-20 23:11:24 [a.py:1] x", " ".repeat(MAX_PREFIX + 1));
        assert_eq!(read(&quoted), Line::Other { text: &quoted });
    }

    #[test]
    fn access_lines() {
        for (line, status) in [
            (r#"INFO:     127.0.0.1:44418 - "GET /health HTTP/1.1" 200 OK"#, 200),
            (
                r#"a_1 | INFO:     ::1:1 - "POST /v1/x?q=" 9" HTTP/1.1" 503 Service Unavailable"#,
                503,
            ),
            (r#"(APIServer pid=1) INFO:     1.2.3.4:0 - "GET / HTTP/1.1" 404"#, 404),
        ] {
            assert_eq!(read(line), Line::Access { status });
        }
        for line in [r#"INFO:     1:1 - "GET / HTTP/1.1" 20"#, r#"INFO:     "GET /" 200 OK"#] {
            assert!(matches!(read(line), Line::Other { .. }), "{line}");
        }
    }

    #[test]
    fn lines_as_a_terminal_shows_them() {
        let seen = lines(b"a\r\n\x1b[36mb |\x1b[0m c\n|\rx 1%\rx 2%\n\xff\xfe\n\nlast\x1b");
        assert_eq!(seen, ["a", "b | c", "x 2%", "\u{fffd}\u{fffd}", "", "last"]);
        assert_eq!(lines(b""), [""; 0]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut bytes = vec![b'x'; 3 * MAX_LINE];
        bytes.extend_from_slice(b"\nnext\n");
        let seen = lines(&bytes);
        assert_eq!((seen[0].len(), seen[1].as_str(), seen.len()), (MAX_LINE, "next", 2));
    }
}
