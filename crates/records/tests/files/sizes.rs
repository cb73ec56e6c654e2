//! What a row and a token take in Parquet. The rows are the same each time, so the sizes are too.

use plimsoll_records::{RequestRow, ResultsFolder};

use crate::sample;
use crate::traffic::{Answers, JITTER, rows};

/// Bytes a request of `requests.parquet`, and a token of `tokens.parquet`.
fn bytes(rows: Vec<RequestRow>) -> (f64, f64) {
    let root = tempfile::tempdir().unwrap();
    let point = ResultsFolder::create(root.path(), "run").unwrap().point("p").unwrap();
    let written = sample::write(&point, rows);
    let size = |name| std::fs::metadata(point.path().join(name)).unwrap().len() as f64;
    (
        size("requests.parquet") / written.requests as f64,
        size("tokens.parquet") / written.tokens as f64,
    )
}

#[test]
fn a_row_takes_at_most_200_bytes_and_a_token_4() {
    let (row, token) = bytes(rows(0, 1_000, Answers::USUAL));
    assert!(row <= 200.0, "{row} bytes a row");
    assert!(token <= 4.0, "{token} bytes a token");
    // No file of stamps in ns can be smaller than what chance put into them: the entropy of a
    // normal distribution, log2(sigma * sqrt(2 pi e)) bits.
    let bits = (JITTER * (2.0 * std::f64::consts::PI * std::f64::consts::E).sqrt()).log2();
    assert!(token > bits / 8.0, "{token} bytes a token cannot hold stamps of {bits} bits");
}

#[test]
fn a_token_of_a_short_answer_or_a_slow_server_takes_at_most_4_5_bytes() {
    for answers in [
        Answers { from: 16, to: 16, gap: 1e7 },
        Answers { from: 64, to: 512, gap: 1e8 },
        Answers { from: 128, to: 128, gap: 1e8 },
        Answers { from: 4_000, to: 4_000, gap: 3e7 },
    ] {
        let count = 100_000 / answers.to;
        let (_, token) = bytes(rows(0, count, answers));
        assert!(token <= 4.5, "{answers:?}: {token} bytes a token");
    }
}
