//! Text from outside, made harmless: for the terminal by [`clean`], for Markdown by [`markdown`]
//! and [`fenced`]. HTML is escaped by the template engine, after [`clean`].

/// `text` on one line without control characters, terminal escape sequences or characters that
/// turn the direction of writing (those can make a text read as another one).
pub(crate) fn clean(text: &str) -> String {
    let line: String =
        harmless(text).map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c }).collect();
    line.trim().to_owned()
}

/// The same over several lines: line ends and tabs stay.
pub(crate) fn clean_lines(text: &str) -> String {
    harmless(text).collect::<String>().trim_end().to_owned()
}

/// `text` for running Markdown and for cells of its tables: cleaned, nothing in it is markup.
pub(crate) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' | '$' => {
                escaped.push('\\');
                escaped.push(c);
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

/// `text` as a Markdown code block, with a fence longer than any run of backticks in it.
pub(crate) fn fenced(language: &str, text: &str) -> String {
    let text = clean_lines(text);
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{text}\n{fence}\n")
}

/// The characters that may be shown: escape sequences are left out whole, CR LF becomes LF.
fn harmless(text: &str) -> impl Iterator<Item = char> {
    let mut rest = text.chars().peekable();
    std::iter::from_fn(move || {
        loop {
            match rest.next()? {
                // CSI: parameters up to one final byte.
                '\u{1b}' if rest.next_if_eq(&'[').is_some() => skip_csi(&mut rest),
                '\u{9b}' => skip_csi(&mut rest),
                // OSC and its kin: a string up to BEL or the string terminator.
                '\u{1b}'
                    if rest.next_if(|c| matches!(c, ']' | 'P' | 'X' | '^' | '_')).is_some() =>
                {
                    skip_string(&mut rest);
                }
                '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(&mut rest),
                '\u{1b}' => {
                    rest.next_if(|c| !c.is_control());
                }
                c @ ('\n' | '\t') => return Some(c),
                c if c.is_control() || is_invisible(c) => {}
                c => return Some(c),
            }
        }
    })
}

fn skip_csi(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while rest.next_if(|c| ('\u{20}'..='\u{3f}').contains(c)).is_some() {}
    rest.next_if(|c| ('\u{40}'..='\u{7e}').contains(c));
}

fn skip_string(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    // A string that is never terminated ends with its line, so it cannot swallow the whole text.
    while let Some(c) = rest.next_if(|c| *c != '\n') {
        match c {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                rest.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

/// Marks of direction and characters without width.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_commanded_by_text() {
        for (text, shown) in [
            ("qwen3-14b", "qwen3-14b"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{9b}2Jgone", "gone"),
            ("a\u{1b}]0;title\u{7}b", "ab"),
            ("a\u{1b}]8;;http://x\u{1b}\\b", "ab"),
            ("a\u{1b}]never ended", "a"),
            ("two\r\nlines\tand a tab", "two lines and a tab"),
            ("bell\u{7} null\u{0} del\u{7f}", "bell null del"),
            ("user\u{202e}cod.exe", "usercod.exe"),
            ("\u{1b}", ""),
            ("\u{1b}c reset", "reset"),
            ("größe 模型 🚢", "größe 模型 🚢"),
        ] {
            assert_eq!(clean(text), shown, "{text:?}");
        }
    }

    #[test]
    fn markdown_holds_no_markup_of_the_text() {
        assert_eq!(
            markdown("<img src=x>|`a`\n# b [c](d) *e* _f_ \\"),
            "&lt;img src=x&gt;\\|\\`a\\` \\# b \\[c\\](d) \\*e\\* \\_f\\_ \\\\"
        );
    }

    #[test]
    fn a_block_cannot_be_left_from_inside() {
        assert_eq!(fenced("toml", "a\n```\nb"), "````toml\na\n```\nb\n````\n");
        assert_eq!(fenced("", ""), "```\n\n```\n");
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(clean_lines("a = 1\r\n\tb\u{1b}[1m\n"), "a = 1\n\tb");
    }
}
