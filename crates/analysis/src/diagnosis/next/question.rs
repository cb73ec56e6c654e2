//! What the next experiment changes for each cause, and what it asks.

use std::time::Duration;

use plimsoll_records::Manifest;
use plimsoll_units::Span;
use serde_json::{Value, json};

use super::draft::Draft;
use super::loads::Loads;
use super::settings::Server;
use crate::diagnosis::reading::{in_words, load, short};
use crate::{Cause, Group};

/// Share of the GPU's memory that vLLM takes when it is not told.
const VLLM_MEMORY: f64 = 0.9;
/// The largest share that leaves the driver and other processes something.
const MOST_MEMORY: f64 = 0.97;
/// Most connections that can be opened ahead.
const MOST_CONNECTIONS: f64 = 65_536.0;
/// Shortest period of reading the server's gauges.
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);

/// Changes the draft so that it tests `cause`, and says what it asks; `None` where it cannot be tested from
/// here. Every change that was tried is then still a valid one.
pub(super) fn ask(
    draft: &mut Draft,
    manifest: &Manifest,
    group: &Group,
    cause: Cause,
) -> Option<String> {
    let loads = Loads::of(group)?;
    let server = Server::of(draft, manifest, group);
    match cause {
        Cause::Load => {
            loads.beyond(draft);
            let loads =
                if draft.get("load.concurrency").is_some() { "concurrencies" } else { "rates" };
            Some(format!(
                "Where does the server cease to keep up? The {loads} go on beyond the highest that it was \
                 offered; the first that it does not keep up with shows what limits it."
            ))
        }
        Cause::Client => client(draft, manifest, group, &loads),
        Cause::Network => {
            let in_flight = number(group, "in_flight_mean").unwrap_or(1.0);
            let all = (2.0 * in_flight).clamp(2.0, MOST_CONNECTIONS).ceil() as u64;
            draft.factor("client.prewarm", vec![json!(0), json!(all)]);
            loads.around_the_edge(draft);
            Some(format!(
                "Is it connecting? With {all} connections opened ahead no request waits for its own; if \
                 throughput grows by that, it was. If not, run the client on the server's machine: that \
                 takes the network out."
            ))
        }
        Cause::FrontEnd => {
            let (name, what) = if server.is_sim() {
                ("stream-interval", "tokens a chunk: the more, the fewer events it has to write")
            } else {
                ("api-server-count", "processes of the front end")
            };
            let now = server.number(draft, name).unwrap_or(1.0);
            server.double_twice(draft, name, now)?;
            loads.for_a_change(draft);
            Some(format!(
                "Does throughput grow with {name} ({what})? If it does, the front end was the limit."
            ))
        }
        Cause::Slots => {
            let now = server.number(draft, "max-num-seqs").or_else(|| number(group, "slots"))?;
            server.double_twice(draft, "max-num-seqs", now)?;
            // A step must have room for a token of every sequence.
            server.at_least(draft, "max-num-batched-tokens", 4.0 * now);
            loads.for_a_change(draft);
            Some(
                "Does throughput grow with max-num-seqs? If it does, the slots were the limit; where it \
                 stops growing, the next limit shows."
                    .to_owned(),
            )
        }
        Cause::KvCache => kv_cache(draft, &server, &loads),
        Cause::TokenBudget => {
            let name = "max-num-batched-tokens";
            let now = server.number(draft, name).or_else(|| number(group, "step_tokens_limit"))?;
            server.double_twice(draft, name, now)?;
            loads.for_a_change(draft);
            Some(
                "Does throughput grow with max-num-batched-tokens? If it does, the token budget was the \
                 limit; if tokens only get slower, it is compute."
                    .to_owned(),
            )
        }
        Cause::Compute => compute(draft, group, &server, &loads),
    }
}

/// Changes the draft so that it gathers more evidence of the same, and says so; `None` without a point.
pub(super) fn look_closer(draft: &mut Draft, group: &Group) -> Option<String> {
    let loads = Loads::of(group)?;
    if group.diagnosis.at.is_empty() {
        return None;
    }
    loads.around_the_edge(draft);
    let span = |draft: &Draft, path: &str| draft.get(path)?.as_str()?.parse::<Span>().ok();
    if let Some(measure) = span(draft, "load.window.measure") {
        draft.set("load.window.measure", json!(Span::new(measure.get() * 2)));
    }
    if let Some(period) = span(draft, "samplers.metrics-period") {
        let shorter = (period.get() / 4).max(SHORTEST_PERIOD);
        draft.set("samplers.metrics-period", json!(Span::new(shorter)));
    }
    Some(
        "What is it? The evidence of this run does not say: the next one stays longer around the edge and \
         reads the server's gauges more often. A server that says nothing of itself (no /metrics) stays a \
         riddle: give it one, or start it with half and with twice of one setting at a time."
            .to_owned(),
    )
}

