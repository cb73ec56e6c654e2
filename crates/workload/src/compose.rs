//! Synthetic prompts of an exact token count, no two of which begin alike.
//!
//! A prompt is words joined by single spaces. What a prompt costs is `base`, the count of a prompt
//! of one word (chat template and special tokens included), plus the cost of each further word.
//!
//! Its first words, the *head*, are the digits of the arrival's index after a seeded permutation of
//! all heads: the first word from the list of first words, the next seven from the pool. Different
//! indexes below the number of heads therefore give different heads, by construction and not by
//! luck, and a prefix cache finds nothing. The words after the head are drawn from the index's own
//! stream.
//!
//! A prompt of a trace with blocks is made of those instead: the words of a block are drawn from a
//! stream of its id, so equal ids give equal words, and what the server's template takes is taken off
//! the first block, so that blocks end at multiples of their size in the server's own count.
//!
//! A prompt that carries the shared prefix starts with that, then its head (seven words from the
//! pool), then the rest.

use crate::calibrate::Vocabulary;
use crate::chance::{Permutation, Source, Streams, below, unit};
use crate::trace::BLOCK_TOKENS;

/// Words of the head that come from the pool; with the first word they are eight.
const HEAD_POOL_WORDS: u32 = 7;

/// The most words a pool may have: 256^7 heads still fit a permutation's domain.
pub(crate) const MAX_POOL: usize = 256;

/// The most first words: 16 x 256^7 = 2^60.
pub(crate) const MAX_FIRSTS: usize = 16;

/// Writes prompts. Everything that can be prepared is.
#[derive(Clone, Debug)]
pub(crate) struct Composer {
    base: u32,
    firsts: Vec<Box<str>>,
    /// Words by rising cost, each with the space before it.
    pool: Vec<PoolWord>,
    costliest: u32,
    /// The permutation of all heads with 0, 1, ... 7 words from the pool.
    heads: Vec<Permutation>,
    /// The same behind a shared prefix, where the first word is none of the head's.
    inner_heads: Vec<Permutation>,
    words: Streams,
    seed: u64,
    prefix: Option<Prefix>,
}

#[derive(Clone, Debug)]
struct PoolWord {
    text: Box<str>,
    cost: u32,
}

#[derive(Clone, Debug)]
struct Prefix {
    share: f64,
    sharing: Streams,
    text: String,
    /// For each word of the prefix: where it ends in the text, and what a prompt up to there costs.
    ends: Vec<(usize, u32)>,
}

impl Composer {
    /// A composer of prompts from `vocabulary`, which must hold a word of each kind. `prefix` is the
    /// share of prompts that carry the shared prefix, and its length in tokens of text.
    pub(crate) fn new(vocabulary: &Vocabulary, seed: u64, prefix: Option<(f64, u32)>) -> Self {
        let mut pool: Vec<PoolWord> = vocabulary
            .words
            .iter()
            .take(MAX_POOL)
            .map(|word| PoolWord {
                text: format!(" {}", escape(&word.text)).into_boxed_str(),
                cost: word.tokens.max(1),
            })
            .collect();
        pool.sort_by_key(|word| word.cost);
        let firsts: Vec<Box<str>> = vocabulary
            .firsts
            .iter()
            .take(MAX_FIRSTS)
            .map(|word| escape(word).into_boxed_str())
            .collect();

        let permutations = |source, first_words: usize| {
            let streams = Streams::new(seed, source);
            (0..=HEAD_POOL_WORDS)
                .map(|count| {
                    let heads = first_words as u64 * (pool.len() as u64).pow(count);
                    Permutation::new(heads, &mut streams.at(u64::from(count)))
                })
                .collect()
        };
        let heads = permutations(Source::Head, firsts.len());
        let inner_heads = permutations(Source::InnerHead, 1);
        let mut composer = Self {
            base: vocabulary.base_tokens,
            costliest: pool.last().map_or(1, |word| word.cost),
            firsts,
            pool,
            heads,
            inner_heads,
            words: Streams::new(seed, Source::Words),
            seed,
            prefix: None,
        };
        composer.prefix = prefix
            .filter(|(share, _)| *share > 0.0)
            .map(|(share, tokens)| composer.compose_prefix(seed, share, tokens));
        composer
    }

    /// What the shortest prompt costs, in tokens.
    pub(crate) const fn shortest(&self) -> u32 {
        self.base
    }

