//! Random servers whose capacity is known in closed form, and a client that probes them in virtual
//! time. Shares no code with the search, except that a probe warms up and ends by the analysis's
//! own live rules and is summed up by it, as a real one is.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_analysis::{
    OverloadDetector, OverloadVerdict, Probe, ProbeResult, Progress, Slo, SloMetric, SloTerm,
    WarmUp, summarise,
};
use plimsoll_records::{
    ChunkRow, ClockRecord, ConnectionUse, OfferedLoad, Outcome, Phases, PointEnd, PointFile,
    RequestRow, ServerCounters, ServerStart, StampSource, StampsRecord, WorkloadRecord,
};
use plimsoll_units::RunNanos;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

/// How requests are served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    /// Each of `servers` works on one request at a time, for an exponential or a constant time.
    Queue { servers: usize, exponential: bool },
    /// Up to `slots` requests share each step, which gives a token to each of them and takes
    /// `fixed` of a full step's time plus the rest in proportion to how many they are. Answers have
    /// 1 to 2 `tokens` - 1 tokens, all equally likely. With `prefill` all have `tokens` tokens, and a
    /// request's first step takes longer by what makes this share of the full server's time on average,
    /// half to one and a half of it.
    Steps { slots: usize, tokens: usize, fixed: f64, prefill: Option<f64> },
}

/// A server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    pub(crate) way: Way,
    /// Requests per second at most.
    pub(crate) capacity: f64,
    /// The share of its throughput that it loses for as long as more than [`CROWD`] requests wait,
    /// fully so at twice as many.
    pub(crate) thrash: Option<f64>,
    /// The end-to-end time that an SLO allows, s.
    pub(crate) allowed: Option<f64>,
    /// Whether requests come at equal gaps, and not as a Poisson process.
    pub(crate) even: bool,
}

/// Waiting requests from which a server thrashes: far more than chance lets wait below capacity.
const CROWD: f64 = 150.0;

/// One request, in seconds.
struct Request {
    at: f64,
    tokens: usize,
    stamps: Vec<f64>,
}

impl Request {
    fn done(&self) -> f64 {
        self.stamps.last().copied().unwrap_or(self.at)
    }
}

