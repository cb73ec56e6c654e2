//! Live traffic on loopback. What needs the right to capture says that it skips where there is none.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

use plimsoll_records::StampSource;
use plimsoll_units::{Clock, RunNanos};

use super::*;
use crate::measured::{MarkedChunk, Marks, Trail};
use crate::position::{Moment, Position, Read};

/// What the kernel's stamp may be off by the conversion between two clocks.
const CLOCKS: Duration = Duration::from_micros(200);

/// How much later than its return the kernel may do what a write asked for: on loopback nearly always
/// nothing, and in any case far less than the reader waits.
const LATER: Duration = Duration::from_millis(5);

const REQUEST: usize = 300;
const PIECE: usize = 50;

fn may_capture() -> bool {
    match Capture::probe() {
        Ok(()) => true,
        Err(error) => {
            println!("SKIP: {error}");
            false
        }
    }
}

type Rows = Arc<Mutex<Vec<RequestRow>>>;

fn start(config: CaptureConfig) -> (Capture, Rows) {
    let rows = Rows::default();
    let sink = Arc::clone(&rows);
    let capture = Capture::start(config, move |row| sink.lock().unwrap().push(row)).unwrap();
    (capture, rows)
}

/// The clock around each write of a server.
type Writes = Vec<(RunNanos, RunNanos)>;

/// Takes one connection and `REQUEST` bytes, and answers in `pieces` pieces, `gap` apart.
fn serve(
    listener: &TcpListener,
    clock: RunClock,
    pieces: usize,
    gap: Duration,
) -> JoinHandle<Writes> {
    let listener = listener.try_clone().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        stream.read_exact(&mut [0; REQUEST]).unwrap();
        (0..pieces)
            .map(|_| {
                std::thread::sleep(gap);
                let before = clock.now();
                stream.write_all(&[b'x'; PIECE]).unwrap();
                (before, clock.now())
            })
            .collect()
    })
}

/// What the client did: its connection, and the clock around its one write.
struct Exchange {
    stream: TcpStream,
    trail: Trail,
    sent: (RunNanos, RunNanos),
}

impl Exchange {
    fn begin(connect: impl FnOnce() -> TcpStream, clock: RunClock) -> Self {
        let opened = clock.now();
        let mut stream = connect();
        let before = clock.now();
        stream.write_all(&[b'q'; REQUEST]).unwrap();
        let trail = Trail {
            local: stream.local_addr().ok(),
            remote: stream.peer_addr().ok(),
            opened,
            sent_end: Some(REQUEST as u64),
            ..Trail::default()
        };
        Self { stream, trail, sent: (before, clock.now()) }
    }

    /// Reads `pieces` pieces, each of them a chunk.
    fn end(&mut self, pieces: usize, clock: RunClock) -> Measured {
        let mut trail = std::mem::take(&mut self.trail);
        let mut buffer = vec![0; 1 << 16];
        let mut end = 0;
        while end < (pieces * PIECE) as u64 {
            let bytes = self.stream.read(&mut buffer).unwrap();
            assert!(bytes > 0, "the server closed after {end} bytes");
            end += bytes as u64;
            trail.reads.push(Read::new(Position(end), clock.now(), None));
        }
        let place = |piece: usize| Position((piece * PIECE) as u64);
        let chunk =
            |piece| MarkedChunk { at: place(piece), tokens: 1, counted: false, reasoning: false };
        Measured {
            row: RequestRow { sent: Some(self.sent.1), ..RequestRow::default() },
            marks: Marks {
                first_byte: Some(Position(1)),
                chunks: (1..=pieces).map(chunk).collect(),
                ..Marks::default()
            },
            done: Moment::At(place(pieces)),
            trail,
        }
    }
}

