//! The statistics of other tools: weighted means, population deviations, and their three ideas of a
//! percentile.

/// Values with their weights, by rising value.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    sorted: Vec<(f64, f64)>,
    /// Sum of the weights.
    weight: f64,
}

impl Samples {
    /// Values of equal weight.
    pub(super) fn of(values: Vec<f64>) -> Self {
        Self::weighted(values.into_iter().map(|value| (value, 1.0)).collect())
    }

    /// Values with their weights; those without weight do not count.
    pub(super) fn weighted(mut values: Vec<(f64, f64)>) -> Self {
        values.retain(|&(_, weight)| weight > 0.0);
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let weight = values.iter().map(|&(_, weight)| weight).sum();
        Self { sorted: values, weight }
    }

    /// sum(w x) / sum(w); `None` without values.
    pub(super) fn mean(&self) -> Option<f64> {
        let sum: f64 = self.sorted.iter().map(|(value, weight)| value * weight).sum();
        (!self.sorted.is_empty()).then(|| sum / self.weight)
    }

    /// sqrt(sum(w (x - mean)^2) / sum(w)), the deviation of a population (numpy's ddof = 0): 0 for one
    /// value, `None` without any.
    pub(super) fn deviation(&self) -> Option<f64> {
        let mean = self.mean()?;
        let sum: f64 =
            self.sorted.iter().map(|(value, weight)| weight * (value - mean).powi(2)).sum();
        Some((sum / self.weight).sqrt())
    }

    /// numpy's default: the value at place q (W - 1) of the sorted ones, from 0, straight between
    /// neighbours, where a value of weight w stands for w copies and W is their number. `None` without
    /// values.
    pub(super) fn linear(&self, q: f64) -> Option<f64> {
        let place = q * (self.weight - 1.0).max(0.0);
        let below = place.floor();
        let (low, high) = (self.copy(below)?, self.copy(below + 1.0)?);
        Some(low + (high - low) * (place - below))
    }

    /// The value at `place` among all copies, from 0; the last one beyond them.
    fn copy(&self, place: f64) -> Option<f64> {
        let mut copies = 0.0;
        let found = self.sorted.iter().find(|(_, weight)| {
            copies += weight;
            copies > place
        });
        found.or(self.sorted.last()).map(|&(value, _)| value)
    }

    /// guidellm's, and ours: the first value at which the summed weights reach q of all of them; for
    /// equal weights that is the nearest rank. `None` without values.
    pub(super) fn cumulative(&self, q: f64) -> Option<f64> {
        // Tenths do not add up to one in binary: 0.1 ten times is short of it by 1e-16.
        let enough = q * self.weight * (1.0 - 1e-12);
        let mut sum = 0.0;
        let reached = self.sorted.iter().find(|(_, weight)| {
            sum += weight;
            sum >= enough
        });
        reached.or(self.sorted.last()).map(|&(value, _)| value)
    }

    /// LoadGen's: the value at index floor(q n), from 0; weights do not count. `None` without values.
    pub(super) fn index(&self, q: f64) -> Option<f64> {
        let last = self.sorted.len().checked_sub(1)?;
        let place = (q * self.sorted.len() as f64) as usize;
        Some(self.sorted[place.min(last)].0)
    }
}

