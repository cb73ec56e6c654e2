//! Where bytes that were read together are cut before they are handed up.
//!
//! A client that comes late finds many events in one read. TLS would swallow them at once, and above it
//! nobody could tell any more which byte of the wire an event ended at. So what was read is handed up in
//! pieces that end where an event ends (plain) or a record does (TLS), one for each time that the layer
//! above asks. That layer asks again only when it has dealt with the piece before, so the place behind
//! the last piece is the place behind the event that it brought: exact in plain, the record's end in
//! TLS, which is when its content can be known at the earliest.
//!
//! The cuts need not understand what they cut. One too many costs a call; one too few gives an event
//! the place of the next one.

/// A piece of what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Its bytes; at least 1.
    pub(crate) length: usize,
    /// How many of them there are up to the end of the event: the others, which close the event's
    /// chunk, say nothing, and would cost a call of their own.
    pub(crate) end: usize,
}

impl Piece {
    const fn whole(length: usize) -> Self {
        Self { length, end: length }
    }
}

/// Finds the cuts in the bytes of one connection.
#[derive(Debug)]
pub(crate) enum Pieces {
    /// Behind every blank line that follows something: the end of an event, or of a head.
    Lines(Lines),
    /// Behind every TLS record.
    Records(Records),
}

impl Pieces {
    pub(crate) fn plain() -> Self {
        Self::Lines(Lines::default())
    }

    pub(crate) fn tls() -> Self {
        Self::Records(Records::default())
    }

    /// The piece that `bytes`, which are not empty, begin with. Those bytes are then behind it.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Piece {
        match self {
            Self::Lines(lines) => lines.next(bytes),
            Self::Records(records) => records.next(bytes),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Whether the line being read has something in it.
    begun: bool,
    /// Whether a line with something in it came since the last cut.
    content: bool,
    /// Whether the last line with something in it was a chunk's length: then a newline may be the
    /// chunk's first byte, and end a line that the chunk before began.
    length: bool,
}

impl Lines {
    fn next(&mut self, bytes: &[u8]) -> Piece {
        let mut at = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let line = &bytes[at..end];
            at = end + 1;
            let blank = !std::mem::take(&mut self.begun) && is_blank(line);
            if !blank {
                self.content = true;
                self.length = is_length(line);
            } else if std::mem::replace(&mut self.content, std::mem::take(&mut self.length)) {
                let closing = if bytes[at..].starts_with(CHUNK_END) { CHUNK_END.len() } else { 0 };
                return Piece { length: at + closing, end: at };
            }
        }
        self.begun |= !is_blank(&bytes[at..]);
        Piece::whole(bytes.len())
    }
}

/// Whether `line` may be the length of a chunk. A part of a line counts as it stands.
fn is_length(line: &[u8]) -> bool {
    let digits = line.trim_ascii_end();
    !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit)
}

/// What HTTP puts behind a chunk's data (RFC 9112, 7.1).
const CHUNK_END: &[u8] = b"\r\n";

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"" | b"\r")
}

/// The length of a TLS record's header: type, version, length (RFC 8446, 5.1).
const HEADER: usize = 5;

#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Header bytes of the record that have passed.
    header: usize,
    /// Bytes of its content to come, as far as the header has told.
    left: usize,
}

