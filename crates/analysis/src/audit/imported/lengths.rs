//! Lengths of answers and prompts: what was stated, what was asked for, what the server took in.

use plimsoll_records::{Finding, FindingCode, Severity};

use super::super::{Evidence, finding};
use super::record;

/// Excess of prompt tokens a request that no rounding of the log makes.
const EXCESS: f64 = 0.9;

/// How far the server's requests may be off the client's, as a share, for both to be the same load.
const SAME_LOAD: f64 = 0.05;

/// The stated longest answer against the one that the server's log shows, or against the mean length.
pub(super) fn check_output(evidence: &Evidence<'_>) -> Option<Finding> {
    let record = record(evidence)?;
    let stated = record.max_tokens_stated?;
    let mean = evidence.point.workload.mean_output_tokens;
    let limits = record.log.as_ref().map(|log| log.max_tokens.as_slice()).unwrap_or_default();
    let others: u64 =
        limits.iter().filter(|it| it.max_tokens != stated).map(|it| it.requests).sum();
    let got =
        mean.map_or(String::new(), |mean| format!("; answers have {mean:.1} tokens on average"));
    let (message, asked) = if others > 0 {
        let most = limits.iter().max_by_key(|it| it.requests)?.max_tokens;
        let all: u64 = limits.iter().map(|it| it.requests).sum();
        let head =
            format!("max_tokens = {stated} is stated, and {others} of {all} requests asked for");
        (format!("{head} another, mostly {most}, by the server's log{got}"), most as f64)
    } else if limits.is_empty() && mean.is_some_and(|mean| mean > stated as f64) {
        let head = format!("max_tokens = {stated} is stated and was not obeyed");
        (format!("{head}{got}"), f64::NAN)
    } else {
        return None;
    };
    Some(finding(
        FindingCode::OutputLength,
        Severity::Warning,
        message,
        &[
            ("stated_tokens", stated as f64),
            ("asked_tokens", asked),
            ("mean_output_tokens", mean.unwrap_or(f64::NAN)),
        ],
        "see that max_tokens reaches the client's requests; the work is that of the longer answers",
    ))
}

/// The server's prompt tokens a request against the client's count, and prompts that open a turn twice.
pub(super) fn check_template(evidence: &Evidence<'_>) -> Option<Finding> {
    let record = record(evidence)?;
    let log = record.log.as_ref()?;
    let completed = record.completed.filter(|&it| it > 0)? as f64;
    let by_client = record.input_tokens.map(|tokens| tokens as f64 / completed);
    let received = log.received as f64;
    let same_load = (received - completed).abs() <= SAME_LOAD * completed;
    let by_server = evidence
        .point
        .server
        .prompt_tokens
        .filter(|_| same_load && received > 0.0)
        .map(|tokens| tokens / received);
    let excess = by_client.zip(by_server).map(|(client, server)| server - client);
    let doubled = log.prompts_doubled;
    if doubled == 0 && excess.is_none_or(|excess| excess <= EXCESS) {
        return None;
    }
    let mut message = String::new();
    if let Some(mark) = log.doubled_mark.as_ref().filter(|_| doubled > 0) {
        message = format!(
            "{doubled} of {} prompts open a turn inside an opened one ({mark} twice), as the server logged \
             them",
            log.received
        );
    }
    if let (Some(client), Some(server), Some(excess)) = (by_client, by_server, excess)
        && excess > EXCESS
    {
        let joint = if message.is_empty() { "" } else { "; " };
        message = format!(
            "{message}{joint}the client counted {client:.1} prompt tokens a request, the server took in \
             {server:.1}: {excess:.1} more"
        );
    }
    Some(finding(
        FindingCode::TemplateDoubled,
        Severity::Warning,
        message,
        &[
            ("prompts_doubled", doubled as f64),
            ("client_prompt_tokens", by_client.unwrap_or(f64::NAN)),
            ("server_prompt_tokens", by_server.unwrap_or(f64::NAN)),
            ("excess_tokens", excess.unwrap_or(f64::NAN)),
        ],
        "send chats as messages, not as text that has been through the chat template already",
    ))
}
