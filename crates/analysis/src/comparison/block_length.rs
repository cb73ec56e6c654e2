//! How long a block of time must be for the bootstrap to keep what neighbours have in common.

/// The best length of blocks, in steps of the series, and whether it was cut to what the window
/// allows.
///
/// The rule of Politis and White (*Econometric Reviews* 23, 2004, 53-70) as corrected by Patton,
/// Politis and White (28, 2009, 372-375), for circular blocks, taken twice: with autocovariances
/// R(k) and the flat-top window w(k / M), which is 1 up to M / 2 and falls in a line to 0 at M, G =
/// sum w |k| R(k), g = sum w R(k) over all k, D = (4 / 3) g^2: b = 2 (2 G^2 / D)^(1/3) N^(1/3). The
/// rule itself weighs bias against scatter, but the bias of short blocks always makes intervals too
/// narrow. M is twice the first lag after which five correlations in a row are below 2
/// sqrt(log10(N) / N). The rule's own bound, min(3 sqrt(n), n / 3) for a window of n steps, is the
/// bound here; n^(1/3) is the floor, because 200 steps do not show a correlation below 0.2, which
/// must not be taken for none. `series` holds the windows of one setting, all of the same number of
/// steps; their autocovariances are pooled and N is the steps of all.
pub(crate) fn block_length(series: &[Vec<f64>]) -> (usize, bool) {
    let steps = series.first().map_or(0, Vec::len);
    let most = (3.0 * (steps as f64).sqrt()).min(steps as f64 / 3.0).floor().max(1.0);
    let all = (steps * series.len()) as f64;
    let covariance = |lag: usize| -> f64 {
        let products = series.iter().map(|one| {
            let later = one.iter().skip(lag);
            one.iter().zip(later).map(|(a, b)| a * b).sum::<f64>()
        });
        products.sum::<f64>() / all
    };
    let floor = (steps as f64).cbrt().ceil().clamp(1.0, most);
    let variance = covariance(0);
    if steps < 9 || variance <= 0.0 {
        return (floor as usize, false);
    }
    let small = 2.0 * (all.log10() / all).sqrt();
    let farthest = most as usize;
    let quiet = |lag: usize| (covariance(lag) / variance).abs() < small;
    let first = (0..farthest).find(|&lag| (lag + 1..=lag + 5).all(quiet)).unwrap_or(farthest);
    let width = (2 * first).max(1);
    let (mut slope, mut level) = (0.0, variance);
    for lag in 1..=width.min(steps - 1) {
        let weight = (2.0 * (1.0 - lag as f64 / width as f64)).clamp(0.0, 1.0);
        let part = 2.0 * weight * covariance(lag);
        slope += part * lag as f64;
        level += part;
    }
    let best = if level > 0.0 {
        2.0 * (2.0 * slope * slope / (4.0 / 3.0 * level * level)).cbrt() * all.cbrt()
    } else {
        1.0
    };
    (best.ceil().clamp(floor, most) as usize, best > most || first == farthest)
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    fn chain(smooth: f64, steps: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut level = 0.0;
        (0..steps)
            .map(|_| {
                let shock: f64 = StandardNormal.sample(&mut rng);
                level = smooth * level + shock;
                level
            })
            .collect()
    }

    #[test]
    fn blocks_are_as_long_as_theory_has_it_for_a_chain() {
        // For a first-order chain G = 2 r / (1 - r)^2 and g = (1 + r) / (1 - r), in units of the
        // variance: b = 2 (1.5 * (2 r / (1 - r^2))^2)^(1/3) N^(1/3).
        let (r, steps) = (0.6_f64, 20_000);
        let theory = 2.0 * (1.5 * (2.0 * r / (1.0 - r * r)).powi(2)).cbrt() * 20_000_f64.cbrt();
        let mut found: Vec<usize> =
            (1..=9).map(|seed| block_length(&[chain(r, steps, seed)]).0).collect();
        found.sort_unstable();
        let middle = found[4] as f64;
        assert!((0.7..1.4).contains(&(middle / theory)), "{found:?}, theory {theory}");
    }

    #[test]
    fn independent_steps_need_short_blocks_and_persistent_ones_are_cut() {
        let short = (1..=20).filter(|&seed| block_length(&[chain(0.0, 200, seed)]).0 <= 9);
        assert!(short.count() >= 14);
        let cut = (1..=20).filter(|&seed| block_length(&[chain(0.99, 200, seed)]).1).count();
        assert!(cut >= 14, "{cut}");
        assert_eq!(block_length(&[vec![0.0; 200]]), (6, false));
        assert_eq!(block_length(&[]), (1, false));
    }
}
