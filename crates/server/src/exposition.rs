//! Prometheus text: names, labels and values, read line by line.
//!
//! The format is the text exposition format 0.0.4 (and what OpenMetrics adds to a sample line:
//! exemplars, quoted UTF-8 names). Comments, `HELP` and `TYPE` say nothing that is needed here and
//! are passed over; timestamps are wall-clock, which never enters arithmetic, and are dropped. A
//! line that is no sample is counted, never fatal: half a page of metrics is better than none.

/// One page of Prometheus text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition {
    /// The samples in the order of the page.
    pub samples: Vec<Sample>,
    /// Lines that were neither sample nor comment nor blank.
    pub skipped_lines: usize,
}

/// One line of Prometheus text: a series and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name; a histogram's carry `_bucket`, `_sum` and `_count`.
    pub name: String,
    /// Label names and values in the order of the line, escapes resolved.
    pub labels: Vec<(String, String)>,
    /// The value; may be infinite or NaN.
    pub value: f64,
}

impl Exposition {
    /// The samples of `page`; any bytes will do.
    #[must_use]
    pub fn parse(page: &[u8]) -> Self {
        let mut exposition = Self::default();
        for line in lines(page) {
            match line.and_then(parse_line) {
                Some(line) => exposition.samples.push(line.sample),
                None => exposition.skipped_lines += 1,
            }
        }
        exposition
    }

    /// The samples called `name`, one for each set of labels.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }
}

/// The white space of the format; `\r` because some servers end their lines in it.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches(is_blank)
}

/// The lines of `page` that are neither blank nor comments, without white space at either end; `None`
/// for one that is no text.
pub(crate) fn lines(page: &[u8]) -> impl Iterator<Item = Option<&str>> {
    page.split(|&byte| byte == b'\n').filter_map(|line| {
        let Ok(line) = std::str::from_utf8(line) else { return Some(None) };
        let line = line.trim_matches(is_blank);
        (!line.is_empty() && !line.starts_with('#')).then_some(Some(line))
    })
}

/// A line that is a sample.
pub(crate) struct Line<'a> {
    /// Everything in front of the value, as it was written, without white space at the end.
    pub(crate) series: &'a str,
    pub(crate) sample: Sample,
}

/// `name [{labels}] value [timestamp] [# exemplar]`, without white space at either end.
pub(crate) fn parse_line(line: &str) -> Option<Line<'_>> {
    let (name, after_name) = split_name(line, true);
    let mut name = (!name.is_empty()).then(|| name.to_owned());
    let mut labels = Vec::new();
    let rest = match skip_blanks(after_name).strip_prefix('{') {
        Some(inside) => parse_labels(inside, &mut name, &mut labels)?,
        None if after_name.starts_with(is_blank) => after_name,
        None => return None,
    };
    let series = line[..line.len() - rest.len()].trim_end_matches(is_blank);
    let value = parse_value(rest)?;
    Some(Line { series, sample: Sample { name: name?, labels, value } })
}

/// The value in `line` if `series` is what stands in front of it, as [`Line::series`] has it.
///
/// `None` proves nothing: the line may still be that series, written in another way.
pub(crate) fn value_of(line: &str, series: &str) -> Option<f64> {
    parse_value(line.strip_prefix(series).filter(|rest| rest.starts_with(is_blank))?)
}

/// The value at the start of `text`, if nothing follows it but a timestamp, an exemplar, or both in
/// this order.
fn parse_value(text: &str) -> Option<f64> {
    let (value, rest) = split_token(skip_blanks(text));
    let value = value.parse().ok()?;
    let rest = skip_blanks(rest);
    if !rest.is_empty() && !rest.starts_with('#') {
        let (timestamp, rest) = split_token(rest);
        timestamp.parse::<f64>().ok()?;
        let rest = skip_blanks(rest);
        if !rest.is_empty() && !rest.starts_with('#') {
            return None;
        }
    }
    Some(value)
}

/// The labels up to the closing brace, and what follows it. A quoted string that no `=` follows is
/// the name of the metric itself.
fn parse_labels<'a>(
    mut rest: &'a str,
    name: &mut Option<String>,
    labels: &mut Vec<(String, String)>,
) -> Option<&'a str> {
    loop {
        rest = skip_blanks(rest);
        if let Some(after) = rest.strip_prefix('}') {
            return Some(after);
        }
        let (label, after) = match rest.strip_prefix('"') {
            Some(quoted) => parse_quoted(quoted)?,
            None => {
                let (label, after) = split_name(rest, false);
                (label.to_owned(), after)
            }
        };
        let after = skip_blanks(after);
        if let Some(after) = after.strip_prefix('=') {
            let (value, after) = parse_quoted(skip_blanks(after).strip_prefix('"')?)?;
            if label.is_empty() {
                return None;
            }
            labels.push((label, value));
            rest = skip_blanks(after);
        } else if rest.starts_with('"') && name.is_none() && !label.is_empty() {
            *name = Some(label);
            rest = after;
        } else {
            return None;
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
}

/// The longest name at the start of `text`, perhaps empty, and what follows it. Only the names of
/// metrics may hold colons.
fn split_name(text: &str, colons: bool) -> (&str, &str) {
    let end = text
        .char_indices()
        .find(|&(at, c)| {
            !(c.is_ascii_alphabetic()
                || c == '_'
                || (c == ':' && colons)
                || (c.is_ascii_digit() && at > 0))
        })
        .map_or(text.len(), |(at, _)| at);
    text.split_at(end)
}

/// Everything up to the next blank, and what follows.
fn split_token(text: &str) -> (&str, &str) {
    text.split_at(text.find(is_blank).unwrap_or(text.len()))
}

/// A quoted string from behind its opening quote, and what follows the closing one. An escape that
/// the format does not know stands for itself.
fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests;