impl Server {
    /// A random one: capacity from 0.5 to 5,000 requests a second, its kind by turns.
    pub(crate) fn random(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xca9a_c117);
        let capacity = 0.5 * 10_000_f64.powf(rng.random());
        let servers = rng.random_range(1..=32);
        let slots = rng.random_range(4..=64);
        let tokens = rng.random_range(2..=8);
        let fixed = rng.random_range(0.2..0.9);
        let fall = rng.random_range(0.15..0.5);
        let (way, thrash) = match seed % 4 {
            0 => (Way::Queue { servers, exponential: true }, None),
            1 => (Way::Queue { servers, exponential: false }, None),
            2 => (Way::Steps { slots, tokens, fixed, prefill: None }, None),
            _ => (Way::Steps { slots, tokens, fixed, prefill: None }, Some(fall)),
        };
        Self { way, capacity, thrash, allowed: None, even: false }
    }

    /// Tokens of a request on average.
    pub(crate) fn mean_tokens(&self) -> f64 {
        match self.way {
            Way::Queue { .. } => 2.0,
            Way::Steps { tokens, .. } => tokens as f64,
        }
    }

    /// About how long a request takes.
    fn service(&self) -> f64 {
        match self.way {
            Way::Queue { servers, .. } => servers as f64 / self.capacity,
            Way::Steps { slots, .. } => slots as f64 / self.capacity,
        }
    }

    /// Arrivals, served.
    fn serve(&self, rate: f64, until: f64, seed: u64) -> Vec<Request> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut at = 0.0;
        let mut requests = Vec::new();
        loop {
            let gap: f64 = if self.even { 1.0 } else { Exp1.sample(&mut rng) };
            at += gap / rate;
            if at >= until {
                break;
            }
            let tokens = match self.way {
                Way::Queue { .. } => 2,
                Way::Steps { tokens, prefill: Some(_), .. } => tokens,
                Way::Steps { tokens, .. } => rng.random_range(1..2 * tokens),
            };
            requests.push(Request { at, tokens, stamps: Vec::with_capacity(tokens) });
        }
        match self.way {
            Way::Queue { servers, exponential } => {
                let service = servers as f64 / self.capacity;
                let mut free = vec![0.0_f64; servers];
                for request in &mut requests {
                    let first =
                        free.iter_mut().min_by(|a, b| a.total_cmp(b)).expect("there is a server");
                    let begun = first.max(request.at);
                    let draw: f64 = if exponential { Exp1.sample(&mut rng) } else { 1.0 };
                    let took = service * draw;
                    request.stamps.extend([begun + took / 2.0, begun + took]);
                    *first = begun + took;
                }
            }
            Way::Steps { slots, fixed, prefill, .. } => {
                let share = prefill.unwrap_or(0.0);
                // A full step serves `slots` tokens at capacity * mean tokens a second, prefills aside.
                let full = (1.0 - share) * slots as f64 / (self.capacity * self.mean_tokens());
                let (mut now, mut next, mut arrived) = (0.0_f64, 0, 0);
                let mut running: Vec<usize> = Vec::new();
                while next < requests.len() || !running.is_empty() {
                    while arrived < requests.len() && requests[arrived].at <= now {
                        arrived += 1;
                    }
                    while running.len() < slots && next < arrived {
                        running.push(next);
                        next += 1;
                        if prefill.is_some() {
                            now += share / self.capacity * rng.random_range(0.5..1.5);
                        }
                    }
                    if running.is_empty() {
                        now = requests[next].at;
                        continue;
                    }
                    let crowd = ((arrived - next) as f64 / CROWD - 1.0).clamp(0.0, 1.0);
                    let slower = 1.0 / (1.0 - self.thrash.unwrap_or(0.0) * crowd);
                    let share = running.len() as f64 / slots as f64;
                    now += full * (fixed + (1.0 - fixed) * share) * slower;
                    for &index in &running {
                        requests[index].stamps.push(now);
                    }
                    running.retain(|&index| requests[index].stamps.len() < requests[index].tokens);
                }
            }
        }
        requests
    }

    /// A random one with an SLO that 90 % of the requests meet at this very rate: M/M/c and shared
    /// steps by turns, at 0.6 to 0.85 of the capacity.
    pub(crate) fn with_slo(seed: u64) -> (Self, f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x510);
        let mut server = Self::random(2 * seed);
        // Of many servers of exponential times the longest are alone, not the queue's: no rate changes them.
        if let Way::Queue { servers, .. } = &mut server.way {
            *servers = 1 + *servers % 4;
        }
        let rate = server.capacity * rng.random_range(0.6..0.85);
        server.allowed = Some(match server.way {
            Way::Queue { servers, .. } => {
                // The 90 % point of the time in the system, by bisection.
                let (mut low, mut high) = (0.0, 1000.0 * server.service());
                for _ in 0..100 {
                    let middle = f64::midpoint(low, high);
                    if time_in_queue(servers, server.capacity, rate, middle) > 0.1 {
                        low = middle;
                    } else {
                        high = middle;
                    }
                }
                low
            }
            // A million requests of it, the first tenth left out.
            Way::Steps { .. } => {
                let requests = server.serve(rate, 1_000_000.0 / rate, seed);
                let mut times: Vec<f64> =
                    requests[100_000..].iter().map(|request| request.done() - request.at).collect();
                times.sort_by(f64::total_cmp);
                times[times.len() * 9 / 10]
            }
        });
        (server, rate)
    }

    /// The share of the requests that take longer than its SLO allows.
    pub(crate) fn late(&self, rate: f64, until: f64, seed: u64) -> f64 {
        let requests = self.serve(rate, until, seed);
        let allowed = self.allowed.unwrap_or(f64::INFINITY);
        let late = requests.iter().filter(|request| request.done() - request.at > allowed);
        late.count() as f64 / requests.len() as f64
    }

    /// When requests end.
    pub(crate) fn completions(&self, rate: f64, until: f64, seed: u64) -> Vec<f64> {
        self.serve(rate, until, seed).iter().map(Request::done).collect()
    }

    /// Makes a probe as a live client would: automatic warm-up, window, early end, drain.
    pub(crate) fn probe(&self, probe: Probe, seed: u64) -> ProbeResult {
        let window = probe.window.as_secs_f64();
        let rate = probe.rate_per_s;
        let most = probe.warm_up_at_most.as_secs_f64().max(1.0) + window;
        let until = if probe.drain { 1.1 * most + 3.0 * self.service() } else { most + 0.2 };
        let requests = self.serve(rate, until, seed);
        let mut done: Vec<(f64, f64)> = requests.iter().map(|r| (r.done(), r.at)).collect();
        done.sort_by(|a, b| a.0.total_cmp(&b.0));

        let start = warm_up(&done, probe);
        let gap_cv = if self.even { 0.0 } else { 1.0 };
        let (end, why) = watch(&requests, &done, start, probe, gap_cv);
        let stop = if !probe.drain || why == PointEnd::Overloaded {
            end
        } else {
            requests.iter().filter(|r| r.at < end).map(Request::done).fold(end, f64::max).min(until)
        };
        let rows: Vec<RequestRow> = requests
            .iter()
            .filter(|request| request.at < stop)
            .enumerate()
            .map(|(id, request)| row(id as u64, request, stop))
            .collect();
        let phases = Phases {
            start_ns: RunNanos::ZERO,
            measure_start_ns: RunNanos::from_secs_f64(start),
            measure_end_ns: RunNanos::from_secs_f64(end),
            arrivals_end_ns: RunNanos::from_secs_f64(stop),
            end_ns: RunNanos::from_secs_f64(stop),
        };
        let point = point(rate, gap_cv, seed, why, phases, self.mean_tokens());
        let term = |limit| SloTerm {
            metric: SloMetric::E2e,
            quantile: 0.9,
            limit: Duration::from_secs_f64(limit),
        };
        let slo = Slo { terms: self.allowed.map(term).into_iter().collect() };
        let summary = summarise(&point, &rows, &slo);
        ProbeResult::of(&summary, Duration::from_secs_f64(stop)).expect("the load is open")
    }
}

