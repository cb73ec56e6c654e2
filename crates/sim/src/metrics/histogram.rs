//! Histograms as Prometheus has them.

/// A cumulative histogram.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    pub(super) bounds: Vec<f64>,
    /// One count a bound, and one for what lies above them all.
    pub(super) counts: Vec<u64>,
    pub(super) sum: f64,
}

impl Histogram {
    pub(super) fn new(bounds: &[f64]) -> Self {
        Self { bounds: bounds.to_vec(), counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    pub(super) fn observe(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }
}

/// vLLM's bounds for token counts: 1, 2, 5, 10, ... up to the model's length.
pub(super) fn token_bounds(max_model_len: u32) -> Vec<f64> {
    (0..10)
        .flat_map(|power| [1.0, 2.0, 5.0].map(|mantissa| mantissa * 10_f64.powi(power)))
        .take_while(|bound| *bound <= f64::from(max_model_len))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_bounds_end_at_the_model_length() {
        assert_eq!(token_bounds(4096).last(), Some(&2000.0));
        assert_eq!(token_bounds(4096).len(), 11);
    }
}
