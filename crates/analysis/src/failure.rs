//! What failed, in the words that came with it.

use plimsoll_records::{Outcome, RequestRow};

/// Kinds of failure that are kept of a point.
const KINDS: usize = 8;

/// Words by which servers, and the libraries below them, say that memory ran out.
const OUT_OF_MEMORY: [&str; 4] =
    ["out of memory", "outofmemory", "cudamalloc", "failed to allocate"];

/// Words by which servers say that a request is longer than their context.
const TOO_LONG: [&str; 5] = [
    "maximum context length",
    "context length",
    "context size",
    "max_model_len",
    "maximum model length",
];

/// Requests of a point that failed in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How they ended.
    pub outcome: Outcome,
    /// The status of the response, if one came.
    pub status: Option<u16>,
    /// What was said of the first of them: the server's words where it sent some.
    pub words: String,
    /// How many.
    pub count: u64,
}

impl Failure {
    /// Whether the words say that memory ran out.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        self.says(&OUT_OF_MEMORY)
    }

    /// Whether the words say that the request does not fit into the server's context.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.says(&TOO_LONG) && !self.is_out_of_memory()
    }

    fn says(&self, any: &[&str]) -> bool {
        let words = self.words.to_lowercase();
        any.iter().any(|known| words.contains(known))
    }
}

/// The failures among `rows`: see [`together`]; the first few kinds.
pub(crate) fn failures<'a>(rows: impl Iterator<Item = &'a RequestRow>) -> Vec<Failure> {
    let failed = rows.filter(|row| row.outcome.is_failure());
    let mut kinds = together(failed.map(|row| Failure {
        outcome: row.outcome,
        status: row.http_status.filter(|status| *status != 200),
        words: row.error.clone().unwrap_or_default(),
        count: 1,
    }));
    kinds.truncate(KINDS);
    kinds
}

/// Failures of a kind together, by outcome, status and whether the words speak of memory, with the words of
/// the first; the most frequent first, those of the same frequency in the order of the first of them.
pub(crate) fn together(failures: impl Iterator<Item = Failure>) -> Vec<Failure> {
    let mut kinds: Vec<Failure> = Vec::new();
    for failure in failures {
        let same = |kind: &&mut Failure| {
            (kind.outcome, kind.status, kind.is_out_of_memory())
                == (failure.outcome, failure.status, failure.is_out_of_memory())
        };
        match kinds.iter_mut().find(same) {
            Some(kind) => kind.count += failure.count,
            None => kinds.push(failure),
        }
    }
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(outcome: Outcome, status: u16, error: &str) -> RequestRow {
        RequestRow {
            outcome,
            http_status: Some(status),
            error: Some(error.to_owned()),
            ..RequestRow::default()
        }
    }

    #[test]
    fn failures_are_counted_by_kind_and_keep_the_first_words() {
        let rows = [
            row(Outcome::Ok, 200, ""),
            row(Outcome::Timeout, 200, "no token in 300 s"),
            row(Outcome::HttpStatus, 400, "maximum context length is 4096 tokens, not 10064"),
            row(Outcome::HttpStatus, 400, "maximum context length is 4096 tokens, not 10065"),
            row(Outcome::HttpStatus, 500, "CUDA out of memory. Tried to allocate 2 GiB"),
            row(Outcome::Aborted, 200, "the point was over"),
        ];
        let found = failures(rows.iter());
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!((found[0].count, found[0].status), (2, Some(400)));
        assert!(found[0].words.ends_with("not 10064") && found[0].is_too_long());
        assert!(!found[0].is_out_of_memory());
        assert_eq!((found[1].outcome, found[1].status), (Outcome::Timeout, None));
        assert!(found[2].is_out_of_memory() && !found[2].is_too_long());
    }

    #[test]
    fn memory_that_ran_out_under_a_status_of_its_own_is_told_apart() {
        let rows = [
            row(Outcome::StreamError, 200, "request cancelled"),
            row(Outcome::StreamError, 200, "torch.OutOfMemoryError: no room"),
        ];
        let found = failures(rows.iter());
        assert_eq!(found.len(), 2);
        assert!(found[1].is_out_of_memory());
    }
}
