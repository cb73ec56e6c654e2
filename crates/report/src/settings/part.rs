//! One part of the section on settings, as tables.

use plimsoll_records::{SettingRecord, SettingState};
use serde_json::Value;

use super::{is_declared, shorten, shown};
use crate::clean::clean;
use crate::grid::{Column, Grid, Row};
use crate::numbers::UNKNOWN;

/// One part of the section on settings.
pub(crate) struct Part {
    /// Which groups it is about; empty where it is about all.
    pub(crate) title: String,
    /// The declared settings; `None` where it has none.
    pub(crate) declared: Option<Grid>,
    /// What the server filled in; `None` where it has none.
    pub(crate) defaults: Option<Grid>,
}

impl Part {
    pub(super) fn of<'r>(title: &str, records: impl Iterator<Item = &'r SettingRecord>) -> Self {
        const DECLARED: [Column; 5] = [
            Column::words(["setting", ""]),
            Column::words(["declared", ""]),
            Column::words(["in effect", ""]),
            Column::words(["state", ""]),
            Column::words(["source", ""]),
        ];
        const DEFAULTS: [Column; 3] = [
            Column::words(["setting", ""]),
            Column::words(["in effect", ""]),
            Column::words(["source", ""]),
        ];
        let (declared, defaults): (Vec<_>, Vec<_>) = records.partition(|r| is_declared(r));
        let value = |value: &Option<Value>| value.as_ref().map_or(UNKNOWN.to_owned(), shown);
        let source = |record: &SettingRecord| {
            record.source.as_deref().map_or(UNKNOWN.to_owned(), |source| shorten(&clean(source)))
        };
        let declared: Vec<_> = declared
            .into_iter()
            .map(|record| Row {
                class: if record.state == SettingState::Different { "different" } else { "" },
                cells: vec![
                    shorten(&clean(&record.name)),
                    value(&record.declared),
                    value(&record.in_effect),
                    state(record.state).to_owned(),
                    source(record),
                ],
            })
            .collect();
        let defaults: Vec<_> = defaults
            .into_iter()
            .map(|record| {
                Row::new(vec![
                    shorten(&clean(&record.name)),
                    value(&record.in_effect),
                    source(record),
                ])
            })
            .collect();
        let grid = |columns: &[Column], rows: Vec<Row>| {
            (!rows.is_empty()).then(|| Grid { columns: columns.to_vec(), rows })
        };
        Self {
            title: title.to_owned(),
            declared: grid(&DECLARED, declared),
            defaults: grid(&DEFAULTS, defaults),
        }
    }
}

/// The word for a state.
const fn state(state: SettingState) -> &'static str {
    match state {
        SettingState::Equal => "as declared",
        SettingState::Different => "DIFFERENT",
        SettingState::Unknown => "not said",
        SettingState::Default => "filled in",
    }
}
