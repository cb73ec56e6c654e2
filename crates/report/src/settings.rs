//! The server's settings: what was declared, what is in effect, and who says so.
//!
//! Groups of points may run on servers of different settings. What is the same in all of them is said
//! once; what differs is said for each group.

mod part;

use plimsoll_records::{SettingRecord, SettingState, TargetRecord};
use serde_json::Value;

use crate::clean::clean;
use crate::input::ReportInput;
use crate::ladder::Ladder;
use crate::numbers::{UNKNOWN, count, list};

pub(crate) use part::Part;

/// Characters of a value that are shown.
const VALUE: usize = 100;

/// The settings of every server that was measured.
pub(crate) struct Settings {
    /// Each different list of settings with what it belongs to.
    pub(crate) sets: Vec<Set>,
}

/// One list of settings.
pub(crate) struct Set {
    /// The groups (or servers) that have it, in words; may be empty where there is only one.
    pub(crate) label: String,
    /// The places of those groups.
    pub(crate) groups: Vec<usize>,
    /// The settings: declared ones first, among them those that are not in effect, then by name.
    pub(crate) records: Vec<SettingRecord>,
}

impl Settings {
    /// The settings of each group by the files of its points, else by the server that it ran on.
    pub(crate) fn of(input: &ReportInput<'_>, ladders: &[Ladder<'_>]) -> Self {
        let manifest = input.manifest;
        let mut settings = Self { sets: Vec::new() };
        for (place, ladder) in ladders.iter().enumerate() {
            let files: Vec<_> =
                ladder.rungs.iter().filter_map(|rung| input.file(&rung.point.id)).collect();
            let said = files.iter().find(|file| !file.settings.is_empty());
            let started = files.first().map(|file| file.server_start.number as usize);
            let target = started.and_then(|number| manifest.targets.get(number));
            if let Some(file) = said {
                settings.add(&ladder.label, &[place], file.settings.clone());
            } else if let Some(target) = target {
                settings.add(&ladder.label, &[place], of_target(target));
            }
        }
        // A server on which no point was measured, perhaps because of its settings.
        let several = manifest.targets.len() > 1;
        for (place, target) in manifest.targets.iter().enumerate() {
            let met = input.points.iter().any(|file| file.server_start.number as usize == place);
            if !met && !settings.has(&of_target(target)) {
                let label = if several { format!("server {}", place + 1) } else { String::new() };
                settings.add(&label, &[], of_target(target));
            }
        }
        if settings.sets.is_empty() {
            let groups: Vec<_> = (0..ladders.len()).collect();
            settings.add("", &groups, of_target(&manifest.target));
        }
        settings
    }

    /// Whether some group has these settings.
    fn has(&self, records: &[SettingRecord]) -> bool {
        let mut records = records.to_vec();
        sort(&mut records);
        self.sets.iter().any(|set| set.records == records)
    }

    /// Adds the settings of some groups, to those of others that have the same.
    fn add(&mut self, label: &str, groups: &[usize], mut records: Vec<SettingRecord>) {
        if records.is_empty() {
            return;
        }
        sort(&mut records);
        match self.sets.iter_mut().find(|set| set.records == records) {
            Some(set) => {
                let labels = [set.label.as_str(), label];
                let labels = labels.into_iter().filter(|label| !label.is_empty());
                set.label = labels.collect::<Vec<_>>().join("; ");
                set.groups.extend(groups);
            }
            None => {
                self.sets.push(Set { label: label.to_owned(), groups: groups.to_vec(), records });
            }
        }
    }

    /// How the declared settings fared, in one line without a full stop; `None` where none was declared.
    pub(crate) fn sentence(&self) -> Option<String> {
        // Of a setting that several servers have, its worst state.
        let mut names: Vec<(&str, SettingState)> = Vec::new();
        for record in self.sets.iter().flat_map(|set| &set.records).filter(|r| is_declared(r)) {
            match names.iter_mut().find(|(name, _)| *name == record.name) {
                Some((_, state)) if gravity(*state) < gravity(record.state) => {
                    *state = record.state;
                }
                Some(_) => {}
                None => names.push((&record.name, record.state)),
            }
        }
        if names.is_empty() {
            return None;
        }
        let of = |state| {
            let alike = names.iter().filter(move |(_, other)| *other == state);
            alike.map(|(name, _)| *name).collect::<Vec<_>>()
        };
        let (different, unknown) = (of(SettingState::Different), of(SettingState::Unknown));
        let declared = format!("{} declared", count(names.len(), "setting"));
        if different.is_empty() && unknown.is_empty() {
            let all = if names.len() == 1 { "it is" } else { "all are" };
            return Some(format!("{declared}: {all} in effect"));
        }
        let mut parts = Vec::new();
        if !different.is_empty() {
            let is = if different.len() == 1 { "is" } else { "are" };
            let wrong: Vec<_> = different.iter().map(|name| self.difference(name)).collect();
            parts.push(format!("{} {is} NOT in effect: {}", different.len(), list(&wrong)));
        }
        let good = names.len() - different.len() - unknown.len();
        if good > 0 {
            parts.push(format!("{good} {} in effect", if good == 1 { "is" } else { "are" }));
        }
        if !unknown.is_empty() {
            let unknown: Vec<_> = unknown.into_iter().map(clean).collect();
            parts.push(format!("the server does not say of {}", list(&unknown)));
        }
        Some(format!("{declared}; {}", parts.join("; ")))
    }

    /// `max-num-seqs (8 declared, 128 in effect)`, with its group where others have it otherwise.
    fn difference(&self, name: &str) -> String {
        let said = |value: &Option<Value>| value.as_ref().map_or(UNKNOWN.to_owned(), shown);
        let mut ways: Vec<(String, Vec<&str>)> = Vec::new();
        for set in &self.sets {
            let wrong = |r: &&SettingRecord| r.name == name && r.state == SettingState::Different;
            let Some(record) = set.records.iter().find(wrong) else { continue };
            let way = format!(
                "{} declared, {} in effect",
                said(&record.declared),
                said(&record.in_effect)
            );
            match ways.iter_mut().find(|(other, _)| *other == way) {
                Some((_, labels)) => labels.push(&set.label),
                None => ways.push((way, vec![&set.label])),
            }
        }
        let all: Vec<_> = ways
            .into_iter()
            .map(|(way, labels)| {
                let everywhere = labels.len() == self.sets.len();
                let labels: Vec<_> = labels.into_iter().filter(|label| !label.is_empty()).collect();
                match labels.as_slice() {
                    [] => way,
                    _ if everywhere => way,
                    labels => format!("{way} with {}", list(labels)),
                }
            })
            .collect();
        format!("{} ({})", clean(name), all.join("; "))
    }

    /// Whether a declared setting is not the one in effect.
    pub(crate) fn is_wrong(&self) -> bool {
        let mut records = self.sets.iter().flat_map(|set| &set.records);
        records.any(|record| record.state == SettingState::Different)
    }

    /// The parts of the section: what all groups share, then what differs.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let [first, others @ ..] = self.sets.as_slice() else { return Vec::new() };
        let shared = |record: &&SettingRecord| {
            others.iter().all(|set| set.records.iter().any(|other| other == *record))
        };
        let mut parts = vec![Part::of("", first.records.iter().filter(shared))];
        if !others.is_empty() {
            let common: Vec<_> = first.records.iter().filter(shared).collect();
            parts.extend(self.sets.iter().map(|set| {
                let own = set.records.iter().filter(|record| !common.contains(record));
                Part::of(&set.label, own)
            }));
        }
        parts.retain(|part| part.declared.is_some() || part.defaults.is_some());
        parts
    }
}

