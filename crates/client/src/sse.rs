//! The event-stream decoder: bytes in any pieces in, whole events out.
//!
//! It follows the WHATWG rules for `text/event-stream`: lines end with LF, CRLF or CR; a line that
//! begins with a colon is a comment; a blank line ends an event; several `data` lines are joined
//! with LF; one space after the colon is not part of the value; a byte-order mark at the very start
//! is skipped. Three things are its own, and each is stated here because the rules differ:
//! - It works on bytes. A character cut in two by a read is whole again when its line is.
//! - An event without data is delivered if its name is `error`, since servers send such.
//! - [`SseDecoder::finish`] delivers an event whose lines are complete and only the blank line after
//!   it never came. A line without its end is dropped: half an event is no event.
//!
//! Invariant: the events, and whether and where an over-long line is found, depend on the bytes
//! alone and never on how they were cut. When a whole event lies in one piece nothing is copied;
//! else the begun line waits in a buffer that is reused, so a warm decoder does not allocate.

use thiserror::Error;

/// One event of a stream, valid until the sink returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// The last `event` field's value; empty when there was none.
    pub name: &'a [u8],
    /// The `data` lines joined with LF.
    pub data: &'a [u8],
}

/// A line, or the data of one event, longer than the decoder's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a line of the stream is longer than {max} bytes; raise the limit if that is meant")]
pub struct OverlongLine {
    /// The limit, in bytes without line end.
    pub max: usize,
}

/// The incremental decoder of one stream.
#[derive(Debug)]
pub struct SseDecoder {
    max: usize,
    /// The begun line: bytes of earlier pieces that no line end has followed yet.
    line: Vec<u8>,
    /// The data of the begun event, as far as it no longer lies in the piece being decoded.
    data: Vec<u8>,
    /// Whether the begun event has a data line, wherever its bytes are.
    has_data: bool,
    name: Vec<u8>,
    /// Whether the last byte was a CR, so that an LF now belongs to it.
    after_cr: bool,
    /// Whether the first line is still to come, which a byte-order mark may precede.
    at_start: bool,
}

/// What a line says.
enum Field<'a> {
    Blank,
    Data(&'a [u8]),
    Name(&'a [u8]),
    /// A comment, `id`, `retry`, or a field nobody knows.
    Ignored,
}

impl SseDecoder {
    /// A decoder at the start of a stream that accepts lines of up to `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            max,
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            name: Vec::new(),
            after_cr: false,
            at_start: true,
        }
    }

    /// Goes back to the start of a stream, keeping the buffers.
    pub fn reset(&mut self) {
        self.line.clear();
        self.clear_event();
        self.after_cr = false;
        self.at_start = true;
    }

    /// Decodes the next piece of the stream and calls `sink` with each event it completes.
    ///
    /// # Errors
    /// [`OverlongLine`] when a line, or the data of one event, exceeds the limit, as soon as that is
    /// certain. The events before it have been delivered; [`SseDecoder::reset`] before any reuse.
    pub fn feed(
        &mut self,
        piece: &[u8],
        mut sink: impl FnMut(SseEvent<'_>),
    ) -> Result<(), OverlongLine> {
        let mut rest = piece;
        // The event's only data line so far, while it still lies in `piece`.
        let mut here: Option<&[u8]> = None;
        loop {
            if self.after_cr && !rest.is_empty() {
                self.after_cr = false;
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            let Some(end) = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r') else {
                break;
            };
            let (head, tail) = rest.split_at(end);
            self.after_cr = tail[0] == b'\r';
            rest = &tail[1..];
            if self.line.is_empty() {
                self.check(head.len())?;
                match self.field(head) {
                    Field::Data(value) if !self.has_data => {
                        self.has_data = true;
                        here = Some(value);
                    }
                    field => self.apply(field, &mut here, &mut sink)?,
                }
            } else {
                self.check(self.line.len() + head.len())?;
                self.line.extend_from_slice(head);
                // The buffer steps aside while its content is read, and comes back for reuse.
                let mut line = std::mem::take(&mut self.line);
                let field = self.field(&line);
                let applied = self.apply(field, &mut here, &mut sink);
                line.clear();
                self.line = line;
                applied?;
            }
        }
        self.check(self.line.len() + rest.len())?;
        self.line.extend_from_slice(rest);
        if let Some(value) = here {
            self.data.extend_from_slice(value);
        }
        Ok(())
    }

    /// Ends the stream: delivers an event whose lines are complete, and resets the decoder.
    pub fn finish(&mut self, mut sink: impl FnMut(SseEvent<'_>)) {
        self.dispatch(None, &mut sink);
        self.reset();
    }

    fn check(&self, len: usize) -> Result<(), OverlongLine> {
        if len > self.max { Err(OverlongLine { max: self.max }) } else { Ok(()) }
    }

    /// Reads a complete line.
    fn field<'l>(&mut self, line: &'l [u8]) -> Field<'l> {
        let line = if std::mem::take(&mut self.at_start) {
            line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
        } else {
            line
        };
        if line.is_empty() {
            return Field::Blank;
        }
        let value_of = |name: &[u8]| match line.strip_prefix(name)? {
            [] => Some(&line[..0]),
            [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
            _ => None,
        };
        if let Some(value) = value_of(b"data") {
            Field::Data(value)
        } else if let Some(value) = value_of(b"event") {
            Field::Name(value)
        } else {
            Field::Ignored
        }
    }

    /// Does what a line says, when its data cannot stay where it is.
    fn apply(
        &mut self,
        field: Field<'_>,
        here: &mut Option<&[u8]>,
        sink: &mut impl FnMut(SseEvent<'_>),
    ) -> Result<(), OverlongLine> {
        match field {
            Field::Blank => self.dispatch(here.take(), sink),
            Field::Data(value) => {
                if let Some(earlier) = here.take() {
                    self.data.extend_from_slice(earlier);
                }
                if self.has_data {
                    self.check(self.data.len() + 1 + value.len())?;
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            Field::Name(value) => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            Field::Ignored => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, here: Option<&[u8]>, sink: &mut impl FnMut(SseEvent<'_>)) {
        if self.has_data || self.name == b"error" {
            sink(SseEvent { name: &self.name, data: here.unwrap_or(&self.data) });
        }
        self.clear_event();
    }

    fn clear_event(&mut self) {
        self.data.clear();
        self.name.clear();
        self.has_data = false;
    }
}

#[cfg(test)]
mod tests;
