//! Is this machine fit to measure from? Timers, clocks, limits, and the client's own error at several loads.

use std::time::Duration;

use plimsoll_client::{Api, ClientConfig};
use plimsoll_load::{ArrivalProcess, Driver, Lags, Schedule, Start, Stop, pacing_runtime};
use plimsoll_records::{Machine, SelfTest, SelfTestTime, StampSource};
use plimsoll_units::{Clock as _, Rate, RunClock, WallAnchor};

use crate::error::RunError;
use crate::interrupt::Interrupt;
use crate::limits::Limits;
use crate::machine::machine;
use crate::matrix::MatrixSource;
use crate::offered::PointLoad;
use crate::self_test::{SelfTestPlan, Shape, self_test};
use crate::stamping::Grade;

/// A lag that the audit calls late whatever the server's latency is.
const LATE: Duration = Duration::from_millis(1);
/// A lag with which hardly any server's latency can be measured.
const HOPELESS: Duration = Duration::from_millis(5);
/// Starts a second for which the timers are tried, and how long.
const TIMER_RATE: f64 = 1000.0;
const TIMER_LENGTH: Duration = Duration::from_secs(1);
/// Length of each self-test.
const TEST_LENGTH: Duration = Duration::from_secs(2);
/// Mean prompt and answer of the self-tests, tokens.
const TOKENS: (f64, f64) = (128.0, 100.0);
/// An error of the mean TTFT that would show in a server's figure of some tens of milliseconds, ms.
const LARGE_ERROR_MS: f64 = 0.5;

/// How fit the machine is in one respect, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fitness {
    /// Nothing speaks against measuring.
    Good,
    /// Measurements will be qualified, or only small loads be possible.
    Limited,
    /// Measurements from here would be void.
    Unfit,
}

/// What was looked at, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub fitness: Fitness,
    /// What was seen, in words with numbers.
    pub found: String,
    /// What would help; `None` where it is good.
    pub remedy: Option<&'static str>,
}

/// The machine as an instrument.
#[derive(Clone, Debug)]
pub struct MachineCheck {
    /// What the system says of itself.
    pub machine: Machine,
    /// Each thing that was looked at.
    pub checks: Vec<Check>,
    /// The client's own error against the simulator of this process, at rising loads. Client and simulator
    /// share the machine, so what holds here holds the more against a server elsewhere.
    pub self_tests: Vec<SelfTest>,
    /// The highest rate of these tests, in requests per second, at which the error was small and the
    /// client on time; `None` where it was at none.
    pub ceiling_per_s: Option<f64>,
}

impl MachineCheck {
    /// The worst of all checks.
    #[must_use]
    pub fn fitness(&self) -> Fitness {
        self.checks.iter().map(|check| check.fitness).max().unwrap_or(Fitness::Good)
    }
}

/// Looks at this machine. Takes about twenty seconds, most of which are self-tests; an interrupt ends
/// it early, with what is known by then.
///
/// # Errors
/// When the system gives no runtime, no thread or no temporary folder.
pub fn check_machine(interrupt: &Interrupt) -> Result<MachineCheck, RunError> {
    let limits = Limits::raised();
    let clock = RunClock::start();
    let machine = machine(&limits);
    let grade = Grade::find(None);
    let mut checks = vec![
        cores(&machine),
        busy(std::fs::read_to_string("/proc/loadavg").ok().as_deref(), machine.cores),
        stamps(&grade),
        connections(&limits),
        timers(clock)?,
    ];
    let began = WallAnchor::measure(&clock);
    let mut self_tests = Vec::new();
    let mut ceiling: Option<f64> = None;
    for load in loads(&limits) {
        if interrupt.is_raised() {
            break;
        }
        let Some(test) = test(clock, &grade, load, &limits, interrupt)? else { break };
        let check = own_error(load, &test);
        if let (PointLoad::Open(rate), Fitness::Good) = (load, check.fitness) {
            ceiling = Some(ceiling.map_or(rate.per_second(), |best| best.max(rate.per_second())));
        }
        checks.push(check);
        self_tests.push(test);
    }
    checks.push(wall_clock(&began, &WallAnchor::measure(&clock)));
    Ok(MachineCheck { machine, checks, self_tests, ceiling_per_s: ceiling })
}

/// Loads of the self-tests, from small to large: what users of a server on a small machine and on a large
/// one would offer.
fn loads(limits: &Limits) -> Vec<PointLoad> {
    let open = [10.0, 100.0, 300.0, 500.0].into_iter().filter_map(|rate| Rate::new(rate).ok());
    let most = limits.connections(true).unwrap_or(u64::MAX);
    let closed = [100_u32, 1000].into_iter().filter(|streams| u64::from(*streams) <= most);
    open.map(PointLoad::Open).chain(closed.map(PointLoad::Closed)).collect()
}

