//! Planted faults: the ways in which real servers fail their clients, on demand.

use plimsoll_units::Span;
use serde::{Deserialize, Serialize};

/// One planted fault and how often it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    /// Strikes the n-th, 2n-th, ... chat or completion request; 1 strikes every one.
    #[serde(default = "one")]
    pub every: u64,
    /// Strikes none of the first so many: those by which a client finds out what the server is.
    #[serde(default)]
    pub after: u64,
    /// What happens.
    pub kind: FaultKind,
}

/// What a planted fault does. Counts of tokens are tokens of the answer already sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum FaultKind {
    /// After this many requests the port is closed: new connections are refused, open ones are
    /// closed after their response. Counts requests whatever `every` says.
    Refuse {
        /// Requests served before.
        after: u64,
    },
    /// Answers with this status and an error body, as an overloaded server would.
    Status {
        /// 400 to 599.
        code: u16,
    },
    /// Ends the stream early.
    Cut {
        /// Tokens sent before.
        after_tokens: u32,
        /// In which way.
        how: Cut,
    },
    /// Sends nothing for a while, then goes on; 0 tokens stalls before the first.
    Stall {
        /// Tokens sent before.
        after_tokens: u32,
        /// How long.
        span: Span,
    },
    /// Answers with bytes that are no HTTP.
    Garbage,
    /// Answers with status 200 and an HTML page.
    Html,
    /// Puts an error object into the stream, then ends it with `[DONE]`.
    ErrorEvent {
        /// Tokens sent before.
        after_tokens: u32,
    },
    /// Leaves the usage chunk out although it was asked for.
    NoUsage,
    /// The first requests reach the engine late, as on a cold server, whatever `every` says.
    SlowFirst {
        /// How many are slow.
        requests: u64,
        /// How much later each reaches the engine.
        extra: Span,
    },
    /// The request's `max_tokens` is lost and this default is used.
    LostMaxTokens {
        /// Tokens generated instead; at least 1.
        becomes: u32,
    },
    /// The final usage counts more tokens than the answer had.
    UsageOff {
        /// How many more.
        tokens: u32,
    },
    /// The prompt goes through the chat template a second time.
    TemplateTwice {
        /// Tokens that this adds to it.
        tokens: u32,
    },
    /// After the first token comes one line of this many bytes without an end, then the stream
    /// ends.
    LongLine {
        /// Length of the line.
        bytes: u64,
    },
}

/// How a stream is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// The connection is reset.
    Reset,
    /// The connection is closed in the middle of the chunked body.
    Close,
    /// The body ends as HTTP allows, but without finish reason and `[DONE]`.
    End,
}

/// The default of [`Fault::every`].
const fn one() -> u64 {
    1
}

impl Fault {
    /// A fault that strikes every request.
    #[must_use]
    pub const fn always(kind: FaultKind) -> Self {
        Self { every: 1, after: 0, kind }
    }

    /// A fault that strikes every request but the first `after`.
    #[must_use]
    pub const fn from(after: u64, kind: FaultKind) -> Self {
        Self { every: 1, after, kind }
    }

    /// Whether it strikes the request with this number, counted from 1.
    pub(crate) fn strikes(&self, number: u64) -> bool {
        match self.kind {
            FaultKind::Refuse { .. } => false,
            FaultKind::SlowFirst { requests, .. } => number <= requests,
            _ => number > self.after && number.is_multiple_of(self.every.max(1)),
        }
    }
}

/// The faults that strike one request, sorted by who has to act.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planted {
    pub(crate) status: Option<u16>,
    pub(crate) html: bool,
    pub(crate) garbage: bool,
    pub(crate) extra: Span,
    pub(crate) lost_max_tokens: Option<u32>,
    pub(crate) no_usage: bool,
    pub(crate) usage_off: u32,
    pub(crate) template_twice: u32,
    pub(crate) cut: Option<(u32, Cut)>,
    pub(crate) stall: Option<(u32, Span)>,
    pub(crate) error_event: Option<u32>,
    pub(crate) long_line: Option<u64>,
}

impl Planted {
    /// What strikes request `number`, counted from 1.
    pub(crate) fn on(faults: &[Fault], number: u64) -> Self {
        let mut planted = Self::default();
        for fault in faults.iter().filter(|fault| fault.strikes(number)) {
            match fault.kind {
                FaultKind::Refuse { .. } => {}
                FaultKind::Status { code } => planted.status = Some(code),
                FaultKind::Cut { after_tokens, how } => planted.cut = Some((after_tokens, how)),
                FaultKind::Stall { after_tokens, span } => {
                    planted.stall = Some((after_tokens, span));
                }
                FaultKind::Garbage => planted.garbage = true,
                FaultKind::Html => planted.html = true,
                FaultKind::ErrorEvent { after_tokens } => planted.error_event = Some(after_tokens),
                FaultKind::NoUsage => planted.no_usage = true,
                FaultKind::UsageOff { tokens } => planted.usage_off = tokens,
                FaultKind::TemplateTwice { tokens } => planted.template_twice = tokens,
                FaultKind::SlowFirst { extra, .. } => planted.extra = extra,
                FaultKind::LostMaxTokens { becomes } => planted.lost_max_tokens = Some(becomes),
                FaultKind::LongLine { bytes } => planted.long_line = Some(bytes),
            }
        }
        planted
    }
}

/// The number of requests after which the port closes, if any fault says so.
pub(crate) fn refuse_after(faults: &[Fault]) -> Option<u64> {
    faults
        .iter()
        .filter_map(|fault| match fault.kind {
            FaultKind::Refuse { after } => Some(after),
            _ => None,
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_every_nth_request() {
        let fault = Fault { every: 3, after: 0, kind: FaultKind::Html };
        let struck = |fault: Fault| -> Vec<u64> { (1..=9).filter(|n| fault.strikes(*n)).collect() };
        assert_eq!(struck(fault), [3, 6, 9]);
        assert_eq!(struck(Fault { after: 4, ..fault }), [6, 9]);
        assert_eq!(struck(Fault::from(7, FaultKind::Html)), [8, 9]);
        let faults = [fault, Fault::always(FaultKind::Status { code: 503 })];
        assert_eq!(Planted::on(&faults, 2).status, Some(503));
        assert!(!Planted::on(&faults, 2).html && Planted::on(&faults, 3).html);
        assert_eq!(refuse_after(&faults), None);
        assert_eq!(refuse_after(&[Fault::always(FaultKind::Refuse { after: 4 })]), Some(4));
    }

    #[test]
    fn faults_are_written_as_tables() {
        let fault: Fault =
            serde_json::from_str(r#"{"kind":{"stall":{"after_tokens":2,"span":"1s"}}}"#).unwrap();
        assert_eq!(fault.every, 1);
        assert!(matches!(fault.kind, FaultKind::Stall { after_tokens: 2, .. }));
        assert!(serde_json::from_str::<Fault>(r#"{"kind":"rain"}"#).is_err());
    }
}
