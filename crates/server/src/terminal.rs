//! What a terminal would show of a line of a log.

/// The line in `bytes`, without its line feed, as a terminal shows it in the end: without colours and
/// other escape sequences, and of a line that was overwritten only the last version. What is no UTF-8 is
/// replaced, a tab is four blanks, another control character a question mark, and blanks at the end are
/// left out. `text` is emptied first.
pub(crate) fn show_line(bytes: &[u8], text: &mut String) {
    text.clear();
    let end = bytes.iter().rposition(|&byte| byte != b'\r').map_or(0, |last| last + 1);
    let line = &bytes[..end];
    let line = line.rsplit(|&byte| byte == b'\r').next().unwrap_or(line);
    let line = String::from_utf8_lossy(line);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            // ESC [ parameters letter; a sequence of another kind loses its first character.
            '\u{1b}' => {
                if chars.next() == Some('[') {
                    while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
                }
            }
            '\t' => text.push_str("    "),
            c => text.push(if c.is_control() { '?' } else { c }),
        }
    }
    text.truncate(text.trim_end().len());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(line: &[u8]) -> String {
        let mut text = "before".to_owned();
        show_line(line, &mut text);
        text
    }

    #[test]
    fn as_a_terminal_shows_it() {
        for (line, text) in [
            (&b"a\r"[..], "a"),
            (b"a\r\r", "a"),
            (b"\x1b[36mb |\x1b[0m c  ", "b | c"),
            (b"\x1b[1;32mgreen\x1b[0m", "green"),
            (b"|\rx 1%\rx 2%", "x 2%"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b"\ta\x07b", "    a?b"),
            (b"last\x1b", "last"),
            (b"cut \x1b[3", "cut"),
            (b"", ""),
            (b"\r", ""),
        ] {
            assert_eq!(shown(line), text, "{line:?}");
        }
    }

    proptest! {
        /// Nothing that steers a terminal is left of any bytes, and plain text is left as it is.
        #[test]
        fn no_controls(bytes in prop::collection::vec(any::<u8>(), 0..200), plain in "[!-~]( ?[!-~]){0,50}") {
            prop_assert!(!shown(&bytes).contains(char::is_control));
            prop_assert_eq!(shown(plain.as_bytes()), plain);
        }
    }
}
