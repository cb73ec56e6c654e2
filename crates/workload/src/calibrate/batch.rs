//! Batches of words whose common cost is known, and the questions that take them apart.

use serde::{Deserialize, Serialize};

/// A word and what it costs in running text, after a space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct KnownWord {
    pub(crate) text: String,
    /// At least 1.
    pub(crate) tokens: u32,
}

/// No probe of a weighing has more words than this, so that it fits the smallest context.
const LONGEST_WEIGHING: u64 = 128;

/// Words that together cost `excess` tokens more than one each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) words: Vec<&'static str>,
    /// Above 0: a batch without an excess is solved.
    pub(super) excess: u64,
}

/// A question to the server: the anchor, then these words, each so many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) words: Vec<(&'static str, u64)>,
}

impl Question {
    /// Each of `words` once.
    pub(super) fn once(words: &[&'static str]) -> Self {
        Self { words: words.iter().map(|word| (*word, 1)).collect() }
    }

    pub(super) fn text(&self, anchor: &str) -> String {
        let mut text = anchor.to_owned();
        for (word, times) in &self.words {
            for _ in 0..*times {
                text.push(' ');
                text.push_str(word);
            }
        }
        text
    }

    /// How many words follow the anchor: what they cost if each is one token.
    pub(super) fn count(&self) -> i64 {
        self.words.iter().map(|(_, times)| *times).sum::<u64>().cast_signed()
    }
}

/// How to take a batch apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Ask for the first half; the second half has what is left of the excess.
    Halve { middle: usize },
    /// Ask for word i repeated `times[i]` times: the excess of that count tells every word's own.
    Weigh { times: Vec<u64> },
}

impl Batch {
    /// The cut that tells most: a weighing where one is short enough, else halving.
    pub(super) fn cut(&self) -> Cut {
        let times = self.weights();
        if times.iter().fold(0_u64, |sum, times| sum.saturating_add(*times)) <= LONGEST_WEIGHING {
            Cut::Weigh { times }
        } else {
            Cut::Halve { middle: self.words.len() / 2 }
        }
    }

    /// Repetitions under which every way to spread the excess gives a count of its own.
    ///
    /// With an excess of 1 one word carries it, and 0, 1, 2, ... repetitions tell which. Otherwise
    /// the words' shares x_1, x_2, ... are read as digits: x_0 follows from the known sum, and
    /// 1, b, b^2, ... repetitions with b = excess + 1 give the number with the digits x_1, x_2, ...
    fn weights(&self) -> Vec<u64> {
        let words = self.words.len() as u32;
        if self.excess == 1 {
            return (0..u64::from(words)).collect();
        }
        let base = self.excess + 1;
        std::iter::once(0).chain((0..words - 1).map(|place| base.saturating_pow(place))).collect()
    }

    /// The question of a weighing.
    pub(super) fn weighing(&self, times: &[u64]) -> Question {
        let words = self.words.iter().copied().zip(times.iter().copied());
        Question { words: words.filter(|(_, times)| *times > 0).collect() }
    }

    /// Each word's share of the excess, from the excess `weighed` of the weighing; `None` when no
    /// way to spread it fits, which means that costs do not simply add up.
    pub(super) fn read(&self, times: &[u64], weighed: i64) -> Option<Vec<u64>> {
        let mut rest = u64::try_from(weighed).ok()?;
        let mut shares = vec![0; times.len()];
        if self.excess == 1 {
            *shares.get_mut(usize::try_from(rest).ok()?)? = 1;
            return Some(shares);
        }
        for (share, weight) in shares.iter_mut().zip(times).rev().take(times.len() - 1) {
            *share = rest / weight;
            rest %= weight;
        }
        shares[0] = self.excess.checked_sub(shares.iter().sum())?;
        Some(shares)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::words::WORDS;

    proptest! {
        /// Whatever each word costs, a weighing that fits reads every cost back, and halving is
        /// chosen only where no weighing fits.
        #[test]
        fn a_weighing_reads_every_share(shares in prop::collection::vec(0_u64..4, 2..17)) {
            let excess: u64 = shares.iter().sum();
            prop_assume!(excess > 0);
            let batch = Batch { words: WORDS[..shares.len()].to_vec(), excess };
            match batch.cut() {
                Cut::Weigh { times } => {
                    prop_assert!(times.iter().sum::<u64>() <= LONGEST_WEIGHING);
                    let weighed: u64 = shares.iter().zip(&times).map(|(x, m)| x * m).sum();
                    prop_assert_eq!(batch.read(&times, weighed.cast_signed()), Some(shares));
                }
                Cut::Halve { middle } => {
                    prop_assert!(middle > 0 && middle < shares.len());
                    prop_assert!(excess > 1);
                }
            }
        }
    }

    #[test]
    fn a_weighing_that_fits_nothing_is_noticed() {
        let batch = Batch { words: WORDS[..3].to_vec(), excess: 2 };
        let Cut::Weigh { times } = batch.cut() else { panic!() };
        assert_eq!(times, [0, 1, 3]);
        assert_eq!(batch.weighing(&times).text("x"), "x of and and and");
        assert_eq!(batch.read(&times, 4), Some(vec![0, 1, 1]));
        assert_eq!(batch.read(&times, -1), None);
        assert_eq!(batch.read(&times, 50), None);
        let single = Batch { words: WORDS[..3].to_vec(), excess: 1 };
        assert_eq!(single.read(&[0, 1, 2], 3), None);
    }
}