fn test(
    clock: RunClock,
    grade: &Grade,
    load: PointLoad,
    limits: &Limits,
    interrupt: &Interrupt,
) -> Result<Option<SelfTest>, RunError> {
    let matrix = MatrixSource::new(
        "<check>".as_ref(),
        "[experiment]\nkind = \"saturation\"\n[workload]\ninput-tokens = 128\noutput-tokens = 100\n\
         [load]\nrates = [1]\n"
            .to_owned(),
    )
    .parse()?;
    let endpoint = "http://127.0.0.1:1"
        .parse()
        .map_err(|_| RunError::Probe("the self-test's own address cannot be read".to_owned()))?;
    let mut client = ClientConfig::new(endpoint, Api::Chat, clock);
    client.stamps = grade.source;
    let shape = Shape::new(load, Some(TOKENS.0), TOKENS.1, TEST_LENGTH, limits.connections(true));
    let plan = SelfTestPlan {
        when: SelfTestTime::Before,
        shape: &shape,
        matrix: &matrix,
        client: &client,
        workers: crate::machine::cores().saturating_sub(1).max(1),
        seed: 1,
        folder: &std::env::temp_dir(),
    };
    self_test(&plan, interrupt)
}

fn check(name: &str, fitness: Fitness, found: String, remedy: &'static str) -> Check {
    let remedy = (fitness != Fitness::Good).then_some(remedy);
    Check { name: name.to_owned(), fitness, found, remedy }
}

fn cores(machine: &Machine) -> Check {
    let fitness = if machine.cores >= 2 { Fitness::Good } else { Fitness::Limited };
    check(
        "cores",
        fitness,
        format!("{} for this process", machine.cores),
        "a second core, so that the client does not share one with everything else",
    )
}

/// `text` is `/proc/loadavg`; where there is none, nothing is known and nothing said against it.
fn busy(text: Option<&str>, cores: u32) -> Check {
    let load = text.and_then(|text| text.split_ascii_whitespace().next()?.parse::<f64>().ok());
    let (fitness, found) = match load {
        None => (Fitness::Good, "not known on this system".to_owned()),
        Some(load) => {
            let fitness =
                if load <= 0.5 * f64::from(cores) { Fitness::Good } else { Fitness::Limited };
            (fitness, format!("load average {load:.2} on {cores} cores"))
        }
    };
    check("other work", fitness, found, "stop what else runs here, or measure from another machine")
}

fn stamps(grade: &Grade) -> Check {
    let fitness = if grade.source == StampSource::User { Fitness::Limited } else { Fitness::Good };
    let (name, limit) = match grade.source {
        StampSource::Packet => ("of each packet", ""),
        StampSource::Socket => ("of each read, by the kernel", ""),
        _ => (
            "of the clock after each read",
            ", so a client that wakes late makes the server look slow",
        ),
    };
    let why = grade.why_not_better.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    let found = format!("{name}{limit}{why}");
    check("time stamps", fitness, found, "a Linux kernel; for packets CAP_NET_RAW as well")
}

fn connections(limits: &Limits) -> Check {
    let most = limits.connections(false);
    let fitness = match most {
        Some(most) if most < 1000 => Fitness::Limited,
        _ => Fitness::Good,
    };
    let found = most.map_or_else(
        || "limits are not known on this system".to_owned(),
        |most| format!("{most} can be open at once to one server"),
    );
    check(
        "connections",
        fitness,
        found,
        "raise the limit on open files (ulimit -n), or net.ipv4.ip_local_port_range",
    )
}

/// Starts by absolute timers, with nothing else to do.
fn timers(clock: RunClock) -> Result<Check, RunError> {
    let rate = Rate::new(TIMER_RATE).map_err(|error| RunError::Probe(error.to_string()))?;
    let schedule = Schedule::new(ArrivalProcess::Constant, rate, 1);
    let origin = clock.now() + Duration::from_millis(50);
    let stop = Stop::new();
    stop.at(origin + TIMER_LENGTH);
    let driver = Driver::open(schedule.shard(0, 1)?, clock, origin);
    let nothing = |_: Start| std::future::ready(());
    let report = pacing_runtime()
        .map_err(RunError::io("make a runtime"))?
        .block_on(driver.run(&nothing, &stop))?;
    Ok(lateness("timers", "starts at 1,000 a second", &report.lag))
}

fn lateness(name: &str, what: &str, lag: &Lags) -> Check {
    let of = |q| lag.quantile(q).unwrap_or_default();
    let (p50, p99) = (of(0.5), of(0.99));
    let fitness = if p99 <= LATE {
        Fitness::Good
    } else if p99 <= HOPELESS {
        Fitness::Limited
    } else {
        Fitness::Unfit
    };
    let ms = |late: Duration| late.as_secs_f64() * 1e3;
    check(
        name,
        fitness,
        format!("{what} are {:.3} ms late at p50, {:.3} ms at p99", ms(p50), ms(p99)),
        "idle cores for the client; no power saving, no overcommitted virtual machine",
    )
}