    /// Appends the prompt of `index` to `out`, as the inside of a JSON string, and returns what it
    /// costs: `tokens`, or the nearest cost that the words allow (never less than the shortest).
    pub(crate) fn write(&self, out: &mut Vec<u8>, index: u64, tokens: u32) -> u32 {
        let target = tokens.max(self.base);
        let carrier = self.prefix.as_ref().filter(|prefix| prefix.carried_by(index));
        let mut left = match carrier {
            Some(prefix) => {
                // Room for the head comes first: a short prompt carries less of the prefix.
                let room = target.saturating_sub(HEAD_POOL_WORDS * self.costliest);
                let left = target.saturating_sub(prefix.write(out, room.max(self.base)));
                let count = self.head_words(left);
                let digits = self.inner_heads[count as usize].apply(index);
                left.saturating_sub(self.write_digits(out, digits, count))
            }
            None => {
                let left = target - self.base;
                let count = self.head_words(left);
                let digits = self.heads[count as usize].apply(index);
                let firsts = self.firsts.len() as u64;
                out.extend_from_slice(self.firsts[(digits % firsts) as usize].as_bytes());
                left.saturating_sub(self.write_digits(out, digits / firsts, count))
            }
        };
        left -= self.fill(left, &mut self.words.at(index), |word| {
            out.extend_from_slice(word.text.as_bytes());
        });
        target - left
    }

    /// Appends the prompt of the blocks `ids` to `out`, as the inside of a JSON string, and returns
    /// what it costs: `tokens`, or the nearest cost that the words allow. Ids mean something else in
    /// every `pass`.
    pub(crate) fn write_blocks(
        &self,
        out: &mut Vec<u8>,
        pass: u64,
        ids: &[u64],
        tokens: u32,
    ) -> u32 {
        let target = tokens.max(self.base);
        let blocks = Streams::new(self.seed.wrapping_add(pass), Source::Blocks);
        let mut cost = 0;
        for (place, &id) in (0_u32..).zip(ids) {
            let end = (place + 1).saturating_mul(BLOCK_TOKENS).min(target);
            let mut rng = blocks.at(id);
            if cost == 0 {
                let first = &self.firsts[below(&mut rng, self.firsts.len())];
                out.extend_from_slice(first.as_bytes());
                cost = self.base;
            }
            // A template longer than a block leaves the first ones without words.
            cost += self.fill(end.saturating_sub(cost), &mut rng, |word| {
                out.extend_from_slice(word.text.as_bytes());
            });
        }
        cost
    }

    /// How many words of the head surely fit into `tokens`.
    fn head_words(&self, tokens: u32) -> u32 {
        (tokens / self.costliest).min(HEAD_POOL_WORDS)
    }

    /// Appends `count` words, the digits of `number` in the pool's radix; returns their cost.
    fn write_digits(&self, out: &mut Vec<u8>, mut number: u64, count: u32) -> u32 {
        let radix = self.pool.len() as u64;
        let mut cost = 0;
        for _ in 0..count {
            let word = &self.pool[(number % radix) as usize];
            out.extend_from_slice(word.text.as_bytes());
            cost += word.cost;
            number /= radix;
        }
        cost
    }

    /// Draws words until `tokens` are spent or none fits; returns what was spent.
    fn fill(&self, tokens: u32, rng: &mut impl rand::Rng, mut take: impl FnMut(&PoolWord)) -> u32 {
        let mut left = tokens;
        while left > 0 {
            let fitting = if left >= self.costliest {
                self.pool.len()
            } else {
                self.pool.partition_point(|word| word.cost <= left)
            };
            if fitting == 0 {
                break;
            }
            let word = &self.pool[below(rng, fitting)];
            take(word);
            left -= word.cost;
        }
        tokens - left
    }

    /// The common prefix: `tokens` tokens of text, the first of which is part of the base.
    fn compose_prefix(&self, seed: u64, share: f64, tokens: u32) -> Prefix {
        let mut rng = Streams::new(seed, Source::Prefix).at(0);
        let mut text = self.firsts[below(&mut rng, self.firsts.len())].to_string();
        let mut ends = vec![(text.len(), self.base)];
        let mut cost = self.base;
        self.fill(tokens.saturating_sub(1), &mut rng, |word| {
            text.push_str(&word.text);
            cost += word.cost;
            ends.push((text.len(), cost));
        });
        Prefix { share, sharing: Streams::new(seed, Source::Sharing), text, ends }
    }
}

impl Prefix {
    fn carried_by(&self, index: u64) -> bool {
        unit(&mut self.sharing.at(index)) < self.share
    }

    /// Appends as many words of the prefix as cost at most `tokens`, one at least; returns the cost.
    fn write(&self, out: &mut Vec<u8>, tokens: u32) -> u32 {
        let words = self.ends.partition_point(|(_, cost)| *cost <= tokens).max(1);
        let (end, cost) = self.ends[words - 1];
        out.extend_from_slice(&self.text.as_bytes()[..end]);
        cost
    }
}

