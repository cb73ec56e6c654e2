//! The sentences that every form of the report shares: verdict, headline and facts of a ladder, and how
//! to read them.

use plimsoll_analysis::{Judgement, LatencySummary, PointSummary, Question};
use plimsoll_records::{LeftOut, Machine, Manifest, RunStatus, Severity, StampSource, Verdict};

use crate::clean::clean;
use crate::diagnosis;
use crate::findings::Entry;
use crate::gpus;
use crate::input::ReportInput;
use crate::ladder::{Axis, Ladder, Rung, State};
use crate::numbers::{UNKNOWN, count, estimate, latency, percent, plain, three_digits};
use crate::search;
use crate::waiting;

/// One line of what a ladder says: `capacity: 36.4 req/s, 95 % interval 35.9 to 36.9; note`.
pub(crate) struct Fact {
    /// Its name.
    pub(crate) name: &'static str,
    /// The number with its unit, or [`UNKNOWN`].
    pub(crate) value: String,
    /// Its interval; empty when it has none.
    pub(crate) interval: String,
    /// What it means, or why it is not known.
    pub(crate) note: String,
}

impl Fact {
    pub(crate) fn new(name: &'static str, value: String, interval: String, note: String) -> Self {
        Self { name, value, interval, note }
    }
}

/// The verdict's word in capitals.
pub(crate) const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "VALID",
        Verdict::Qualified => "QUALIFIED",
        Verdict::Invalid => "INVALID",
    }
}

/// What the verdict means, in plain words, without the full stop.
pub(crate) fn verdict_meaning(input: &ReportInput<'_>, entries: &[Entry]) -> String {
    let of = |severity| entries.iter().filter(|entry| entry.severity == severity).count();
    let meaning = match input.judgement.verdict {
        Verdict::Valid => "nothing in the audit speaks against this measurement".to_owned(),
        Verdict::Qualified => match of(Severity::Warning) + of(Severity::Error) {
            0 => "the measurement holds with reservations".to_owned(),
            1 => "the measurement holds with the reservation below".to_owned(),
            n => format!("the measurement holds with the {n} reservations below"),
        },
        Verdict::Invalid => match of(Severity::Error) {
            0 => "this measurement must not be reported as a result".to_owned(),
            n => format!(
                "{} of the audit void{} this measurement, which must not be reported as a result",
                count(n, "error"),
                if n == 1 { "s" } else { "" }
            ),
        },
    };
    // A verdict that somebody had a hand in says so wherever it stands.
    let policy = input.manifest.policy().unwrap_or_default();
    if policy.is_empty() { meaning } else { format!("{meaning} ({})", policy.in_words()) }
}

/// What a ladder says of the server in one sentence. An invalid measurement says nothing of it.
pub(crate) fn headline(ladder: &Ladder<'_>, judgement: &Judgement) -> String {
    let verdict = judgement.verdict;
    let plateau = ladder.plateau().map(|plateau| three_digits(plateau.value));
    if ladder.rungs.is_empty() {
        return "No point was measured, so nothing is known of the server.".to_owned();
    }
    if ladder.rungs.iter().all(|rung| rung.state == State::Void) {
        return "The audit voided every point, so nothing is known of the server.".to_owned();
    }
    if verdict == Verdict::Invalid {
        return "This is not a result: the numbers below only help to find what went wrong."
            .to_owned();
    }
    if judgement.question == Question::Latency {
        return waiting::headline(ladder).unwrap_or_else(|| {
            "The points do not tell what a request of this case waits for.".to_owned()
        });
    }
    match (ladder.capacity(), plateau) {
        (Some(capacity), _) if ladder.group.saturation.lower_bound => format!(
            "The server kept up with everything it was offered; it sustains at least {} requests per second.",
            three_digits(capacity.value)
        ),
        (Some(capacity), Some(plateau)) => format!(
            "The server sustains {} requests per second; offered more, it completes {plateau} and its queue grows.",
            three_digits(capacity.value)
        ),
        (Some(capacity), None) => {
            format!("The server sustains {} requests per second.", three_digits(capacity.value))
        }
        (None, Some(plateau)) if ladder.has(State::Stable) => format!(
            "Offered more than it keeps up with, the server completes {plateau} requests per second."
        ),
        (None, Some(plateau)) => format!(
            "The server kept up with none of the offered rates; it completes {plateau} requests per second."
        ),
        (None, None) => "The points do not tell how much the server sustains.".to_owned(),
    }
}

