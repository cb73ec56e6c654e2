//! The command line of a server: a text or words, with places for what each start decides.

use std::io;
use std::net::TcpListener;

use thiserror::Error;

/// What is filled into a command line.
#[derive(Clone, Copy, Debug)]
pub struct CommandValues<'a> {
    /// `{host}`: where the server shall listen.
    pub host: &'a str,
    /// `{port}`: the port that it shall listen on.
    pub port: u16,
    /// `{model}`: the model's name, where the matrix names one.
    pub model: Option<&'a str>,
    /// `{settings}`: the settings as flags.
    pub settings: &'a [String],
    /// Whether the server understands vLLM's flags: without `{port}` and without a `--port` of its
    /// own, the command then gets `--host` and `--port`.
    pub vllm: bool,
}

/// A command line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no command.
    #[error("the command is empty; write the one that starts the server, like `vllm serve MODEL`")]
    Empty,
    /// It cannot be split into words.
    #[error("a quotation mark is never closed in `{command}`; close it, or write a list of words")]
    Unclosed {
        /// The command as given.
        command: String,
    },
    /// It asks for something that nobody knows.
    #[error(
        "`{{{name}}}` means nothing in a command; known are {{host}}, {{port}}, {{model}} and \
         {{settings}}"
    )]
    Unknown {
        /// The name in the braces.
        name: String,
    },
    /// It asks for the model, and none is named.
    #[error("the command asks for {{model}}, but no model is named; set server.model")]
    NoModel,
    /// It names another port than the one that will be asked.
    #[error(
        "the command says port `{written}`, but the server will be looked for on port {port}; write \
         {{port}} instead, or set server.port to the same"
    )]
    OtherPort {
        /// The port in the command.
        written: String,
        /// The port of the URL.
        port: u16,
    },
}

/// The words of `command`, split as a shell splits it, with `values` filled in.
///
/// No shell runs it: variables, globs and `&&` mean nothing, except inside an `sh -c '...'`.
///
/// # Errors
/// [`CommandError`]: an open quotation mark, and whatever [`CommandValues::fill`] refuses.
pub fn command_line(
    command: &str,
    values: &CommandValues<'_>,
) -> Result<Vec<String>, CommandError> {
    let words = shlex::split(command)
        .ok_or_else(|| CommandError::Unclosed { command: command.to_owned() })?;
    values.fill(&words)
}

impl CommandValues<'_> {
    /// `words` with these values filled in.
    ///
    /// A word that is `{settings}` alone becomes all flags; inside a longer word, such as the text
    /// behind `sh -c`, it becomes the flags quoted for a shell. Without it the flags are appended.
    /// Braces around anything but a lower-case name, as in JSON, and behind a dollar sign are left
    /// as they are.
    ///
    /// # Errors
    /// [`CommandError`]: no words, an unknown place, a model asked for and not named, a port that is
    /// another than the one asked for.
    pub fn fill(&self, words: &[String]) -> Result<Vec<String>, CommandError> {
        if words.first().is_none_or(|program| program.trim().is_empty()) {
            return Err(CommandError::Empty);
        }
        let mut filled = Vec::new();
        let mut used = Used::default();
        for word in words {
            if word == "{settings}" {
                used.settings = true;
                filled.extend_from_slice(self.settings);
            } else {
                filled.push(self.fill_word(word, &mut used)?);
            }
        }
        let written = written_port(&filled).map(str::to_owned);
        if !used.settings {
            filled.extend_from_slice(self.settings);
        }
        match written {
            _ if used.port => {}
            Some(written) if written != self.port.to_string() => {
                return Err(CommandError::OtherPort { written, port: self.port });
            }
            Some(_) => {}
            None if self.vllm => {
                filled.extend(["--host".to_owned(), self.host.to_owned()]);
                filled.extend(["--port".to_owned(), self.port.to_string()]);
            }
            None => {}
        }
        Ok(filled)
    }

    fn fill_word(&self, word: &str, used: &mut Used) -> Result<String, CommandError> {
        let mut filled = String::new();
        let mut rest = word;
        while let Some(open) = rest.find('{') {
            let (before, from) = rest.split_at(open);
            filled.push_str(before);
            let name = from[1..].find('}').map(|close| &from[1..=close]);
            let Some(name) = name.filter(|name| is_place(name) && !before.ends_with('$')) else {
                filled.push('{');
                rest = &from[1..];
                continue;
            };
            match name {
                "host" => filled.push_str(self.host),
                "port" => {
                    used.port = true;
                    filled.push_str(&self.port.to_string());
                }
                "model" => filled.push_str(self.model.ok_or(CommandError::NoModel)?),
                "settings" => {
                    used.settings = true;
                    filled.push_str(&quote(self.settings));
                }
                name => return Err(CommandError::Unknown { name: name.to_owned() }),
            }
            rest = &from[name.len() + 2..];
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// Which places a command had.
#[derive(Default)]
struct Used {
    port: bool,
    settings: bool,
}

/// Whether `name` in braces is meant as a place: JSON and format strings look different.
fn is_place(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '-' | '_'))
}

