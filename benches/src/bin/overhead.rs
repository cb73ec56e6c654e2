//! One load on a pulse server by one client, and what that client's figures were off by.

#![expect(clippy::print_stdout, reason = "a binary prints what it found")]

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};
use plimsoll_benches::{
    Bodies, BodyShape, Figures, Load, NullClient, Pace, Stamps, compare, drive, fetch, pin,
    raise_file_limit,
};
use plimsoll_load::{ArrivalProcess, Schedule};
use plimsoll_units::{Rate, Span};
use serde::Serialize;

/// Drives a running pulse server with one client and prints, as JSON, how far the client's figures are
/// from the server's own log, and what they cost.
#[derive(Debug, Parser)]
struct Flags {
    /// Address of the pulse server.
    #[arg(long, default_value = "127.0.0.1:18600")]
    server: SocketAddr,
    /// Who drives.
    #[arg(long, value_enum, default_value = "plimsoll")]
    client: Who,
    /// Where the stamps of the Plimsoll client come from.
    #[arg(long, value_enum, default_value = "socket")]
    stamps: Stamps,
    /// Open loop: requests per second.
    #[arg(long, conflicts_with = "streams", required_unless_present = "streams")]
    rate: Option<f64>,
    /// Arrivals of the open loop: `constant`, `poisson`, `gamma(cv=2)`.
    #[arg(long, default_value = "constant")]
    arrivals: ArrivalProcess,
    /// Seed of the arrivals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Closed loop: requests in flight.
    #[arg(long)]
    streams: Option<u32>,
    /// How long requests are started, the warm-up included.
    #[arg(long, default_value = "10s")]
    length: Span,
    /// Requests due before this are left out of the figures.
    #[arg(long, default_value = "2s")]
    warm_up: Span,
    /// Output tokens of each request.
    #[arg(long, default_value_t = 128)]
    tokens: u32,
    /// Least length of a body in bytes.
    #[arg(long, default_value_t = 1_000)]
    body_bytes: usize,
    /// Ask for a token count in every chunk.
    #[arg(long)]
    counted: bool,
    /// Connections opened before the start, where the client can.
    #[arg(long, default_value_t = 0)]
    prewarm: u32,
    /// How long the driver of the Plimsoll client wakes ahead of each start.
    #[arg(long, default_value = "0s")]
    spin: Span,
    /// Core to run on.
    #[arg(long)]
    cpu: Option<usize>,
    /// Keep the stamps of this many requests and only count the others: for measuring memory.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    keep: usize,
}

/// The two clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Who {
    /// The client under test.
    Plimsoll,
    /// The floor: reads, counts, stamps.
    Null,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Printed {
    client: Who,
    stamps: String,
    rate_asked_per_s: Option<f64>,
    streams: Option<u32>,
    tokens: u32,
    body_bytes: usize,
    #[serde(flatten)]
    figures: Figures,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    if let Some(core) = flags.cpu {
        pin(core).with_context(|| format!("core {core} cannot be used"))?;
    }
    raise_file_limit()?;
    let before = fetch(flags.server)?;
    ensure!(before.is_empty(), "the server has served before: clear its log or start it anew");
    let load = flags.load()?;
    let run = match flags.client {
        Who::Plimsoll => drive(&load, flags.stamps, flags.spin.get())?,
        Who::Null => NullClient::new(&load)?.run()?,
    };
    let figures = compare(&run, &fetch(flags.server)?, flags.warm_up.get());
    let printed = Printed {
        client: flags.client,
        stamps: format!("{:?}", flags.stamps).to_lowercase(),
        rate_asked_per_s: flags.rate,
        streams: flags.streams,
        tokens: flags.tokens,
        body_bytes: flags.body_bytes,
        figures,
    };
    println!("{}", serde_json::to_string_pretty(&printed)?);
    Ok(())
}

impl Flags {
    fn load(&self) -> anyhow::Result<Load> {
        let pace = match (self.rate, self.streams) {
            (_, Some(streams)) => Pace::Closed(streams),
            (Some(rate), None) => {
                Pace::Open(Box::new(Schedule::new(self.arrivals, Rate::new(rate)?, self.seed)))
            }
            (None, None) => anyhow::bail!("either a rate or a number of streams is needed"),
        };
        let shape =
            BodyShape { tokens: self.tokens, bytes: self.body_bytes, counted: self.counted };
        Ok(Load {
            address: self.server,
            bodies: Bodies::new(shape, self.names()),
            pace,
            length: self.length.get(),
            prewarm: self.prewarm,
            keep: self.keep,
        })
    }

    /// How many bodies differ: more than are ever in flight, if no answer takes over ten seconds.
    fn names(&self) -> usize {
        const SLOWEST: Duration = Duration::from_secs(10);
        let in_flight = match (self.streams, self.rate) {
            (Some(streams), _) => f64::from(streams),
            (None, rate) => rate.unwrap_or(0.0) * SLOWEST.as_secs_f64(),
        };
        // Long bodies are many bytes: half a gigabyte of them at most.
        let room = (512 << 20) / self.body_bytes.max(1);
        (in_flight as usize * 2 + 16).min(room)
    }
}
