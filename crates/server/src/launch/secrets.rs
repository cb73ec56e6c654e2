//! What must not be shown of a command, an environment, or a log.

use std::collections::BTreeMap;
use std::fmt;

use super::command::quote;
use crate::is_secret_name;

/// What stands where a secret was.
const REDACTED: &str = "[redacted]";
/// Shorter values are no secrets worth hiding, and hiding them would garble a whole log.
const SHORTEST: usize = 6;

/// The secrets that a server is given, by whatever way. Its `Debug` text does not show them.
#[derive(Clone, Default)]
pub(super) struct Secrets {
    /// The longest first, so that no secret is left over by half because another begins like it.
    values: Vec<String>,
}

impl Secrets {
    /// Those in its command, in the environment of the matrix and in the one that it inherits, by
    /// their names, and those that were `told`, whatever their names. The short ones are left out.
    pub(super) fn given(
        environment: &BTreeMap<String, String>,
        words: &[String],
        told: &[String],
    ) -> Self {
        let inherited = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let own = environment.iter().map(|(name, value)| (name.clone(), value.clone()));
        let named = own.chain(inherited).filter(|(name, _)| is_secret_name(name));
        let mut values: Vec<String> = named.map(|(_, value)| value).collect();
        values.extend(told.iter().map(|secret| secret.trim().to_owned()));
        let flat: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
        for (word, clean) in flat.iter().zip(redacted(&flat)) {
            if clean == REDACTED {
                values.push((*word).to_owned());
            } else if clean != *word {
                values.extend(word.split_once('=').map(|(_, value)| value.to_owned()));
            }
        }
        values.retain(|secret| secret.len() >= SHORTEST);
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        Self { values }
    }

    /// The command as a shell would take it, with `environment` in front and without secrets.
    pub(super) fn shown(&self, environment: &BTreeMap<String, String>, words: &[String]) -> String {
        let mut line: Vec<String> = environment
            .iter()
            .map(|(name, value)| {
                let secret = is_secret_name(name);
                let value = if secret { REDACTED.to_owned() } else { self.scrub(&nested(value)) };
                format!("{name}={}", quote(&[value]))
            })
            .collect();
        let words: Vec<_> = redacted(words).iter().map(|word| self.scrub(word)).collect();
        line.push(quote(&words));
        line.join(" ")
    }

    /// `text` without the secrets.
    pub(super) fn scrub(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, secret| text.replace(secret, REDACTED))
    }

    /// What takes them out of a stream.
    pub(super) fn redactor(&self) -> Redactor {
        Redactor::new(self.values.iter().map(|secret| secret.clone().into_bytes()).collect())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.values.len())
    }
}

/// `words` with the values behind secret flags and assignments replaced.
fn redacted<S: AsRef<str>>(words: &[S]) -> Vec<String> {
    let mut hide = false;
    words
        .iter()
        .map(|word| {
            let word = word.as_ref();
            if let Some(flag) = word.strip_prefix('-') {
                let (name, value) =
                    flag.split_once('=').map_or((flag, None), |(n, v)| (n, Some(v)));
                let secret = is_secret_name(name);
                // vLLM takes several keys behind one flag: all up to the next flag are hidden.
                hide = secret && value.is_none();
                return match value {
                    Some(_) if secret => format!("-{name}={REDACTED}"),
                    _ => word.to_owned(),
                };
            }
            match word.split_once('=') {
                _ if hide => REDACTED.to_owned(),
                Some((name, _)) if is_variable(name) && is_secret_name(name) => {
                    format!("{name}={REDACTED}")
                }
                _ => nested(word),
            }
        })
        .collect()
}

/// A word that is a command line itself, as behind `sh -c`, without its secrets.
fn nested(word: &str) -> String {
    if !word.contains(char::is_whitespace) {
        return word.to_owned();
    }
    let words: Vec<&str> = word.split(' ').collect();
    let clean = redacted(&words);
    if clean == words { word.to_owned() } else { clean.join(" ") }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Takes secrets out of a stream of bytes, wherever its pieces are cut.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    secrets: Vec<Vec<u8>>,
    /// The end of what came, which may be the beginning of a secret.
    held: Vec<u8>,
}

impl Redactor {
    pub(super) fn new(secrets: Vec<Vec<u8>>) -> Self {
        Self { secrets, held: Vec::new() }
    }

