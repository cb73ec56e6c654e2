//! Servers of known capacity in virtual time, and the client's side of a ladder on them: what the
//! tests and the coverage study hold the analysis against. Shares no code with it, except that a
//! point warms up and ends by the analysis's own live rules, as a real one does.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_analysis::{OverloadDetector, OverloadVerdict, Progress, WarmUp};
use plimsoll_records::{
    ChunkRow, ClockRecord, ConnectionUse, OfferedLoad, Outcome, Phases, PointEnd, PointFile,
    RequestRow, ServerCounters, ServerStart, SettingRecord, SettingState, StampSource,
    StampsRecord, Tally, WorkerRecord, WorkloadRecord,
};
use plimsoll_units::RunNanos;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Exp, LogNormal};

/// A server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Server {
    /// Continuous batching: up to `slots` requests. A step takes `base` seconds, `each` for every
    /// decoding request and `prefill` for every prompt token, and gives every decoding request a
    /// token; at most `budget` tokens a step, decoding ones first.
    Batch { slots: usize, base: f64, each: f64, prefill: f64, budget: f64 },
    /// `servers` of them, each busy for `service` seconds a request: constant, or exponential.
    Queue { servers: usize, service: f64, exponential: bool },
}

/// Lengths in tokens: lognormal with a mean and a coefficient of variation, or constant for 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    pub(crate) output: f64,
    pub(crate) output_cv: f64,
    pub(crate) prompt: f64,
    pub(crate) prompt_cv: f64,
}

/// How a point is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Length of the measure window, s.
    pub(crate) measure: f64,
    /// Whether the point may end early when it is certainly overloaded and its plateau known.
    pub(crate) may_end_early: bool,
    /// The mean output length, where the workload declares it.
    pub(crate) declared_mean: Option<f64>,
}

/// How a point begins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Begin {
    /// Length of the warm-up, s; `None` for the automatic rule.
    pub(crate) warm_up: Option<f64>,
    /// Requests of another client that wait at the server when it begins; the point has no rows of them.
    pub(crate) backlog: usize,
}

/// One request as the server knows it, in seconds.
struct Request {
    at: f64,
    prompt: f64,
    output: usize,
    /// When it was first worked on.
    begun: f64,
    tokens: Vec<f64>,
}

impl Request {
    /// When its last token came; it is served to the end before anyone looks.
    fn done(&self) -> f64 {
        self.tokens.last().copied().unwrap_or(self.at)
    }
}

/// A draw from a lognormal distribution of whole tokens, or the constant.
fn length(rng: &mut ChaCha8Rng, mean: f64, cv: f64) -> f64 {
    if cv == 0.0 {
        return mean;
    }
    let variance = (1.0 + cv * cv).ln();
    let normal = LogNormal::new(mean.ln() - variance / 2.0, variance.sqrt())
        .expect("the deviation is above 0 for a cv above 0");
    normal.sample(rng).round().max(1.0)
}

/// The mean of the lengths that are really drawn: rounding and the floor of 1 shift it a little.
pub(crate) fn mean_output(lengths: Lengths) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let n = if lengths.output_cv == 0.0 { 1 } else { 400_000 };
    (0..n).map(|_| length(&mut rng, lengths.output, lengths.output_cv)).sum::<f64>() / f64::from(n)
}

/// Poisson arrivals with their lengths until `until`.
fn arrivals(lengths: Lengths, rate: f64, until: f64, seed: u64) -> Vec<Request> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let gap = Exp::new(rate).expect("rates are above 0");
    let mut at = 0.0;
    let mut requests = Vec::new();
    loop {
        at += gap.sample(&mut rng);
        if at >= until {
            return requests;
        }
        let output = length(&mut rng, lengths.output, lengths.output_cv) as usize;
        let prompt = length(&mut rng, lengths.prompt, lengths.prompt_cv);
        let tokens = Vec::with_capacity(output);
        requests.push(Request { at, prompt, output, begun: f64::INFINITY, tokens });
    }
}

