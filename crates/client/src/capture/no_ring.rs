//! The ring where there is none: it cannot be opened.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::CaptureError;

pub(crate) const RETIRE: Duration = Duration::from_millis(20);

/// Never made.
#[derive(Debug)]
pub(crate) struct Ring(Infallible);

/// Never seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) wire_len: u32,
    pub(crate) wall_ns: u64,
    pub(crate) outgoing: bool,
}

impl Ring {
    pub(crate) fn open(_: &[SocketAddr], _: usize) -> Result<Self, CaptureError> {
        Err(CaptureError::NotSupported)
    }

    pub(crate) fn wait(&self, _: Duration) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn drain(&mut self, _: impl FnMut(Frame<'_>)) {
        match self.0 {}
    }

    pub(crate) fn dropped(&mut self) -> io::Result<u64> {
        match self.0 {}
    }
}

pub(crate) fn permitted() -> Result<(), CaptureError> {
    Err(CaptureError::NotSupported)
}
