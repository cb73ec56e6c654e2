//! Finding out what words cost at a server, from nothing but its own token counts.
//!
//! [`Calibrator`] is a pure state machine: it says which text to count next, and is told the count.
//! Whoever owns the connection asks the server, through its tokenizer endpoint or through a request
//! for one token whose `usage.prompt_tokens` is read. In order:
//!
//! 1. *Anchor*: a prompt of one word. Everything that follows is measured against it, so template
//!    and special tokens cancel out.
//! 2. *Batches*: the anchor followed by 32 words. Each word costs at least one token, so a batch
//!    that costs exactly 32 more holds only words of one token.
//! 3. *Refinement*, only when batches with an excess leave too few words: halving, and weighing. A
//!    weighing repeats each word a different number of times, so that one count tells which words
//!    carry the excess, as a balance finds the false coin.
//! 4. *First words*: the first word of a prompt has no space before it and may cost something else.
//!    A few are tried alone; those with the least count are used.
//! 5. *Verification*: whole prompts, composed as they will be in the measurement, at several
//!    lengths. What they are off by is the report's `max_error_tokens`.
//!
//! Where fewer than 32 words cost one token, words with other known costs are used beside them;
//! lengths stay exact as long as one word of one token is left.
//!
//! Chat and completions have different templates: calibrate through the API that is measured.

mod batch;
mod search;

use serde::{Deserialize, Serialize};

use self::batch::KnownWord as Known;
use self::search::Search;
use crate::compose::{Composer, MAX_FIRSTS, MAX_POOL};
use crate::error::CalibrationError;
use crate::words::WORDS;

pub(crate) use self::batch::KnownWord;

/// The first word of every probe but those that try others.
const ANCHOR: &str = WORDS[0];

/// No prompt longer than this is sent for verification, tokens.
const LONGEST_VERIFIED_TOKENS: u32 = 8_192;

/// Separates the prompts of the verification from those of any measurement, so that none of them is
/// in the server's cache beforehand.
const VERIFY_SEED: u64 = 0x7665_7269_6679_2121;

/// What a calibrator is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalibratorOptions {
    /// How many probes may be spent on batches that do not add up. The other steps take at most
    /// 1 + 8 + 15 + 4 probes and one for each length to verify.
    pub refine_probes: u32,
    /// Prompt lengths to verify beside the overhead plus 16 and plus 100, tokens, template included.
    pub verify_tokens: Vec<u32>,
    /// Chooses the words of the prompts that verify.
    pub seed: u64,
}

impl Default for CalibratorOptions {
    /// 96 probes of refinement find 32 good words even where half of the list is bad; at 30 ms a
    /// probe that is three seconds, spent only on such a server.
    fn default() -> Self {
        Self { refine_probes: 96, verify_tokens: Vec::new(), seed: 0 }
    }
}

/// A text whose tokens the server is to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The user's prompt. The count wanted is the whole prompt's, template included.
    pub text: String,
}

/// Asks for counts until it knows what words cost, and checks that composed prompts have the length
/// they were planned to have.
///
/// A state machine without I/O: take [`Self::next_probe`], have the server count it, give the count
/// to [`Self::answer`], until there is no next probe; then [`Self::finish`]. A server whose
/// tokenizer has the words whole takes some 30 probes. Chat and completions have different
/// templates: calibrate through the API that is measured.
#[derive(Debug)]
pub struct Calibrator {
    options: CalibratorOptions,
    step: Step,
    open: Option<Open>,
    probes: u32,
    verified: Vec<Verified>,
}

/// Where the calibration stands, with what that step needs.
#[derive(Debug)]
enum Step {
    Anchor,
    Words {
        anchor_tokens: u32,
        search: Search,
    },
    Firsts {
        words: Vec<Known>,
        one_token_words: usize,
        tried: Vec<(String, u32)>,
        left: Vec<String>,
    },
    Verify {
        vocabulary: Vocabulary,
        one_token_words: usize,
        composer: Box<Composer>,
        left: Vec<u32>,
    },
}

/// The probe that waits for its answer, and the count that is expected of a verification.
#[derive(Debug)]
struct Open {
    probe: Probe,
    planned: Option<u32>,
}

impl Calibrator {
    /// A calibrator at its first probe.
    #[must_use]
    pub fn new(options: CalibratorOptions) -> Self {
        Self { options, step: Step::Anchor, open: None, probes: 0, verified: Vec::new() }
    }

