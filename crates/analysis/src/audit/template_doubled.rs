//! `template-doubled`: the server counts a constant number of prompt tokens more than the client
//! composed.
//!
//! **What.** The server counts a constant number of prompt tokens more than the client composed.
//! **Warning.**
//! **Why.** A prompt that has been through the chat template before it is sent as a chat goes through it a
//! second time at the server. A published study counted 43 tokens and prefilled 51. The answers still look
//! right, and every figure is that of another prompt.
//! **Evidence.** By usage: `usage.prompt_tokens` less the planned length is one number above 0 in 99 % of at
//! least 10 requests; with exact plans `prompt-length` says so, too, and this code says what it is. Else by
//! the server's counter: prompt tokens / requests with a first token, both between the same two scrapes,
//! against the mean length that the client composed (planned, else by usage) of the requests with a first
//! token in the window. The counter must be above it by 0.9 tokens and by more than 4 standard deviations of
//! what the requests at the window's ends, counted by one side only, can do; and the server must have counted
//! as many requests as the rows have, to 5 %, or others used it. An excess that varies from request to
//! request is another tokenizer (`prompt-length`).
//! **Remedy.** Send chats as messages; calibrate against this server.

use std::collections::BTreeMap;

use plimsoll_records::{Finding, FindingCode, RequestRow, Severity};

use super::{Evidence, finding};

/// Requests below which nothing is called constant.
const ENOUGH: u64 = 10;

/// Share of the requests that must have the same excess.
const SAME: f64 = 0.99;

/// Excess per request, in tokens, that the server's own counter must show: less is rounding.
const EXCESS: f64 = 0.9;

/// How many standard deviations of the chance that other requests were counted the excess must be
/// above. Beyond 4 there is no chance in a run's points.
const BEYOND_CHANCE: f64 = 4.0;

/// How far the server's count of requests may be off the rows', as a share, for both to be the same
/// load.
const SAME_LOAD: f64 = 0.05;

/// By each request's usage where it shows a constant excess, else by the server's counter.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    by_usage(evidence).or_else(|| by_counter(evidence))
}

/// Usage - planned is the same number above 0 for (nearly) every request.
fn by_usage(evidence: &Evidence<'_>) -> Option<Finding> {
    let (mut n, mut planned_sum) = (0_u64, 0.0);
    let mut excesses: BTreeMap<i64, u64> = BTreeMap::new();
    for row in evidence.ok() {
        let (Some(got), Some(planned)) = (row.prompt_tokens, row.prompt_tokens_planned) else {
            continue;
        };
        n += 1;
        planned_sum += f64::from(planned);
        *excesses.entry(i64::from(got) - i64::from(planned)).or_insert(0) += 1;
    }
    let (excess, count) = excesses.into_iter().max_by_key(|&(_, count)| count)?;
    if n < ENOUGH || excess <= 0 || (count as f64) < SAME * n as f64 {
        return None;
    }
    let planned = planned_sum / n as f64;
    Some(found(
        planned,
        planned + excess as f64,
        format!(
            "the server counts {excess} prompt tokens more than the client composed, in {count} of \
             {n} requests alike"
        ),
    ))
}

/// The server's prompt tokens per request against the client's: as planned, else by usage.
///
/// The server's requests are those whose first token it counted between the two scrapes; the
/// client's are those with a first token in the window. At the window's ends some are counted by one
/// side only. With k of them the means may differ by sd sqrt(2 k) / n, and that much is chance.
fn by_counter(evidence: &Evidence<'_>) -> Option<Finding> {
    let counters = &evidence.point.server;
    let (tokens, requests) = (counters.prompt_tokens?, counters.ttft_s?.count);
    let window = evidence.window;
    let begun: Vec<&RequestRow> = evidence
        .rows
        .iter()
        .filter(|row| row.first_token().is_some_and(|at| window.contains(at)))
        .collect();
    let lengths: Vec<f64> = begun
        .iter()
        .map(|row| row.prompt_tokens_planned.or(row.prompt_tokens).map(f64::from))
        .collect::<Option<_>>()?;
    let n = lengths.len() as f64;
    let off = (requests - n).abs();
    if lengths.len() < ENOUGH as usize || requests <= 0.0 || off > (SAME_LOAD * n).max(3.0) {
        return None;
    }
    let mean = lengths.iter().sum::<f64>() / n;
    let variance = lengths.iter().map(|length| (length - mean).powi(2)).sum::<f64>() / n;
    let period_s = evidence.point.server_sampling.as_ref().map_or(1.0, |it| it.period_ms / 1e3);
    let at_the_ends = 1.0 + off + n / window.length().as_secs_f64() * period_s / 2.0;
    let chance = (variance * 2.0 * at_the_ends).sqrt() / n;
    let by_server = tokens / requests;
    let excess = by_server - mean;
    if excess <= EXCESS.max(BEYOND_CHANCE * chance) {
        return None;
    }
    Some(found(
        mean,
        by_server,
        format!(
            "the server took in {by_server:.1} prompt tokens a request by its own counter, the \
             client composed {mean:.1}: {excess:.1} more"
        ),
    ))
}