/// Every chunk's stamp lies within the write that sent it, and `sent` within the client's.
fn check(row: &RequestRow, exchange: &Exchange, writes: &Writes) {
    assert_eq!(row.stamp_source, StampSource::Packet);
    assert_eq!(row.chunks.len(), writes.len());
    let within = |at: RunNanos, (before, after): (RunNanos, RunNanos)| {
        assert!(at + CLOCKS >= before && at <= after + LATER, "{before} <= {at} <= {after}");
    };
    for (chunk, write) in row.chunks.iter().zip(writes) {
        within(chunk.at, *write);
        assert!(!chunk.shared);
    }
    within(row.first_byte.unwrap(), writes[0]);
    within(row.sent.unwrap(), exchange.sent);
}

/// Twelve segments 10 ms apart, and a client that sleeps through all of them.
fn stamps_of_a_late_reader(address: &str) {
    if !may_capture() {
        return;
    }
    let listener = match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) => return println!("SKIP {address}: {error}"),
    };
    let clock = RunClock::start();
    let remote = listener.local_addr().unwrap();
    let (capture, rows) = start(CaptureConfig::new(vec![remote], clock));
    let server = serve(&listener, clock, 12, Duration::from_millis(10));
    let mut exchange = Exchange::begin(|| TcpStream::connect(remote).unwrap(), clock);
    let writes = server.join().unwrap();
    assert!(capture.handle().settle(exchange.end(12, clock)).is_none());
    let report = capture.finish();

    let rows = rows.lock().unwrap();
    assert_eq!(rows.len(), 1);
    check(&rows[0], &exchange, &writes);
    assert_eq!((report.settled_by_packet, report.fell_back, report.unstamped), (1, 0, 0));
    assert_eq!((report.dropped, report.clock_steps, report.failure), (0, 0, None));
    // SYN of either side, the request, twelve pieces: at least.
    assert!(report.segments >= 15, "{}", report.segments);
    assert!(report.delay.max() >= Duration::from_millis(100), "{:?}", report.delay);
    assert_eq!(report.delay.count(), 12);
}

#[test]
fn each_segment_has_its_own_time_however_late_it_is_read() {
    stamps_of_a_late_reader("127.0.0.1:0");
}

#[test]
fn the_same_over_ipv6() {
    stamps_of_a_late_reader("[::1]:0");
}

#[test]
fn a_port_used_again_is_told_apart() {
    if !may_capture() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = listener.local_addr().unwrap();
    let clock = RunClock::start();
    let (capture, rows) = start(CaptureConfig::new(vec![remote], clock));
    let mut local = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut done = Vec::new();
    for _ in 0..3 {
        let server = serve(&listener, clock, 3, Duration::from_millis(10));
        let connect = || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let socket = socket.unwrap();
            socket.set_reuse_address(true).unwrap();
            // Closing resets the connection, so that its port is free at once.
            socket.set_linger(Some(Duration::ZERO)).unwrap();
            socket.bind(&local.into()).unwrap();
            socket.connect(&remote.into()).unwrap();
            TcpStream::from(socket)
        };
        let mut exchange = Exchange::begin(connect, clock);
        local = exchange.stream.local_addr().unwrap();
        let writes = server.join().unwrap();
        let measured = exchange.end(3, clock);
        exchange.stream = TcpStream::connect(remote).unwrap();
        drop(listener.accept().unwrap());
        done.push((measured, exchange, writes));
    }
    let handle = capture.handle();
    let (measured, done): (Vec<_>, Vec<_>) =
        done.into_iter().map(|(measured, exchange, writes)| (measured, (exchange, writes))).unzip();
    // Handed in when all three are over.
    for measured in measured {
        assert!(handle.settle(measured).is_none());
    }
    assert_eq!(capture.finish().settled_by_packet, 3);
    for (row, (exchange, writes)) in rows.lock().unwrap().iter().zip(&done) {
        check(row, exchange, writes);
    }
}

