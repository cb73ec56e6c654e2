//! The ring that the kernel writes the headers of the run's packets into (`PACKET_RX_RING`, third
//! version), and a walk over it.
//!
//! The ring is a row of blocks. The kernel fills one with packets and hands it over when it is full
//! or when [`RETIRE`] is over, whichever comes first, and wakes the reader once a block: a thousand
//! packets cost as many wake-ups as one. When the reader has taken a block it gives it back. If the
//! kernel comes round and finds the next block not given back, it drops packets and counts them.
//!
//! The stamp of a packet is the one that the kernel gave it when it arrived from the network card
//! or left for it (on loopback: both inside the sender's system call), not the time when it was put
//! into the ring. It is of the wall clock. Segments that the kernel joined on their way in (GRO)
//! come as one, with the stamp of the first.

mod memory;
mod socket;

use std::io;
use std::mem::offset_of;
use std::net::SocketAddr;
use std::time::Duration;

use nix::libc::{self, sockaddr_ll, tpacket_hdr_v1, tpacket3_hdr};

use super::CaptureError;
use super::filter::{self, MOST_REMOTES};
use memory::Memory;
use socket::PacketSocket;

/// How long the kernel keeps a block that is not full. A packet is visible at the latest after
/// twice that: the timer of a block may have begun just before the packet came.
///
/// It bounds the wake-ups to 50 a second when little happens. It also sets what a stall of the
/// reader may last at low rates, since each span uses up one block however little is in it: the
/// default 128 blocks last 2.5 s, about as long as the same 16 MiB last when 50,000 packets a second
/// fill them (176 bytes each).
pub(crate) const RETIRE: Duration = Duration::from_millis(20);

/// The size of a block. It must be a multiple of the page size, and small enough that the kernel
/// finds so much memory in one piece.
const BLOCK_BYTES: usize = 128 * 1024;

/// A ring in use. Dropping it gives its memory and its socket back.
#[derive(Debug)]
pub(crate) struct Ring {
    memory: Memory,
    socket: PacketSocket,
    /// The block that the kernel hands over next.
    next: usize,
    dropped: u64,
}

/// The beginning of one packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// From its IP header on, cut off somewhere behind its TCP header.
    pub(crate) bytes: &'a [u8],
    /// The length of the whole datagram, with padding, if it was padded.
    pub(crate) wire_len: u32,
    /// When the kernel got it: ns of the wall clock since 1970-01-01 UTC.
    pub(crate) wall_ns: u64,
    /// Whether it left this machine (else it arrived).
    pub(crate) outgoing: bool,
}

impl Ring {
    /// A ring of `bytes` bytes (rounded up to whole blocks, at least two) that the segments to and
    /// from `remotes` go into from now on.
    pub(crate) fn open(remotes: &[SocketAddr], bytes: usize) -> Result<Self, CaptureError> {
        if remotes.is_empty() || remotes.len() > MOST_REMOTES {
            return Err(CaptureError::Servers { given: remotes.len(), most: MOST_REMOTES });
        }
        let blocks = bytes.div_ceil(BLOCK_BYTES).max(2);
        let socket = PacketSocket::open()?;
        // Until it is bound the socket receives nothing, so that not one packet gets past the
        // filter, and none before there is a ring to put it into.
        socket.filter(&filter::program(remotes))?;
        socket.stamp()?;
        socket.ring(blocks, BLOCK_BYTES, RETIRE)?;
        let memory = Memory::map(&socket, blocks, BLOCK_BYTES)
            .map_err(|source| CaptureError::Refused { step: "mapping the ring", source })?;
        socket.bind_to_all()?;
        Ok(Self { memory, socket, next: 0, dropped: 0 })
    }

    /// Waits until a block is handed over, `limit` at most.
    pub(crate) fn wait(&self, limit: Duration) -> io::Result<()> {
        self.socket.wait(limit)
    }

    /// Calls `each` with every packet of the blocks that were handed over, and gives them back.
    ///
    /// All that the kernel had handed over when this began has been seen when it returns; it takes at
    /// most one turn of the ring, however fast packets come.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(Frame<'_>)) {
        for _ in 0..self.memory.blocks() {
            let seen = self.memory.take(self.next, |block| frames(block, &mut each));
            if !seen {
                return;
            }
            self.next = (self.next + 1) % self.memory.blocks();
        }
    }

    /// How many packets the kernel found no room for so far.
    pub(crate) fn dropped(&mut self) -> io::Result<u64> {
        // The kernel's counter begins anew at each reading.
        self.dropped += u64::from(self.socket.drops()?);
        Ok(self.dropped)
    }
}

