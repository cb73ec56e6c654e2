//! What a pulse server is told.

use std::time::Duration;

use clap::ValueEnum;

/// When the tokens of every answer are due, counted from the read that completed the request: the
/// first after `ttft`, each later one `itl` after the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PulseSettings {
    /// From request to first token. Default: 50 ms.
    pub ttft: Duration,
    /// From token to token; zero writes as fast as the connections take it. Default: 10 ms.
    pub itl: Duration,
    /// Tokens where the body asks for no number (`max_completion_tokens`, `max_tokens`). Default: 100.
    pub tokens: u32,
    /// Where the role chunk of a chat goes. Default: with the first token.
    pub role: RolePlace,
}

impl Default for PulseSettings {
    /// The published study's.
    fn default() -> Self {
        Self {
            ttft: Duration::from_millis(50),
            itl: Duration::from_millis(10),
            tokens: 100,
            role: RolePlace::default(),
        }
    }
}

/// Where the chunk goes that only names the role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RolePlace {
    /// Into the write of the first token, in front of it, with the head.
    #[default]
    WithFirst,
    /// Out with the head as soon as the request is read: a client that takes it for a token has a
    /// TTFT of nothing.
    Early,
    /// Nowhere.
    None,
}