/// Seconds in milliseconds.
pub(super) fn millis(seconds: f64) -> f64 {
    seconds * 1e3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numpy_by_its_own_documentation() {
        // numpy.percentile([10, 7, 4, 3, 2, 1], 50) is 3.5; std([1, 2, 3, 4]) is 1.1180339887498949.
        let samples = Samples::of(vec![10.0, 7.0, 4.0, 3.0, 2.0, 1.0]);
        assert_eq!(samples.linear(0.5), Some(3.5));
        assert_eq!(samples.mean(), Some(4.5));
        let deviation = Samples::of(vec![1.0, 2.0, 3.0, 4.0]).deviation().unwrap();
        assert!((deviation - 1.118_033_988_749_895).abs() < 1e-15);
    }

    #[test]
    fn numpy_by_numpy() {
        // x = [(k * k * 37) % 101 + k / 8 for k in range(1, 24)] in numpy 2.4.6.
        let x = (1_u32..24).map(|k| f64::from(k * k * 37 % 101) + f64::from(k) / 8.0).collect();
        let samples = Samples::of(x);
        let close = |found: Option<f64>, numpy: f64| {
            assert!((found.unwrap() - numpy).abs() < 1e-12, "{found:?} {numpy}");
        };
        close(samples.mean(), 58.760_869_565_217_39);
        close(samples.deviation(), 24.743_683_675_890_946);
        for (percentile, numpy) in [
            (1.0, 17.3125),
            (25.0, 35.75),
            (50.0, 58.625),
            (90.0, 89.6),
            (99.0, 96.16),
            (99.9, 96.8035),
        ] {
            close(samples.linear(percentile / 100.0), numpy);
        }
    }

    #[test]
    fn three_percentiles_of_four_values() {
        let samples = Samples::of(vec![40.0, 10.0, 30.0, 20.0]);
        // Linear: place 1.5 between 20 and 30. Cumulative: 2/4 is reached at 20. Index: 2, that is 30.
        assert_eq!(samples.linear(0.5), Some(25.0));
        assert_eq!(samples.cumulative(0.5), Some(20.0));
        assert_eq!(samples.index(0.5), Some(30.0));
        // Place 2.97 of the linear one: 30 + 0.97 x 10.
        assert!((samples.linear(0.99).unwrap() - 39.7).abs() < 1e-12);
        assert_eq!((samples.cumulative(0.99), samples.index(0.99)), (Some(40.0), Some(40.0)));
    }

    #[test]
    fn weights_pull_mean_deviation_and_cumulative_percentile() {
        let samples = Samples::weighted(vec![(1.0, 9.0), (11.0, 1.0), (5.0, 0.0)]);
        assert_eq!((samples.mean(), samples.deviation()), (Some(2.0), Some(3.0)));
        assert_eq!((samples.cumulative(0.9), samples.cumulative(0.95)), (Some(1.0), Some(11.0)));
    }

    #[test]
    fn none_and_one() {
        let none = Samples::of(Vec::new());
        let one = Samples::of(vec![7.0]);
        for q in [0.0, 0.5, 0.99, 1.0] {
            for rule in [Samples::linear, Samples::cumulative, Samples::index] {
                assert_eq!((rule(&none, q), rule(&one, q)), (None, Some(7.0)));
            }
        }
        assert_eq!((none.mean(), none.deviation()), (None, None));
        assert_eq!((one.mean(), one.deviation()), (Some(7.0), Some(0.0)));
    }

    /// The percentile as a walk along the polygon through (k / (n - 1), x_k).
    fn polygon(values: &[f64], q: f64) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let steps = (sorted.len() - 1) as f64;
        for (k, pair) in sorted.windows(2).enumerate() {
            let (from, to) = (k as f64 / steps, (k + 1) as f64 / steps);
            if q <= to {
                return pair[0] + (pair[1] - pair[0]) * (q - from) / (to - from);
            }
        }
        sorted[sorted.len() - 1]
    }

    proptest! {
        /// Linear percentiles lie on the polygon through the sorted values.
        #[test]
        fn linear_is_on_the_polygon(
            values in prop::collection::vec(0.0_f64..1e3, 2..60), q in 0.0_f64..=1.0,
        ) {
            let found = Samples::of(values.clone()).linear(q).unwrap();
            prop_assert!((found - polygon(&values, q)).abs() < 1e-9);
        }

        /// A whole weight is as good as that many copies: mean, deviation and cumulative percentile.
        #[test]
        fn weights_are_copies(
            values in prop::collection::vec((0.0_f64..1e3, 1_u32..5), 1..40), q in 0.01_f64..0.99,
        ) {
            let weighted = Samples::weighted(values.iter().map(|&(x, w)| (x, f64::from(w))).collect());
            let copies: Vec<f64> = values
                .iter()
                .flat_map(|&(x, w)| std::iter::repeat_n(x, w as usize))
                .collect();
            let n = copies.len() as f64;
            if copies.len() > 1 {
                prop_assert!((weighted.linear(q).unwrap() - polygon(&copies, q)).abs() < 1e-9);
            }
            let mean = copies.iter().sum::<f64>() / n;
            let variance = copies.iter().map(|x| x * x).sum::<f64>() / n - mean * mean;
            prop_assert!((weighted.mean().unwrap() - mean).abs() < 1e-9);
            prop_assert!((weighted.deviation().unwrap().powi(2) - variance).abs() < 1e-6);
            // At least q of the copies are at or below it, and fewer are below it.
            let found = weighted.cumulative(q).unwrap();
            let at_most = copies.iter().filter(|&&x| x <= found).count() as f64;
            let below = copies.iter().filter(|&&x| x < found).count() as f64;
            prop_assert!(at_most >= q * n - 1e-6 && below <= q * n + 1e-6);
        }
    }
}
