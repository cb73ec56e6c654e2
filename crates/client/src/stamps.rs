//! What is noted of one connection, shared by the layers that note and read it.
//!
//! The I/O type below TLS notes each read and write, and the pieces that it hands up; the layer above
//! TLS says when the first byte of the response came out; the connection says when the request is out;
//! the exchange reads. All of them run on one thread, inside one task, so plain cells do.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use plimsoll_units::RunNanos;

use crate::gauge::Gauge;
use crate::pieces::Piece;
use crate::position::{Position, Read};
use crate::receive::Received;

/// The notes of one connection. [`Stamps::begin`] resets what belongs to one exchange.
#[derive(Default)]
struct Notes {
    /// Bytes read, and bytes handed up in pieces: the second never exceeds the first.
    read: Cell<u64>,
    handed: Cell<u64>,
    /// Where the last piece handed up began, and where its event ended.
    piece: Cell<u64>,
    position: Cell<Position>,
    written: Cell<u64>,
    /// The last moment at which nothing that comes now can have been there: a read had emptied the
    /// queue, or the request was still to be written.
    nothing: Cell<RunNanos>,
    last_write: Cell<RunNanos>,
    end_of_input: Cell<Option<RunNanos>>,
    first_byte: Cell<Option<Position>>,
    sent: Cell<Option<(RunNanos, u64)>>,
    reads: RefCell<Vec<Read>>,
}

/// The notes of one connection, and the gauge that they are taken by.
pub(crate) struct Stamps {
    gauge: Rc<Gauge>,
    notes: Notes,
}

impl Stamps {
    pub(crate) fn new(gauge: Rc<Gauge>) -> Rc<Self> {
        Rc::new(Self { gauge, notes: Notes::default() })
    }

    /// Forgets the exchange before; the next one will have about so many reads.
    pub(crate) fn begin(&self, reads: usize) {
        let notes = &self.notes;
        notes.end_of_input.set(None);
        notes.first_byte.set(None);
        notes.sent.set(None);
        // What was read and not yet handed up belongs to the exchange before, and to none after.
        *notes.reads.borrow_mut() = Vec::with_capacity(reads);
    }

    /// A read returned bytes (of the wire: below TLS). The clock is read first thing.
    pub(crate) fn read(&self, received: Received) {
        let user = self.gauge.now();
        let kernel = self.gauge.kernel_stamp(received.wall_ns, self.notes.nothing.get(), user);
        let end = self.notes.read.get() + received.bytes as u64;
        self.notes.read.set(end);
        if received.emptied {
            self.notes.nothing.set(user);
        }
        self.notes.reads.borrow_mut().push(Read::new(Position(end), user, kernel));
    }

    /// The next piece of what was read was handed up.
    pub(crate) fn handed(&self, piece: Piece) {
        let begin = self.notes.handed.get();
        self.notes.piece.set(begin);
        self.notes.handed.set(begin + piece.length as u64);
        self.notes.position.set(Position(begin + piece.end as u64));
    }

    /// A read returned the end.
    pub(crate) fn read_end(&self) {
        self.notes.end_of_input.set(Some(self.gauge.now()));
    }

    /// A write that was called at `before` took `bytes` bytes (of the wire: below TLS). The clock is
    /// read before it, since the bytes may be on their way, and even answered, before it returns.
    pub(crate) fn wrote(&self, before: RunNanos, bytes: usize) {
        self.notes.last_write.set(before);
        self.notes.nothing.set(before);
        self.notes.written.set(self.notes.written.get() + bytes as u64);
    }

    /// Bytes of a response came out of the top: the piece that brought them was the last one.
    pub(crate) fn response_bytes(&self) {
        if self.notes.first_byte.get().is_none() {
            self.notes.first_byte.set(Some(Position(self.notes.piece.get() + 1)));
        }
    }

    /// The whole request is with the kernel: the last write was the one that sent it.
    pub(crate) fn request_sent(&self) {
        self.notes.sent.set(Some((self.notes.last_write.get(), self.notes.written.get())));
    }

    /// The place behind the event that the last piece ended with, or behind that piece.
    pub(crate) fn position(&self) -> Position {
        self.notes.position.get()
    }

    /// The read that returned the end, in this exchange.
    pub(crate) fn end_of_input(&self) -> Option<RunNanos> {
        self.notes.end_of_input.get()
    }

    /// The place behind the first byte of this response.
    pub(crate) fn first_byte(&self) -> Option<Position> {
        self.notes.first_byte.get()
    }

    /// The write that handed over the last byte of this request: when, and the place behind it among
    /// the outgoing bytes.
    pub(crate) fn sent(&self) -> Option<(RunNanos, u64)> {
        self.notes.sent.get()
    }

    /// The reads of this exchange, which are forgotten here.
    pub(crate) fn take_reads(&self) -> Vec<Read> {
        self.notes.reads.take()
    }

    /// The stamp of this moment.
    pub(crate) fn now(&self) -> RunNanos {
        self.gauge.now()
    }
}

impl std::fmt::Debug for Stamps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stamps")
            .field("read", &self.notes.read)
            .field("handed", &self.notes.handed)
            .field("first_byte", &self.notes.first_byte)
            .field("sent", &self.notes.sent)
            .finish_non_exhaustive()
    }
}
