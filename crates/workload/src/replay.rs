//! The part of a recorded trace that is played: its requests in order, their instants at any speed,
//! and what a prefix cache would find.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use plimsoll_units::{Rate, Span};

use crate::chance::{Source, Streams, unit};
use crate::config::{AtEnd, MAX_LENGTH_TOKENS, ReplayConfig};
use crate::error::WorkloadError;
use crate::remark::Remark;
use crate::trace::{self, BLOCK_TOKENS, Recorded};

/// The requests of a trace, from the beginning of the part that is used to its end.
///
/// Times are offsets from that beginning, in the trace's own time.
#[derive(Clone, Debug)]
pub struct Replay {
    config: ReplayConfig,
    /// In order.
    instants: Vec<Duration>,
    period: Duration,
    rate: Rate,
    blocks: Option<Vec<Box<[u64]>>>,
    /// For each request the tokens at its beginning that a request before it had at its beginning.
    repeated: Vec<u32>,
    inputs: Vec<u32>,
}

/// What a prefix cache without limits finds of some prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImpliedHits {
    /// Prompt tokens that a prompt before had at the same place, with all before them.
    pub hit_tokens: u64,
    /// All prompt tokens.
    pub prompt_tokens: u64,
}

impl ImpliedHits {
    /// hit tokens / prompt tokens; 0 of no prompts.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.prompt_tokens == 0 {
            0.0
        } else {
            self.hit_tokens as f64 / self.prompt_tokens as f64
        }
    }
}

impl Replay {
    /// The part of the trace that `config` names, with the lengths of its answers.
    ///
    /// # Errors
    /// When the file is not what the configuration says, or has no request there.
    pub(crate) fn read(
        config: &ReplayConfig,
        base_dir: &Path,
        remarks: &mut Vec<Remark>,
    ) -> Result<(Self, Vec<u32>), WorkloadError> {
        config.check().map_err(WorkloadError::Replay)?;
        let path = base_dir.join(&config.path);
        let mut rows = trace::read(config, &path)?;
        remarks.extend(sort(&mut rows, &path));
        let (rows, period) = part(rows, config, &path)?;
        let silence = rows.last().map_or(period, |last| period.saturating_sub(last.at));
        if silence > period / 20 && config.length.is_some() {
            remarks.push(Remark::TraceSilence {
                path: path.clone(),
                length_ms: period.as_millis() as u64,
                last_ms: (period - silence).as_millis() as u64,
            });
        }
        let instants = rows.iter().map(|row| row.at).collect();
        let mut inputs: Vec<u32> = rows.iter().map(|row| row.input).collect();
        let mut outputs: Vec<u32> = rows.iter().map(|row| row.output).collect();
        for (values, max, name) in
            [(&mut inputs, config.max_input, "input"), (&mut outputs, config.max_output, "output")]
        {
            let bounds = (1, max.unwrap_or(MAX_LENGTH_TOKENS));
            remarks.extend(trace::clip_to(values, bounds, name, &path));
        }
        let recorded = rows.len() as f64 / period.as_secs_f64();
        let rate = Rate::new(recorded * config.speed.unwrap_or(1.0))
            .map_err(|_| WorkloadError::ReplayInstant { path })?;
        let blocks: Vec<Box<[u64]>> = rows.into_iter().map(|row| row.blocks).collect();
        let blocks = blocks.iter().any(|ids| !ids.is_empty()).then_some(blocks);
        let repeated = blocks.as_ref().map_or_else(Vec::new, |blocks| repeated(blocks, &inputs));
        let replay =
            Self { config: config.clone(), instants, period, rate, blocks, repeated, inputs };
        Ok((replay, outputs))
    }

    /// Requests of the part; at least 1.
    #[must_use]
    pub fn len(&self) -> usize {
        self.instants.len()
    }

