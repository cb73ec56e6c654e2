//! Prompts of an exact token count by a tokenizer in this process.
//!
//! Where the server's `tokenizer.json` is at hand, a prompt can be measured while it is made: no
//! calibration, no assumption that words add up, and the count is the tokenizer's own. What the
//! server's chat template adds is not part of it.

use std::path::{Path, PathBuf};

use thiserror::Error;
use tokenizers::Tokenizer;

use crate::chance::{Source, Streams, below};
use crate::words::WORDS;

/// A Hugging Face tokenizer, read from its `tokenizer.json`.
#[derive(Debug)]
pub struct TokenizerFile {
    path: PathBuf,
    tokenizer: Tokenizer,
}

/// Why a tokenizer file is of no use, or a prompt cannot be made with it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A file that is no tokenizer, or cannot be read.
    #[error("{} is no tokenizer: {reason}; give the tokenizer.json of the model", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        reason: String,
    },
    /// A text that the tokenizer refuses.
    #[error("the tokenizer {} refuses a text of {bytes} bytes: {reason}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// How long the text is.
        bytes: usize,
        /// What the tokenizer says.
        reason: String,
    },
    /// A length that no words make up.
    #[error(
        "no prompt of {asked} tokens can be made with the tokenizer {}, the nearest has {nearest}",
        path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// The length asked for, tokens.
        asked: u32,
        /// The longest prompt below it, tokens.
        nearest: u32,
    },
}

impl TokenizerFile {
    /// The tokenizer in the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read or is none.
    pub fn open(path: &Path) -> Result<Self, TokenizerError> {
        let wrong = |reason: tokenizers::Error| TokenizerError::File {
            path: path.to_owned(),
            reason: reason.to_string(),
        };
        let tokenizer = Tokenizer::from_file(path).map_err(wrong)?;
        Ok(Self { path: path.to_owned(), tokenizer })
    }

    /// The tokens of `text`, special tokens that the tokenizer adds included.
    ///
    /// # Errors
    /// When the tokenizer refuses it.
    pub fn count(&self, text: &str) -> Result<u32, TokenizerError> {
        let encoding = self.tokenizer.encode_fast(text, true);
        let encoding = encoding.map_err(|reason| TokenizerError::Text {
            path: self.path.clone(),
            bytes: text.len(),
            reason: reason.to_string(),
        })?;
        Ok(u32::try_from(encoding.len()).unwrap_or(u32::MAX))
    }

    /// A prompt of exactly `tokens` tokens, by [`count`](Self::count): words drawn by `seed` and `index`
    /// alone, as many as fit, and then the word that fills the gap.
    ///
    /// # Errors
    /// When no words make up that length, as for a length of nothing but special tokens.
    pub fn prompt(&self, seed: u64, index: u64, tokens: u32) -> Result<String, TokenizerError> {
        let mut rng = Streams::new(seed, Source::Exact).at(index);
        // A word is a token at least, or next to it: where some merge, more words are drawn.
        let mut words: Vec<&str> = Vec::new();
        let (mut fits, mut too_many) = (0, tokens as usize + 1);
        let draw = |words: &mut Vec<&str>, count: usize, rng: &mut _| {
            while words.len() < count {
                words.push(WORDS[below(rng, WORDS.len())]);
            }
        };
        draw(&mut words, too_many, &mut rng);
        while self.count(&words[..too_many].join(" "))? <= tokens && too_many < 1 << 26 {
            fits = too_many;
            too_many *= 2;
            draw(&mut words, too_many, &mut rng);
        }
        while too_many - fits > 1 {
            let middle = usize::midpoint(fits, too_many);
            if self.count(&words[..middle].join(" "))? <= tokens {
                fits = middle;
            } else {
                too_many = middle;
            }
        }
        let mut nearest = 0;
        // The last words may leave a gap that no single word fills: then fewer are kept.
        for kept in (fits.saturating_sub(3)..=fits).rev() {
            let text = words[..kept].join(" ");
            let counted = self.count(&text)?;
            if counted == tokens && kept > 0 {
                return Ok(text);
            }
            nearest = nearest.max(counted.min(tokens));
            let start = below(&mut rng, WORDS.len());
            for word in WORDS[start..].iter().chain(&WORDS[..start]) {
                let longer = if kept == 0 { (*word).to_owned() } else { format!("{text} {word}") };
                if self.count(&longer)? == tokens {
                    return Ok(longer);
                }
            }
        }
        Err(TokenizerError::Length { path: self.path.clone(), asked: tokens, nearest })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::{Value, json};

    use super::*;

    fn open(model: &Value, pre_tokenizer: &Value) -> TokenizerFile {
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null, "pre_tokenizer": pre_tokenizer, "post_processor": null,
            "decoder": null, "model": model,
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, tokenizer.to_string()).unwrap();
        TokenizerFile::open(&path).unwrap()
    }

    /// A word is a token.
    fn whole_words() -> TokenizerFile {
        let vocab: serde_json::Map<String, Value> = std::iter::once("[UNK]")
            .chain(WORDS)
            .enumerate()
            .map(|(id, word)| (word.to_owned(), id.into()))
            .collect();
        let model = json!({"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"});
        open(&model, &json!({"type": "WhitespaceSplit"}))
    }

    /// A letter is a token, but for `th` and `the`: words cost one to six.
    fn letters() -> TokenizerFile {
        let mut vocab: serde_json::Map<String, Value> =
            ('a'..='z').enumerate().map(|(id, letter)| (letter.to_string(), id.into())).collect();
        vocab.insert("th".to_owned(), 26.into());
        vocab.insert("the".to_owned(), 27.into());
        let model = json!({"type": "BPE", "vocab": vocab, "merges": ["t h", "th e"]});
        open(&model, &json!({"type": "WhitespaceSplit"}))
    }

    #[test]
    fn counts_are_the_tokenizers() {
        assert_eq!(whole_words().count("the of and").unwrap(), 3);
        // the | o f | a n d | th a t
        assert_eq!(letters().count("the of and that").unwrap(), 1 + 2 + 3 + 3);
    }

    #[test]
    fn prompts_have_exactly_the_tokens_asked_for_whatever_words_cost() {
        for tokenizer in [whole_words(), letters()] {
            let mut seen = HashSet::new();
            for (index, tokens) in (0..).zip((1..60).chain([500, 513, 2_000])) {
                let prompt = tokenizer.prompt(7, index, tokens).unwrap();
                assert_eq!(tokenizer.count(&prompt).unwrap(), tokens, "{prompt}");
                assert_eq!(prompt, tokenizer.prompt(7, index, tokens).unwrap());
                assert!(tokens < 20 || seen.insert(prompt));
            }
            assert_ne!(tokenizer.prompt(7, 0, 40).unwrap(), tokenizer.prompt(8, 0, 40).unwrap());
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_file() {
        let error = TokenizerFile::open(Path::new("/nowhere/tokenizer.json")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/tokenizer.json is no tokenizer"), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\"model\": 7}").unwrap();
        let error = TokenizerFile::open(file.path()).unwrap_err();
        assert!(error.to_string().contains("tokenizer.json of the model"), "{error}");
        let error = whole_words().prompt(1, 1, 0).unwrap_err().to_string();
        assert!(
            error.contains("no prompt of 0 tokens") && error.contains("nearest has 0"),
            "{error}"
        );
    }
}
