//! What the forwarder and the oracle need to know of a frame.

/// One end of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Who sent it.
    pub(crate) from: Side,
    /// The client's port: which connection it belongs to.
    pub(crate) port: u16,
    /// Sequence number of the first byte of data.
    pub(crate) seq: u32,
    /// Bytes of data.
    pub(crate) len: u32,
    /// Whether it opens its direction; then the first byte of the stream has the number `seq + 1`.
    pub(crate) syn: bool,
}

impl Segment {
    /// The segment in an Ethernet frame that `from` sent; `None` if it is no TCP over IPv4.
    pub(crate) fn parse(from: Side, frame: &[u8]) -> Option<Self> {
        let (ethernet, ip) = frame.split_at_checked(14)?;
        if ethernet[12..] != [0x08, 0x00] || *ip.get(9)? != 6 {
            return None;
        }
        let ip_len = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        let tcp = ip.get(usize::from(ip[0] & 15) * 4..ip_len)?;
        let word = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
        let header = usize::from(*tcp.get(12)? >> 4) * 4;
        Some(Self {
            from,
            port: match from {
                Side::Client => word(0)?,
                Side::Server => word(2)?,
            },
            seq: u32::from(word(4)?) << 16 | u32::from(word(6)?),
            len: u32::try_from(tcp.len().checked_sub(header)?).ok()?,
            syn: *tcp.get(13)? & 2 != 0,
        })
    }

    /// Sequence number behind its last byte.
    pub(crate) const fn end(&self) -> u32 {
        self.seq.wrapping_add(self.len)
    }
}
