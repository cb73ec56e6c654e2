//! Waiting for sockets and for an absolute instant at once.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// What woke the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Listener,
    Timer,
    Stop,
    Connection { slot: u32, readable: bool, writable: bool },
}

/// Tags above every slot.
const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
const STOP: u64 = u64::MAX - 2;

impl Source {
    pub(crate) const fn of(slot: u32) -> Self {
        Self::Connection { slot, readable: false, writable: false }
    }

    const fn tag(self) -> u64 {
        match self {
            Self::Listener => LISTENER,
            Self::Timer => TIMER,
            Self::Stop => STOP,
            Self::Connection { slot, .. } => slot as u64,
        }
    }

    fn woken(event: EpollEvent) -> Self {
        match event.data() {
            LISTENER => Self::Listener,
            TIMER => Self::Timer,
            STOP => Self::Stop,
            slot => {
                let broken = EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP;
                let flags = event.events();
                Self::Connection {
                    // Only slots are added with tags below the three above.
                    slot: slot as u32,
                    readable: flags.intersects(broken | EpollFlags::EPOLLIN),
                    writable: flags.contains(EpollFlags::EPOLLOUT),
                }
            }
        }
    }
}

/// An epoll descriptor with a timer of nanosecond resolution in it.
#[derive(Debug)]
pub(crate) struct Poll {
    epoll: Epoll,
    timer: TimerFd,
    /// The instant that the timer is set to. Unit: ns of `CLOCK_MONOTONIC`.
    armed_ns: u64,
    events: Vec<EpollEvent>,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        // By edges, so that nobody has to read the timer: every expiry raises a new one.
        let edges = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll.add(&timer, EpollEvent::new(edges, TIMER))?;
        Ok(Self { epoll, timer, armed_ns: 0, events: vec![EpollEvent::empty(); 256] })
    }

    /// Watches what can be read.
    pub(crate) fn add(&self, what: &impl AsFd, source: Source) -> io::Result<()> {
        Ok(self.epoll.add(what, EpollEvent::new(EpollFlags::EPOLLIN, source.tag()))?)
    }

    /// Watches also whether `stream` can be written, or no longer.
    pub(crate) fn modify(
        &self,
        stream: &TcpStream,
        source: Source,
        writes: bool,
    ) -> io::Result<()> {
        let mut flags = EpollFlags::EPOLLIN;
        flags.set(EpollFlags::EPOLLOUT, writes);
        Ok(self.epoll.modify(stream, &mut EpollEvent::new(flags, source.tag()))?)
    }

    /// Appends what is ready to `ready`, after waiting for it: not at all for an instant that is 0,
    /// else until that instant, else for ever. Unit: ns of `CLOCK_MONOTONIC`.
    pub(crate) fn wait(
        &mut self,
        until_ns: Option<u64>,
        ready: &mut Vec<Source>,
    ) -> io::Result<()> {
        let timeout = if until_ns == Some(0) { EpollTimeout::ZERO } else { EpollTimeout::NONE };
        if let Some(until) = until_ns.filter(|&until| until > 0 && until != self.armed_ns) {
            let deadline =
                Expiration::OneShot(TimeSpec::from_duration(Duration::from_nanos(until)));
            self.timer.set(deadline, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            self.armed_ns = until;
        }
        let woken = match self.epoll.wait(&mut self.events, timeout) {
            Ok(woken) => woken,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        ready.extend(self.events[..woken].iter().map(|event| Source::woken(*event)));
        Ok(())
    }
}