    /// Always false: a part without requests is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instants.is_empty()
    }

    /// Requests per second of the part, at the speed that was asked for.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// What comes behind the part.
    #[must_use]
    pub const fn at_end(&self) -> AtEnd {
        self.config.at_end
    }

    /// What was written about the trace.
    #[must_use]
    pub const fn config(&self) -> &ReplayConfig {
        &self.config
    }

    /// The instants, as offsets from the beginning and in order, played so that the whole part has
    /// `rate`: each is where it was, times the trace's own rate / `rate`.
    ///
    /// Requests of one stamp are spread as the configuration says, by `seed` alone, at most up to the
    /// next stamp.
    #[must_use]
    pub fn instants(&self, rate: Rate, seed: u64) -> Vec<Duration> {
        let stretch = self.stretch(rate);
        self.spread(seed).into_iter().map(|at| scaled(at, stretch)).collect()
    }

    /// How long the part takes at `rate`.
    #[must_use]
    pub fn period(&self, rate: Rate) -> Duration {
        scaled(self.period, self.stretch(rate))
    }

    /// How many times faster than recorded the trace is played at `rate`.
    #[must_use]
    pub fn speed(&self, rate: Rate) -> f64 {
        1.0 / self.stretch(rate)
    }

    /// What is played at `rate`, as the records keep it: `trace(conv.csv, azure, from=10m, length=5m,
    /// spread=3s, at-end=loop, speed=1.5)`.
    #[must_use]
    pub fn describe(&self, rate: Rate) -> String {
        let ReplayConfig { path, format, from, length, spread, at_end, .. } = &self.config;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let mut text = format!("trace({name}, {}", format.as_str());
        for (key, span) in [("from", from), ("length", length), ("spread", spread)] {
            if let Some(span) = span {
                text.push_str(&format!(", {key}={span}"));
            }
        }
        let at_end = match at_end {
            AtEnd::Loop => "loop",
            AtEnd::End => "end",
        };
        // Three digits are as many as a rate has that a person wrote.
        let speed = format!("{:.2e}", self.speed(rate)).parse::<f64>().unwrap_or(f64::NAN);
        text.push_str(&format!(", at-end={at_end}, speed={speed})"));
        text
    }

    fn stretch(&self, rate: Rate) -> f64 {
        self.len() as f64 / self.period.as_secs_f64() / rate.per_second()
    }

    /// Which request of the trace comes at `index`, when it is gone through again and again.
    pub(crate) const fn row(&self, index: u64) -> usize {
        (index % self.instants.len() as u64) as usize
    }

    /// The blocks of the prompt at `index`, where the trace has any.
    pub(crate) fn blocks(&self, index: u64) -> Option<&[u64]> {
        self.blocks.as_ref().map(|blocks| &*blocks[self.row(index)])
    }

    /// The length of the prompt of each request, tokens.
    pub(crate) fn inputs(&self) -> &[u32] {
        &self.inputs
    }

    /// What a prefix cache that forgets nothing finds of the prompts at `indexes`, if every request of
    /// the same pass before them has been there; `None` where the trace says nothing of prefixes.
    ///
    /// hit tokens of a prompt = 512 * whole blocks at its beginning that came before, and of the block
    /// behind them, which may be the last and shorter one of either prompt, the tokens that both have.
    /// Real caches know whole blocks of their own, and compute at least the last token of each prompt.
    #[must_use]
    pub fn implied_hits(&self, indexes: impl IntoIterator<Item = u64>) -> Option<ImpliedHits> {
        self.blocks.as_ref()?;
        let mut hits = ImpliedHits::default();
        for row in indexes.into_iter().map(|index| self.row(index)) {
            hits.hit_tokens += u64::from(self.repeated[row]);
            hits.prompt_tokens += u64::from(self.inputs[row]);
        }
        Some(hits)
    }

    /// The instants with rounded stamps spread out again.
    fn spread(&self, seed: u64) -> Vec<Duration> {
        let Some(width) = self.config.spread else { return self.instants.clone() };
        let mut rng = Streams::new(seed, Source::Spread).at(0);
        let mut spread = Vec::with_capacity(self.len());
        let mut draws = Vec::new();
        for group in self.instants.chunk_by(|one, next| one == next) {
            let next = self.instants.get(spread.len() + group.len()).copied();
            let room = (next.unwrap_or(self.period).saturating_sub(group[0])).min(width.get());
            draws.clear();
            draws.extend(group.iter().map(|at| *at + room.mul_f64(unit(&mut rng))));
            draws.sort_unstable();
            spread.append(&mut draws);
        }
        spread
    }
}

