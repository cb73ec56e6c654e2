//! Several claims at once: what a p value is worth among its fellows.

/// The p values adjusted so that all claims with 0.05 or less, taken together, are wrong about
/// anything with a chance of 5 % at most, however they depend on each other.
///
/// With the m values in rising order p_(1) .. p_(m): adjusted_(i) = max over j <= i of
/// min(1, (m - j + 1) p_(j)); given back in the order they came. None gives none, one stays as it
/// is. Source: Holm, Scandinavian Journal of Statistics 6, 1979, 65-70.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut greatest = 0.0_f64;
    for (before, &index) in order.iter().enumerate() {
        let left = (p_values.len() - before) as f64;
        greatest = greatest.max(left * p_values[index]).min(1.0);
        adjusted[index] = greatest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn by_hand() {
        // 0.01 * 4, 0.02 * 3, max(0.06, 0.03 * 2), max(0.06, 0.04).
        let found = holm(&[0.04, 0.01, 0.03, 0.02]);
        for (found, expected) in found.into_iter().zip([0.06, 0.04, 0.06, 0.06]) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert_eq!(holm(&[]), Vec::<f64>::new());
        assert_eq!(holm(&[0.3]), [0.3]);
    }

    proptest! {
        /// Holm's is the closed test of Bonferroni's: a hypothesis falls when every set that holds
        /// it has a member with p <= 0.05 / size. Brute force over all sets.
        #[test]
        fn it_closes_bonferroni(p_values in prop::collection::vec(0.0..0.1_f64, 1..7)) {
            let m = p_values.len();
            for (index, adjusted) in holm(&p_values).into_iter().enumerate() {
                let falls = (1_u32..1 << m).filter(|set| set >> index & 1 == 1).all(|set| {
                    let bound = 0.05 / f64::from(set.count_ones());
                    (0..m).any(|i| set >> i & 1 == 1 && p_values[i] <= bound)
                });
                prop_assert_eq!(falls, adjusted <= 0.05, "{:?}", p_values);
            }
        }
    }
}
