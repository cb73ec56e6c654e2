//! What a saturated server delivers in the long run, from one window.

use plimsoll_units::RunNanos;

use crate::batch_means::student_t;
use crate::warm_up::mser5;
use crate::{Estimate, Window};

/// Waves that fit into the window, from one to this many, by which the scatter is judged. More make
/// the interval surer, and see only what changes within a shorter time.
const WAVES: usize = 12;

/// Fine bins of the window: many in the shortest wave.
const BINS: usize = 240;

/// Gap between events, as a share of the mean gap, up to which they are one burst.
const BURST: f64 = 0.5;

/// What is left of the scatter at most when a start is left out at which the server filled up.
const FILLING: f64 = 0.5;

/// The long-run rate of `delivered` (moment, amount) per second, with its 95 % interval.
///
/// The amount in a window is what a cumulative curve rises by, drawn from the end of each burst of
/// events to the end of the next: a window that ends in the middle of a step has half of it. Its scatter
/// is judged by the slowest waves that fit into the window: with x_b the amounts in `BINS` equal bins and
/// X_j = sum(x_b exp(-2 pi i j b / BINS)), each |X_j|^2, j = 1 to 12, has the variance of the window's
/// total as its mean, with two degrees of freedom: noise is the same at all low frequencies, and what
/// comes and goes within less than a twelfth of the window adds nothing to them, as it adds nothing to
/// the total. Sources: Heidelberger and Welch, *Communications of
/// the ACM* 24 (1981), 233-245 (spectrum at low frequencies); Foley and Goldsman, *ACM Transactions on
/// Modeling and Computer Simulation* 9 (1999), 297-325 (orthonormally weighted areas, which are these).
///
/// `starts` counts the same a second way, each request's whole length at its first token, where lengths
/// are known; else it is empty. Both rates are the same in the long run, and what waves of starts take
/// from one they give to the other: y is a control variate of x as in
/// [`controlled_rate`](crate::batch_means::controlled_rate), with the g of 0 to 1 that makes
/// sum(|X_j + g (Y_j - X_j)|^2) least, at the cost of one degree of freedom. 0 for an empty window.
pub(crate) fn rate(
    delivered: impl Iterator<Item = (RunNanos, f64)>,
    starts: impl Iterator<Item = (RunNanos, f64)>,
    window: Window,
) -> Estimate {
    if window.length().is_zero() {
        return Estimate::exact(0.0);
    }
    let (delivered, starts) = (within(delivered, window), within(starts, window));
    let from = filled(&steady(&delivered));
    let seconds = (1.0 - from) * window.length().as_secs_f64();
    let x: [f64; BINS] = steady(&rest(&delivered, from));
    let y: [f64; BINS] = counted(&rest(&starts, from));
    let apart: Vec<f64> = x.iter().zip(&y).map(|(x, y)| y - x).collect();
    let (of_x, of_apart) = (waves(&x), waves(&apart));
    let power = |of: &[(f64, f64)]| of.iter().map(|(re, im)| re * re + im * im).sum::<f64>();
    let together: f64 = of_x.iter().zip(&of_apart).map(|(a, b)| a.0 * b.0 + a.1 * b.1).sum();
    let spread = power(&of_apart);
    let known = y.iter().any(|&amount| amount > 0.0);
    let g = if known && spread > 0.0 { (-together / spread).clamp(0.0, 1.0) } else { 0.0 };
    let rest: Vec<(f64, f64)> = of_x
        .iter()
        .zip(&of_apart)
        .map(|(x, apart)| (x.0 + g * apart.0, x.1 + g * apart.1))
        .collect();
    let degrees = 2 * WAVES - usize::from(known);
    let error = (2.0 * power(&rest) / degrees as f64).sqrt();
    let total = x.iter().sum::<f64>() + g * apart.iter().sum::<f64>();
    Estimate::around(total / seconds, student_t(degrees) * error / seconds).not_negative()
}