    /// The next text to count; the same one until it is answered, and `None` when all is known.
    pub fn next_probe(&mut self) -> Option<&Probe> {
        if self.open.is_none() {
            self.open = self.plan();
        }
        self.open.as_ref().map(|open| &open.probe)
    }

    /// Takes the server's count of the open probe: the prompt's tokens, template included.
    ///
    /// # Errors
    /// When no probe is open, the count is 0, or nothing the server counts adds up. The calibrator
    /// is of no more use then.
    pub fn answer(&mut self, tokens: u32) -> Result<(), CalibrationError> {
        let open = self.open.take().ok_or(CalibrationError::NoProbeOpen { tokens })?;
        self.probes += 1;
        if tokens == 0 {
            let words = open.probe.text.split(' ').count();
            return Err(CalibrationError::NoTokens { words });
        }
        match &mut self.step {
            Step::Anchor => {
                let search = Search::new(&WORDS, self.options.refine_probes);
                self.step = Step::Words { anchor_tokens: tokens, search };
            }
            Step::Words { anchor_tokens, search } => {
                search.answer(i64::from(tokens) - i64::from(*anchor_tokens));
            }
            Step::Firsts { tried, left, .. } => {
                tried.extend(left.pop().map(|word| (word, tokens)));
            }
            Step::Verify { left, .. } => {
                left.pop();
                let planned = open.planned.unwrap_or_default();
                self.verified.push(Verified { planned_tokens: planned, counted_tokens: tokens });
            }
        }
        self.advance()
    }

    /// Passes over the open probe, which the server does not take, and says whether that can be: only the
    /// prompts of the verification can be done without, of which a server may find one too long.
    pub fn pass_over(&mut self) -> bool {
        let Step::Verify { left, .. } = &mut self.step else { return false };
        let is_open = self.open.take().is_some();
        if is_open {
            left.pop();
        }
        is_open
    }

    /// What was found, once [`Self::next_probe`] gives none.
    ///
    /// # Errors
    /// When there are still probes to answer.
    pub fn finish(mut self) -> Result<Calibration, CalibrationError> {
        if self.next_probe().is_some() {
            return Err(CalibrationError::Unfinished);
        }
        let Step::Verify { vocabulary, one_token_words, .. } = self.step else {
            return Err(CalibrationError::Unfinished);
        };
        let error = |pair: &Verified| pair.counted_tokens.abs_diff(pair.planned_tokens);
        let max_error_tokens = self.verified.iter().map(error).max().unwrap_or_default();
        let fills_any_gap = vocabulary.words.iter().any(|word| word.tokens == 1);
        let report = CalibrationReport {
            overhead_tokens: vocabulary.base_tokens - 1,
            one_token_words: one_token_words as u32,
            first_words: vocabulary.firsts.len() as u32,
            words: vocabulary.words.len() as u32,
            probes: self.probes,
            verified: self.verified,
            max_error_tokens,
            exact: max_error_tokens == 0 && fills_any_gap,
        };
        Ok(Calibration { report, vocabulary })
    }

