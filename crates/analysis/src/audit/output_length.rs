//! `output-length`: answers are not as long as was asked.
//!
//! **What.** Over 1 % of the answers have another length than was asked for. **Warning**. Where exact
//! lengths could not be asked for, because the server knows no `ignore_eos`, an answer may be shorter, and
//! only those that are longer than `max_tokens` count.
//! **Why.** A lost `max_tokens`, an early end of sequence or a cut context changes the work, and with it
//! every rate.
//! **Evidence.** Output tokens by usage (or by the server's own chunk counts) against the plan, request by
//! request.
//! **Remedy.** See that `max_tokens` and `ignore_eos` reach the server, and that prompt and answer fit its
//! context.

use plimsoll_records::{Finding, FindingCode, Severity};

use super::{Evidence, finding};

/// Share of answers that may have another length.
const SHARE: f64 = 0.01;

/// Compares the answers' lengths with those asked for; where these are upper limits, one way only. Counts
/// come from usage, or from chunks that the server counted: an uncounted chunk may carry any number
/// of tokens.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let exact = evidence.point.workload.exact_output;
    let (mut n, mut other, mut got, mut asked) = (0_u64, 0_u64, 0.0, 0.0);
    let counted = evidence
        .ok()
        .filter(|row| row.output_tokens.is_some() || row.chunks.iter().all(|chunk| chunk.counted));
    for row in counted {
        let (count, plan) = (row.output_count(), u64::from(row.output_tokens_planned));
        // No answer of nothing is asked for: 0 stands for a plan that nobody knows.
        let differs = if exact { count != plan } else { plan > 0 && count > plan };
        n += 1;
        other += u64::from(differs);
        got += row.output_count() as f64;
        asked += f64::from(row.output_tokens_planned);
    }
    let share = other as f64 / n.max(1) as f64;
    if share <= SHARE {
        return None;
    }
    let (got, asked) = (got / n as f64, asked / n as f64);
    Some(finding(
        FindingCode::OutputLength,
        Severity::Warning,
        format!(
            "{other} of {n} answers {}: {got:.1} tokens on average of {asked:.1}",
            if exact {
                "have another length than was asked for"
            } else {
                "are longer than was asked for at most"
            }
        ),
        &[("other_length_share", share), ("mean_output_tokens", got), ("mean_asked_tokens", asked)],
        "see that max_tokens and ignore_eos (or min_tokens) reach the server and that prompt and \
         answer fit its context",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    /// A clean point in which every `nth` answer is two tokens short.
    fn short(nth: usize) -> Fixture {
        let mut fixture = Fixture::clean();
        for row in fixture.rows.iter_mut().step_by(nth) {
            row.output_tokens = Some(8);
            row.chunks.truncate(8);
        }
        fixture
    }

    #[test]
    fn lost_max_tokens_and_early_ends_are_found() {
        let found = short(1).find(FindingCode::OutputLength).unwrap();
        assert_eq!(found.numbers["mean_output_tokens"], 8.0);
        assert!(short(20).find(FindingCode::OutputLength).is_some());
    }

    #[test]
    fn a_few_or_unasked_lengths_pass() {
        assert_eq!(short(200).find(FindingCode::OutputLength), None);
        let mut free = short(1);
        free.point.workload.exact_output = false;
        assert_eq!(free.find(FindingCode::OutputLength), None);
    }

    #[test]
    fn a_limit_that_is_lost_is_found_where_answers_may_be_shorter() {
        let mut free = short(2);
        free.point.workload.exact_output = false;
        for row in free.rows.iter_mut().step_by(20) {
            row.output_tokens = Some(256);
        }
        let found = free.find(FindingCode::OutputLength).unwrap();
        assert!(found.message.contains("are longer than was asked for at most"), "{found:?}");
        assert!((found.numbers["other_length_share"] - 0.05).abs() < 0.01, "{found:?}");
        // Nobody knows what was asked for.
        free.rows.iter_mut().for_each(|row| row.output_tokens_planned = 0);
        assert_eq!(free.find(FindingCode::OutputLength), None);
    }

    #[test]
    fn uncounted_chunks_without_usage_say_nothing_of_length() {
        let mut fixture = Fixture::clean();
        for row in &mut fixture.rows {
            row.output_tokens = None;
            row.chunks.truncate(5);
            row.chunks.iter_mut().for_each(|chunk| chunk.counted = false);
        }
        assert_eq!(fixture.find(FindingCode::OutputLength), None);
    }
}
