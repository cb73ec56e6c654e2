//! The stamps of one connection, shared by the layers that set and read them.
//!
//! The I/O type below TLS stamps each system call; the layer above TLS says when the first byte of
//! the response came out; the request body says when its last byte was taken; the exchange reads.
//! All of them run on one thread, inside one task, so plain cells do.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use plimsoll_units::{Clock, RunNanos};

/// The stamps of one connection. Everything but the clock is reset by [`Stamps::begin`].
pub(crate) struct Stamps {
    clock: Rc<dyn Clock>,
    last_read: Cell<RunNanos>,
    last_write: Cell<RunNanos>,
    end_of_input: Cell<Option<RunNanos>>,
    first_byte: Cell<Option<RunNanos>>,
    body_taken: Cell<bool>,
    sent: Cell<Option<RunNanos>>,
}

impl Stamps {
    pub(crate) fn new(clock: Rc<dyn Clock>) -> Rc<Self> {
        Rc::new(Self {
            clock,
            last_read: Cell::default(),
            last_write: Cell::default(),
            end_of_input: Cell::default(),
            first_byte: Cell::default(),
            body_taken: Cell::default(),
            sent: Cell::default(),
        })
    }

    /// Forgets the exchange before.
    pub(crate) fn begin(&self) {
        self.end_of_input.set(None);
        self.first_byte.set(None);
        self.body_taken.set(false);
        self.sent.set(None);
    }

    /// A read returned bytes (of the wire: below TLS).
    pub(crate) fn read(&self) {
        self.last_read.set(self.clock.now());
    }

    /// A read returned the end.
    pub(crate) fn read_end(&self) {
        self.end_of_input.set(Some(self.clock.now()));
    }

    /// A write took bytes (of the wire: below TLS).
    pub(crate) fn wrote(&self) {
        self.last_write.set(self.clock.now());
    }

    /// Bytes of a response came out of the top: the read that brought them was the last one.
    pub(crate) fn response_bytes(&self) {
        if self.first_byte.get().is_none() {
            self.first_byte.set(Some(self.last_read.get()));
        }
    }

    /// The last byte of the request's body was taken to be written.
    pub(crate) fn body_taken(&self) {
        self.body_taken.set(true);
    }

    /// Everything taken so far is with the kernel. If the body is among it, the last write was the
    /// one that sent the request. Returns whether this call found that out.
    pub(crate) fn flushed(&self) -> bool {
        let complete = self.body_taken.get() && self.sent.get().is_none();
        if complete {
            self.sent.set(Some(self.last_write.get()));
        }
        complete
    }

    /// The last read that returned bytes.
    pub(crate) fn last_read(&self) -> RunNanos {
        self.last_read.get()
    }

    /// The read that returned the end, in this exchange.
    pub(crate) fn end_of_input(&self) -> Option<RunNanos> {
        self.end_of_input.get()
    }

    /// The read that brought the first byte of this response.
    pub(crate) fn first_byte(&self) -> Option<RunNanos> {
        self.first_byte.get()
    }

    /// The write that handed over the last byte of this request.
    pub(crate) fn sent(&self) -> Option<RunNanos> {
        self.sent.get()
    }

    /// The stamp of this moment.
    pub(crate) fn now(&self) -> RunNanos {
        self.clock.now()
    }
}

impl fmt::Debug for Stamps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stamps")
            .field("last_read", &self.last_read)
            .field("last_write", &self.last_write)
            .field("first_byte", &self.first_byte)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}
