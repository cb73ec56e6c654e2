//! Writes three rows into a results folder, as a client would while it measures, and reads them
//! back.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use plimsoll_records::{
    ChunkRow, ConnectionUse, Outcome, PointWriter, RequestRow, ResultsFolder, StampSource,
    read_point,
};
use plimsoll_units::RunNanos;

/// A request sent `id` seconds into the run that got its one token after 50 ms.
fn row(id: u64) -> RequestRow {
    let at = |ms: u64| RunNanos::from_nanos((id * 1_000 + ms) * 1_000_000);
    let token = ChunkRow { at: at(50), tokens: 1, counted: false, reasoning: false, shared: false };
    RequestRow {
        id,
        session: None,
        turn: None,
        worker: 0,
        intended: at(0),
        dequeued: at(0),
        connected: Some(at(0)),
        connection: Some(ConnectionUse::New),
        sent: Some(at(1)),
        first_byte: Some(at(49)),
        role_chunk: None,
        first_reasoning: None,
        first_answer: Some(token.at),
        last_token: Some(token.at),
        usage: None,
        done: at(51),
        resent: false,
        outcome: Outcome::Ok,
        http_status: Some(200),
        error: None,
        finish_reason: Some("stop".to_owned()),
        prompt_tokens_planned: Some(16),
        prompt_tokens: Some(16),
        output_tokens_planned: 1,
        output_tokens: Some(1),
        cached_tokens: None,
        stamp_source: StampSource::User,
        chunks: vec![token],
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = ResultsFolder::create(&std::env::temp_dir(), "plimsoll-rows")?;
    let point = folder.point("only")?;
    let writer = PointWriter::create(&point, |row| println!("request {} is over", row.id))?;
    let mut sender = writer.sender();
    (0..3).for_each(|id| sender.send(row(id)));
    sender.close();
    let written = writer.finish()?;
    let read = read_point(&point)?;
    println!("{} rows and {} tokens", written.requests, written.tokens);
    println!("lag of the first: {:?}", read.rows[0].schedule_lag());
    Ok(())
} // Prints each request as it ends, then `3 rows and 3 tokens` and `lag of the first: Some(1ms)`.
