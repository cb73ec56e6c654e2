use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

/// A datagram with a TCP segment in it, to be made by hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) protocol: u8,
    /// Flags and offset of fragments (version 4 only).
    pub(crate) fragment: u16,
    /// Words of options in the IP header (version 4), or whether there is the header for long
    /// datagrams (version 6).
    pub(crate) ip_options: u8,
    pub(crate) tcp_options: u8,
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) payload: u32,
    /// Whether the IP header leaves its length out, as those of very long datagrams do.
    pub(crate) no_length: bool,
}

impl Packet {
    pub(crate) fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            source,
            destination,
            protocol: TCP,
            fragment: 0,
            ip_options: 0,
            tcp_options: 3,
            flags: 0x10,
            sequence: 0,
            acknowledged: 0,
            payload: 0,
            no_length: false,
        }
    }

    /// Its headers, and its length with the payload.
    pub(crate) fn bytes(&self) -> (Vec<u8>, u32) {
        let tcp_header = 20 + 4 * u32::from(self.tcp_options);
        let after_ip = tcp_header + self.payload;
        let mut bytes = Vec::new();
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let words = 5 + self.ip_options;
                let length = u32::from(words) * 4 + after_ip;
                bytes.extend([0x40 | words, 0]);
                bytes.extend((if self.no_length { 0 } else { length as u16 }).to_be_bytes());
                bytes.extend([0, 1]);
                bytes.extend(self.fragment.to_be_bytes());
                bytes.extend([64, self.protocol, 0, 0]);
                bytes.extend(source.octets());
                bytes.extend(destination.octets());
                bytes.resize(usize::from(words) * 4, 1);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let long = self.ip_options > 0;
                let length = after_ip + if long { 8 } else { 0 };
                bytes.extend([0x60, 0, 0, 0]);
                bytes.extend((if self.no_length { 0 } else { length as u16 }).to_be_bytes());
                bytes.extend([if long { 0 } else { self.protocol }, 64]);
                bytes.extend(source.octets());
                bytes.extend(destination.octets());
                if long {
                    bytes.extend([self.protocol, 0, 0xc2, 4, 0, 1, 0, 0]);
                }
            }
            _ => unreachable!("both ends are of one family"),
        }
        let whole = bytes.len() as u32 + after_ip;
        bytes.extend(self.source.port().to_be_bytes());
        bytes.extend(self.destination.port().to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledged.to_be_bytes());
        bytes.extend([(5 + self.tcp_options) << 4, self.flags, 1, 0, 0, 0, 0, 0]);
        bytes.extend(std::iter::repeat_n(1, 4 * usize::from(self.tcp_options)));
        (bytes, whole)
    }
}

/// Any segment that is one: no fragment, no other protocol.
pub(crate) fn any_packet() -> impl Strategy<Value = Packet> {
    let ends = (any::<bool>(), any::<[u16; 2]>(), any::<[u128; 2]>());
    let shape = (0_u8..=1, 0_u8..=10, any::<u8>(), 0_u32..60_000, any::<bool>());
    (ends, any::<[u32; 2]>(), shape).prop_map(
        |((v6, ports, addresses), [sequence, acknowledged], shape)| {
            let [source, destination] = [0, 1].map(|end| {
                let ip: IpAddr = if v6 {
                    Ipv6Addr::from(addresses[end]).into()
                } else {
                    Ipv4Addr::from(addresses[end] as u32).into()
                };
                SocketAddr::new(ip, ports[end])
            });
            let (ip_options, tcp_options, flags, payload, no_length) = shape;
            Packet {
                ip_options,
                tcp_options,
                flags,
                sequence,
                acknowledged,
                payload,
                no_length,
                ..Packet::new(source, destination)
            }
        },
    )
}

proptest! {
    /// Whatever the bytes are, they are a segment or none, without a panic.
    #[test]
    fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..100),
                           version in 0_u8..16, wire_len in any::<u32>(), outgoing in any::<bool>()) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = version << 4 | *first & 0x0f;
        }
        let segment = Segment::parse(&bytes, wire_len, outgoing);
        prop_assert!(segment.is_none_or(|segment| segment.payload <= wire_len));
    }

    /// What was put into the headers comes out, from the kept bytes alone, padded or not.
    #[test]
    fn headers_say_what_was_put_in(packet in any_packet(), outgoing in any::<bool>(),
                                   padding in 0_u32..20) {
        let (mut bytes, whole) = packet.bytes();
        bytes.truncate(80);
        let wire_len = if packet.no_length { whole } else { whole + padding };
        let segment = Segment::parse(&bytes, wire_len, outgoing).unwrap();
        let (local, remote) = if outgoing {
            (packet.source, packet.destination)
        } else {
            (packet.destination, packet.source)
        };
        let rst = packet.flags & 4 != 0;
        prop_assert_eq!(segment, Segment {
            ends: Ends::new(local, remote),
            outgoing,
            sequence: packet.sequence,
            acknowledged: (packet.flags & 0x10 != 0).then_some(packet.acknowledged),
            payload: if rst { 0 } else { packet.payload },
            syn: packet.flags & 2 != 0,
            fin: packet.flags & 1 != 0,
            rst,
        });
    }
}

#[test]
fn what_is_cut_off_or_something_else_is_no_segment() {
    let packet = Packet::new("10.0.0.1:8000".parse().unwrap(), "10.0.0.2:40000".parse().unwrap());
    let (bytes, whole) = packet.bytes();
    assert!(Segment::parse(&bytes, whole, false).is_some());
    assert_eq!(Segment::parse(&bytes[..33], whole, false), None, "no flags");
    let others = [
        Packet { protocol: 17, ..packet },
        Packet { fragment: 0x2000, ..packet },
        Packet { fragment: 0x0007, ..packet },
    ];
    for other in others {
        let (bytes, whole) = other.bytes();
        assert_eq!(Segment::parse(&bytes, whole, false), None, "{other:?}");
    }
    // A header longer than the datagram.
    assert_eq!(Segment::parse(&bytes, 45, false), None);
}

#[test]
fn ends_compare_whatever_form_their_addresses_have() {
    let mapped =
        Ends::new("[::ffff:10.0.0.1]:1".parse().unwrap(), "[fe80::1%3]:2".parse().unwrap());
    let plain = Ends::new("10.0.0.1:1".parse().unwrap(), "[fe80::1]:2".parse().unwrap());
    assert_eq!(mapped, plain);
}