/// `text` as the inside of a JSON string.
fn escape(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::calibrate::KnownWord;
    use crate::words::WORDS;

    /// The first `count` words of the list, with the costs given in turn.
    fn vocabulary(count: usize, costs: &[u32], firsts: usize, base_tokens: u32) -> Vocabulary {
        let words = WORDS[..count].iter().zip(costs.iter().cycle());
        Vocabulary {
            base_tokens,
            firsts: WORDS[..firsts].iter().map(|word| (*word).to_owned()).collect(),
            words: words
                .map(|(word, tokens)| KnownWord { text: (*word).to_owned(), tokens: *tokens })
                .collect(),
        }
    }

    fn text(composer: &Composer, index: u64, tokens: u32) -> (String, u32) {
        let mut out = Vec::new();
        let planned = composer.write(&mut out, index, tokens);
        (String::from_utf8(out).unwrap(), planned)
    }

    /// The cost of `text` counted anew, word by word.
    fn cost(vocabulary: &Vocabulary, text: &str) -> u32 {
        let of = |word: &str| vocabulary.words.iter().find(|known| known.text == word);
        let mut words = text.split(' ');
        let first = words.next().unwrap();
        assert!(vocabulary.firsts.iter().any(|known| known == first), "{text}");
        vocabulary.base_tokens + words.map(|word| of(word).unwrap().tokens).sum::<u32>()
    }

    fn head(text: &str, words: usize) -> Vec<&str> {
        text.split(' ').take(words).collect()
    }

    proptest! {
        /// With words of one token every length from the shortest on is met exactly, with and
        /// without a shared prefix.
        #[test]
        fn lengths_are_exact(
            index: u64, seed: u64, extra in 0_u32..400, base in 1_u32..40, share in 0.0..1.0_f64,
            prefix in 1_u32..100, words in 2_usize..=256, firsts in 1_usize..=16,
        ) {
            let vocabulary = vocabulary(words, &[1], firsts, base);
            let composer = Composer::new(&vocabulary, seed, Some((share, prefix)));
            let (text, planned) = text(&composer, index, base + extra);
            prop_assert_eq!(planned, base + extra);
            prop_assert_eq!(cost(&vocabulary, &text), planned);
        }

        /// With words of 1 to 3 tokens lengths are exact too, and with words of 2 and 3 alone they
        /// are at most one short, which the returned cost says.
        #[test]
        fn dearer_words_still_add_up(index: u64, seed: u64, extra in 0_u32..200) {
            for (costs, slack) in [(&[1, 2, 3, 2][..], 0), (&[2, 3][..], 1)] {
                let vocabulary = vocabulary(20, costs, 3, 9);
                let composer = Composer::new(&vocabulary, seed, None);
                let (text, planned) = text(&composer, index, 9 + extra);
                prop_assert!(planned <= 9 + extra && planned + slack >= 9 + extra);
                prop_assert_eq!(cost(&vocabulary, &text), planned);
            }
        }

        /// Two prompts of eight words or more differ within their first eight words.
        #[test]
        fn no_two_prompts_begin_alike(
            a in 0_u64..1 << 60, b in 0_u64..1 << 60, seed: u64, long in 8_u32..60,
        ) {
            prop_assume!(a != b);
            let composer = Composer::new(&vocabulary(256, &[1], 16, 5), seed, None);
            let (one, other) = (text(&composer, a, 4 + long).0, text(&composer, b, 12).0);
            prop_assert_ne!(head(&one, 8), head(&other, 8));
        }
    }

    #[test]
    fn even_short_prompts_repeat_only_when_all_are_used() {
        // Three words: 4 first words x 10 x 10.
        let composer = Composer::new(&vocabulary(10, &[1], 4, 7), 1, None);
        let mut texts: Vec<String> = (0..400).map(|index| text(&composer, index, 9).0).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), 400);
    }

    #[test]
    fn prompts_shorter_than_possible_become_the_shortest() {
        let composer = Composer::new(&vocabulary(10, &[1], 4, 7), 1, None);
        for tokens in [0, 3, 7] {
            let (text, planned) = text(&composer, 0, tokens);
            assert_eq!((planned, text.split(' ').count()), (7, 1));
        }
    }

    #[test]
    fn the_prefix_is_shared_by_its_share_and_by_nothing_else() {
        let vocabulary = vocabulary(256, &[1], 16, 5);
        let composer = Composer::new(&vocabulary, 11, Some((0.25, 30)));
        let texts: Vec<String> = (0..4_000).map(|index| text(&composer, index, 64).0).collect();
        // The prefix is what most prompts that begin alike have in common.
        let prefix = composer.prefix.as_ref().unwrap();
        assert_eq!(prefix.text.split(' ').count(), 30);
        let (shared, own): (Vec<&String>, Vec<&String>) =
            texts.iter().partition(|text| text.starts_with(&format!("{} ", prefix.text)));
        // 1,000 expected, standard deviation 27; the seed is fixed.
        assert!((900..1_100).contains(&shared.len()), "{}", shared.len());
        for (group, words) in [(&shared, 30 + 7), (&own, 8)] {
            let mut heads: Vec<Vec<&str>> = group.iter().map(|text| head(text, words)).collect();
            heads.sort_unstable();
            heads.dedup();
            assert_eq!(heads.len(), group.len());
        }
        // A prompt too short for the whole prefix keeps its own words.
        let always = Composer::new(&vocabulary, 11, Some((1.0, 30)));
        let (short, planned) = text(&always, 3, 20);
        assert_eq!(planned, 20);
        assert_eq!(head(&short, 9), head(&prefix.text, 9));
        assert_ne!(head(&short, 10), head(&prefix.text, 10));
    }
}