fn scaled(at: Duration, stretch: f64) -> Duration {
    // A stretch of 1 leaves every nanosecond where it was, as far as a float holds it: 104 days.
    Duration::try_from_secs_f64(at.as_secs_f64() * stretch).unwrap_or(Duration::MAX)
}

/// Puts the requests into the order of their instants; those of one instant keep theirs.
fn sort(rows: &mut [Recorded], path: &Path) -> Option<Remark> {
    let mut latest = Duration::ZERO;
    let mut behind = 0;
    for row in &*rows {
        behind += u64::from(row.at < latest);
        latest = latest.max(row.at);
    }
    rows.sort_by_key(|row| row.at);
    let of = rows.len() as u64;
    (behind > 0).then(|| Remark::TraceSorted { path: path.to_owned(), rows: behind, of })
}

/// The requests of the part that is used, with offsets from its beginning, and how long it is.
fn part(
    rows: Vec<Recorded>,
    config: &ReplayConfig,
    path: &Path,
) -> Result<(Vec<Recorded>, Duration), WorkloadError> {
    let first = rows.first().map_or(Duration::ZERO, |row| row.at);
    let last = rows.last().map_or(Duration::ZERO, |row| row.at - first);
    let from = config.from.map_or(Duration::ZERO, Span::get);
    let length = config.length.map(Span::get);
    let end = length.map_or(Duration::MAX, |length| from.saturating_add(length));
    let part: Vec<Recorded> = rows
        .into_iter()
        .map(|row| Recorded { at: row.at - first, ..row })
        .filter(|row| (from..end).contains(&row.at))
        .map(|row| Recorded { at: row.at - from, ..row })
        .collect();
    let Some(latest) = part.last().map(|row| row.at) else {
        return Err(WorkloadError::ReplayEmpty {
            path: path.to_owned(),
            from: Span::new(from),
            length: config.length,
            last: Span::new(last),
        });
    };
    let period = match length {
        Some(length) => length,
        // One mean gap behind the last request, so that a loop keeps the rate.
        None => {
            let gaps = part.len().saturating_sub(1).max(1) as u32;
            latest + (latest - part[0].at) / gaps
        }
    };
    if period.is_zero() {
        return Err(WorkloadError::ReplayInstant { path: path.to_owned() });
    }
    Ok((part, period))
}

/// For each request the tokens of its blocks, from the first on, that stood in a request before.
///
/// A block that came only as the shorter last one of a prompt has no more tokens than that.
fn repeated(blocks: &[Box<[u64]>], inputs: &[u32]) -> Vec<u32> {
    // The most tokens of each block that a request has had.
    let mut held: HashMap<u64, u32> = HashMap::new();
    let mut of = |ids: &[u64], input: u32| {
        let mut known = Some(0);
        let mut repeated = 0;
        let mut left = input;
        for id in ids {
            let tokens = left.min(BLOCK_TOKENS);
            left -= tokens;
            let held = held.entry(*id).or_default();
            if let Some(tokens_before) = known {
                repeated = tokens_before + tokens.min(*held);
                known = (*held >= tokens).then_some(repeated);
            }
            *held = tokens.max(*held);
        }
        repeated
    };
    blocks.iter().zip(inputs).map(|(ids, input)| of(ids, *input)).collect()
}

#[cfg(test)]
mod tests;
