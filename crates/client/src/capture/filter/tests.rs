//! The program is run by an interpreter of its instructions, which knows nothing of the assembler.

use proptest::prelude::*;

use super::super::segment::tests::{Packet, any_packet};
use super::*;

/// What the kernel would do: how many bytes of `packet` are kept.
fn run(program: &[sock_filter], packet: &[u8], wire_len: u32, packet_type: u8) -> u32 {
    let load = |at: u64, size: usize| -> Option<u32> {
        if at == u64::from((-0x1000_i32 + 4).cast_unsigned()) {
            return Some(u32::from(packet_type));
        }
        let at = usize::try_from(at).ok()?;
        let bytes = packet.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)))
    };
    let (mut a, mut x, mut at) = (0_u32, 0_u32, 0_usize);
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let jump = |met: bool| usize::from(if met { jt } else { jf });
        match code {
            0x20 | 0x28 | 0x30 => {
                let size = [4, 2, 1][usize::from(code >> 3 & 3)];
                let Some(word) = load(u64::from(k), size) else { return 0 };
                a = word;
            }
            0x40 | 0x48 | 0x50 => {
                let size = [4, 2, 1][usize::from(code >> 3 & 3)];
                let Some(word) = load(u64::from(x) + u64::from(k), size) else { return 0 };
                a = word;
            }
            0x80 => a = wire_len,
            0x01 => x = k,
            0xb1 => {
                let Some(byte) = load(u64::from(k), 1) else { return 0 };
                x = 4 * (byte & 0x0f);
            }
            0x54 => a &= k,
            0x74 => a >>= k,
            0x0c => a = a.wrapping_add(x),
            0x07 => x = a,
            0x05 => at += k as usize,
            0x15 => at += jump(a == k),
            0x45 => at += jump(a & k != 0),
            0x2d => at += jump(a > x),
            0x06 => return k,
            other => panic!("no such instruction: {other:#x}"),
        }
    }
}

const HOST: u8 = 0;
const OUTGOING: u8 = 4;

fn servers() -> Vec<SocketAddr> {
    ["10.0.0.1:8000", "10.0.0.1:8001", "10.0.0.2:8000", "[2001:db8::1]:8000", "[::1]:80"]
        .map(|text| text.parse().unwrap())
        .to_vec()
}

/// Ends that are servers, nearly are, and are not.
fn ends() -> Vec<SocketAddr> {
    let mut ends = servers();
    let others = ["10.0.0.2:8001", "10.0.0.9:40000", "[2001:db8::2]:8000", "[::1]:40000"];
    ends.extend(others.map(|text| text.parse::<SocketAddr>().unwrap()));
    ends
}

proptest! {
    /// Kept is exactly what comes from a server or leaves for one, and says something about bytes.
    #[test]
    fn kept_is_what_was_meant(
        packet in any_packet(),
        source in 0_usize..9, destination in 0_usize..9,
        packet_type in prop_oneof![4 => Just(HOST), 4 => Just(OUTGOING), 1 => 1_u8..4],
        protocol in prop_oneof![6 => Just(6_u8), 1 => Just(17)],
        fragment in prop_oneof![6 => Just(0_u16), 3 => Just(0x4000), 1 => Just(0x2000), 1 => Just(5)],
        flags in prop_oneof![Just(0x10_u8), Just(0x18), Just(0x02), Just(0x11), Just(0x14)],
        payload in prop_oneof![Just(0_u32), 1_u32..3000],
    ) {
        let (source, destination) = (ends()[source], ends()[destination]);
        prop_assume!(source.is_ipv4() == destination.is_ipv4());
        let packet = Packet { source, destination, protocol, fragment, flags, payload, ..packet };
        let (mut bytes, whole) = packet.bytes();
        bytes.resize(whole as usize, 0);

        let matches = match packet_type {
            HOST => servers().contains(&source),
            OUTGOING => servers().contains(&destination),
            _ => false,
        };
        let whole_segment = protocol == 6 && (fragment & 0x3fff == 0 || source.is_ipv6());
        let says_something = payload > 0 || flags & 0x07 != 0;
        let expected = if matches && whole_segment && says_something { KEPT_BYTES } else { 0 };
        prop_assert_eq!(run(&program(&servers()), &bytes, whole, packet_type), expected);
    }

    /// Whatever the packet is, the program ends inside itself.
    #[test]
    fn any_packet_is_judged(bytes in proptest::collection::vec(any::<u8>(), 0..100),
                            version in 0_u8..16, packet_type in 0_u8..8) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = version << 4 | *first & 0x0f;
        }
        let kept = run(&program(&servers()), &bytes, bytes.len() as u32, packet_type);
        prop_assert!(kept == 0 || kept == KEPT_BYTES);
    }
}

#[test]
fn the_largest_program_is_one_that_the_kernel_takes() {
    let address = |last| SocketAddr::new(std::net::Ipv6Addr::from(u128::from(last)).into(), 80);
    let remotes: Vec<_> = (0..MOST_REMOTES as u16).map(address).collect();
    let program = program(&remotes);
    assert!(program.len() <= libc::BPF_MAXINSNS as usize, "{}", program.len());
    let last = Packet { payload: 1, ..Packet::new(*remotes.last().unwrap(), remotes[0]) };
    let (mut bytes, whole) = last.bytes();
    bytes.push(0);
    assert_eq!(run(&program, &bytes, whole, HOST), KEPT_BYTES);
}

#[test]
fn on_loopback_one_of_the_two_sights_of_a_packet_is_kept() {
    let (client, server) = ("127.0.0.1:40000".parse().unwrap(), "127.0.0.1:8000".parse().unwrap());
    let program = program(&[server]);
    for (source, destination, kept_as) in [(client, server, OUTGOING), (server, client, HOST)] {
        let packet = Packet { payload: 9, ..Packet::new(source, destination) };
        let (mut bytes, whole) = packet.bytes();
        bytes.resize(whole as usize, 0);
        for seen_as in [HOST, OUTGOING] {
            let expected = if seen_as == kept_as { KEPT_BYTES } else { 0 };
            assert_eq!(run(&program, &bytes, whole, seen_as), expected);
        }
    }
}
