//! Strings that came from a server, made fit for one line of a message.

/// The first `max` characters of `text` on one line: runs of white space become one blank, other
/// control characters a question mark, and a cut is marked with an ellipsis.
///
/// A server's text may hold terminal escapes or a whole page; neither belongs into an error.
pub(crate) fn printable(text: &str, max: usize) -> String {
    let mut line = String::new();
    let mut count = 0;
    for word in text.split_whitespace() {
        let blank = (!line.is_empty()).then_some(' ');
        for c in blank.into_iter().chain(word.chars()) {
            if count == max {
                line.push('…');
                return line;
            }
            line.push(if c.is_control() { '?' } else { c });
            count += 1;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_without_controls() {
        assert_eq!(printable("  a\r\n\tb  c ", 80), "a b c");
        assert_eq!(printable("\u{1b}[31mred", 80), "?[31mred");
        assert_eq!(printable("", 80), "");
    }

    #[test]
    fn cut_by_characters_not_bytes() {
        assert_eq!(printable("ééééé", 3), "ééé…");
        assert_eq!(printable("ééé", 3), "ééé");
        assert_eq!(printable("ab cd", 3), "ab …");
    }
}