const CAPACITY: &str = "capacity";
const SLO_CAPACITY: &str = "SLO capacity";

/// Capacity, plateau, knee and SLO capacity of a ladder; what limits its server and what its tokens
/// cost in energy, where that is known. Where latency is asked, the latencies instead of the first.
pub(crate) fn facts(ladder: &Ladder<'_>, input: &ReportInput<'_>) -> Vec<Fact> {
    if input.judgement.question == Question::Latency {
        let mut facts = waiting::facts(ladder);
        facts.extend(diagnosis::fact(ladder));
        facts.extend(gpus::fact(ladder));
        return facts;
    }
    let manifest = input.manifest;
    let mut facts =
        vec![capacity(ladder), plateau(ladder), knee(ladder), slo_capacity(ladder, manifest)];
    if ladder.axis == Axis::Concurrency {
        // Of a closed loop nothing of this is expected, so what is missing is no news.
        facts.retain(|fact| fact.name == CAPACITY || fact.value != UNKNOWN);
    }
    if !ladder.group.searches.is_empty() {
        // What a search does not look for is no news either, and its plateau is its capacity.
        facts.retain(|fact| {
            fact.name == CAPACITY || (fact.name == SLO_CAPACITY && fact.value != UNKNOWN)
        });
        facts.extend(search::facts(ladder));
    }
    facts.extend(diagnosis::fact(ladder));
    facts.extend(gpus::fact(ladder));
    facts
}

fn capacity(ladder: &Ladder<'_>) -> Fact {
    let Some(estimated) =
        ladder.group.saturation.capacity_per_s.filter(|_| ladder.capacity().is_some())
    else {
        let why = no_capacity(ladder);
        return Fact::new(CAPACITY, UNKNOWN.to_owned(), String::new(), why);
    };
    let [value, low, high] = estimate(&estimated);
    let tokens = ladder.mean_output_tokens().map(|mean| {
        format!(
            "about {} output tokens/s at {} tokens a request",
            three_digits(estimated.value * mean),
            three_digits(mean)
        )
    });
    if ladder.group.saturation.lower_bound {
        let searched = !ladder.group.searches.is_empty();
        let what = if searched { "search" } else { "ladder" };
        let ended = format!("the {what} ended before saturation");
        let note = [Some(ended), tokens].into_iter().flatten().collect::<Vec<_>>().join("; ");
        return Fact::new(CAPACITY, format!("at least {value} req/s"), String::new(), note);
    }
    let interval = format!("{} interval {low} to {high}", percent(search::confidence(ladder)));
    Fact::new(CAPACITY, format!("{value} req/s"), interval, tokens.unwrap_or_default())
}

/// Why a ladder, or a search, has no capacity.
pub(crate) fn no_capacity(ladder: &Ladder<'_>) -> String {
    if let Some(searched) = ladder.group.searches.first() {
        return searched.found.stopped.to_string();
    }
    let why = if ladder.rungs.is_empty() {
        "no point was measured"
    } else if ladder.axis == Axis::Concurrency {
        "a closed loop offers no rate of its own, so it has no capacity to find"
    } else if ladder.has(State::Unstable) && !ladder.has(State::Stable) {
        "the server kept up with none of the offered rates: offer less"
    } else {
        "the points do not bound it"
    };
    why.to_owned()
}

fn plateau(ladder: &Ladder<'_>) -> Fact {
    let estimated = ladder.group.saturation.plateau_per_s.filter(|_| ladder.plateau().is_some());
    match estimated.as_ref().map(estimate) {
        Some([value, low, high]) => Fact::new(
            "plateau",
            format!("{value} req/s"),
            format!("95 % interval {low} to {high}"),
            "what the server completes when it is offered more".to_owned(),
        ),
        None => {
            let why = "no point was offered more than the server keeps up with";
            let why = if ladder.has(State::Unstable) { "not known" } else { why };
            Fact::new("plateau", UNKNOWN.to_owned(), String::new(), why.to_owned())
        }
    }
}

fn knee(ladder: &Ladder<'_>) -> Fact {
    match ladder.knee() {
        Some(rate) => Fact::new(
            "knee",
            format!("{} req/s", plain(rate)),
            String::new(),
            "beyond it, latency climbs faster than throughput".to_owned(),
        ),
        None => Fact::new(
            "knee",
            UNKNOWN.to_owned(),
            String::new(),
            "the stable points do not show where latency starts to climb".to_owned(),
        ),
    }
}

