//! MSER-5: how much of a series' start to leave out so that the mean of the rest errs least.

/// Values in a batch, the 5 of the name.
const BATCH: usize = 5;

/// Fewest batches from which anything is said.
const FEWEST: usize = 10;

/// Batches at the end at which no cut is considered: a few that happen to agree would win.
const TAIL: usize = 5;

/// How many of the first values to leave out: a multiple of 5, at least `floor`.
///
/// The values are joined into means Y_1..Y_n of five neighbours (what is left over at the end is left
/// out). The cut after d of them is the one with the least
///
/// ```text
/// MSER(d) = sum_{i > d} (Y_i - mean of Y_{d+1..n})^2 / (n - d)^2,
/// ```
///
/// the squared standard error of the mean of the rest if it were independent, which a transient at the
/// start makes larger and every value given away makes larger, too. Of equal ones the first. d runs
/// from ceil(floor / 5) to n - 5. `None` where the least lies beyond n / 2: the series never settled,
/// or is too short to tell; and for fewer than 50 values. Values must be finite.
///
/// Sources: White, *Simulation* 69, 1997, 323-334 (the rule); White, Cobb and Spratt, *Proc. Winter
/// Simulation Conference*, 2000, 755-760 (batches of five, the second half); Hoad, Robinson and
/// Davies, *J. Operational Research Society* 61, 2010, 1389-1403 (the last five batches).
pub(crate) fn mser5(values: &[f64], floor: usize) -> Option<usize> {
    let means: Vec<f64> =
        values.chunks_exact(BATCH).map(|five| five.iter().sum::<f64>() / BATCH as f64).collect();
    let n = means.len();
    if n < FEWEST {
        return None;
    }
    let first = floor.div_ceil(BATCH);
    // From the end backwards, each mean added to the mean and the squares of those behind it
    // (Welford, *Technometrics* 4, 1962, 419-420): the same in one pass, and a constant is exact.
    let (mut mean, mut squares, mut best) = (0.0, 0.0, None);
    for d in (0..n).rev() {
        let count = (n - d) as f64;
        let apart = means[d] - mean;
        mean += apart / count;
        squares += apart * (means[d] - mean);
        if d < first || n - d < TAIL {
            continue;
        }
        let error = squares / (count * count);
        if best.is_none_or(|(least, _)| error <= least) {
            best = Some((error, d));
        }
    }
    let (_, cut) = best?;
    (cut <= n / 2).then_some(cut * BATCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// Alternating 1 and -1 in groups of five, so that batch means alternate; `start` before it.
    fn after(start: &[f64], batches: usize) -> Vec<f64> {
        let steady = (0..batches).flat_map(|i| [if i % 2 == 0 { 1.0 } else { -1.0 }; BATCH]);
        start.iter().copied().chain(steady).collect()
    }

    #[test]
    fn a_step_is_cut_where_it_ends() {
        for long in [1, 4, 10, 20] {
            let series = after(&vec![50.0; long * BATCH], 40);
            assert_eq!(mser5(&series, 0), Some(long * BATCH), "{long}");
        }
        // Nothing to cut: 0, and not a value more.
        assert_eq!(mser5(&after(&[], 40), 0), Some(0));
        assert_eq!(mser5(&[7.0; 200], 0), Some(0));
    }

    #[test]
    fn by_hand() {
        // Ten batch means 6, 2, 0, 1, 0, 1, 0, 1, 0, 1. Squares about the mean of the rest: all of them
        // (44 - 12^2/10) / 10^2 = 0.296; without the first (8 - 36/9) / 81 = 0.0494; without two
        // (4 - 16/8) / 64 = 0.03125; without three (4 - 16/7) / 49 = 0.0350; without four
        // (3 - 9/6) / 36 = 0.0417; without five (3 - 9/5) / 25 = 0.048.
        let means = [6.0, 2.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0];
        let series: Vec<f64> = means.iter().flat_map(|&mean| [mean; BATCH]).collect();
        assert_eq!(mser5(&series, 0), Some(10));
        assert_eq!(mser5(&series, 1), Some(10));
        assert_eq!(mser5(&series, 11), Some(15));
        assert_eq!(mser5(&series, 26), None);
    }

    #[test]
    fn what_never_settles_has_no_cut() {
        // A line: the shorter the rest the smaller its spread, to the very end.
        let line: Vec<f64> = (0..200).map(f64::from).collect();
        assert_eq!(mser5(&line, 0), None);
        // A step in the second half.
        assert_eq!(mser5(&after(&[50.0; 300], 40), 0), None);
        assert_eq!(mser5(&[1.0; 49], 0), None);
        assert_eq!(mser5(&[], 0), None);
    }

    #[test]
    fn a_decaying_transient_is_cut_where_noise_swallows_it() {
        // 20 e^(-t / 60) below a level with noise 1: it is 1 at t = 180, and 0.2, the noise of ten
        // batches, at 280. Rules that knew the law would cut there.
        for seed in 1..=50 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let series: Vec<f64> = (0..2000)
                .map(|t| {
                    let noise: f64 = StandardNormal.sample(&mut rng);
                    noise - 20.0 * (-f64::from(t) / 60.0).exp()
                })
                .collect();
            let cut = mser5(&series, 0).unwrap();
            assert!((120..=500).contains(&cut), "seed {seed}: {cut}");
        }
    }

    proptest! {
        /// The cut is that of the definition, computed anew for every d.
        #[test]
        fn as_by_definition(
            values in prop::collection::vec(-100_i32..100, 0..300),
            floor in 0_usize..80,
        ) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let n = values.len() / 5;
            let means: Vec<f64> =
                (0..n).map(|i| values[5 * i..5 * i + 5].iter().sum::<f64>() / 5.0).collect();
            let error = |d: usize| {
                let rest = &means[d..];
                let mean = rest.iter().sum::<f64>() / rest.len() as f64;
                rest.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / (rest.len() as f64).powi(2)
            };
            let allowed = || (0..n).filter(|&d| 5 * d >= floor && n - d >= 5);
            let least = allowed().map(error).fold(f64::INFINITY, f64::min);
            let found = mser5(&values, floor);
            if n < 10 || least.is_infinite() {
                prop_assert_eq!(found, None);
            } else if let Some(cut) = found {
                prop_assert!(cut % 5 == 0 && cut >= floor && cut / 5 <= n / 2);
                prop_assert!(error(cut / 5) <= least + 1e-9, "{} {}", error(cut / 5), least);
            } else {
                let late = allowed().filter(|&d| d > n / 2).map(error).fold(f64::INFINITY, f64::min);
                prop_assert!(late <= least + 1e-9);
            }
        }
    }
}