/// The value of `--port` in `words`, where it has one.
fn written_port(words: &[String]) -> Option<&str> {
    words.iter().enumerate().rev().find_map(|(i, word)| match word.strip_prefix("--port") {
        Some("") => words.get(i + 1).map(String::as_str),
        Some(value) => value.strip_prefix('='),
        None => None,
    })
}

/// `words` quoted for a shell, as one text.
pub(super) fn quote<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<_> = words
        .iter()
        .map(|word| {
            // Only a NUL byte cannot be quoted, and no program can be given one.
            shlex::try_quote(word.as_ref())
                .map_or_else(|_| word.as_ref().replace('\0', "?"), std::borrow::Cow::into_owned)
        })
        .collect();
    quoted.join(" ")
}

/// A port on which nobody listens at this moment.
///
/// # Errors
/// When the system has none to give.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: [&str; 2] = ["--max-num-seqs", "8"];

    fn line(command: &str, vllm: bool) -> Result<String, CommandError> {
        let settings = SETTINGS.map(str::to_owned);
        let values = CommandValues {
            host: "127.0.0.1",
            port: 8123,
            model: Some("tiny"),
            settings: &settings,
            vllm,
        };
        Ok(command_line(command, &values)?.join("|"))
    }

    #[test]
    fn flags_and_the_port_are_appended_for_vllm() {
        assert_eq!(
            line("vllm serve models/tiny", true).unwrap(),
            "vllm|serve|models/tiny|--max-num-seqs|8|--host|127.0.0.1|--port|8123"
        );
        assert_eq!(line("llama-server", false).unwrap(), "llama-server|--max-num-seqs|8");
    }

    #[test]
    fn places_are_filled() {
        assert_eq!(
            line("serve.sh --port {port} --name={model} -- {settings} -v", true).unwrap(),
            "serve.sh|--port|8123|--name=tiny|--|--max-num-seqs|8|-v"
        );
        assert_eq!(
            line("sh -c 'exec vllm serve {model} --host {host} --port {port} {settings}'", true)
                .unwrap(),
            "sh|-c|exec vllm serve tiny --host 127.0.0.1 --port 8123 --max-num-seqs 8"
        );
    }

    #[test]
    fn a_port_of_its_own_must_be_the_one_asked() {
        assert_eq!(line("v --port 8123", true).unwrap(), "v|--port|8123|--max-num-seqs|8");
        assert_eq!(line("v --port=8123", true).unwrap(), "v|--port=8123|--max-num-seqs|8");
        let error = line("v --port 8000", true).unwrap_err();
        assert_eq!(error, CommandError::OtherPort { written: "8000".to_owned(), port: 8123 });
    }

    #[test]
    fn json_and_shell_variables_are_no_places() {
        let json = r#"v --cfg '{"a": {"b": 1}}' --empty {} ${port} {port"#;
        assert_eq!(
            line(json, false).unwrap(),
            r#"v|--cfg|{"a": {"b": 1}}|--empty|{}|${port}|{port|--max-num-seqs|8"#
        );
    }

    #[test]
    fn what_cannot_be_filled_is_refused() {
        let unknown = CommandError::Unknown { name: "prot".to_owned() };
        assert_eq!(line("v --port {prot}", true), Err(unknown));
        assert_eq!(line("", true), Err(CommandError::Empty));
        assert!(matches!(line("v 'a", true), Err(CommandError::Unclosed { .. })));
        let values = CommandValues { host: "h", port: 1, model: None, settings: &[], vllm: false };
        assert_eq!(command_line("v {model}", &values), Err(CommandError::NoModel));
    }

    #[test]
    fn quoted_words_are_split_into_the_same_words() {
        let words = ["--cfg", r#"{"a": "it's"}"#, "", "a b", "$HOME;`x`"];
        assert_eq!(shlex::split(&quote(&words)).unwrap(), words);
    }

    #[test]
    fn a_free_port_can_be_bound() {
        let port = free_port().unwrap();
        assert_ne!(port, 0);
    }
}