fn slo_capacity(ladder: &Ladder<'_>, manifest: &Manifest) -> Fact {
    let judged = ladder.rungs.iter().any(|rung| rung.point.goodput.is_some());
    let terms = slo_terms(manifest);
    let terms = if terms.is_empty() { "the SLO".to_owned() } else { terms };
    let (value, note) = match ladder.slo_capacity() {
        Some(rate) => {
            (format!("{} req/s", plain(rate)), format!("the highest rate that also meets {terms}"))
        }
        None if judged => (UNKNOWN.to_owned(), format!("no stable point meets {terms}")),
        None => (UNKNOWN.to_owned(), "no SLO was set".to_owned()),
    };
    let interval = search::slo_interval(ladder).unwrap_or_default();
    Fact::new(SLO_CAPACITY, value, interval, note)
}

/// The SLO as the matrix has it, `ttft-p99 500ms, tpot-p99 60ms`; empty when it has none.
fn slo_terms(manifest: &Manifest) -> String {
    let Some(slo) = manifest.matrix_resolved.get("slo").and_then(|slo| slo.as_object()) else {
        return String::new();
    };
    let terms: Vec<_> = slo
        .iter()
        .filter_map(|(name, limit)| Some(format!("{} {}", clean(name), clean(limit.as_str()?))))
        .collect();
    terms.join(", ")
}

/// What throughput over offered load shows.
pub(crate) fn throughput_sentence(ladder: &Ladder<'_>) -> String {
    match (ladder.capacity(), ladder.plateau()) {
        (Some(capacity), Some(plateau)) if !ladder.group.saturation.lower_bound => format!(
            "Throughput follows the load up to {} req/s, then stays at {}",
            three_digits(capacity.value),
            three_digits(plateau.value)
        ),
        (Some(_), _) if ladder.group.saturation.lower_bound => {
            "Throughput follows every load that was offered".to_owned()
        }
        _ => "Throughput over the offered load".to_owned(),
    }
}

/// What a latency over offered load shows: its median at the lightest and the heaviest load that
/// the server kept up with.
pub(crate) fn latency_sentence(
    ladder: &Ladder<'_>,
    name: &str,
    of: fn(&PointSummary) -> &LatencySummary,
) -> String {
    let median = |rung: &Rung<'_>| rung.latency(of)?.p50.value.map(latency);
    let mut known = ladder
        .of_state(State::Stable)
        .filter_map(|rung| Some((median(rung)?, format!("{} {}", rung.label, ladder.axis.unit()))));
    match (known.next(), known.last()) {
        (Some((light, at)), Some((heavy, until))) => {
            format!("{name}: median {light} at {at}, {heavy} at {until}")
        }
        (Some((only, at)), None) => format!("{name}: median {only} at {at}"),
        (None, _) => format!("{name}: not known at any stable point"),
    }
}

/// What throughput costs in latency, from the lightest to the heaviest load that the server kept up with.
pub(crate) fn trade_off_sentence(ladder: &Ladder<'_>) -> String {
    let known = |rung: &Rung<'_>| {
        let latency = latency(rung.point.ttft.p99.value?);
        Some((three_digits(rung.point.throughput_per_s.value), latency))
    };
    let mut known = ladder.of_state(State::Stable).filter_map(known);
    match (known.next(), known.last()) {
        (Some((light, low)), Some((heavy, high))) => format!(
            "From {light} to {heavy} req/s of throughput the p99 of the TTFT goes from {low} to {high}"
        ),
        _ => "What throughput costs in latency".to_owned(),
    }
}

/// What the schedule lag shows.
pub(crate) fn lag_sentence(ladder: &Ladder<'_>) -> String {
    let worst = ladder.rungs.iter().filter_map(|rung| rung.point.schedule_lag.p99.value).max();
    match worst {
        Some(lag) => {
            format!("The client sent 99 % of the requests within {} of their time", latency(lag))
        }
        None => "How late the client sent".to_owned(),
    }
}

