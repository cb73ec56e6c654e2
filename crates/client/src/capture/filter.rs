//! Which packets the kernel keeps: a classic BPF program, run on every packet of the machine.
//!
//! Kept are the TCP segments of the run's servers, in the direction in which they meet this machine:
//! coming in *from* a server's address and port, or going out *to* it. On loopback every packet is
//! seen twice, going out and coming in; the two conditions take one of the two each: what the client
//! sends when it leaves, what the server sends when it arrives. Of those, only the ones with a
//! payload or with SYN, FIN or RST are kept: pure acknowledgements say nothing about bytes.
//! (A short acknowledgement that Ethernet padded passes for a payload here; the parser, which knows
//! the datagram's own length, finds it empty.)
//!
//! The program sees a datagram from its IP header on, as a packet socket of type `SOCK_DGRAM` does.

use std::net::{IpAddr, SocketAddr};

use nix::libc::{
    self, BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IMM, BPF_IND, BPF_JA, BPF_JEQ, BPF_JGT,
    BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_LDX, BPF_LEN, BPF_MISC, BPF_MSH, BPF_RET, BPF_RSH,
    BPF_TAX, BPF_W, BPF_X, sock_filter,
};

/// The bytes kept of a datagram: the longest IP header (60 for version 4) and the fixed part of the
/// TCP header.
pub(crate) const KEPT_BYTES: u32 = 80;

/// The most servers that one program is written for. Each adds about 20 of at most 4,096
/// instructions in either direction.
pub(crate) const MOST_REMOTES: usize = 64;

const ADD: u32 = libc::BPF_ADD;
const TCP: u32 = 6;
const FIN_SYN_RST: u32 = 0x07;

/// Where the headers hold what identifies the server.
#[derive(Clone, Copy)]
struct Side {
    /// Offset of the IPv4 address.
    v4: u32,
    /// Offset of the IPv6 address.
    v6: u32,
    /// Offset of the port in the TCP header.
    port: u32,
}

const SOURCE: Side = Side { v4: 12, v6: 8, port: 0 };
const DESTINATION: Side = Side { v4: 16, v6: 24, port: 2 };

/// The program that keeps the segments to and from `remotes`.
pub(crate) fn program(remotes: &[SocketAddr]) -> Vec<sock_filter> {
    let mut code = Assembler::default();
    let [outgoing, check, keep, drop] = [(); 4].map(|()| code.label());

    let packet_type = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();
    code.op(BPF_LD | BPF_B | BPF_ABS, packet_type);
    code.when(BPF_JEQ, u32::from(libc::PACKET_OUTGOING), outgoing);
    code.unless(BPF_JEQ, u32::from(libc::PACKET_HOST), drop);
    matching(&mut code, remotes, SOURCE, check, drop);
    code.place(outgoing);
    matching(&mut code, remotes, DESTINATION, check, drop);

    // Here X is the length of the IP header.
    code.place(check);
    code.op(BPF_LD | BPF_B | BPF_IND, 13);
    code.when(BPF_JSET, FIN_SYN_RST, keep);
    // Longer than its headers? The length of the TCP header is the upper half of its byte 12, in
    // words of four bytes.
    code.op(BPF_LD | BPF_B | BPF_IND, 12);
    code.op(BPF_ALU | BPF_AND | BPF_K, 0xf0);
    code.op(BPF_ALU | BPF_RSH | BPF_K, 2);
    code.op(BPF_ALU | ADD | BPF_X, 0);
    code.op(BPF_MISC | BPF_TAX, 0);
    code.op(BPF_LD | BPF_W | BPF_LEN, 0);
    code.when(BPF_JGT | BPF_X, 0, keep);
    code.place(drop);
    code.op(BPF_RET | BPF_K, 0);
    code.place(keep);
    code.op(BPF_RET | BPF_K, KEPT_BYTES);
    code.finish()
}

