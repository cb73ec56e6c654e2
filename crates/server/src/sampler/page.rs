//! Pages of metrics as they are kept: the series once for all pages that look alike, and of each page
//! only the values.
//!
//! A page of vLLM has 600 series of 100 characters, and all that changes from one page to the next is
//! the number at the end of a line. So a line is held against the line that stood in its place before;
//! only a page with other series than the one before is taken apart.

use std::sync::Arc;

use plimsoll_records::ServerRow;
use plimsoll_units::RunNanos;

use crate::exposition::{Line, lines, parse_line, value_of};
use crate::metrics::{CREATED, MetricsSample, Names};

/// Reads pages one after the other.
#[derive(Debug, Default)]
pub(crate) struct PageReader {
    layout: Arc<Layout>,
}

/// One page: what its series are called, and their values in the same order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    layout: Arc<Layout>,
    values: Box<[f64]>,
}

/// The series of a page, in its order.
#[derive(Debug, Default)]
struct Layout {
    series: Vec<Series>,
    names: Names,
}

#[derive(Debug)]
struct Series {
    /// What stands in front of the value.
    text: Box<str>,
    name: Box<str>,
    /// What stands between the braces.
    labels: Box<str>,
}

impl PageReader {
    /// The samples of `body`; any bytes will do.
    pub(crate) fn read(&mut self, body: &[u8]) -> Page {
        let values = self.layout.values(body).unwrap_or_else(|| {
            let (layout, values) = Layout::of(body);
            self.layout = Arc::new(layout);
            values
        });
        Page { layout: Arc::clone(&self.layout), values: values.into() }
    }
}

impl Page {
    /// Whether there is not one sample on it.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The figures that matter.
    pub(crate) fn sample(&self) -> MetricsSample {
        MetricsSample::read(&self.layout.names, &self.values)
    }

    /// The series with a finite value, without those that only say when another one was created.
    pub(crate) fn rows(&self, at: RunNanos) -> impl Iterator<Item = ServerRow> {
        let series = self.layout.series.iter().zip(&*self.values);
        series.filter(|(series, value)| value.is_finite() && !series.name.ends_with(CREATED)).map(
            move |(series, &value)| ServerRow {
                at,
                name: series.name.to_string(),
                labels: series.labels.to_string(),
                value,
            },
        )
    }
}

impl Layout {
    /// The layout of a page, and its values. Lines that are no samples are left out.
    fn of(body: &[u8]) -> (Self, Vec<f64>) {
        let (series, values): (Vec<_>, Vec<_>) = lines(body)
            .filter_map(|line| parse_line(line?))
            .map(|line| (Series::of(&line), line.sample.value))
            .unzip();
        let names = Names::of(series.iter().map(|series| &*series.name));
        (Self { series, names }, values)
    }

    /// The values of a page that has these series, neither more nor less, in this order.
    fn values(&self, body: &[u8]) -> Option<Vec<f64>> {
        let mut values = Vec::with_capacity(self.series.len());
        for line in lines(body) {
            let series = self.series.get(values.len())?;
            values.push(value_of(line?, &series.text)?);
        }
        (values.len() == self.series.len()).then_some(values)
    }
}

impl Series {
    fn of(line: &Line<'_>) -> Self {
        let name = line.sample.name.as_str();
        let braces = line.series.strip_prefix(name).map(str::trim).unwrap_or_default();
        let inside = braces.strip_prefix('{').and_then(|labels| labels.strip_suffix('}'));
        let labels = match inside {
            Some(labels) => labels.trim().trim_end_matches(',').into(),
            None if line.sample.labels.is_empty() => "".into(),
            // The name stands between the braces too: the labels are written as others write them.
            None => {
                let written: Vec<_> =
                    line.sample.labels.iter().map(|(name, value)| written(name, value)).collect();
                written.join(",").into()
            }
        };
        Self { text: line.series.into(), name: name.into(), labels }
    }
}

