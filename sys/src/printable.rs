//! Text for a terminal, which obeys the control characters in what it is given: names, labels and messages come from
//! images and registries, and could move the cursor, set the title, or hide what stands beside them.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with its control characters written out, as `\x1b`. Ends of lines and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_obeyed(letter) {
            true if letter.is_ascii() => drop(write!(shown, "\\x{:02x}", u32::from(letter))),
            true => drop(write!(shown, "\\u{:04x}", u32::from(letter))),
            false => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

/// Control characters of ECMA-48, and those of Unicode that turn the direction of text (UAX 9).
fn is_obeyed(letter: char) -> bool {
    match letter {
        '\n' | '\t' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        letter => letter.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        for (text, shown) in [
            ("plain\ttext, ünïcode\n", "plain\ttext, ünïcode\n"),
            ("\u{1b}[31mred\r", "\\x1b[31mred\\x0d"),
            ("\u{9b}2J\u{202e}txt.exe", "\\u009b2J\\u202etxt.exe"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
