//! A hypothesis and what speaks for and against it.

use std::fmt;

use super::Cause;

/// A hypothesis on why throughput does not grow.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// What would be the cause.
    pub cause: Cause,
    /// What the evidence makes of it.
    pub standing: Standing,
    /// What speaks for it, the weightiest first.
    pub supporting: Vec<Evidence>,
    /// What speaks against it, the weightiest first.
    pub contradicting: Vec<Evidence>,
    /// What would have to be known and is not.
    pub unknown: Vec<String>,
}

/// What the evidence makes of a hypothesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Everything that it needs was seen.
    Supported,
    /// Something that it needs is not known, and nothing that was seen rules it out.
    NotEnoughEvidence,
    /// What was seen rules it out.
    Contradicted,
}

impl Standing {
    /// The word for it in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::NotEnoughEvidence => "not-enough-evidence",
            Self::Contradicted => "contradicted",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that was measured, and that speaks for or against something.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// It in words, with its numbers and the load that it was seen at.
    pub text: String,
    /// The numbers.
    pub numbers: Vec<Measured>,
    /// Ids of the points that it is from.
    pub points: Vec<String>,
}

/// A number with its name and unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Its name, as in docs/definitions.md; that of a finding's number, as in the finding.
    pub name: String,
    /// Its value; finite.
    pub value: f64,
    /// Its unit: `requests`, `ms`, `share` (of 1), ...; empty for a number of a finding whose name says it.
    pub unit: &'static str,
}

/// A statement that was held against the measurement: true, false, or not known.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    /// Whether it holds.
    pub(super) holds: Option<bool>,
    /// What was measured, true whether it holds or not.
    pub(super) evidence: Evidence,
    /// What is not known, where that is so.
    pub(super) unknown: String,
}

impl Fact {
    /// A fact that was measured.
    pub(super) fn known(holds: bool, text: String, points: &[String]) -> Self {
        let evidence = Evidence { text, numbers: Vec::new(), points: points.to_vec() };
        Self { holds: Some(holds), evidence, unknown: String::new() }
    }

    /// One that was not.
    pub(super) fn unknown(what: impl Into<String>) -> Self {
        Self { holds: None, evidence: Evidence::default(), unknown: what.into() }
    }

    /// The same with a number; one that is not finite, or not known, is left out.
    pub(super) fn number(
        mut self,
        name: &str,
        value: impl Into<Option<f64>>,
        unit: &'static str,
    ) -> Self {
        let value = value.into().filter(|value| value.is_finite());
        self.evidence.numbers.extend(value.map(|value| Measured {
            name: name.to_owned(),
            value,
            unit,
        }));
        self
    }

    /// That it does not hold.
    pub(super) fn not(mut self) -> Self {
        self.holds = self.holds.map(|holds| !holds);
        self
    }
}

/// A hypothesis while it is weighed.
pub(super) struct Weighing {
    hypothesis: Hypothesis,
    /// Whether something that it needs is not known.
    open: bool,
    /// Whether something rules it out.
    ruled_out: bool,
}

impl Weighing {
    pub(super) const fn of(cause: Cause) -> Self {
        let hypothesis = Hypothesis {
            cause,
            standing: Standing::NotEnoughEvidence,
            supporting: Vec::new(),
            contradicting: Vec::new(),
            unknown: Vec::new(),
        };
        Self { hypothesis, open: false, ruled_out: false }
    }

    /// The hypothesis needs this fact: without it, it is ruled out; if it is not known, it stays open.
    pub(super) fn needs(mut self, fact: Fact) -> Self {
        self.open |= fact.holds.is_none();
        self.ruled_out |= fact.holds == Some(false);
        self.tells(fact)
    }

    /// The hypothesis needs one of these facts; all of them are told.
    pub(super) fn needs_one(mut self, facts: Vec<Fact>) -> Self {
        if !facts.iter().any(|fact| fact.holds == Some(true)) {
            let open = facts.iter().any(|fact| fact.holds.is_none());
            self.open |= open;
            self.ruled_out |= !open;
            return facts.into_iter().fold(self, Self::tells);
        }
        // What is not known is no matter then.
        facts.into_iter().filter(|fact| fact.holds.is_some()).fold(self, Self::tells)
    }

    /// The fact rules the hypothesis out; where it is not known, that is no matter.
    pub(super) fn unless(mut self, fact: Fact) -> Self {
        self.ruled_out |= fact.holds == Some(true);
        if fact.holds.is_none() { self } else { self.tells(fact.not()) }
    }

    /// The hypothesis needs this fact, which is said of the reading as a whole: it is told only where it is
    /// not known.
    pub(super) fn given(mut self, fact: Fact) -> Self {
        self.ruled_out |= fact.holds == Some(false);
        self.open |= fact.holds.is_none();
        if fact.holds.is_none() { self.tells(fact) } else { self }
    }

    /// The fact speaks for it where it holds, and says nothing else.
    pub(super) fn hints(self, fact: Fact) -> Self {
        if fact.holds == Some(true) { self.tells(fact) } else { self }
    }

