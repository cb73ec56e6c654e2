//! Which groups and points a gate looks at: `at LOAD`, `in FACTOR=LEVEL,FACTOR=LEVEL`.

use super::figure::{Figure, Known, Of};
use crate::clean::clean;
use crate::ladder::{Ladder, Rung, State};
use crate::numbers::{list, plain};

/// Where a gate looks; everywhere by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scope {
    /// The offered load of its points: requests per second, or in flight.
    load: Option<f64>,
    /// The factors of its groups with their levels.
    levels: Vec<(String, String)>,
}

impl Scope {
    /// The scope that `text` says, for this figure; what is wrong with it otherwise.
    pub(super) fn of(text: &str, figure: &Figure) -> Result<Self, String> {
        let mut scope = Self::default();
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let mut rest = rest.trim();
        match word {
            "" => return Ok(scope),
            "at" => {
                let (load, more) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                if load.is_empty() {
                    return Err("after `at` comes a load, like `at 20`".to_owned());
                }
                let number: Option<f64> = load.parse().ok().filter(|it: &f64| it.is_finite());
                scope.load = Some(number.ok_or_else(|| {
                    format!("`{load}` is no load: requests per second, or in flight, as a number")
                })?);
                rest = match more.trim() {
                    "" => "",
                    more => more.strip_prefix("in").map(str::trim).ok_or_else(|| {
                        format!("after the load comes nothing, or `in FACTOR=LEVEL`, not `{more}`")
                    })?,
                };
            }
            "in" if rest.is_empty() => {
                return Err("after `in` comes FACTOR=LEVEL, like `in max-num-seqs=16`".to_owned());
            }
            "in" => {}
            _ => {
                return Err(
                    "after the number comes nothing, `at LOAD` or `in FACTOR=LEVEL`".to_owned()
                );
            }
        }
        for part in rest.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (factor, level) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is no FACTOR=LEVEL, like `max-num-seqs=16`"))?;
            scope.levels.push((factor.trim().to_owned(), level.trim().to_owned()));
        }
        match figure.of {
            Of::Run => Err("the verdict is one of the whole run".to_owned()),
            Of::Group(_) if scope.load.is_some() => {
                Err(format!("{} is one figure of all loads", figure.name()))
            }
            _ => Ok(scope),
        }
    }

    /// What is known of `figure` at each place in scope.
    pub(super) fn read(&self, figure: &Figure, ladders: &[Ladder<'_>]) -> Vec<Known> {
        let several = ladders.len() > 1;
        let mut known = Vec::new();
        for ladder in ladders.iter().filter(|ladder| self.holds(ladder)) {
            match figure.of {
                Of::Run => {}
                Of::Group(read) => known.push(Known {
                    at: if several { format!("in {}", ladder.label) } else { String::new() },
                    span: read(ladder).map(|span| figure.end(span)),
                    why: match figure.name().starts_with("slo") {
                        true => "the matrix has no [slo], or no stable point meets it",
                        false => "the points do not tell",
                    },
                }),
                Of::Point { kept_up, .. } => {
                    self.points(figure, kept_up, ladder, several, &mut known);
                }
            }
        }
        known
    }

    fn points(
        &self,
        figure: &Figure,
        kept_up: bool,
        ladder: &Ladder<'_>,
        several: bool,
        known: &mut Vec<Known>,
    ) {
        let group = if several { format!(" in {}", ladder.label) } else { String::new() };
        let nothing = |at: String, why| Known { at, span: None, why };
        let before = known.len();
        for rung in ladder.rungs.iter().filter(|rung| self.is_at(rung)) {
            let at = format!("at {} {}{group}", rung.label, ladder.axis.unit());
            match rung.state {
                State::Void if self.load.is_some() => {
                    known.push(nothing(at, "the audit voided the point"));
                }
                State::Unstable if kept_up && self.load.is_some() => {
                    known.push(nothing(at, "the server did not keep up with this load"));
                }
                State::Void => {}
                State::Unstable if kept_up => {}
                _ => known.push(Known {
                    at,
                    span: figure.read(rung.point),
                    why: "it was not recorded, or the requests are too few for it",
                }),
            }
        }
        if known.len() == before {
            let (at, why) = match self.load {
                Some(load) => (
                    format!("at {} {}{group}", plain(load), ladder.axis.unit()),
                    "no point offered this load",
                ),
                None if kept_up => (group, "the server kept up with no load"),
                None => (group, "no point is left"),
            };
            known.push(nothing(at.trim().to_owned(), why));
        }
    }

    fn is_at(&self, rung: &Rung<'_>) -> bool {
        self.load.is_none_or(|load| (load - rung.load).abs() <= 1e-9 * load.abs())
    }

    /// Whether a group is in scope: a factor is called by its path or by the path's last part.
    fn holds(&self, ladder: &Ladder<'_>) -> bool {
        self.levels.iter().all(|(factor, level)| {
            ladder.group.factors.iter().any(|(path, value)| {
                let short = path.rsplit('.').next().unwrap_or(path);
                (path == factor || short == factor) && value == level
            })
        })
    }

    /// Why nothing is in scope.
    pub(super) fn why_none(&self, ladders: &[Ladder<'_>]) -> String {
        let wanted: Vec<_> =
            self.levels.iter().map(|(factor, level)| format!("{factor}={level}")).collect();
        let groups: Vec<_> = ladders.iter().map(|ladder| ladder.label.as_str()).collect();
        let known = match groups.iter().filter(|label| !label.is_empty()).count() {
            0 => "the run has no factors".to_owned(),
            _ => format!("there are {}", list(&groups)),
        };
        if wanted.is_empty() {
            return "no point was measured".to_owned();
        }
        format!("no group has {}; {known}", clean(&wanted.join(", ")))
    }
}