/// What the requests in flight over time show.
pub(crate) fn in_flight_sentence(ladder: &Ladder<'_>) -> &'static str {
    match (ladder.has(State::Stable), ladder.has(State::Unstable)) {
        (true, true) => {
            "Requests in flight level off while the server keeps up, and grow when it does not"
        }
        (true, false) => "Requests in flight level off: the server keeps up",
        (false, true) => "Requests in flight grow: the server does not keep up",
        (false, false) => "Requests in flight over time",
    }
}

/// How the run went, and what it was made with: name and value, cleaned but not escaped. What was
/// measured on what is in the environment.
pub(crate) fn run_rows(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let known = |text: &str| {
        let text = clean(text);
        if text.is_empty() { UNKNOWN.to_owned() } else { text }
    };
    let mut rows = vec![
        ("Started", known(&manifest.started)),
        ("Run", run_status(manifest.status).to_owned()),
        ("Seed", manifest.seed.to_string()),
        ("Stamps of responses", stamps(manifest.stamps).to_owned()),
        ("Limits of the client", limits(&manifest.machine)),
        ("Format of the results", manifest.format.to_string()),
    ];
    if !manifest.overrides.is_empty() {
        let overrides: Vec<_> = manifest.overrides.iter().map(|o| clean(o)).collect();
        rows.push(("Overrides", overrides.join("; ")));
    }
    rows
}

/// A point that was left out, in one line.
pub(crate) fn left_out(left_out: &LeftOut) -> String {
    format!("{}: {}", clean(&left_out.point), clean(&left_out.reason))
}

const fn run_status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Running => "not finished",
        RunStatus::Complete => "complete",
        RunStatus::Interrupted => "interrupted: points are missing",
        RunStatus::Failed => "failed: points are missing",
    }
}

/// Where stamps of this kind come from.
pub(crate) const fn stamps(source: StampSource) -> &'static str {
    match source {
        StampSource::User => "run clock, right after each read",
        StampSource::Socket => "kernel, socket time stamps",
        StampSource::Packet => "packet capture",
        _ => "another source",
    }
}

/// What the system lets the client open, as far as it says so.
fn limits(machine: &Machine) -> String {
    let limits = [(machine.open_files, "open files"), (machine.local_ports, "local ports")];
    let known: Vec<_> = limits
        .iter()
        .filter_map(|(limit, name)| limit.map(|n| format!("{} {name}", plain(n as f64))))
        .collect();
    if known.is_empty() { UNKNOWN.to_owned() } else { known.join(", ") }
}

/// How the page is to be read, as far as it has something to read; the same lines in Markdown and
/// HTML.
pub(crate) fn how_to_read(ladders: &[Ladder<'_>], gpus: bool) -> Vec<(&'static str, &'static str)> {
    let mut words = HOW_TO_READ.to_vec();
    if ladders.iter().any(|ladder| ladder.group.diagnosis.answer.is_some()) {
        words.push(LIMITED_BY);
    }
    if gpus {
        words.push(ENERGY);
    }
    words
}

const LIMITED_BY: (&str, &str) = (
    "Limited by",
    "what kept throughput from growing. Offered load: the server kept up with all of it. Client: it could not offer more. Network: requests were on their way, and connecting took the time. Front end: the server's way to the engine. KV cache: no memory for more. Slots: as many requests ran as may (max-num-seqs) while others waited. Token budget: the steps were as large as they may be (max-num-batched-tokens). Compute: the steps themselves took the time.",
);

const ENERGY: (&str, &str) = (
    "Energy",
    "what the used GPUs drew over the measure window by their own counters, over the tokens delivered and the requests completed in it. The rest of the machine is not in it.",
);

const HOW_TO_READ: [(&str, &str); 7] = [
    (
        "Stable",
        "completions keep up with arrivals. Where they do not, the queue grows for as long as the load lasts, and latencies tell the length of the run, not the speed of the server: they are not shown as its own.",
    ),
    (
        "Capacity",
        "the highest offered rate that is stable. The SLO capacity is the highest that also meets the objectives.",
    ),
    (
        "Knee",
        "the load where throughput / latency is largest; beyond it, waiting buys little throughput.",
    ),
    (
        "TTFT",
        "time to the first token, counted from when the schedule wanted the request sent, so a late client cannot hide. TPOT: time per output token after the first. ITL: gap between output tokens, where the server says how many each chunk carries; else the gap between output chunks stands in its place, as chunk gap. E2E: the whole response, from the same start as TTFT.",
    ),
    (
        "p50, p90, p99",
        "half, nine tenths, 99 % of the requests were at least this fast. A quantile without enough requests for a 95 % interval is shown as not known.",
    ),
    (
        "Lag",
        "how late the client sent a request. Where it is not far below the TTFT, the client is part of what was measured.",
    ),
    (
        "Throughput",
        "completions inside the measure window / its length; warm-up and drain are left out.",
    ),
];