/// More threads where there are cores for them, else loads between the last that was offered well and the
/// first that was not.
fn client(draft: &mut Draft, manifest: &Manifest, group: &Group, loads: &Loads) -> Option<String> {
    let evidence = group.diagnosis.of(Cause::Client)?.supporting.first()?;
    let voided = group.points.iter().find(|point| evidence.points.contains(&point.id))?;
    let beyond = load(voided);
    let valid = |id: &String| !group.saturation.voided.contains(id);
    let kept_up = group
        .points
        .iter()
        .filter(|point| valid(&point.id) && point.stability.stable && load(point) < beyond)
        .map(load)
        .fold(0.0, f64::max);
    if evidence.numbers.iter().any(|number| number.name == "shed_requests") {
        draft.remove("load", "max-in-flight");
        loads.exactly(draft, &[kept_up, beyond]);
        return Some(
            "What does the server do without a cap on the requests in flight? The cap was the limit."
                .to_owned(),
        );
    }
    let cores = u64::from(manifest.machine.cores.max(1));
    let workers = draft.get("client.workers").and_then(Value::as_u64);
    let workers = workers.unwrap_or_else(|| cores.saturating_sub(1).max(1));
    if workers < cores {
        let more = (2 * workers).min(cores);
        draft.factor("client.workers", vec![json!(workers), json!(more)]);
        loads.exactly(draft, &[kept_up, beyond]);
        return Some(format!(
            "Does the client reach {} with {more} worker threads? If it does, the audit lets the point \
             stand, and the server is measured.",
            in_words(voided)
        ));
    }
    let third = (beyond - kept_up) / 3.0;
    loads.exactly(draft, &[kept_up, kept_up + third, kept_up + 2.0 * third]);
    Some(format!(
        "How far does this client reach? Loads between {} and {}; to go beyond, give the client a machine \
         of its own with more than {cores} core{}.",
        short(kept_up),
        in_words(voided),
        if cores == 1 { "" } else { "s" }
    ))
}

/// More memory for the cache.
fn kv_cache(draft: &mut Draft, server: &Server<'_>, loads: &Loads) -> Option<String> {
    let blocks = "num-gpu-blocks-override";
    let declared = server.number(draft, blocks);
    if server.is_sim() || declared.is_some() {
        let now = declared.or_else(|| server.number(draft, "num-gpu-blocks"))?;
        server.double_twice(draft, blocks, now)?;
        loads.for_a_change(draft);
        return Some(format!(
            "Does throughput grow with {blocks}? If it does, the KV cache was the limit."
        ));
    }
    let share = server.number(draft, "gpu-memory-utilization").unwrap_or(VLLM_MEMORY);
    // Half of what is left to take, in whole percents.
    let more = ((share + 1.0) * 50.0).floor().min(100.0 * MOST_MEMORY) / 100.0;
    if more > share {
        server.vary(draft, "gpu-memory-utilization", &[json!(share), json!(more)])?;
        loads.for_a_change(draft);
        return Some(
            "Does throughput grow with gpu-memory-utilization? The cache gets what the model leaves of it; \
             if throughput grows, the KV cache was the limit."
                .to_owned(),
        );
    }
    server.vary(draft, "kv-cache-dtype", &[json!("auto"), json!("fp8")])?;
    loads.for_a_change(draft);
    Some(
        "Does throughput grow with a cache of half the bytes a token (kv-cache-dtype)? If it does, the KV \
         cache was the limit."
            .to_owned(),
    )
}

/// Twice the GPUs, where they are there; else fewer slots, which take nothing from steps that are the limit.
fn compute(draft: &mut Draft, group: &Group, server: &Server<'_>, loads: &Loads) -> Option<String> {
    let (used, there) = server.gpus(draft);
    if 2 * used <= there {
        let name = "data-parallel-size";
        let now = server.number(draft, name).unwrap_or(1.0).max(1.0) as u64;
        server.vary(draft, name, &[json!(now), json!(now.saturating_mul(2))])?;
        loads.for_a_change(draft);
        return Some(format!(
            "Does throughput grow with {name}? If twice the GPUs bring nearly twice as much, compute was \
             the limit."
        ));
    }
    // Of those that are taken: slots that stay empty change nothing.
    let now = number(group, "running_max").or_else(|| number(group, "slots"))?;
    server.halve_twice(draft, "max-num-seqs", now)?;
    loads.around_the_edge(draft);
    Some(
        "Does throughput stay with fewer slots, and do tokens get faster? If so, compute was the limit: more \
         requests at once only share the same steps."
            .to_owned(),
    )
}

/// A number that the diagnosis weighed.
fn number(group: &Group, name: &str) -> Option<f64> {
    group.diagnosis.numbers().get(name).copied()
}
