//! `prompt-length`: prompts are not as long as was planned.
//!
//! **What.** Over 1 % of the prompts have another length than was planned. **Warning**, where the plan was
//! exact.
//! **Why.** A chat template (applied once or twice) or another tokenizer changes the prefill.
//! **Evidence.** `usage.prompt_tokens` against the plan, request by request.
//! **Remedy.** Calibrate against this server; a constant excess is the template.

use plimsoll_records::{Finding, FindingCode, Severity};

use super::{Evidence, finding};

/// Share of prompts that may have another length.
const SHARE: f64 = 0.01;

/// Compares the server's prompt tokens with the planned ones, where the plan was exact.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    if !evidence.point.workload.exact_input {
        return None;
    }
    let (mut n, mut other, mut got, mut planned) = (0_u64, 0_u64, 0.0, 0.0);
    for row in evidence.ok() {
        let (Some(tokens), Some(plan)) = (row.prompt_tokens, row.prompt_tokens_planned) else {
            continue;
        };
        n += 1;
        other += u64::from(tokens != plan);
        got += f64::from(tokens);
        planned += f64::from(plan);
    }
    let share = other as f64 / n.max(1) as f64;
    if share <= SHARE {
        return None;
    }
    let (got, planned) = (got / n as f64, planned / n as f64);
    Some(finding(
        FindingCode::PromptLength,
        Severity::Warning,
        format!(
            "{other} of {n} prompts have another length than was planned: {got:.1} tokens on \
             average of {planned:.1}"
        ),
        &[
            ("other_length_share", share),
            ("mean_prompt_tokens", got),
            ("mean_planned_tokens", planned),
        ],
        "calibrate the prompts against this server's tokenizer and chat template; a constant \
         excess is the template",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn a_template_that_adds_tokens_is_found() {
        let mut fixture = Fixture::clean();
        assert_eq!(fixture.find(FindingCode::PromptLength), None);
        for row in &mut fixture.rows {
            row.prompt_tokens = Some(408);
        }
        let found = fixture.find(FindingCode::PromptLength).unwrap();
        assert_eq!(found.numbers["mean_prompt_tokens"], 408.0);
        fixture.point.workload.exact_input = false;
        assert_eq!(fixture.find(FindingCode::PromptLength), None);
    }

    #[test]
    fn a_server_that_does_not_say_cannot_be_held_to_it() {
        let mut fixture = Fixture::clean();
        for row in &mut fixture.rows {
            row.prompt_tokens = None;
            row.prompt_tokens_planned = Some(1);
        }
        assert_eq!(fixture.find(FindingCode::PromptLength), None);
    }

    #[test]
    fn a_prompt_that_nobody_planned_has_no_other_length_than_planned() {
        let mut fixture = Fixture::clean();
        for row in &mut fixture.rows {
            row.prompt_tokens_planned = None;
        }
        assert_eq!(fixture.find(FindingCode::PromptLength), None);
    }
}
