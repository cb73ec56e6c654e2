//! The search for words of known cost.

use super::batch::{Batch, Cut, KnownWord, Question};

/// Words in the first question about them. Nearly every server's tokenizer has these words whole,
/// so large batches save probes; a bad word in one costs a few more.
const BATCH_WORDS: usize = 32;

/// Refinement ends once so many words of one token are known: prompts of them are varied enough.
const ENOUGH: usize = 64;

/// With fewer words of one token than this, dearer words are used beside them.
const FEWEST: usize = 32;

/// A word of more tokens than this is not worth having.
const DEAREST_TOKENS: u64 = 8;

/// Finds what words cost. Asks, is answered, and gives a pool in the end.
#[derive(Debug)]
pub(super) struct Search {
    /// Batches not yet asked for.
    fresh: Vec<Vec<&'static str>>,
    /// Batches with an excess, to be taken apart.
    pending: Vec<Batch>,
    /// What the open question is about.
    open: Option<Open>,
    known: Vec<KnownWord>,
    refine_left: u32,
}

#[derive(Debug)]
enum Open {
    Fresh(Vec<&'static str>),
    Half { batch: Batch, middle: usize },
    Weighing { batch: Batch, times: Vec<u64> },
}

impl Search {
    /// A search among `words` that may take `refine` questions beyond the first about each batch.
    pub(super) fn new(words: &[&'static str], refine: u32) -> Self {
        let mut search = Self {
            fresh: words.chunks(BATCH_WORDS).rev().map(<[_]>::to_vec).collect(),
            pending: Vec::new(),
            open: None,
            known: Vec::new(),
            refine_left: refine,
        };
        search.open_next();
        search
    }

    /// The question that waits for its answer; `None` when the search is over.
    pub(super) fn ask(&self) -> Option<Question> {
        self.open.as_ref().map(|open| match open {
            Open::Fresh(words) => Question::once(words),
            Open::Half { batch, middle } => Question::once(&batch.words[..*middle]),
            Open::Weighing { batch, times } => batch.weighing(times),
        })
    }

    /// Takes the tokens that the question's words cost beyond the anchor.
    pub(super) fn answer(&mut self, tokens: i64) {
        let Some(question) = self.ask() else { return };
        let excess = tokens - question.count();
        match self.open.take() {
            Some(Open::Fresh(words)) => self.settle(words, excess),
            Some(Open::Half { batch, middle }) => {
                let (first, second) = batch.words.split_at(middle);
                self.settle(first.to_vec(), excess);
                self.settle(second.to_vec(), batch.excess.cast_signed() - excess);
            }
            Some(Open::Weighing { batch, times }) => {
                for (word, share) in
                    batch.words.iter().zip(batch.read(&times, excess).unwrap_or_default())
                {
                    self.know(word, share);
                }
            }
            None => {}
        }
        self.open_next();
    }

    /// The words to use, at most `most`, and how many of them cost one token.
    pub(super) fn pool(&self, most: usize) -> (Vec<KnownWord>, usize) {
        let mut pool = self.known.clone();
        pool.sort_by_key(|word| word.tokens);
        let ones = pool.partition_point(|word| word.tokens == 1);
        if ones >= FEWEST {
            pool.truncate(ones);
        }
        pool.truncate(most);
        (pool, ones.min(most))
    }

    fn settle(&mut self, words: Vec<&'static str>, excess: i64) {
        let Ok(excess) = u64::try_from(excess) else {
            // Cheaper than a token a word: some merge, and none of them can be relied on.
            return;
        };
        match words[..] {
            [word] => self.know(word, excess),
            _ if excess == 0 => words.iter().for_each(|word| self.know(word, 0)),
            _ => self.pending.push(Batch { words, excess }),
        }
    }

    fn know(&mut self, word: &str, excess: u64) {
        if excess < DEAREST_TOKENS {
            let tokens = 1 + excess as u32;
            self.known.push(KnownWord { text: word.to_owned(), tokens });
        }
    }

    fn open_next(&mut self) {
        if let Some(words) = self.fresh.pop() {
            self.open = Some(Open::Fresh(words));
            return;
        }
        let ones = self.known.iter().filter(|word| word.tokens == 1).count();
        if ones >= ENOUGH || self.refine_left == 0 {
            return;
        }
        // The batch with the least excess a word has most to give.
        let ratio = |batch: &Batch| batch.excess as f64 / batch.words.len() as f64;
        let best = (0..self.pending.len())
            .min_by(|a, b| ratio(&self.pending[*a]).total_cmp(&ratio(&self.pending[*b])));
        let Some(best) = best else { return };
        self.refine_left -= 1;
        let batch = self.pending.swap_remove(best);
        self.open = Some(match batch.cut() {
            Cut::Halve { middle } => Open::Half { batch, middle },
            Cut::Weigh { times } => Open::Weighing { batch, times },
        });
    }
}
