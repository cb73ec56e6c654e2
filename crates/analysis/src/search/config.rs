//! What a search is asked for, and what it may spend.

use std::time::Duration;

use statrs::distribution::{ContinuousCDF, Normal};

use super::{ProbeResult, Stopped};

/// Most probes that a search makes. One that needs more meets a server that does not answer the
/// same way twice, and says so ([`Stopped::Undecided`]).
pub(super) const MOST_PROBES: usize = 60;

/// What to search for, where, and how well.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchConfig {
    /// Lowest rate to offer, requests per second; above 0.
    pub from: f64,
    /// Highest rate to offer, requests per second; above `from`.
    pub to: f64,
    /// Half the interval's width over the capacity at which the search is over; 0.002 to 0.5.
    pub precision: f64,
    /// Confidence of the interval; above 0.5, below 1.
    pub confidence: f64,
    /// Shortest measure window; above 0.
    pub shortest: Duration,
    /// What the search may spend.
    pub budget: Budget,
    /// What is searched.
    pub goal: Goal,
}

impl SearchConfig {
    /// The capacity between two rates to 3 % at 95 %, windows of 2 s at least, no limit of budget.
    #[must_use]
    pub fn new(from: f64, to: f64) -> Self {
        Self {
            from,
            to,
            precision: 0.03,
            confidence: 0.95,
            shortest: Duration::from_secs(2),
            budget: Budget::default(),
            goal: Goal::Capacity,
        }
    }

    /// The rate, moved into the range.
    pub(super) fn within(&self, rate: f64) -> f64 {
        rate.clamp(self.from, self.to)
    }

    /// The two-sided standard normal quantile of the confidence: 1.96 for 0.95.
    pub(super) fn z(&self) -> f64 {
        Normal::standard().inverse_cdf(f64::midpoint(1.0, self.confidence))
    }

    /// Whether a search can run with it.
    pub(super) fn check(&self) -> Result<(), SearchError> {
        let legal = self.from > 0.0 && self.to > self.from && self.to.is_finite();
        if !legal {
            return Err(SearchError::Range { from: self.from, to: self.to });
        }
        if !(0.002..=0.5).contains(&self.precision) {
            return Err(SearchError::Precision(self.precision));
        }
        if !(self.confidence > 0.5 && self.confidence < 1.0) {
            return Err(SearchError::Confidence(self.confidence));
        }
        if self.shortest.is_zero() {
            return Err(SearchError::Shortest);
        }
        match self.goal {
            Goal::Slo { attainment } if !(attainment > 0.0 && attainment < 1.0) => {
                Err(SearchError::Attainment(attainment))
            }
            _ => Ok(()),
        }
    }
}

/// Which capacity is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Goal {
    /// The highest rate that the server keeps up with.
    Capacity,
    /// The highest rate at which it keeps up and this share of the requests meets the SLO.
    Slo {
        /// The share; above 0, below 1.
        attainment: f64,
    },
}

/// What a search may spend; `None` is no limit. A probe in progress is finished, and the windows
/// of later ones are cut to what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Time of all probes, warm-up and drain included.
    pub time: Option<Duration>,
    /// Requests of all probes, warm-up and drain included.
    pub requests: Option<u64>,
}

impl Budget {
    /// What has run out, if anything. Less than a hundredth of it is no longer worth a probe.
    pub(super) fn spent(&self, probes: &[ProbeResult]) -> Option<Stopped> {
        let time: Duration = probes.iter().map(|probe| probe.duration).sum();
        let requests: u64 = probes.iter().map(|probe| probe.requests).sum();
        if self.time.is_some_and(|limit| limit.saturating_sub(time) <= limit / 100) {
            return Some(Stopped::Time);
        }
        self.requests
            .is_some_and(|limit| limit.saturating_sub(requests) <= limit / 100)
            .then_some(Stopped::Requests)
    }

    /// The window, cut to what is left: a point with its warm-up lasts up to one and a half of it.
    pub(super) fn clip(&self, probes: &[ProbeResult], rate: f64, window: Duration) -> Duration {
        let time: Duration = probes.iter().map(|probe| probe.duration).sum();
        let requests: u64 = probes.iter().map(|probe| probe.requests).sum();
        let by_time = self.time.map(|limit| limit.saturating_sub(time).div_f64(1.5));
        let by_requests = self.requests.map(|limit| {
            let left = limit.saturating_sub(requests) as f64;
            Duration::try_from_secs_f64(left / rate / 1.5).unwrap_or(Duration::MAX)
        });
        window.min(by_time.unwrap_or(Duration::MAX)).min(by_requests.unwrap_or(Duration::MAX))
    }
}

/// Why a search cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The range is empty or not positive.
    #[error("the range {from} to {to} req/s cannot be searched: give 0 < from < to")]
    Range {
        /// As given.
        from: f64,
        /// As given.
        to: f64,
    },
    /// The precision is out of reach or no precision.
    #[error("precision {0} is not within 0.002 to 0.5: 0.03 asks for 3 % to either side")]
    Precision(f64),
    /// The confidence is no confidence.
    #[error("confidence {0} is not between 0.5 and 1: 0.95 is the usual one")]
    Confidence(f64),
    /// The shortest window is no window.
    #[error("the shortest window of a probe is 0 s: give it a second or more")]
    Shortest,
    /// The attainment is no share.
    #[error("attainment {0} is not between 0 and 1: 0.99 asks it of 99 % of the requests")]
    Attainment(f64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_is_that_of_the_tables() {
        let at = |confidence| SearchConfig { confidence, ..SearchConfig::new(1.0, 2.0) }.z();
        for (confidence, z) in [(0.90, 1.6449), (0.95, 1.9600), (0.99, 2.5758)] {
            assert!((at(confidence) - z).abs() < 1e-4, "{confidence}");
        }
    }

    #[test]
    fn what_cannot_be_searched_is_refused_with_its_number() {
        let good = SearchConfig::new(1.0, 10.0);
        assert_eq!(good.check(), Ok(()));
        let refused = |config: SearchConfig| config.check().expect_err("it is not legal");
        for (from, to) in [(0.0, 1.0), (2.0, 2.0), (1.0, f64::INFINITY), (f64::NAN, 1.0)] {
            assert!(matches!(refused(SearchConfig::new(from, to)), SearchError::Range { .. }));
        }
        let error = refused(SearchConfig { precision: 3.0, ..good.clone() });
        assert!(error.to_string().contains("precision 3 "), "{error}");
        assert_eq!(
            refused(SearchConfig { confidence: 1.0, ..good.clone() }),
            SearchError::Confidence(1.0)
        );
        let goal = Goal::Slo { attainment: 1.0 };
        assert_eq!(refused(SearchConfig { goal, ..good }), SearchError::Attainment(1.0));
    }

    #[test]
    fn windows_are_cut_to_what_is_left() {
        let budget = Budget { time: Some(Duration::from_secs(60)), requests: Some(300) };
        let window = Duration::from_secs(100);
        assert_eq!(budget.clip(&[], 1.0, window), Duration::from_secs(40));
        assert_eq!(budget.clip(&[], 10.0, window), Duration::from_secs(20));
        assert_eq!(Budget::default().clip(&[], 10.0, window), window);
        let mut probe = ProbeResult::nothing(1.0, window);
        probe.duration = Duration::from_secs(60);
        assert_eq!(budget.spent(&[]), None);
        assert_eq!(budget.spent(std::slice::from_ref(&probe)), Some(Stopped::Time));
        (probe.duration, probe.requests) = (Duration::ZERO, 299);
        assert_eq!(budget.spent(&[probe]), Some(Stopped::Requests));
    }
}
