//! Which names stand for secrets: of settings, flags and variables of an environment alike.

/// Words that make a name one of a secret wherever they stand in it.
const SECRET_WORDS: [&str; 6] =
    ["SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "APIKEY"];

/// What a key or a token is for, when it is one that opens something.
const OPENING: [&str; 8] =
    ["API", "AUTH", "ACCESS", "BEARER", "REFRESH", "PRIVATE", "SESSION", "SIGNING"];

/// What stands in front of a token that is a piece of text, or of a key that everybody may know.
const HARMLESS: [&str; 15] = [
    "BOS", "EOS", "PAD", "UNK", "MASK", "SEP", "CLS", "STOP", "IMAGE", "VIDEO", "AUDIO", "PER",
    "FIRST", "SPECIAL", "PUBLIC",
];

/// What a name ends in that says where something lies, not what it is.
const PLACES: [&str; 4] = ["PATH", "FILE", "DIR", "FOLDER"];

/// Whether a setting, a flag or a variable of that name holds a secret, going by the words of the name.
///
/// A name that speaks of a secret, a password, a credential or an API key does, and so does one that
/// ends in a key or a token: `HF_TOKEN`, `--api-key`, `apiKey`, `AWS_ACCESS_KEY_ID`,
/// `DB_PASSWORD`. Counts of tokens and pieces of text do not (`max-num-batched-tokens`,
/// `long-prefill-token-threshold`, `eos-token`), nor does what says where something lies
/// (`ssl-keyfile`, `HF_TOKEN_PATH`).
///
/// ```
/// use plimsoll_server::is_secret_name;
///
/// assert!(is_secret_name("HF_TOKEN") && is_secret_name("--api-key"));
/// assert!(!is_secret_name("max-num-batched-tokens") && !is_secret_name("tokenizer"));
/// ```
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let words: Vec<_> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_uppercase)
        .collect();
    if words.last().is_some_and(|last| PLACES.contains(&last.as_str())) {
        return false;
    }
    if words.iter().any(|word| SECRET_WORDS.iter().any(|part| word.contains(part))) {
        return true;
    }
    let opens = words.windows(2).any(|pair| {
        OPENING.contains(&pair[0].as_str())
            && matches!(pair[1].as_str(), "KEY" | "KEYS" | "TOKEN" | "TOKENS")
    });
    // The second of several keys has a number behind it.
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    let last = words.iter().rposition(|word| !is_number(word));
    opens
        || last.is_some_and(|at| {
            let harmless = at.checked_sub(1).is_some_and(|at| HARMLESS.contains(&&*words[at]));
            !harmless && (words[at].ends_with("KEY") || words[at].ends_with("TOKEN"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in [
            "KEY",
            "APIKEY",
            "TOKEN",
            "HF_TOKEN",
            "hf-token",
            "hf_token",
            "HF_TOKEN_2",
            "api-key",
            "--api-key",
            "apiKey",
            "API_KEYS",
            "OPENAI_API_KEY",
            "OPENAI_API_KEY_OLD",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "client-secret",
            "SECRETS",
            "ray-password",
            "DB_PASSWORD_OLD",
            "CREDENTIAL",
            "GOOGLE_CREDENTIALS",
            "kv-transfer-config.access_token",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn counts_of_tokens_pieces_of_text_and_places_are_none() {
        for name in [
            "",
            "7",
            "MAX_TOKENS",
            "max-num-batched-tokens",
            "max-num-queued-tokens",
            "kv-cache-size-tokens",
            "long-prefill-token-threshold",
            "dbo-decode-token-threshold",
            "enable-prompt-tokens-details",
            "tokenizer",
            "tokenizer-mode",
            "skip-tokenizer-init",
            "TOKENIZERS_PARALLELISM",
            "eos-token",
            "ms-per-token",
            "ssl-keyfile",
            "ssl-key-file",
            "HF_TOKEN_PATH",
            "monitor",
            "keyboard",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
