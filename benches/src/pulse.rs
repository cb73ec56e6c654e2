//! The ground-truth server: one thread, one timer, one write a token, every write stamped.
//!
//! Truth is what it did and not what it meant to do: a token that went out late because the server was
//! busy is late in its log too, so a client is never blamed for the server. The log is kept in
//! memory and handed out when a run is over.

mod connection;
mod receive;
mod settings;

use std::collections::BinaryHeap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::time::Duration;

use plimsoll_units::RunNanos;
use socket2::{Domain, Socket, Type};

use crate::answer::{Api, Texts, full, json};
use crate::http::{self, Body, Parsed};
use crate::machine::monotonic_ns;
use crate::poll::{Poll, Source};
use crate::pulse_log::{self, Entry};
use connection::{Connection, Push};
use receive::{Inlet, ask_for_arrivals};
pub use settings::{PulseSettings, RolePlace};

/// Connections that the kernel may hold for us before we accept them: a burst of 5,000 streams.
const BACKLOG: i32 = 16_384;

/// Tokens written in a row before the sockets are looked at again. A request that waits meanwhile is
/// stamped late, so this is short; a look costs well under a microsecond.
const BURST: u32 = 4;

/// A server for clients that are to be measured.
///
/// It answers `POST /v1/chat/completions` and `/v1/completions` as vLLM does, with tokens at instants
/// that follow from when the request was read; `GET /v1/models`, `/health`, `/log`; and
/// `POST /log/clear`.
#[derive(Debug)]
pub struct Pulse {
    address: SocketAddr,
    listener: TcpListener,
    poll: Poll,
    settings: PulseSettings,
    texts: Texts,
    connections: Vec<Option<Connection>>,
    free: Vec<u32>,
    /// Which tokens are due when, the earliest on top.
    due: BinaryHeap<Beat>,
    log: Vec<Entry>,
    accepted: u64,
    received: u64,
    inlet: Inlet,
}

/// The next token of a connection. Ordered so that a heap has the earliest on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Beat {
    due_ns: u64,
    slot: u32,
    /// Which of the connections that had this slot is meant.
    number: u64,
}

impl Ord for Beat {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.due_ns, other.number).cmp(&(self.due_ns, self.number))
    }
}

