//! What both clients are given to do.

use std::net::SocketAddr;
use std::time::Duration;

use plimsoll_load::Schedule;

use crate::Bodies;

/// When requests start.
#[derive(Clone, Debug)]
pub enum Pace {
    /// At the schedule's instants, whatever became of those before.
    Open(Box<Schedule>),
    /// This many in flight, the next one when one has ended.
    Closed(u32),
}

/// A load on a pulse server.
#[derive(Clone, Debug)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// What is sent.
    pub bodies: Bodies,
    /// When.
    pub pace: Pace,
    /// How long requests are started; those in flight then are followed to their end.
    pub length: Duration,
    /// Connections opened before the first request is due, where the client can.
    pub prewarm: u32,
    /// How many requests are kept with all their stamps; of later ones only their number is.
    pub keep: usize,
}

/// From the moment a client is ready to the origin of its schedule: nobody starts late.
pub(crate) const LEAD: Duration = Duration::from_millis(20);

/// How long after the last start the slowest answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