/// Where the server is full: what lies before is left out by MSER-5 where that, and nothing but a start at
/// which less was delivered, makes most of the scatter. 0 where it was full all along.
fn filled(bins: &[f64; BINS]) -> f64 {
    let Some(cut) = mser5(bins, 0).filter(|&cut| cut > 0) else { return 0.0 };
    let (early, late) = bins.split_at(cut);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let error = |part: &[f64]| {
        let mean = mean(part);
        part.iter().map(|bin| (bin - mean).powi(2)).sum::<f64>() / (part.len() as f64).powi(2)
    };
    let fills = mean(early) < mean(late) && error(late) < FILLING * error(bins);
    if fills { cut as f64 / BINS as f64 } else { 0.0 }
}

/// The events from a place on, with their places in what is left.
fn rest(events: &[(f64, f64)], from: f64) -> Vec<(f64, f64)> {
    let later = events.iter().filter(|(at, _)| *at >= from);
    later.map(|&(at, amount)| ((at - from) / (1.0 - from), amount)).collect()
}

/// The events inside the window in order, each with its place there, 0 to 1.
pub(crate) fn within(
    events: impl Iterator<Item = (RunNanos, f64)>,
    window: Window,
) -> Vec<(f64, f64)> {
    let length = window.length().as_nanos() as f64;
    let mut inside: Vec<(f64, f64)> = events
        .filter(|(at, _)| window.contains(*at))
        .map(|(at, amount)| ((at - window.start).as_nanos() as f64 / length, amount))
        .collect();
    inside.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    inside
}

/// What each bin holds.
fn counted<const N: usize>(events: &[(f64, f64)]) -> [f64; N] {
    let mut bins = [0.0; N];
    for &(at, amount) in events {
        bins[((at * N as f64) as usize).min(N - 1)] += amount;
    }
    bins
}

/// What each bin holds when a burst's amount is spread over the time since the burst before it. What
/// the window's ends cut off is taken to be like the bursts beside it.
pub(crate) fn steady<const N: usize>(events: &[(f64, f64)]) -> [f64; N] {
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return [0.0; N] };
    let mean_gap = (last.0 - first.0) / events.len() as f64;
    let mut bursts: Vec<(f64, f64)> = Vec::new();
    let mut before = f64::NEG_INFINITY;
    for &(at, amount) in events {
        match bursts.last_mut() {
            Some(burst) if at - before <= BURST * mean_gap => *burst = (at, burst.1 + amount),
            _ => bursts.push((at, amount)),
        }
        before = at;
    }
    let n = bursts.len();
    if n < 3 {
        return counted(events);
    }
    let mut bins = [0.0; N];
    let mut from = 2.0 * bursts[0].0 - bursts[1].0;
    for &(to, amount) in &bursts {
        spread(&mut bins, from, to, amount);
        from = to;
    }
    let (one, another) = (bursts[n - 2], bursts[n - 1]);
    spread(&mut bins, another.0, 2.0 * another.0 - one.0, another.1);
    bins
}

/// Adds an amount that came evenly between two places, as far as they are inside.
fn spread(bins: &mut [f64], from: f64, to: f64, amount: f64) {
    let (a, b) = (from * bins.len() as f64, to * bins.len() as f64);
    let (first, last) = (a.max(0.0) as usize, (b.max(0.0) as usize).min(bins.len() - 1));
    for (bin, held) in bins.iter_mut().enumerate().take(last + 1).skip(first) {
        let inside = b.min(bin as f64 + 1.0) - a.max(bin as f64);
        *held += amount * (inside / (b - a)).clamp(0.0, 1.0);
    }
}

