//! What the system lets this process have, raised as far as it may be, and held against what a plan
//! needs before anything is sent.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::offered::PointLoad;

/// Files that the process needs for other things than connections: results, threads, timers, the
/// server's control plane.
const OTHER_FILES: u64 = 128;
/// A token of an answer takes about so long on a model of 14 billion parameters: enough to guess how
/// many requests of an open loop are in flight.
const TOKEN: Duration = Duration::from_millis(25);
/// How long the port of a closed connection is not used again (Linux).
const TIME_WAIT: Duration = Duration::from_secs(60);

/// The limits in effect; `None` where the system does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Files that may be open at once.
    pub(crate) open_files: Option<u64>,
    /// Local ports for outgoing connections.
    pub(crate) local_ports: Option<u64>,
}

/// What a load needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) load: PointLoad,
    /// Whether the server is in this process, so that each connection is two files.
    pub(crate) own_server: bool,
    /// The cap on requests in flight.
    pub(crate) max_in_flight: Option<u32>,
    /// Mean length of an answer.
    pub(crate) output_tokens: f64,
}

impl Limits {
    /// The limits, after those that may be raised have been.
    pub(crate) fn raised() -> Self {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        Self {
            open_files: raise_open_files(),
            local_ports: range.ok().and_then(|text| ports(&text)),
        }
    }

    /// Connections that may be open at once to one server.
    pub(crate) fn connections(&self, own_server: bool) -> Option<u64> {
        let each = if own_server { 2 } else { 1 };
        let files = self.open_files.map(|files| files.saturating_sub(OTHER_FILES) / each);
        files.into_iter().chain(self.local_ports).min()
    }

    /// Whether the load can be offered: what is to be said of it, or why it cannot.
    ///
    /// # Errors
    /// A closed loop that needs more connections than there may be: which limit, and the remedy.
    pub(crate) fn check(&self, need: &Need) -> Result<Option<String>, String> {
        let Some(most) = self.connections(need.own_server) else { return Ok(None) };
        let limit = self.reason(most);
        match need.load {
            PointLoad::Closed(concurrency) if u64::from(concurrency) > most => Err(format!(
                "{concurrency} requests at a time need as many connections, and {most} can be open at \
                 once: {limit}, or lower the concurrency"
            )),
            PointLoad::Closed(_) => Ok(None),
            PointLoad::Open(rate) => {
                let rate = rate.per_second();
                let length = need.output_tokens * TOKEN.as_secs_f64();
                let (in_flight, from) = match need.max_in_flight {
                    Some(cap) => (f64::from(cap), "the cap allows".to_owned()),
                    None => (
                        rate * length,
                        format!(
                            "answers of {:.0} tokens at {} ms each mean",
                            need.output_tokens,
                            TOKEN.as_millis()
                        ),
                    ),
                };
                if in_flight > most as f64 {
                    return Ok(Some(format!(
                        "at {rate} req/s {from} about {in_flight:.0} requests in flight, and {most} \
                         connections can be open at once; requests beyond them fail: {limit}"
                    )));
                }
                let ports =
                    self.local_ports.filter(|ports| rate * TIME_WAIT.as_secs_f64() > *ports as f64);
                Ok(ports.map(|ports| {
                    format!(
                        "if the server does not keep its connections, {rate} req/s use up the {ports} \
                         local ports within {} s (net.ipv4.ip_local_port_range)",
                        TIME_WAIT.as_secs()
                    )
                }))
            }
        }
    }

    /// Which limit leaves no more than `most` connections, and how it is raised.
    fn reason(&self, most: u64) -> String {
        match (self.local_ports, self.open_files) {
            (Some(ports), _) if ports == most => format!(
                "there are {ports} local ports; widen the range \
                 (sysctl net.ipv4.ip_local_port_range)"
            ),
            (_, Some(files)) => {
                format!("this process may have {files} files open; raise the limit (ulimit -n)")
            }
            _ => "raise the system's limits".to_owned(),
        }
    }
}

/// Raises this process's limit on open files to what it may have. Says what the limit is now.
fn raise_open_files() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return Some(hard);
    }
    Some(soft)
}

/// How many ports a range like `32768 60999` has, both ends included.
fn ports(range: &str) -> Option<u64> {
    let mut ends = range.split_ascii_whitespace().map(|end| end.parse::<u64>().ok());
    let (first, last) = (ends.next()??, ends.next()??);
    (last + 1).checked_sub(first)
}

#[cfg(test)]
mod tests {
    use plimsoll_units::Rate;

    use super::*;

    const LIMITS: Limits = Limits { open_files: Some(1128), local_ports: Some(28_232) };

    fn closed(concurrency: u32) -> Need {
        Need {
            load: PointLoad::Closed(concurrency),
            own_server: false,
            max_in_flight: None,
            output_tokens: 100.0,
        }
    }

    fn open(rate: f64) -> Need {
        Need { load: PointLoad::Open(Rate::new(rate).unwrap()), ..closed(1) }
    }

    #[test]
    fn a_port_range_has_both_its_ends() {
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        assert_eq!(ports("5 5"), Some(1));
        for wrong in ["", "7", "a b", "9 7"] {
            assert_eq!(ports(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_closed_loop_beyond_the_open_files_is_refused_with_limit_and_remedy() {
        assert_eq!(LIMITS.check(&closed(1000)), Ok(None));
        let refused = LIMITS.check(&closed(1001)).unwrap_err();
        for word in ["1001", "1000", "1128 files", "ulimit -n"] {
            assert!(refused.contains(word), "{refused}");
        }
        // A server in this process has the other end of each connection.
        let own = Need { own_server: true, ..closed(501) };
        assert!(LIMITS.check(&own).is_err());
        assert!(LIMITS.check(&Need { load: PointLoad::Closed(500), ..own }).is_ok());
    }

    #[test]
    fn a_closed_loop_beyond_the_local_ports_is_refused_too() {
        let limits = Limits { local_ports: Some(10), ..LIMITS };
        let refused = limits.check(&closed(11)).unwrap_err();
        assert!(refused.contains("ip_local_port_range"), "{refused}");
        assert_eq!(Limits::default().check(&closed(u32::MAX)), Ok(None), "nothing is known");
    }

    #[test]
    fn an_open_loop_is_never_refused_but_remarked_on() {
        // 100 tokens of 25 ms: 2.5 s, so 401 req/s are over 1,000 in flight.
        assert_eq!(LIMITS.check(&open(399.0)), Ok(None));
        let remark = LIMITS.check(&open(401.0)).unwrap().unwrap();
        assert!(remark.contains("ulimit -n") && remark.contains("1000"), "{remark}");
        let capped = Need { max_in_flight: Some(900), ..open(401.0) };
        assert_eq!(LIMITS.check(&capped), Ok(None));
        let many = Limits { open_files: Some(1_000_000), ..LIMITS };
        assert_eq!(many.check(&open(470.0)), Ok(None));
        let churn = many.check(&open(471.0)).unwrap().unwrap();
        assert!(churn.contains("28232 local ports"), "{churn}");
    }

    #[test]
    fn the_systems_own_limits_are_read() {
        let limits = Limits::raised();
        assert!(limits.open_files.is_some_and(|files| files > 0), "{limits:?}");
        assert_eq!(limits, Limits::raised(), "raising twice changes nothing");
    }
}