/// Goes to `check`, with the length of the IP header in X, when the address and port on `side` are
/// those of a server, else to `drop`.
fn matching(code: &mut Assembler, remotes: &[SocketAddr], side: Side, check: Label, drop: Label) {
    let [version_6, ports_6] = [(); 2].map(|()| code.label());
    code.op(BPF_LD | BPF_B | BPF_ABS, 0);
    code.op(BPF_ALU | BPF_AND | BPF_K, 0xf0);
    code.when(BPF_JEQ, 0x60, version_6);
    code.unless(BPF_JEQ, 0x40, drop);
    code.op(BPF_LD | BPF_B | BPF_ABS, 9);
    code.unless(BPF_JEQ, TCP, drop);
    // Fragments: TCP avoids them, and one without the header could not be told.
    code.op(BPF_LD | BPF_H | BPF_ABS, 6);
    code.when(BPF_JSET, 0x3fff, drop);
    code.op(BPF_LDX | BPF_B | BPF_MSH, 0);
    for (address, port) in remotes.iter().map(ends) {
        let IpAddr::V4(address) = address else { continue };
        let next = code.label();
        code.op(BPF_LD | BPF_W | BPF_ABS, side.v4);
        code.unless(BPF_JEQ, address.to_bits(), next);
        code.op(BPF_LD | BPF_H | BPF_IND, side.port);
        code.when(BPF_JEQ, u32::from(port), check);
        code.place(next);
    }
    code.go(drop);

    code.place(version_6);
    code.op(BPF_LDX | BPF_W | BPF_IMM, 40);
    code.op(BPF_LD | BPF_B | BPF_ABS, 6);
    code.when(BPF_JEQ, TCP, ports_6);
    // The one extension header that the kernel itself adds: the length of a datagram over 64 KiB.
    code.unless(BPF_JEQ, 0, drop);
    code.op(BPF_LD | BPF_B | BPF_ABS, 41);
    code.unless(BPF_JEQ, 0, drop);
    code.op(BPF_LD | BPF_B | BPF_ABS, 40);
    code.unless(BPF_JEQ, TCP, drop);
    code.op(BPF_LDX | BPF_W | BPF_IMM, 48);
    code.place(ports_6);
    for (address, port) in remotes.iter().map(ends) {
        let IpAddr::V6(address) = address else { continue };
        let next = code.label();
        for (word, at) in address.octets().chunks_exact(4).zip((side.v6..).step_by(4)) {
            code.op(BPF_LD | BPF_W | BPF_ABS, at);
            let word = word.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
            code.unless(BPF_JEQ, word, next);
        }
        code.op(BPF_LD | BPF_H | BPF_IND, side.port);
        code.when(BPF_JEQ, u32::from(port), check);
        code.place(next);
    }
    code.go(drop);
}

/// The address as it is on the wire.
fn ends(remote: &SocketAddr) -> (IpAddr, u16) {
    (remote.ip().to_canonical(), remote.port())
}

/// A place in the program, to be jumped to.
#[derive(Clone, Copy)]
struct Label(usize);

/// Instructions with jumps to labels. A conditional jump reaches 255 instructions at most, so each
/// skips or meets an unconditional one, which reaches everywhere; all jumps go forward.
#[derive(Default)]
struct Assembler {
    code: Vec<sock_filter>,
    /// Where each label is; filled by `place`.
    places: Vec<usize>,
    /// The unconditional jumps and the label each goes to.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    fn label(&mut self) -> Label {
        self.places.push(0);
        Label(self.places.len() - 1)
    }

    fn place(&mut self, label: Label) {
        self.places[label.0] = self.code.len();
    }

    fn op(&mut self, code: u32, k: u32) {
        self.emit(code, 0, 0, k);
    }

    /// Jumps to `label` when the accumulator meets the test.
    fn when(&mut self, test: u32, k: u32, label: Label) {
        self.emit(BPF_JMP | test, 0, 1, k);
        self.go(label);
    }

    /// Jumps to `label` when the accumulator fails the test.
    fn unless(&mut self, test: u32, k: u32, label: Label) {
        self.emit(BPF_JMP | test, 1, 0, k);
        self.go(label);
    }

    fn go(&mut self, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.op(BPF_JMP | BPF_JA, 0);
    }

    fn emit(&mut self, code: u32, jt: u8, jf: u8, k: u32) {
        // Every operation code fits in a byte, and every program in 4,096 instructions.
        self.code.push(sock_filter { code: code as u16, jt, jf, k });
    }

    fn finish(mut self) -> Vec<sock_filter> {
        for (at, label) in self.jumps {
            self.code[at].k = (self.places[label.0] - at - 1) as u32;
        }
        self.code
    }
}

#[cfg(test)]
mod tests;
