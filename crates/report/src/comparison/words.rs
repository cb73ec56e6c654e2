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

/// Candidates of whom a sentence says each by its own.
const NAMED: usize = 3;

/// The result in a sentence: what the factors do, or of one candidate the comparison, or of several each one's,
/// the best first, or how many came to what.
pub(super) fn headline(report: &ComparisonReport<'_>) -> String {
    let answer = report.answer();
    let is_about = |figure: &str| match answer.first() {
        Some(first) => report.main.is_some() && of_figure(first) == clean(figure),
        None => true,
    };
    if let Some((figure, effects)) = report.effects.first()
        && is_about(figure)
    {
        return super::factors::headline(figure, effects);
    }
    let baseline = clean(report.baseline);
    match answer[..] {
        [] => "Nothing was compared".to_owned(),
        [one] => of_one(one, report.baseline),
        [first, ..] if report.main.is_some() => {
            let figure = heading(&of_figure(first));
            let named = answer.iter().take(NAMED).map(|one| {
                let verdict = verdict(one.comparison.verdict);
                format!("{} is {verdict}, {}", clean(one.candidate), by(one))
            });
            let mut said: Vec<String> = named.collect();
            if let [_, _, _, rest @ ..] = &answer[..]
                && !rest.is_empty()
            {
                said.push(tally(rest.iter().copied()));
            }
            format!("{figure} against {baseline}: {}", said.join("; "))
        }
        _ => {
            let n = count(answer.len(), "comparison");
            format!("{n} with {baseline}: {}", tally(answer.iter().copied()))
        }
    }
}

/// `1 better and 2 undecided`.
fn tally<'a>(compared: impl Iterator<Item = &'a Compared<'a>>) -> String {
    let all: Vec<&str> = compared.map(|one| verdict(one.comparison.verdict)).collect();
    let words = ["better", "worse", "equivalent", "undecided"].map(|word| {
        let n = all.iter().filter(|its| **its == word).count();
        (n > 0).then(|| format!("{n} {word}"))
    });
    list(&words.into_iter().flatten().collect::<Vec<_>>())
}

/// `capacity`, `TTFT p50 at 20 req/s`.
pub(super) fn of_figure(one: &Compared<'_>) -> String {
    match one.at {
        "" => clean(one.figure),
        at => format!("{} at {}", clean(one.figure), clean(at)),
    }
}

fn of_one(one: &Compared<'_>, baseline: &str) -> String {
    let found = &one.comparison;
    let (candidate, figure) = (clean(one.candidate), of_figure(one));
    let by = by(one);
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
                _ if one.lower_bound != [false, false] => "higher loads would decide it".to_owned(),
                Some(n) => format!("{n} repetitions of each would probably decide it"),
                None => "how many repetitions would decide it is not known".to_owned(),
            };
            format!("{against}: {figure} is undecided, {by}; {more}")
        }
    }
}

/// The change with its interval, or as the bound that it is.
pub(super) fn by(one: &Compared<'_>) -> String {
    let found = &one.comparison;
    match one.lower_bound {
        [false, false] => change(found.ratio, found.interval.as_ref()),
        [false, true] => format!("at least {}", change(found.ratio, None)),
        [true, _] => format!("at most {}", change(found.ratio, None)),
    }
}

/// A figure as a heading: `Capacity`.
pub(super) fn heading(figure: &str) -> String {
    let mut rest = figure.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
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
    if report.main.is_some() && report.compared.len() > report.answer().len() {
        notes.push(format!(
            "The answer is about one figure. The others are adjusted for the candidates (Holm), not for their number: \
             of {} comparisons one in twenty is claimed wrongly where nothing differs",
            report.compared.len()
        ));
    }
    if report.compared.iter().any(|one| one.comparison.is_single_run()) {
        notes.push(
            "One repetition has no interval, and no difference may be claimed of it: what differs from one start of a \
             server to the next is not in it"
                .to_owned(),
        );
    }
    let unsure: Vec<_> = report
        .answer()
        .into_iter()
        .filter(|one| {
            verdict(one.comparison.verdict) == "undecided"
                && would_decide(one.comparison.verdict).is_none()
                && one.lower_bound == [false, false]
        })
        .map(|one| format!("{} of {}", of_figure(one), clean(one.candidate)))
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
