//! The packet socket, and the options that the ring needs of it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::libc::{self, c_int, c_void, socklen_t};

use super::super::CaptureError;

/// A packet socket that sees datagrams from their IP header on, on every interface.
#[derive(Debug)]
pub(super) struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// A socket that receives nothing until it is bound.
    pub(super) fn open() -> Result<Self, CaptureError> {
        // SAFETY: `socket` takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            let source = io::Error::last_os_error();
            return Err(match source.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => CaptureError::NotPermitted,
                Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT) => {
                    CaptureError::NotSupported
                }
                _ => CaptureError::Refused { step: "opening a packet socket", source },
            });
        }
        // SAFETY: the descriptor was opened just now and belongs to nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Lets only those packets in that `program` keeps.
    pub(super) fn filter(&self, program: &[libc::sock_filter]) -> Result<(), CaptureError> {
        let program = libc::sock_fprog {
            // The assembler's limit on servers keeps a program within 4,096 instructions.
            len: program.len() as u16,
            // The kernel copies the program and does not write to it.
            filter: program.as_ptr().cast_mut(),
        };
        self.set("attaching the filter", libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    /// Has packets stamped when they arrive, and not when they are put into the ring.
    pub(super) fn stamp(&self) -> Result<(), CaptureError> {
        let flags = libc::SOF_TIMESTAMPING_RX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE;
        self.set("asking for stamps", libc::SOL_SOCKET, libc::SO_TIMESTAMPING, &flags)
    }

    /// Makes the ring.
    pub(super) fn ring(
        &self,
        blocks: usize,
        block_bytes: usize,
        retire: Duration,
    ) -> Result<(), CaptureError> {
        const FRAME_BYTES: usize = 2048;
        let version = libc::tpacket_versions::TPACKET_V3 as c_int;
        let result =
            self.set("choosing TPACKET_V3", libc::SOL_PACKET, libc::PACKET_VERSION, &version);
        // An emulated kernel may have packet sockets without rings.
        result.map_err(|_| CaptureError::NotSupported)?;
        // In this version frames have the size that they need; the kernel checks all the same that
        // their number and size fit the blocks.
        let request = libc::tpacket_req3 {
            tp_block_size: block_bytes as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: FRAME_BYTES as u32,
            tp_frame_nr: (blocks * (block_bytes / FRAME_BYTES)) as u32,
            tp_retire_blk_tov: retire.as_millis() as u32,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        self.set("making the ring", libc::SOL_PACKET, libc::PACKET_RX_RING, &request)
    }

    /// Begins to receive, from all interfaces and in both directions.
    pub(super) fn bind_to_all(&self) -> Result<(), CaptureError> {
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            // All protocols: only a socket for all sees packets that leave.
            sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
            sll_ifindex: 0,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the address is a valid `sockaddr_ll` of the length given, and the descriptor is
        // open.
        let result = unsafe {
            libc::bind(
                self.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as socklen_t,
            )
        };
        if result != 0 {
            let source = io::Error::last_os_error();
            return Err(CaptureError::Refused { step: "binding the packet socket", source });
        }
        Ok(())
    }

    /// Waits until a block is handed over, `limit` at most. An interrupted wait is over early.
    pub(super) fn wait(&self, limit: Duration) -> io::Result<()> {
        let mut wanted = libc::pollfd { fd: self.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let millis = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the pointer is to one `pollfd`, as the count says.
        if unsafe { libc::poll(&raw mut wanted, 1, millis) } < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        if wanted.revents & libc::POLLERR == 0 {
            return Ok(());
        }
        // Reading the error clears it.
        match self.get::<c_int>(libc::SOL_SOCKET, libc::SO_ERROR)? {
            0 => Ok(()),
            number => Err(io::Error::from_raw_os_error(number)),
        }
    }

    /// How many packets found no room since this was last asked.
    pub(super) fn drops(&self) -> io::Result<u32> {
        let [_packets, drops, _freezes] = self.get(libc::SOL_PACKET, libc::PACKET_STATISTICS)?;
        Ok(drops)
    }

    fn set<T>(
        &self,
        step: &'static str,
        level: c_int,
        name: c_int,
        value: &T,
    ) -> Result<(), CaptureError> {
        // SAFETY: the pointer and the length are those of a live value; callers pass the type that
        // the option takes.
        let result = unsafe {
            libc::setsockopt(
                self.as_raw_fd(),
                level,
                name,
                std::ptr::from_ref(value).cast::<c_void>(),
                size_of::<T>() as socklen_t,
            )
        };
        if result == 0 {
            return Ok(());
        }
        Err(CaptureError::Refused { step, source: io::Error::last_os_error() })
    }

    fn get<T: Number>(&self, level: c_int, name: c_int) -> io::Result<T> {
        let mut value = T::default();
        let mut len = size_of::<T>() as socklen_t;
        // SAFETY: the kernel writes at most `len` bytes, the size of `value`, whose every bit pattern
        // is a value of its type.
        let result = unsafe {
            libc::getsockopt(self.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len)
        };
        if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// What a socket option may be read as: types of which every bit pattern is a value.
trait Number: Default {}
impl Number for c_int {}
/// The three counters of `tpacket_stats_v3`.
impl Number for [u32; 3] {}