/// A label as the format writes it.
fn written(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::exposition::Exposition;

    fn rows(reader: &mut PageReader, page: &str) -> Vec<(String, String, f64)> {
        let rows = reader.read(page.as_bytes());
        rows.rows(RunNanos::ZERO).map(|row| (row.name, row.labels, row.value)).collect()
    }

    #[test]
    fn rows_are_the_series_as_they_were_written() {
        let mut reader = PageReader::default();
        let page = "# HELP a b\na 1\nb{x=\"1\",le=\"+Inf\"} 2 1395066363000\nc { y=\"q\\\"}\" , } 3\n\
                    d NaN\ne_created 1.7e9\n{\"f.g\",z=\"\\\\\"} 4\n{\"h\"} 5\nno sample\n";
        let expected = [
            ("a", "", 1.0),
            ("b", "x=\"1\",le=\"+Inf\"", 2.0),
            ("c", "y=\"q\\\"}\" ", 3.0),
            ("f.g", "z=\"\\\\\"", 4.0),
            ("h", "", 5.0),
        ];
        let expected: Vec<_> =
            expected.map(|(name, labels, value)| (name.into(), labels.into(), value)).into();
        assert_eq!(rows(&mut reader, page), expected);
        assert_eq!(rows(&mut reader, page), expected, "the same again");
    }

    #[test]
    fn pages_that_look_alike_share_their_series() {
        let mut reader = PageReader::default();
        let page = |value: u32| format!("# TYPE a counter\na{{x=\"1\"}} {value}\nab {value}\n");
        let first = reader.read(page(1).as_bytes());
        let second = reader.read(page(20).as_bytes());
        assert!(Arc::ptr_eq(&first.layout, &second.layout));
        assert_eq!(*second.values, [20.0, 20.0]);
        let grown = reader.read(format!("{}c 3\n", page(2)).as_bytes());
        assert_eq!(*grown.values, [2.0, 2.0, 3.0]);
        assert_eq!(*reader.read(page(4).as_bytes()).values, [4.0, 4.0], "and shrunk");
        assert!(reader.read(b"").is_empty());
        assert!(reader.read(b"<html>no metrics</html>").is_empty());
    }

    /// Lines that are likely to begin alike.
    fn line() -> impl Strategy<Value = String> {
        let series = prop_oneof![
            Just("a"),
            Just("ab"),
            Just("a{}"),
            Just("a{b=\"c\"}"),
            Just("a{b=\"cd\"}"),
            Just("a {b=\"c\"}"),
            Just("a{b=\"} 1\"}"),
            Just("#"),
            Just("\u{fe}"),
        ];
        let rest = prop_oneof![
            Just(" 1"),
            Just(" 2 77"),
            Just("\t3 # {} 1"),
            Just(" x"),
            Just(""),
            Just("4"),
            Just(" NaN"),
        ];
        (series, rest).prop_map(|(series, rest)| format!("{series}{rest}"))
    }

    proptest! {
        /// Invariant: a page is read the same whatever was read before it, and as [`Exposition`]
        /// reads it.
        #[test]
        fn the_page_before_does_not_matter(
            before in prop::collection::vec(line(), 0..6),
            after in prop::collection::vec(line(), 0..6),
        ) {
            let (before, after) = (before.join("\n"), after.join("\n"));
            for second in [&after, &before] {
                let mut reader = PageReader::default();
                reader.read(before.as_bytes());
                let page = reader.read(second.as_bytes());
                let expected = Exposition::parse(second.as_bytes()).samples;
                let got = page.layout.series.iter().zip(&*page.values);
                prop_assert_eq!(page.values.len(), expected.len());
                for ((series, value), expected) in got.zip(expected) {
                    prop_assert_eq!(&*series.name, expected.name);
                    prop_assert_eq!(value.to_bits(), expected.value.to_bits());
                }
            }
        }
    }
}
