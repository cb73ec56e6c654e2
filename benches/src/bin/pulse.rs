//! A server whose every write is stamped: the ground truth that clients are measured against.

#![expect(clippy::print_stderr, reason = "a binary tells where it listens")]

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use plimsoll_benches::{Pulse, PulseSettings, RolePlace, pin, raise_file_limit};
use plimsoll_units::Span;

/// Streams tokens at known instants and keeps a log of what it did, which `GET /log` hands out.
#[derive(Debug, Parser)]
struct Flags {
    /// Port on the loopback address; 0 takes a free one.
    #[arg(long, default_value_t = 18_600)]
    port: u16,
    /// From the read of the request to the first token.
    #[arg(long, default_value = "50ms")]
    ttft: Span,
    /// From token to token; `0s` writes as fast as it can.
    #[arg(long, default_value = "10ms")]
    itl: Span,
    /// Tokens of an answer whose request names no number.
    #[arg(long, default_value_t = 100)]
    tokens: u32,
    /// Where the chunk with the role goes.
    #[arg(long, value_enum, default_value = "with-first")]
    role: RolePlace,
    /// Core to run on.
    #[arg(long)]
    cpu: Option<usize>,
    /// Where the log is written at the end (on SIGTERM or SIGINT).
    #[arg(long)]
    log: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    if let Some(core) = flags.cpu {
        pin(core).with_context(|| format!("core {core} cannot be used"))?;
    }
    raise_file_limit()?;
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    signals.thread_block()?;
    let stop = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let Flags { ttft, itl, tokens, role, .. } = flags;
    let settings = PulseSettings { ttft: ttft.get(), itl: itl.get(), tokens, role };
    let pulse = Pulse::bind(flags.port, settings)
        .with_context(|| format!("port {} cannot be listened on", flags.port))?;
    eprintln!("READY http://{}", pulse.address());
    let log = pulse.run(Some(&stop))?;
    match flags.log {
        Some(path) => std::fs::write(&path, log)
            .with_context(|| format!("the log cannot be written to {}", path.display())),
        None => Ok(()),
    }
}
