//! The sentences of a comparison.

use plimsoll_analysis::ComparisonVerdict;

use super::{Compared, ComparisonReport, would_decide};
use crate::clean::clean;
use crate::numbers::{change, count, list, percent};

/// The verdict in a word.
pub(super) const fn verdict(verdict: ComparisonVerdict) -> &'static str {
    match verdict {
        ComparisonVerdict::Better => "better",
        ComparisonVerdict::Worse => "worse",
        ComparisonVerdict::Equivalent => "equivalent",
        ComparisonVerdict::Undecided { .. } => "undecided",
    }
}

/// The result in a sentence: the one comparison, or how many came to what.
pub(super) fn headline(report: &ComparisonReport<'_>) -> String {
    match report.compared {
        [] => match report.effects {
            Some((figure, effects)) => super::factors::headline(figure, effects),
            None => "Nothing was compared".to_owned(),
        },
        [one] => of_one(one, report.baseline),
        several => {
            let words = ["better", "worse", "equivalent", "undecided"].map(|word| {
                let n =
                    several.iter().filter(|one| verdict(one.comparison.verdict) == word).count();
                (n > 0).then(|| format!("{n} {word}"))
            });
            let words: Vec<_> = words.into_iter().flatten().collect();
            let n = count(several.len(), "comparison");
            format!("{n} with {}: {}", clean(report.baseline), list(&words))
        }
    }
}

fn of_one(one: &Compared<'_>, baseline: &str) -> String {
    let found = &one.comparison;
    let (candidate, figure) = (clean(one.candidate), clean(one.figure));
    let by = change(found.ratio, found.interval.as_ref());
    let against = format!("{candidate} against {}", clean(baseline));
    match found.verdict {
        ComparisonVerdict::Better => format!("{against}: {figure} is better, by {by}"),
        ComparisonVerdict::Worse => format!("{against}: {figure} is worse, by {by}"),
        ComparisonVerdict::Equivalent => format!(
            "{against}: {figure} is equivalent within {}, {by}",
            percent(one.comparing.margin)
        ),
        ComparisonVerdict::Undecided { .. } => {
            let more = match would_decide(found.verdict) {
                Some(n) => format!("{n} repetitions of each would probably decide it"),
                None => "how many repetitions would decide it is not known".to_owned(),
            };
            format!("{against}: {figure} is undecided, {by}; {more}")
        }
    }
}

/// What a reader must know with the table.
pub(super) fn notes(report: &ComparisonReport<'_>) -> Vec<String> {
    let mut margins: Vec<String> =
        report.compared.iter().map(|one| percent(one.comparing.margin)).collect();
    margins.dedup();
    let mut notes = vec![format!(
        "Changes are of the candidate against {}, geometric means over the repetitions. Equivalent: certainly within \
         {} either way; better or worse: certainly different; undecided: neither",
        clean(report.baseline),
        list(&margins)
    )];
    if report.compared.iter().any(|one| one.comparison.is_single_run()) {
        notes.push(
            "One repetition has no interval, and no difference may be claimed of it: what differs from one start of a \
             server to the next is not in it"
                .to_owned(),
        );
    }
    let unsure: Vec<_> = report
        .compared
        .iter()
        .filter(|one| {
            verdict(one.comparison.verdict) == "undecided"
                && would_decide(one.comparison.verdict).is_none()
        })
        .map(|one| format!("{} of {}", clean(one.figure), clean(one.candidate)))
        .collect();
    if !unsure.is_empty() {
        notes.push(format!(
            "How many repetitions would decide is not known of the {}: nothing is known of the spread, or over 10,000 \
             would be needed",
            list(&unsure)
        ));
    }
    notes
}
