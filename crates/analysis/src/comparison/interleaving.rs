//! The order in which settings take their turns, so that drift of the machine is no difference.

/// One measurement of an interleaved comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which setting, counted from 0 in the order they were given.
    pub setting: usize,
    /// The pass through all settings that it belongs to, counted from 0: the repetition of its
    /// setting, and what its figure is paired by.
    pub repetition: usize,
}

/// The order of `settings` times `repetitions` measurements: A B B A B A A B ... for two of them.
///
/// Each repetition is one pass through all settings. Passes come in pairs, the second of a pair the
/// first one backwards, and each pair begins one setting later than the pair before: A B C, C B A,
/// B C A, A C B, C A B, B A C. In every pair the mean place of each setting is the same, so a
/// linear drift over time (a GPU that warms up, a neighbour who becomes busy) cancels in the
/// differences of means after every even number of repetitions; after every multiple of 2 k
/// repetitions of k settings each has had every place equally often, and a quadratic drift cancels
/// as well. An odd number leaves one pass without its mirror image. Nothing to measure gives an
/// empty order.
///
/// Whoever runs this draws fresh seeds for every repetition, and the same ones for all settings of
/// one only where common arrivals are wanted.
#[must_use]
pub fn interleaving(settings: usize, repetitions: usize) -> Vec<Turn> {
    (0..repetitions)
        .flat_map(|repetition| {
            let (first, backwards) = (repetition / 2, repetition % 2 == 1);
            (0..settings).map(move |place| {
                let place = if backwards { settings - 1 - place } else { place };
                Turn { setting: (first + place) % settings, repetition }
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn letters(settings: usize, repetitions: usize) -> String {
        let letter = |turn: Turn| char::from(b'A' + turn.setting as u8);
        interleaving(settings, repetitions).into_iter().map(letter).collect()
    }

    /// The sum of a power of the places that each setting has.
    fn moments(settings: usize, repetitions: usize, power: u32) -> Vec<u64> {
        let mut sums = vec![0; settings];
        for (place, turn) in interleaving(settings, repetitions).into_iter().enumerate() {
            sums[turn.setting] += (place as u64).pow(power);
        }
        sums
    }

    #[test]
    fn written_out() {
        assert_eq!(letters(2, 4), "ABBABAAB");
        assert_eq!(letters(3, 6), "ABCCBABCAACBCABBAC");
        assert_eq!(letters(1, 3), "AAA");
        assert_eq!((letters(0, 3), letters(3, 0)), (String::new(), String::new()));
    }

    #[test]
    fn plain_turns_would_not_do() {
        // A B A B: the control. B is one place later throughout.
        let later = |turns: &[usize]| {
            turns.iter().enumerate().fold([0, 0], |mut sums, (place, &setting)| {
                sums[setting] += place;
                sums
            })
        };
        assert_eq!(later(&[0, 1, 0, 1]), [2, 4]);
        assert_eq!(moments(2, 2, 1), [3, 3]);
    }

    proptest! {
        /// Every pass has every setting once; linear drift cancels after each even number of
        /// repetitions, quadratic drift after each multiple of twice the number of settings.
        #[test]
        fn drift_cancels(settings in 1_usize..8, pairs in 1_usize..12) {
            let turns = interleaving(settings, 2 * pairs);
            for (repetition, pass) in turns.chunks(settings).enumerate() {
                let mut seen: Vec<usize> = pass.iter().map(|turn| turn.setting).collect();
                seen.sort_unstable();
                prop_assert_eq!(seen, (0..settings).collect::<Vec<_>>());
                prop_assert!(pass.iter().all(|turn| turn.repetition == repetition));
            }
            let linear = moments(settings, 2 * pairs, 1);
            prop_assert!(linear.iter().all(|sum| *sum == linear[0]));
            let quadratic = moments(settings, 2 * settings * pairs, 2);
            prop_assert!(quadratic.iter().all(|sum| *sum == quadratic[0]));
        }
    }
}