/// Serves every request; `requests` are in order of arrival. Gives the end and the tokens of each
/// step, where the server has steps.
fn serve(server: Server, requests: &mut [Request], seed: u64) -> Vec<(f64, f64)> {
    let mut steps = Vec::new();
    match server {
        Server::Queue { servers, service, exponential } => {
            let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
            let law = Exp::new(1.0 / service).expect("service times are above 0");
            let mut free = vec![0.0_f64; servers];
            for request in requests {
                let first =
                    free.iter_mut().min_by(|a, b| a.total_cmp(b)).expect("there is a server");
                let start = first.max(request.at);
                let took = if exponential { law.sample(&mut rng) } else { service };
                let n = request.output;
                request.begun = start;
                request.tokens.extend((1..=n).map(|k| start + took * k as f64 / n as f64));
                *first = start + took;
            }
        }
        Server::Batch { slots, base, each, prefill, budget } => {
            let (mut now, mut next) = (0.0_f64, 0);
            // Index and prefill tokens left of each running request.
            let mut running: Vec<(usize, f64)> = Vec::new();
            while next < requests.len() || !running.is_empty() {
                while running.len() < slots && next < requests.len() && requests[next].at <= now {
                    running.push((next, requests[next].prompt));
                    next += 1;
                }
                if running.is_empty() {
                    now = requests[next].at;
                    continue;
                }
                let decoding = running.iter().filter(|(_, left)| *left <= 0.0).count() as f64;
                let mut room = budget - decoding;
                let mut prefilled = 0.0;
                let mut emitting = Vec::with_capacity(running.len());
                for (index, left) in &mut running {
                    if *left > 0.0 {
                        let part = left.min(room.max(0.0));
                        if part > 0.0 {
                            requests[*index].begun = requests[*index].begun.min(now);
                        }
                        room -= part;
                        prefilled += part;
                        *left -= part;
                        if *left > 0.0 {
                            continue;
                        }
                    }
                    emitting.push(*index);
                }
                now += base + each * decoding + prefill * prefilled;
                steps.push((now, decoding + prefilled));
                for index in emitting {
                    requests[index].tokens.push(now);
                }
                running
                    .retain(|(index, _)| requests[*index].tokens.len() < requests[*index].output);
            }
        }
    }
    steps
}

/// The capacity in requests per second: closed form for queues; for a batch server from a run that
/// is saturated for 1,500 virtual seconds, with an error of about 0.1 %.
pub(crate) fn capacity(server: Server, lengths: Lengths) -> f64 {
    match server {
        Server::Queue { servers, service, .. } => servers as f64 / service,
        Server::Batch { slots, base, each, .. } => {
            // An upper bound: no prefill at all.
            let steps = base + each * slots as f64;
            let bound = slots as f64 / (steps * lengths.output);
            let (from, to) = (100.0, 1600.0);
            let mut requests = arrivals(lengths, bound * 1.2, to, 99);
            serve(server, &mut requests, 99);
            let tokens: usize = requests
                .iter()
                .map(|r| r.tokens.iter().filter(|&&at| at > from && at <= to).count())
                .sum();
            tokens as f64 / (to - from) / mean_output(lengths)
        }
    }
}

fn nanos(seconds: f64) -> RunNanos {
    RunNanos::from_secs_f64(seconds)
}

/// Cumulative counts of sorted moments.
fn before(sorted: &[f64], at: f64) -> u64 {
    sorted.partition_point(|&moment| moment <= at) as u64
}

/// Measures a point at `rate`: warm-up by the automatic rule, window, drain, early end.
pub(crate) fn measure(
    server: Server,
    lengths: Lengths,
    rate: f64,
    plan: Plan,
    seed: u64,
) -> (PointFile, Vec<RequestRow>) {
    measure_from(server, lengths, rate, plan, Begin::default(), seed)
}