#[test]
fn an_overrun_is_counted_and_hangs_nothing() {
    if !may_capture() {
        return;
    }
    const PIECES: usize = 250;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = listener.local_addr().unwrap();
    let clock = RunClock::start();
    // The sink holds the capture's thread up until the flood is over.
    let (release, held) = mpsc::channel::<()>();
    let rows = Rows::default();
    let sink = Arc::clone(&rows);
    let config = CaptureConfig { ring_bytes: 1, ..CaptureConfig::new(vec![remote], clock) };
    let capture = Capture::start(config, move |row: RequestRow| {
        if row.id == 99 {
            held.recv().unwrap();
        }
        sink.lock().unwrap().push(row);
    });
    let capture = capture.unwrap();
    let handle = capture.handle();
    let mut first = without_bytes(clock);
    first.row.id = 99;
    assert!(handle.settle(first).is_none());

    // The ring has two blocks, and each span uses one up.
    let server = serve(&listener, clock, PIECES, Duration::from_millis(1));
    let mut exchange = Exchange::begin(|| TcpStream::connect(remote).unwrap(), clock);
    let measured = exchange.end(PIECES, clock);
    server.join().unwrap();
    release.send(()).unwrap();
    assert!(handle.settle(measured).is_none());
    let report = capture.finish();

    let rows = rows.lock().unwrap();
    assert_eq!(rows.len(), 2);
    assert!(report.dropped > 0, "{report:?}");
    assert_eq!((report.settled_by_packet, report.fell_back, report.without_bytes), (0, 1, 1));
    assert!(report.unstamped > 0);
    // The last row was read by a reader that was on time, and its chunks are in order, all of them.
    assert_eq!(rows[1].chunks.len(), PIECES);
    assert_eq!(rows[1].stamp_source, StampSource::User);
    assert!(rows[1].chunks.is_sorted_by_key(|chunk| chunk.at));
}

/// A request that was refused.
fn without_bytes(clock: RunClock) -> Measured {
    Measured {
        row: RequestRow::default(),
        marks: Marks::default(),
        done: Moment::Clock(clock.now()),
        trail: Trail::default(),
    }
}

#[test]
fn every_row_comes_out_once_even_while_the_capture_ends() {
    if !may_capture() {
        return;
    }
    let clock = RunClock::start();
    let remote = "127.0.0.1:9".parse().unwrap();
    let (capture, rows) = start(CaptureConfig::new(vec![remote], clock));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let handle = capture.handle();
            std::thread::spawn(move || {
                let mut sent = 0;
                loop {
                    let mut measured = without_bytes(clock);
                    // Half of them wait for packets that never come.
                    measured.trail.sent_end = (sent % 2 == 0).then_some(1);
                    sent += 1;
                    if handle.settle(measured).is_some() {
                        return sent;
                    }
                    std::thread::sleep(Duration::from_micros(100));
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(50));
    let report = capture.finish();
    let sent: usize = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    // Each worker had its last row back.
    assert_eq!(rows.lock().unwrap().len(), sent - 2);
    assert_eq!(report.fell_back + report.without_bytes, sent as u64 - 2);
}

#[test]
fn a_ring_that_fails_leaves_the_rows_their_reads() {
    let clock = RunClock::start();
    let (sender, inbox) = mpsc::channel();
    let closed = Arc::new(RwLock::new(false));
    let handle = CaptureHandle { sender, closed: Arc::clone(&closed) };
    let rows = Rows::default();
    let sink = Arc::clone(&rows);
    let push = move |row| sink.lock().unwrap().push(row);
    // As after a failure: there is no ring.
    let thread = Thread::new(clock, None, inbox, closed, push);
    let thread = std::thread::spawn(move || thread.run());
    let mut measured = without_bytes(clock);
    measured.trail.sent_end = Some(1);
    assert!(handle.settle(measured).is_none());
    handle.stop();
    assert_eq!(thread.join().unwrap().fell_back, 1);
    assert_eq!(rows.lock().unwrap().len(), 1);
    assert!(handle.settle(without_bytes(clock)).is_some());
}

#[test]
fn servers_are_counted_before_anything_is_opened() {
    let clock = RunClock::start();
    for given in [0, 65] {
        let remotes = vec!["127.0.0.1:1".parse().unwrap(); given];
        let error = Capture::start(CaptureConfig::new(remotes, clock), |_| ()).unwrap_err();
        assert!(
            matches!(error, CaptureError::Servers { given: found, most: 64 } if found == given)
                || matches!(error, CaptureError::NotSupported)
        );
    }
}