    /// What can be shown of everything that came up to and with `bytes`.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let mut shown = Vec::with_capacity(all.len());
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            if let Some(secret) = self.secrets.iter().find(|secret| rest.starts_with(secret)) {
                shown.extend_from_slice(REDACTED.as_bytes());
                rest = &rest[secret.len()..];
            } else if self.secrets.iter().any(|secret| secret.starts_with(rest)) {
                break;
            } else {
                shown.push(rest[0]);
                rest = &rest[1..];
            }
        }
        self.held = rest.to_vec();
        shown
    }

    /// What was held back, at the end of the stream.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(line: &str) -> Vec<String> {
        shlex::split(line).unwrap()
    }

    fn command(line: &str) -> String {
        Secrets::default().shown(&BTreeMap::new(), &words(line))
    }

    #[test]
    fn no_secret_in_the_command_as_shown() {
        assert_eq!(
            command("vllm serve m --api-key s3cret s3cond --port 1 --hf-token=s3cret"),
            "vllm serve m --api-key '[redacted]' '[redacted]' --port 1 '--hf-token=[redacted]'"
        );
        assert!(!command("sh -c 'HF_TOKEN=s3cret vllm serve --api-key s3cret -v'").contains("s3"));
        assert!(!command("env HF_TOKEN=s3cret vllm serve").contains("s3"));
        let environment = BTreeMap::from([
            ("HF_TOKEN".to_owned(), "s3cret".to_owned()),
            ("PLIMSOLL_ARGS".to_owned(), "--api-key s3cret --max-num-seqs 4".to_owned()),
            ("OMP_NUM_THREADS".to_owned(), "2".to_owned()),
        ]);
        let line = Secrets::default().shown(&environment, &words("vllm serve"));
        assert!(!line.contains("s3cret"), "{line}");
        assert!(line.contains("--max-num-seqs 4") && line.contains("OMP_NUM_THREADS=2"), "{line}");
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        let line = "vllm serve m --max-num-batched-tokens 2048 --cfg '{\"a\":  1}' a=b";
        assert_eq!(words(&command(line)), words(line));
    }

    #[test]
    fn secrets_are_found_where_they_are_given() {
        let environment = BTreeMap::from([("HF_TOKEN".to_owned(), "hf_abcdef".to_owned())]);
        let words = words("sh -c 'vllm --api-key sk-12345 --x-token=tok-12345 y'");
        let given = Secrets::given(&environment, &words, &[]).values;
        for secret in ["hf_abcdef", "sk-12345", "tok-12345"] {
            assert!(given.iter().any(|found| found == secret), "{secret}");
        }
        assert!(!given.iter().any(|found| found == "y"));
    }

    #[test]
    fn a_secret_that_was_told_is_hidden_whatever_its_name() {
        let environment = BTreeMap::from([("MY_LLM".to_owned(), "sk-told-1".to_owned())]);
        let told = ["sk-told-1\n", "sk-told-1-and-more", "short"].map(str::to_owned);
        let secrets = Secrets::given(&environment, &[], &told);
        let line = secrets.shown(&environment, &words("serve 'x sk-told-1-and-more' short"));
        assert_eq!(line, "MY_LLM='[redacted]' serve 'x [redacted]' short");
        let mut redactor = secrets.redactor();
        let mut log = redactor.push(b"key sk-told-1-and-more, sk-to");
        log.extend(redactor.push(b"ld-1."));
        log.extend(redactor.finish());
        assert_eq!(log, b"key [redacted], [redacted].");
        assert!(!format!("{secrets:?}").contains("told"));
    }

    proptest! {
        /// However the stream is cut, the secret is never in what is shown, and the rest is all there.
        #[test]
        fn a_secret_is_found_across_cuts(cuts in prop::collection::vec(1usize..9, 0..40)) {
            let secret = "sk-sk-secret";
            let text = format!("a {secret} sk-sk-b{secret}{secret}\r\n sk-sk-sec");
            let mut redactor = Redactor::new(vec![secret.as_bytes().to_vec()]);
            let mut shown = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                shown.extend(redactor.push(piece));
                rest = behind;
            }
            shown.extend(redactor.push(rest));
            shown.extend(redactor.finish());
            let expected = text.replace(secret, REDACTED);
            prop_assert_eq!(String::from_utf8(shown).unwrap(), expected);
        }
    }
}
