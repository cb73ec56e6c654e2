//! Reading with the kernel's time of arrival: when the bytes were there, however late they are read.

use std::io::{self, IoSliceMut};
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use plimsoll_units::{RunClock, RunNanos};

/// Room for one read and for what the kernel says beside it.
#[derive(Debug)]
pub(super) struct Inlet {
    bytes: Box<[u8]>,
    control: Vec<u8>,
}

/// What a read brought.
#[derive(Debug)]
pub(super) struct Received<'a> {
    pub(super) bytes: &'a [u8],
    /// When the last of them arrived, ns of `CLOCK_MONOTONIC`; `None` where the kernel does not say.
    pub(super) arrived_ns: Option<u64>,
}

impl Inlet {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; 256 * 1024].into(), control: nix::cmsg_space!(TimeSpec) }
    }

    /// Reads once from `stream`.
    pub(super) fn read(&mut self, stream: &TcpStream) -> io::Result<Received<'_>> {
        let mut room = [IoSliceMut::new(&mut self.bytes)];
        let flags = MsgFlags::empty();
        let message = recvmsg::<()>(stream.as_raw_fd(), &mut room, Some(&mut self.control), flags)?;
        let stamp = message.cmsgs().ok().and_then(|mut all| {
            all.find_map(|one| match one {
                ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
                _ => None,
            })
        });
        let read = message.bytes;
        Ok(Received { bytes: &self.bytes[..read], arrived_ns: stamp.map(monotonic) })
    }
}

/// Asks the kernel for the time of arrival of what `stream` will read.
pub(super) fn ask_for_arrivals(stream: &TcpStream) -> io::Result<()> {
    Ok(setsockopt(stream, sockopt::ReceiveTimestampns, &true)?)
}

/// A moment of the wall clock not long ago on the other clock, by an anchor of this moment.
fn monotonic(wall: Duration) -> u64 {
    let anchor = RunClock::start();
    let ago = anchor.wall_anchor().saturating_sub(wall);
    // The nanoseconds since boot fit 584 years.
    anchor.monotonic(RunNanos::ZERO).saturating_sub(ago).as_nanos() as u64
}
