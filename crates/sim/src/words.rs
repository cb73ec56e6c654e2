//! The simulator's tokenizer: one token a word; and the words its answers are made of.
//!
//! A token is a run of non-white characters together with the white space before it; trailing
//! white space belongs to the last word. So lengths can be counted by eye, joining texts at a
//! space adds their counts, and an answer fed back as part of a prompt has the tokens it had.

use std::sync::LazyLock;

/// Distinct words in answers.
const VOCABULARY: usize = 256;

/// Syllables whose pairs are the answers' words, so that every word has the same length.
const SYLLABLES: [&str; 16] = [
    "ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "wu", "za",
];

/// The words of answers, each with its leading space, and their token ids.
static WORDS: LazyLock<Vec<(String, u32)>> = LazyLock::new(|| {
    (0..VOCABULARY)
        .map(|index| {
            let word = format!(" {}{}", SYLLABLES[index / 16], SYLLABLES[index % 16]);
            let id = token_id(word.as_bytes());
            (word, id)
        })
        .collect()
});

/// The ids of the tokens of `text`, appended to `ids`.
pub(crate) fn tokenize(text: &str, ids: &mut Vec<u32>) {
    let mut start = 0;
    let mut in_word = false;
    for (at, character) in text.char_indices() {
        if character.is_whitespace() {
            if in_word {
                ids.push(token_id(&text.as_bytes()[start..at]));
                start = at;
                in_word = false;
            }
        } else {
            in_word = true;
        }
    }
    if in_word {
        ids.push(token_id(&text.as_bytes()[start..]));
    }
}

/// The id of one token: FNV-1a folded to 31 bits, so that it is the same on every machine.
fn token_id(bytes: &[u8]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    ((hash ^ (hash >> 33)) & 0x7fff_ffff) as u32
}

/// Which word is number `index` of the answer with this seed.
fn word_number(seed: u64, index: u32) -> usize {
    // SplitMix64's finalizer: every bit of seed and index matters to the top bits.
    let mut mixed = seed ^ (u64::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 56) as usize
}

/// The text of token `index` of the answer with this seed; plain ASCII that JSON need not escape.
/// The first word has no leading space.
pub(crate) fn answer_text(seed: u64, index: u32) -> &'static str {
    let word = &WORDS[word_number(seed, index)].0;
    if index == 0 { &word[1..] } else { word }
}

/// The token id of token `index` of the answer with this seed, as [`tokenize`] would find it.
pub(crate) fn answer_token(seed: u64, index: u32) -> u32 {
    if index == 0 {
        token_id(answer_text(seed, 0).as_bytes())
    } else {
        WORDS[word_number(seed, index)].1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        tokenize(text, &mut ids);
        ids
    }

    #[test]
    fn counts_words_however_they_are_spaced() {
        for (text, count) in
            [("", 0), ("  ", 0), ("one", 1), (" one", 1), ("one two\nthree ", 3), ("ä  ö\tü", 3)]
        {
            assert_eq!(ids(text).len(), count, "{text:?}");
        }
        assert_ne!(ids("one"), ids(" one"), "leading white space belongs to the word");
    }

    #[test]
    fn ids_are_the_same_on_every_machine() {
        let expected = [915_781_452, 1_674_170_082, 747_203_505, 783_085_571, 439_026_453];
        assert_eq!(ids("Say hello to the world."), expected);
    }

    #[test]
    fn an_answer_read_back_has_its_own_tokens() {
        for seed in 0..20 {
            let text: String = (0..40).map(|index| answer_text(seed, index)).collect();
            let expected: Vec<u32> = (0..40).map(|index| answer_token(seed, index)).collect();
            assert_eq!(ids(&text), expected, "{text}");
        }
    }

    proptest! {
        /// The count of tokens is the count of words that the standard library finds.
        #[test]
        fn one_token_a_word(text in "\\PC*") {
            prop_assert_eq!(ids(&text).len(), text.split_whitespace().count());
        }
    }
}