/// The same with another beginning.
pub(crate) fn measure_from(
    server: Server,
    lengths: Lengths,
    rate: f64,
    plan: Plan,
    begin: Begin,
    seed: u64,
) -> (PointFile, Vec<RequestRow>) {
    // Long enough for the longest warm-up, the window and a drain under arrivals.
    let until = plan.measure * 2.2 + 4.0;
    let left_over = (0..begin.backlog).map(|_| {
        let (prompt, output) = (lengths.prompt, lengths.output as usize);
        Request { at: 0.0, prompt, output, begun: f64::INFINITY, tokens: Vec::new() }
    });
    let mut requests: Vec<Request> =
        left_over.chain(arrivals(lengths, rate, until, seed)).collect();
    let steps = serve(server, &mut requests, seed);
    requests.drain(..begin.backlog);
    let arrived: Vec<f64> = requests.iter().map(|r| r.at).collect();
    let mut done: Vec<(f64, f64)> = requests.iter().map(|r| (r.done(), r.at)).collect();
    done.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ended: Vec<f64> = done.iter().map(|(at, _)| *at).collect();
    let mut tokens: Vec<f64> = requests.iter().flat_map(|r| r.tokens.iter().copied()).collect();
    tokens.sort_by(f64::total_cmp);

    let rule = WarmUp::auto(Duration::from_secs_f64(plan.measure));
    let mut start = 0.0;
    let mut longest = 0.0_f64;
    let mut seen = 0;
    loop {
        start += 0.1;
        while seen < done.len() && done[seen].0 <= start {
            longest = longest.max(done[seen].0 - done[seen].1);
            seen += 1;
        }
        let longest = (seen > 0).then(|| Duration::from_secs_f64(longest));
        let over = match begin.warm_up {
            Some(warm_up) => start >= warm_up,
            None => rule.is_over(Duration::from_secs_f64(start), seen as u64, longest),
        };
        if over {
            break;
        }
    }
    let mut end = start + plan.measure;
    let mut why = PointEnd::Complete;
    let mut detector = OverloadDetector::new(Some(1.0));
    let mut tick = start;
    while plan.may_end_early && tick < end {
        let (arrivals, completions) = (before(&arrived, tick), before(&ended, tick));
        detector.observe(Progress {
            elapsed: Duration::from_secs_f64(tick),
            arrivals,
            completions,
            in_flight: arrivals - completions,
            output_tokens: before(&tokens, tick),
        });
        if detector.verdict() == OverloadVerdict::Overloaded && detector.enough(0.015) {
            (end, why) = (tick, PointEnd::Overloaded);
            break;
        }
        tick += 0.25;
    }
    // Arrivals go on until the last measured request is over, or stop at once when it is enough.
    let stop = if why == PointEnd::Overloaded {
        end
    } else {
        requests.iter().filter(|r| r.at < end).map(Request::done).fold(end, f64::max).min(until)
    };
    let last = if why == PointEnd::Overloaded {
        end
    } else {
        ended.last().copied().unwrap_or(stop).max(stop)
    };
    let rows = requests
        .iter()
        .filter(|r| r.at < stop)
        .enumerate()
        .map(|(id, request)| row(id as u64, request, last))
        .collect();
    let point = PointFile {
        id: format!("{rate:.3}-{seed}"),
        factors: BTreeMap::new(),
        repetition: 0,
        load: OfferedLoad::Open {
            arrivals: "poisson".to_owned(),
            rate_per_s: rate,
            gap_cv: Some(1.0),
            seed,
            max_in_flight: None,
        },
        phases: Phases {
            start_ns: RunNanos::ZERO,
            measure_start_ns: nanos(start),
            measure_end_ns: nanos(end),
            arrivals_end_ns: nanos(stop),
            end_ns: nanos(last),
        },
        ended: why,
        workers: vec![WorkerRecord { worker: 0, cpu_share: Some(0.2), ..WorkerRecord::default() }],
        stamps: StampsRecord::default(),
        clock: ClockRecord::default(),
        server: counters(&requests, &steps, (start, end)),
        server_sampling: None,
        server_start: ServerStart::default(),
        settings: settings(server),
        settings_allowed: false,
        gpus: Vec::new(),
        gpu_sampling: None,
        imported: None,
        probe: None,
        workload: WorkloadRecord {
            shared_prefix: Some(0.0),
            exact_output: true,
            exact_input: true,
            mean_output_tokens: plan.declared_mean,
        },
    };
    (point, rows)
}

