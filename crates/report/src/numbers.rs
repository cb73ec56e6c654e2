//! Numbers as a person reads them: three digits that matter, units, and `–` for what is not known.

use std::time::Duration;

use plimsoll_analysis::{Estimate, Quantile};

/// What stands for a number that is not known.
pub(crate) const UNKNOWN: &str = "–";

/// A number with three digits that matter (`0.0123`, `1.23`, `12.3`, `123`, `1,230`); whole above
/// 100, [`UNKNOWN`] when it is not finite.
pub(crate) fn three_digits(value: f64) -> String {
    with_decimals(value, decimals_for(value, 3))
}

/// A rate or a count as it was asked for: `10`, `12.5`, `37.25`; at most four digits, no zeros at
/// the end.
pub(crate) fn plain(value: f64) -> String {
    let text = with_decimals(value, decimals_for(value, 4));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A latency in milliseconds without its unit, to the microsecond at most; `12.3 s` from ten
/// seconds on.
pub(crate) fn milliseconds(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds >= 9.9995 {
        return format!("{} s", three_digits(seconds));
    }
    in_ms(seconds * 1e3)
}

/// A number of milliseconds without its unit, to the microsecond at most.
pub(crate) fn in_ms(value: f64) -> String {
    with_decimals(value, decimals_for(value, 3).min(3))
}

/// The same with its sign: `+0.031`, `−0.002`; 0 has none.
pub(crate) fn signed_ms(value: f64) -> String {
    let text = in_ms(value);
    let positive = value > 0.0 && text.contains(|c: char| matches!(c, '1'..='9'));
    if positive { format!("+{text}") } else { text }
}

/// The value of a quantile in [`milliseconds`], or [`UNKNOWN`].
pub(crate) fn quantile(quantile: Quantile) -> String {
    quantile.value.map_or_else(|| UNKNOWN.to_owned(), milliseconds)
}

/// A latency in milliseconds with its unit: `41.2 ms`, `12.3 s`.
pub(crate) fn latency(span: Duration) -> String {
    let text = milliseconds(span);
    if text.ends_with('s') { text } else { format!("{text} ms") }
}

/// A share of 0 to 1 in percent: `3 %`, `0.12 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", plain((share * 1e4).round() / 1e2))
}

/// A relative difference in percent with its sign, to a tenth: `+3.1 %`, `−0.1 %`.
pub(crate) fn signed_percent(share: f64) -> String {
    let text = format!("{} %", plain((share * 1e3).round() / 10.0));
    if text.starts_with('−') || !text.contains(|c: char| matches!(c, '1'..='9')) {
        text
    } else {
        format!("+{text}")
    }
}

/// A ratio as a change in percent with its sign, and with the interval where there is one: `+5.2 %`,
/// `+5.2 % (+3.1 to +7.4 %)`.
pub(crate) fn change(ratio: f64, interval: Option<&Estimate>) -> String {
    let percents = |decimals: usize, ratio: f64| {
        let text = with_decimals(100.0 * (ratio - 1.0), decimals);
        let none = !text.contains(|c: char| matches!(c, '1'..='9'));
        if ratio > 1.0 && !none { format!("+{text}") } else { text }
    };
    let Some(interval) = interval else { return format!("{} %", percents(1, ratio)) };
    let mut decimals = 1;
    while decimals < 4
        && interval.low < interval.high
        && percents(decimals, interval.low) == percents(decimals, interval.high)
    {
        decimals += 1;
    }
    let [value, low, high] =
        [ratio, interval.low, interval.high].map(|ratio| percents(decimals, ratio));
    format!("{value} % ({low} to {high} %)")
}

/// A p value with as many digits as anyone believes.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.0001 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

/// The three numbers of an estimate, with as many decimals as it takes to tell its ends apart.
pub(crate) fn estimate(estimate: &Estimate) -> [String; 3] {
    let numbers = [estimate.value, estimate.low, estimate.high];
    let mut decimals = decimals_for(estimate.value, 3);
    while decimals < 4
        && estimate.low < estimate.high
        && with_decimals(estimate.low, decimals) == with_decimals(estimate.high, decimals)
    {
        decimals += 1;
    }
    numbers.map(|number| with_decimals(number, decimals))
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [all @ .., last] => {
            let all: Vec<_> = all.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", all.join(", "), last.as_ref())
        }
    }
}

