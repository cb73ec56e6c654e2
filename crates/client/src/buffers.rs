//! The read buffers that the connections of one client share.
//!
//! A connection needs a buffer only while it reads, and one thread reads one connection at a time. Only
//! bytes that came together and are handed up in pieces need a place of their own for a moment.

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::rc::Rc;

/// The most that one read takes.
const READ: usize = 64 * 1024;
/// The most that is handed up at once: the content of a TLS record (RFC 8446, 5.1).
const PIECE: usize = 16 * 1024;

/// The buffers of one client.
pub(crate) struct Buffers {
    scratch: RefCell<Box<[u8]>>,
    piece: RefCell<Box<[u8]>>,
    /// Buffers that held something, empty again.
    spare: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            scratch: RefCell::new(vec![0; READ].into_boxed_slice()),
            piece: RefCell::new(vec![0; PIECE].into_boxed_slice()),
            spare: RefCell::default(),
        })
    }

    /// The buffer to read into, for as long as nobody else reads.
    pub(crate) fn scratch(&self) -> RefMut<'_, Box<[u8]>> {
        self.scratch.borrow_mut()
    }

    /// The buffer that a piece is handed up in, for as long as nobody else is handed one.
    pub(crate) fn piece(&self) -> RefMut<'_, Box<[u8]>> {
        self.piece.borrow_mut()
    }

    /// Keeps `bytes` until they are handed up.
    pub(crate) fn hold(&self, bytes: &[u8]) -> Held {
        let mut held = self.spare.borrow_mut().pop().unwrap_or_default();
        held.extend_from_slice(bytes);
        Held { bytes: held, at: 0 }
    }

    /// Takes the buffer of what was handed up.
    pub(crate) fn give_back(&self, mut held: Held) {
        held.bytes.clear();
        self.spare.borrow_mut().push(held.bytes);
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").finish_non_exhaustive()
    }
}

/// Bytes that were read and not yet handed up.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    at: usize,
}

impl Held {
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// The next `bytes` of them were handed up. Says whether that was all.
    pub(crate) fn handed(&mut self, bytes: usize) -> bool {
        self.at += bytes;
        self.at >= self.bytes.len()
    }
}