impl Records {
    fn next(&mut self, bytes: &[u8]) -> Piece {
        let mut at = 0;
        while self.header < HEADER && at < bytes.len() {
            match self.header {
                3 => self.left = usize::from(bytes[at]) << 8,
                4 => self.left |= usize::from(bytes[at]),
                _ => {}
            }
            self.header += 1;
            at += 1;
        }
        let content = self.left.min(bytes.len() - at);
        if self.header == HEADER {
            self.left -= content;
            at += content;
            if self.left == 0 {
                self.header = 0;
            }
        }
        Piece::whole(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The places behind the pieces of `bytes`, which arrive cut at `cuts`.
    fn places(mut pieces: Pieces, bytes: &[u8], cuts: &[usize]) -> Vec<usize> {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % bytes.len()).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let (mut at, mut places) = (0, Vec::new());
        for end in ends {
            while at < end {
                let piece = pieces.next(&bytes[at..end]);
                places.push(at + piece.end);
                at += piece.length;
            }
        }
        places
    }

    /// A response of two events in chunks, and the places where its head and its events end.
    fn response(newline: &str) -> (Vec<u8>, [usize; 3]) {
        let head = "HTTP/1.1 200 OK\r\na: b\r\n\r\n".to_owned();
        let event = format!("data: {{\"a\":1}}{newline}{newline}");
        let (mut wire, mut ends) = (head, Vec::new());
        ends.push(wire.len());
        for _ in 0..2 {
            wire += &format!("{:x}\r\n{event}", event.len());
            ends.push(wire.len());
            wire += "\r\n";
        }
        wire += "0\r\n\r\n";
        (wire.into_bytes(), ends.try_into().unwrap())
    }

    #[test]
    fn head_and_events_end_pieces_and_nothing_else_does() {
        for newline in ["\n", "\r\n"] {
            let (wire, ends) = response(newline);
            let seen = places(Pieces::plain(), &wire, &[]);
            assert_eq!(seen, [&ends[..], &[wire.len()]].concat());
        }
    }

    #[test]
    fn a_blank_line_may_be_cut_in_two_by_chunks() {
        let wire = b"7\r\ndata: x\r\n2\r\n\n\n\r\n8\r\ndata: y\n\r\n1\r\n\n\r\n";
        let end = |text: &[u8]| wire.windows(text.len()).position(|some| some == text).unwrap();
        let ends = [end(b"2\r\n\n\n") + 5, end(b"1\r\n\n") + 4];
        let seen = places(Pieces::plain(), wire, &[]);
        assert!(ends.iter().all(|end| seen.contains(end)), "{ends:?} {seen:?}");
    }

    fn records(lengths: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let (mut wire, mut ends) = (Vec::new(), Vec::new());
        for length in lengths {
            let [high, low] = u16::try_from(*length).unwrap().to_be_bytes();
            wire.extend([23, 3, 3, high, low]);
            wire.extend(std::iter::repeat_n(0x17, *length));
            ends.push(wire.len());
        }
        (wire, ends)
    }

    proptest! {
        /// However the bytes are cut into reads, the end of every event is the end of a piece.
        #[test]
        fn reads_do_not_hide_events(
            crlf: bool,
            cuts in proptest::collection::vec(0_usize..1000, 0..12),
        ) {
            let (wire, ends) = response(if crlf { "\r\n" } else { "\n" });
            let seen = places(Pieces::plain(), &wire, &cuts);
            for end in ends {
                prop_assert!(seen.contains(&end), "{end} {seen:?}");
            }
        }

        /// A piece never spans the end of a record, however records are cut into reads; empty ones too.
        #[test]
        fn every_record_ends_a_piece(
            lengths in proptest::collection::vec(0_usize..700, 1..8),
            cuts in proptest::collection::vec(0_usize..4000, 0..12),
        ) {
            let (wire, ends) = records(&lengths);
            let seen = places(Pieces::tls(), &wire, &cuts);
            for end in ends {
                prop_assert!(seen.contains(&end), "{end} {seen:?}");
            }
        }

        /// Whatever the bytes are, pieces are not empty and add up to them.
        #[test]
        fn any_bytes_are_handed_up_whole(
            bytes in proptest::collection::vec(any::<u8>(), 1..300),
            tls: bool,
        ) {
            let mut pieces = if tls { Pieces::tls() } else { Pieces::plain() };
            let mut at = 0;
            while at < bytes.len() {
                let Piece { length, end } = pieces.next(&bytes[at..]);
                prop_assert!(0 < end && end <= length && length <= bytes.len() - at);
                at += length;
            }
        }
    }
}