fn found(by_client: f64, by_server: f64, message: String) -> Finding {
    finding(
        FindingCode::TemplateDoubled,
        Severity::Warning,
        message,
        &[
            ("client_prompt_tokens", by_client),
            ("server_prompt_tokens", by_server),
            ("excess_tokens", by_server - by_client),
        ],
        "send chats as messages, not as text that has been through the chat template already, and \
         calibrate against this server",
    )
}

#[cfg(test)]
mod tests {
    use plimsoll_records::Tally;

    use super::super::fixture::Fixture;
    use super::*;

    /// A clean point whose server counted `extra` tokens more for each request than `length` says of
    /// the request's number, by its counter.
    fn counted(extra: f64, length: fn(u64) -> u32) -> Fixture {
        let mut fixture = Fixture::clean();
        let window = crate::Window::of(&fixture.point.phases);
        let (mut n, mut tokens) = (0.0, 0.0);
        for row in &mut fixture.rows {
            row.prompt_tokens = None;
            row.prompt_tokens_planned = Some(length(row.id));
            if row.first_token().is_some_and(|at| window.contains(at)) {
                n += 1.0;
                tokens += f64::from(length(row.id)) + extra;
            }
        }
        fixture.point.server.prompt_tokens = Some(tokens);
        fixture.point.server.ttft_s = Some(Tally { count: n, sum: 0.05 * n });
        fixture
    }

    fn varied(id: u64) -> u32 {
        200 + (id * 7919 % 400) as u32
    }

    #[test]
    fn a_constant_excess_in_the_usage_is_found_whatever_the_lengths() {
        let mut fixture = Fixture::clean();
        for row in &mut fixture.rows {
            // The study's figures: 43 counted by the client, 51 prefilled.
            row.prompt_tokens_planned = Some(43 + (row.id % 5) as u32);
            row.prompt_tokens = row.prompt_tokens_planned.map(|planned| planned + 8);
        }
        let found = fixture.find(FindingCode::TemplateDoubled).unwrap();
        assert_eq!((found.severity, found.numbers["excess_tokens"]), (Severity::Warning, 8.0));
        assert!(found.message.starts_with("the server counts 8 prompt tokens more"));
    }

    #[test]
    fn an_excess_that_varies_is_another_tokenizer_and_no_template() {
        let mut fixture = Fixture::clean();
        for row in &mut fixture.rows {
            row.prompt_tokens = Some(404 + (row.id % 3) as u32);
        }
        assert_eq!(fixture.find(FindingCode::TemplateDoubled), None);
        for row in &mut fixture.rows {
            row.prompt_tokens = Some(392);
        }
        assert_eq!(fixture.find(FindingCode::TemplateDoubled), None, "fewer are no template");
    }

    #[test]
    fn calibrated_prompts_pass() {
        assert_eq!(Fixture::clean().find(FindingCode::TemplateDoubled), None);
        for length in [|_| 43, varied] {
            assert_eq!(counted(0.0, length).find(FindingCode::TemplateDoubled), None);
        }
    }

    #[test]
    fn the_servers_counter_is_evidence_where_there_is_no_usage() {
        let found = counted(8.0, |_| 43).find(FindingCode::TemplateDoubled).unwrap();
        assert!((found.numbers["server_prompt_tokens"] - 51.0).abs() < 1e-9);
        assert!((found.numbers["client_prompt_tokens"] - 43.0).abs() < 1e-9);
        assert!(counted(12.0, varied).find(FindingCode::TemplateDoubled).is_some());
    }

    #[test]
    fn requests_counted_by_one_side_only_are_chance() {
        // The scrapes come half a second late: 20 other requests at either end, of other lengths.
        for seed in 1..=40 {
            let mut fixture = Fixture::with(seed, 40.0, 20.0);
            let late = std::time::Duration::from_millis(500);
            let window = crate::Window::of(&fixture.point.phases);
            let (start, end) = (window.start + late, window.end + late);
            let (mut n, mut tokens) = (0.0, 0.0);
            for row in &mut fixture.rows {
                let length = varied(row.id * 31 + seed);
                row.prompt_tokens = Some(length);
                row.prompt_tokens_planned = Some(length);
                if row.first_token().is_some_and(|at| start <= at && at < end) {
                    n += 1.0;
                    tokens += f64::from(length);
                }
            }
            fixture.point.server.prompt_tokens = Some(tokens);
            fixture.point.server.ttft_s = Some(Tally { count: n, sum: 0.05 * n });
            assert_eq!(fixture.find(FindingCode::TemplateDoubled), None, "seed {seed}");
        }
    }

    #[test]
    fn another_clients_load_on_the_same_server_is_no_evidence() {
        let mut fixture = counted(8.0, |_| 43);
        fixture.point.server.ttft_s = Some(Tally { count: 4000.0, sum: 200.0 });
        fixture.point.server.prompt_tokens = Some(4000.0 * 300.0);
        assert_eq!(fixture.find(FindingCode::TemplateDoubled), None);
    }

    #[test]
    fn a_server_that_says_nothing_cannot_be_held_to_it() {
        let mut fixture = counted(8.0, |_| 43);
        fixture.point.server.prompt_tokens = None;
        assert_eq!(fixture.find(FindingCode::TemplateDoubled), None);
        let mut fixture = counted(8.0, |_| 43);
        fixture.rows.iter_mut().for_each(|row| row.prompt_tokens_planned = None);
        assert_eq!(fixture.find(FindingCode::TemplateDoubled), None);
    }
}
