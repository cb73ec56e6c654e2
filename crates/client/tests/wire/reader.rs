//! A reader without any of the client's code: proves what the wire does before the client is tried.

use std::io::{IoSliceMut, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, TimestampingFlag, recvmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use plimsoll_units::{Clock, RunClock, RunNanos};

/// One read: the bytes up to `end` of the response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) end: u64,
    /// The clock right after it.
    pub(crate) user: RunNanos,
    /// The kernel's receive time of its bytes, as it stands.
    pub(crate) kernel: RunNanos,
}

/// Sends a request and reads the whole response.
pub(crate) fn read_all(server: SocketAddr, clock: RunClock) -> Vec<Read> {
    let mut stream = TcpStream::connect(server).unwrap();
    let flags = TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE
        | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
    setsockopt(&stream, sockopt::Timestamping, &flags).unwrap();
    let wall_ahead = wall_ahead(clock);
    stream.write_all(b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nplain").unwrap();
    let mut reads: Vec<Read> = Vec::new();
    let mut buffer = [0; 65_536];
    let mut tail = Vec::new();
    loop {
        let (size, wall) = receive(&stream, &mut buffer);
        let user = clock.now();
        assert!(size > 0, "the response is cut off");
        let end = reads.last().map_or(0, |read| read.end) + size as u64;
        let kernel = RunNanos::from_nanos((wall - wall_ahead).cast_unsigned());
        reads.push(Read { end, user, kernel });
        tail.extend_from_slice(&buffer[..size]);
        if tail.ends_with(b"0\r\n\r\n") {
            return reads;
        }
    }
}

/// One `recvmsg`: how many bytes it gave, and the kernel's stamp of them, wall clock, ns.
fn receive(stream: &TcpStream, buffer: &mut [u8]) -> (usize, i64) {
    let mut control = nix::cmsg_space!([TimeSpec; 3]);
    let mut slices = [IoSliceMut::new(buffer)];
    let (fd, flags) = (stream.as_raw_fd(), MsgFlags::empty());
    let message = recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut control), flags).unwrap();
    let stamp = message.cmsgs().unwrap().find_map(|control| match control {
        ControlMessageOwned::ScmTimestampsns(stamps) => Some(stamps.system),
        _ => None,
    });
    let stamp = stamp.expect("a read of data has a time stamp");
    (message.bytes, stamp.tv_sec() * 1_000_000_000 + stamp.tv_nsec())
}

/// How far the wall clock is ahead of the run's, ns: the tightest of some readings.
fn wall_ahead(clock: RunClock) -> i64 {
    let nanos = |stamp: RunNanos| stamp.as_nanos().cast_signed();
    let readings = (0..20).map(|_| {
        let before = nanos(clock.now());
        let wall = clock_gettime(ClockId::CLOCK_REALTIME).unwrap();
        let after = nanos(clock.now());
        let wall = wall.tv_sec() * 1_000_000_000 + wall.tv_nsec();
        (after - before, wall - before.midpoint(after))
    });
    readings.min().unwrap().1
}