/// The settings of a server; those that were declared alone where it was not asked.
fn of_target(target: &TargetRecord) -> Vec<SettingRecord> {
    if !target.settings.is_empty() {
        return target.settings.clone();
    }
    let declared = target.settings_declared.iter();
    declared
        .map(|(name, value)| SettingRecord {
            name: name.clone(),
            declared: Some(value.clone()),
            in_effect: None,
            source: None,
            state: SettingState::Unknown,
        })
        .collect()
}

fn is_declared(record: &SettingRecord) -> bool {
    record.declared.is_some() || record.state != SettingState::Default
}

fn sort(records: &mut [SettingRecord]) {
    records.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
}

/// The order of the settings: what is wrong, what was declared, the rest.
fn rank(record: &SettingRecord) -> u8 {
    match record.state {
        SettingState::Different => 0,
        _ if is_declared(record) => 1,
        _ => 2,
    }
}

/// How much a state says against a setting.
const fn gravity(state: SettingState) -> u8 {
    match state {
        SettingState::Default => 0,
        SettingState::Equal => 1,
        SettingState::Unknown => 2,
        SettingState::Different => 3,
    }
}

/// The value of a setting on one line, cleaned but not escaped, and cut where it is long.
pub(crate) fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => clean(text),
        other => clean(&other.to_string()),
    };
    if text.is_empty() { "\"\"".to_owned() } else { shorten(&text) }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= VALUE {
        return text.to_owned();
    }
    let start: String = text.chars().take(VALUE - 1).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::grid::Grid;

    fn record(name: &str, declared: Option<Value>, in_effect: Option<Value>) -> SettingRecord {
        let state = match (&declared, &in_effect) {
            (None, _) => SettingState::Default,
            (Some(_), None) => SettingState::Unknown,
            (Some(a), Some(b)) if a == b => SettingState::Equal,
            _ => SettingState::Different,
        };
        SettingRecord { name: name.to_owned(), declared, in_effect, source: None, state }
    }

    fn set(label: &str, records: Vec<SettingRecord>) -> Set {
        Set { label: label.to_owned(), groups: vec![], records }
    }

    fn sentence(sets: Vec<Set>) -> String {
        Settings { sets }.sentence().unwrap_or_default()
    }

    #[test]
    fn the_sentence_counts_each_setting_once_by_its_worst_state() {
        let equal = || record("a", Some(json!(1)), Some(json!(1)));
        let wrong = || record("b", Some(json!(8)), Some(json!(128)));
        let unsaid = || record("c", Some(json!("x")), None);
        let filled = || record("d", None, Some(json!(true)));
        assert_eq!(sentence(vec![]), "");
        assert_eq!(sentence(vec![set("", vec![filled()])]), "");
        assert_eq!(
            sentence(vec![set("", vec![equal(), filled()])]),
            "1 setting declared: it is in effect"
        );
        assert_eq!(
            sentence(vec![set("", vec![wrong(), equal(), unsaid()])]),
            "3 settings declared; 1 is NOT in effect: b (8 declared, 128 in effect); 1 is in effect; \
             the server does not say of c"
        );
        let right = || record("b", Some(json!(128)), Some(json!(128)));
        assert_eq!(
            sentence(vec![
                set("b=128", vec![equal(), right()]),
                set("b=8", vec![equal(), wrong()])
            ]),
            "2 settings declared; 1 is NOT in effect: b (8 declared, 128 in effect with b=8); 1 is in \
             effect"
        );
        // What is wrong with every server alike is said once.
        assert_eq!(
            sentence(vec![set("a=1", vec![equal(), wrong()]), set("a=2", vec![wrong()])]),
            "2 settings declared; 1 is NOT in effect: b (8 declared, 128 in effect); 1 is in effect"
        );
    }

    #[test]
    fn what_groups_share_is_said_once() {
        let shared = || record("a", Some(json!(1)), Some(json!(1)));
        let own = |n: u64| record("b", Some(json!(n)), Some(json!(n)));
        let filled = |n: u64| record("c", None, Some(json!(n)));
        let settings = Settings {
            sets: vec![
                set("b=1", vec![shared(), own(1), filled(7)]),
                set("b=2", vec![shared(), own(2), filled(7)]),
            ],
        };
        let parts = settings.parts();
        let rows = |grid: &Option<Grid>| {
            let rows = grid.iter().flat_map(|grid| &grid.rows);
            rows.map(|row| row.cells[..2].join(" ")).collect::<Vec<_>>()
        };
        let titles: Vec<_> = parts.iter().map(|part| part.title.as_str()).collect();
        assert_eq!(titles, ["", "b=1", "b=2"]);
        assert_eq!(rows(&parts[0].declared), ["a 1"]);
        assert_eq!(rows(&parts[0].defaults), ["c 7"]);
        assert_eq!(rows(&parts[2].declared), ["b 2"]);
        assert!(parts[2].defaults.is_none());
    }

    #[test]
    fn values_are_one_short_line() {
        assert_eq!(shown(&Value::Null), "none");
        assert_eq!(shown(&json!("")), "\"\"");
        assert_eq!(shown(&json!("a\nb\u{1b}[31m")), "a b");
        assert_eq!(shown(&json!(["tiny"])), "[\"tiny\"]");
        assert_eq!(shown(&json!("x".repeat(500))).chars().count(), VALUE);
    }
}
