//! The words that synthetic prompts are made of.

/// Short, common, lower-case English words. Six letters at most keep a word within seven tokens
/// even where a tokenizer falls back to bytes; common ones are a single token nearly everywhere.
pub(crate) const WORDS: [&str; 256] = [
    "the", "of", "and", "to", "in", "is", "it", "for", "that", "you", "was", "on", "are", "with",
    "as", "at", "be", "this", "have", "from", "or", "had", "by", "not", "but", "what", "some",
    "we", "can", "out", "other", "were", "all", "there", "when", "up", "use", "your", "how",
    "said", "an", "each", "she", "which", "do", "their", "time", "if", "will", "way", "about",
    "many", "then", "them", "write", "would", "like", "so", "these", "her", "long", "make",
    "thing", "see", "him", "two", "has", "look", "more", "day", "could", "go", "come", "did", "my",
    "no", "most", "who", "over", "know", "than", "call", "first", "people", "may", "down", "side",
    "been", "now", "find", "any", "new", "work", "part", "take", "get", "place", "made", "live",
    "where", "after", "back", "little", "only", "round", "man", "year", "came", "show", "every",
    "good", "me", "give", "our", "under", "name", "very", "just", "form", "help", "line", "before",
    "same", "mean", "right", "old", "too", "does", "tell", "set", "three", "want", "well", "also",
    "end", "put", "home", "read", "hand", "port", "large", "add", "even", "here", "must", "such",
    "follow", "act", "change", "kind", "off", "need", "try", "us", "again", "point", "build",
    "self", "head", "own", "should", "found", "still", "state", "keep", "never", "last", "let",
    "tree", "since", "start", "might", "left", "run", "while", "close", "real", "stop", "open",
    "next", "begin", "got", "group", "always", "those", "both", "mark", "until", "second",
    "enough", "ready", "above", "list", "though", "body", "direct", "short", "class", "order",
    "pass", "top", "size", "best", "hour", "better", "true", "during", "step", "table", "simple",
    "map", "field", "rest", "done", "drive", "week", "final", "minute", "clear", "tail", "full",
    "force", "object", "test", "common", "check", "value", "error", "file", "code", "data", "type",
    "return", "key", "string", "number", "index", "item", "path", "text", "match", "range",
    "block", "input", "output", "local", "global", "server", "token", "cache", "queue", "thread",
    "lock", "event", "result", "option",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_are_distinct_short_and_need_no_escape() {
        assert_eq!(WORDS.iter().collect::<HashSet<_>>().len(), WORDS.len());
        for word in WORDS {
            assert!((2..=6).contains(&word.len()), "{word}");
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase()), "{word}");
        }
    }
}