/// `1 warning`, `2 warnings`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// The decimals that leave `digits` digits that matter, six at most.
fn decimals_for(value: f64, digits: i32) -> usize {
    if !value.is_finite() || value == 0.0 {
        return 0;
    }
    // Rounding first, or 9.999 would be written as 10.00.
    let rough: f64 = format!("{:.*e}", (digits - 1) as usize, value.abs()).parse().unwrap_or(0.0);
    let magnitude = if rough > 0.0 { rough.log10().floor() as i32 } else { 0 };
    (digits - 1 - magnitude).clamp(0, 6) as usize
}

/// A number with the given decimals and commas between thousands.
fn with_decimals(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return UNKNOWN.to_owned();
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) =
        text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
    let mut grouped = String::with_capacity(text.len() + 4);
    // A minus before nothing but zeros would be noise.
    if value < 0.0 && text.contains(|c: char| c.is_ascii_digit() && c != '0') {
        grouped.push('−');
    }
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if let Some(fraction) = fraction {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_matter() {
        for (value, text) in [
            (0.0, "0"),
            (0.012_345, "0.0123"),
            (1.234_5, "1.23"),
            (9.999, "10.0"),
            (12.345, "12.3"),
            (99.96, "100"),
            (123.45, "123"),
            (1234.5, "1,234"),
            (1_234_567.8, "1,234,568"),
            (-0.5, "−0.500"),
            (-1e-9, "0.000000"),
            (f64::NAN, "–"),
            (f64::INFINITY, "–"),
        ] {
            assert_eq!(three_digits(value), text);
        }
    }

    #[test]
    fn rates_read_as_they_were_written() {
        for (value, text) in [
            (10.0, "10"),
            (12.5, "12.5"),
            (37.25, "37.25"),
            (0.5, "0.5"),
            (1000.0, "1,000"),
            (100.04, "100"),
        ] {
            assert_eq!(plain(value), text);
        }
    }

    #[test]
    fn latencies_turn_to_seconds_at_ten() {
        for (nanos, text) in [
            (0, "0"),
            (45_210, "0.045"),
            (1_234_000, "1.23"),
            (41_240_000, "41.2"),
            (9_876_000_000, "9,876"),
            (9_999_900_000, "10.0 s"),
            (12_345_000_000, "12.3 s"),
            (u64::MAX, "18,446,744,074 s"),
        ] {
            assert_eq!(milliseconds(Duration::from_nanos(nanos)), text);
        }
        assert_eq!(latency(Duration::from_millis(5)), "5.00 ms");
        assert_eq!(latency(Duration::from_secs(50)), "50.0 s");
    }

    #[test]
    fn errors_have_a_sign() {
        for (ms, text) in [
            (0.031_4, "+0.031"),
            (-0.002, "−0.002"),
            (0.0, "0"),
            (0.000_2, "0.000"),
            (-0.000_2, "0.000"),
            (12_345.6, "+12,346"),
            (f64::NAN, "–"),
            (f64::INFINITY, "–"),
        ] {
            assert_eq!(signed_ms(ms), text);
        }
    }

    #[test]
    fn the_ends_of_an_interval_differ_in_print() {
        let narrow = Estimate { value: 36.41, low: 36.40, high: 36.43 };
        assert_eq!(estimate(&narrow), ["36.41", "36.40", "36.43"]);
        assert_eq!(estimate(&Estimate::exact(36.41)), ["36.4", "36.4", "36.4"]);
        let broken = Estimate { value: f64::NAN, low: f64::NAN, high: 1.0 };
        assert_eq!(estimate(&broken)[0], "–");
    }

    #[test]
    fn ratios_read_as_changes() {
        let of = |value, low, high| change(value, Some(&Estimate { value, low, high }));
        assert_eq!(of(1.052, 1.031, 1.074), "+5.2 % (+3.1 to +7.4 %)");
        assert_eq!(of(1.0, 0.98, 1.02), "0.0 % (−2.0 to +2.0 %)");
        assert_eq!(of(1.0501, 1.0500, 1.0502), "+5.01 % (+5.00 to +5.02 %)");
        assert_eq!(change(0.5, None), "−50.0 %");
        assert_eq!(change(f64::NAN, None), "– %");
    }

    #[test]
    fn lists_and_counts_read_as_language() {
        assert_eq!(list::<&str>(&[]), "");
        assert_eq!(list(&["10", "20", "30"]), "10, 20 and 30");
        assert_eq!(count(1, "note"), "1 note");
        assert_eq!(count(0, "note"), "0 notes");
        assert_eq!(percent(0.031), "3.1 %");
        assert_eq!(percent(0.000_4), "0.04 %");
        assert_eq!(
            [signed_percent(0.031_2), signed_percent(-0.5), signed_percent(0.000_4)],
            ["+3.1 %", "−50 %", "0 %"]
        );
    }
}