/// What the server's own metrics say of a window, scraped each second: as vLLM counts, a request's
/// times when it ends.
fn counters(
    requests: &[Request],
    steps: &[(f64, f64)],
    (start, end): (f64, f64),
) -> ServerCounters {
    let inside = |at: f64| start <= at && at < end;
    let ended = || requests.iter().filter(|r| inside(r.done()));
    let tally = |of: fn(&Request) -> f64| {
        let sum = ended().map(of).sum();
        Some(Tally { count: ended().count() as f64, sum })
    };
    let scrapes: Vec<(f64, f64)> = (0..(end - start).ceil() as u32)
        .map(|second| start + f64::from(second))
        .map(|at| {
            let count =
                |of: &dyn Fn(&Request) -> bool| requests.iter().filter(|r| of(r)).count() as f64;
            (count(&|r| r.begun <= at && at < r.done()), count(&|r| r.at <= at && at < r.begun))
        })
        .collect();
    let n = scrapes.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| Some(scrapes.iter().map(of).sum::<f64>() / n);
    let first = |r: &&Request| inside(r.tokens[0]);
    let taken: Vec<f64> =
        steps.iter().filter(|(at, _)| inside(*at)).map(|(_, tokens)| *tokens).collect();
    ServerCounters {
        prompt_tokens: Some(requests.iter().filter(first).map(|r| r.prompt).sum()),
        running_max: scrapes.iter().map(|(running, _)| *running).max_by(f64::total_cmp),
        running_mean: mean(|(running, _)| *running),
        waiting_max: scrapes.iter().map(|(_, waiting)| *waiting).max_by(f64::total_cmp),
        waiting_mean: mean(|(_, waiting)| *waiting),
        waiting_share: mean(|(_, waiting)| f64::from(u8::from(*waiting > 0.0))),
        kv_cache_usage_max: Some(0.2),
        preemptions: Some(0.0),
        queue_time_s: tally(|r| r.begun - r.at),
        prefill_time_s: tally(|r| r.tokens[0] - r.begun),
        decode_time_s: tally(|r| r.done() - r.tokens[0]),
        ttft_s: Some(Tally {
            count: requests.iter().filter(first).count() as f64,
            sum: requests.iter().filter(first).map(|r| r.tokens[0] - r.at).sum(),
        }),
        step_tokens: (!taken.is_empty())
            .then(|| Tally { count: taken.len() as f64, sum: taken.iter().sum() }),
        ..ServerCounters::default()
    }
}

/// The settings that the server says it has.
fn settings(server: Server) -> Vec<SettingRecord> {
    let Server::Batch { slots, budget, .. } = server else { return Vec::new() };
    [("max-num-seqs", slots as u64), ("max-num-batched-tokens", budget as u64)]
        .map(|(name, value)| SettingRecord {
            name: name.to_owned(),
            declared: Some(value.into()),
            in_effect: Some(value.into()),
            source: Some("/server_info".to_owned()),
            state: SettingState::Equal,
        })
        .to_vec()
}

/// The row that a client without lag sees; whatever comes after `last` is cut off and aborted.
fn row(id: u64, request: &Request, last: f64) -> RequestRow {
    let chunks: Vec<ChunkRow> = request
        .tokens
        .iter()
        .filter(|&&at| at <= last)
        .map(|&at| ChunkRow {
            at: nanos(at),
            tokens: 1,
            counted: true,
            reasoning: false,
            shared: false,
        })
        .collect();
    let whole = chunks.len() == request.output;
    let intended = nanos(request.at);
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
        first_byte: chunks.first().map(|chunk| chunk.at),
        role_chunk: None,
        first_reasoning: None,
        first_answer: chunks.first().map(|chunk| chunk.at),
        last_token: chunks.last().map(|chunk| chunk.at),
        usage: None,
        done: if whole { chunks[chunks.len() - 1].at } else { nanos(last) },
        resent: false,
        outcome: if whole { Outcome::Ok } else { Outcome::Aborted },
        http_status: Some(200),
        error: None,
        finish_reason: whole.then(|| "length".to_owned()),
        prompt_tokens_planned: Some(request.prompt as u32),
        prompt_tokens: whole.then_some(request.prompt as u32),
        output_tokens_planned: request.output as u32,
        output_tokens: whole.then_some(request.output as u32),
        cached_tokens: None,
        stamp_source: StampSource::User,
        chunks,
    }
}
