//! What the client of one thread knows of its own reading: how late it was, and on what clock.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use plimsoll_units::{Clock, Lags, RunClock, RunNanos, Wall};

use crate::receive::{ask_for_stamps, receive};

/// How far a kernel stamp may lie after the clock that was read after it: the doubt of the anchor.
const DOUBT: Duration = Duration::from_micros(5);

/// How long a segment may be on its way from the device, where it is stamped, to the queue that it is
/// read from: so much earlier than an empty queue its stamp may be. On a busy machine the kernel does
/// that work in a thread that waits for its turn like any other.
const ON_THE_WAY: Duration = Duration::from_millis(20);

/// How long the kernel is given to begin stamping.
const STAMPING_WITHIN: Duration = Duration::from_millis(100);

/// The clocks of one client, and its own delays by them.
pub(crate) struct Gauge {
    clock: Rc<dyn Clock>,
    /// `None` where the kernel's stamps are not asked for.
    wall: Option<RefCell<Wall>>,
    delays: RefCell<Lags>,
    fallbacks: Cell<u64>,
    opened: Cell<u64>,
}

impl Gauge {
    /// A gauge on the run's clock; with `kernel`, kernel stamps are taken. Then the first call of the
    /// process blocks until the kernel stamps, usually for less than 1 ms and never for longer than
    /// [`STAMPING_WITHIN`].
    pub(crate) fn new(clock: RunClock, kernel: bool) -> Rc<Self> {
        let wall = kernel.then(|| RefCell::new(Wall::new(clock)));
        if kernel {
            LazyLock::force(&ASKING);
        }
        Rc::new(Self { wall, ..Self::of(Rc::new(clock)) })
    }

    fn of(clock: Rc<dyn Clock>) -> Self {
        Self {
            clock,
            wall: None,
            delays: RefCell::default(),
            fallbacks: Cell::default(),
            opened: Cell::default(),
        }
    }

    /// A gauge on any clock, without kernel stamps.
    #[cfg(test)]
    pub(crate) fn on(clock: impl Clock + 'static) -> Rc<Self> {
        Rc::new(Self::of(Rc::new(clock)))
    }

    pub(crate) fn clock(&self) -> &Rc<dyn Clock> {
        &self.clock
    }

    /// The stamp of this moment.
    pub(crate) fn now(&self) -> RunNanos {
        self.clock.now()
    }

    /// Whether kernel stamps are taken.
    pub(crate) fn asks_kernel(&self) -> bool {
        self.wall.is_some()
    }

    /// The kernel's time of bytes that were read right before `user` and had not come by `nothing`, if
    /// it gave one that can be right: a wall clock that was set a moment ago gives wrong ones.
    pub(crate) fn kernel_stamp(
        &self,
        wall_ns: Option<u64>,
        nothing: RunNanos,
        user: RunNanos,
    ) -> Option<RunNanos> {
        let mut wall = self.wall.as_ref()?.borrow_mut();
        let stamp = wall_ns.map(|wall_ns| wall.stamp(wall_ns, user));
        let possible = |stamp: &RunNanos| {
            *stamp > RunNanos::ZERO && *stamp + ON_THE_WAY >= nothing && *stamp <= user + DOUBT
        };
        match stamp.filter(possible) {
            Some(stamp) => {
                let stamp = stamp.min(user);
                self.delays.borrow_mut().record(user - stamp);
                Some(stamp)
            }
            None => {
                self.fell_back(1);
                None
            }
        }
    }

    /// How often the wall clock was set so far, as far as the kernel's stamps are asked for.
    pub(crate) fn steps(&self) -> u32 {
        self.wall.as_ref().map_or(0, |wall| wall.borrow().steps())
    }

    /// So many reads got the clock's stamp though the kernel was asked.
    pub(crate) fn fell_back(&self, reads: u64) {
        self.fallbacks.set(self.fallbacks.get() + reads);
    }

    /// A connection was opened.
    pub(crate) fn opened(&self) {
        self.opened.set(self.opened.get() + 1);
    }

    pub(crate) fn report(&self) -> ClientReport {
        let wall = self.wall.as_ref().map(RefCell::borrow);
        ClientReport {
            read_delay: self.delays.borrow().clone(),
            socket_fallbacks: self.fallbacks.get(),
            connections_opened: self.opened.get(),
            clock_steps: wall.as_ref().map_or(0, |wall| wall.steps()),
            clock_stepped: wall.as_ref().map_or(Duration::ZERO, |wall| wall.stepped()),
            clock_slew_ppm: wall.as_ref().and_then(|wall| wall.slew_ppm()),
        }
    }
}

