//! A TCP segment as its headers tell it.
//!
//! The bytes come from the network and may be anything: what is no TCP segment is `None`, and
//! nothing here panics.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const TCP: u8 = 6;

/// The two ends of a connection, as seen from this machine. Addresses are in their canonical form
/// and carry no scope, so that those of headers and of sockets compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
}

impl Ends {
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        let plain = |end: SocketAddr| (end.ip().to_canonical(), end.port());
        Self { local: plain(local), remote: plain(remote) }
    }
}

impl Hash for Ends {
    /// One number for all of it: the table is asked once a segment, and hashing field by field took a
    /// quarter of the time that a segment takes.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let word = |(ip, port): (IpAddr, u16)| {
            let bits = match ip {
                IpAddr::V4(ip) => u128::from(ip.to_bits()),
                IpAddr::V6(ip) => ip.to_bits(),
            };
            (bits ^ bits >> 64) as u64 ^ u64::from(port) << 32
        };
        // Rotated, since on loopback the two addresses are equal.
        state.write_u64(word(self.local) ^ word(self.remote).rotate_left(16));
    }
}

/// What a segment says about the bytes of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) ends: Ends,
    /// Whether it left this machine (else it arrived).
    pub(crate) outgoing: bool,
    /// The sequence number of its first byte (of the SYN, if it has one).
    pub(crate) sequence: u32,
    /// The next sequence number expected from the other side, if it acknowledges anything.
    pub(crate) acknowledged: Option<u32>,
    /// Bytes of the stream that it carries.
    pub(crate) payload: u32,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
}

impl Segment {
    /// The segment whose IP header `bytes` begin with. `wire_len` is the length of the datagram as
    /// the kernel had it: `bytes` may end early, and may end in padding.
    pub(crate) fn parse(bytes: &[u8], wire_len: u32, outgoing: bool) -> Option<Self> {
        let datagram = match bytes.first()? >> 4 {
            4 => Datagram::v4(bytes)?,
            6 => Datagram::v6(bytes)?,
            _ => return None,
        };
        let tcp = bytes.get(datagram.header as usize..)?;
        let flags = *tcp.get(13)?;
        let header = u32::from(tcp[12] >> 4) * 4;
        let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let number =
            |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);

        let source = (datagram.source.to_canonical(), port(0));
        let destination = (datagram.destination.to_canonical(), port(2));
        let (local, remote) = if outgoing { (source, destination) } else { (destination, source) };
        // Datagrams that the kernel built too long for the field of their length have a 0 there; a
        // padded one is shorter by the field than on the wire.
        let length = datagram.length.map_or(wire_len, |length| length.min(wire_len));
        let payload = length.saturating_sub(datagram.header).checked_sub(header)?;
        let rst = flags & 0x04 != 0;
        Some(Self {
            ends: Ends { local, remote },
            outgoing,
            sequence: number(4),
            acknowledged: (flags & 0x10 != 0).then(|| number(8)),
            // What a reset carries is a message for people, no part of the stream.
            payload: if rst { 0 } else { payload },
            syn: flags & 0x02 != 0,
            fin: flags & 0x01 != 0,
            rst,
        })
    }
}

/// What an IP header says.
struct Datagram {
    source: IpAddr,
    destination: IpAddr,
    /// Bytes before the TCP header.
    header: u32,
    /// Bytes in all, by the header; `None` where it does not say.
    length: Option<u32>,
}

impl Datagram {
    fn v4(bytes: &[u8]) -> Option<Self> {
        let fixed: &[u8; 20] = bytes.first_chunk()?;
        let header = u32::from(fixed[0] & 0x0f) * 4;
        let fragment = u16::from_be_bytes([fixed[6], fixed[7]]) & 0x3fff != 0;
        if header < 20 || fragment || fixed[9] != TCP {
            return None;
        }
        let address = |at: usize| {
            IpAddr::V4(Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]))
        };
        let length = u32::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        let length = (length != 0).then_some(length);
        Some(Self { source: address(12), destination: address(16), header, length })
    }

    fn v6(bytes: &[u8]) -> Option<Self> {
        let fixed: &[u8; 40] = bytes.first_chunk()?;
        let header = match fixed[6] {
            TCP => 40,
            // The option with the length of a datagram over 64 KiB.
            0 if bytes.get(40..42)? == [TCP, 0] => 48,
            _ => return None,
        };
        let address = |at: usize| {
            let octets: [u8; 16] = fixed[at..].first_chunk().copied()?;
            Some(IpAddr::V6(Ipv6Addr::from(octets)))
        };
        let length = u32::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let length = (length != 0).then_some(length + 40);
        Some(Self { source: address(8)?, destination: address(24)?, header, length })
    }
}

#[cfg(test)]
pub(super) mod tests;
