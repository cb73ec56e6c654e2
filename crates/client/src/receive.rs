//! Reading from a socket with the kernel's own time of arrival.
//!
//! `SO_TIMESTAMPING` makes the kernel hand out, beside the bytes of a read, the wall-clock time at
//! which the last segment among them came in from the network device: before TCP, before the reader's
//! thread was woken. Segments that waited together carry one time between them, the last one's.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::TcpStream;

/// A stream whose reads may say when their bytes arrived.
pub(crate) trait Receive {
    /// Reads into `buf`, which is not empty, as `poll_read` does: no bytes are the end.
    fn poll_receive(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<Received>>;
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) bytes: usize,
    /// The kernel's time of the last of them: its wall clock, ns since 1970.
    pub(crate) wall_ns: Option<u64>,
    /// Whether nothing was left to be read.
    pub(crate) emptied: bool,
}

impl Receive for TcpStream {
    fn poll_receive(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<Received>> {
        loop {
            ready!(self.poll_read_ready(cx))?;
            let mut received = None;
            let tried = self.try_io(Interest::READABLE, || {
                let got = receive(self.as_raw_fd(), buf)?;
                received = Some(got);
                // A read that did not fill its buffer has emptied the queue. Saying so spares the next
                // call a read that finds nothing, as tokio's own reads do.
                if got.emptied { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match (received, tried) {
                (Some(received), _) => return Poll::Ready(Ok(received)),
                (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                (None, _) => {}
            }
        }
    }
}

/// Asks the kernel for its time of arrival on every read of `socket`. Best before it connects.
///
/// # Errors
/// Where the system has no such stamps.
pub(crate) fn ask_for_stamps(socket: &impl AsFd) -> io::Result<()> {
    system::ask_for_stamps(socket)
}

/// Reads what is there from the socket `fd`, without waiting.
pub(crate) fn receive(fd: RawFd, buf: &mut [u8]) -> io::Result<Received> {
    system::receive(fd, buf)
}

/// How many segments came out of order on this connection so far; `None` where the system does not
/// count them.
pub(crate) fn out_of_order(fd: RawFd) -> Option<u32> {
    system::out_of_order(fd)
}

#[cfg(target_os = "linux")]
mod system {
    use std::mem::{size_of, zeroed};

    use nix::libc;
    use nix::sys::socket::{TimestampingFlag, setsockopt, sockopt};

    use super::{AsFd, RawFd, Received, io};

    /// Room for the control messages of a read, in words so that it is aligned as they are: one
    /// `SCM_TIMESTAMPING` takes 8.
    type Control = [u64; 32];

    pub(super) fn ask_for_stamps(socket: &impl AsFd) -> io::Result<()> {
        let software = TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE
            | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
        Ok(setsockopt(socket, sockopt::Timestamping, &software)?)
    }

    pub(super) fn receive(fd: RawFd, buf: &mut [u8]) -> io::Result<Received> {
        let mut control: Control = [0; 32];
        let mut into = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
        // SAFETY: all zeros is a valid `msghdr`: null pointers with lengths of zero.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = &raw mut into;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of::<Control>() as _;
        loop {
            // SAFETY: `message` points at one `iovec` over `buf`, and at `control` with its size; all of
            // them outlive the call, and nothing else refers to them meanwhile.
            let read = unsafe { libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT) };
            if let Ok(bytes) = usize::try_from(read) {
                let emptied = 0 < bytes && bytes < buf.len();
                return Ok(Received { bytes, wall_ns: wall_ns(&message), emptied });
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// The software receive time among the control messages of a read.
    fn wall_ns(message: &libc::msghdr) -> Option<u64> {
        // SAFETY: `message` was filled by the kernel, and its control buffer is still there.
        let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
        while !header.is_null() {
            // SAFETY: the header lies in the control buffer, as both macros promise of what is not null.
            let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
            if (level, kind) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) {
                // SAFETY: the content of this message is three `timespec`, the first of them the software
                // time; `read_unaligned` asks for no alignment.
                let time: libc::timespec =
                    unsafe { libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned() };
                let seconds = u64::try_from(time.tv_sec).ok()?;
                let nanos = u64::try_from(time.tv_nsec).ok()?;
                return Some(seconds * 1_000_000_000 + nanos).filter(|&wall_ns| wall_ns > 0);
            }
            // SAFETY: as for the first header.
            header = unsafe { libc::CMSG_NXTHDR(message, header) };
        }
        None
    }

    /// Where `tcpi_rcv_ooopack` stands in `struct tcp_info` (linux/tcp.h), which only ever grows.
    const OUT_OF_ORDER: usize = 224;

    pub(super) fn out_of_order(fd: RawFd) -> Option<u32> {
        let mut info = [0_u8; OUT_OF_ORDER + 4];
        let mut length = info.len() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to `info`, which has as many, and the
        // number of bytes written to `length`; both outlive the call.
        let result = unsafe {
            libc::getsockopt(
                fd,
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let whole = result == 0 && length as usize == info.len();
        let count = info.last_chunk::<4>().copied().map(u32::from_ne_bytes);
        count.filter(|_| whole)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use nix::errno::Errno;
    use nix::sys::socket::{MsgFlags, recv};

    use super::{AsFd, RawFd, Received, io};

    pub(super) fn ask_for_stamps(_: &impl AsFd) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn receive(fd: RawFd, buf: &mut [u8]) -> io::Result<Received> {
        loop {
            match recv(fd, buf, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EINTR) => {}
                read => {
                    let bytes = read?;
                    let emptied = 0 < bytes && bytes < buf.len();
                    return Ok(Received { bytes, wall_ns: None, emptied });
                }
            }
        }
    }

    pub(super) fn out_of_order(_: RawFd) -> Option<u32> {
        None
    }
}