/// Whether this process may open packet sockets.
pub(crate) fn permitted() -> Result<(), CaptureError> {
    PacketSocket::open().map(drop)
}

/// Walks the packets of a block. The kernel's offsets are checked like anybody's: one that leads
/// outside ends the walk.
fn frames(block: &[u8], each: &mut impl FnMut(Frame<'_>)) {
    const HEAD: usize = offset_of!(libc::tpacket_block_desc, hdr);
    let packets = word(block, HEAD + offset_of!(tpacket_hdr_v1, num_pkts));
    let mut offset = word(block, HEAD + offset_of!(tpacket_hdr_v1, offset_to_first_pkt));
    for _ in 0..packets.unwrap_or(0) {
        let Some(rest) = offset.and_then(|offset| block.get(offset as usize..)) else { return };
        let Some(frame) = frame(rest) else { return };
        each(frame);
        let next = word(rest, offset_of!(tpacket3_hdr, tp_next_offset));
        offset = offset.zip(next).and_then(|(offset, next)| offset.checked_add(next));
    }
}

/// The packet whose header `rest` begins with.
fn frame(rest: &[u8]) -> Option<Frame<'_>> {
    // The link-level address of the packet lies behind its header.
    const LINK: usize = size_of::<tpacket3_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT);
    let kind = *rest.get(LINK + offset_of!(sockaddr_ll, sll_pkttype))?;
    let start = offset_of!(tpacket3_hdr, tp_net);
    let start = usize::from(u16::from_ne_bytes(*rest.get(start..)?.first_chunk()?));
    let kept = word(rest, offset_of!(tpacket3_hdr, tp_snaplen))? as usize;
    let seconds = word(rest, offset_of!(tpacket3_hdr, tp_sec))?;
    let nanos = word(rest, offset_of!(tpacket3_hdr, tp_nsec))?;
    Some(Frame {
        bytes: rest.get(start..)?.get(..kept)?,
        wire_len: word(rest, offset_of!(tpacket3_hdr, tp_len))?,
        wall_ns: u64::from(seconds) * 1_000_000_000 + u64::from(nanos),
        outgoing: kind == libc::PACKET_OUTGOING,
    })
}

/// The 32-bit number at `at`, in the machine's own byte order.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a block contains, the walk ends, stays inside and panics nowhere.
        #[test]
        fn any_block_can_be_walked(mut block in proptest::collection::vec(any::<u8>(), 0..600),
                                   packets in 0_u32..40, first in 0_u32..700) {
            if block.len() >= 24 {
                block[12..16].copy_from_slice(&packets.to_ne_bytes());
                block[16..20].copy_from_slice(&first.to_ne_bytes());
            }
            let mut seen = 0;
            frames(&block, &mut |frame| {
                assert!(frame.bytes.len() <= block.len());
                seen += 1;
            });
            prop_assert!(seen <= 40 || block.len() < 24);
        }
    }

    #[test]
    fn a_block_made_by_hand_is_read_as_it_was_made() {
        // Two packets: headers of 48 bytes, an address of 20, data at 80.
        let packet = |next: u32, kind: u8, data: &[u8]| {
            let mut bytes = Vec::new();
            for number in [next, 7, 42, data.len() as u32, 1500, 0] {
                bytes.extend(number.to_ne_bytes());
            }
            bytes.extend(80_u16.to_ne_bytes());
            bytes.extend(80_u16.to_ne_bytes());
            bytes.resize(48 + 10, 0);
            bytes.push(kind);
            bytes.resize(80, 0);
            bytes.extend(data);
            bytes.resize(96, 0);
            bytes
        };
        let mut block = vec![0; 48];
        block[12..16].copy_from_slice(&2_u32.to_ne_bytes());
        block[16..20].copy_from_slice(&48_u32.to_ne_bytes());
        block.extend(packet(96, libc::PACKET_OUTGOING, b"out"));
        block.extend(packet(0, libc::PACKET_HOST, b"in"));
        let mut seen = Vec::new();
        frames(&block, &mut |frame| {
            seen.push((frame.bytes.to_vec(), frame.outgoing));
            assert_eq!((frame.wire_len, frame.wall_ns), (1500, 7_000_000_042));
        });
        assert_eq!(seen, [(b"out".to_vec(), true), (b"in".to_vec(), false)]);
    }
}