fn own_error(load: PointLoad, test: &SelfTest) -> Check {
    let error = test.ttft_error;
    let late = test.schedule_lag.p99_ms / 1e3;
    let fitness = if test.lost > 0 || error.count == 0 || late > HOPELESS.as_secs_f64() {
        Fitness::Unfit
    } else if error.mean_ms.abs() > LARGE_ERROR_MS || late > LATE.as_secs_f64() {
        Fitness::Limited
    } else {
        Fitness::Good
    };
    let lost = if test.lost > 0 { format!(", {} requests lost", test.lost) } else { String::new() };
    check(
        &format!("own error, {load}"),
        fitness,
        format!(
            "{:+.3} ms of TTFT on average, {:.3} ms at p99; requests {:.3} ms late at p99{lost}",
            error.mean_ms, error.p99_ms, test.schedule_lag.p99_ms
        ),
        "offer less from this machine, or give the client more cores (client.workers)",
    )
}

fn wall_clock(began: &WallAnchor, ended: &WallAnchor) -> Check {
    let (fitness, found) = match ended.step_since(began) {
        None => (Fitness::Good, "was not set while this was looked at".to_owned()),
        Some(_) => (
            Fitness::Limited,
            "was set while this was looked at, and the kernel stamps what it receives by it"
                .to_owned(),
        ),
    };
    check(
        "wall clock",
        fitness,
        found,
        "let the time daemon steer, not set, the clock while measuring",
    )
}

#[cfg(test)]
mod tests {
    use plimsoll_records::{ErrorRecord, LagRecord};

    use super::*;

    fn tested(mean_ms: f64, late_p99_ms: f64, lost: u64) -> SelfTest {
        SelfTest {
            when: SelfTestTime::Before,
            rate_per_s: 100.0,
            streams: 100.0,
            requests: 200,
            lost,
            stamps: StampSource::Packet,
            ttft_error: ErrorRecord { count: 200, mean_ms, ..ErrorRecord::default() },
            tpot_error: ErrorRecord::default(),
            schedule_lag: LagRecord { count: 200, p99_ms: late_p99_ms, ..LagRecord::default() },
        }
    }

    #[test]
    fn an_error_or_a_lag_that_would_show_limits_and_lost_requests_disqualify() {
        let load = PointLoad::Closed(100);
        for (test, fitness) in [
            (tested(0.05, 0.2, 0), Fitness::Good),
            (tested(-0.6, 0.2, 0), Fitness::Limited),
            (tested(0.05, 1.5, 0), Fitness::Limited),
            (tested(0.05, 6.0, 0), Fitness::Unfit),
            (tested(0.05, 0.2, 1), Fitness::Unfit),
        ] {
            let check = own_error(load, &test);
            assert_eq!(check.fitness, fitness, "{check:?}");
            assert_eq!(check.remedy.is_none(), fitness == Fitness::Good);
        }
    }

    #[test]
    fn lags_are_judged_by_their_p99() {
        for (late_us, fitness) in
            [(80, Fitness::Good), (2_000, Fitness::Limited), (9_000, Fitness::Unfit)]
        {
            let mut lags = Lags::new();
            (0..100).for_each(|_| lags.record(Duration::from_micros(late_us)));
            assert_eq!(lateness("timers", "starts", &lags).fitness, fitness);
        }
    }

    #[test]
    fn the_system_is_asked_for_cores_load_and_limits() {
        let machine = |cores| Machine { cores, ..Machine::default() };
        assert_eq!(cores(&machine(1)).fitness, Fitness::Limited);
        assert_eq!(cores(&machine(8)).fitness, Fitness::Good);
        assert_eq!(busy(Some("0.20 0.1 0.1 1/99 7"), 2).fitness, Fitness::Good);
        assert_eq!(busy(Some("3.00 0.1 0.1 1/99 7"), 2).fitness, Fitness::Limited);
        assert_eq!(busy(None, 2).fitness, Fitness::Good);
        let few = Limits { open_files: Some(1024), local_ports: Some(28_000) };
        let check = connections(&few);
        assert!(check.found.starts_with("896 can be open"), "{check:?}");
        assert_eq!(check.fitness, Fitness::Limited);
        assert!(loads(&few).iter().all(|load| *load != PointLoad::Closed(1000)));
        assert_eq!(connections(&Limits::default()).fitness, Fitness::Good);
    }

    #[test]
    fn poor_stamps_limit_and_say_why() {
        let user =
            Grade { source: StampSource::User, why_not_better: Some("no such option".to_owned()) };
        let check = stamps(&user);
        assert_eq!(check.fitness, Fitness::Limited);
        assert!(check.found.contains("no such option"), "{check:?}");
        let packet = Grade { source: StampSource::Packet, why_not_better: None };
        assert_eq!(stamps(&packet).fitness, Fitness::Good);
    }

    #[test]
    fn an_interrupted_check_says_what_is_known_by_then() {
        let interrupt = Interrupt::new();
        interrupt.raise();
        let checked = check_machine(&interrupt).unwrap();
        assert!(checked.self_tests.is_empty() && checked.ceiling_per_s.is_none());
        assert!(checked.checks.iter().any(|check| check.name == "timers"));
        assert!(checked.checks.iter().all(|check| !check.found.is_empty()));
    }
}
