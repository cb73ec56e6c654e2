//! Python's literals, as far as a server prints them: dictionaries, and lists of `name=value`.
//!
//! Objects (`<Mode.A: 1>`, `Config(a=1)`) stay texts. JSON is read as well, for vLLM mixes the two.
//! Any text at all is taken; whatever cannot be read is a text itself.

use serde_json::{Map, Value};

/// Deeper nesting than that stays a text.
const MAX_DEPTH: usize = 32;

/// The items of a dictionary at the start of `text`; `None` when there is none or it does not end.
pub(crate) fn dictionary(text: &str) -> Option<Vec<(String, Value)>> {
    let text = text.trim_start();
    let inside = text.strip_prefix('{')?;
    let end = end_of(inside, '}')?;
    let mut items = Vec::new();
    for item in split(&inside[..end], ',') {
        let (key, value) = key_and_value(item)?;
        items.push((key, value_at(value, 0)));
    }
    Some(items)
}

/// The assignments of `a=1, b='x', c=Config(d=2)`, in order; pieces without a name are passed over.
pub(crate) fn assignments(text: &str) -> Vec<(String, Value)> {
    split(text, ',')
        .into_iter()
        .filter_map(|piece| {
            let (name, value) = piece.split_once('=')?;
            let name = name.trim();
            let is_name = !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            is_name.then(|| (name.to_owned(), value_at(value, 0)))
        })
        .collect()
}

/// The value that `text` stands for.
pub(crate) fn value(text: &str) -> Value {
    value_at(text, 0)
}

fn value_at(text: &str, depth: usize) -> Value {
    let text = text.trim();
    match text {
        "None" | "null" => return Value::Null,
        "True" | "true" => return Value::Bool(true),
        "False" | "false" => return Value::Bool(false),
        _ => {}
    }
    let Some(first) = text.chars().next() else { return Value::from("") };
    if first == '\'' || first == '"' {
        return match unquoted(text) {
            Some((string, "")) => Value::from(string),
            _ => Value::from(text),
        };
    }
    if depth < MAX_DEPTH
        && let Some(value) = nested(text, first, depth)
    {
        return value;
    }
    if first.is_ascii_digit() || matches!(first, '-' | '+' | '.') {
        if let Ok(integer) = text.parse::<i64>() {
            return Value::from(integer);
        }
        if let Some(float) = text.parse::<f64>().ok().filter(|float| float.is_finite()) {
            return Value::from(float);
        }
    }
    Value::from(bare(text))
}

/// A list, tuple, set or dictionary that takes up all of `text`.
fn nested(text: &str, first: char, depth: usize) -> Option<Value> {
    let closing = closing_of(first).filter(|&closing| closing != '>')?;
    let inside = &text[1..];
    let end = end_of(inside, closing)?;
    if end + 1 != inside.len() {
        return None;
    }
    let items = split(&inside[..end], ',');
    let list = |items: Vec<&str>| {
        Value::Array(items.into_iter().map(|item| value_at(item, depth + 1)).collect())
    };
    if first != '{' {
        return Some(list(items));
    }
    let pairs: Option<Vec<_>> = items.iter().map(|item| key_and_value(item)).collect();
    Some(match pairs {
        Some(pairs) => {
            let mut map = Map::new();
            for (key, value) in pairs {
                map.insert(key, value_at(value, depth + 1));
            }
            Value::Object(map)
        }
        None => list(items),
    })
}

/// A word without quotes: `LoadFormat.AUTO` is a member of an enumeration, known by its last name.
fn bare(text: &str) -> String {
    match text.split_once('.') {
        Some((class, member))
            if !member.is_empty()
                && class.starts_with(|c: char| c.is_ascii_uppercase())
                && class.bytes().all(|b| b.is_ascii_alphanumeric())
                && member.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') =>
        {
            member.to_ascii_lowercase()
        }
        _ => text.to_owned(),
    }
}

/// One item of a dictionary; keys without quotes are their own text.
fn key_and_value(item: &str) -> Option<(String, &str)> {
    let item = item.trim_start();
    if item.starts_with(['\'', '"']) {
        let (key, rest) = unquoted(item)?;
        return Some((key, rest.trim_start().strip_prefix(':')?));
    }
    let (key, value) = item.split_once(':')?;
    Some((key.trim().to_owned(), value))
}

/// The pieces of `text` between separators that stand outside of quotes and brackets, without an
/// empty one at the end.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, c, depth) in Scanner::new(text) {
        if c == separator && depth == 0 {
            pieces.push(&text[start..at]);
            start = at + c.len_utf8();
        }
    }
    if !text[start..].trim().is_empty() {
        pieces.push(&text[start..]);
    }
    pieces
}

/// Where the bracket that was opened in front of `text` is closed.
fn end_of(text: &str, closing: char) -> Option<usize> {
    Scanner::new(text).find(|&(_, c, depth)| c == closing && depth == 0).map(|(at, _, _)| at)
}

fn closing_of(opening: char) -> Option<char> {
    Some(match opening {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        '<' => '>',
        _ => return None,
    })
}

/// Walks over the characters that are not inside quotes, with the number of brackets open around
/// each. A bracket belongs to what it encloses, except that one which closes nothing is at depth 0.
struct Scanner<'a> {
    chars: std::str::CharIndices<'a>,
    open: Vec<char>,
    before: char,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self { chars: text.char_indices(), open: Vec::new(), before: ' ' }
    }

    /// Passes over what `quote` opened.
    fn skip_quoted(&mut self, quote: char) {
        while let Some((_, c)) = self.chars.next() {
            if c == '\\' {
                self.chars.next();
            } else if c == quote {
                return;
            }
        }
    }
}

impl Iterator for Scanner<'_> {
    type Item = (usize, char, usize);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (at, c) = self.chars.next()?;
            let before = std::mem::replace(&mut self.before, c);
            // An apostrophe inside a word opens nothing, nor does `<` as a comparison.
            let begins = !before.is_alphanumeric();
            if (c == '\'' || c == '"') && begins {
                self.skip_quoted(c);
                continue;
            }
            if let Some(closing) = closing_of(c).filter(|_| c != '<' || begins) {
                self.open.push(closing);
                return Some((at, c, self.open.len()));
            }
            let depth = self.open.len();
            if self.open.last() == Some(&c) {
                self.open.pop();
            } else if matches!(c, ')' | ']' | '}') && self.open.last() == Some(&'>') {
                // What looked like an object was a comparison.
                self.open.pop();
                if self.open.last() == Some(&c) {
                    self.open.pop();
                }
                return Some((at, c, depth - 1));
            }
            return Some((at, c, depth));
        }
    }
}

/// The string at the start of `text`, its escapes resolved, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next()?;
    let mut string = String::new();
    let mut chars = text[1..].char_indices();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((string, &text[1 + at + 1..]));
        }
        if c != '\\' {
            string.push(c);
            continue;
        }
        let escaped = chars.next()?.1;
        let digits = match escaped {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        match escaped {
            'n' => string.push('\n'),
            't' => string.push('\t'),
            'r' => string.push('\r'),
            '\\' | '\'' | '"' | '/' => string.push(escaped),
            _ if digits > 0 => {
                let code: String = chars.by_ref().take(digits).map(|(_, digit)| digit).collect();
                let code = u32::from_str_radix(&code, 16).ok();
                string.push(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ => string.extend(['\\', escaped]),
        }
    }
    None
}

#[cfg(test)]
mod tests;