/// The Fourier coefficients of the waves that fit once to [`WAVES`] times into the window.
fn waves(bins: &[f64]) -> Vec<(f64, f64)> {
    (1..=WAVES)
        .map(|wave| {
            bins.iter().enumerate().fold((0.0, 0.0), |(re, im), (bin, amount)| {
                let angle = std::f64::consts::TAU * (wave * bin) as f64 / BINS as f64;
                (re + amount * angle.cos(), im - amount * angle.sin())
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    /// Ten seconds from second 5 on.
    fn window() -> Window {
        Window { start: RunNanos::from_secs_f64(5.0), end: RunNanos::from_secs_f64(15.0) }
    }

    fn of(events: &[(f64, f64)], starts: &[(f64, f64)]) -> Estimate {
        let at = |&(at, amount): &(f64, f64)| (RunNanos::from_secs_f64(at), amount);
        rate(events.iter().map(at), starts.iter().map(at), window())
    }

    #[test]
    fn a_window_that_is_no_whole_number_of_steps_is_exact() {
        // 48 tokens each 0.7 s, within 3 ms: 68.57 a second, of which 14 or 15 steps are in the window.
        for phase in 0..7 {
            let step = |k: i32| 0.1 * f64::from(phase) + 0.7 * f64::from(k);
            let tokens: Vec<(f64, f64)> = (0..30)
                .flat_map(|k| (0..48).map(move |i| (step(k) + 6e-5 * f64::from(i), 1.0)))
                .collect();
            let found = of(&tokens, &[]);
            assert!((found.value / (48.0 / 0.7) - 1.0).abs() < 0.005, "{phase}: {found:?}");
            assert!(found.relative_half_width() < 0.01, "{phase}: {found:?}");
        }
    }

    #[test]
    fn independent_events_are_covered_as_often_as_the_interval_says() {
        let mut held = 0;
        for seed in 0..400 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut at = 0.0;
            let mut events = Vec::new();
            while at < 20.0 {
                at -= (1.0 - rng.random::<f64>()).ln() / 40.0;
                events.push((at, 1.0));
            }
            held += u32::from(of(&events, &[]).contains(40.0));
        }
        // 380 of 400 expected, with a standard deviation of 4.4.
        assert!((364..=396).contains(&held), "{held} of 400");
    }

    #[test]
    fn what_was_delivered_while_the_server_filled_up_is_left_out() {
        // 10 a second for the first 2.5 s of the window, then 40, in nearly equal gaps.
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let slow = (0..25).map(|k| (5.0 + 0.1 * f64::from(k), 1.0));
        let fast = (0..310).map(|k| (7.5 + 0.025 * (f64::from(k) + rng.random::<f64>()), 1.0));
        let found = of(&slow.chain(fast).collect::<Vec<_>>(), &[]);
        assert!(found.contains(40.0) && (found.value - 40.0).abs() < 0.5, "{found:?}");
        // The other way round it is no filling up, and stays.
        let fast = (0..100).map(|k| (5.0 + 0.025 * f64::from(k), 1.0));
        let slow = (0..80).map(|k| (7.5 + 0.1 * f64::from(k), 1.0));
        let falling = of(&fast.chain(slow).collect::<Vec<_>>(), &[]);
        assert!((falling.value - 17.5).abs() < 0.3, "{falling:?}");
    }

    #[test]
    fn what_waves_of_starts_take_from_the_tokens_is_given_back() {
        // Of each 1.7 s half belongs to tokens alone, half by 0.6 to starts, which take 0.3 of all time.
        let (mut tokens, mut starts) = (Vec::new(), Vec::new());
        for k in 0..4000 {
            let at = 0.005 * f64::from(k);
            let share = if (at / 1.7).fract() < 0.5 { 0.6 } else { 0.0 };
            tokens.push((at, 0.5 * (1.0 - share) / 0.7));
            starts.push((at, 0.5 * share / 0.3));
        }
        let (alone, both) = (of(&tokens, &[]), of(&tokens, &starts));
        assert!(both.contains(100.0) && (both.value - 100.0).abs() < 0.1, "{both:?}");
        assert!(both.relative_half_width() < 0.2 * alone.relative_half_width(), "{alone:?}");
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(of(&[], &[]).value, 0.0);
        let empty = Window { start: RunNanos::ZERO, end: RunNanos::ZERO };
        let one = || std::iter::once((RunNanos::ZERO, 1.0));
        assert_eq!(rate(one(), one(), empty), Estimate::exact(0.0));
    }

    proptest! {
        /// Whatever came when, the interval is finite and holds its value, and the bins hold no more than
        /// came, a step at each end aside.
        #[test]
        fn intervals_are_finite(
            events in prop::collection::vec((0.0..20.0_f64, 0.0..9.0_f64), 0..60),
            starts in prop::collection::vec((0.0..20.0_f64, 0.0..9.0_f64), 0..20),
        ) {
            let found = of(&events, &starts);
            prop_assert!(0.0 <= found.low && found.low <= found.value && found.value <= found.high);
            prop_assert!(found.high.is_finite());
        }
    }
}
