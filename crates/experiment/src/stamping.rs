//! Where the stamps of responses come from: the best source that can be had, the packet capture of a
//! point, and what is said of it afterwards.

use std::net::{SocketAddr, ToSocketAddrs as _};

use plimsoll_client::{Capture, CaptureConfig, CaptureReport, ClientReport, Endpoint};
use plimsoll_records::{RowSender, StampSource, StampsRecord};
use plimsoll_units::{Lags, RunClock};

/// The best source that the kernel's sockets have here.
const BEST_OF_SOCKETS: StampSource =
    if cfg!(target_os = "linux") { StampSource::Socket } else { StampSource::User };

/// What stamps a run asks for, and why it does not ask for better ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grade {
    pub(crate) source: StampSource,
    /// Set where a better source was wished for, if only by default.
    pub(crate) why_not_better: Option<String>,
}

impl Grade {
    /// The best source up to `wish` (up to the best of all without one).
    pub(crate) fn find(wish: Option<StampSource>) -> Self {
        Self::choose(wish, || Capture::probe().map_err(|error| error.to_string()))
    }

    /// As [`Grade::find`]; `probe` says why packets cannot be captured.
    fn choose(wish: Option<StampSource>, probe: impl FnOnce() -> Result<(), String>) -> Self {
        let fits = |source| Self { source, why_not_better: None };
        match wish.unwrap_or(StampSource::Packet) {
            StampSource::User => fits(StampSource::User),
            StampSource::Socket if BEST_OF_SOCKETS == StampSource::Socket => {
                fits(StampSource::Socket)
            }
            StampSource::Socket => Self {
                source: BEST_OF_SOCKETS,
                why_not_better: Some("this system's sockets give no receive times".to_owned()),
            },
            // Packets, and whatever may once be better.
            _ => match probe() {
                Ok(()) => fits(StampSource::Packet),
                Err(why) => Self { source: BEST_OF_SOCKETS, why_not_better: Some(why) },
            },
        }
    }
}

/// The capture of a point whose client connects to `endpoints`, which gives each row to `rows`.
///
/// # Errors
/// Why there is none, in words.
pub(crate) fn capture<'a>(
    endpoints: impl IntoIterator<Item = &'a Endpoint>,
    clock: RunClock,
    mut rows: RowSender,
) -> Result<Capture, String> {
    // Looked up once, as each worker's client does: a server behind many addresses is captured whole.
    let mut remotes: Vec<SocketAddr> = Vec::new();
    for endpoint in endpoints {
        let addresses = (endpoint.host(), endpoint.port()).to_socket_addrs();
        remotes.extend(addresses.map_err(|error| error.to_string())?);
    }
    remotes.sort_unstable();
    remotes.dedup();
    let config = CaptureConfig::new(remotes, clock);
    Capture::start(config, move |row| rows.send(row)).map_err(|error| error.to_string())
}

/// What a point's workers and its capture say of their stamps, when `asked` was asked for.
pub(crate) fn stamps_record<'a>(
    asked: StampSource,
    clients: impl IntoIterator<Item = &'a ClientReport>,
    capture: Option<&CaptureReport>,
) -> StampsRecord {
    let mut delays = Lags::new();
    let mut socket_fallbacks = 0;
    for client in clients {
        delays.merge(&client.read_delay);
        socket_fallbacks += client.socket_fallbacks;
    }
    // A capture that saw nothing of what it was to stamp was not in effect.
    let seen = capture.is_some_and(|report| report.settled_by_packet > 0 || report.fell_back == 0);
    StampsRecord {
        source: if seen { asked } else { asked.min(BEST_OF_SOCKETS) },
        read_delay: (&delays).into(),
        socket_fallbacks,
        packet_fallbacks: capture.map_or(0, |report| report.unstamped),
        packets: capture.map(|report| report.segments),
        packets_dropped: capture.map(|report| report.dropped),
    }
}

/// What went wrong with a capture, if anything did.
pub(crate) fn capture_remark(report: &CaptureReport) -> Option<String> {
    if let Some(failure) = &report.failure {
        return Some(format!(
            "the packet capture failed ({failure}): stamps after it are those of the sockets"
        ));
    }
    (report.settled_by_packet == 0 && report.fell_back > 0).then(|| {
        "the packet capture saw none of the packets that were sent and received (is there an address \
         translation on the way?): stamps are those of the sockets"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_best_there_is_is_taken_and_what_cannot_be_had_is_said() {
        let may = || Ok(());
        let may_not = || Err("no right".to_owned());
        let chosen = |wish, probe: fn() -> Result<(), String>| {
            let grade = Grade::choose(wish, probe);
            (grade.source, grade.why_not_better.is_some())
        };
        use StampSource::{Packet, Socket, User};
        assert_eq!(chosen(None, may), (Packet, false));
        assert_eq!(chosen(None, may_not), (BEST_OF_SOCKETS, true));
        assert_eq!(chosen(Some(Packet), may_not), (BEST_OF_SOCKETS, true));
        assert_eq!(chosen(Some(Socket), may), (BEST_OF_SOCKETS, BEST_OF_SOCKETS != Socket));
        assert_eq!(chosen(Some(User), may), (User, false));
    }

    fn client(delay_us: u64, socket_fallbacks: u64) -> ClientReport {
        let mut read_delay = Lags::new();
        read_delay.record(Duration::from_micros(delay_us));
        ClientReport {
            read_delay,
            socket_fallbacks,
            connections_opened: 1,
            clock_steps: 0,
            clock_stepped: Duration::ZERO,
            clock_slew_ppm: None,
        }
    }

    #[test]
    fn the_workers_delays_are_those_of_the_point() {
        let clients = [client(100, 1), client(300, 2)];
        let record = stamps_record(StampSource::Socket, &clients, None);
        assert_eq!((record.source, record.socket_fallbacks), (BEST_OF_SOCKETS, 3));
        assert_eq!((record.read_delay.count, record.read_delay.max_ms), (2, 0.3));
        assert!((record.read_delay.mean_ms - 0.2).abs() < 1e-9);
        assert_eq!((record.packets, record.packets_dropped), (None, None));
    }

    #[test]
    fn a_capture_that_stamped_nothing_was_not_in_effect() {
        let mut report = CaptureReport::default();
        (report.fell_back, report.unstamped) = (5, 60);
        let record = stamps_record(StampSource::Packet, [], Some(&report));
        assert_eq!((record.source, record.packet_fallbacks), (BEST_OF_SOCKETS, 60));
        assert!(capture_remark(&report).unwrap().contains("saw none"));
        report.settled_by_packet = 1;
        let record = stamps_record(StampSource::Packet, [], Some(&report));
        assert_eq!((record.source, record.packets), (StampSource::Packet, Some(0)));
        assert_eq!(capture_remark(&report), None);
        report.failure = Some("ENETDOWN".to_owned());
        assert!(capture_remark(&report).unwrap().contains("ENETDOWN"));
    }
}