    /// Runs to the end with a counter that answers at once, as a tokenizer in the process does.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub fn run(
        mut self,
        mut count: impl FnMut(&str) -> u32,
    ) -> Result<Calibration, CalibrationError> {
        while let Some(probe) = self.next_probe() {
            let tokens = count(&probe.text);
            self.answer(tokens)?;
        }
        self.finish()
    }

    /// The probe that the present step needs next.
    fn plan(&self) -> Option<Open> {
        let words = |text: String| Open { probe: Probe { text }, planned: None };
        match &self.step {
            Step::Anchor => Some(words(ANCHOR.to_owned())),
            Step::Words { search, .. } => search.ask().map(|question| words(question.text(ANCHOR))),
            Step::Firsts { left, .. } => left.last().map(|word| words(word.clone())),
            Step::Verify { composer, left, .. } => left.last().map(|tokens| {
                let mut text = Vec::new();
                let planned = composer.write(&mut text, left.len() as u64, *tokens);
                // The list's words are ASCII letters, so nothing in the text is escaped.
                let text = String::from_utf8_lossy(&text).into_owned();
                Open { probe: Probe { text }, planned: Some(planned) }
            }),
        }
    }

    /// Goes on to the next step where the present one has all its answers.
    fn advance(&mut self) -> Result<(), CalibrationError> {
        let nothing_adds_up = CalibrationError::NothingAddsUp { probes: self.probes };
        if let Step::Words { anchor_tokens, search } = &self.step
            && search.ask().is_none()
        {
            let (words, one_token_words) = search.pool(MAX_POOL);
            if words.is_empty() {
                return Err(nothing_adds_up);
            }
            // Spread over the pool; the anchor's count is known already.
            let step = words.len().div_ceil(MAX_FIRSTS).max(1);
            let left = words.iter().step_by(step).map(|word| word.text.clone());
            let left = left.filter(|word| word != ANCHOR).take(MAX_FIRSTS - 1).collect();
            let tried = vec![(ANCHOR.to_owned(), *anchor_tokens)];
            self.step = Step::Firsts { words, one_token_words, tried, left };
        }
        if let Step::Firsts { words, one_token_words, tried, left } = &mut self.step
            && left.is_empty()
        {
            let base_tokens = tried.iter().map(|(_, tokens)| *tokens).min();
            let base_tokens = base_tokens.ok_or(nothing_adds_up)?;
            let cheapest = tried.iter().filter(|(_, tokens)| *tokens == base_tokens);
            let vocabulary = Vocabulary {
                base_tokens,
                firsts: cheapest.map(|(word, _)| word.clone()).collect(),
                words: std::mem::take(words),
            };
            let composer = Composer::new(&vocabulary, self.options.seed ^ VERIFY_SEED, None);
            let overhead = base_tokens - 1;
            let usual = [16, 16, 100, 100].map(|tokens| overhead + tokens);
            let given = self.options.verify_tokens.iter();
            let left = given
                .map(|tokens| (*tokens).clamp(base_tokens, LONGEST_VERIFIED_TOKENS))
                .chain(usual)
                .collect();
            self.step = Step::Verify {
                vocabulary,
                one_token_words: *one_token_words,
                composer: Box::new(composer),
                left,
            };
        }
        Ok(())
    }
}

/// What words cost at one server through one API: all that composing exact prompts needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Calibration {
    report: CalibrationReport,
    vocabulary: Vocabulary,
}

impl Calibration {
    /// The calibration of a server that counts one token a word, and `overhead_tokens` for its
    /// template. Taken on trust: nothing was verified, and the report says so. For tests, and for
    /// servers that count nothing.
    #[must_use]
    pub fn assumed(overhead_tokens: u32) -> Self {
        let word = |text: &&str| KnownWord { text: (*text).to_owned(), tokens: 1 };
        let vocabulary = Vocabulary {
            base_tokens: overhead_tokens.saturating_add(1),
            firsts: WORDS.iter().step_by(16).map(|word| (*word).to_owned()).collect(),
            words: WORDS.iter().map(word).collect(),
        };
        let report = CalibrationReport {
            overhead_tokens,
            one_token_words: WORDS.len() as u32,
            first_words: vocabulary.firsts.len() as u32,
            words: WORDS.len() as u32,
            probes: 0,
            verified: Vec::new(),
            max_error_tokens: 0,
            exact: false,
        };
        Self { report, vocabulary }
    }

    /// What was found, for the manifest and the reader.
    #[must_use]
    pub const fn report(&self) -> &CalibrationReport {
        &self.report
    }

    pub(crate) const fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }
}

/// What a calibration found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalibrationReport {
    /// What the server adds to every prompt: template and special tokens.
    pub overhead_tokens: u32,
    /// Words found to cost exactly one token in running text.
    pub one_token_words: u32,
    /// Words that a prompt may start with.
    pub first_words: u32,
    /// Words in use. More than `one_token_words` where those were too few.
    pub words: u32,
    /// How many counts were asked of the server.
    pub probes: u32,
    /// The prompts that were composed and counted.
    pub verified: Vec<Verified>,
    /// The largest difference among them between planned and counted tokens.
    pub max_error_tokens: u32,
    /// Whether every verified prompt had the planned length and every length can be composed.
    pub exact: bool,
}

/// A prompt composed for a length, and the server's count of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Tokens planned.
    pub planned_tokens: u32,
    /// Tokens counted.
    pub counted_tokens: u32,
}

/// Words and their costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Vocabulary {
    /// What a prompt of one of the first words costs, template included. At least 1.
    pub(crate) base_tokens: u32,
    /// Words that a prompt may start with, all of the same cost there.
    pub(crate) firsts: Vec<String>,
    /// Words that may follow, each with its cost.
    pub(crate) words: Vec<KnownWord>,
}

#[cfg(test)]
mod tests;