impl PartialOrd for Beat {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Pulse {
    /// A server that listens on the loopback address; port 0 takes a free one.
    ///
    /// # Errors
    /// When the port is taken, or the system gives no descriptors.
    pub fn bind(port: u16, settings: PulseSettings) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from(socket);
        let poll = Poll::new()?;
        poll.add(&listener, Source::Listener)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            poll,
            settings,
            texts: Texts::new(),
            connections: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            log: Vec::new(),
            accepted: 0,
            received: 0,
            inlet: Inlet::new(),
        })
    }

    /// A server on a thread of its own, which ends with the process; its address.
    ///
    /// # Errors
    /// As [`Pulse::bind`].
    pub fn spawn(settings: PulseSettings) -> io::Result<SocketAddr> {
        let pulse = Self::bind(0, settings)?;
        let address = pulse.address();
        std::thread::Builder::new().name("pulse".into()).spawn(move || pulse.run(None))?;
        Ok(address)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` (an event, signal or pipe descriptor) can be read, and gives the log, as
    /// [`parse`](crate::parse) reads it. Without one it serves for ever.
    ///
    /// # Errors
    /// When the system refuses to poll.
    pub fn run(mut self, stop: Option<&dyn AsFd>) -> io::Result<String> {
        if let Some(stop) = stop {
            self.poll.add(&stop.as_fd(), Source::Stop)?;
        }
        let mut ready = Vec::with_capacity(1024);
        loop {
            let now = monotonic_ns();
            let wait = match self.due.peek() {
                Some(beat) if beat.due_ns <= now => Some(0),
                Some(beat) => Some(beat.due_ns),
                None => None,
            };
            self.poll.wait(wait, &mut ready)?;
            for source in ready.drain(..) {
                match source {
                    Source::Stop => return Ok(pulse_log::text(&self.log)),
                    Source::Timer => {}
                    Source::Listener => self.accept()?,
                    Source::Connection { slot, readable, writable } => {
                        if writable {
                            self.resume(slot);
                        }
                        if readable {
                            self.read(slot);
                        }
                    }
                }
            }
            for _ in 0..BURST {
                let now = monotonic_ns();
                let Some(beat) = self.due.peek().copied().filter(|beat| beat.due_ns <= now) else {
                    break;
                };
                self.due.pop();
                self.beat(beat);
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // A connection that broke before it was taken is nobody's fault.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            ask_for_arrivals(&stream)?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                // Descriptors run out long before slots do.
                self.connections.len() as u32 - 1
            });
            self.poll.add(&stream, Source::of(slot))?;
            self.connections[slot as usize] = Some(Connection::new(stream, self.accepted));
            self.accepted += 1;
        }
    }

    /// Reads what is there, and begins the answer if a request is whole.
    fn read(&mut self, slot: u32) {
        let Some(connection) = self.connections[slot as usize].as_mut() else { return };
        match connection.read(&mut self.inlet) {
            Ok(true) => self.begin(slot, monotonic_ns()),
            Ok(false) => {}
            Err(_) => self.close(slot),
        }
    }

    /// Begins the answer to the request at the front of what a connection has read.
    fn begin(&mut self, slot: u32, received_ns: u64) {
        let Some(connection) = self.connections[slot as usize].as_mut() else { return };
        let request = match http::parse(connection.inbox()) {
            Parsed::Whole(request) => request,
            Parsed::Partial(whole_at) => return connection.expect(whole_at),
            Parsed::Bad => return self.close(slot),
        };
        let body = &connection.inbox()[request.body.clone()];
        let api = match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/v1/chat/completions") => Api::Chat,
            ("POST", "/v1/completions") => Api::Completions,
            (method, path) => {
                let answer = aside(method, path, &mut self.log);
                connection.consume(request.body.end);
                return self.settle(slot, |connection| connection.push(&answer));
            }
        };
        let Some(body) = Body::read(body) else {
            connection.consume(request.body.end);
            let refusal =
                full("400 Bad Request", "application/json", "{\"error\":\"no such body\"}");
            return self.settle(slot, |connection| connection.push(&refusal));
        };
        connection.consume(request.body.end);
        let id = body.user.clone().or(request.id).unwrap_or_else(|| format!("#{}", self.received));
        // The log separates its fields by tabs and its lines by line ends.
        let id = id.replace(|c: char| c.is_control(), "_");
        self.received += 1;
        let answer = self.texts.answer(api, &body, &self.settings);
        let mut entry = Entry::new(id, connection.number, received_ns, answer.tokens);
        entry.arrived_ns = connection.arrived_ns.map_or(received_ns, |at| at.min(received_ns));
        let due_ns = received_ns + nanos(self.settings.ttft);
        self.due.push(Beat { due_ns, slot, number: connection.number });
        let early = connection.start(answer, entry);
        if !early.is_empty() {
            self.settle(slot, |connection| connection.push(&early));
        }
    }

    /// Writes the token that is due, and says when the next one is.
    fn beat(&mut self, beat: Beat) {
        let Some(connection) = self.connections[beat.slot as usize].as_mut() else { return };
        if connection.number != beat.number {
            return;
        }
        match connection.beat(&self.texts, beat.due_ns) {
            Ok(Push::Whole) => self.go_on(beat.slot, beat.due_ns),
            // `resume` goes on when the rest has been taken.
            Ok(Push::Blocked) => self.watch_writes(beat.slot),
            Err(_) => self.close(beat.slot),
        }
    }

    /// After a token that was written whole: the next one, or the end.
    fn go_on(&mut self, slot: u32, due_ns: u64) {
        let Some(connection) = self.connections[slot as usize].as_mut() else { return };
        let itl = nanos(self.settings.itl);
        if connection.has_more() {
            // Flat out the streams take turns: each goes behind those that have waited longer.
            let due_ns = if itl == 0 { monotonic_ns() } else { due_ns + itl };
            return self.due.push(Beat { due_ns, slot, number: connection.number });
        }
        if let Some((entry, tail)) = connection.finish() {
            self.log.push(entry);
            self.settle(slot, |connection| connection.push(&tail));
        }
        let waiting = self.connections[slot as usize].as_ref().is_some_and(Connection::has_request);
        if waiting {
            self.begin(slot, monotonic_ns());
        }
    }

    /// Goes on where a connection took no more.
    fn resume(&mut self, slot: u32) {
        let Some(connection) = self.connections[slot as usize].as_mut() else { return };
        match connection.flush() {
            Ok(Push::Blocked) => {}
            Ok(Push::Whole) => {
                let due_ns = connection.unblock();
                if self.poll.modify(connection.stream(), Source::of(slot), false).is_err() {
                    return self.close(slot);
                }
                if let Some(due_ns) = due_ns {
                    self.go_on(slot, due_ns);
                }
            }
            Err(_) => self.close(slot),
        }
    }

    /// A write that is no token's.
    fn settle(&mut self, slot: u32, push: impl FnOnce(&mut Connection) -> io::Result<Push>) {
        let Some(connection) = self.connections[slot as usize].as_mut() else { return };
        match push(connection) {
            Ok(Push::Whole) => {}
            Ok(Push::Blocked) => self.watch_writes(slot),
            Err(_) => self.close(slot),
        }
    }

    fn watch_writes(&mut self, slot: u32) {
        let Some(connection) = self.connections[slot as usize].as_ref() else { return };
        if self.poll.modify(connection.stream(), Source::of(slot), true).is_err() {
            self.close(slot);
        }
    }

    /// Forgets a connection; the request that was under way is logged as far as it came.
    fn close(&mut self, slot: u32) {
        if let Some(connection) = self.connections[slot as usize].take() {
            self.log.extend(connection.into_entry());
            self.free.push(slot);
        }
    }
}

/// The answer to what is no request for tokens.
fn aside(method: &str, path: &str, log: &mut Vec<Entry>) -> Vec<u8> {
    match (method, path) {
        ("GET", "/health" | "/ping" | "/") => full("200 OK", "text/plain", ""),
        ("GET", "/v1/models") => json(
            "{\"object\":\"list\",\"data\":[{\"id\":\"pulse\",\"object\":\"model\",\"created\":1795294345,\
             \"owned_by\":\"vllm\",\"root\":\"pulse\",\"max_model_len\":1048576}]}",
        ),
        ("GET", "/log") => full("200 OK", "text/tab-separated-values", &pulse_log::text(log)),
        ("POST", "/log/clear") => {
            log.clear();
            json("{}")
        }
        _ => full("404 Not Found", "application/json", "{\"error\":\"no such path\"}"),
    }
}

fn nanos(span: Duration) -> u64 {
    (RunNanos::ZERO + span).as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_beat_is_on_top_and_ties_go_to_the_older_connection() {
        let beat = |due_ns, number| Beat { due_ns, slot: 0, number };
        let mut heap: BinaryHeap<_> = [beat(9, 0), beat(3, 2), beat(3, 1), beat(5, 9)].into();
        let order: Vec<_> = std::iter::from_fn(|| heap.pop()).collect();
        assert_eq!(order, [beat(3, 1), beat(3, 2), beat(5, 9), beat(9, 0)]);
    }
}