/// Asks for stamps as long as the process lives. The kernel begins to stamp some time after the first
/// socket that asks for it, and ends some time after the last: with one that stays, clients that come
/// and go find it stamping.
static ASKING: LazyLock<Option<UdpSocket>> = LazyLock::new(|| {
    asking().inspect_err(|error| tracing::debug!(%error, "no kernel stamps")).ok()
});

/// A socket that asks for stamps and has seen one, or has waited for it long enough: what arrives right
/// after it has asked carries none.
fn asking() -> io::Result<UdpSocket> {
    let clock = RunClock::start();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    ask_for_stamps(&socket)?;
    socket.connect(socket.local_addr()?)?;
    while clock.now() < RunNanos::ZERO + STAMPING_WITHIN {
        socket.send(&[0])?;
        match receive(socket.as_raw_fd(), &mut [0; 8]) {
            Ok(received) if received.wall_ns.is_some() => break,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => std::thread::sleep(Duration::from_micros(200)),
        }
    }
    Ok(socket)
}

/// What a client knows of its own error so far.
#[derive(Clone, Debug)]
pub struct ClientReport {
    /// How long bytes lay in the kernel before they were read, for each read with a kernel stamp.
    pub read_delay: Lags,
    /// Reads without a kernel stamp that could be right, though kernel stamps were asked for.
    pub socket_fallbacks: u64,
    /// Connections that were opened, ahead of requests and for them.
    pub connections_opened: u64,
    /// How often the wall clock was set; seen only where kernel stamps are asked for.
    pub clock_steps: u32,
    /// The sum of the sizes of those steps.
    pub clock_stepped: Duration,
    /// How fast the run's clock was steered against the raw hardware clock, parts per million.
    pub clock_slew_ppm: Option<f64>,
}

#[cfg(test)]
mod tests {
    use nix::time::{ClockId, clock_gettime};

    use super::*;

    fn wall_now() -> u64 {
        let time = clock_gettime(ClockId::CLOCK_REALTIME).unwrap();
        u64::try_from(time.tv_sec()).unwrap() * 1_000_000_000
            + u64::try_from(time.tv_nsec()).unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_stamps_when_the_gauge_is_there() {
        for _ in 0..20 {
            let _gauge = Gauge::new(RunClock::start(), true);
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            ask_for_stamps(&socket).unwrap();
            socket.send_to(&[0], socket.local_addr().unwrap()).unwrap();
            assert_eq!(socket.peek(&mut [0; 8]).unwrap(), 1);
            let received = receive(socket.as_raw_fd(), &mut [0; 8]).unwrap();
            assert!(received.wall_ns.is_some());
        }
    }

    #[test]
    fn a_kernel_stamp_counts_as_the_clients_delay() {
        let clock = RunClock::start();
        let gauge = Gauge::new(clock, true);
        std::thread::sleep(Duration::from_millis(5));
        let arrived = wall_now();
        std::thread::sleep(Duration::from_millis(3));
        let user = clock.now();
        let stamp = gauge.kernel_stamp(Some(arrived), RunNanos::ZERO, user).unwrap();
        let report = gauge.report();
        assert_eq!((report.read_delay.count(), report.read_delay.max()), (1, user - stamp));
        assert!(report.read_delay.max() >= Duration::from_millis(3) - DOUBT);
        assert_eq!(report.socket_fallbacks, 0);
    }

    #[test]
    fn a_stamp_from_the_future_or_from_before_the_run_falls_back() {
        let clock = RunClock::start();
        let gauge = Gauge::new(clock, true);
        let second = 1_000_000_000;
        for wrong in [Some(wall_now() + second), Some(wall_now() - second), None] {
            assert_eq!(gauge.kernel_stamp(wrong, RunNanos::ZERO, clock.now()), None);
        }
        // Nothing had come when the queue was last empty, so nothing came long before.
        std::thread::sleep(2 * ON_THE_WAY);
        let (early, now) = (wall_now() - 30_000_000, clock.now());
        assert_eq!(gauge.kernel_stamp(Some(early), now, now), None);
        assert!(gauge.kernel_stamp(Some(early), RunNanos::ZERO, now).is_some());
        assert_eq!((gauge.report().socket_fallbacks, gauge.report().read_delay.count()), (4, 1));
    }

    #[test]
    fn without_kernel_stamps_nothing_is_a_fallback() {
        let clock = RunClock::start();
        let gauge = Gauge::new(clock, false);
        assert_eq!(gauge.kernel_stamp(None, RunNanos::ZERO, clock.now()), None);
        assert_eq!((gauge.report().socket_fallbacks, gauge.asks_kernel()), (0, false));
    }
}
