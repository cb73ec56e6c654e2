//! The pilot: short closed loops that find roughly how much a server delivers, so that a ladder of
//! rates can be laid around it. Its figures are used for nothing else.

use plimsoll_units::Rate;

use crate::offered::PointLoad;

/// The ladder, in shares of the best throughput that the pilot saw: four rungs that should be
/// stable, two that should not. None lies so near to 1 that it could not be judged.
pub(crate) const RUNGS: [f64; 6] = [0.3, 0.5, 0.7, 0.85, 1.25, 1.5];

/// Most requests in flight that the pilot tries.
const MOST_IN_FLIGHT: u32 = 1024;
/// Growth of throughput on doubling the concurrency, below which the server counts as full.
const GROWTH: f64 = 1.04;
/// Levels in a row without growth that end the pilot.
const FLAT_LEVELS: u32 = 2;

/// The heaviest load of a pilot, if there is one.
pub(crate) fn heaviest(there_is_one: bool) -> Option<PointLoad> {
    there_is_one.then_some(PointLoad::Closed(MOST_IN_FLIGHT))
}

/// The id of the level of a pilot at `level` requests in flight, in the group whose ids begin with
/// `prefix`.
pub(crate) fn pilot_id(prefix: &str, level: u32) -> String {
    format!("{prefix}pilot-{level:04}")
}

/// Whether `id` is one of those. Such a point is kept, and judged with nobody.
pub(crate) fn is_pilot(id: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let of_group = id.strip_prefix('g').and_then(|id| id.split_once('-'));
    let own = of_group.filter(|(group, _)| digits(group)).map_or(id, |(_, own)| own);
    own.strip_prefix("pilot-").is_some_and(digits)
}

/// Which concurrency to try next, from the throughputs so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pilot {
    tried: u32,
    flat: u32,
    best: f64,
}

impl Pilot {
    /// The next number of requests in flight; `None` when the pilot knows enough.
    pub(crate) fn next_level(&self) -> Option<u32> {
        let level = 1_u32.checked_shl(self.tried)?;
        (self.flat < FLAT_LEVELS && level <= MOST_IN_FLIGHT).then_some(level)
    }

    /// Takes the throughput of the last level, requests per second.
    pub(crate) fn saw(&mut self, throughput_per_s: f64) {
        self.tried += 1;
        // A level below the best so far is as flat as one at it.
        self.flat = if throughput_per_s > self.best * GROWTH { 0 } else { self.flat + 1 };
        self.best = self.best.max(throughput_per_s);
    }

    /// The best throughput seen, requests per second.
    pub(crate) const fn best(&self) -> f64 {
        self.best
    }

    /// The ladder around it; empty when nothing was delivered.
    pub(crate) fn ladder(&self) -> Vec<PointLoad> {
        RUNGS.iter().filter_map(|share| Some(PointLoad::Open(rung(self.best * share)?))).collect()
    }
}

/// A rate with three digits: people read it, type it and compare it.
fn rung(rate: f64) -> Option<Rate> {
    let digits = 10_f64.powf(2.0 - rate.log10().floor());
    Rate::new((rate * digits).round() / digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Throughput of a server with `slots` slots that answers in a second.
    fn run(slots: u32) -> (Pilot, Vec<u32>) {
        let mut pilot = Pilot::default();
        let mut levels = Vec::new();
        while let Some(level) = pilot.next_level() {
            levels.push(level);
            pilot.saw(f64::from(level.min(slots)));
        }
        (pilot, levels)
    }

    #[test]
    fn it_climbs_until_the_server_is_full() {
        let (pilot, levels) = run(8);
        assert_eq!(levels, [1, 2, 4, 8, 16, 32]);
        assert_eq!(pilot.best(), 8.0);
        let rates: Vec<_> = pilot
            .ladder()
            .into_iter()
            .map(|load| match load {
                PointLoad::Open(rate) => rate.per_second(),
                PointLoad::Closed(_) => unreachable!("the ladder is open"),
            })
            .collect();
        assert_eq!(rates, [2.4, 4.0, 5.6, 6.8, 10.0, 12.0]);
    }

    #[test]
    fn it_ends_at_a_server_that_never_fills_and_at_one_that_never_answers() {
        assert_eq!(run(u32::MAX).1.last(), Some(&1024));
        let (pilot, levels) = run(0);
        assert_eq!(levels, [1, 2]);
        assert!(pilot.ladder().is_empty());
    }

    #[test]
    fn levels_of_a_pilot_are_known_by_their_ids() {
        for prefix in ["", "g00-", "g123-"] {
            assert!(is_pilot(&pilot_id(prefix, 1)) && is_pilot(&pilot_id(prefix, 1024)));
        }
        for other in ["rate-10", "g01-rate-2", "pilot-study", "pilot-", "gpu-pilot-0001", ""] {
            assert!(!is_pilot(other), "{other}");
        }
    }

    #[test]
    fn rungs_have_three_digits_at_any_size() {
        for (rate, rounded) in [(0.012_345, 0.0123), (7.6543, 7.65), (1234.5, 1230.0)] {
            assert!((rung(rate).unwrap().per_second() - rounded).abs() < 1e-9);
        }
    }
}
