//! The sentences of a conclusion on scenarios: all of them from the numbers.

mod options;

use plimsoll_analysis::{CaseState, Failure, ModelSize, ScenarioCase, Scenarios, SettingEffect};

use super::super::cells::{between, failed, failure, load, with_interval};
use super::{name, server, tables};
use crate::clean::clean;
use crate::environment::gibibytes;
use crate::numbers::{count, in_ms, list, percent, plain, three_digits};

/// What single requests take, in a sentence.
pub(super) fn headline(found: &Scenarios) -> String {
    let mut single: Vec<(f64, &ScenarioCase)> = tables::lightest(found)
        .filter(|case| case.is_single() && case.case.state == CaseState::Known)
        .filter_map(|case| Some((case.input_tokens()?, case)))
        .collect();
    single.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (Some((short, least)), Some((long, most))) = (single.first(), single.last()) else {
        let known = found.cases.iter().any(|case| case.case.state == CaseState::Known);
        let what =
            if known { "No request was sent alone" } else { "No case is left that ended well" };
        return format!("{what}, so nothing is said of single requests");
    };
    let times = |of: fn(&ScenarioCase) -> Option<f64>| Some(between(of(least)?, of(most)?));
    let lengths = if short == long {
        plain(*short)
    } else {
        format!("{} to {}", plain(*short), plain(*long))
    };
    let whole = times(|case| case.case.e2e.mean_ms).unwrap_or_default();
    let first = times(|case| case.case.service_ttft.mean_ms).unwrap_or_default();
    let failing = found.cases.iter().filter(|case| case.case.state == CaseState::Failed).count();
    let but = match failing {
        0 => String::new(),
        1 => "; one case failed".to_owned(),
        n => format!("; {n} cases failed"),
    };
    format!(
        "A request alone with a prompt of {lengths} tokens takes {whole}, {first} of it to its first token{but}"
    )
}

/// Below the summary: how to read it, and every failure in its words.
pub(super) fn summary(found: &Scenarios) -> Vec<String> {
    let mut notes = vec![
        "Latency: the whole response, from when its slot fell free. Tokens per second of one request: its output \
         tokens / its mean latency, prefill included. Intervals: 95 %, batch means of the requests in order of time"
            .to_owned(),
    ];
    let failing = found.cases.iter().filter(|case| case.case.failed > 0);
    notes.extend(failing.map(|case| {
        format!("{} at {}: {}", name(case), load(&case.case.load), failed(&case.case))
    }));
    notes
}

/// Below the phases.
pub(super) fn phases(found: &Scenarios) -> Vec<String> {
    let mut notes = vec![
        "Of requests that were alone at the server. Prefill as the client sees it has the network and the server's \
         HTTP side in it; the server's own is by its metrics. Decode: last token - first token"
            .to_owned(),
    ];
    if let Some(prefill) = &found.prefill {
        notes.push(format!(
            "Between {} and {} tokens each further token of a prompt costs {} ms of prefill",
            plain(prefill.from_tokens),
            plain(prefill.to_tokens),
            with_interval(&prefill.per_token_ms)
        ));
    }
    notes
}

/// Below the concurrencies: what more requests at once buy, and what each of them pays.
pub(super) fn concurrency(found: &Scenarios) -> Vec<String> {
    let mut notes = vec![
        "Tokens per second of all: requests in flight x those of one, for each is followed by the next at once \
         (Little's law)"
            .to_owned(),
    ];
    notes.extend(tables::ladders(found).filter_map(|cases| bought(&cases)));
    notes
}

/// `8 in flight deliver 2.1 times the tokens of 1, and each takes 3.8 times as long`.
fn bought(cases: &[&ScenarioCase]) -> Option<String> {
    let (first, last) = (cases.first()?, cases.last()?);
    let ratio = |of: fn(&ScenarioCase) -> Option<f64>| Some(of(last)? / of(first)?);
    let tokens = ratio(|case| case.tokens_per_s.map(|it| it.value))?;
    let time = ratio(|case| case.case.e2e.mean_ms)?;
    Some(format!(
        "{}: {} in flight deliver {} times the tokens per second of {}, and each request takes {} times as \
         long",
        of_server(first),
        last.case.concurrency()?,
        three_digits(tokens),
        first.case.concurrency()?,
        three_digits(time)
    ))
}

/// The name of a case with its server.
fn of_server(case: &ScenarioCase) -> String {
    let server = server(case);
    if server.is_empty() { name(case) } else { format!("{} ({server})", name(case)) }
}

/// Below the comparison of two levels.
pub(super) fn effect(effect: &SettingEffect) -> Vec<String> {
    let mut notes = vec![format!(
        "Change: {} against {}, the first level; the row of all of them is a geometric mean. Faster or slower: \
         certainly different; the same: certainly within 5 %; not told apart: neither",
        clean(&effect.level),
        clean(&effect.baseline)
    )];
    if effect.overall.iter().any(|(_, found)| found.is_single_run()) {
        notes.push(
            "One repetition has no interval, and no difference may be claimed of it: write \
             experiment.repetitions = 3"
                .to_owned(),
        );
    }
    notes
}