/// The share of an M/M/c queue's requests that are longer than `t` in the system.
///
/// With mu = capacity / c, a = rate / mu and Erlang's probability of waiting C: exp(-mu t) (1 + C (1 -
/// exp(-mu t (c - 1 - a))) / (c - 1 - a)). Source: Gross, Shortle, Thompson and Harris, Fundamentals of
/// Queueing Theory, 4th ed., section 2.3.
pub(crate) fn time_in_queue(servers: usize, capacity: f64, rate: f64, t: f64) -> f64 {
    let c = servers as f64;
    let mu = capacity / c;
    let a = rate / mu;
    // Erlang B by its recursion, then C from it.
    let b = (1..=servers).fold(1.0, |b, k| a * b / (k as f64 + a * b));
    let waits = b / (1.0 - a / c * (1.0 - b));
    let rest = c - 1.0 - a;
    let by_waiting = if rest.abs() < 1e-9 { mu * t } else { -(-mu * t * rest).exp_m1() / rest };
    (-mu * t).exp() * (1.0 + waits * by_waiting)
}

/// When the warm-up ends, by the live rule.
fn warm_up(done: &[(f64, f64)], probe: Probe) -> f64 {
    let rule = WarmUp { cap: probe.warm_up_at_most, ..WarmUp::auto(probe.window) };
    let tick = 0.1_f64.max(probe.window.as_secs_f64() / 200.0);
    let (mut at, mut seen, mut longest) = (0.0, 0, 0.0_f64);
    loop {
        at += tick;
        while seen < done.len() && done[seen].0 <= at {
            longest = longest.max(done[seen].0 - done[seen].1);
            seen += 1;
        }
        let longest = (seen > 0).then(|| Duration::from_secs_f64(longest));
        if rule.is_over(Duration::from_secs_f64(at), seen as u64, longest) {
            return at;
        }
    }
}

