//! Where on a page the series of a name are, worked out once for all pages of the same layout.

use std::collections::HashMap;
use std::time::Duration;

use super::families::{FAMILIES, Family, Members};

/// The end of a series that says when another one was created, seconds since 1970.
pub(crate) const CREATED: &str = "_created";
/// When the process started, seconds since 1970; the same name in every language's library.
const PROCESS_START: &str = "process_start_time_seconds";
/// No clock shows a later moment, seconds since 1970: ten thousand years.
const LATEST: f64 = 3e11;

/// The places of the series on a page, by name, and the families that the names belong to.
#[derive(Debug, Default)]
pub(crate) struct Names {
    places: HashMap<Box<str>, Vec<usize>>,
    /// The families on the page with the prefix that they have there, in the table's order.
    families: Vec<(&'static Family, &'static str)>,
    /// Where the series that end in [`CREATED`] are.
    created: Vec<usize>,
}

impl Names {
    /// The index of a page whose series are called `names`, in the order of the page.
    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut index = Self::default();
        for (place, name) in names.enumerate() {
            if name.ends_with(CREATED) {
                index.created.push(place);
            }
            match index.places.get_mut(name) {
                Some(places) => places.push(place),
                None => {
                    index.places.insert(name.into(), vec![place]);
                }
            }
        }
        for family in FAMILIES {
            let used =
                |prefix: &&&'static str| index.places.keys().any(|name| name.starts_with(**prefix));
            if let Some(prefix) = family.prefixes.iter().find(used) {
                index.families.push((family, prefix));
            }
        }
        index
    }

    /// The families that the page has series of.
    pub(crate) fn families(&self) -> impl Iterator<Item = Members<'_>> {
        self.families.iter().map(|&(family, prefix)| Members { family, prefix, names: self })
    }

    /// The finite values of the series called `name`, combined; `None` without any.
    pub(crate) fn fold(
        &self,
        name: &str,
        values: &[f64],
        combine: fn(f64, f64) -> f64,
    ) -> Option<f64> {
        let places = self.places.get(name)?;
        let values = places.iter().filter_map(|&place| values.get(place).copied());
        values.filter(|value| value.is_finite()).reduce(combine)
    }

    /// When the process started, since 1970-01-01 UTC.
    pub(crate) fn started(&self, values: &[f64]) -> Option<Duration> {
        let created = || {
            let moments = self.created.iter().filter_map(|&place| values.get(place).copied());
            moments.filter(|moment| moment.is_finite() && *moment > 0.0).reduce(f64::min)
        };
        let moment = self.fold(PROCESS_START, values, f64::min).or_else(created)?;
        // A float of seconds since 1970 holds no more than microseconds.
        (0.0..LATEST)
            .contains(&moment)
            .then(|| Duration::from_micros((moment * 1e6).round() as u64))
    }
}