/// The conclusion, sentence by sentence.
pub(super) fn conclusion(found: &Scenarios) -> Vec<String> {
    let mut notes = vec![options::largest(found)];
    notes.push(memory(found));
    notes.extend(throughput(found));
    notes.push(options::of_setting(found, "enable-chunked-prefill", "Chunked prefill"));
    notes.push(options::of_setting(
        found,
        "max-num-batched-tokens",
        "The token budget of a step (max-num-batched-tokens)",
    ));
    notes.push(options::recommended(found));
    notes
}

/// What is known of the limit of memory.
fn memory(found: &Scenarios) -> String {
    let failures =
        || found.cases.iter().flat_map(|case| case.case.failures.iter().map(move |it| (case, it)));
    let mut words = Vec::new();
    if let Some((case, how)) = failures().find(|(_, failure)| Failure::is_out_of_memory(failure)) {
        words.push(format!(
            "memory ran out with {} at {}: {}",
            of_server(case),
            load(&case.case.load),
            failure(how)
        ));
    }
    if let Some(case) = found.cases.iter().find(|case| case.case.lost) {
        words.push(format!(
            "the server ended or stopped answering with {} at {}",
            of_server(case),
            load(&case.case.load)
        ));
    }
    let too_long: Vec<String> = found
        .cases
        .iter()
        .filter(|case| case.case.failures.iter().any(Failure::is_too_long))
        .map(|case| format!("{} at {}", name(case), load(&case.case.load)))
        .collect();
    if !too_long.is_empty() {
        words.push(format!("{} did not fit into the server's context", list(&too_long)));
    }
    let preempted: f64 = found.cases.iter().filter_map(|case| case.case.preemptions).sum();
    if preempted > 0.0 {
        let n = count(preempted as usize, "preemption");
        words.push(format!("{n} for want of KV cache"));
    }
    if words.is_empty() {
        words.push("no case ran out of memory".to_owned());
    }
    let fullest = |of: fn(&ScenarioCase) -> Option<f64>| {
        let known = found.cases.iter().filter_map(|case| Some((of(case)?, case)));
        known.max_by(|a, b| a.0.total_cmp(&b.0))
    };
    if let Some((share, case)) = fullest(|case| case.case.kv_cache_max) {
        words.push(format!(
            "at most {} of the KV cache was in use ({} at {})",
            percent(share),
            name(case),
            load(&case.case.load)
        ));
    }
    let vram = found.cases.iter().filter_map(|case| case.case.vram_max_bytes).max();
    words.push(match (vram, found.vram_bytes) {
        (Some(used), Some(all)) => {
            format!("at most {} of {} of VRAM were in use", gibibytes(used), gibibytes(all))
        }
        (Some(used), None) => format!("at most {} of VRAM were in use", gibibytes(used)),
        (None, _) => "the use of VRAM is not known".to_owned(),
    });
    format!("Memory: {}", words.join("; "))
}

/// How fast tokens come for a model of this size.
fn throughput(found: &Scenarios) -> Option<String> {
    let fastest = tables::lightest(found)
        .filter(|case| case.is_single())
        .filter_map(|case| Some((case.case.tpot.mean_ms.filter(|ms| *ms > 0.0)?, case)))
        .min_by(|a, b| a.0.total_cmp(&b.0))?;
    let per_s = 1e3 / fastest.0;
    let speed = format!(
        "One request alone decodes at up to {} tokens/s ({} ms a token, {})",
        three_digits(per_s),
        in_ms(fastest.0),
        of_server(fastest.1)
    );
    let Some(size) = found.model else {
        return Some(format!(
            "{speed}; the model's name does not tell its size, so nothing is said of that speed for it"
        ));
    };
    Some(format!("{speed}{}", for_its_size(size, per_s)))
}

/// What that speed is for a model of this size: each token reads every weight at work once.
fn for_its_size(size: ModelSize, per_s: f64) -> String {
    let rate = size.at_work() * per_s;
    let working = match size.active_billions {
        Some(active) => {
            format!("of {} billion parameters, {} at work", plain(size.billions), plain(active))
        }
        None => format!("of {} billion parameters", plain(size.billions)),
    };
    let bytes = size.bytes_per_parameter;
    let bandwidth = rate * bytes.unwrap_or(2.0);
    let terabytes = three_digits(bandwidth / 1e3);
    let weights = match bytes {
        Some(bytes) => format!("with {} bytes each as the server says", plain(bytes)),
        None => "if each has 2 bytes, which the server does not say".to_owned(),
    };
    format!(
        "; for a model {working} (by its name) that is {terabytes} TB of weights read per second {weights}, to be \
         held against the memory bandwidth of its GPUs"
    )
}