/// When the window ends and why, by the live detector.
fn watch(
    requests: &[Request],
    done: &[(f64, f64)],
    start: f64,
    probe: Probe,
    gap_cv: f64,
) -> (f64, PointEnd) {
    let end = start + probe.window.as_secs_f64();
    let Some(share) = probe.end_when_overloaded else { return (end, PointEnd::Complete) };
    let mut tokens: Vec<f64> = requests.iter().flat_map(|r| r.stamps.iter().copied()).collect();
    tokens.sort_by(f64::total_cmp);
    let mut detector = OverloadDetector::new(Some(gap_cv));
    let tick = 0.25_f64.max(probe.window.as_secs_f64() / 120.0);
    let mut at = start;
    while at < end {
        let arrivals = requests.partition_point(|request| request.at <= at) as u64;
        let completions = done.partition_point(|(ended, _)| *ended <= at) as u64;
        detector.observe(Progress {
            elapsed: Duration::from_secs_f64(at),
            arrivals,
            completions,
            in_flight: arrivals - completions,
            output_tokens: tokens.partition_point(|&stamp| stamp <= at) as u64,
        });
        if detector.verdict() == OverloadVerdict::Overloaded && detector.enough(share) {
            return (at, PointEnd::Overloaded);
        }
        at += tick;
    }
    (end, PointEnd::Complete)
}

/// The point's record.
fn point(
    rate: f64,
    gap_cv: f64,
    seed: u64,
    ended: PointEnd,
    phases: Phases,
    mean: f64,
) -> PointFile {
    PointFile {
        id: format!("{rate:.3}-{seed}"),
        factors: BTreeMap::new(),
        repetition: 0,
        load: OfferedLoad::Open {
            arrivals: if gap_cv == 0.0 { "constant" } else { "poisson" }.to_owned(),
            rate_per_s: rate,
            gap_cv: Some(gap_cv),
            seed,
            max_in_flight: None,
        },
        phases,
        ended,
        workers: Vec::new(),
        stamps: StampsRecord::default(),
        clock: ClockRecord::default(),
        server: ServerCounters::default(),
        server_sampling: None,
        server_start: ServerStart::default(),
        settings: Vec::new(),
        settings_allowed: false,
        gpus: Vec::new(),
        gpu_sampling: None,
        imported: None,
        probe: None,
        workload: WorkloadRecord {
            shared_prefix: Some(0.0),
            exact_output: true,
            exact_input: true,
            mean_output_tokens: Some(mean),
        },
    }
}

/// The row that a client without lag sees; whatever comes after `last` is cut off.
fn row(id: u64, request: &Request, last: f64) -> RequestRow {
    let chunks: Vec<ChunkRow> = request
        .stamps
        .iter()
        .filter(|&&at| at <= last)
        .map(|&at| ChunkRow {
            at: RunNanos::from_secs_f64(at),
            tokens: 1,
            counted: true,
            reasoning: false,
            shared: false,
        })
        .collect();
    let whole = chunks.len() == request.tokens;
    let intended = RunNanos::from_secs_f64(request.at);
    let (first, end) = (chunks.first().map(|c| c.at), chunks.last().map(|c| c.at));
    RequestRow {
        id,
        session: None,
        turn: None,
        worker: 0,
        intended,
        dequeued: intended,
        connected: Some(intended),
        connection: Some(ConnectionUse::Reused),
        sent: Some(intended),
        first_byte: first,
        role_chunk: None,
        first_reasoning: None,
        first_answer: first,
        last_token: end,
        usage: None,
        done: end.filter(|_| whole).unwrap_or(RunNanos::from_secs_f64(last)),
        resent: false,
        outcome: if whole { Outcome::Ok } else { Outcome::Aborted },
        http_status: Some(200),
        error: None,
        finish_reason: whole.then(|| "length".to_owned()),
        prompt_tokens_planned: Some(8),
        prompt_tokens: whole.then_some(8),
        output_tokens_planned: request.tokens as u32,
        output_tokens: whole.then_some(request.tokens as u32),
        cached_tokens: None,
        stamp_source: StampSource::User,
        chunks,
    }
}