    /// The fact says something for or against it and decides nothing.
    pub(super) fn tells(mut self, fact: Fact) -> Self {
        fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
            if !list.contains(&item) {
                list.push(item);
            }
        }
        let Hypothesis { supporting, contradicting, unknown, .. } = &mut self.hypothesis;
        match fact.holds {
            Some(true) => add(supporting, fact.evidence),
            Some(false) => add(contradicting, fact.evidence),
            None => add(unknown, fact.unknown),
        }
        self
    }

    pub(super) fn weighed(mut self) -> Hypothesis {
        self.hypothesis.standing = match (self.ruled_out, self.open) {
            (true, _) => Standing::Contradicted,
            (false, true) => Standing::NotEnoughEvidence,
            (false, false) => Standing::Supported,
        };
        self.hypothesis
    }
}

/// The best supported first: by standing; supported ones in the order of a request's way, the others by
/// the share of the evidence that speaks for them.
pub(super) fn sort(hypotheses: &mut [Hypothesis]) {
    let share = |it: &Hypothesis| {
        let [for_it, against, open] =
            [it.supporting.len(), it.contradicting.len(), it.unknown.len()].map(|n| n as f64);
        if it.standing == Standing::Supported {
            return 1.0;
        }
        for_it / (for_it + against + open).max(1.0)
    };
    hypotheses.sort_by(|a, b| {
        a.standing.cmp(&b.standing).then(share(b).total_cmp(&share(a))).then(a.cause.cmp(&b.cause))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(holds: Option<bool>) -> Fact {
        let Some(holds) = holds else { return Fact::unknown("how it is") };
        Fact::known(holds, "it is so".to_owned(), &["p1".to_owned()])
            .number("so", 1.0, "requests")
            .number("not_finite", f64::NAN, "requests")
            .number("not_known", None, "requests")
    }

    fn standing(weigh: impl Fn(Weighing) -> Weighing) -> Standing {
        weigh(Weighing::of(Cause::Slots)).weighed().standing
    }

    #[test]
    fn a_hypothesis_stands_while_all_that_it_needs_was_seen() {
        use Standing::{Contradicted, NotEnoughEvidence, Supported};
        let [yes, no, open] = [Some(true), Some(false), None];
        for (holds, needed, ruling_out, telling) in [
            (yes, Supported, Contradicted, Supported),
            (no, Contradicted, Supported, Supported),
            (open, NotEnoughEvidence, Supported, Supported),
        ] {
            assert_eq!(standing(|it| it.needs(fact(yes)).needs(fact(holds))), needed);
            assert_eq!(standing(|it| it.needs(fact(yes)).unless(fact(holds))), ruling_out);
            assert_eq!(standing(|it| it.needs(fact(yes)).tells(fact(holds))), telling);
        }
        for (facts, expected) in [
            ([yes, no], Supported),
            ([no, no], Contradicted),
            ([no, open], NotEnoughEvidence),
            ([open, yes], Supported),
        ] {
            assert_eq!(standing(|it| it.needs_one(facts.map(fact).to_vec())), expected);
        }
        // What rules out weighs more than what is not known.
        assert_eq!(standing(|it| it.needs(fact(open)).needs(fact(no))), Contradicted);
    }

    #[test]
    fn each_fact_is_told_on_its_side() {
        let told = Weighing::of(Cause::Compute)
            .needs(fact(Some(true)))
            .unless(fact(Some(true)))
            .tells(fact(None))
            .tells(fact(None))
            .unless(fact(None))
            .weighed();
        assert_eq!((told.supporting.len(), told.contradicting.len()), (1, 1));
        assert_eq!(told.unknown, ["how it is"]);
        let quiet = Weighing::of(Cause::Compute)
            .given(fact(Some(true)))
            .hints(fact(Some(false)))
            .hints(fact(None))
            .weighed();
        assert_eq!(quiet.standing, Standing::Supported);
        assert!(quiet.supporting.is_empty() && quiet.contradicting.is_empty());
        assert_eq!(Weighing::of(Cause::Compute).given(fact(None)).weighed().unknown.len(), 1);
        let numbers = &told.supporting[0].numbers;
        assert_eq!(numbers, &[Measured { name: "so".to_owned(), value: 1.0, unit: "requests" }]);
        assert_eq!(told.supporting[0].points, ["p1"]);
    }

    #[test]
    fn the_best_supported_comes_first_and_the_order_is_that_of_the_way() {
        use Cause::{Client, Compute, FrontEnd, Load, Network, Slots};
        let one = |cause, facts: &[Option<bool>]| {
            facts.iter().fold(Weighing::of(cause), |it, &holds| it.needs(fact(holds))).weighed()
        };
        let [yes, no, open] = [Some(true), Some(false), None];
        let mut all = vec![
            one(Client, &[no]),
            one(Load, &[yes, no]),
            one(Compute, &[yes, yes]),
            one(Network, &[open]),
            one(FrontEnd, &[yes, open]),
            one(Slots, &[yes]),
        ];
        sort(&mut all);
        let causes: Vec<Cause> = all.iter().map(|it| it.cause).collect();
        assert_eq!(causes, [Slots, Compute, FrontEnd, Network, Load, Client]);
    }
}
