//! Why throughput does not grow: hypotheses, each weighed by what was measured, one of them the answer
//! or none.
//!
//! Everything is read at one load ([`Reading`]) and from one set of facts about it ([`Seen`]); a
//! hypothesis is the list of facts that it needs (a file each under `causes/`). So what the table says
//! and what the answer's sentence says cannot differ. docs/method.md has the rules and their reasons.

mod causes;
mod evidence;
mod next;
mod reading;
mod seen;

use std::collections::BTreeMap;
use std::fmt;

use plimsoll_records::Finding;

use crate::Group;

pub use evidence::{Evidence, Hypothesis, Measured, Standing};
pub use next::{Change, NextExperiment, next_experiment};
pub(crate) use next::{rates_beyond, round_up};

use evidence::sort;
use reading::Reading;
use seen::Seen;

/// Why throughput does not grow, with the evidence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnosis {
    /// The load that the server's limits were read at, in words: `60 req/s offered`. Empty where no
    /// valid point was measured.
    pub at: String,
    /// Every hypothesis, the best supported first. Empty before anything was weighed.
    pub hypotheses: Vec<Hypothesis>,
    /// The one that is the answer: the first, if it is supported.
    pub answer: Option<Cause>,
    /// The answer with its evidence in one sentence, or that there is none.
    pub sentence: String,
}

impl Diagnosis {
    /// The hypothesis of this cause.
    #[must_use]
    pub fn of(&self, cause: Cause) -> Option<&Hypothesis> {
        self.hypotheses.iter().find(|hypothesis| hypothesis.cause == cause)
    }

    /// Every number that was weighed, by name.
    #[must_use]
    pub fn numbers(&self) -> BTreeMap<&str, f64> {
        let all = self.hypotheses.iter();
        all.flat_map(|it| it.supporting.iter().chain(&it.contradicting))
            .flat_map(|evidence| &evidence.numbers)
            .map(|number| (number.name.as_str(), number.value))
            .collect()
    }
}

/// What can keep throughput from growing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The client could not offer more. (In the order of a request's way; what acts earlier hides what
    /// acts later, so of two that are supported the earlier one is the answer.)
    Client,
    /// The offered load: the server keeps up with all of it.
    Load,
    /// The network: requests are on their way, and connecting takes the time.
    Network,
    /// The way to the engine inside the server.
    FrontEnd,
    /// The memory for the KV cache.
    KvCache,
    /// The number of requests that may run at once (`max-num-seqs`).
    Slots,
    /// The tokens that a step may have (`max-num-batched-tokens`).
    TokenBudget,
    /// The steps themselves: the processor or GPU.
    Compute,
}

impl Cause {
    /// Every cause, in the order of a request's way.
    pub const ALL: [Self; 8] = [
        Self::Client,
        Self::Load,
        Self::Network,
        Self::FrontEnd,
        Self::KvCache,
        Self::Slots,
        Self::TokenBudget,
        Self::Compute,
    ];

    /// The word for it in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Load => "load",
            Self::Network => "network",
            Self::FrontEnd => "front-end",
            Self::KvCache => "kv-cache",
            Self::Slots => "slots",
            Self::TokenBudget => "token-budget",
            Self::Compute => "compute",
        }
    }

    /// What it is called in a sentence.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Client => "the client",
            Self::Load => "the offered load",
            Self::Network => "the network",
            Self::FrontEnd => "the server's front end",
            Self::KvCache => "the KV cache",
            Self::Slots => "the slots",
            Self::TokenBudget => "the token budget",
            Self::Compute => "compute",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Weighs every hypothesis on why the throughput of `group` does not grow.
///
/// `findings` are those of the whole run: what the audit says of the client is evidence. Read is the
/// first load past saturation at which a limit of the server shows, else the first one past it; where no
/// load is past it, the highest that the server kept up with.
#[must_use]
pub fn diagnose(group: &Group, findings: &[Finding]) -> Diagnosis {
    let readings = Reading::all(group, findings);
    let mut first = None;
    for reading in &readings {
        let mut hypotheses = causes::weigh(&Seen::of(reading));
        sort(&mut hypotheses);
        let diagnosis = answer(reading, hypotheses);
        if diagnosis.answer.is_some() {
            return diagnosis;
        }
        first.get_or_insert(diagnosis);
    }
    first.unwrap_or_default()
}

fn answer(reading: &Reading<'_>, hypotheses: Vec<Hypothesis>) -> Diagnosis {
    let at = reading.load_in_words();
    let supported = hypotheses.first().filter(|it| it.standing == Standing::Supported);
    let sentence = match supported {
        Some(first) => {
            let said: Vec<&str> = first.supporting.iter().map(|it| it.text.as_str()).collect();
            let said = said.join(", ");
            let at = if said.contains(&at) { String::new() } else { format!(", at {at}") };
            format!("{}: {said}{at}", first.cause.words())
        }
        None if at.is_empty() => "no valid point was measured".to_owned(),
        None => nearest(&at, &hypotheses),
    };
    Diagnosis { at, answer: supported.map(|it| it.cause), sentence, hypotheses }
}

/// That there is no answer, and what would have to be known for the one that is nearest to it.
fn nearest(at: &str, hypotheses: &[Hypothesis]) -> String {
    let none = format!("the evidence supports none of the hypotheses, at {at}");
    match hypotheses.first().filter(|it| it.standing == Standing::NotEnoughEvidence) {
        Some(first) => {
            format!("{none} (not known for {}: {})", first.cause.words(), first.unknown.join("; "))
        }
        None => none,
    }
}

#[cfg(test)]
mod tests;
