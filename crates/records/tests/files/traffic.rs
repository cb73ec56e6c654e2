//! Requests as a run at a busy server leaves them: what sizes, memory and speed are measured with.
//!
//! 150 requests a second arrive by chance, the first token of each comes after some 50 ms, then
//! one chunk a token every 10 ms, give or take 0.2 ms of chance in each gap.

use std::time::Duration;

use plimsoll_records::{ChunkRow, ConnectionUse, Outcome, RequestRow, StampSource};
use plimsoll_units::RunNanos;

/// Mean time between two arrivals, ns.
const BETWEEN_ARRIVALS: f64 = 1e9 / 150.0;

/// Standard deviation of the gap between two tokens, ns.
pub(crate) const JITTER: f64 = 2e5;

/// How long answers are, in tokens: from, to, and the time from token to token in ns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) gap: f64,
}

impl Answers {
    /// The usual mixture.
    pub(crate) const USUAL: Self = Self { from: 64, to: 512, gap: 1e7 };
}

/// `count` requests from `first` on, in the order in which they ended, the same each time.
pub(crate) fn rows(first: u64, count: u64, answers: Answers) -> Vec<RequestRow> {
    let mut chance = Chance(first);
    let mut due = first as f64 * BETWEEN_ARRIVALS;
    let mut rows: Vec<_> = (first..first + count)
        .map(|id| {
            due += -BETWEEN_ARRIVALS * (1.0 - chance.unit()).ln();
            row(id, due, answers, &mut chance)
        })
        .collect();
    rows.sort_by_key(|row| row.done);
    rows
}

fn row(id: u64, due: f64, answers: Answers, chance: &mut Chance) -> RequestRow {
    let us = |us: f64| Duration::from_nanos((us.max(1.0) * 1e3) as u64);
    let intended = RunNanos::from_nanos(due as u64);
    let dequeued = intended + us(chance.normal(60.0, 15.0));
    let sent = dequeued + us(chance.normal(25.0, 5.0));
    let first_byte = sent + us(chance.normal(50_000.0, 8_000.0));
    let mut at = first_byte.as_nanos() as f64;
    let chunks: Vec<_> = (0..chance.between(answers.from, answers.to))
        .map(|_| {
            at += chance.normal(answers.gap, JITTER);
            let at = RunNanos::from_nanos(at as u64);
            ChunkRow { at, tokens: 1, counted: true, reasoning: false, shared: false }
        })
        .collect();
    let last = chunks.last().map_or(first_byte, |chunk| chunk.at);
    let (prompt, output) = (chance.between(100, 2_000) as u32, chunks.len() as u32);
    RequestRow {
        id,
        worker: (id % 4) as u32,
        intended,
        dequeued,
        connected: Some(dequeued),
        connection: Some(ConnectionUse::Reused),
        sent: Some(sent),
        first_byte: Some(first_byte),
        role_chunk: Some(first_byte),
        first_answer: chunks.first().map(|chunk| chunk.at),
        last_token: chunks.last().map(|chunk| chunk.at),
        usage: Some(last + us(chance.normal(90.0, 10.0))),
        done: last + us(chance.normal(150.0, 20.0)),
        outcome: Outcome::Ok,
        http_status: Some(200),
        finish_reason: Some("length".to_owned()),
        prompt_tokens_planned: Some(prompt),
        prompt_tokens: Some(prompt),
        output_tokens_planned: output,
        output_tokens: Some(output),
        cached_tokens: Some(0),
        stamp_source: StampSource::Socket,
        chunks,
        ..RequestRow::default()
    }
}

/// Chance that is the same each time (SplitMix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to less than 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number, both ends included.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    /// Nearly normal: the sum of twelve even numbers, whose variance is 1.
    fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let sum: f64 = (0..12).map(|_| self.unit()).sum();
        mean + deviation * (sum - 6.0)
    }
}
